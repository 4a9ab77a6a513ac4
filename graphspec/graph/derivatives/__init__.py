"""Gradients as nodes: what a program's backward pass computes, written with the operators of ONNX.

The rule of an operator emits the gradients of its inputs. Elementwise operators have no rules of their own: they follow from
their formulas. What is more than an operator of ONNX, such as a loss, is first written in these (:mod:`.forms`).
"""

from graphspec.graph.derivatives import arrays, layers, recurrences
from graphspec.graph.derivatives.forms import in_primitives, integer_input, is_random
from graphspec.graph.derivatives.walk import NotWrittenError, gradients, without_rule

__all__ = ["NotWrittenError", "gradients", "in_primitives", "integer_input", "is_random", "without_rule"]
__all__ += ["arrays", "layers", "recurrences"]
