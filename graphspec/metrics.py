"""Metrics, exact over a whole pass: sums and counts are kept, not averages of batches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from graphspec.config import Config, PositiveInt, Registry

if TYPE_CHECKING:
    from graphspec.compiler.ir import Array, Value
    from graphspec.errors import Severity
    from graphspec.losses import Loss

Problem = tuple["Severity", str, str, str | None]
"""Severity, code, message without the head's name in front, hint."""


class State:
    """The counters of a metric over some batches: ``counters`` is (total, count), which add up over workers."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.counters = np.zeros(2)

    def update(
        self,
        y_true: Array,
        y_pred: Array,
        mask: Array | None = None,
        lengths: Mapping[str, Array] | None = None,
    ) -> None:
        """Count a batch.

        Args:
            mask: bool, ``(N, T)``: what is False does not count.
            lengths: for CTC ``length`` (labels) and ``input_length`` (time steps) of every row, where given.
        """
        total, count = self.metric.measure(y_true, y_pred, mask, lengths or {})
        self.counters[0] += total
        self.counters[1] += count

    def result(self) -> float:
        """The metric over all batches since the last reset; 0 if nothing was counted, as in Keras."""
        total, count = self.counters
        return self.metric.finish(float(total / count)) if count else 0.0

    def reset(self) -> None:
        self.counters.fill(0)

    def state(self) -> list[float]:
        """Plain JSON that :meth:`load` takes back with the same bits."""
        return [float(x) for x in self.counters]

    def load(self, state: list[float]) -> None:
        self.counters[:] = state


class Metric(Config):
    """Base of the metrics: the mean of :meth:`values` over all that is not masked, unweighted."""

    label: ClassVar[str]
    """Keras's default name."""
    direction: ClassVar[Literal["up", "down"]] = "up"
    """Which way is better, for callbacks with ``mode: auto``."""
    targets: ClassVar[Literal["ids", "one_hot", "like"]]
    """What the targets are: class ids, one-hot rows, or values of the head's shape."""

    name: str | None = Field(None, description="The figure's name; the metric's own by default.")
    _written: str | None = PrivateAttr(None)

    @property
    def key(self) -> str:
        """The name in logs, as in Keras: the one given, else the word that was written, else the default."""
        return self.name or self._written or self.label

    def resolve(self, loss: Loss | None, y_pred: Value) -> Metric:
        """The metric that is computed: itself, but for ``accuracy``."""
        return self

    def check(self, y_pred: Value, loss: Loss | None) -> list[Problem]:
        """GS403: what makes this metric senseless for a head of this shape and loss."""
        if loss is None:
            text = f"metric '{self.key}' has no targets, since the head has no loss"
            return [("error", "GS403", text, "give the head a loss; with `weight: 0` it is not trained")]
        given = targets_of(loss)
        if given == "labels":
            text = f"metric '{self.key}' cannot compare label sequences, the targets of {type(loss).__name__}"
            return [("error", "GS403", text, "use `edit_distance`")]
        # Targets of several sigmoid units may be one-hot rows too, and Keras's rule by shape takes them so.
        if given != self.targets and "ids" in (given, self.targets):
            text = f"metric '{self.key}' expects {_SAY[self.targets]}"
            text += f", but the targets of {type(loss).__name__} are {_SAY[given]}"
            return [("error", "GS403", text, "use `accuracy`, which follows the loss")]
        return self.check_shape(y_pred)

    def check_shape(self, y_pred: Value) -> list[Problem]:
        """What is wrong with the head's shape."""
        if self.targets != "like" and (y_pred.rank < 2 or y_pred.shape[-1] == 1):
            text = f"metric '{self.key}' compares classes, but the head has a single value a row"
            return [("error", "GS403", text, "use `accuracy` or `binary_accuracy`")]
        return []

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """One value a row (and time step, and unit)."""
        raise NotImplementedError

    def measure(
        self, y_true: Array, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]
    ) -> tuple[float, float]:
        """Total and count of one batch."""
        values = self.values(y_true, y_pred)
        if mask is not None and mask.ndim <= values.ndim and mask.shape == values.shape[: mask.ndim]:
            values = values[mask]
        if values.dtype == bool:
            return float(np.count_nonzero(values)), values.size
        return float(values.sum(dtype=np.float64)), values.size

    def finish(self, mean: float) -> float:
        return mean

    def start(self) -> State:
        return State(self)


_SAY = {"ids": "class ids", "one_hot": "one-hot rows", "like": "values of the head's shape"}


def targets_of(loss: Loss) -> Literal["ids", "one_hot", "like", "labels"]:
    """What the targets of a loss are."""
    name = type(loss).__name__
    if name == "CTC":
        return "labels"
    if name.startswith("Sparse"):
        return "ids"
    return "one_hot" if name.startswith("Categorical") else "like"


