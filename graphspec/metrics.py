"""Metrics, exact over a whole epoch."""

from __future__ import annotations

from graphspec.config import Config, Registry


class Metric(Config):
    """Base of the metrics."""


METRICS: Registry[Metric] = Registry("metric")
