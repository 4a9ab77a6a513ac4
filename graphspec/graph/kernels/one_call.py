"""A program as one call: a list of calls, of which the compiled library makes as many as it can without Python.

A call of NumPy becomes a kernel where one gives its bits: products, by the functions of BLAS that NumPy would call, and
arithmetic on small arrays, of which starting NumPy takes most of the time. What is left stays a call of Python, between
runs of kernels. Without the library a program is a loop over its calls.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from graphspec.base.arrays.blas import openblas, product_functions
from graphspec.base.arrays.calls import Call, Calls
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels import compiled
from graphspec.graph.kernels.matmul import SMALL

# With their kernels.
_ARITHMETIC = {f: f.__name__ for f in (np.add, np.subtract, np.multiply, np.divide, np.square, np.sqrt)}
_LOOPS = {np.exp, np.log, np.log1p, np.tanh}


def runner(calls: Calls) -> Callable[[], None]:
    """Return a function that makes the calls in order.

    Functions and operands are separated here, once: doing so in every step costs 0.15 µs per call.
    """
    if compiled.LIBRARY is not None:
        run: Callable[[], None] = compiled.LIBRARY.sequence([_compiled(call) for call in calls])
        return run
    pairs = [(f, tuple(operands)) for f, *operands in calls]

    def run_pairs() -> None:
        for f, operands in pairs:
            f(*operands)

    return run_pairs


def _compiled(call: Call) -> tuple[Any, tuple[Any, ...]]:
    """Return a call as a function and its operands: a kernel without any, if there is one with the same bits."""
    f: Any
    f, *operands = call
    if isinstance(f, partial) and not f.keywords.keys() - {"out"}:
        f, operands = f.func, [*f.args, *operands, *f.keywords.values()]
    owner = getattr(f, "__self__", None)
    if isinstance(owner, np.ndarray) and f.__name__ == "__setitem__" and operands[0] is ...:
        f, operands = np.copyto, [owner, *operands[1:]]
    elif isinstance(owner, np.ndarray) and f.__name__ == "fill":
        f, operands = np.copyto, [owner, np.array(operands[0], owner.dtype)]
    if all(isinstance(x, np.ndarray) for x in operands):
        kernel = _kernel(f, operands)
        if kernel is not None:
            return kernel, ()
    return call[0], tuple(call[1:])


def _kernel(f: Any, operands: Sequence[Array]) -> Any:
    bind = compiled.LIBRARY.bind
    if f is np.copyto and len(operands) == 2:
        return bind("copy", operands[1], operands[0])
    if (f is np.dot or f is np.matmul) and len(operands) == 3:
        copied = f is np.dot and not all(x.flags.forc for x in operands)
        return None if copied or not has_products() else _unpacked(*operands) or bind(f.__name__, *operands)
    if not isinstance(f, np.ufunc) or f.nargs != len(operands):
        return None
    if f in _ARITHMETIC:
        return bind(_ARITHMETIC[f], *operands)
    found = loop(f, operands[-1].dtype) if f in _LOOPS else None
    return None if found is None else compiled.LIBRARY.bind_loop(*found, *operands)


@cache
def loop(f: np.ufunc, dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """Return the addresses of a ufunc's inner loop for ``dtype`` and of its data; None if they cannot be told for sure.

    They are read where NumPy's public header declares them (``PyUFuncObject`` in ``ufuncobject.h``). The table of types that
    stands there, too, must be the one that the ufunc tells, and the loop must give its bits.
    """
    if f.nin != 1 or f.nout != 1 or (kind := f"{dtype.char}->{dtype.char}") not in f.types:
        return None
    fields = _Fields.from_address(id(f) + object.__basicsize__)
    codes = bytes(np.dtype(code).num for code in "".join(f.types).replace("->", ""))
    counts = fields.nin, fields.nout, fields.types
    if counts != (1, 1, len(f.types)) or ctypes.string_at(fields.codes, len(codes)) != codes:
        return None
    k = f.types.index(kind)
    x = np.linspace(0.25, 80, 1003).astype(dtype)
    addresses, result = (fields.functions[k] or 0, fields.data[k] or 0), np.empty_like(x)
    compiled.LIBRARY.bind_loop(*addresses, x, result)()
    return addresses if result.tobytes() == f(x).tobytes() else None


def _unpacked(a: Array, b: Array, result: Array) -> Any:
    """Return the kernel for a product that BLAS would pack first, if it is quicker without; one thread must compute it."""
    packs = a.ndim == b.ndim == 2 and len(a) > 1 and a.size * b.shape[-1] > SMALL and a.dtype == np.float32
    if not packs or not compiled.available("unpacked") or (blas := openblas()) is None or blas.get() > 1:
        return None
    return None if (part := _part()) is None else compiled.LIBRARY.bind("unpacked", a, b, result, part)


@cache
def _part() -> Array | None:
    """Return how many terms BLAS sums before it adds them to the result; None unless the kernel then has its bits."""
    random, products = np.random.default_rng(1), []
    for m, k, n in [(8, 1100, 1024), (16, 700, 512), (128, 500, 256), (1024, 40, 128)]:
        a, b = random.random((k, m), np.float32).T, random.random((k, n), np.float32) - np.float32(0.5)
        products += [(x, y, x @ y) for x, y in ((a, b), (a.copy(), b if m < 32 else np.asfortranarray(b)))]
    result = np.empty((1024, 1024), np.float32)

    def same(part: Array, a: Array, b: Array, expected: Array) -> bool:
        rows = result[: len(a), : b.shape[1]]
        if (kernel := compiled.LIBRARY.bind("unpacked", a, b, rows, part)) is None:
            return False
        kernel()
        return rows.tobytes() == expected.tobytes()

    parts = [np.array(n) for n in (448, 384, 320)]  # in OpenBLAS's param.h, by version
    return next((part for part in parts if all(same(part, *product) for product in products)), None)


@cache
def give_tanh() -> None:
    """Give the library NumPy's loops of tanh, for kernels that need it within; without them these serve nothing."""
    found = [loop(np.tanh, np.dtype(code)) for code in "fd"]
    compiled.LIBRARY.use_tanh(*(address for pair in found for address in pair or (0, 0)))


