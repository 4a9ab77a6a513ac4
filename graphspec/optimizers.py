"""Optimizers over flat parameter vectors."""

from __future__ import annotations

from graphspec.config import Config, Registry


class Optimizer(Config):
    """Base of the optimizers."""


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")
