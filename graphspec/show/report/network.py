"""The network: its drawing, and for every node shapes, costs, norms of activations and gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from graphspec.base.arrays.calls import settings
from graphspec.base.arrays.memory import human
from graphspec.base.arrays.random import Clock
from graphspec.base.config import Config
from graphspec.base.document import Block, Cell, Column, Element, Folded, Inline, Items, Row, Section, Span, Table, Text
from graphspec.base.text import count, percent, shell, shorten_end, shorten_middle
from graphspec.data.batches import BatchLoader, Dataset, as_indices
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lowered_network import Cost, Lowered, cost
from graphspec.engine.compiler.objective import TOTAL
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.session import Session
from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Array, show
from graphspec.language.declarations import NodeDecl, Spec
from graphspec.show.drawing import svg
from graphspec.show.drawing.outline import Box, Panel, outline
from graphspec.show.html import html_of, row_size, text
from graphspec.show.report.charts import amount
from graphspec.show.report.findings import Findings
from graphspec.show.report.rows import evenly, prepared_in_memory, run_name, shown_part, taken

# What the nodes of a trained network do: costs, norms of activations, dead units, norms of weights and gradients.
ROWS = 256  # rows whose activations are looked at
_MAX_BYTES = 1 << 28  # of activations
_MAX_WORK = 2 * 10**10  # multiply-adds
VANISHING = 1e-3  # of the median over the nodes: up to it, a gradient's norm, relative to the weights', is small


class Activation(NamedTuple):
    """A node's output for some rows."""

    mean: float  # the mean of the absolute values
    zeros: float  # the share of zeros
    dead: int  # units (places on the last axis, or channels) that are 0 in all rows, and their number
    units: int
    finite: bool  # False if there are NaN or infinite values


class NodeFacts(NamedTuple):
    """What is known of a node."""

    # None for a node that is computed once per row, before training, and for outputs that are not numbers
    activation: Activation | None = None
    # weights, gradient: Euclidean norms over the node's trainable weights; None without any
    weights: float | None = None
    gradient: float | None = None

    @property
    def relative(self) -> float | None:
        """The norm of the gradient relative to the weights'; None without weights, or if all are 0."""
        return self.gradient / self.weights if self.gradient is not None and self.weights else None


class NetworkFacts(NamedTuple):
    """What is known of a network."""

    spec: Spec
    lowered: Lowered
    costs: Cost
    nodes: Mapping[str, NodeFacts]  # by name
    rows: int  # whose activations and gradients were looked at; 0 if none were
    why_not: str = ""  # a sentence, if none were

    def small_gradients(self) -> list[str]:
        """Return the nodes whose gradient is 0, or small beside those of the others."""
        known = {name: r for name, node in self.nodes.items() if (r := node.relative) is not None}
        if not known or not all(map(math.isfinite, known.values())):
            return []
        usual = float(np.median([*known.values()]))
        return [name for name, r in known.items() if r <= VANISHING * usual]


def lowered_again(model: Session) -> tuple[Spec, Lowered]:
    """Return the spec of a model with what it has learnt, and the outputs of its nodes."""
    learnt, own = model.adapted, {node.name for node in model.spec.nodes}
    if learnt is not None:  # copies of a network have the layers with other names, and with what these have learnt
        learnt = replace(learnt, layers={name: state for name, state in learnt.layers.items() if name in own})
    return check(model.spec, allow_outside=True, adapted=learnt, draws=False).require()


