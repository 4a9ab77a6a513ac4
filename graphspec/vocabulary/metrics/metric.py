"""The base of the metrics: counters are summed over batches and workers; the result is computed from them at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field, PrivateAttr, create_model

from graphspec.base.config import ANY_VALUE, Config, Neutral, Registry, as_tuple
from graphspec.base.errors import Code, Problem
from graphspec.graph.ir.dims import Dim, show
from graphspec.graph.ir.graph import Graph
from graphspec.vocabulary import Array, Builder, Value
from graphspec.vocabulary.losses.loss import Loss, Targets, gives_probabilities, producer

M = TypeVar("M", bound="Metric")


# Computes the outputs of a graph in float64 from arrays, named like the graph's inputs and targets. Its first argument
# builds the graph; it is called once per set of array shapes.
Compute = Callable[[Callable[[], Graph], Mapping[str, Array]], dict[str, Array]]
Direction = Literal["up", "down"]
Ignored = Annotated[int | None, Field(description="The class of targets that do not count; null for none.")]
_PERMUTE = "move them to the last axis with a Permute before the head, and leave the loss's `axis` out"
TARGET_NAMES: dict[Targets, str] = {
    "ids": "class ids",
    "one_hot": "one-hot rows",
    "like": "values of the head's shape",
    "groups": "group ids, which have no units in the head",
    "labels": "label sequences",
    "one": "one value for all units",
    "times": "times and events",
    "none": "nothing",
}


class MetricState:
    """The state of a metric over some batches.

    ``counters``, float64, contain sums only: the counters of several workers add up to the counters of all rows.
    """

    keeps_rows = True  # whether rows may be compared with those of other batches; not if totals are summed or resumed

    def __init__(self, metric: Metric, y_pred: Value) -> None:
        self.metric = metric
        self.counters = np.zeros(metric.shape(y_pred))

    def update(
        self, y_true: Array | None, y_pred: Array, mask: Array | None = None, lengths: Mapping[str, Array] | None = None
    ) -> None:
        """Add a batch to the counters. A metric overrides :meth:`count` instead: other processes may count batches, too.

        Args:
            y_true: the targets; None for a metric of the head's values only.
            mask: bool, (N, T): False hides a time step.
            lengths: for CTC, optionally ``length`` (labels) and ``input_length`` (time steps) of every row.
        """
        self.counters += self.count(y_true, y_pred, mask, lengths or {})

    def count(self, y_true: Array | None, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]) -> Array:
        """Return the counters of one batch."""
        return self.metric.count(y_true, y_pred, mask, lengths)

    def result(self) -> float | Array:
        """Return the result, or an array of several, over all batches since the last reset; 0 if nothing was counted."""
        with np.errstate(divide="ignore", invalid="ignore"):
            result = self.metric.finish(self.counters)
        return result if isinstance(result, np.ndarray) and result.ndim else float(result)

    def reset(self) -> None:
        """Set all counters to 0."""
        self.counters.fill(0)

    def state(self) -> list[float]:
        """Return the counters as JSON data that :meth:`load` restores bit by bit; an empty list if all are 0."""
        counters: list[float] = self.counters.ravel().tolist()
        return counters if any(counters) else []

    def load(self, state: list[float]) -> None:
        """Restore the counters that :meth:`state` returned."""
        self.counters[...] = np.reshape(state, self.counters.shape) if state else 0


MAX_COUNTERS = 2**27  # 1 GiB: a confusion matrix of 10,000 classes just fits


class Metric(Config):
    """Base of the metrics.

    :meth:`measure` counts the unmasked rows of a batch, without sample weights; :meth:`finish` computes the result from
    the counters.
    """

    neutral: ClassVar[Mapping[str, Neutral]] = {"dtype": ANY_VALUE}
    label: ClassVar[str]
    """Keras's default name."""
    direction: ClassVar[Direction | None] = "up"
    """Whether larger (``up``) or smaller (``down``) results are better, for callbacks with ``mode: auto``; None: neither."""
    targets: ClassVar[tuple[Targets, ...]] = ("like", "one_hot")
    """The forms of targets that the metric accepts."""
    by_class: ClassVar[bool] = False
    """True if the head's last axis contains classes that are compared; False if each value is used separately."""
    instead: ClassVar[str] = "use `accuracy`, which follows the loss"
    """The hint for targets of another form."""

    name: str | None = Field(None, description="The name in the logs; by default the metric's own name.")
    _written: str | None = PrivateAttr(None)

    @property
    def key(self) -> str:
        """The name in the logs, as in Keras: ``name``, else the alias in the spec, else the default name."""
        return self.name or self._written or self.label

    def parts(self, y_pred: Value, labels: Sequence[str] | None = None) -> list[str] | None:
        """Return the meaning of each of several results; None if there is only one."""
        return None

    def keys(self, y_pred: Value) -> list[str]:
        """Return the names of all results in the logs: ``f1_score_0``, ``f1_score_1``, … if there are several."""
        count = len(self.parts(y_pred) or [""])
        return [self.key] if count == 1 else [f"{self.key}_{k}" for k in range(count)]

    # Checks.

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        """Return the metric to compute: ``self``, unless that depends on the loss, the head's shape or its labels."""
        return self

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        """Return GS403 if this metric does not fit the head's shape, loss or labels. The messages' subject is the metric."""
        if loss is None:
            hint = "give the head a loss; with `weight: 0` it is not trained"
            return self.error("has no targets, since the head has no loss", hint)
        targets, name = targets_of(loss), type(loss).__name__
        if targets == "labels":
            return self.error(f"cannot compare label sequences, the targets of {name}", "use `edit_distance`")
        if targets == "groups":
            hint = "remove the head's metrics: its values are not predictions"
            return self.error(f"compares predictions with targets, but {name} compares rows", hint)
        if not self.accepts(targets):
            expected, actual = TARGET_NAMES[self.targets[0]], TARGET_NAMES[targets]
            return self.error(f"expects {expected}, but the targets of {name} are {actual}", self.instead)
        problems = self.check_shape(y_pred) or self.check_class_axis(y_pred, loss) or self.check_loss(y_pred, loss)
        if any(problem.severity == "error" for problem in problems):
            return problems
        counters = prod(self.resolve(loss, y_pred, labels).shape(y_pred))
        text = f"needs {counters:,} counters, at most {MAX_COUNTERS:,}"
        return problems + (self.error(text, "measure fewer classes") if counters > MAX_COUNTERS else [])

    def check_class_axis(self, y_pred: Value, loss: Loss) -> list[Problem]:
        """Return GS403 unless the metric and the loss have the classes on the same axis."""
        own, axis = self.class_axis(y_pred), loss.class_axis(y_pred)
        if own is None or own == axis:
            return []
        text = f"has the classes on axis {own}, but {type(loss).__name__} on axis {axis}"
        hint = "use the same `axis` for both" if "axis" in type(self).model_fields else _PERMUTE
        return self.error(text, hint)

    def class_axis(self, y_pred: Value) -> int | None:
        """The non-negative axis of the head with the classes; None if the metric uses each value separately."""
        return y_pred.rank - 1 if self.by_class else None

    def accepts(self, targets: Targets) -> bool:
        """Return True if the metric can use targets of this form."""
        return targets in self.targets

    def check_shape(self, y_pred: Value) -> list[Problem]:
        """Return GS403 for what is wrong with the head's shape."""
        return []

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        """Return GS403 for what does not fit the head's loss."""
        return []

    def error(self, text: str, hint: str) -> list[Problem]:
        """Return a GS403 error."""
        return [Problem(Code.METRIC_MISMATCH, text, hint)]

    def warning(self, text: str, hint: str) -> list[Problem]:
        """Return a GS403 warning."""
        return [Problem(Code.METRIC_MISMATCH, text, hint, severity="warning")]

    # Counting.

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        """The shape of the counters."""
        raise NotImplementedError

    def count(self, y_true: Array | None, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]) -> Array:
        """Return the counters of one batch."""
        assert y_true is not None
        return self.measure(*(visible(X, mask) for X in aligned(y_true, y_pred)))

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        """Return the counters of some unmasked rows (and time steps)."""
        raise NotImplementedError

    def finish(self, counters: Array) -> float | Array:
        """Return the result, or an array of several, from the counters of all rows."""
        raise NotImplementedError

    def parts_of(self, counters: Array) -> tuple[Array, Array] | None:
        """Return what each result is a share of, as counts ``(hits, all)``; None if the results are no shares."""
        return None

    def lower(self, g: Builder, y_true: Value, y_pred: Value) -> tuple[Value, Value] | None:
        """Emit what each result is a share of, the sums of hits and of all; None for a metric that is not written so."""
        return None

    def start(self, y_pred: Value, compute: Compute) -> MetricState:
        """Return the state for one pass over some rows; ``compute`` is for metrics that are defined by a graph."""
        return MetricState(self, y_pred)


