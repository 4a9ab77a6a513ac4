"""Inputs of a few rows in a form that has been checked before: only their values are checked again.

The complete check of arrays takes 20 µs per input, longer than a small network. Of an answer for one row, it takes most of
the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.memory import map_of

if TYPE_CHECKING:
    from graphspec.data.requirements import DataSignature
    from graphspec.graph.ir.graph import Array, Type
    from graphspec.graph.ir.ranges import Range

_MAX_FORMS = 256  # forms to remember; a caller has one, or one for each number of rows
_Check = Callable[["Array"], "Array | None"]


class KnownForms:
    """The forms of inputs that the complete check has accepted.

    A form is the shape of every input. Whatever the short check here does not accept, such as a new form, a value that is
    not finite, or a data frame, is left to the complete check, which accepts it or reports it. So errors do not depend
    on what was asked before.

    Args:
        needed: the inputs of the network; it has no targets.
    """

    def __init__(self, needed: DataSignature) -> None:
        self._names = list(needed.inputs)
        self._checks = [
            _check_of(kind, needed.limits.get(name), gaps=name in needed.gaps) for name, kind in needed.inputs.items()
        ]
        self._forms: dict[tuple[tuple[int, ...], ...], list[tuple[int, ...]]] = {}

    def feeds(self, x: Any, most: int) -> dict[str, Array] | None:
        """Return the arrays of 1 to ``most`` rows by input, as the complete check returns them; None if it must decide."""
        arrays = self._arrays(x)
        if arrays is None:
            return None
        shapes = self._forms.get(tuple([array.shape for array in arrays]))
        if shapes is None or shapes[0][0] > most:
            return None
        feeds = {}
        for name, check, array, shape in zip(self._names, self._checks, arrays, shapes, strict=True):
            found = check(array)
            if found is None or (array.base is not None and map_of(array) is not None):
                return None
            feeds[name] = found if found.shape == shape else found.reshape(shape)
        return feeds

    def remember(self, x: Any, accepted: Mapping[str, Any]) -> None:
        """Remember the form of inputs that the complete check has accepted, with the arrays it returned."""
        arrays = self._arrays(x)
        if arrays:
            if len(self._forms) >= _MAX_FORMS:
                self._forms = {}
            self._forms[tuple([array.shape for array in arrays])] = [accepted[name].shape for name in self._names]

    def _arrays(self, x: Any) -> Sequence[Array] | None:
        """Return the inputs as arrays, in the order of the network; None if a name or a kind of value is another one."""
        values: list[Any]
        if type(x) is dict:
            if len(x) != len(self._names):
                return None
            values = [x.get(name) for name in self._names]
        else:
            values = [x]
            if len(self._names) != 1:
                return None
        for k, value in enumerate(values):
            if type(value) is list:
                try:
                    values[k] = np.asarray(value)
                except ValueError:
                    return None
            elif type(value) is not np.ndarray:
                return None
        return values


def _check_of(kind: Type, limits: Range | None, *, gaps: bool) -> _Check:
    """Return a function that returns an array as it is fed, or None if the complete check must look at its values."""
    if kind.is_string:
        return _texts
    if kind.is_float:
        return _numbers_or_gaps if gaps else _numbers
    dtype = np.dtype(kind.dtype)

    def integers(array: Array) -> Array | None:
        if array.dtype is not dtype and (array.dtype.kind not in "iu" or not np.can_cast(array.dtype, dtype, "safe")):
            return None
        if limits is None or not array.size or dtype.kind == "b":
            return array
        if array.size == 1:
            low = high = array.item()
        else:
            low, high = array.min(), array.max()
        return array if limits.low <= low and high <= limits.high else None

    return integers


def _texts(array: Array) -> Array | None:
    if array.dtype.kind not in "OU":
        return None
    texts = array.reshape(-1).tolist()
    for text in texts:
        if type(text) is not str:
            return None
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return None
    return array if array.dtype.kind == "O" else array.astype(object)


def _numbers(array: Array) -> Array | None:
    found = _float32(array)
    if found is None or found.dtype.kind != "f":
        return found
    if found.size == 1:
        return found if math.isfinite(found.item()) else None
    return found if np.logical_and.reduce(np.isfinite(found), None) else None


def _numbers_or_gaps(array: Array) -> Array | None:
    """Return numbers of which some may be NaN."""
    found = _float32(array)
    if found is None or found.dtype.kind != "f":
        return found
    if found.size == 1:
        return None if math.isinf(found.item()) else found
    return None if np.logical_or.reduce(np.isinf(found), None) else found


def _float32(array: Array) -> Array | None:
    """Return floats as float32, where one that is too large is infinite, and integers as they are."""
    dtype = array.dtype
    if dtype is _FLOAT32 or dtype.kind in "iub":
        return array
    if dtype is not _FLOAT64:
        return None
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
