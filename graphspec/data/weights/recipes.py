"""How a weight of ours is made from arrays of a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.graph.ir.dims import LearntSize

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """An array of a file.

    Attributes:
        names: its names, the likeliest first; of a module's array, what follows the module's name.
        shape: the shape that it must have.
        loose: axes of size 1 do not count.
    """

    names: tuple[str, ...]
    shape: Shape
    loose: bool = False

    def fits(self, shape: Shape) -> bool:
        """Return whether an array of this shape fits; sizes that are still to be learnt fit any."""
        ours = self.shape
        if self.loose:
            ours, shape = _without_ones(ours), _without_ones(shape)
        sizes = zip(shape, ours, strict=False)
        return len(shape) == len(ours) and all(n == d or isinstance(d, LearntSize) for n, d in sizes)


def _without_ones(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def first_of(arrays: Sequence[Array]) -> Array:
    """Return the only array, as it is."""
    return arrays[0]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to make a weight.

    Attributes:
        part: the beginning of the role that is a module of its own in the file, such as ``query`` of ``query/kernel``.
        sources: the arrays that are needed, all of them.
        convert: makes the weight from their values, up to a reshape.
    """

    sources: tuple[Source, ...]
    convert: Callable[[Sequence[Array]], Array] = first_of
    part: str = ""


def permuted(shape: Shape, perm: Sequence[int], names: tuple[str, ...], part: str = "") -> Recipe:
    """Return the recipe of a weight whose axes are those of an array in another order.

    Args:
        shape: our shape.
        perm: for each of our axes, the axis of the array.
    """
    theirs = tuple(shape[perm.index(axis)] for axis in range(len(perm)))
    return Recipe((Source(names, theirs),), lambda arrays: arrays[0].transpose(perm), part)


def gates_reordered(array: Array, order: Sequence[int]) -> Array:
    """Return an array whose last axis has a block for each gate, with the blocks in another order."""
    if list(order) == list(range(len(order))):
        return array
    blocks = np.split(array, len(order), axis=-1)
    return np.concatenate([blocks[k] for k in order], axis=-1)
