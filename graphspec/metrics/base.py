"""What a metric is: counters that add up over batches and workers, and the figure that they make in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
from pydantic import Field, PrivateAttr

from graphspec.codes import Code
from graphspec.config import WHATEVER, Config, Neutral, Registry
from graphspec.errors import Problem
from graphspec.ir.dims import Dim, show
from graphspec.losses.base import Targets, gives_probabilities, producer

if TYPE_CHECKING:
    from graphspec.ir.graph import Array, Graph, Value
    from graphspec.losses import Loss

M = TypeVar("M", bound="Metric")


class Compute(Protocol):
    """Computes the outputs of a graph in float64 from arrays by the names of its inputs and targets."""

    def __call__(self, make: Callable[[], Graph], feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name. ``make`` gives the graph for arrays of these shapes; it is asked once for each."""


Kind = Targets
Direction = Literal["up", "down"]
_PERMUTE = "move them to the last axis with a Permute before the head, and leave the loss's `axis` out"
SAY: dict[Kind, str] = {
    "ids": "class ids",
    "one_hot": "one-hot rows",
    "like": "values of the head's shape",
    "groups": "ids of groups, for which the head has no units",
    "labels": "label sequences",
}


class MetricState:
    """A metric over some batches: ``counters``, float64, are sums alone, so those of several workers add up to the whole."""

    def __init__(self, metric: Metric, y_pred: Value) -> None:
        self.metric = metric
        self.counters = np.zeros(metric.shape(y_pred))

    def update(
        self,
        y_true: Array | None,
        y_pred: Array,
        mask: Array | None = None,
        lengths: Mapping[str, Array] | None = None,
    ) -> None:
        """Count a batch.

        Args:
            y_true: None for a metric of the head alone.
            mask: bool, ``(N, T)``: what is False does not count.
            lengths: for CTC ``length`` (labels) and ``input_length`` (time steps) of every row, where given.
        """
        self.counters += self.metric.count(y_true, y_pred, mask, lengths or {})

    def result(self) -> float | Array:
        """The figure, or an array of several, over all batches since the last reset; 0 if nothing was counted."""
        with np.errstate(divide="ignore", invalid="ignore"):
            result = self.metric.finish(self.counters)
        return result if isinstance(result, np.ndarray) and result.ndim else float(result)

    def reset(self) -> None:
        self.counters.fill(0)

    def state(self) -> list[float]:
        """Plain JSON that :meth:`load` takes back with the same bits; short while nothing is counted."""
        counters: list[float] = self.counters.ravel().tolist()
        return counters if any(counters) else []

    def load(self, state: list[float]) -> None:
        self.counters[...] = np.reshape(state, self.counters.shape) if state else 0


MOST_COUNTERS = 2**27
"""Numbers that a metric may count: those of a confusion matrix of 10,000 classes, 1 GiB."""


