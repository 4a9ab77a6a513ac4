"""ONNX operators, by family: strict shape inference, a NumPy kernel and a gradient each."""

from graphspec.ops import (
    binary,
    convolution,
    elementwise,
    erf,
    functions,
    indexing,
    linalg,
    norm,
    order,
    pooling,
    reduce,
    shape,
    slicing,
    softmax,
)
from graphspec.ops.base import OPS, Op

__all__ = [
    "OPS",
    "Op",
    "binary",
    "convolution",
    "elementwise",
    "erf",
    "functions",
    "indexing",
    "linalg",
    "norm",
    "order",
    "pooling",
    "reduce",
    "shape",
    "slicing",
    "softmax",
]