class Average(Metric):
    """Base of the metrics that are the mean of :meth:`values` over all unmasked values."""

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (2,)

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        return total(self.values(y_true, y_pred))

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return one value per row (and time step, and unit)."""
        raise NotImplementedError

    def finish(self, counters: Array) -> float | Array:
        return float(divide(*counters))


def from_end(metric: M, y_pred: Value) -> M:
    """Return the metric with a negative ``axis``: masking flattens leading axes, but keeps the trailing ones."""
    axis: int = metric.axis  # type: ignore[attr-defined]
    return metric if axis < 0 else metric.model_copy(update={"axis": axis - y_pred.rank})


def check_axis(metric: Metric, axis: int, y_pred: Value) -> list[Problem]:
    """Return GS403 unless ``axis`` is an axis of the head that is neither the batch nor under the mask."""
    fixed = 1 if y_pred.mask is None else y_pred.mask.rank
    if y_pred.rank > fixed and -y_pred.rank <= axis < y_pred.rank and axis % y_pred.rank >= fixed:
        return []
    hint = "give the head a feature axis"
    if y_pred.rank > fixed:
        hint = f"use an axis from {fixed} to {y_pred.rank - 1}, or -1" if y_pred.rank > fixed + 1 else "use axis -1"
    return metric.error(f"has axis {axis}, which does not fit the head's shape {show(y_pred.shape)}", hint)


def check_classes(metric: Metric, y_pred: Value, hint: str = "use `accuracy` or `binary_accuracy`") -> list[Problem]:
    """Return GS403 unless the head has several units per row."""
    text = "compares classes, but the head has a single value per row"
    return metric.error(text, hint) if width(y_pred) == 1 else []


MAX_RESULTS = 10_000  # results that one metric may log


def one_each(word: str, y_pred: Value) -> list[str] | None:
    """Return the meaning of one result per unit; None if :func:`check_results` refuses so many results."""
    count = units(y_pred)
    return [f"{word} {k}" for k in range(count)] if count <= MAX_RESULTS else None


def check_results(metric: Metric, y_pred: Value, hint: str) -> list[Problem]:
    """Return GS403 if the metric would log one result for each of too many units."""
    text = f"would log one result for each of {units(y_pred):,} units, at most {MAX_RESULTS:,}"
    return metric.error(text, hint) if units(y_pred) > MAX_RESULTS else []


def check_fixed(metric: Metric, y_pred: Value) -> list[Problem]:
    """Return GS403 unless the head has a fixed number of units."""
    text = f"needs a fixed number of units, but the last axis of {show(y_pred.shape)} varies"
    return [] if isinstance(width(y_pred), int) else metric.error(text, "put the units on an axis of fixed size")


def check_threshold(metric: Metric, threshold: float, loss: Loss) -> list[Problem]:
    """Return a GS403 warning if logits are compared with a threshold for probabilities."""
    text, hint = "compares the head's values with 0.5, but they are logits", f"{type(metric).__name__}, threshold: 0.0"
    return metric.warning(text, f"use `{{type: {hint}}}`") if has_logits(loss) and threshold == 0.5 else []


def check_classifies(metric: Metric, y_pred: Value, loss: Loss | None) -> list[Problem]:
    """Return a GS403 warning if a metric of classes measures a head that predicts numbers."""
    if loss is None or loss.fits != "numbers" or gives_probabilities(producer(y_pred)):
        return []
    text = f"measures classes, but {type(loss).__name__} is for numbers"
    return metric.warning(text, "use `mae`, or a sigmoid or softmax head with a cross-entropy")


def width(y_pred: Value) -> Dim:
    """Return the size of the head's last axis; a head (N,) has one unit."""
    return y_pred.shape[-1] if y_pred.rank > 1 else 1


