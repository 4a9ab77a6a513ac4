"""Columns of texts, packed: the UTF-8 bytes of all texts, and where each text begins."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphspec.base.arrays.growing import Allocate, Growing
from graphspec.base.arrays.layout import Array
from graphspec.base.budget import demand
from graphspec.base.errors import Code, ProblemError

_BLOCK_TEXTS = 1 << 16  # texts that are packed at a time
_SHORT = 128  # bytes: shorter texts are faster copied byte by byte, by index


class TextError(ProblemError):
    """A text that is not Unicode (GS504)."""


class Strings:
    """Texts ``(N, …)``: indexing the first axis returns NumPy ``object`` arrays of ``str``.

    The arrays may be memory maps: only the bytes of the texts that are used are read.

    Args:
        data: the UTF-8 bytes of all texts, uint8.
        offsets: where each text begins, and where the last one ends, int64 ``(count + 1,)``; in row-major order.
        shape: ``(N, …)``, by default ``(count,)``.
    """

    dtype = np.dtype(object)

    def __init__(self, data: Array, offsets: Array, shape: tuple[int, ...] | None = None) -> None:
        self.data, self.offsets, self.size = data, offsets, len(offsets) - 1
        self.shape = (self.size,) if shape is None else shape
        self.ndim, self.nbytes = len(self.shape), int(data.nbytes + offsets.nbytes)
        demand(math.prod(self.shape) == self.size, f"{self.size} texts have no shape {self.shape}")
        self._width = math.prod(self.shape[1:])

    @classmethod
    def of(cls, array: Any) -> Strings:
        """Pack a list or an array of ``str`` (dtype ``object`` or ``U``); half a character is GS504."""
        array = array if isinstance(array, np.ndarray) else np.array(array, object)
        builder = StringsBuilder(array.shape[1:])
        step = max(_BLOCK_TEXTS // max(math.prod(array.shape[1:]), 1), 1)
        for start in range(0, len(array), step):
            builder.add_texts(array[start : start + step].reshape(-1).tolist())
        return builder.finish()

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Strings(shape={self.shape})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        texts: Array = self[:]
        return texts if dtype is None else texts.astype(dtype)

    def __getitem__(self, rows: Any) -> Any:
        """Return the texts of rows: a slice, an array of indices, or a mask. One index returns a row, or its text."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._shaped(self._range(start, max(start, stop)), max(stop - start, 0))
            rows = np.arange(start, stop, step)
        elif isinstance(rows, int | np.integer):
            return self[np.array([rows])][0]
        rows = self._rows(np.asarray(rows))
        starts, ends = self._bounds(rows)
        data = self.data.data
        texts = [str(data[a:b], "utf-8") for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        return self._shaped(texts, len(rows))

    def select(self, rows: Array, builder: StringsBuilder | None = None) -> Strings:
        """Return the packed texts of rows: an array of indices, or a mask.

        They go into ``builder``, an empty one; by default they are packed in memory.
        """
        rows = self._rows(np.asarray(rows))
        builder = StringsBuilder(self.shape[1:]) if builder is None else builder
        step = max(_BLOCK_TEXTS // max(self._width, 1), 1)
        for first in range(0, len(rows), step):
            starts, ends = self._bounds(rows[first : first + step])
            builder.add_valid(self._bytes(starts, ends), ends - starts)
        return builder.finish()

    def reshape(self, shape: tuple[int, ...]) -> Strings:
        """Return the same texts with another shape of the same size."""
        return Strings(self.data, self.offsets, shape)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays ``bytes``, ``offsets`` and ``shape``: the argument of :meth:`from_arrays`."""
        return {"bytes": self.data, "offsets": self.offsets, "shape": np.array(self.shape, np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Strings:
        """Return the texts of the arrays that :meth:`arrays` returned, which may be memory maps."""
        return cls(arrays["bytes"], arrays["offsets"], tuple(int(n) for n in arrays["shape"]))

    def lengths(self) -> Array:
        """Return the number of bytes of each text, with the shape of the texts."""
        return np.diff(self.offsets).reshape(self.shape)

    def _rows(self, rows: Array) -> Array:
        if rows.dtype == np.bool_:
            if rows.shape != (len(self),):
                raise IndexError(f"a mask of shape {rows.shape} does not fit {len(self)} rows")
            return np.flatnonzero(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise IndexError("rows of texts are indexed by a slice, an array of integers or a mask")
        rows = rows.astype(np.int64)
        if rows.size and not (-len(self) <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"a row is out of range: there are {len(self)}")
        return np.where(rows < 0, rows + len(self), rows)

    def _shaped(self, texts: list[str], rows: int) -> Array:
        array = np.empty(len(texts), object)
        array[:] = texts
        return array.reshape(rows, *self.shape[1:])

    def _range(self, start: int, stop: int) -> list[str]:
        """Return the texts of consecutive rows: they are decoded at once, and then cut."""
        offsets = self.offsets[start * self._width : stop * self._width + 1]
        if len(offsets) < 2:
            return []
        data = self.data[offsets[0] : offsets[-1]]
        whole = str(data.data, "utf-8") if len(data) else ""
        if len(whole) == len(data):
            offsets = offsets - offsets[0]
        else:  # from bytes to characters: a character has one byte that does not continue another
            characters = np.zeros(len(data) + 1, np.int64)
            np.cumsum((data & 0xC0) != 0x80, out=characters[1:])
            offsets = characters[offsets - offsets[0]]
        return [whole[a:b] for a, b in itertools.pairwise(offsets.tolist())]

    def _bytes(self, starts: Array, ends: Array) -> Array:
        lengths = ends - starts
        total = int(lengths.sum())
        if total > _SHORT * len(lengths):
            data = self.data.data
            texts = [data[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
            return np.frombuffer(b"".join(texts), np.uint8)
        befores = np.cumsum(lengths) - lengths
        return np.asarray(self.data[np.repeat(starts - befores, lengths) + np.arange(total)])

    def _bounds(self, rows: Array) -> tuple[Array, Array]:
        """Return where each text of rows begins and ends."""
        texts = (rows[:, None] * self._width + np.arange(self._width)).reshape(-1)
        return self.offsets[texts], self.offsets[texts + 1]


class StringsBuilder:
    """Packs texts part by part.

    Args:
        row_shape: the shape of a row.
        name, allocate: see :class:`Growing`; the arrays are named ``<name>:bytes`` and ``<name>:offsets``.
        reserve: called with the number of additional bytes before they are stored in memory.
    """

    def __init__(
        self,
        row_shape: Sequence[int] = (),
        name: str = "",
        allocate: Allocate | None = None,
        reserve: Callable[[int], None] | None = None,
    ) -> None:
        self.row_shape = tuple(row_shape)
        self._data = Growing(np.uint8, f"{name}:bytes", allocate, reserve)
        self._offsets = Growing(np.int64, f"{name}:offsets", allocate, reserve)
        self._offsets.append(np.zeros(1, np.int64))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def add(self, data: Array, offsets: Array, valid: Array | None = None) -> None:
        """Append the texts of Arrow buffers, in row-major order; raise GS504 if the bytes are not UTF-8.

        Args:
            data: UTF-8 bytes.
            offsets: where each text begins in ``data``, and where the last one ends.
            valid: a mask; texts that are not valid are empty. All are valid by default.
        """
        lengths = np.diff(offsets)
        if not len(lengths):
            return
        data = data[offsets[0] : offsets[-1]]
        if valid is not None and lengths[~valid].any():
            data = data[np.repeat(valid, lengths)]
        if valid is not None:
            lengths = np.where(valid, lengths, 0)
        self._check(data, lengths)
        self.add_valid(data, lengths)

    def add_texts(self, texts: Sequence[str]) -> None:
        """Append texts, in row-major order; raise GS504 for half a character, which UTF-8 does not represent."""
        whole = "".join(texts)
        try:
            data = np.frombuffer(whole.encode(), np.uint8)
        except UnicodeEncodeError as error:
            ends = itertools.accumulate(map(len, texts))
            index = next(k for k, end in enumerate(ends) if error.start < end)
            raise self._error(index, f"holds {texts[index]!r}, which is not Unicode text") from None
        if len(data) == len(whole):
            lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        else:
            lengths = np.fromiter((len(text.encode()) for text in texts), np.int64, len(texts))
        self.add_valid(data, lengths)

    def add_valid(self, data: Array, lengths: Array) -> None:
        """Append texts by their UTF-8 bytes and the number of bytes of each, unchecked."""
        self._offsets.append(np.cumsum(lengths, dtype=np.int64) + len(self._data))
        self._data.append(data)

    def finish(self) -> Strings:
        """Return the texts; nothing may be added afterwards."""
        per_row = math.prod(self.row_shape)
        rows = len(self) // per_row if per_row else 0
        return Strings(self._data.result(), self._offsets.result(), (rows, *self.row_shape))

    def _check(self, data: Array, lengths: Array) -> None:
        if not len(data):
            return
        starts = np.cumsum(lengths) - lengths
        begins_inside = (data[starts[starts < len(data)]] & 0xC0) == 0x80
        try:
            str(data.data, "utf-8")
        except UnicodeDecodeError as error:
            index = int(np.searchsorted(starts, error.start, "right")) - 1
        else:
            if not begins_inside.any():
                return
            index = int(begins_inside.argmax())
        text = data[starts[index] : starts[index] + lengths[index]].tobytes()
        raise self._error(index, f"holds {text[:60]!r}, which is not UTF-8")

    def _error(self, index: int, what: str) -> TextError:
        row = (len(self) + index) // max(math.prod(self.row_shape), 1)
        return TextError(Code.LOSSY_CONVERSION, f"{what}, in the row at index {row}", "store texts as UTF-8")
