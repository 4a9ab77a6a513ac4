"""The panels that are drawn of a spec."""

from __future__ import annotations

from typing import Any

from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lowered_network import cost
from graphspec.show.drawing.outline import Panel, outline


def panels(spec: Any, **more: Any) -> list[Panel]:
    declaration, lowered = check(spec).require()
    return outline(declaration, lowered, cost(declaration, lowered, 1), **more)