def units(y_pred: Value) -> int:
    """Return :func:`width` as an integer; it must be fixed."""
    return y_pred.fixed(-1) if y_pred.rank > 1 else 1


def has_logits(loss: Loss) -> bool:
    """Return True if the loss expects logits."""
    return bool(getattr(loss, "from_logits", False))


def matching(loss: Loss | None, y_pred: Value) -> Literal["binary", "categorical", "sparse"]:
    """Return which metric of a family fits the loss; if the loss does not decide, Keras's rule on shapes does."""
    targets = "like" if loss is None else targets_of(loss)
    if targets == "ids":
        return "sparse"
    binary = loss is not None and loss.binary
    return "categorical" if targets == "one_hot" or not (binary or width(y_pred) == 1) else "binary"


def targets_of(loss: Loss) -> Targets:
    """Return the form of the loss's targets."""
    return loss.targets


def total(values: Array) -> Array:
    """Return ``[sum, count]``, float64."""
    if values.dtype == bool:
        return np.array([np.count_nonzero(values), values.size], np.float64)
    return np.array([values.sum(dtype=np.float64), values.size])


def divide(a: Any, b: Any) -> Any:
    """Return ``a / b``, and 0 where ``b`` is 0."""
    return np.where(b == 0, 0.0, a / np.where(b == 0, 1.0, b))


