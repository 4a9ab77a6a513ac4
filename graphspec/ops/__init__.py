"""ONNX operators, by family: strict shape inference, a NumPy kernel and a gradient each."""

from graphspec.ops import (
    binary,
    convolution,
    dropout,
    elementwise,
    erf,
    functions,
    indexing,
    linalg,
    masked_norm,
    norm,
    order,
    pooling,
    reduce,
    resize,
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
    "dropout",
    "elementwise",
    "erf",
    "functions",
    "indexing",
    "linalg",
    "masked_norm",
    "norm",
    "order",
    "pooling",
    "reduce",
    "resize",
    "shape",
    "slicing",
    "softmax",
]
