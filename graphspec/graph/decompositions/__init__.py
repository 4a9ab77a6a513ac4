"""Decompositions of newer operators into operators of opset 17, for the pass ``legalize``.

A decomposition receives the builder, the operator's inputs and its attributes. It emits operators of opset 17 and returns
the output, or a tuple of outputs. An operator with many attributes has a dataclass of its attributes instead, with a method
``emit`` that receives the builder and the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

Decomposition = Callable[..., Any]

DECOMPOSITIONS: dict[str, Decomposition] = {}
"""The decompositions by operator name."""


class Emits(Protocol):
    """A decomposition with the operator's attributes as fields."""

    @property
    def emit(self) -> Callable[..., Any]:
        """The function that receives the builder and the inputs, and emits operators."""


T = TypeVar("T", bound=Emits)


def decomposes(op: str) -> Callable[[Decomposition], Decomposition]:
    """Return a decorator that registers a function as the decomposition of ``op``."""

    def register(function: Decomposition) -> Decomposition:
        DECOMPOSITIONS[op] = function
        return function

    return register


def decomposes_by(op: str) -> Callable[[type[T]], type[T]]:
    """Return a class decorator that registers a decomposition of ``op`` with its attributes as the fields of the class."""

    def register(cls: type[T]) -> type[T]:
        def decompose(g: Builder, *inputs: Value | None, **attributes: Any) -> Any:
            return cls(**attributes).emit(g, *inputs)

        DECOMPOSITIONS[op] = decompose
        return cls

    return register
