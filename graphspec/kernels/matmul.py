"""Matrix products, cut into blocks where BLAS is quicker on blocks.

OpenBLAS packs its operands, unless a product is small: it then has kernels that read them as they lie. A product that is
thin in some direction spends much of its time packing, so it is handed over as a grid of products that are small enough,
by one ``np.matmul`` of views with four axes. Whether it is cut, and how, follows from its shape and from the processor, by
a rule made from measurements: a given product always has the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from graphspec.arrays.blas import small_kernels
from graphspec.arrays.calls import Call, Calls
from graphspec.ir.graph import Array
from graphspec.kernels.fast import use_fast_kernel

SMALL = 1_000_000
"""m·n·k up to about which OpenBLAS takes the kernels that do not pack."""
_SMALL_RESULT = 1200  # m·n up to which they are, where the second operand lies transposed
_REGISTER = 16  # numbers of float32 in one
_WRITTEN = 1 << 21  # numbers in a result that stays in cache while its blocks are written
_ZEROED = 1 << 12  # np.dot fills its result with zeros first: for more numbers np.matmul is quicker


class Room(Protocol):
    """What a product needs of a context."""

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> Array: ...
    def constant(self, value: Any, dtype: Any = None) -> Array: ...


class Repeated:
    """A context's room for products that come one after another and may use the same temporaries."""

    def __init__(self, ctx: Room) -> None:
        self.constant, self._take = ctx.constant, ctx.scratch
        self._taken: dict[Any, Array] = {}

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> Array:
        key = (*shape, dtype)
        if key not in self._taken:
            self._taken[key] = self._take(shape, dtype)
        return self._taken[key]


class Tiling(NamedTuple):
    """A product as a grid: blocks of so many rows and columns of the result, the sum over k in so many parts."""

    rows: int
    columns: int
    parts: int = 1