class Metric(Config):
    """Base of the metrics: :meth:`measure` counts what is not masked, unweighted; :meth:`finish` makes the figure."""

    neutral: ClassVar[Mapping[str, Neutral]] = {"dtype": WHATEVER}
    label: ClassVar[str]
    """Keras's default name."""
    direction: ClassVar[Direction | None] = "up"
    """Which way is better, for callbacks with ``mode: auto``; None where neither is."""
    targets: ClassVar[tuple[Kind, ...]] = ("like", "one_hot")
    """What the targets may be."""
    by_class: ClassVar[bool] = False
    """Whether the values of the head's last axis are compared as classes, not each by itself."""
    instead: ClassVar[str] = "use `accuracy`, which follows the loss"
    """What to do where they are something else."""

    name: str | None = Field(None, description="The figure's name; the metric's own by default.")
    _written: str | None = PrivateAttr(None)

    @property
    def key(self) -> str:
        """The name in logs, as in Keras: the one given, else the word that was written, else the default."""
        return self.name or self._written or self.label

    def parts(self, y_pred: Value, labels: Sequence[str] | None = None) -> list[str] | None:
        """What each of several figures stands for; None where there is one alone."""
        return None

    def keys(self, y_pred: Value) -> list[str]:
        """The names of all figures in logs: ``f1_score_0``, ``f1_score_1``, … where there are several."""
        parts = self.parts(y_pred)
        if parts is None or len(parts) == 1:
            return [self.key]
        return [f"{self.key}_{k}" for k in range(len(parts))]

    # Checks.

    def resolve(self, loss: Loss | None, y_pred: Value, labels: Sequence[str] | None = None) -> Metric:
        """The metric that is computed: itself, unless it depends on the loss, the head's shape or its labels."""
        return self

    def check(self, y_pred: Value, loss: Loss | None, labels: Sequence[str] | None = None) -> list[Problem]:
        """GS403: why this metric does not fit a head of this shape, loss and labels. The subject is the metric."""
        if loss is None:
            text = "has no targets, since the head has no loss"
            return self.error(text, "give the head a loss; with `weight: 0` it is not trained")
        given = targets_of(loss)
        if given == "labels":
            text = f"cannot compare label sequences, the targets of {type(loss).__name__}"
            return self.error(text, "use `edit_distance`")
        if given == "groups":
            text = f"compares answers with targets, but {type(loss).__name__} compares rows"
            return self.error(text, "leave the head without metrics: its values are no answers")
        if not self.takes(given):
            text = f"expects {SAY[self.targets[0]]}, but the targets of {type(loss).__name__} are {SAY[given]}"
            return self.error(text, self.instead)
        found = self.check_shape(y_pred) or self.check_class_axis(y_pred, loss) or self.check_loss(y_pred, loss)
        if not any(problem.severity == "error" for problem in found):
            found = found + self.check_size(self.resolve(loss, y_pred, labels).shape(y_pred))
        return found

    def check_size(self, counters: tuple[int, ...]) -> list[Problem]:
        """Whether there is room for what the metric counts."""
        if (numbers := prod(counters)) <= MOST_COUNTERS:
            return []
        return self.error(f"counts {numbers:,} numbers, at most {MOST_COUNTERS:,}", "measure fewer classes")

    def check_class_axis(self, y_pred: Value, loss: Loss) -> list[Problem]:
        """Whether the classes stand where the loss has them."""
        own, axis = self.class_axis(y_pred), loss.class_axis(y_pred)
        if own is None or own == axis:
            return []
        text = f"has the classes on axis {own}, but {type(loss).__name__} on axis {axis}"
        hint = "give both the same `axis`" if "axis" in type(self).model_fields else _PERMUTE
        return self.error(text, hint)

    def class_axis(self, y_pred: Value) -> int | None:
        """The axis of the head, from the front, whose values it takes as classes; None where each is by itself."""
        return y_pred.rank - 1 if self.by_class else None

    def takes(self, given: Kind) -> bool:
        return given in self.targets

    def check_shape(self, y_pred: Value) -> list[Problem]:
        """What is wrong with the head's shape."""
        return []

    def check_loss(self, y_pred: Value, loss: Loss) -> list[Problem]:
        """What does not go together with the head's loss."""
        return []

    def error(self, text: str, hint: str) -> list[Problem]:
        return [Problem(Code.METRIC_MISMATCH, text, hint)]

    def warning(self, text: str, hint: str) -> list[Problem]:
        return [Problem(Code.METRIC_MISMATCH, text, hint, severity="warning")]

    # Counting.

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        """The shape of the counters."""
        raise NotImplementedError

    def count(self, y_true: Array | None, y_pred: Array, mask: Array | None, lengths: Mapping[str, Array]) -> Array:
        """The counters of one batch."""
        assert y_true is not None
        return self.measure(*(visible(X, mask) for X in aligned(y_true, y_pred)))

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        """The counters of some rows (and time steps) that all count."""
        raise NotImplementedError

    def finish(self, counters: Array) -> float | Array:
        """The figure, of all that was counted."""
        raise NotImplementedError

    def start(self, y_pred: Value, compute: Compute) -> MetricState:
        """The counters of one pass over some rows; ``compute`` is for metrics that are defined by a graph."""
        return MetricState(self, y_pred)


class Average(Metric):
    """Base of the metrics that are the mean of :meth:`values` over all that counts."""

    def shape(self, y_pred: Value) -> tuple[int, ...]:
        return (2,)

    def measure(self, y_true: Array, y_pred: Array) -> Array:
        return total(self.values(y_true, y_pred))

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """One value a row (and time step, and unit)."""
        raise NotImplementedError

    def finish(self, counters: Array) -> float | Array:
        return float(divide(*counters))


def from_end(metric: M, y_pred: Value) -> M:
    """The metric with its ``axis`` counted from the end, where masks take no axes away."""
    axis: int = metric.axis  # type: ignore[attr-defined]
    return metric if axis < 0 else metric.model_copy(update={"axis": axis - y_pred.rank})


def check_axis(metric: Metric, axis: int, y_pred: Value) -> list[Problem]:
    """Whether ``axis`` is one of the head's, neither the batch nor hidden by the mask."""
    fixed = 1 if y_pred.mask is None else y_pred.mask.rank
    if y_pred.rank > fixed and -y_pred.rank <= axis < y_pred.rank and axis % y_pred.rank >= fixed:
        return []
    hint = "give the head a feature axis"
    if y_pred.rank > fixed:
        hint = f"use an axis from {fixed} to {y_pred.rank - 1}, or -1" if y_pred.rank > fixed + 1 else "use axis -1"
    return metric.error(f"has axis {axis}, which does not fit the head's shape {show(y_pred.shape)}", hint)


