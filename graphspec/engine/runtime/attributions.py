"""Integrated gradients: how much each input of a network's differentiable part contributes to an answer.

Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017: the attribution of an input x to an answer
f is ``(x − b) · ∫ ∂f/∂x`` along the straight line from a baseline b to x. The attributions of a row add up to f(x) − f(b).
Everything here is computed in float64 by the runtime's own backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.blas import computing
from graphspec.base.arrays.calls import settings
from graphspec.base.arrays.memory import free
from graphspec.engine.runtime.build import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.prelude import Prelude
from graphspec.graph.analysis import infer_shapes
from graphspec.graph.builder import Builder
from graphspec.graph.cuts import Frontier, part_of, repeatable
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.target import Target

if TYPE_CHECKING:
    from graphspec.engine.runtime.program import Program
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.ir.graph import Array

TOLERANCE = 0.01
"""The largest part of f(x) − f(b) by which the sum of a row's attributions may differ from it."""
MAX_STEPS = 4096
"""The largest number of gradients of a row."""
SPREAD = 0.02
"""The largest difference between two rules, as a part of the sum of a row's absolute attributions, with ``FINE_STEPS``."""
FINE_STEPS = 128
"""The number of gradients after which only the sum law asks for more: of many pixels, some always differ."""
_NODES = 16  # of a Gauss-Legendre rule on one part of the path; a row begins with two parts
_SMALL = 1e-4  # differences below this part of f(x) count as this large
_SELECTOR = "explained"


@dataclass
class Path:
    """The attributions of one row.

    Attributes:
        value, baseline: f(x) and f(b).
        leaves: the attributions by leaf, each of the leaf's shape without the batch axis, float64.
        steps: the number of gradients.
    """

    value: float
    baseline: float
    leaves: dict[str, Array]
    steps: int

    @property
    def gap(self) -> float:
        """How far the sum of the attributions is from f(x) − f(b), as a part of it."""
        found = sum(float(a.sum()) for a in self.leaves.values())
        return abs(found - (self.value - self.baseline)) / _scale(self.value, self.baseline)


def _scale(value: float, baseline: float) -> float:
    return max(abs(value - baseline), _SMALL * max(abs(value), abs(baseline)), 1e-12)


def values_at(session: Session, feeds: Mapping[str, Array], wanted: Sequence[Value]) -> dict[str, Array]:
    """Compute values of the whole graph for checked raw inputs, by name: what has no weights under onnxruntime.

    Raises:
        RunError: GS605, onnxruntime cannot compute them.
    """
    values = {v.name: v for v in wanted if v.name not in session.whole.inputs}
    known = {v.name: np.asarray(feeds[v.name]) for v in wanted if v.name not in values}
    prelude, rest = session.once(("front", *values), lambda: _front(session.whole, values))
    if prelude is not None:
        known |= prelude.run({name: feeds[name] for name in prelude.graph.inputs})
    if rest.outputs:
        given = {name: known[name] if name in known else feeds[name] for name in rest.inputs}
        shapes = {name: tuple(array.shape) for name, array in given.items()}
        program = build_program(rest, session.parameters, Target(shapes), seed=session.seed)
        for name, buffer in program.feeds.items():
            buffer[...] = given[name]
        with settings():
            program.run()
        known |= {name: array.copy() for name, array in program.fetches.items()}
    return {v.name: known[v.name] for v in wanted}


def _front(graph: Graph, values: Mapping[str, Value]) -> tuple[Prelude | None, Graph]:
    """Return what onnxruntime computes of some values, and the rest, which may read weights."""
    needed = graph.needed(values.values())
    first = repeatable(needed)
    crossing = {
        v.name: v
        for n in needed
        for v in n.inputs
        if n.name not in first and v is not None and v.node is not None and v.node.name in first
    }
    crossing |= {name: v for name, v in values.items() if v.node is not None and v.node.name in first}
    rest = part_of(graph, {name: v for name, v in values.items() if name not in crossing}, crossing)
    return Prelude(part_of(graph, crossing, ())) if crossing else None, rest


