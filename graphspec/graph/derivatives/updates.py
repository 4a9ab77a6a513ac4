"""Optimizers as nodes: the calls of NumPy that an update makes, and its scalars of a step, read and written once more.

An update is traced on small arrays: each call becomes the node that its function is (:data:`.expressions.NODES`), so no
optimizer has a second formula. The scalars of a step are traced in float64, where ``1 - beta ** t`` keeps its digits; one
that Python decides about, such as a rate after a warm-up, becomes a table over the steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import Calls
from graphspec.base.errors import Code, ProblemError
from graphspec.graph.builder import Builder
from graphspec.graph.expressions import NODES
from graphspec.graph.ir.graph import Array, Param, Value
from graphspec.graph.kernels import compiled
from graphspec.graph.optimizers import Optimizer
from graphspec.graph.optimizers.optimizer import Settings, settings_of
from graphspec.graph.schedules import rate_at

Values = Mapping[str, Value]  # by name


def _method(op: str, *, swapped: bool = False) -> Callable[[Number, Any], Number]:
    """Return the method of numbers for an operator; ``swapped``: its first operand is the other number."""

    def emit(self: Number, other: Any) -> Number:
        value = other.value if isinstance(other, Number) else self.g.constant(np.float64(other), "float64")
        return Number(self.g, self.g.emit(op, (value, self.value) if swapped else (self.value, value), {}))

    return emit


class Number:
    """A float64 scalar of the graph in Python's arithmetic; comparing it, or a function of ``math``, is a TypeError."""

    __array_ufunc__ = None

    def __init__(self, g: Builder, value: Value, whole: Value | None = None) -> None:
        self.g, self.value, self.whole = g, value, whole  # `whole`: the same as an int64, if it is the step

    @classmethod
    def of_step(cls, g: Builder, step: Value) -> Number:
        return cls(g, g.Cast(step, to="float64"), step)

    __add__, __sub__, __mul__, __truediv__, __pow__ = map(_method, ("Add", "Sub", "Mul", "Div", "Pow"))
    __radd__, __rmul__ = __add__, __mul__
    __rsub__, __rtruediv__, __rpow__ = (_method(op, swapped=True) for op in ("Sub", "Div", "Pow"))

    def __floordiv__(self, other: int) -> Number:
        if self.whole is None:
            raise TypeError("a quotient of steps alone is rounded down")
        return self if other == 1 else Number.of_step(self.g, self.g.Div(self.whole, self.g.constant(other)))

    def __mod__(self, other: int) -> Number:
        if self.whole is None:
            raise TypeError("a step alone has a remainder")
        return Number.of_step(self.g, self.g.Mod(self.whole, self.g.constant(other)))

    def sqrt(self) -> Number:
        return self**0.5


def scalars(g: Builder, step: Value, of_step: Callable[[Any], Sequence[Any]], horizon: int) -> list[Value]:
    """Return the float32 scalars that a function gives for a step; ``horizon``: the steps of a table, if it needs one."""
    before = len(g.graph.nodes)
    try:
        found = list(of_step(Number.of_step(g, step)))
    except TypeError:
        del g.graph.nodes[before:]
        columns = np.array([of_step(k) for k in range(horizon)], np.float32).T
        ends = [int(np.flatnonzero(c != c[-1]).max(initial=-1)) + 2 for c in columns]  # they are constant from there on
        parts = zip(columns, ends, strict=True)
        return [g.Gather(g.constant(c[:n]), g.Min(step, g.constant(n - 1)), axis=0) for c, n in parts]
    return [g.Cast(x.value, to="float32") if isinstance(x, Number) else g.constant(float(x)) for x in found]


