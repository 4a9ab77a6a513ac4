"""Estimators of scikit-learn, for its pipelines and searches: the network that ``init`` decides on, or that of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from graphspec.api.model import compile  # noqa: A004
from graphspec.base.arguments import bad_argument, is_share
from graphspec.base.errors import GivenText
from graphspec.base.libraries import missing_library
from graphspec.data.batches import split
from graphspec.data.convert import is_null
from graphspec.data.fill import spec_text
from graphspec.data.profile import Profile, profile
from graphspec.data.suggest import CannotSuggest, Task, suggest, task_of
from graphspec.data.tables import Frame, FrameColumn, columns_of
from graphspec.language.read import read
from graphspec.language.write import literal

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import _safe_indexing, check_consistent_length, check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, _get_feature_names, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(f"`graphspec.sklearn` needs scikit-learn: {missing_library('scikit-learn')}") from error

if TYPE_CHECKING:
    from graphspec.engine.compiler.check import SpecSource
    from graphspec.export.prove import Proof
    from graphspec.graph.ir.graph import Array
    from graphspec.language.declarations import Spec

_MATRIX = {"dtype": None, "ensure_all_finite": "allow-nan"}  # numbers and objects; NaN is a gap


class _Estimator(BaseEstimator):  # type: ignore[misc]
    def __init__(
        self,
        spec: SpecSource | Spec | None = None,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        validation_split: float | None = None,
        overrides: Mapping[str, Any] | None = None,
        random_state: Any = None,
        verbose: int | str = 0,
    ) -> None:
        self.spec, self.epochs, self.batch_size, self.validation_split = spec, epochs, batch_size, validation_split
        self.overrides, self.random_state, self.verbose = overrides, random_state, verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the spec's network, or decide on one. Raises ValueError: wrong rows; SpecError: rows do not fit a spec.

        Args:
            X: a data frame with numbers, texts, dates and gaps, or a matrix of numbers or objects; NaN and None are gaps.
            y: the target of each row.
            sample_weight: the weight of each row. Rows of weight 0 are left out; the mean of the others becomes 1.
        """
        is_amount, names, target = isinstance(self, RegressorMixin), _get_feature_names(X), getattr(y, "name", None)
        weight = None
        if names is not None:
            y = validate_data(self, y=y, y_numeric=is_amount)
            X = validate_data(self, X, skip_check_array=True)
            check_consistent_length(X, y)
        else:
            X, y = validate_data(self, X, y, y_numeric=is_amount, ensure_min_samples=2, **_MATRIX)
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
            X, y, weight = (_safe_indexing(each, np.flatnonzero(weight)) for each in (X, y, weight))
            weight = weight / weight.mean()
        self._names = [f"x{k}" for k in range(X.shape[1])] if names is None else list(names)
        if not is_amount:
            check_classification_targets(y)
            self.classes_, y = np.unique(y, return_inverse=True)
            if len(self.classes_) < 2:
                raise ValueError(f"a classifier needs two classes, y has one class: {self.classes_[0]}")
        source, share = (self.spec, None) if self.spec is not None else self._suggested(X, str(target or "target"), y)
        sets = dict(self.overrides or {})
        if self.random_state is not None:
            sets["training.seed"] = int(check_random_state(self.random_state).randint(2**31 - 1))
        if self.validation_split is not None:  # in place of folds
            if not is_share(self.validation_split):
                raise bad_argument("validation_split", "a number from 0 to below 1", self.validation_split)
            sets["training.folds"] = None
        if self.validation_split == 0:  # no rows choose a form
            sets["training.forms"] = None
        model = self.model_ = compile(source, [f"{path}={literal(value)}" for path, value in sets.items()])
        if len(model.needed.targets) != 1:
            raise ValueError(f"an estimator trains a network with one head: the spec has {len(model.needed.targets)}")
        [self._head] = model.needed.targets
        needed, by_spec = model.needed_inputs, getattr(model.spec.data.get("validation"), "split", share)
        self._wanted = {needed.columns.get(name, name): kind.shape[1:] for name, kind in needed.inputs.items()}
        if names is None and self.spec is not None and len(self._wanted) == len(self._names):
            self._names = [*self._wanted]
        by_spec = None if model.spec.training.folds else by_spec
        share = by_spec if self.validation_split is None else self.validation_split
        parts = split(len(y), share, model.seed, None if is_amount else y) if share else [slice(None)]
        answers = y if is_amount else self._named()[y]
        (x, y, own_weight), *held = [
            (self._fed(_safe_indexing(X, part)), answers[part], None if weight is None else weight[part])
            for part in parts
        ]
        more: Any = {"epochs": self.epochs, "batch_size": self.batch_size, "verbose": self.verbose}
        more |= {"sample_weight": own_weight, "validation_data": held[0] if held else None}
        self.n_iter_ = model.fit(x, y, **more).epochs
        return self

    def export(self, path: str | Path, **options: Any) -> Proof:
        """Write the network to an ONNX file; the options are those of :meth:`graphspec.Model.export`."""
        check_is_fitted(self)
        return self.model_.export(path, **options)

    def _suggested(self, X: Any, target: str, y: Array) -> tuple[dict[str, Any], float | None]:
        """Return the spec that ``init`` writes for the columns, and the share of its validation rows."""
        columns, classes = self._columns(X), len(getattr(self, "classes_", ()))
        frames = [column.frame for column in columns.values() if isinstance(column, FrameColumn)]
        found = {n: c for n, c in profile(frames[0] if frames else _table(columns)).columns.items() if n in columns}
        for name, column in found.items():
            if column.is_number and column.stored == "text":  # codes: numbers that a person made texts
                found[name] = replace(column, kind="text")
            elif isinstance(X, np.ndarray) and column.kind == "integer" and column.unique:  # a matrix has no ids
                found[name] = replace(column, kind="float")
        while target in found:
            target += "_"
        known = Profile(len(y), {**found, **profile(_table({target: y})).columns}, typed=True)
        task: Task = "regression" if not classes else "binary" if classes == 2 else "multiclass"
        try:
            decided = suggest(known, target, task_of(known, target, task), {})
        except CannotSuggest as error:
            raise ValueError(f"X {error}") from None
        self.left_out_ = {column.name: column.notes[0] for column in decided.columns if column.left_out}
        fill = {"missing": "median"}  # new rows may have gaps where these have none
        filled = [replace(c, arguments={**fill, **c.arguments}) if c.type == "number" else c for c in decided.columns]
        aim = replace(decided.target, labels=(), probability=str(self.classes_[1]) if classes == 2 else "")
        text = spec_text(replace(decided, target=aim, columns=tuple(filled)), "table", "X", "graphspec.schema.json")
        spec: dict[str, Any] = read(GivenText("table.yaml", text)).plain()
        for key in ("interval", "threshold"):  # an estimator answers with a number, or with the likeliest class
            spec["outputs"][decided.target.key].pop(key, None)
        return spec, spec.pop("data").get("validation", {}).get("split")

    def _columns(self, X: Any) -> dict[str, Any]:
        """Return the columns of a frame or a matrix by the names of those that were fitted."""
        columns = X.T if isinstance(X, np.ndarray) else columns_of(X, _get_feature_names(X)).values()
        return {n: c if isinstance(c, FrameColumn) else _plain(c) for n, c in zip(self._names, columns, strict=True)}

    def _fed(self, X: Any) -> Any:
        """Return rows as the network takes them: columns by name, or one array if its only input is no column."""
        if len(self._wanted) > 1 or self._wanted.keys() <= {*self._names}:
            return {name: column for name, column in self._columns(X).items() if name in self._wanted}
        [shape] = self._wanted.values()
        return np.asarray(X).reshape(len(X), *(size if isinstance(size, int) else -1 for size in shape))

    def _answers(self, X: Any) -> Array:
        """Return the answers of the head as rows of numbers."""
        check_is_fitted(self)
        rules = _MATRIX if _get_feature_names(X) is None else {"skip_check_array": True}
        X = validate_data(self, X, reset=False, **rules)
        return self.model_.predict_dict(self._fed(X), batch_size=1024)[self._head].reshape(len(X), -1)


