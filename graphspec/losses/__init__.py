"""The losses, by family; each lowers to one value per sample (and time step), a common reduction makes the scalar."""

from graphspec.losses import circle, crossentropy, ctc, hinge, overlap, regression
from graphspec.losses.base import LOSSES, Loss, Problem, reduce
from graphspec.losses.ctc import CTC

__all__ = [
    "CTC",
    "LOSSES",
    "Loss",
    "Problem",
    "circle",
    "crossentropy",
    "ctc",
    "hinge",
    "overlap",
    "reduce",
    "regression",
]
