"""LSTM, GRU and RNN in training: the operators of a step in ONNX's Scan, whose gradient is another Scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphspec.graph.builder import Builder
from graphspec.graph.decompositions import emit_scan, give_outputs, placeholder, positions, repeated
from graphspec.graph.derivatives.arrays import zeros_like
from graphspec.graph.derivatives.forms import form
from graphspec.graph.derivatives.walk import cotangents, derivative
from graphspec.graph.ir.graph import Graph, Value
from graphspec.graph.ops import OPS
from graphspec.graph.ops.op import declared_attributes
from graphspec.graph.ops.recurrent import DIRECTIONS


def _activated(g: Builder, function: tuple[str, float, float], X: Value) -> Value:
    name, alpha, beta = function
    if name in ("Affine", "ScaledTanh"):
        return X * alpha + beta if name == "Affine" else g.Tanh(X * beta) * alpha
    declared = declared_attributes(OPS[name])
    Y: Value = g.emit(name, [X], {k: v for k, v in (("alpha", alpha), ("beta", beta)) if k in declared})
    return Y


def _each(g: Builder, X: Value | None, count: int) -> Sequence[Value | None]:
    """Emit the ``count`` parts of X along its first axis, without it."""
    if X is None:
        return [None] * count
    parts: Sequence[Value] = [X] if count == 1 else g.Split(X, g.constant([1] * count), axis=0)
    return [g.Squeeze(v, g.constant([0])) for v in parts]


@form("LSTM", "GRU", "RNN", "DropoutLSTM", "DropoutGRU", "DropoutRNN")
def recurrent(g: Builder, op: Any, X: Value, *inputs: Value | None) -> tuple[Value, ...]:
    """Emit each direction; a step beyond the end of a sequence leaves its state as it was."""
    count = 4 + op.cell.states
    W, R, B, lens, *initial = [*inputs, *[None] * count][:count]
    masks = [g.transpose(mask, (1, 0, 2)) for mask in inputs[count:] if mask is not None]  # (gates, N, size)
    reverses, functions, results = DIRECTIONS[op.direction], op.functions(), []
    weights = zip(*(_each(g, v, len(reverses)) for v in (W, R, B, *initial)), strict=True)
    for k, (own, reverse) in enumerate(zip(weights, reverses, strict=True)):
        half = len(functions) // len(reverses)
        with g.part(f"{k}"):
            cell = _Cell(g, op, functions[k * half : (k + 1) * half], masks)
            results.append(cell.run(X, own, lens, int(reverse)))
    axes = 1, *[0] * op.cell.states  # of the directions in Y, and in the last states
    return tuple(p[0] if len(p) == 1 else g.Concat(*p, axis=k) for k, *p in zip(axes, *results, strict=True))


class _Cell:
    """One direction. With masks every gate has a state and an input of its own, and the gates are the first axis.

    Inside a step values are (1, N, size), or with masks (gates, N, size).
    """

    def __init__(self, g: Builder, op: Any, functions: Sequence[Any], masks: Sequence[Value]) -> None:
        self.g, self.op, self.functions, self.masks = g, op, functions, masks
        self.H, self.is_gru = op.hidden_size, "GRU" in type(op).__name__
        self.after = self.is_gru and op.linear_before_reset

    def gates(self, g: Builder, z: Value, *counts: int) -> Sequence[Value]:
        """Emit the parts of z with some gates each."""
        width, axis = (1, z.rank - 3) if self.masks else (self.H, z.rank - 1)
        parts: Sequence[Value] = g.Split(z, g.constant([k * width for k in counts]), axis=axis)
        return parts

    def turned(self, M: Value, count: int) -> Value:
        """Emit the weights of ``count`` gates as the second operand of a product."""
        g = self.g
        return g.transpose(g.reshape(M, (count, self.H, -1)), (0, 2, 1)) if self.masks else g.transpose(M, (1, 0))

    def activate(self, g: Builder, k: int, z: Value) -> Value:
        clip = self.op.clip
        return _activated(g, self.functions[k], z if clip is None else g.Clip(z, g.constant(-clip), g.constant(clip)))

    def step(self, g: Builder, states: Sequence[Value], x: Value, v: Mapping[str, Value]) -> Sequence[Value]:
        """Emit the states after a step; ``v`` has the weights."""
        h, *rest = states
        seen = h * v["mask"] if "mask" in v else h
        by_state = seen @ v["R"]
        if not self.is_gru:
            z = x + by_state
            if not rest:
                return [self.activate(g, 0, z)]
            parts = zip((0, 0, 0, 1), self.gates(g, z, 1, 1, 1, 1), strict=True)
            i, o, f, new = (self.activate(g, k, part) for k, part in parts)
            c = f * rest[0] + i * new
            return [o * _activated(g, self.functions[2], c), c]
        first, candidate = self.gates(g, x, 2, 1)
        recurring = None
        if self.after:
            by_state, recurring = self.gates(g, by_state + v["bias"] if "bias" in v else by_state, 2, 1)
        z, r = self.gates(g, self.activate(g, 0, first + by_state), 1, 1)
        if recurring is None:
            kept = r * h * v["candidate_mask"] if "candidate_mask" in v else r * h
            new = self.activate(g, 1, candidate + kept @ v["candidate"])
        else:
            new = self.activate(g, 1, candidate + r * recurring)
        return [new + z * (h - new)]

    def run(self, X: Value, own: Any, lens: Value | None, reverse: int) -> Sequence[Value]:
        """Emit all steps; return the outputs (T, 1, N, H) and the last states (1, N, H)."""
        g, H, n, masks = self.g, self.H, self.op.gates, self.masks
        W, R, B, *initial = own
        x, v = g.Unsqueeze(X, g.constant([1])), dict[str, Value]()
        sums = (x * masks[1] if len(masks) > 1 else x) @ self.turned(W, n)
        if B is not None:
            biases = [g.reshape(b, (n, 1, H)) if masks else b for b in g.Split(B, g.constant([n * H] * 2), axis=0)]
            sums = sums + (biases[0] if self.after else biases[0] + biases[1])
            v |= {"bias": biases[1]} if self.after else {}
        v |= {"R": R} | ({"mask": masks[0]} if masks else {})
        if self.is_gru and not self.after:
            v["R"], v["candidate"] = g.Split(R, g.constant([2 * H, H]), axis=0)
            v["candidate"] = self.turned(v["candidate"], 1)
            if masks:
                v["mask"], v["candidate_mask"] = g.Split(masks[0], g.constant([2, 1]), axis=0)
        v["R"] = self.turned(v["R"], v["R"].fixed(0) // H)
        zeros = g.Expand(g.constant(0.0), g.ints([1, g.size(X, 1), H]))
        states = [zeros if s is None else g.Unsqueeze(s, g.constant([0])) for s in initial]
        sequences = [sums]
        if lens is not None:
            v["ends"] = g.reshape(g.Cast(lens, to="int64"), (1, -1, 1))
            states = [s if s is zeros else g.Where(v["ends"] > 0, s, g.constant(0.0)) for s in states]
            sequences.append(positions(g, g.size(X, 0)))

        def step(b: Builder, before: Sequence[Value], now: Sequence[Value], v: Mapping[str, Value]) -> Sequence[Value]:
            after = self.step(b, before, now[0], v)
            if "ends" not in v:
                return after
            valid = v["ends"] > now[1]
            kept = [b.Where(valid, new, old) for new, old in zip(after, before, strict=True)]
            return [*kept, b.Where(valid, after[0], b.constant(0.0))]

        last, outputs = repeated(g, step, states, sequences, v, reverse)
        return [outputs[0 if lens is None else -1], *last]


@derivative("Scan")
def scan(g: Builder, op: Any, node: Any, dYs: Sequence[Value | None], wants: Sequence[bool]) -> list[Value | None]:
    """Emit a Scan the other way: a step computes its states again, and adds its part to the gradients of what is the same.

    The steps' first outputs are the states after them.
    """
    count, last = op.states, op.states + op.sequences
    states, sequences, same = node.inputs[:count], node.inputs[count:last], node.inputs[last:]
    inputs, outputs = list(op.body.inputs.values()), list(op.body.outputs.values())
    all_states, one = node.outputs[count : 2 * count], g.constant([0])
    before = []
    for start, after in zip(states, all_states, strict=True):
        edge = g.Unsqueeze(start, one)
        cut = g.Slice(after, *((g.constant([1]), g.constant([2**62])) if op.reverse else (one, g.constant([-1]))), one)
        before.append(g.Concat(*((cut, edge) if op.reverse else (edge, cut)), axis=0))
    body = Graph(f"{g.owner}/{g._prefix}step", nodes=list(op.body.nodes))
    chosen, summed = ([inputs[k] for k in at if wants[k]] for at in (range(count, last), range(last, len(inputs))))
    with Builder(body, g.owner, _prefix=f"{g._prefix}step/") as b:
        carried = [placeholder(b, "state", v.type) for v in inputs[:count]]
        totals = [placeholder(b, "total", v.type) for v in summed]
        body.inputs |= {v.name: v for v in inputs[:last]}
        given = [v for v, d in zip(outputs[count:], dYs[count:], strict=True) if d is not None]
        of_outputs = [(v, placeholder(b, "gradient", v.type)) for v in given]
        body.inputs |= {v.name: v for v in inputs[last:]}
        wanted = [v.name for v in (*inputs[:count], *chosen, *summed)]
        parts = [*zip(outputs, carried, strict=False), *of_outputs]
        found = cotangents(body, parts, wanted, f"{b.owner}/{b._prefix}")
        new = [found.get(v.name) or zeros_like(b, v) for v in inputs[:count]]
        new += [t + found[v.name] if v.name in found else t for t, v in zip(totals, summed, strict=True)]
        new += [found.get(v.name) or zeros_like(b, v) for v in chosen]
        give_outputs(b, new)
    starts = [d if d is not None else zeros_like(g, s) for d, s in zip(dYs, states, strict=False)]
    starts += [zeros_like(g, v) for v, want in zip(same, wants[last:], strict=True) if want]
    read = [*before, *sequences, *(d for d in dYs[count:] if d is not None)]
    results = iter(emit_scan(g, body, starts, read, same, 1 - op.reverse))
    of_states = [next(results) for _ in states]
    others = {v.name: next(results) for v in (*summed, *chosen)}
    return [*of_states, *(others.get(v.name) for v in inputs[count:])]
