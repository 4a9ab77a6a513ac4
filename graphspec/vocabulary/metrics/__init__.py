"""Metrics, exact over a whole pass: they accumulate sums and counts, not averages of batches."""

import re
from functools import partial
from typing import Any, Literal

from graphspec.base.config import only_base
from graphspec.vocabulary.metrics.metric import METRICS, Metric, MetricState, targets_of

METRICS.found_in(__name__)

_FOCAL = "it is a loss, not a metric", "the logs contain the loss; `crossentropy` is the same without the focal weights"
_MASE = (
    "it compares with the values of a series before the forecast, which no batch has",
    "`train`, `evaluate` and the report show it for forecasts; use `mae` here",
)
METRICS.refused |= {
    **dict.fromkeys(("mase", "MASE", "MeanAbsoluteScaledError", "mean_absolute_scaled_error"), _MASE),
    "Metric": only_base("metrics", "use `accuracy`, which follows the loss"),
    "MeanMetricWrapper": ("a spec contains no functions", "use a metric by its name"),
    "huber": ("it is a loss, not a metric", "the logs contain the loss; add `mae` or `mse`"),
    "binary_focal_crossentropy": _FOCAL,
    "categorical_focal_crossentropy": _FOCAL,
}


__all__ = ["METRICS", "Metric", "MetricState", "targets_of"]
__all__ += METRICS.public()
__dir__ = partial(sorted, __all__)


def __getattr__(name: str) -> Any:
    """Import a class when it is first used."""
    return METRICS.attribute(__name__, name)


_MODES: dict[str, Literal["min", "max"]] = {"up": "max", "down": "min"}


def direction(monitor: str) -> Literal["min", "max"] | None:
    """Return whether a smaller or a larger value is better, by its name in the logs; None unless it is a loss or metric."""
    name = monitor.removeprefix("val_")
    if name == "loss" or name.endswith("_loss"):
        return "min"
    without_index = re.sub(r"_\d+$", "", name)
    for known in sorted(METRICS.names(), key=len, reverse=True):
        if any(n == known or n.endswith(f"_{known}") for n in (name, without_index)):
            metric = METRICS.get(known)
            return None if metric is None or metric.direction is None else _MODES[metric.direction]
    return None
