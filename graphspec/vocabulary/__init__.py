"""Keras's names, lowered to the graph: layers, operations, losses, metrics, activations, callbacks, files as nodes."""

from functools import partial

from graphspec.base.errors import Code as Code
from graphspec.base.errors import Problem as Problem
from graphspec.base.errors import ShapeError as ShapeError
from graphspec.graph.builder import Builder as Builder
from graphspec.graph.ir.dims import has_rows as has_rows
from graphspec.graph.ir.dims import mul as mul
from graphspec.graph.ir.graph import Array as Array
from graphspec.graph.ir.graph import Dim as Dim
from graphspec.graph.ir.graph import Shape as Shape
from graphspec.graph.ir.graph import Type as Type
from graphspec.graph.ir.graph import Value as Value
from graphspec.graph.ir.graph import show as show

# The errors of lowering, by kind: each takes the message, the hint, and the `key` whose value is wrong.
wrong_rank = partial(ShapeError, Code.WRONG_RANK)
shapes_differ = partial(ShapeError, Code.SHAPES_DIFFER)
wrong_size = partial(ShapeError, Code.SIZES_DO_NOT_FIT)
not_fixed = partial(ShapeError, Code.SIZE_NOT_FIXED)
wrong_dtype = partial(ShapeError, Code.WRONG_DTYPE)
not_allowed = partial(ShapeError, Code.VALUE_NOT_ALLOWED)
