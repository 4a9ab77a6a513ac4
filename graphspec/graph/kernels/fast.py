"""The choice between fast kernels and simple ones: whichever is faster by default; tests force one or the other."""

from __future__ import annotations

import os

from graphspec.base.errors import UsageError

KERNELS = "GRAPHSPEC_KERNELS"
"""The environment variable: ``fast`` forces every applicable fast kernel of NumPy, ``reference`` forbids all, NumPy's
and compiled ones, ``compiled`` forces the compiled ones too (:mod:`graphspec.graph.kernels.compiled`). Workers get the
:func:`mode` of rank 0."""


def _checked(value: str) -> str:
    """Return ``value`` if it is known.

    Raises:
        UsageError: ``value`` is unknown.
    """
    if value not in ("", "compiled", "fast", "reference"):
        said = "`plain` is now called `reference`" if value == "plain" else f"got {value!r}"
        raise UsageError(f"{KERNELS} must be reference, fast or compiled, or not be set: {said}")
    return value


FORCED: str = _checked(os.environ.get(KERNELS, ""))
_FAST = {"": None, "compiled": True, "fast": True, "reference": False}
FAST: bool | None = _FAST[FORCED]


def mode() -> str:
    """Return the value of the variable that gives another process the kernels that this one has now."""
    return FORCED if _FAST[FORCED] == FAST else {True: "fast", False: "reference", None: ""}[FAST]


def use_fast_kernel(pays: bool) -> bool:
    """Return whether to use an applicable fast kernel; ``pays`` is whether it is expected to be faster."""
    return pays if FAST is None else FAST
