"""The vocabulary of layers, by family."""

from graphspec.layers import (
    activation,
    borders,
    convolution,
    core,
    image,
    merging,
    normalization,
    pooling,
    recurrent,
    regularization,
    reshaping,
    upsampling,
    wrappers,
)
from graphspec.layers.base import LAYERS, Layer

__all__ = [
    "LAYERS",
    "Layer",
    "activation",
    "borders",
    "convolution",
    "core",
    "image",
    "merging",
    "normalization",
    "pooling",
    "recurrent",
    "regularization",
    "reshaping",
    "upsampling",
    "wrappers",
]
