"""The vocabulary of layers, by family."""

from graphspec.layers import (
    activation,
    convolution,
    core,
    merging,
    normalization,
    pooling,
    recurrent,
    regularization,
    reshaping,
    wrappers,
)
from graphspec.layers.base import LAYERS, Layer

__all__ = [
    "LAYERS",
    "Layer",
    "activation",
    "convolution",
    "core",
    "merging",
    "normalization",
    "pooling",
    "recurrent",
    "regularization",
    "reshaping",
    "wrappers",
]
