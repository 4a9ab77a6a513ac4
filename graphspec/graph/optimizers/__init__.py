"""Optimizers over flat parameter vectors, with Keras's formulas and defaults, by family."""

from typing import Any

from graphspec.base.config import only_base
from graphspec.graph.optimizers.optimizer import OPTIMIZERS, Optimizer, Rate
from graphspec.graph.optimizers.vectors import Vectors

OPTIMIZERS.found_in(__name__)

_SEVERAL = ("one optimizer trains all weights", "freeze weights with `trainable: false`, or train in two runs")
OPTIMIZERS.refused |= {
    "Optimizer": only_base("optimizers", "use Adam"),
    "LossScaleOptimizer": (
        "losses need no scaling: everything is computed in float32",
        "name the inner optimizer; `loss_scale_factor` is accepted",
    ),
    "SAM": ("it needs two gradients of a batch in a step, which computes one", "use AdamW, or `{type: Lookahead}`"),
    "MultiOptimizer": _SEVERAL,
    "OptimizerMap": _SEVERAL,
}


__all__ = ["OPTIMIZERS", "Optimizer", "Rate", "Vectors"]
__all__ += OPTIMIZERS.public()


def __getattr__(name: str) -> Any:
    """Import a class when it is first used."""
    return OPTIMIZERS.attribute(__name__, name)


def __dir__() -> list[str]:
    return sorted(__all__)