class Trace:
    """The values of arrays, by identity, while the calls that write them are emitted; other arrays are constants."""

    def __init__(self, g: Builder, values: Sequence[tuple[Array, Value]]) -> None:
        self.g, self._values, self._arrays = g, {id(a): v for a, v in values}, [a for a, _ in values]

    def value(self, array: Any) -> Value:
        known = self._values.get(id(array))
        return self.g.constant(np.asarray(array), "float32") if known is None else known

    def run(self, calls: Calls) -> None:
        """Emit the calls; TypeError for a function that is not of NumPy."""
        for f, *operands in calls:
            self._call(f, operands)

    def _call(self, f: Any, operands: list[Any]) -> None:
        named: dict[str, Any] = {}
        if isinstance(f, partial):
            operands, named, f = [*f.args, *operands], f.keywords, f.func
        g, owner, out = self.g, getattr(f, "__self__", None), named.get("out")
        result: Any
        if f is np.copyto:
            out, result = operands[0], self.value(operands[1])
        elif f is np.clip:
            *inputs, out = operands
            result = g.Clip(*map(self.value, inputs))
        elif isinstance(owner, np.ndarray) and f.__name__ == "fill":
            out, result = owner, g.constant(float(operands[0]))
        elif owner is np.add and f.__name__ == "reduce":
            x, axes, _, out, *keep = operands
            axes = [axes] if isinstance(axes, int) else list(axes)
            result = g.ReduceSum(self.value(x), g.constant(axes), keepdims=int(bool(keep and keep[0])))
        elif isinstance(f, np.ufunc) and f in NODES:
            inputs, out = [self.value(x) for x in operands[: f.nin]], operands[f.nin] if out is None else out
            node = NODES[f]
            with g:
                result = g.emit(node, inputs, {}) if isinstance(node, str) else node(g, *inputs)
        else:
            raise TypeError(f"{getattr(f, '__name__', f)} is no function of NumPy that ONNX has")
        self._values[id(out)] = result
        self._arrays.append(out)


@contextmanager
def numpy_alone() -> Iterator[None]:
    """Let twins return calls of NumPy inside the ``with`` block."""
    before = compiled.READ.set(True)  # of this thread: others may bind programs
    try:
        yield
    finally:
        compiled.READ.reset(before)