def _plain(column: Array) -> Array:
    """Return numbers as they are; dates, and objects that are not all numbers, as texts, None where one is missing."""
    if column.dtype.kind not in "OUM":
        return column
    objects = (column.astype("M8[us]") if column.dtype.kind == "M" else column).tolist()
    values = [None if is_null(value) else value for value in objects]
    if all(value is None or isinstance(value, Number | np.bool_) for value in values):
        return np.array(values, np.float64)
    return np.array([None if value is None else str(value) for value in values], object)


def _table(columns: Mapping[str, Array]) -> Frame:
    import nanoarrow as na

    given = {n: (c.tolist(), na.string()) if c.dtype == object else (c.astype(np.float64),) for n, c in columns.items()}
    parts = {name: na.c_array(*column) for name, column in given.items()}
    kind, rows = na.struct({name: part.schema for name, part in parts.items()}), max(map(len, columns.values()))
    return Frame(na.Array(na.c_array_from_buffers(kind, rows, [None], children=[*parts.values()])))


class GraphspecRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A regressor: without a spec, with the network that ``graphspec init`` decides on for the columns of ``X``.

    Args:
        spec: a path, a dict or a ``Spec`` of a network with one head. Its inputs are the columns of ``X``, by name in a
            data frame and in their order in a matrix, or one array.
        epochs, batch_size, validation_split, verbose: as for :meth:`graphspec.Model.fit`; by default the spec's.
            ``validation_split=0`` takes no rows for validation.
        overrides: values of the spec by path, such as ``{"training.optimizer.learning_rate": 0.01}``.
        random_state: an int or a ``RandomState``, which gives the seed; by default the spec's.

    Attributes:
        model_: the :class:`graphspec.Model`.
        n_iter_: the number of epochs.
        left_out_: without a spec, the columns that the network does not read, each with why.
    """

    def predict(self, X: Any) -> Array:
        """Return the answer for each row, float32 of shape (rows,)."""
        found = self._answers(X)
        return found[:, 0] if found.shape[1] == 1 else found


class GraphspecClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A classifier: as :class:`GraphspecRegressor`, with ``classes_``; rows for validation are stratified by class."""

    def predict(self, X: Any) -> Any:
        """Return the most probable class of each row."""
        best = self.predict_proba(X).argmax(1)  # before `classes_`, which is only there after a fit
        return self.classes_[best]

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, float32 of shape (rows, classes)."""
        found = self._answers(X)
        logits = getattr(self.model_.spec.heads[self._head].loss, "from_logits", False)
        if found.shape[1] == 1:
            found = np.hstack([0 * found if logits else 1 - found, found])
        if logits:
            found = np.exp(found - found.max(1, keepdims=True))
        labels = self.model_.labels[self._head]
        places = [labels.index(str(name)) if str(name) in labels else int(name) for name in self.classes_]
        chosen: Array = found[:, places]
        return chosen / chosen.sum(1, keepdims=True) if logits or len(places) < found.shape[1] else chosen

    def _named(self) -> Array:
        """Return the classes as texts, which are labels of the head or become them; else they are ids of its labels."""
        texts, labels = [str(name) for name in self.classes_], self.model_.spec.heads[self._head].labels
        return np.array(texts, object) if labels is None or {*texts} <= {*labels} else self.classes_