def aligned(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Return both arrays with equal rank: (N,) and (N, 1) are compatible."""
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        return y_true[..., None], y_pred
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return y_true[..., 0], y_pred
    return y_true, y_pred


def ids(y_true: Array, y_pred: Array) -> Array:
    """Return class ids (N, …) from class ids (N, …) or (N, …, 1)."""
    return y_true[..., 0] if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1 else y_true


def visible(X: Array, mask: Array | None) -> Array:
    """Return the elements of X that the mask does not hide; a mask that does not fit X hides nothing."""
    return X if mask is None or mask.shape != X.shape[: mask.ndim] else X[mask]


def dense(y_true: Array, y_pred: Array) -> Array:
    """Return targets of the head's shape: class ids become one-hot rows, bool."""
    if y_true.shape == y_pred.shape:
        return y_true
    return np.asarray(ids(y_true, y_pred)[..., None] == np.arange(y_pred.shape[-1]))


def rows(X: Array) -> Array:
    """Return X as a matrix: all axes but the last become one."""
    return X.reshape(-1, X.shape[-1]) if X.ndim > 1 else X[:, None]


class _Metrics(Registry[Metric]):
    def parse(self, value: Any) -> Any:
        """Return the metric, as every registry does. A metric named by an alias is logged under that alias, as in Keras."""
        metric = super().parse(value)
        if isinstance(value, str):
            metric._written = value
        return metric


METRICS: Registry[Metric] = _Metrics("metric", "accuracy")


def add_row(names: str, base: Any, text: str, *, fields: Mapping[str, Any] | None = None, **facts: Any) -> None:
    """Register a metric of a table; its class is made when one of its ``names`` is first looked up.

    It is derived from ``base``, one class or several, and has the docstring ``text``, ``fields`` (a type and a default each)
    and ``facts``, class attributes. Its name in the logs is the second name by default.
    """
    (name, label, *_), module = names.split(), as_tuple(base)[0].__module__

    def make() -> type[Metric]:
        cls: type[Metric] = create_model(name, __base__=base, __module__=module, __doc__=text, **(fields or {}))
        for key, value in ({"label": label} | facts).items():
            setattr(cls, key, value)
        return cls

    METRICS.row(names.split(), make)
    vars(sys.modules[module])["__getattr__"] = partial(METRICS.attribute, module)  # to unpickle the classes of rows
