"""ONNX operators, by family: strict shape inference, a NumPy kernel and a gradient each."""

from graphspec.ops import convolution, elementwise, linalg, pooling
from graphspec.ops.base import OPS, Op

__all__ = ["OPS", "Op", "convolution", "elementwise", "linalg", "pooling"]
