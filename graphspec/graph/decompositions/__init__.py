"""Operators newer than an opset, written in older ones: what the pass `legalize` puts in their place.

A decomposition takes the builder, the operator's inputs and its attributes, emits operators that opset 17 has, and returns
the output, or a tuple of outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Decomposition = Callable[..., Any]

DECOMPOSITIONS: dict[str, Decomposition] = {}
"""By operator."""


def decomposes(op: str) -> Callable[[Decomposition], Decomposition]:
    """Function decorator: the decomposition of ``op``."""

    def register(function: Decomposition) -> Decomposition:
        DECOMPOSITIONS[op] = function
        return function

    return register