@lru_cache(4096)
def tiling(m: int, k: int, n: int, first_transposed: bool, second_transposed: bool) -> Tiling | None:
    """How to cut the product of (m, k) and (k, n), of which each may lie transposed in memory; None for not at all."""
    if (first_transposed and second_transposed) or min(m, n) < 2 or k < 8:
        return None
    most, parts = 128, 1
    if second_transposed:
        if m * n <= _SMALL_RESULT or not _fits_transposed(m, k, n):
            return None
        columns = _columns(n, 64 if m <= 16 else 32, 0)  # they lie as rows
        most = min(64, _SMALL_RESULT // max(columns, 1))
    elif m * k * n <= SMALL:
        return None
    elif n <= 32 and (not first_transposed or k <= 32 or (n > 16 and k <= 200) or (n < 16 and k <= 256)):
        columns, parts = n, _parts(k, 1024)
    elif 32 < n <= 64 and (k <= 200 or (not first_transposed and m <= 1024)):
        columns, parts = n, _parts(k, 200)
    elif k <= 64 and n > 64 and m * n <= _WRITTEN:
        columns = _columns(n, 64)
    elif k <= 1024 and k * n <= _most_of_second(m, first_transposed):
        columns = _columns(n, 32 if first_transposed else 64)
    else:
        return None
    if not columns or not parts:
        return None
    rows = _divisor(m, min(most, SMALL * parts // (columns * k)))
    return Tiling(rows, columns, parts) if rows >= min(m, 8) else None


def _fits_transposed(m: int, k: int, n: int) -> bool:
    """Whether blocks are quicker where the second operand lies transposed: few rows or few columns, and k not too short."""
    if n <= 32:
        return (n <= 24 or m <= 128) and (32 if n <= 10 else 64 if n < 16 else 128) <= k <= 2048
    if m <= 16:
        return 32 <= k <= 2048
    return m <= 64 and (64 if m <= 32 else 128) <= k <= 1024


def _most_of_second(m: int, first_transposed: bool) -> int:
    """Numbers in the second operand up to which a product of few rows is quicker in blocks."""
    if m <= 16:
        return 1 << (21 if m <= 8 else 19)
    if first_transposed:
        return 1 << 18 if m <= 128 else 0
    return 1 << 16 if m <= 48 else 0


def _columns(n: int, most: int, full: float = 0.85) -> int:
    """The widest block of columns that fills the registers to this share; 0 where all are too narrow."""
    if n <= most:
        return n
    blocks = (d for d in range(most, 19, -1) if n % d == 0 and d >= full * _REGISTER * -(-d // _REGISTER))
    return max(blocks, key=lambda d: (d % _REGISTER == 0 and d > _REGISTER, d), default=0)


def _parts(k: int, most: int) -> int:
    """Into how many equal parts of at most ``most`` k is cut; 0 where that takes many."""
    least = -(-k // most)
    return next((p for p in range(least, 2 * least + 1) if k % p == 0), 0)


def _divisor(n: int, most: int) -> int:
    return next((d for d in range(min(n, most), 0, -1) if n % d == 0), 0)


def for_blas(ctx: Room, X: Array) -> tuple[Array, Calls]:
    """X where BLAS can read its matrices as they lie, else a copy: NumPy would make one in every call."""
    item = X.itemsize
    for row, column, n in ((X.strides[-2], X.strides[-1], X.shape[-1]), (X.strides[-1], X.strides[-2], X.shape[-2])):
        if column == item and row % item == 0 and row >= max(n, 1) * item:
            return X, []
    copy = ctx.scratch(X.shape, X.dtype)
    return copy, [(np.copyto, copy, X)]


def matmul(ctx: Room, a: Array, b: Array, out: Array) -> Calls:
    """Calls for ``out = a · b`` of matrices that may lie transposed in memory."""
    if _by_column(out):
        a, b, out = b.T, a.T, out.T
    (a, first), (b, second) = for_blas(ctx, a), for_blas(ctx, b)
    calls = [*first, *second]
    if out.flags.c_contiguous or _by_column(out.T):
        return [*calls, *_cut(ctx, a, b, out)]
    t = ctx.scratch(out.shape, out.dtype)
    return [*calls, *_cut(ctx, a, b, t), (np.copyto, out, t)]


def _by_column(X: Array) -> bool:
    """Whether BLAS can write X column by column, and only so."""
    return not X.flags.c_contiguous and X.strides[0] == X.itemsize and X.strides[1] >= X.shape[0] * X.itemsize


def _cut(ctx: Room, a: Array, b: Array, out: Array) -> Calls:
    (m, k), n = a.shape, b.shape[1]
    found = tiling(m, k, n, a.strides[1] != a.itemsize, b.strides[1] != b.itemsize) if _blocks() else None
    if found is None:
        return [whole(a, b, out)]
    rows, columns, parts = found
    A = a.reshape(m // rows, rows, parts, k // parts, copy=False).transpose(2, 0, 1, 3)[:, :, None]
    B = b.reshape(parts, k // parts, n // columns, columns, copy=False).transpose(0, 2, 1, 3)[:, None]
    if parts == 1:
        return [(np.matmul, A[0], B[0], _grid(out, rows, columns))]
    terms = ctx.scratch((parts, m, n), out.dtype)
    grids = terms.reshape(parts, m // rows, rows, n // columns, columns).swapaxes(2, 3)
    ones = ctx.constant(np.ones(parts), out.dtype)
    if out.flags.c_contiguous:
        return [(np.matmul, A, B, grids), (np.dot, ones, terms.reshape(parts, -1), out.reshape(-1))]
    return [(np.matmul, A, B, grids), (np.add.reduce, terms, 0, None, out)]


def _blocks() -> bool:
    return use_fast_kernel(small_kernels())


def worth_turning(m: int, k: int, n: int) -> bool:
    """Whether a second operand that lies transposed should be copied, since only then the product counts as small."""
    return m * n > _SMALL_RESULT and m * k * n <= SMALL and _blocks()


def _grid(out: Array, rows: int, columns: int) -> Array:
    m, n = out.shape
    return out.reshape(m // rows, rows, n // columns, columns, copy=False).swapaxes(1, 2)


def whole(a: Array, b: Array, out: Array) -> Call:
    """The call for ``out = a · b`` that is quickest to start; np.dot copies what is part of another array."""
    if a.flags.forc and b.flags.forc and out.flags.c_contiguous and out.size <= _ZEROED:
        return (np.dot, a, b, out)
    return (np.matmul, a, b, out)


def batched(ctx: Room, a: Array, b: Array, out: Array) -> Calls:
    """Calls for ``out = a @ b`` with broadcast leading axes."""
    (a, first), (b, second) = for_blas(ctx, a), for_blas(ctx, b)
    if all(n == 1 for n in out.shape[:-2]):
        return [*first, *second, *matmul(ctx, matrix(a), matrix(b), matrix(out))]
    if out.strides[-1] == out.itemsize or out.shape[-1] == 1:
        return [*first, *second, (np.matmul, a, b, out)]
    if out.strides[-2] == out.itemsize:
        return [*first, *second, (np.matmul, b.mT, a.mT, out.mT)]
    t = ctx.scratch(out.shape, out.dtype)
    return [*first, *second, (np.matmul, a, b, t), (np.copyto, out, t)]


def matrix(X: Array) -> Array:
    return X.reshape(X.shape[-2:], copy=False)
