"""Matrix products, tiled if BLAS is faster on tiles.

OpenBLAS packs the operands of a product into contiguous buffers, except for small products. A product with one short
dimension spends much of its time packing, so it is computed as a grid of small products, by one ``np.matmul`` of views with
four axes. The tiling depends only on the shape, the layout and the processor, by rules found from measurements: the same
product always has the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from graphspec.base.arrays.blas import small_kernels
from graphspec.base.arrays.calls import Call, Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.compiled import use_fast_kernel

SMALL = 1_000_000  # the largest m·n·k for which OpenBLAS uses kernels that do not pack (approximately)
_SMALL_RESULT = 1200  # the largest m·n for the same, if the second operand is transposed
_REGISTER = 16  # float32 elements of a vector register
_CACHED_RESULT = 1 << 21  # elements of a result that stays in the cache while its tiles are written
_DOT_RESULT = 1 << 12  # np.dot first fills its result with zeros: np.matmul is faster for more elements than these


class ScratchSource(Protocol):
    """The part of a context that a product needs."""

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> Array: ...
    def constant(self, value: Any, dtype: Any = None) -> Array: ...


class ReusedScratch:
    """Scratch for products that run one after another: requests for the same shape and dtype return the same buffer."""

    def __init__(self, ctx: ScratchSource) -> None:
        self.constant, self._allocate = ctx.constant, ctx.scratch
        self._buffers: dict[Any, Array] = {}

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> Array:
        """Return the buffer for ``shape`` and ``dtype``, the same one in every call."""
        key = (*shape, dtype)
        if key not in self._buffers:
            self._buffers[key] = self._allocate(shape, dtype)
        return self._buffers[key]


class Tiling(NamedTuple):
    """A product as a grid of tiles of ``rows`` and ``columns`` of the result; products of equal ``parts`` of k are added."""

    rows: int
    columns: int
    parts: int = 1


@lru_cache(4096)
def tiling(m: int, k: int, n: int, first_transposed: bool, second_transposed: bool) -> Tiling | None:
    """Return the tiling of the product of (m, k) and (k, n), each possibly transposed in memory; None for no tiling."""
    if (first_transposed and second_transposed) or min(m, n) < 2 or k < 8:
        return None
    found = _tiling(m, k, n, first_transposed, second_transposed)
    small = m * n <= _SMALL_RESULT and m * k * n <= SMALL
    if found or small or not second_transposed or m > 32 or k < 512 or n < 64:
        return found
    # A few rows times large weights, transposed: all rows in a tile read the weights once, in their order, without packing.
    columns = next((c for c in (16, 8) if n % c == 0 and m * c * k <= SMALL), 0)
    return Tiling(m, columns) if columns else None


def _tiling(m: int, k: int, n: int, first_transposed: bool, second_transposed: bool) -> Tiling | None:
    """Return a tiling with wide tiles."""
    row_limit, parts = 128, 1
    if second_transposed:
        if m * n <= _SMALL_RESULT or not _fits_transposed(m, k, n):
            return None
        columns = _columns(n, 64 if m <= 16 else 32, 0)  # they need not fill registers: in memory they are rows
        row_limit = min(64, _SMALL_RESULT // max(columns, 1))
    elif m * k * n <= SMALL:
        return None
    elif n <= 32 and (not first_transposed or k <= 32 or (n > 16 and k <= 200) or (n < 16 and k <= 256)):
        columns, parts = n, _parts(k, 1024)
    elif 32 < n <= 64 and (k <= 200 or (not first_transposed and m <= 1024)):
        columns, parts = n, _parts(k, 200)
    elif k <= 64 and n > 64 and m * n <= _CACHED_RESULT:
        columns = _columns(n, 64)
    elif k <= 1024 and k * n <= _limit_of_second(m, first_transposed):
        columns = _columns(n, 32 if first_transposed else 64)
    else:
        return None
    if not columns or not parts:
        return None
    rows = _divisor(m, min(row_limit, SMALL * parts // (columns * k)))
    return Tiling(rows, columns, parts) if rows >= min(m, 8) else None


def _fits_transposed(m: int, k: int, n: int) -> bool:
    """Whether tiles are faster if the second operand is transposed: few rows or few columns, and k not too short."""
    if n <= 32:
        return (n <= 24 or m <= 128) and (32 if n <= 10 else 64 if n < 16 else 128) <= k <= 2048
    if m <= 16:
        return 32 <= k <= 2048
    return m <= 64 and (64 if m <= 32 else 128) <= k <= 1024


def _limit_of_second(m: int, first_transposed: bool) -> int:
    """Return the largest number of elements of the second operand for which tiles are faster, if there are few rows."""
    if m <= 16:
        return 1 << (21 if m <= 8 else 19)
    if first_transposed:
        return 1 << 18 if m <= 128 else 0
    return 1 << 16 if m <= 48 else 0


def _columns(n: int, limit: int, full: float = 0.85) -> int:
    """Return the widest tile, up to ``limit`` columns, that fills registers to the fraction ``full``; 0 if there is none."""
    if n <= limit:
        return n
    blocks = (d for d in range(limit, 19, -1) if n % d == 0 and d >= full * _REGISTER * -(-d // _REGISTER))
    return max(blocks, key=lambda d: (d % _REGISTER == 0 and d > _REGISTER, d), default=0)


def _parts(k: int, limit: int) -> int:
    """Return the smallest number of equal parts of k, each at most ``limit``; 0 if this needs more than twice as many."""
    least = -(-k // limit)
    return next((p for p in range(least, 2 * least + 1) if k % p == 0), 0)


def _divisor(n: int, limit: int) -> int:
    return next((d for d in range(min(n, limit), 0, -1) if n % d == 0), 0)


def for_blas(ctx: ScratchSource, X: Array) -> tuple[Array, Calls]:
    """Return X if BLAS can read its matrices without packing, else a copy: NumPy would copy X in every call."""
    item = X.itemsize
    for row, column, n in ((X.strides[-2], X.strides[-1], X.shape[-1]), (X.strides[-1], X.strides[-2], X.shape[-2])):
        if column == item and row % item == 0 and row >= max(n, 1) * item:
            return X, []
    copy = ctx.scratch(X.shape, X.dtype)
    return copy, [(np.copyto, copy, X)]


def matmul(ctx: ScratchSource, a: Array, b: Array, out: Array) -> Calls:
    """Return calls for ``out = a · b`` of matrices that may be transposed in memory."""
    if _by_column(out):
        a, b, out = b.T, a.T, out.T
    (a, first), (b, second) = for_blas(ctx, a), for_blas(ctx, b)
    if out.flags.c_contiguous or _by_column(out.T):
        return [*first, *second, *_tiled(ctx, a, b, out)]
    t = ctx.scratch(out.shape, out.dtype)
    return [*first, *second, *_tiled(ctx, a, b, t), (np.copyto, out, t)]


def _by_column(X: Array) -> bool:
    """Whether BLAS can write X column by column only."""
    return not X.flags.c_contiguous and X.strides[0] == X.itemsize and X.strides[1] >= X.shape[0] * X.itemsize


def _tiled(ctx: ScratchSource, a: Array, b: Array, out: Array) -> Calls:
    (m, k), n = a.shape, b.shape[1]
    tile = tiling(m, k, n, a.strides[1] != a.itemsize, b.strides[1] != b.itemsize) if small_products() else None
    if tile is None:
        return [single_call(a, b, out)]
    rows, columns, parts = tile
    A = a.reshape(m // rows, rows, parts, k // parts, copy=False).transpose(2, 0, 1, 3)[:, :, None]
    B = b.reshape(parts, k // parts, n // columns, columns, copy=False).transpose(0, 2, 1, 3)[:, None]
    terms = out[None] if parts == 1 else ctx.scratch((parts, m, n), out.dtype)
    grids = terms.reshape(parts, m // rows, rows, n // columns, columns, copy=False).swapaxes(2, 3)
    if parts == 1:
        return [(np.matmul, A[0], B[0], grids[0])]
    ones = ctx.constant(np.ones(parts), out.dtype)
    if out.flags.c_contiguous:
        return [(np.matmul, A, B, grids), (np.dot, ones, terms.reshape(parts, -1), out.reshape(-1))]
    return [(np.matmul, A, B, grids), (np.add.reduce, terms, 0, None, out)]


def each_tiled(a: Array, b: Array, out: Array) -> Call:
    """Return the call for ``out = a @ b`` with broadcast leading axes: each product in tiles, if BLAS is faster on them."""
    (m, k), n = a.shape[-2:], b.shape[-1]
    tile = tiling(m, k, n, a.strides[-1] != a.itemsize, b.strides[-1] != b.itemsize) if small_products() else None
    if tile is None or tile.parts > 1:
        return (np.matmul, a, b, out)
    rows, columns, grid = tile.rows, tile.columns, (m // tile.rows, tile.rows, n // tile.columns, tile.columns)
    A = a.reshape(*a.shape[:-2], m // rows, rows, k, copy=False)[..., None, :, :]
    B = b.reshape(*b.shape[:-1], n // columns, columns, copy=False).swapaxes(-3, -2)[..., None, :, :, :]
    return (np.matmul, A, B, out.reshape(*out.shape[:-2], *grid, copy=False).swapaxes(-3, -2))


def small_products() -> bool:
    """Return whether products may rely on BLAS having kernels for small ones, which pack nothing."""
    return use_fast_kernel(small_kernels())


def worth_transposing(m: int, k: int, n: int) -> bool:
    """Whether to copy a transposed second operand, because only then OpenBLAS treats the product as small."""
    return m * n > _SMALL_RESULT and m * k * n <= SMALL and small_products()


def single_call(a: Array, b: Array, out: Array) -> Call:
    """Return one call for ``out = a · b``.

    ``np.dot`` starts faster but copies non-contiguous operands, so it is used for small contiguous ones only, and for a
    column times a row, which ``np.matmul`` computes without BLAS, seven times as slowly.
    """
    contiguous = a.flags.forc and b.flags.forc and out.flags.c_contiguous
    if contiguous and (out.size <= _DOT_RESULT or a.shape[1] == 1):
        return (np.dot, a, b, out)
    return (np.multiply, a, b, out) if a.shape[1] == 1 else (np.matmul, a, b, out)


def batched(ctx: ScratchSource, a: Array, b: Array, out: Array) -> Calls:
    """Return calls for ``out = a @ b`` with broadcast leading axes."""
    if a.shape[-1] == 1:  # np.matmul would not call BLAS
        return [(np.multiply, a, b, out)]
    (a, first), (b, second) = for_blas(ctx, a), for_blas(ctx, b)
    calls = [*first, *second]
    if all(n == 1 for n in out.shape[:-2]):
        return calls + matmul(ctx, matrix(a), matrix(b), matrix(out))
    if out.strides[-1] == out.itemsize or out.shape[-1] == 1:
        return [*calls, (np.matmul, a, b, out)]
    if out.strides[-2] == out.itemsize:
        return [*calls, (np.matmul, b.mT, a.mT, out.mT)]
    t = ctx.scratch(out.shape, out.dtype)
    return [*calls, (np.matmul, a, b, t), (np.copyto, out, t)]


def matrix(X: Array) -> Array:
    """Return a view of the last two axes of X; the others must have size 1."""
    return X.reshape(X.shape[-2:], copy=False)
