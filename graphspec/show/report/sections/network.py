"""The network: its drawing, and for every node shapes, costs, norms of activations and gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphspec.base.arrays.system_memory import human
from graphspec.base.config import Config
from graphspec.base.document import Block, Cell, Column, Element, Folded, Inline, Items, Row, Section, Span, Table, Text
from graphspec.base.text import count, number, percent, shell, shorten_end, shorten_middle
from graphspec.graph.ir.dims import show
from graphspec.show.drawing.outline import outline
from graphspec.show.html import html_of, row_size
from graphspec.show.report.network_drawing import drawing, legend
from graphspec.show.report.network_facts import NetworkFacts, NodeFacts, network_facts
from graphspec.show.report.rows import run_name, shown_part

if TYPE_CHECKING:
    from graphspec.language.declarations import NodeDecl
    from graphspec.show.report.findings import Findings

DRAWN = 400
"""Nodes, up to which a network is drawn; of a larger one, the table has as many, the most expensive ones."""
_ROOM, _TABLE = 118_000, 100_000  # characters of the drawing and the table, and of the table alone
_PROBLEMS = 6  # that are listed
_ARGUMENTS = 120  # characters of a node's arguments
_COLUMNS = [Column(name) for name in ("Layer", "Type", "Arguments", "Output")]
_COLUMNS += [Column(name, "number") for name in ("Parameters", "Multiply-adds", "Memory", "Mean |x|", "Zeros")]
_COLUMNS += [Column(name, "number") for name in ("Dead units", "Gradient / weights")]


def network(found: Findings) -> Section:
    """Return the drawing of the network and the table of its nodes."""
    known = network_facts(found.model, None if found.judged is None else found.judged.raw)
    part = "" if found.judged is None else shown_part(found.judged.part)
    nodes = list(known.spec.nodes)
    flagged = _problems(known)
    numbers = {node.name: k for k, node in enumerate(nodes)}
    small = {*known.small_gradients()}
    lines = {node.name: _row(known, node, numbers[node.name], flagged, node.name in small) for node in nodes}
    shown = _with_room(known, lines)
    left_out = len(nodes) - len(shown)
    caption = f"The {len(shown):,} most expensive of {len(nodes):,} layers" if left_out else ""
    rows = [lines[node.name] for node in nodes if node.name in shown]
    table = Table(_COLUMNS, rows, caption, label="Layers", sort=True, id="nodes", frame="nodes")
    picture = "" if left_out else _picture(known, numbers, flagged)
    picture = picture if len(picture) + len(html_of([table])) <= _ROOM else ""
    body: list[Block] = [Element(picture), Folded("All layers as a table", [table])]
    if not picture:
        command = Span(shell("graphspec", "plot", run_name(found.directory), "-o", "network.svg"), "code")
        body = [Text(("It is too large to be drawn here: ", command, " draws it."), "note"), table]
    return Section("network", "Network", [*_about(known, part), *_notes(known, flagged), *body])


def _with_room(known: NetworkFacts, lines: dict[str, Row]) -> set[str]:
    """Return the nodes whose lines of the table the page has room for: all, or the most expensive ones."""
    costs = known.costs.nodes
    kept: set[str] = set()
    room = _TABLE
    for name in sorted(lines, key=lambda name: (costs[name].multiply_adds, costs[name].trainable), reverse=True)[
        :DRAWN
    ]:
        room -= row_size(lines[name], _COLUMNS)
        if room < 0:
            break
        kept.add(name)
    return kept


def _picture(known: NetworkFacts, numbers: dict[str, int], flagged: dict[str, str]) -> str:
    """Return the drawing beside a place for the details of a node."""
    panels = outline(known.spec, known.lowered, known.costs)
    drawn = drawing(panels, numbers, flagged)
    return (
        f'{legend(panels)}<div class="network-view" data-network>'
        f'<div class="canvas" tabindex="0" role="region" aria-label="Drawing of the network">{drawn}</div>'
        '<div class="node-details js-only" aria-live="polite"><p class="muted">Choose a box to see its shapes, costs and '
        "norms.</p></div></div>"
    )


def _about(known: NetworkFacts, part: str) -> list[Block]:
    total = known.costs.total()
    parts = [
        f"{count(len(known.spec.nodes), 'layer')}, {count(total.trainable, 'trainable parameter')}",
        f"{total.frozen:,} not trained" if total.frozen else "",
        f"{total.multiply_adds:,} multiply-adds per row",
        f"{human(total.activations)} for the outputs of layers per row",
    ]
    lengths = ", ".join(f"{name} = {size}" for name, size in known.costs.lengths.items())
    assumed = f" Axes that vary count as {lengths}." if lengths else ""
    norms = known.why_not or (
        f"The outputs of layers are those for {count(known.rows, part + ' row')}; gradients, relative to the weights, "
        "those of one training step on them."
    )
    return [Text(f"{', '.join(filter(None, parts))}.{assumed}"), Text(norms, "note")]


def _problems(known: NetworkFacts) -> dict[str, str]:
    """Return what is wrong with nodes, in words."""
    found: dict[str, str] = {}
    small = {*known.small_gradients()}
    for node in known.spec.nodes:
        facts = known.nodes.get(node.name)
        if facts is None:
            continue
        active = facts.activation
        if active is not None and not active.finite:
            found[node.name] = "has values that are not finite"
        elif facts.gradient is not None and not math.isfinite(facts.gradient):
            found[node.name] = "has a gradient that is not finite"
        elif active is not None and active.dead and _is_relu(node):
            found[node.name] = (
                f"{active.dead:,} of {count(active.units, 'unit')} are 0 in all {known.rows:,} rows (dead)"
            )
        elif node.name in small:
            what = "no gradient at all" if facts.gradient == 0 else "a gradient far smaller than the others'"
            found[node.name] = f"gets {what}"
    return found


def _is_relu(node: NodeDecl) -> bool:
    """Return whether a node's output is that of a ReLU, which can die."""
    kinds = (getattr(node.layer, "activation", None), node.layer)
    return any(type(kind).__name__.lower() in ("relu", "relu6") for kind in kinds)


