"""What Python and notebooks show of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.text import printable
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.cost import cost
from graphspec.show.drawing.outline import outline
from graphspec.show.drawing.summary import summary_lines
from graphspec.show.drawing.svg import svg as draw
from graphspec.show.notebook.html import model_html

if TYPE_CHECKING:
    from graphspec.engine.compiler.lowered import Lowered
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.ir.dims import Shape
    from graphspec.language.declarations import Spec

_NODES = 400
"""Nodes of the largest network that a notebook draws."""


def described(model: Session) -> str:
    """Return a line such as ``<graphspec.Model 'housing': 8 inputs -> 1, 1,234 parameters, trained 20 epochs>``."""
    return printable(f"<graphspec.Model '{model.spec.name}': {_state(model)}>")


def _state(model: Session) -> str:
    inputs, outputs = [v.shape for v in model.whole.inputs.values()], [v.shape for v in model.whole.outputs.values()]
    if model.learns:
        parameters = "parameters to be learnt from the training rows"
    else:
        count = sum(p.size for p in model.graph.params.values())
        parameters = f"{count:,} parameter{'' if count == 1 else 's'}"
    epochs = model.epochs_done
    trained = f"trained {epochs:,} epoch{'' if epochs == 1 else 's'}" if epochs else "not trained"
    return f"{_shapes(inputs, 'input')} -> {_shapes(outputs, 'head')}, {parameters}, {trained}"


def _shapes(shapes: list[Shape], noun: str) -> str:
    if len(shapes) != 1:
        return f"{len(shapes)} {noun}s"
    return "x".join(str(size) for size in shapes[0][1:]) or "1"


def summary(model: Session, rows: int | None = None, *, width: int | None = None, expand: bool = False) -> list[str]:
    """Return the lines of ``graphspec summary``, for batches of ``rows`` rows (default: the spec's)."""
    spec, lowered = _lowered(model)
    rows = rows or spec.training.batch_size
    return list(summary_lines(spec, lowered, rows, width=width, expand=expand, option="`summary(expand=True)`"))


def model_page(model: Session) -> str:
    """Return a model as HTML: its name, its state, its table of nodes and its drawing, folded."""
    spec, lowered = _lowered(model)
    svg = draw(outline(spec, lowered, cost(spec, lowered, 1))) if len(spec.nodes) <= _NODES else None
    return model_html(spec.name, spec.description, _state(model), summary(model)[2:], svg)


def _lowered(model: Session) -> tuple[Spec, Lowered]:
    """Return the spec and its graph with the nodes' outputs, which a model does not keep."""
    found: tuple[Spec, Lowered] = model.once(
        "lowered", lambda: check(model.spec, allow_outside=True, adapted=model.adapted).require()
    )
    return found
