"""Compiled kernels for graphspec, which uses them if they are installed."""

from graphspec_kernels._core import ABI, Call, bind, operands

__version__ = "0.2.0"
__all__ = ["ABI", "Call", "__version__", "bind", "operands"]
