"""Why a network answers as it does: attributions at the leaves of its graph, mapped to columns, words, pixels and steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any

import numpy as np

from graphspec.base.arrays.blas import computing
from graphspec.base.arrays.layout import pieces
from graphspec.base.arrays.memory import free
from graphspec.base.arrays.pictures import Pictures
from graphspec.base.errors import UsageError, did_you_mean
from graphspec.data.signature import Data, user_inputs
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.prepared_rows import Prelude
from graphspec.engine.runtime.program import Program
from graphspec.engine.runtime.session import Session
from graphspec.graph.analysis import infer_shapes
from graphspec.graph.builder import Builder, Target, rebuild
from graphspec.graph.cuts import Frontier, Leaf, frontier, is_picture, part_of, repeatable
from graphspec.graph.ir.graph import Array, Graph, Type, Value
from graphspec.language.declarations import HeadDecl
from graphspec.vocabulary.layers.layer import Layer
from graphspec.vocabulary.layers.text import TextVectorization
from graphspec.vocabulary.metrics import targets_of

# Integrated gradients: how much each input of a network's differentiable part contributes to an answer.
#
# Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017: the attribution of an input x to an
# answer f is ``(x − b) · ∫ ∂f/∂x`` along the straight line from a baseline b to x. The attributions of a row add
# up to f(x) − f(b). Everything here is computed in float64 by the runtime's own backward pass.
TOLERANCE = 0.01  # the largest part of f(x) − f(b) by which the sum of a row's attributions may differ from it
MAX_STEPS = 4096  # the largest number of gradients of a row
SPREAD = 0.02  # of the sum of a row's absolute attributions: the largest difference of two rules, until ``FINE_STEPS``
FINE_STEPS = 128  # gradients after which only the sum law asks for more: of many pixels, some always differ
_NODES = 16  # of a Gauss-Legendre rule on one part of the path; a row begins with two parts
_SMALL = 1e-4  # differences below this part of f(x) count as this large
_SELECTOR = "explained"


@dataclass
class Path:
    """The attributions of one row."""

    value: float  # value, baseline: f(x) and f(b)
    baseline: float
    leaves: dict[str, Array]  # the attributions by leaf, each of the leaf's shape without the batch axis, float64
    steps: int  # the number of gradients

    @property
    def gap(self) -> float:
        """How far the sum of the attributions is from f(x) − f(b), as a part of it."""
        found = sum(float(a.sum()) for a in self.leaves.values())
        return abs(found - (self.value - self.baseline)) / _scale(self.value, self.baseline)


def _scale(value: float, baseline: float) -> float:
    return max(abs(value - baseline), _SMALL * max(abs(value), abs(baseline)), 1e-12)


def values_at(session: Session, feeds: Mapping[str, Array], wanted: Sequence[Value]) -> dict[str, Array]:
    """Compute values of the whole graph for checked raw inputs, by name. GS605 (RunError): onnxruntime fails."""
    values = {v.name: v for v in wanted if v.name not in session.whole.inputs}
    known = {v.name: np.asarray(feeds[v.name]) for v in wanted if v.name not in values}
    prelude, rest = session.once(("front", *values), lambda: _front(session.whole, values))
    if prelude is not None:
        known |= prelude.run({name: feeds[name] for name in prelude.graph.inputs})
    if rest.outputs:
        given = {name: known[name] if name in known else feeds[name] for name in rest.inputs}
        known |= _computed(rest, session.parameters, given, session.seed)
    return {v.name: known[v.name] for v in wanted}


def _computed(graph: Graph, parameters: Parameters, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
    target = Target({name: tuple(array.shape) for name, array in feeds.items()})
    return build_program(graph, parameters, target, seed=seed).results(feeds)


def _front(graph: Graph, values: Mapping[str, Value]) -> tuple[Prelude | None, Graph]:
    """Return what onnxruntime computes of some values, and the rest, which may read weights."""
    needed = graph.needed(values.values())
    first = repeatable(needed)
    read = {v.name: v for n in needed if n.name not in first for v in n.inputs if v is not None} | dict(values)
    crossing = {name: v for name, v in read.items() if v.node is not None and v.node.name in first}
    rest = part_of(graph, {name: v for name, v in values.items() if name not in crossing}, crossing)
    return Prelude(part_of(graph, crossing, ())) if crossing else None, rest


@dataclass
class Integrator:
    """Integrates the gradients of one head of a network for rows of the same shapes."""

    session: Session  # the network; its weights are read once
    cut: Frontier  # the cut of its graph at the leaves of the head
    head: str  # the head
    arrays: Mapping[str, Array]  # leaves and sides by name, for all rows
    baselines: Mapping[str, Array]  # a baseline for each leaf, without the batch axis
    _programs: dict[int, Program] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._leaves = [leaf.value.name for leaf in self.cut.leaves]
        # What stops gradients in training, as that by the level of a window, is a part of the answer here.
        graph = rebuild(self.cut.rest, lambda _, node, X: [*filter(None, X)] if node.op == "StopGradient" else None)
        output = graph.outputs[self.head]
        graph.targets[_SELECTOR] = chosen = Value(_SELECTOR, Type("float32", output.shape), "target")
        loss = Builder(graph, "explained").ReduceSum(Builder(graph, "explained.chosen").Mul(output, chosen), keepdims=0)
        self._graph: Graph = graph.with_outputs({self.head: output}, loss)
        self._parameters = Parameters(self._graph, np.float64)
        mine = self._graph.params
        self._parameters.set({name: a for name, a in self.session.parameters.get().items() if name in mine})
        # How many points of a path one program computes: as many as fit into a part of the free memory.
        shapes = {name: (1, *self.arrays[name].shape[1:]) for name in self._graph.inputs}
        known = infer_shapes(self.cut.rest, self.cut.rest.needed(self.cut.rest.outputs.values()), shapes)
        sizes = [math.prod(d for d in v.shape if isinstance(d, int)) for v in known.values() if v.kind == "op"]
        per_point = 8 * 3 * (sum(sizes) + 1)
        self._size = int(min(2 * (_NODES + 2), max(1, free() // 4 // per_point)))

    def _by_row(self, name: str) -> bool:
        shape = self._graph.inputs[name].shape
        return bool(shape) and shape[0] == "N"

    def _program(self, size: int, shape: tuple[int, ...]) -> Program:
        if size not in self._programs:
            shapes = {name: tuple(self.arrays[name].shape) for name in self._graph.inputs}
            shapes = {name: (size, *s[1:]) if self._by_row(name) else s for name, s in shapes.items()}
            target = Target(shapes | {_SELECTOR: (size, *shape)}, input_grads=self._leaves)
            self._programs[size] = build_program(self._graph, self._parameters, target, seed=self.session.seed)
        return self._programs[size]

    def outputs(self) -> Array:
        parts, inputs = [], {name: self.arrays[name] for name in self.cut.rest.inputs}
        for now in pieces(0, len(next(iter(self.arrays.values()))), self._size):
            feeds = {name: array[now] if self._by_row(name) else array for name, array in inputs.items()}
            parts.append(_computed(self.cut.rest, self._parameters, feeds, self.session.seed)[self.head])
        return np.concatenate(parts)

    @computing()
    def path(self, row: int, chosen: Array) -> Path:
        """Integrate along the path of one row, with as many steps as are needed, at most ``MAX_STEPS``.

        The path is cut in half where the sum of a part's attributions is farthest from the change of f in it, or, if
        the sums are right, where a rule with half of the points differs most: there are kinks, such as those of ReLU. A
        kink may change single attributions and not their sum. ``chosen``: the weight of each of the head's values in f,
        of the head's shape without the batch axis.
        """
        measure = partial(self._measure, row, chosen)
        parts = measure([(0.0, 0.5), (0.5, 1.0)])
        first, last = parts[0].start_value, parts[1].end_value
        allowed = TOLERANCE / 2 * _scale(last, first)
        total = {name: parts[0].leaves[name] + parts[1].leaves[name] for name in self._leaves}
        steps = 2 * _NODES
        while steps + 2 * _NODES <= MAX_STEPS:
            wrong = sum(part.gap for part in parts) > allowed
            size = sum(float(np.abs(a).sum()) for a in total.values())
            rough = steps < FINE_STEPS and sum(part.spread for part in parts) > SPREAD * size
            if not (wrong or rough):
                break
            worst = max(parts, key=lambda part: part.gap if wrong else part.spread)
            parts.remove(worst)
            middle = (worst.start + worst.end) / 2
            halves = measure([(worst.start, middle), (middle, worst.end)])
            for name, array in total.items():
                array += halves[0].leaves[name] + halves[1].leaves[name] - worst.leaves[name]
            parts += halves
            steps += 2 * _NODES
        return Path(last, first, total, steps)

    def _measure(self, row: int, chosen: Array, spans: Sequence[tuple[float, float]]) -> list[_Part]:
        points, weights, coarse = _rules()
        each = _NODES + 2
        ts = np.concatenate([np.array([a, *(a + (b - a) * (points + 1) / 2), b]) for a, b in spans])
        ws = np.zeros((2, len(ts)))
        for k, (a, b) in enumerate(spans):
            inside = slice(k * each + 1, (k + 1) * each - 1)
            ws[:, inside] = (b - a) / 2 * weights, (b - a) / 2 * coarse
        # f at each point, and the weighted sums of ``(x − b) · ∂f/∂x`` of each span, by both rules
        values, span_of = np.empty(len(ts)), np.arange(len(ts)) // each
        sums = [{name: np.zeros((2, *self.arrays[name].shape[1:])) for name in self._leaves} for _ in spans]
        for now in pieces(0, len(ts), self._size):
            size = now.stop - now.start
            program = self._program(size, chosen.shape)
            answers = program.results(self._points(row, ts[now]) | {_SELECTOR: chosen})
            values[now] = (answers[self.head] * chosen).reshape(size, -1).sum(axis=1)
            for k, of_span in enumerate(sums):
                weight = np.where(span_of[now] == k, ws[:, now], 0.0)
                for name in self._leaves:
                    difference = self.arrays[name][row] - self.baselines[name]
                    of_span[name] += np.tensordot(weight, program.grads[name], 1) * difference
        parts = []
        for k, (a, b) in enumerate(spans):
            spread = sum(float(np.abs(fine - rough).sum()) for fine, rough in sums[k].values())
            leaves = {name: pair[0] for name, pair in sums[k].items()}
            parts.append(_Part(a, b, float(values[k * each]), float(values[k * each + each - 1]), leaves, spread))
        return parts

    def _points(self, row: int, ts: Array) -> dict[str, Array]:
        found = {}
        for name in self._graph.inputs:
            value = self.arrays[name]
            if self._by_row(name):
                value = value[row]
                if name in self.baselines:
                    base = np.asarray(self.baselines[name], np.float64)
                    value = base + ts.reshape(-1, *[1] * base.ndim) * (value - base)
            found[name] = value
        return found


@cache
def _rules() -> tuple[Array, Array, Array]:
    """Return the points and weights of Gauss-Legendre quadrature, and weights of a rule with every other point."""
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    right, coarse = np.zeros(_NODES // 2), np.zeros(_NODES)
    right[0] = 2.0  # the integral of the first Legendre polynomial; those of the others are 0
    coarse[::2] = np.linalg.solve(np.polynomial.legendre.legvander(points[::2], len(right) - 1).T, right)
    return points, weights, coarse


@dataclass(eq=False)
class _Part:
    """A part of a path: f at both ends, the attributions that belong to it, and how far two rules for them differ."""

    start: float
    end: float
    start_value: float
    end_value: float
    leaves: dict[str, Array]
    spread: float

    @cached_property
    def gap(self) -> float:
        """How far the sum of the attributions is from the change of f."""
        found = sum(float(a.sum()) for a in self.leaves.values())
        return abs(found - (self.end_value - self.start_value))


MAX_ROWS = 256  # the largest number of rows of one explanation: the rows that ``predict`` computes at a time
_MEAN_ROWS = 1000  # rows whose mean is a baseline, at most
UNSEEN = "[unseen]"


@dataclass(frozen=True)
class Contribution:
    """What one raw value contributes to an answer."""

    input: str  # the name of the input; ``a + b`` for values that several inputs determine together
    place: str  # the place in it, such as a feature, a step or a pixel; empty for a column
    raw: Any  # the raw value: a number, a word, a category; None if there is none to show
    value: float  # the attribution

    @property
    def name(self) -> str:
        return f"{self.input}[{self.place}]" if self.place else self.input


@dataclass(frozen=True)
class Attributed:
    """The attributions of one input, or of several inputs that act together.

    ``values``: the attributions, float64 ``(rows, …)``: one per row, or one per word, feature, step or pixel. ``raw``: the
    raw values, of the same shape; pictures have their channels as a last axis; None for several inputs.
    """

    name: str  # the name of the input; ``a + b`` for several
    values: Array
    raw: Array | None
    words: bool = False  # whether the raw values are words; those that pad a text or do not occur in it are None
    bag: bool = False  # whether the words have no order: they are those of a vocabulary
    picture: bool = False  # whether the raw values are pictures
    names: tuple[str, ...] = ()  # of the elements of the last axis, if they have any, such as the columns of a series

    def contributions(self, row: int) -> Iterator[Contribution]:
        """Yield what each raw value of a row contributes; words that pad are left out."""
        values = self.values[row]
        for index in np.ndindex(values.shape):
            raw = None if self.raw is None else self.raw[(row, *index)]
            if self.words and raw is None:
                continue
            yield Contribution(self.name, self._place(index), _plain(raw), float(values[index]))

    def _place(self, index: tuple[int, ...]) -> str:
        if self.bag:
            return ""
        last = [self.names[index[-1]]] if self.names and index else []
        return ", ".join([*map(str, index[: len(index) - len(last)]), *last])


def _plain(raw: Any) -> Any:
    if isinstance(raw, np.ndarray):
        return raw.tolist()
    if isinstance(raw, np.floating):
        return float(str(raw))  # the digits of float32
    return raw.item() if isinstance(raw, np.generic) else raw


@dataclass(frozen=True)
class Attributions:
    """The attributions of some rows."""

    head: str  # the explained head
    explained: list[str]  # for each row, what is explained: the label or number of a class, or empty for a value
    values: Array  # values, baselines: f(x) and f(b) of each row
    baselines: Array
    gaps: Array  # how far the sum of a row's attributions is from f(x) − f(b), as a part of it
    steps: Array  # the number of gradients of each row
    parts: list[Attributed]  # the attributions by input


def explain_inputs(
    session: Session, x: Data, *, head: str | None, label: str | None, baseline: Data, rows: int | None
) -> Attributions:
    """Check rows from a Python caller, and attribute the answers for them; see :func:`explain_rows`."""
    session.require_adapted()
    feeds = _arrays(user_inputs(session.needed_inputs, x), rows)
    mean_of = None if baseline is None else _arrays(user_inputs(session.needed_inputs, baseline), _MEAN_ROWS)
    return explain_rows(session, feeds, head=head, label=label, mean_of=mean_of)


def _arrays(columns: Mapping[str, Any], rows: int | None) -> dict[str, Array]:
    """Return columns, which may be those of a file, as arrays."""
    found = {name: column[: len(column) if rows is None else rows] for name, column in columns.items()}
    if any(isinstance(column, Pictures) for column in found.values()):
        raise UsageError("pictures of several sizes cannot be explained together: give one, or those of one size")
    return {name: np.asarray(column) for name, column in found.items()}


def explain_rows(
    session: Session,
    feeds: Mapping[str, Array],
    *,
    head: str | None,  # None if there is one
    label: str | None,  # the label or number of the class to explain; None for the predicted one of each row
    mean_of: Mapping[str, Array] | None,
) -> Attributions:
    """Attribute the answers for checked raw rows to their raw values.

    The baseline is the mean of the rows ``mean_of``; None for the neutral one: the mean of standardized numbers, no
    category, padding, black.

    Raises UsageError: there is no such head or class, the head has no single value, or there are too many rows.
    """
    session.require_adapted()
    chosen = _head(session, head)
    rows = len(next(iter(feeds.values())))
    if rows > MAX_ROWS:
        raise UsageError(f"{rows:,} rows are too many: at most {MAX_ROWS} are explained at a time; pass fewer")
    with session.access.reading():
        cut: Frontier = session.once(("frontier", chosen.name), lambda: frontier(session.whole, chosen.name))
        if not cut.leaves:
            text = f"head '{chosen.name}' has no gradient by any input: nothing in it can be attributed"
            raise UsageError(f"{text}; explain another head")
        mapping = _Mapping(session, cut)
        arrays = values_at(session, feeds, [*(leaf.value for leaf in cut.leaves), *cut.sides, *mapping.texts.values()])
        texts = {name: arrays[value.name] for name, value in mapping.texts.items()}
        baselines = {leaf.value.name: mapping.baseline(leaf, arrays[leaf.value.name]) for leaf in cut.leaves}
        if mean_of is not None:  # a leaf with another length than the explained rows stays neutral
            first = {name: array[:_MEAN_ROWS] for name, array in mean_of.items()}
            found = values_at(session, first, [leaf.value for leaf in cut.leaves])
            means = {name: array.mean(axis=0, dtype=np.float64) for name, array in found.items()}
            baselines |= {name: mean for name, mean in means.items() if mean.shape == baselines[name].shape}
        given = {name: array for name, array in arrays.items() if name in cut.rest.inputs}
        integrator = Integrator(session, cut, chosen.name, given, baselines)
        selectors, explained, offsets = _selectors(chosen, integrator.outputs(), label, session.cutoffs[chosen.name])
        paths = [integrator.path(row, selectors[row]) for row in range(rows)]
    numbers = ("value", "baseline", "gap", "steps")
    values, baseline, gaps, steps = (np.array([getattr(path, name) for path in paths]) for name in numbers)
    parts = mapping.parts(feeds, arrays, texts, paths)
    return Attributions(chosen.name, explained, values + offsets, baseline + offsets, gaps, steps, parts)


def _head(session: Session, name: str | None) -> HeadDecl:
    heads = session.spec.heads
    if name is None and len(heads) > 1:
        listed = ", ".join(f"'{h}'" for h in heads)
        raise UsageError(f"the network has the heads {listed}: name the one to explain (`head=`, or --head)")
    if name is not None and name not in heads:
        hint = did_you_mean(name, list(heads))
        raise UsageError(f"there is no head '{name}'; " + (hint or f"the heads are {', '.join(heads)}"))
    found = heads[name] if name is not None else next(iter(heads.values()))
    if found.loss is not None and targets_of(found.loss) == "labels":
        text = f"head '{found.name}' writes a text by CTC: its answer is the best path through all steps"
        raise UsageError(f"{text}, no single value with a gradient; explain another head")
    return found


def _selectors(head: HeadDecl, outputs: Array, label: str | None, cutoff: float) -> tuple[Array, list[str], Array]:
    """Return the weights of a head's values in f, what each row explains, and what to add to f of each row."""
    rows, shape = len(outputs), outputs.shape[1:]
    weights, offsets = np.zeros((rows, *shape)), np.zeros(rows)
    units, labels = shape[-1] if shape else 1, head.labels
    classes = labels is not None or (head.loss is not None and targets_of(head.loss) in ("ids", "one_hot"))
    if units == 1:  # the probability of the second class; that of the first class is 1 minus it
        binary = labels is not None and len(labels) == 2
        if label is not None and not binary:
            raise UsageError(f"head '{head.name}' has one value and no classes: leave the class out")
        if not binary:
            return np.ones_like(weights), [""] * rows, offsets
        assert labels is not None
        given = None if label is None else _class(head, label, 2)
        flat = outputs.reshape(rows, -1)
        first = (flat <= cutoff) if given is None else np.full(flat.shape, given == 0)
        weights = np.where(first, -1.0, 1.0).reshape(weights.shape)
        names = [_named(head, {int(not f) for f in row}) for row in first]
        return weights, names, first.sum(axis=1).astype(float)
    if label is None and not classes:
        return np.ones_like(weights), ["the sum of its values"] * rows, offsets
    if label is not None:
        weights[..., k := _class(head, label, units)] = 1
        return weights, [_named(head, {k})] * rows, offsets
    best = outputs.argmax(-1)
    np.put_along_axis(weights, best[..., None], 1, axis=-1)
    return weights, [_named(head, {int(k) for k in np.ravel(best[row])}) for row in range(rows)], offsets


