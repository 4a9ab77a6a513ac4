"""Random augmentation at inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.graph.decompositions import decomposes

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value
    from graphspec.graph.ops.augment import RandomCrop


@decomposes("RandomCrop")
def random_crop(g: Builder, op: RandomCrop, X: Value, corner: Value, rows: Value, columns: Value) -> Value:
    """Emit ``rows · X · columns``: at inference two matrices resample the image."""
    return rows @ X @ columns
