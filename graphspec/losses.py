"""Losses: each lowers to one value per sample (and time step); a common reduction makes the scalar."""

from __future__ import annotations

from graphspec.config import Config, Registry


class Loss(Config):
    """Base of the losses."""


LOSSES: Registry[Loss] = Registry("loss")
