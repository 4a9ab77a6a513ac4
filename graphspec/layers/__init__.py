"""The vocabulary of layers, by family."""

from graphspec.layers.base import LAYERS, Layer

__all__ = ["LAYERS", "Layer"]
