"""The vocabulary of layers, by family."""

from graphspec.layers import (
    activation,
    borders,
    conv_lstm,
    convolution,
    core,
    encoding,
    image,
    merging,
    normalization,
    pooling,
    recurrent,
    refused,
    regularization,
    reshaping,
    spectral,
    upsampling,
    wrappers,
)
from graphspec.layers.base import LAYERS, Layer

__all__ = [
    "LAYERS",
    "Layer",
    "activation",
    "borders",
    "conv_lstm",
    "convolution",
    "core",
    "encoding",
    "image",
    "merging",
    "normalization",
    "pooling",
    "recurrent",
    "refused",
    "regularization",
    "reshaping",
    "spectral",
    "upsampling",
    "wrappers",
]
