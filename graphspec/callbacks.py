"""Callbacks of training."""

from __future__ import annotations

from graphspec.config import Config, Registry


class Callback(Config):
    """Base of the callbacks."""


CALLBACKS: Registry[Callback] = Registry("callback")
