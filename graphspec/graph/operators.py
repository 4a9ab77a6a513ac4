"""The operators as methods of the builder: ``g.Relu(x)``, ``g.Gemm(a, b, c, transB=1)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphspec.graph.ir.graph import Value
from graphspec.graph.ops import OPS


class Operators:
    """Methods have the ONNX operator's name; positional arguments are its inputs, keywords its attributes.

    ``operators.pyi`` lists them; ``python -m tools.make_operators`` writes it.
    """

    def emit(self, op: str, inputs: Sequence[Value | None], attrs: dict[str, Any]) -> Any:
        """Append an operator node; return its output, or a tuple of outputs."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in OPS:
            raise AttributeError(f"no operator is called {name!r}")

        def emit(*inputs: Value | None, **attrs: Any) -> Any:
            return self.emit(name, inputs, attrs)

        return emit
