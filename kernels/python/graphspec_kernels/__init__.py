"""Compiled kernels for graphspec, which uses them if they are installed."""

from graphspec_kernels._core import (
    ABI,
    Call,
    Rows,
    Sequence,
    bind,
    bind_loop,
    is_finite,
    operands,
    rows,
    sequence,
    use_blas,
    use_tanh,
)

__version__ = "0.4.0"
__all__ = [
    "ABI",
    "Call",
    "Rows",
    "Sequence",
    "__version__",
    "bind",
    "bind_loop",
    "is_finite",
    "operands",
    "rows",
    "sequence",
    "use_blas",
    "use_tanh",
]
