"""Decompositions of newer operators into operators of opset 17, for the pass ``legalize``.

A decomposition is a function of the builder, the operator with its attributes, and the operator's inputs. It emits operators
of opset 17 and returns the output, or a tuple of outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Decomposition = Callable[..., Any]

DECOMPOSITIONS: dict[str, Decomposition] = {}
"""The decompositions by operator name."""


def decomposes(op: str) -> Callable[[Decomposition], Decomposition]:
    """Return a decorator that registers a function as the decomposition of ``op``."""

    def register(function: Decomposition) -> Decomposition:
        DECOMPOSITIONS[op] = function
        return function

    return register