class _Fields(ctypes.Structure):
    """What follows the head of an object in a ufunc."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("nin", "nout", "arguments", "identity")),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        *((name, ctypes.c_int) for name in ("types", "reserved")),
        *((name, ctypes.c_void_p) for name in ("name", "codes")),
    )


@cache
def has_products() -> bool:
    """Give the library NumPy's BLAS, and return whether its products are NumPy's: those of some shapes are compared.

    Another version of NumPy may call another function of BLAS for a shape.
    """
    found = product_functions()
    if found is None:
        return False
    compiled.LIBRARY.use_blas(*found)
    return all(_same_bits(np.dtype(code)) for code in "fd")


_SHAPES = [(m, k, n) for m in (1, 2, 33) for k in (2, 35) for n in (1, 2, 48)]


def _same_bits(dtype: np.dtype[Any]) -> bool:
    random = np.random.default_rng(1)
    for m, k, n in _SHAPES:
        a, b = random.standard_normal((m, k)).astype(dtype), random.standard_normal((k, n)).astype(dtype)
        for x, y in ((a, b), (np.asfortranarray(a), b), (a, np.asfortranarray(b))):
            for f in (np.dot, np.matmul):
                expected, result = np.empty((m, n), dtype), np.empty((m, n), dtype)
                f(x, y, expected)
                kernel = compiled.LIBRARY.bind(f.__name__, x, y, result)
                if kernel is not None:
                    kernel()
                    if expected.tobytes() != result.tobytes():
                        return False
    return True
