"""The stable names for plugins: base classes of the vocabulary and their registries. Other modules may move at any time."""

from __future__ import annotations

from graphspec.base.deprecation import Old
from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.constraints import CONSTRAINTS, Constraint
from graphspec.graph.decompositions import decomposes
from graphspec.graph.initializers import INITIALIZERS, Initializer
from graphspec.graph.ir.graph import Type, Value
from graphspec.graph.kernels.context import Context
from graphspec.graph.ops import OPS, Op
from graphspec.graph.ops.op import op
from graphspec.graph.optimizers import OPTIMIZERS, Optimizer
from graphspec.graph.regularizers import REGULARIZERS, Regularizer
from graphspec.graph.schedules import SCHEDULES, Schedule
from graphspec.vocabulary.activations import ACTIVATIONS, Activation
from graphspec.vocabulary.callbacks import CALLBACKS, Callback, CallbackState
from graphspec.vocabulary.layers import CELLS, LAYERS, Layer
from graphspec.vocabulary.losses import LOSSES, Loss
from graphspec.vocabulary.metrics import METRICS, Metric, MetricState
from graphspec.vocabulary.metrics.metric import Average

__all__ = ["ACTIVATIONS", "CALLBACKS", "CELLS", "CONSTRAINTS", "INITIALIZERS", "LAYERS", "LOSSES", "METRICS", "OPS"]
__all__ += ["OPTIMIZERS", "REGULARIZERS", "SCHEDULES"]
__all__ += ["Activation", "Average", "Builder", "Callback", "CallbackState", "Constraint", "Context", "Initializer"]
__all__ += ["Layer", "Loss", "Metric", "MetricState", "Old", "Op", "Optimizer", "Regularizer", "Schedule", "ShapeError"]
__all__ += ["Type", "Value", "decomposes", "op"]