def _named(head: HeadDecl, ids: set[int]) -> str:
    """Return the class of a row; of several positions with several classes, how many there are."""
    if len(ids) > 1:
        return "the predicted classes"
    (k,) = ids
    return head.labels[k] if head.labels is not None and k < len(head.labels) else str(k)


def _class(head: HeadDecl, label: str, units: int) -> int:
    if head.labels is not None and label in head.labels:
        return head.labels.index(label)
    if head.labels is None and label.isascii() and label.isdigit() and int(label) < units:
        return int(label)
    listed = f"0 to {units - 1}" if head.labels is None else ", ".join(head.labels[:10])
    hint = did_you_mean(label, head.labels or []) or f"the classes are {listed}"
    raise UsageError(f"head '{head.name}' has no class '{label}'; {hint}")


class _Mapping:
    """How the leaves of a network belong to its raw inputs."""

    def __init__(self, session: Session, cut: Frontier) -> None:
        self.session, self.cut = session, cut
        self.layers = {n.name: n.layer for n in session.spec.nodes}
        self.layers |= {n.name: self.layers[n.share] for n in session.spec.nodes if n.share is not None}
        self.texts = {leaf.value.name: v for leaf in cut.leaves if (v := self._tokens(leaf)) is not None}

    def _layer(self, value: Value) -> Layer | None:
        return None if value.node is None else self.layers.get(value.node.owner)

    def _tokens(self, leaf: Leaf) -> Value | None:
        """Return the words of a text, the last ones that are computed before the leaf; None without words in order."""
        if len(leaf.sources) != 1 or self._vectorizer(leaf) is not None:
            return None
        nodes = self.session.whole.needed([leaf.value])
        layers = [self.layers.get(n.owner) for n in nodes]
        if any(isinstance(layer, TextVectorization) and layer.ngrams not in (None, 1) for layer in layers):
            return None
        texts = (v for n in reversed(nodes) for v in reversed(n.outputs) if v.type.is_string and v.rank == 2)
        return next((v for v in texts if isinstance(v.shape[1], str)), None)

    def _vectorizer(self, leaf: Leaf) -> TextVectorization | None:
        layer = self._layer(leaf.value)
        if isinstance(layer, TextVectorization) and layer.output_mode != "int" and len(leaf.sources) == 1:
            return layer
        return None

    def baseline(self, leaf: Leaf, array: Array) -> Array:
        """Return the neutral value of a leaf: the vector of id 0 for an embedding without a mask, else 0."""
        shape, node = array.shape[1:], leaf.value.node
        if node is not None and node.op == "Gather":
            table, layer = node.inputs[0], self._layer(leaf.value)
            by_row = table is not None and table.param is not None and node.attrs.get("axis", 0) == 0
            if by_row and table is not None and not getattr(layer, "mask_zero", False):
                weights = self.session.parameters.view(table.name)
                return np.broadcast_to(np.asarray(weights[0], np.float64), shape).copy()
        return np.zeros(shape)

    def parts(
        self, feeds: Mapping[str, Array], arrays: Mapping[str, Array], texts: Mapping[str, Array], paths: Sequence[Path]
    ) -> list[Attributed]:
        """Return the attributions by raw input, in the order of the inputs; groups come last."""
        found: dict[str, Attributed] = {}
        for leaf in self.cut.leaves:
            name = leaf.value.name
            values = np.stack([np.asarray(path.leaves[name]) for path in paths])
            part = self._part(leaf, values, feeds, texts.get(name), arrays[name])
            if (known := found.get(part.name)) is not None:
                part = _joined(known, part)
            found[part.name] = part
        order = {name: k for k, name in enumerate(self.session.whole.inputs)}
        return sorted(found.values(), key=lambda part: order.get(part.name, len(order)))

    def _part(self, leaf: Leaf, values: Array, rows: Mapping[str, Array], words: Array | None, at: Array) -> Attributed:
        if len(leaf.sources) != 1:
            return Attributed(" + ".join(leaf.sources), _summed(values, 1), None)
        (name,) = leaf.sources
        raw = np.asarray(rows[name])
        if (layer := self._vectorizer(leaf)) is not None and values.ndim == 2:
            tokens = [*(layer.tokens() or ())]
            names = [*[UNSEEN] * (values.shape[1] - len(tokens)), *tokens]
            raw_words = np.full(at.shape, None, object)
            raw_words[at != 0] = np.broadcast_to(np.array(names, object), at.shape)[at != 0]
            return Attributed(name, values, raw_words, words=True, bag=True)
        if words is not None and values.ndim >= 2 and not raw.ndim > 2:
            return Attributed(name, _summed(values, 2), _padded_words(words, values.shape[1]), words=True)
        if is_picture(self.session.whole.inputs[name]) and values.shape[:3] == raw.shape[:3]:
            return Attributed(name, _summed(values, 3), raw, picture=True)
        while raw.ndim > 2 and raw.shape[-1] == 1:
            raw = raw[..., 0]
        if values.shape[: raw.ndim] == raw.shape and raw.size > len(raw):
            return Attributed(name, _summed(values, raw.ndim), raw, names=self._names(name, raw.shape[-1]))
        single = raw.reshape(len(raw)) if raw.size == len(raw) else None
        return Attributed(name, _summed(values, 1), single)

    def _names(self, name: str, size: int) -> tuple[str, ...]:
        for source in self.session.spec.data.values():
            columns = (source.inputs or {}).get(name)
            if isinstance(columns, list) and len(columns) == size and size > 1:
                return tuple(columns)
        return ()


def _summed(values: Array, axes: int) -> Array:
    """Return sums over all axes after the first ``axes``."""
    return np.asarray(values.reshape(*values.shape[:axes], -1).sum(axis=-1))


def _padded_words(words: Array, length: int) -> Array:
    """Return ``length`` words per row; those that pad are None."""
    found = np.full((len(words), length), None, object)
    texts = words[:, :length].astype(object)
    found[:, : texts.shape[1]][texts != ""] = texts[texts != ""]
    return found


def _joined(one: Attributed, other: Attributed) -> Attributed:
    """Return the sum of two parts of one input: element by element if they have the same shape, else as a whole."""
    if one.values.shape == other.values.shape:
        return replace(one, values=one.values + other.values)
    return Attributed(one.name, _summed(one.values, 1) + _summed(other.values, 1), None)