@dataclass
class Integrator:
    """Integrates the gradients of one head of a network for rows of the same shapes.

    Args:
        session: the network; its weights are read once.
        cut: the cut of its graph at the leaves of the head.
        head: the head.
        arrays: leaves and sides by name, for all rows.
        baselines: a baseline for each leaf, without the batch axis.
    """

    session: Session
    cut: Frontier
    head: str
    arrays: Mapping[str, Array]
    baselines: Mapping[str, Array]
    _programs: dict[int, Program] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._leaves = [leaf.value.name for leaf in self.cut.leaves]
        rest = self.cut.rest
        output = rest.outputs[self.head]
        graph = rest.copy()
        graph.targets[_SELECTOR] = chosen = Value(_SELECTOR, Type("float32", output.shape), "target")
        loss = Builder(graph, "explained").ReduceSum(Builder(graph, "explained.chosen").Mul(output, chosen), keepdims=0)
        self._graph: Graph = graph.with_outputs({self.head: output}, loss)
        self._parameters = Parameters(self._graph, np.float64)
        mine = self._graph.params
        self._parameters.set({name: a for name, a in self.session.parameters.get().items() if name in mine})
        self._size = self._rows_at_once()

    def _rows_at_once(self) -> int:
        """Return how many points of a path one program computes: as many as fit into a part of the free memory."""
        shapes = {name: (1, *self._point_shape(name)) for name in self._graph.inputs}
        nodes = self.cut.rest.needed(self.cut.rest.outputs.values())
        known = infer_shapes(self.cut.rest, nodes, shapes)
        sizes = [math.prod(d for d in v.shape if isinstance(d, int)) for v in known.values() if v.kind == "op"]
        per_point = 8 * 3 * (sum(sizes) + 1)
        return int(min(2 * (_NODES + 2), max(1, free() // 4 // per_point)))

    def _point_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.arrays[name].shape[1:])

    def _by_row(self, name: str) -> bool:
        shape = self._graph.inputs[name].shape
        return bool(shape) and shape[0] == "N"

    def _program(self, size: int, shape: tuple[int, ...]) -> Program:
        if size not in self._programs:
            shapes = {
                name: (size, *self._point_shape(name)) if self._by_row(name) else tuple(self.arrays[name].shape)
                for name in self._graph.inputs
            }
            target = Target(shapes | {_SELECTOR: (size, *shape)}, input_grads=self._leaves)
            self._programs[size] = build_program(self._graph, self._parameters, target, seed=self.session.seed)
        return self._programs[size]

    def outputs(self) -> Array:
        """Return the head's values for all rows, in float64."""
        rest = self.cut.rest
        shapes = {name: tuple(self.arrays[name].shape) for name in rest.inputs}
        parts = []
        rows = len(next(iter(self.arrays.values())))
        for start in range(0, rows, self._size):
            size = min(self._size, rows - start)
            at = {n: (size, *s[1:]) if self._by_row(n) else s for n, s in shapes.items()}
            program = build_program(rest, self._parameters, Target(at), seed=self.session.seed)
            for name, buffer in program.feeds.items():
                buffer[...] = self.arrays[name][start : start + size] if self._by_row(name) else self.arrays[name]
            with settings():
                program.run()
            parts.append(program.fetches[self.head].copy())
        return np.concatenate(parts)

    @computing()
    def path(self, row: int, chosen: Array) -> Path:
        """Integrate along the path of one row, with as many steps as are needed, at most ``MAX_STEPS``.

        The path is cut in half where the sum of a part's attributions is farthest from the change of f in it, or, if the
        sums are right, where a rule with half of the points differs most: there are kinks, such as those of ReLU. A kink may
        change single attributions and not their sum.

        Args:
            chosen: the weight of each of the head's values in f, of the head's shape without the batch axis.
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
        """Integrate over some parts of a row's path."""
        points, weights, coarse = _rules()
        each = _NODES + 2
        ts = np.concatenate([np.array([a, *(a + (b - a) * (points + 1) / 2), b]) for a, b in spans])
        ws = np.zeros((2, len(ts)))
        for k, (a, b) in enumerate(spans):
            inside = slice(k * each + 1, (k + 1) * each - 1)
            ws[:, inside] = (b - a) / 2 * weights, (b - a) / 2 * coarse
        found, sums = self._gradients(row, chosen, ts, ws, len(spans))
        parts = []
        for k, (a, b) in enumerate(spans):
            spread = sum(float(np.abs(fine - rough).sum()) for fine, rough in sums[k].values())
            leaves = {name: pair[0] for name, pair in sums[k].items()}
            parts.append(_Part(a, b, float(found[k * each]), float(found[k * each + each - 1]), leaves, spread))
        return parts

    def _gradients(
        self, row: int, chosen: Array, ts: Array, ws: Array, spans: int
    ) -> tuple[Array, list[dict[str, Array]]]:
        """Return f at each point, and the weighted sums of ``(x − b) · ∂f/∂x`` of each span, by both rules."""
        each = _NODES + 2
        values = np.empty(len(ts))
        sums = [{name: np.zeros((2, *self._point_shape(name))) for name in self._leaves} for _ in range(spans)]
        for start in range(0, len(ts), self._size):
            size = min(self._size, len(ts) - start)
            program = self._program(size, chosen.shape)
            now = slice(start, start + size)
            self._fill(program, row, ts[now])
            program.feeds[_SELECTOR][...] = chosen
            with settings():
                program.run()
            values[now] = (program.fetches[self.head] * chosen).reshape(size, -1).sum(axis=1)
            for k in range(spans):
                weight = np.where(np.arange(start, start + size) // each == k, ws[:, now], 0.0)
                for name in self._leaves:
                    difference = self.arrays[name][row] - self.baselines[name]
                    sums[k][name] += np.tensordot(weight, program.grads[name], 1) * difference
        return values, sums

    def _fill(self, program: Program, row: int, ts: Array) -> None:
        for name, buffer in program.feeds.items():
            if name == _SELECTOR:
                continue
            if not self._by_row(name):
                buffer[...] = self.arrays[name]
            elif name in self.baselines:
                base = np.asarray(self.baselines[name], np.float64)
                step = ts.reshape(-1, *[1] * base.ndim)
                buffer[...] = base + step * (self.arrays[name][row] - base)
            else:
                buffer[...] = self.arrays[name][row]


@cache
def _rules() -> tuple[Array, Array, Array]:
    """Return the points and weights of Gauss-Legendre quadrature, and weights of a rule with every other point."""
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    some = slice(0, None, 2)
    right = np.zeros(_NODES // 2)
    right[0] = 2.0  # the integral of the first Legendre polynomial; those of the others are 0
    coarse = np.zeros(_NODES)
    coarse[some] = np.linalg.solve(np.polynomial.legendre.legvander(points[some], len(right) - 1).T, right)
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
