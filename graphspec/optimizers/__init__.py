"""Optimizers over flat parameter vectors, with Keras's formulas and defaults, by family."""

from graphspec.optimizers import adam, by_weight, momentum, squares
from graphspec.optimizers.base import OPTIMIZERS, Optimizer, Rate

__all__ = ["OPTIMIZERS", "Optimizer", "Rate", "adam", "by_weight", "momentum", "squares"]
