"""Checks of sample weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.codes import Code
from graphspec.data.convert import reshape
from graphspec.data.source import DataError
from graphspec.graph.ir.graph import Type

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array


def checked_weights(array: Array, target: Type, sizes: dict[str, int]) -> Array:
    """Return sample weights of a target: one per row, or one per value of the loss.

    Raises:
        DataError: GS503, they have another shape.
    """
    rank = max(len(target.shape) - target.is_float, 1)
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim > rank:
        dims = ", ".join(map(str, target.shape[:rank]))
        text = f"has {array.ndim} axes; sample weights are (N,)" + (f" or ({dims})" if rank > 1 else "")
        raise DataError(Code.WRONG_ARRAY_SHAPE, text, "give one weight for each row")
    return reshape(array, Type("float32", target.shape[: array.ndim]), sizes, squeeze=False)
