"""The choice between fast kernels and simple ones: whichever is faster by default; tests force one or the other."""

from __future__ import annotations

import os

from graphspec.errors import UsageError

KERNELS = "GRAPHSPEC_KERNELS"
"""The environment variable: ``fast`` forces every applicable fast kernel, ``plain`` forbids all. Workers inherit it."""


def _forced(value: str) -> bool | None:
    """Return whether to use all fast kernels (True) or none (False), or None for those that are expected to be faster.

    Raises:
        UsageError: ``value`` is unknown.
    """
    if value not in ("", "fast", "plain"):
        raise UsageError(f"{KERNELS} must be fast or plain, or not be set, got {value!r}")
    return {"fast": True, "plain": False}.get(value)


FAST: bool | None = _forced(os.environ.get(KERNELS, ""))


def use_fast_kernel(pays: bool) -> bool:
    """Return whether to use an applicable fast kernel; ``pays`` is whether it is expected to be faster."""
    return pays if FAST is None else FAST