def _notes(known: NetworkFacts, flagged: dict[str, str]) -> list[Block]:
    """Return the worst problems: what is not finite first, then the largest share of dead units."""

    def share(name: str) -> float:
        active = known.nodes[name].activation
        if active is None or not active.finite:
            return -2.0
        return -active.dead / active.units if active.dead and "dead" in flagged[name] else -1.0

    if not flagged:
        return []
    worst = sorted(flagged, key=share)
    items: list[Inline] = [(Span(_short(name), "code"), f" {flagged[name]}") for name in worst[:_PROBLEMS]]
    more = len(worst) - _PROBLEMS
    return [Items([*items, *([f"{more:,} more, marked in red below"] if more > 0 else [])], "problems")]


def _row(known: NetworkFacts, node: NodeDecl, place: int, flagged: dict[str, str], small: bool) -> Row:
    cost, facts = known.costs.nodes[node.name], known.nodes.get(node.name, NodeFacts())
    outputs = known.lowered.outputs.get(node.name) or ()
    shapes = "; ".join(show(v.shape) + ("" if v.dtype == "float32" else f" {v.dtype}") for v in outputs)
    size = cost.trainable + cost.frozen
    frozen = f" ({cost.frozen:,} frozen)" if cost.frozen else ""
    active = facts.activation
    cells: list[Inline | Cell] = [
        _short(node.name),
        node.type or f"weights of {node.share}",
        shorten_end(_arguments(node), _ARGUMENTS),
        shapes,
        Cell(f"{size:,}{frozen}", float(size) if frozen else None) if size else "",
        f"{cost.multiply_adds:,}" if cost.multiply_adds else "",
        Cell(human(cost.activations), float(cost.activations)) if cost.activations else "",
        "" if active is None else number(active.mean),
        "" if active is None else percent(active.zeros),
        ""
        if active is None or not _is_relu(node)
        else Cell(f"{active.dead:,} of {active.units:,}", float(active.dead), "bad" if active.dead > 0 else ""),
        _gradient(facts, small),
    ]
    problem = (("problem", flagged[node.name]),) if node.name in flagged else ()
    return Row(cells, (("node", str(place)), *problem))


def _gradient(facts: NodeFacts, small: bool) -> Inline | Cell:
    if facts.gradient is None or facts.weights is None:
        return ""
    tip = f"norm of the gradient {number(facts.gradient)}, of the weights {number(facts.weights)}"
    relative = facts.relative
    shown = number(facts.gradient if relative is None else relative)
    return Cell(Span(shown, tip=tip), relative or 0.0, "bad" if small else "")


def _arguments(node: NodeDecl) -> str:
    """Return the arguments that the spec gives a node's layer, without what is learnt from rows."""
    layer = node.layer
    if layer is None:
        return ""
    known = layer.model_fields_set - {*layer.learnt_arguments}
    written = [key for key in node.tree.value if key in known] if isinstance(node.tree.value, dict) else []
    order = [*written, *sorted(known.difference(written))]  # those of a block's parameters, too
    return ", ".join(f"{key} {_value(getattr(layer, key))}" for key in order if hasattr(layer, key))


def _value(value: Any) -> str:
    if isinstance(value, Config):
        return type(value).__name__.lower()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        few = ", ".join(_value(v) for v in value[:6])
        return f"[{few}{', …' if len(value) > 6 else ''}]"
    return str(value)


def _short(name: str) -> str:
    return shorten_middle(name, 60)
