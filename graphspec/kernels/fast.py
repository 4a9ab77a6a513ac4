"""Whether operators take their fast kernels: where these pay, or for tests everywhere or nowhere."""

from __future__ import annotations

import os

from graphspec.errors import UsageError

KERNELS = "GRAPHSPEC_KERNELS"
"""The environment variable: ``fast`` forces every fast kernel wherever it fits, ``plain`` forbids it. Workers inherit it."""


def _forced(value: str) -> bool | None:
    """Whether all fast kernels are taken or none, or None for those that pay.

    Raises:
        UsageError: no such value.
    """
    if value not in ("", "fast", "plain"):
        raise UsageError(f"{KERNELS} must be fast or plain, or not be set, got {value!r}")
    return {"fast": True, "plain": False}.get(value)


FAST: bool | None = _forced(os.environ.get(KERNELS, ""))


def use_fast_kernel(pays: bool) -> bool:
    """Whether to take the fast kernel where both do, given whether it pays."""
    return pays if FAST is None else FAST