class Update:
    """One update of all weights, as nodes.

    ``weights`` and ``gradients`` are values by name, ``slots`` by ``<weight>/<slot>``, ``step`` counts from 0. A table
    of scalars has ``horizon`` steps; its last row holds afterwards.
    """

    def __init__(self, g: Builder, optimizer: Optimizer, step: Value, horizon: int) -> None:
        self.g, self.optimizer, self.step, self.horizon = g, optimizer, step, horizon
        self.every = optimizer.gradient_accumulation_steps or 1
        self._scalars: dict[Settings, list[Value]] = {}

    @staticmethod
    def check(optimizer: Optimizer, params: Sequence[Param]) -> None:
        """Raise ProblemError (GS702) for an optimizer, or a weight, whose update is no list of NumPy's calls."""
        name = type(optimizer).__name__
        if type(optimizer).updates is not Optimizer.updates:
            text = f"has the optimizer {name}, whose update cannot be written as nodes"
            raise ProblemError(Code.UNAVAILABLE_OPERATOR, text, "use Adam, AdamW, SGD or RMSprop")
        if sparse := next((p.name for p in params if p.sparse), None):
            text = f"updates only some rows of '{sparse}' in a step"
            raise ProblemError(Code.UNAVAILABLE_OPERATOR, text, "set `sparse: false`, or leave this weight out")

    def of_all(self, params: Sequence[Param], gradients: Values, slots: Values) -> dict[str, Value]:
        """Return the new weights and slots, by name."""
        g, result = self.g, dict[str, Value]()
        with g, numpy_alone():
            if self.every > 1:
                sums = {name: slots[f"{name}/gradient_accumulator"] + grad for name, grad in gradients.items()}
                due = g.Equal(g.Mod(self.step + 1, g.constant(self.every)), g.constant(0))
                gradients = {name: total * (1 / self.every) for name, total in sums.items()}
            gradients = self._clipped(gradients)
            for param in params:
                name, old = param.name, self.g.graph.values[param.name]
                own = {s: slots[f"{name}/{s}"] for s in self.optimizer.moments()}
                new, moved = self._updated(param, old, gradients[name], own)
                if self.every > 1:
                    new, moved = g.Where(due, new, old), {s: g.Where(due, v, own[s]) for s, v in moved.items()}
                    total = g.Where(due, g.constant(0.0), sums[name])
                    result[f"{name}/gradient_accumulator"] = total
                if self.optimizer.use_ema:
                    new, result[f"{name}/average"] = self._averaged(new, slots[f"{name}/average"])
                result[name] = self._constrained(param, new)
                result |= {f"{name}/{s}": v for s, v in moved.items()}
        return result

    def _updated(self, param: Param, p: Value, grad: Value, slots: Values) -> tuple[Value, dict[str, Value]]:
        """Return a weight and its moments after the rule."""
        settings = settings_of(self.optimizer.groups, param.name)
        own = self.optimizer.with_settings(settings)
        if settings not in self._scalars:
            self._scalars[settings] = scalars(self.g, self.step, partial(self._of_step, settings, own), self.horizon)
        arrays = {name: np.zeros(3, np.float32) for name in ("p", "g", "t", *slots)}
        *factors, shrink = [(np.zeros((), np.float32), v) for v in self._scalars[settings]]
        known = [(arrays["p"], p), (arrays["g"], grad), *((arrays[s], v) for s, v in slots.items()), *factors, shrink]
        trace, moments = Trace(self.g, known), {name: arrays[name] for name in slots}
        trace.run(own.decay(arrays["p"], shrink[0]))
        trace.run(own.update(arrays["p"], arrays["g"], arrays["t"], moments, *(a for a, _ in factors)))
        return trace.value(arrays["p"]), {name: trace.value(array) for name, array in moments.items()}

    def _of_step(self, settings: Settings, own: Optimizer, step: Any) -> Sequence[Any]:
        whole = self.optimizer.learning_rate
        return own.scalars(step, settings.rate(whole, step, rate_at(whole, step)), self.every)

    def _clipped(self, gradients: Values) -> dict[str, Value]:
        g, o = self.g, self.optimizer
        if o.clipvalue is not None:
            return {n: g.Clip(d, g.constant(-o.clipvalue), g.constant(o.clipvalue)) for n, d in gradients.items()}
        if (limit := o.clipnorm or o.global_clipnorm) is None:
            return dict(gradients)
        norms = {n: g.ReduceSum(d * d, keepdims=0) for n, d in gradients.items()}
        if o.global_clipnorm is not None:
            norm = g.Sqrt(g.Sum(*norms.values()))
            scale = g.Where(g.IsInf(norm), g.constant(math.nan), limit / g.Max(g.constant(limit), norm))
            return {n: d * scale for n, d in gradients.items()}
        return {n: d * (limit / g.Max(g.constant(limit), g.Sqrt(norms[n]))) for n, d in gradients.items()}

    def _averaged(self, new: Value, average: Value) -> tuple[Value, Value]:
        """Return the weight, which its moving average may replace, and the average."""
        g, frequency = self.g, self.optimizer.ema_overwrite_frequency
        update = self.step if self.every == 1 else g.Div(self.step, g.constant(self.every))
        keep = g.Where(update > 0, g.constant(self.optimizer.ema_momentum), g.constant(0.0))
        average = average * keep + new * (1.0 - keep)
        if frequency:
            due = g.Equal(g.Mod(update + 1, g.constant(frequency)), g.constant(0))
            new = g.Where(due, average, new)
        return new, average

    def _constrained(self, param: Param, new: Value) -> Value:
        """Return a weight after its constraint, which is along Keras's axes."""
        if param.constraint is None:
            return new
        g, layout = self.g, param.layout
        order = layout.perm or tuple(range(len(param.shape)))
        moved = g.reshape(new, [param.shape[k] for k in order]) if layout.shape else new
        W, T = np.zeros(param.shape, np.float32), np.zeros(param.shape, np.float32)
        trace = Trace(g, [(W, g.transpose(moved, np.argsort(order).tolist()))])
        trace.run(param.constraint.bind(W, T))
        result = g.transpose(trace.value(W), order)
        return g.reshape(result, list(param.stored_shape)) if layout.shape else result