class _Metrics(Registry[Metric]):
    def parse(self, value: Any) -> Any:
        """As every registry; a metric that is written as one word is logged under that word, as in Keras."""
        metric = super().parse(value)
        if isinstance(value, str):
            metric._written = value
        return metric


METRICS: Registry[Metric] = _Metrics("metric")


def _aligned(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Both with the same rank: ``(N,)`` fits ``(N, 1)``."""
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        return y_true[..., None], y_pred
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return y_true[..., 0], y_pred
    return y_true, y_pred


def _ids(y_true: Array, y_pred: Array) -> Array:
    """Class ids of shape ``(N, …)``, from that or ``(N, …, 1)``."""
    return y_true[..., 0] if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1 else y_true


@METRICS.add("Accuracy", "accuracy", "acc")
class Accuracy(Metric):
    """The share of right answers: binary, categorical or sparse, by the loss, else by Keras's rule on shapes."""

    label: ClassVar[str] = "accuracy"

    def resolve(self, loss: Loss | None, y_pred: Value) -> Metric:
        single = y_pred.rank < 2 or y_pred.shape[-1] == 1
        kind = "like" if loss is None else targets_of(loss)
        binary = loss is not None and type(loss).__name__.startswith("Binary")
        cls: type[Metric] = BinaryAccuracy
        if kind == "ids":
            cls = SparseCategoricalAccuracy
        elif kind == "one_hot" or not (binary or single):
            cls = CategoricalAccuracy
        return cls(name=self.key)

    def check(self, y_pred: Value, loss: Loss | None) -> list[Problem]:
        if type(loss).__name__ in ("MeanSquaredError", "MeanAbsoluteError", "Huber"):
            op = y_pred.node.op if y_pred.node is not None else ""
            if op not in ("Sigmoid", "HardSigmoid", "Softmax"):
                text = f"metric '{self.key}' counts right classes, but {type(loss).__name__} fits numbers"
                return [("warning", "GS403", text, "use `mae`, or a sigmoid or softmax head with a cross-entropy")]
        return self.resolve(loss, y_pred).check(y_pred, loss)


@METRICS.add("BinaryAccuracy", "binary_accuracy")
class BinaryAccuracy(Metric):
    """The share of ``(y_pred > threshold) == y_true``, over all units."""

    label: ClassVar[str] = "binary_accuracy"
    targets: ClassVar[Literal["like"]] = "like"
    threshold: float = Field(0.5, description="Above it the answer is 1.")

    def values(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _aligned(y_true, y_pred)
        right: Array = (y_pred > self.threshold) == y_true
        return right


@METRICS.add("CategoricalAccuracy", "categorical_accuracy")
class CategoricalAccuracy(Metric):
    """The share of rows whose largest value stands where that of the one-hot target does; the first one of equals."""

    label: ClassVar[str] = "categorical_accuracy"
    targets: ClassVar[Literal["one_hot"]] = "one_hot"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        right: Array = y_true.argmax(-1) == y_pred.argmax(-1)
        return right


@METRICS.add("SparseCategoricalAccuracy", "sparse_categorical_accuracy")
class SparseCategoricalAccuracy(Metric):
    """The share of rows whose largest value stands at the target's class; the first one of equals."""

    label: ClassVar[str] = "sparse_categorical_accuracy"
    targets: ClassVar[Literal["ids"]] = "ids"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        right: Array = y_pred.argmax(-1) == _ids(y_true, y_pred)
        return right


def _in_top_k(ids: Array, y_pred: Array, k: int) -> Array:
    """Whether fewer than ``k`` values are larger than that of the class."""
    own = np.take_along_axis(y_pred, ids.astype(np.intp)[..., None], -1)
    found: Array = (np.count_nonzero(y_pred > own, axis=-1) < k) & ~np.isnan(own[..., 0])
    return found


def _check_k(metric: Metric, k: int, y_pred: Value) -> list[Problem]:
    classes = y_pred.shape[-1]
    if isinstance(classes, int) and k >= classes:
        text = f"metric '{metric.key}' with k={k} is always 1 for {classes} classes"
        return [("warning", "GS403", text, f"set `k` below {classes}")]
    return []


@METRICS.add("TopKCategoricalAccuracy", "top_k_categorical_accuracy")
class TopKCategoricalAccuracy(Metric):
    """The share of rows whose one-hot target's class is among the ``k`` largest values."""

    label: ClassVar[str] = "top_k_categorical_accuracy"
    targets: ClassVar[Literal["one_hot"]] = "one_hot"
    k: PositiveInt = Field(5, description="How many of the largest values count.")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        return super().check_shape(y_pred) or _check_k(self, self.k, y_pred)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return _in_top_k(y_true.argmax(-1), y_pred, self.k)


@METRICS.add("SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy")
class SparseTopKCategoricalAccuracy(Metric):
    """The share of rows whose class is among the ``k`` largest values, or the first ``k`` ids if the head gives ids."""

    label: ClassVar[str] = "sparse_top_k_categorical_accuracy"
    targets: ClassVar[Literal["ids"]] = "ids"
    k: PositiveInt = Field(5, description="How many of the largest values count.")
    from_sorted_ids: bool = Field(False, description="Whether the head gives ids, the best first.")

    def check_shape(self, y_pred: Value) -> list[Problem]:
        if self.from_sorted_ids:
            return []
        return super().check_shape(y_pred) or _check_k(self, self.k, y_pred)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        ids = _ids(y_true, y_pred)
        if self.from_sorted_ids:
            found: Array = (y_pred[..., : self.k] == ids[..., None]).any(-1)
            return found
        return _in_top_k(ids, y_pred, self.k)


@METRICS.add("MeanSquaredError", "mean_squared_error", "mse", "MSE")
class MeanSquaredError(Metric):
    """Mean of ``(y_pred − y_true)²``."""

    label: ClassVar[str] = "mean_squared_error"
    direction: ClassVar[Literal["up", "down"]] = "down"
    targets: ClassVar[Literal["like"]] = "like"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _aligned(y_true, y_pred)
        squares: Array = np.square(y_pred - y_true)
        return squares


@METRICS.add("RootMeanSquaredError", "root_mean_squared_error")
class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean of ``(y_pred − y_true)²`` over the whole pass."""

    label: ClassVar[str] = "root_mean_squared_error"

    def finish(self, mean: float) -> float:
        return math.sqrt(mean)


@METRICS.add("MeanAbsoluteError", "mean_absolute_error", "mae", "MAE")
class MeanAbsoluteError(Metric):
    """Mean of ``|y_pred − y_true|``."""

    label: ClassVar[str] = "mean_absolute_error"
    direction: ClassVar[Literal["up", "down"]] = "down"
    targets: ClassVar[Literal["like"]] = "like"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        y_true, y_pred = _aligned(y_true, y_pred)
        errors: Array = np.abs(y_pred - y_true)
        return errors


@METRICS.add("EditDistance", "edit_distance")
class EditDistance(Metric):
    """Edits / reference labels over the whole set, for CTC.

    The answer is the greedy decoding: the best class of every time step, repeats collapsed, then blanks (class 0) dropped.
    Edits are insertions, deletions and substitutions (Levenshtein).
    """

    label: ClassVar[str] = "edit_distance"
    direction: ClassVar[Literal["up", "down"]] = "down"

    def check(self, y_pred: Value, loss: Loss | None) -> list[Problem]:
        if type(loss).__name__ != "CTC":
            text = f"metric '{self.key}' compares label sequences, but the head's loss is not ctc"
            return [("error", "GS403", text, "use `loss: ctc`, or another metric")]
        return []

    def measure(
        self, y_true: Array, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]
    ) -> tuple[float, float]:
        labels = y_true.astype(np.int64)
        steps = lengths.get("input_length")
        if steps is None:
            steps = np.full(len(y_pred), y_pred.shape[1]) if mask is None else np.count_nonzero(mask, axis=1)
        counts = lengths.get("length")
        counts = np.count_nonzero(labels, axis=1) if counts is None else counts.reshape(-1).astype(np.int64)
        answers, found = greedy_decode(y_pred, steps.reshape(-1).astype(np.int64))
        return float(edits(answers, found, labels, counts).sum()), float(counts.sum())


def greedy_decode(y_pred: Array, steps: Array) -> tuple[Array, Array]:
    """The best class of every step within ``steps``, repeats collapsed, blanks dropped: ``(N, longest)`` and lengths."""
    best = y_pred.argmax(-1)
    keep = best != 0
    keep[:, 1:] &= best[:, 1:] != best[:, :-1]
    keep &= np.arange(best.shape[1]) < steps[:, None]
    found = np.count_nonzero(keep, axis=1)
    answers = np.zeros((len(best), int(found.max(initial=0))), np.int64)
    answers[np.arange(answers.shape[1]) < found[:, None]] = best[keep]
    return answers, found


def edits(a: Array, a_length: Array, b: Array, b_length: Array) -> Array:
    """Levenshtein's distance of every row's ``a[:a_length]`` and ``b[:b_length]``, all tables filled row by row."""
    offset = np.arange(b.shape[1] + 1)
    table = np.broadcast_to(offset, (len(a), len(offset))).copy()
    for i in range(a.shape[1]):
        new = np.empty_like(table)
        new[:, 0] = i + 1
        np.minimum(table[:, 1:] + 1, table[:, :-1] + (b != a[:, i, None]), out=new[:, 1:])
        new = np.minimum.accumulate(new - offset, axis=1) + offset  # insertions, from left to right
        table = np.where((i < a_length)[:, None], new, table)
    return np.take_along_axis(table, b_length[:, None], 1)[:, 0]