def network_facts(model: Session, raw: Dataset | None) -> NetworkFacts:
    """Look at a trained network; norms of activations and gradients need checked raw rows."""
    spec, lowered = lowered_again(model)
    costs = cost(spec, lowered, 1)
    if raw is None or not len(raw):
        why_not = "Without rows, there are no norms of activations and gradients."
        return NetworkFacts(spec, lowered, costs, {}, 0, why_not)
    total = costs.total()
    count = min(ROWS, len(raw), _MAX_BYTES // max(total.activations, 1), _MAX_WORK // max(total.multiply_adds, 1))
    if not count:
        return NetworkFacts(spec, lowered, costs, {}, 0, "The network is too large to compute norms for this page.")
    rows = prepared_in_memory(model, taken(raw, evenly(len(raw), count)))
    activations, norms = _activations(model, lowered, rows), _norms(model, spec, rows)
    names = [node.name for node in spec.nodes]
    nodes = {name: NodeFacts(activations.get(name), *norms.get(name, (None, None))) for name in names}
    return NetworkFacts(spec, lowered, costs, nodes, len(rows))


def _activations(model: Session, lowered: Lowered, rows: Dataset) -> dict[str, Activation]:
    """Return the activations of the nodes that NumPy computes."""
    computed = {output.name: output for node in model.graph.nodes for output in node.outputs}
    firsts = {node.name: (lowered.outputs.get(node.name) or (None,))[0] for node in model.spec.nodes}
    floats = {name: value.name for name, value in firsts.items() if value is not None and value.type.is_float}
    wanted = {name: computed[value] for name, value in floats.items() if value in computed}
    if not wanted:
        return {}
    inputs = {name: rows.inputs[name] for name in model.graph.inputs}
    loader = BatchLoader(type(rows)(inputs), len(rows), shuffle=False, seed=model.seed)
    graph = model.graph.with_outputs(wanted)
    program = build_program(graph, model.parameters, Target(loader.shapes(len(rows))), seed=model.seed)
    loader.start(0)
    with model.access.reading(), settings():
        loader.copy(0, program.feeds)
        program.run()
    return {name: activation(np.asarray(program.fetches[name])) for name in wanted}


def activation(values: Array) -> Activation:
    """Return what a node's output for some rows, ``(rows, …, units)``, is like."""
    if not values.size:
        return Activation(0.0, 0.0, 0, 0, True)
    finite = bool(np.isfinite(values).all())
    zero = values == 0
    dead = zero.reshape(-1, values.shape[-1]).all(0) if values.ndim > 1 else zero[:0]
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(np.abs(values, dtype=np.float64).mean())
    return Activation(mean, float(zero.mean()), int(dead.sum()), int(dead.size), finite)


def gradients(model: Session, rows: Dataset) -> dict[str, Array]:
    """Return the gradient of the loss of prepared rows, one batch, for every trainable weight, as in a training step.

    The weights and the statistics of the model stay as they are.
    """
    objective = model.objective(rows)
    loader = BatchLoader(as_indices(objective.graph, rows), len(rows), shuffle=False, seed=model.seed)
    with model.access.reading():
        parameters = model.parameters.copy()  # a step in training mode changes moving statistics
    gradient = np.zeros_like(parameters.vectors["trainable"])
    graph = objective.graph.with_outputs({TOTAL: objective.total}, objective.total)
    bind = partial(build_program, graph, parameters, Target(loader.shapes(len(rows))), gradient=gradient)
    program = bind(training=True, seed=model.seed, clock=Clock())
    loader.start(0)
    with settings():
        loader.copy(0, program.feeds)
        program.run()
    return parameters.get(gradient, "trainable")


def _norms(model: Session, spec: Spec, rows: Dataset) -> dict[str, tuple[float, float]]:
    """Return the norms of weights and gradients of each node that owns trainable weights."""
    if not model.parameters.segments["trainable"] or all(head.loss is None for head in spec.heads.values()):
        return {}
    weights = model.parameters.get(group="trainable")
    of = gradients(model, rows)
    names = {node.name for node in spec.nodes}
    squares: dict[str, list[float]] = {}
    for name, weight in weights.items():
        owner = name  # <node>/<role> or <node>/<part>/<role>
        while owner not in names:
            owner = owner.rpartition("/")[0]
        sums = squares.setdefault(owner, [0.0, 0.0])
        for k, array in enumerate((weight, of[name])):
            sums[k] += float(np.square(array, dtype=np.float64).sum())
    return {name: (math.sqrt(a), math.sqrt(b)) for name, (a, b) in squares.items()}


# The drawing of a network for a page: boxes that can be chosen, with colours from the page's styles.
def drawing(panels: Sequence[Panel], numbers: Mapping[str, int], flagged: Mapping[str, str]) -> str:
    """Return the panels beside each other as an SVG element, with marks at nodes with a problem.

    A box of nodes that have ``numbers`` is a button whose ``data-nodes`` has these.
    """
    families = {name: f" family-{k % len(svg.FAMILIES)}" for k, name in enumerate(svg.families(panels))}
    draw = partial(_box, families=families, numbers=numbers, flagged=flagged)
    parts, width, height = svg.drawn(panels, draw, text, "network-tip", titled=False)
    return (
        f'<svg class="network" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'role="group" aria-label="The network: boxes from inputs to heads"><defs><marker id="network-tip" '
        'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>{"".join(parts)}</svg>'
    )


def legend(panels: Sequence[Panel]) -> str:
    """Return the families of the layers with their colours."""
    families = enumerate(map(text, svg.families(panels)))
    swatches = [f'<li><span class="swatch family-{k % len(svg.FAMILIES)}"></span>{name}</li>' for k, name in families]
    return f'<ul class="legend">{"".join(swatches)}</ul>' if len(swatches) > 1 else ""


def _box(
    box: Box, place: svg.Place, families: Mapping[str, str], numbers: Mapping[str, int], flagged: Mapping[str, str]
) -> Iterator[str]:
    left, top = -place.width / 2, -place.height / 2
    known = [str(numbers[name]) for name in box.nodes if name in numbers]
    problem = next((flagged[name] for name in box.nodes if name in flagged), "")
    button = f' role="button" tabindex="0" aria-pressed="false" data-nodes="{" ".join(known)}"' if known else ""
    named = f' aria-description="{text(problem)}"' if problem and known else ""
    kinds = f"box {box.kind}{families.get(box.family, '')}{' flagged' if problem else ''}"
    yield f'<g class="{kinds}"{button}{named} transform="translate({place.x:.0f} {place.y:.0f})">'
    size_of = f'width="{place.width:.0f}" height="{place.height:.0f}"'
    for shift in (6, 3) if box.kind == "block" else ():
        yield f'<rect class="behind" x="{left + shift:.0f}" y="{top + shift:.0f}" {size_of} rx="5"/>'
    yield f'<rect x="{left:.0f}" y="{top:.0f}" {size_of} rx="{svg.corner(box, place):.0f}"/>'
    for k, line in enumerate([box.title, *box.lines]):
        name = ' class="title"' if k == 0 else ""
        yield f'<text{name} y="{top + svg.PAD / 2 + svg.LINE * k + 13:.0f}">{text(line)}</text>'
    if problem:
        yield f'<circle class="flag" cx="{place.width / 2:.0f}" cy="{top:.0f}" r="6"/>'
    yield "</g>"


DRAWN = 400  # nodes, up to which a network is drawn; of a larger one, the table has as many, the most expensive ones
_ROOM, _TABLE = 118_000, 100_000  # characters of the drawing and the table, and of the table alone
_PROBLEMS = 6  # that are listed
_ARGUMENTS = 120  # characters of a node's arguments
_COLUMNS = [Column(name) for name in ("Layer", "Type", "Arguments", "Output")]
_COLUMNS += [Column(name, "number") for name in ("Parameters", "Multiply-adds", "Memory", "Mean |x|", "Zeros")]
_COLUMNS += [Column(name, "number") for name in ("Dead units", "Gradient / weights")]


def network(found: Findings) -> Section:
    """Return the drawing of the network and the table of its nodes."""
    raw, part = (None, "") if found.judged is None else (found.judged.raw, shown_part(found.judged.part))
    known = network_facts(found.model, raw)
    nodes = list(known.spec.nodes)
    flagged = _problems(known)
    numbers, small = {node.name: k for k, node in enumerate(nodes)}, {*known.small_gradients()}
    lines = {node.name: _row(known, node, numbers[node.name], flagged, node.name in small) for node in nodes}
    shown = _with_room(known, lines)
    left_out = len(nodes) - len(shown)
    caption = f"The {len(shown):,} most expensive of {len(nodes):,} layers" if left_out else ""
    rows = [lines[node.name] for node in nodes if node.name in shown]
    table = Table(_COLUMNS, rows, caption, label="Layers", sort=True, id="nodes", frame="nodes")
    picture = "" if left_out else _picture(known, numbers, flagged)
    body: list[Block] = [Element(picture), Folded("All layers as a table", [table])]
    if not picture or len(picture) + len(html_of([table])) > _ROOM:
        command = Span(shell("graphspec", "plot", run_name(found.directory), "-o", "network.svg"), "code")
        body = [Text(("It is too large to be drawn here: ", command, " draws it."), "note"), table]
    blocks = [*_about(known, part), *_notes(known, flagged), *body]
    return Section("network", "Network", blocks, _finding(known, flagged), alarm=bool(flagged))


def _with_room(known: NetworkFacts, lines: dict[str, Row]) -> set[str]:
    """Return the nodes whose lines of the table the page has room for: all, or the most expensive ones."""
    costs = known.costs.nodes
    ordered = sorted(lines, key=lambda name: (costs[name].multiply_adds, costs[name].trainable), reverse=True)[:DRAWN]
    totals = accumulate(row_size(lines[name], _COLUMNS) for name in ordered)
    return {name for name, total in zip(ordered, totals, strict=True) if total <= _TABLE}


def _picture(known: NetworkFacts, numbers: dict[str, int], flagged: dict[str, str]) -> str:
    """Return the drawing beside a place for the details of a node."""
    panels = outline(known.spec, known.lowered, known.costs)
    return (
        f'{legend(panels)}<div class="network-view" data-network>'
        f'<div class="canvas" tabindex="0" role="region" aria-label="Drawing of the network">'
        f"{drawing(panels, numbers, flagged)}</div>"
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
    found: dict[str, str] = {}
    small = {*known.small_gradients()}
    for node in known.spec.nodes:
        facts = known.nodes.get(node.name, NodeFacts())
        active = facts.activation
        if active is not None and not active.finite:
            found[node.name] = "has values that are not finite"
        elif facts.gradient is not None and not math.isfinite(facts.gradient):
            found[node.name] = "has a gradient that is not finite"
        elif active is not None and active.dead and _is_relu(node):
            units = count(active.units, "unit")
            found[node.name] = f"{active.dead:,} of {units} are 0 in all {known.rows:,} rows (dead)"
        elif node.name in small:
            what = "a gradient far smaller than the others'" if facts.gradient else "no gradient at all"
            found[node.name] = f"gets {what}"
    return found


def _finding(known: NetworkFacts, flagged: Mapping[str, str]) -> str:
    """Return the problems in a few words."""
    active = [known.nodes[name].activation for name, why in flagged.items() if "dead" in why]
    if dead := sum(each.dead for each in active if each is not None):
        return f"{count(dead, 'hidden unit')} dead"
    return f"{count(len(flagged), 'layer')} with problems" if flagged else ""


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
    items: list[Inline] = [(Span(shorten_middle(name, 60), "code"), f" {flagged[name]}") for name in worst[:_PROBLEMS]]
    more = len(worst) - _PROBLEMS
    return [Items([*items, *([f"{more:,} more, marked in red below"] if more > 0 else [])], "problems")]


def _row(known: NetworkFacts, node: NodeDecl, place: int, flagged: dict[str, str], small: bool) -> Row:
    cost, facts = known.costs.nodes[node.name], known.nodes.get(node.name, NodeFacts())
    outputs = known.lowered.outputs.get(node.name) or ()
    shapes = "; ".join(show(v.shape) + ("" if v.dtype == "float32" else f" {v.dtype}") for v in outputs)
    size = cost.trainable + cost.frozen
    frozen = f" ({cost.frozen:,} frozen)" if cost.frozen else ""
    active, dead = facts.activation, Cell("")
    if active is not None and _is_relu(node):
        dead = Cell(f"{active.dead:,} of {active.units:,}", float(active.dead), "bad" if active.dead > 0 else "")
    cells: list[Inline | Cell] = [
        shorten_middle(node.name, 60),
        node.type or f"weights of {node.share}",
        shorten_end(_arguments(node), _ARGUMENTS),
        shapes,
        Cell(f"{size:,}{frozen}", float(size) if frozen else None) if size else "",
        f"{cost.multiply_adds:,}" if cost.multiply_adds else "",
        Cell(human(cost.activations), float(cost.activations)) if cost.activations else "",
        "" if active is None else amount(active.mean),
        "" if active is None else percent(active.zeros),
        dead,
        _gradient(facts, small),
    ]
    problem = (("problem", flagged[node.name]),) if node.name in flagged else ()
    return Row(cells, (("node", str(place)), *problem))


def _gradient(facts: NodeFacts, small: bool) -> Inline | Cell:
    if facts.gradient is None or facts.weights is None:
        return ""
    tip = f"norm of the gradient {amount(facts.gradient)}, of the weights {amount(facts.weights)}"
    relative = facts.relative
    shown = amount(facts.gradient if relative is None else relative)
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
