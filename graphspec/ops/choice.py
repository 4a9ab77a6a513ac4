"""Whether operators take their fast kernels: where these pay, or for tests everywhere or nowhere."""

from __future__ import annotations

import os

KERNELS = "GRAPHSPEC_KERNELS"
"""The environment variable: ``fast`` forces every fast kernel wherever it fits, ``plain`` forbids it. Workers inherit it."""
FAST: bool | None = {"fast": True, "plain": False}.get(os.environ.get(KERNELS, ""))


def faster(pays: bool) -> bool:
    """Whether to take the fast kernel where both do, given whether it pays."""
    return pays if FAST is None else FAST
