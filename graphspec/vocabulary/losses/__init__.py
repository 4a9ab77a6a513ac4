"""The losses, by family. Each lowers to one value per sample (and time step); :func:`reduce` makes the scalar."""

from functools import partial
from typing import Any

from graphspec.base.config import only_base
from graphspec.vocabulary.losses.loss import LOSSES, Loss, reduce

LOSSES.found_in(__name__)

LOSSES.refused["Loss"] = only_base("losses", "use mean_squared_error, or leave `loss` out for a head without one")


__all__ = ["LOSSES", "Loss", "reduce"]
__all__ += LOSSES.public()
__dir__ = partial(sorted, __all__)


def __getattr__(name: str) -> Any:
    """Import a class when it is first used."""
    return LOSSES.attribute(__name__, name)