def check_classes(metric: Metric, y_pred: Value, hint: str = "use `accuracy` or `binary_accuracy`") -> list[Problem]:
    """Whether the head has several units a row."""
    if width(y_pred) == 1:
        return metric.error("compares classes, but the head has a single value a row", hint)
    return []


MOST_FIGURES = 10_000
"""Figures that one metric may log."""


def one_each(word: str, y_pred: Value) -> list[str] | None:
    """What the figures of a metric stand for that has one for each unit; None where :func:`check_figures` refuses them."""
    count = units(y_pred)
    return [f"{word} {k}" for k in range(count)] if count <= MOST_FIGURES else None


def check_figures(metric: Metric, y_pred: Value, hint: str) -> list[Problem]:
    """GS403 where a metric would log a figure for each of very many units."""
    if (count := units(y_pred)) <= MOST_FIGURES:
        return []
    return metric.error(f"would log a figure for each of {count:,} units; {MOST_FIGURES:,} are the most", hint)


def check_fixed(metric: Metric, y_pred: Value) -> list[Problem]:
    """Whether the number of the head's units is known."""
    if not isinstance(width(y_pred), int):
        text = f"needs a fixed number of units, but the last axis of {show(y_pred.shape)} varies"
        return metric.error(text, "put the units on an axis of fixed size")
    return []


def check_threshold(metric: Metric, threshold: float, loss: Loss) -> list[Problem]:
    """Whether a threshold between probabilities is compared with logits."""
    if has_logits(loss) and threshold == 0.5:
        text = "compares the head's values with 0.5, but they are logits"
        return metric.warning(text, f"use `{{type: {type(metric).__name__}, threshold: 0.0}}`")
    return []


def check_classifies(metric: Metric, y_pred: Value, loss: Loss | None) -> list[Problem]:
    """Whether a metric of classes measures a head that is fitted to numbers."""
    if loss is None or loss.fits != "numbers" or gives_probabilities(producer(y_pred)):
        return []
    text = f"measures classes, but {type(loss).__name__} fits numbers"
    return metric.warning(text, "use `mae`, or a sigmoid or softmax head with a cross-entropy")


def width(y_pred: Value) -> Dim:
    """The size of a head's last axis; a head without one has one unit."""
    return y_pred.shape[-1] if y_pred.rank > 1 else 1


def units(y_pred: Value) -> int:
    """As :func:`width`, which must be known."""
    return y_pred.fixed(-1) if y_pred.rank > 1 else 1


def has_logits(loss: Loss) -> bool:
    """Whether the loss takes the head's values as logits."""
    return bool(getattr(loss, "from_logits", False))


def follows(loss: Loss | None, y_pred: Value) -> Literal["binary", "categorical", "sparse"]:
    """Which of a family of metrics fits the loss; without a word from it by Keras's rule on shapes."""
    given = "like" if loss is None else targets_of(loss)
    if given == "ids":
        return "sparse"
    binary = loss is not None and loss.binary
    return "categorical" if given == "one_hot" or not (binary or width(y_pred) == 1) else "binary"


def targets_of(loss: Loss) -> Kind:
    """What the targets of a loss are."""
    return loss.targets


def total(values: Array) -> Array:
    """``[sum, count]``, the sum in float64."""
    if values.dtype == bool:
        return np.array([np.count_nonzero(values), values.size], np.float64)
    return np.array([values.sum(dtype=np.float64), values.size])


def divide(a: Any, b: Any) -> Any:
    """``a / b``, 0 where b is 0."""
    return np.where(b == 0, 0.0, a / np.where(b == 0, 1.0, b))


def aligned(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Both with the same rank: ``(N,)`` fits ``(N, 1)``."""
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        return y_true[..., None], y_pred
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return y_true[..., 0], y_pred
    return y_true, y_pred


def ids(y_true: Array, y_pred: Array) -> Array:
    """Class ids of shape ``(N, …)``, from that or ``(N, …, 1)``."""
    return y_true[..., 0] if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1 else y_true


def visible(X: Array, mask: Array | None) -> Array:
    """What ``mask``, if it fits, does not hide of X."""
    return X if mask is None or mask.shape != X.shape[: mask.ndim] else X[mask]


def dense(y_true: Array, y_pred: Array) -> Array:
    """Targets of the head's shape: class ids become one-hot rows, bool."""
    if y_true.shape == y_pred.shape:
        return y_true
    found: Array = ids(y_true, y_pred)[..., None] == np.arange(y_pred.shape[-1])
    return found


def rows(X: Array) -> Array:
    """All but the last axis as one."""
    return X.reshape(-1, X.shape[-1]) if X.ndim > 1 else X[:, None]


class _Metrics(Registry[Metric]):
    def parse(self, value: Any) -> Any:
        """As every registry; a metric that is written as one word is logged under that word, as in Keras."""
        metric = super().parse(value)
        if isinstance(value, str):
            metric._written = value
        return metric


METRICS: Registry[Metric] = _Metrics("metric", "accuracy")
