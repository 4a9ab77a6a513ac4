"""The stable names for plugins: base classes of the vocabulary and their registries. Other modules may move at any time."""

from __future__ import annotations

from graphspec.activations import ACTIVATIONS, Activation
from graphspec.callbacks import CALLBACKS, Callback, CallbackState
from graphspec.constraints import CONSTRAINTS, Constraint
from graphspec.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.decompositions import decomposes
from graphspec.initializers import INITIALIZERS, Initializer
from graphspec.ir.graph import Type, Value
from graphspec.kernels.context import Context
from graphspec.layers import CELLS, LAYERS, Layer
from graphspec.losses import LOSSES, Loss
from graphspec.metrics import METRICS, Metric, MetricState
from graphspec.ops import OPS, Op
from graphspec.ops.base import op
from graphspec.optimizers import OPTIMIZERS, Optimizer
from graphspec.regularizers import REGULARIZERS, Regularizer
from graphspec.schedules import SCHEDULES, Schedule

__all__ = [
    "ACTIVATIONS",
    "CALLBACKS",
    "CELLS",
    "CONSTRAINTS",
    "INITIALIZERS",
    "LAYERS",
    "LOSSES",
    "METRICS",
    "OPS",
    "OPTIMIZERS",
    "REGULARIZERS",
    "SCHEDULES",
    "Activation",
    "Builder",
    "Callback",
    "CallbackState",
    "Constraint",
    "Context",
    "Initializer",
    "Layer",
    "Loss",
    "Metric",
    "MetricState",
    "Op",
    "Optimizer",
    "Regularizer",
    "Schedule",
    "ShapeError",
    "Type",
    "Value",
    "decomposes",
    "op",
]
