"""Operators newer than an opset, written in older ones: what the pass `legalize` puts in their place.

A decomposition takes the builder, the operator's inputs and its attributes, emits operators that opset 17 has, and returns
the output, or a tuple of outputs. Where there are many attributes, it is a dataclass of them with a method ``emit`` that
takes the builder and the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

Decomposition = Callable[..., Any]

DECOMPOSITIONS: dict[str, Decomposition] = {}
"""By operator."""


class Emits(Protocol):
    """The attributes of one operator, and how it is decomposed."""

    @property
    def emit(self) -> Callable[..., Any]: ...


T = TypeVar("T", bound=Emits)


def decomposes(op: str) -> Callable[[Decomposition], Decomposition]:
    """Function decorator: the decomposition of ``op``."""

    def register(function: Decomposition) -> Decomposition:
        DECOMPOSITIONS[op] = function
        return function

    return register


def decomposes_by(op: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: the decomposition of ``op`` whose attributes are the fields of the class."""

    def register(cls: type[T]) -> type[T]:
        def decompose(g: Builder, *inputs: Value | None, **attributes: Any) -> Any:
            return cls(**attributes).emit(g, *inputs)

        DECOMPOSITIONS[op] = decompose
        return cls

    return register
