"""The cells of recurrent layers: one step, by an operator of ONNX or unrolled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field, WithJsonSchema

from graphspec.base.config import FROM_LIST, PositiveInt, described, invalid, setting
from graphspec.graph.initializers import Initializer
from graphspec.graph.ir.dims import names_in, show
from graphspec.graph.ir.graph import Array, Layout
from graphspec.vocabulary import Builder, Code, ShapeError, Value, not_fixed, wrong_size
from graphspec.vocabulary.activations import ACTIVATIONS, Activation
from graphspec.vocabulary.layers import layer as base
from graphspec.vocabulary.layers.core import DropRate, drop
from graphspec.vocabulary.layers.layer import Layer

# Recurrences without an ONNX operator, unrolled step by step with ordinary operators.
MAX_STEPS = 2_000  # steps that a layer is unrolled for
Step = Callable[["Value", "list[Value]"], "list[Value]"]  # from input and states to new states; the first is the output


@dataclass(frozen=True)
class Pace:
    """How the steps of a sequence are processed."""

    lengths: Value | None  # how many steps of each row count, None if all do; others do not change the states
    reverse: bool  # whether the steps are processed from last to first; the outputs keep the order of the input
    sequences: bool  # whether the outputs of all steps are needed


def need_steps(X: Value, reason: str, hint: str, key: str | None) -> None:
    """Raise GS305 if the time axis (1) of ``X`` varies, GS110 if it is too long to be unrolled."""
    steps = X.shape[1]
    if not isinstance(steps, int):
        text = f"is unrolled step by step, because {reason}, but the number of steps varies ('{steps}')"
        raise not_fixed(text, f"give {names_in(steps)} a number in `inputs`, or {hint}", key=key)
    if steps > MAX_STEPS:
        text = f"would be unrolled for {steps:,} steps, at most {MAX_STEPS:,}, because {reason}"
        raise ShapeError(Code.DOCUMENT_TOO_LARGE, text, f"use fewer steps, or {hint}", key=key)


def unroll(g: Builder, X: Value, states: Sequence[Value], step: Step, pace: Pace) -> tuple[Value | None, list[Value]]:
    """Emit all steps of ``X`` (time, batch, …); return outputs (time, batch, …), None without sequences, and last states."""
    time, first = X.fixed(0), g.constant([0])

    def pieces(V: Value) -> list[Value]:
        return [g.Squeeze(piece, first) for piece in g.Split(V, g.constant([1] * time), axis=0)]

    counts: Sequence[Value | None] = [None] * time
    if (lengths := pace.lengths) is not None:
        indices = g.constant(np.arange(time)[:, None], lengths.dtype)
        counts = pieces(g.Unsqueeze(indices < lengths, g.constant(list(range(2, states[0].rank + 1)))))
    inputs, current = pieces(X), list(states)
    outputs: dict[int, Value] = {}
    for t in reversed(range(time)) if pace.reverse else range(time):
        after = step(inputs[t], current)
        if (counted := counts[t]) is not None:
            after = [g.Where(counted, new, old) for new, old in zip(after, current, strict=True)]
        current = after
        outputs[t] = current[0]
    if not pace.sequences:
        return None, current
    return g.Concat(*(g.Unsqueeze(outputs[t], first) for t in range(time)), axis=0), current


def split(g: Builder, X: Value, parts: int, axis: int) -> list[Value]:
    """Return ``X`` split into equal parts along ``axis``."""
    return [X] if parts == 1 else list(g.Split(X, g.constant([X.fixed(axis) // parts] * parts), axis=axis))


def drop_features(g: Builder, X: Value, rate: float, seed: int | None) -> Value:
    """Emit ``X`` (time, batch, …) with dropout; all steps share one random mask."""
    swap = (1, 0, *range(2, X.rank))
    return g.transpose(drop(g, g.transpose(X, swap), rate, seed, shared=(1,)), swap) if rate else X


def dropout_mask(g: Builder, sizes: Sequence[int | Value], rate: float, seed: int | None) -> Value:
    """Emit a dropout mask of shape ``sizes``: the factors in training, 1 outside training."""
    return drop(g, g.Expand(g.constant(1.0), g.ints(sizes)), rate, seed)


def state_masks(g: Builder, state: Value, gates: int, rate: float, seed: int | None) -> list[Value]:
    """Emit one dropout mask per gate for a state (batch, …), shared by all steps; none without dropout."""
    sizes = [g.size(state, axis) for axis in range(state.rank)]
    return [dropout_mask(g, sizes, rate, seed) for _ in range(gates)] if rate else []


Multiply = Callable[["Value", "Value"], "Value"]


def by_gate(g: Builder, multiply: Multiply, kernel: Value, gates: int, axis: int, into: int) -> Callable[..., Value]:
    """Return ``X ↦ X · kernel`` for all gates, or ``X₁, X₂, … ↦ [X₁ · kernel₁, X₂ · kernel₂, …]`` for separate inputs.

    The gates are concatenated along ``axis`` of the kernel and along ``into`` of the result.
    """
    kernels = split(g, kernel, gates, axis)

    def product(*inputs: Value) -> Value:
        parts = [multiply(X, k) for X, k in zip(inputs, kernels, strict=True)]
        return parts[0] if len(parts) == 1 else g.Concat(*parts, axis=into)

    return product


def of_state(g: Builder, multiply: Multiply, kernel: Value, masks: Sequence[Value], axis: int, into: int) -> OfState:
    """Return ``h ↦ h · kernel``, with the dropout of :func:`state_masks`."""
    product = by_gate(g, multiply, kernel, max(len(masks), 1), axis, into)
    return lambda h: product(*[h * mask for mask in masks] or [h])


OfState = Callable[["Value"], "Value"]


# Cells: one step of a recurrence with its weights, lowered for all steps of a sequence.
States = list["Value"]
Ran = tuple["Value | None", States]  # the outputs of all steps, if they are asked for, and the last states
_PARTLY_SET = "has a bias from an array, a part of which is set to 1", "set `unit_forget_bias: false`"
Reason = tuple[str, str, str | None]  # why a layer is unrolled, how to avoid that, and the argument that causes it


class Cell(Layer):
    """Base: one step of a recurrence, or several stacked cells."""

    states: ClassVar[int] = 1  # the number of states

    def parts(self) -> list[tuple[str, Cell]]:
        """Return the single cells from bottom to top, each with the prefix of its weights' names."""
        return [("", self)]

    def unrolled(self) -> Reason | None:
        """Return why the steps of this cell must be unrolled; None if an ONNX operator computes all steps."""
        raise NotImplementedError

    def over(self, g: Builder, X: Value, initial: Sequence[Value], pace: Pace) -> Ran:
        """Emit all steps of ``X`` (time, batch, …), beginning with the states ``initial``; empty for zeros.

        Return the outputs (None if ``pace.sequences`` is false and they are not needed) and the last states.
        """
        raise NotImplementedError


CellField = Annotated[Cell, BeforeValidator(base.CELLS.parse), WithJsonSchema({"x-kind": "cell"})]
"""A cell by name or mapping."""


class Weighted(Cell):
    """Base: a cell with a kernel for its input and one for its state."""

    activation: base.ActivationField = setting("tanh", "Of candidate and output; null for none.", validate_default=True)
    use_bias: bool = setting(True, "Whether a bias is added.")
    kernel_initializer: base.InitializerField = base.default_initializer("glorot_uniform")
    recurrent_initializer: base.InitializerField = base.default_initializer("orthogonal")
    bias_initializer: base.InitializerField = base.default_initializer("zeros")
    kernel_regularizer: base.RegularizerField = setting(None, "Penalty on the kernel.")
    recurrent_regularizer: base.RegularizerField = setting(None, "Penalty on the recurrent kernel.")
    bias_regularizer: base.RegularizerField = setting(None, "Penalty on the bias.")
    kernel_constraint: base.Constraint = None
    recurrent_constraint: base.Constraint = None
    bias_constraint: base.Constraint = None
    dropout: DropRate = setting(0.0, "Fraction of input features dropped, the same at every step.")
    recurrent_dropout: DropRate = setting(0.0, "Fraction of the state's features dropped, the same at every step.")
    seed: base.Seed = None

    def activated(self, g: Builder, activation: Activation | None, X: Value) -> Value:
        return g.activate(activation, X)


def need_state(state: Value, shape: tuple[Any, ...], hint: str) -> None:
    """Raise GS304 unless an initial state has ``shape``."""
    if state.shape != shape:
        text = f"needs initial states of shape {show(shape)}, got {show(state.shape)}"
        raise wrong_size(text, hint, key="initial_state")


class Gated(Weighted):
    """Base: a cell with gates."""

    recurrent_activation: Annotated[base.ActivationField, described("The activation of the gates; null for none.")] = (
        Field(default="sigmoid", validate_default=True)
    )


class ForgetBias(Initializer):
    """``start``, except 1 for the forget gate, the second of four gates (Jozefowicz et al., 2015)."""

    start: Initializer

    def check(self, shape: tuple[int, ...]) -> None:
        self.start.check((shape[0] // 4,))

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Array:
        u = shape[0] // 4
        return np.concatenate([self.start((u,), random), np.ones(u, np.float32), self.start((2 * u,), random)])


class Remembering(Gated):
    """Base: a cell with the gates of an LSTM, in the order i, f, candidate c̃, o."""

    unit_forget_bias: bool = setting(True, "Whether the forget gate's bias starts at 1.")

    def weight(self, g: Builder, role: str, shape: Sequence[int], **options: Any) -> Value:
        if role == "bias" and self.unit_forget_bias:
            if self.bias_initializer.one_shape:
                raise ShapeError(Code.VALUE_NOT_ALLOWED, *_PARTLY_SET, key="bias_initializer")
            options["initializer"] = ForgetBias(start=self.bias_initializer)
        return super().weight(g, role, shape, **options)

    def remember(self, g: Builder, Z: Sequence[Value], C: Value | None, axis: int) -> list[Value]:
        """Emit h and c of the gates along ``axis`` of the sum of ``Z``, and of the previous c, which None sets to 0."""
        if [in_operator(self.recurrent_activation), in_operator(self.activation)] == [("Sigmoid", ()), ("Tanh", ())]:
            return list(g.LSTMGates(Z[0], Z[1] if len(Z) > 1 else None, C, axis=axis))
        i, f, candidate, o = split(g, reduce(add, Z), 4, axis)
        i, f, o = (self.activated(g, self.recurrent_activation, gate) for gate in (i, f, o))
        new = i * self.activated(g, self.activation, candidate)
        C = new if C is None else f * C + new
        return [o * self.activated(g, self.activation, C), C]


def in_operator(activation: Activation | None) -> tuple[str, tuple[float, ...]] | None:
    """Return the activation's name and (alpha, beta) in ONNX's recurrent operators; None if they do not have it."""
    known = ("Affine", (1.0, 0.0)) if activation is None else activation.in_cell()
    return None if known is None or any(alpha <= 0 for alpha in known[1][:1]) else known


class Units(Layer):
    """Base: a layer or cell with ``units``."""

    units: PositiveInt = setting(..., "The size of the output and of each state.")


class UnitCell(Weighted, Units, arity=(2, 2)):
    """Base: a cell over vectors, with an ONNX operator for the whole recurrence. As a node it is one step."""

    op: ClassVar[str]
    gates: ClassVar[tuple[int, ...]]  # the indices of Keras's gates in ONNX's order

    @property
    def order(self) -> tuple[int, ...]:
        """The order of the gates for a layout, which has none for a single gate."""
        return self.gates if len(self.gates) > 1 else ()

    def cell_activations(self) -> dict[str, Activation | None]:
        """Return the activations in ONNX's order, by argument name."""
        return {"activation": self.activation}

    def cell_attributes(self) -> dict[str, Any]:
        return {}

    def products(self, g: Builder, kernel: Value, masks: Sequence[Value]) -> list[OfState]:
        """Return the functions that multiply states by the recurrent kernel, for :meth:`step`."""
        return [of_state(g, g.MatMul, kernel, masks, axis=1, into=-1)]

    def step(self, g: Builder, Z: Value, states: States, products: list[OfState], bias: Value | None) -> States:
        """Emit the states after a step; ``Z`` (batch, gates · units) is the step's input times the kernel."""
        raise NotImplementedError

    def onnx_bias(self, g: Builder) -> Value:
        """Emit ONNX's bias: one for the input and one for the state; Keras trains only the first."""
        size = len(self.gates) * self.units
        trained = self.weight(g, "bias", (size,), layout=Layout(gates=self.order, shape=(1, size)))
        return g.Concat(trained, g.constant(np.broadcast_to(np.float32(0), (1, size))), axis=1)

    def biases(self, g: Builder) -> tuple[Value, Value | None]:
        """Return the biases of the input and of the state in Keras's order, for unrolled steps."""
        return self.weight(g, "bias", (len(self.gates) * self.units,)), None

    def unrolled(self) -> Reason | None:
        for key, activation in self.cell_activations().items():
            if in_operator(activation) is None:
                known = "tanh, sigmoid, relu, hard_sigmoid, elu, leaky_relu, softplus, softsign or linear"
                name = next(name for name in ACTIVATIONS.names() if ACTIVATIONS.get(name) is type(activation))
                return f"ONNX's {self.op} does not have the {key} {name}", f"use one of {known}", key
        return None

    def lower(self, g: Builder, *inputs: Any, **calls: Any) -> base.Outputs:
        X, *states = inputs
        base.need_rank(X, 2, 2, "(batch, features), one step")
        _, after = self.over(g, base.as_float(g, g.Unsqueeze(X, g.constant([0]))), states, Pace(None, False, False))
        return tuple(after) if len(after) > 1 else after[0]

    def over(self, g: Builder, X: Value, initial: Sequence[Value], pace: Pace) -> Ran:
        for state in initial:
            need_state(state, (X.shape[1], self.units), "give every state as many features as the layer has units")
        run = self._operator if self.unrolled() is None else self._unrolled_steps
        return run(g, X, [base.as_float(g, state) for state in initial], pace)

    def _operator(self, g: Builder, X: Value, initial: Sequence[Value], pace: Pace) -> Ran:
        size, one = len(self.gates) * self.units, g.constant([0])
        kernel, recurrent = (
            self.weight(g, role, (n, size), layout=Layout(gates=self.order, perm=(1, 0), shape=(1, size, n)))
            for role, n in (("kernel", X.features), ("recurrent_kernel", self.units))
        )
        bias = self.onnx_bias(g) if self.use_bias else None
        masks = self._masks(g, X)
        X = X if masks[1:] else drop_features(g, X, self.dropout, self.seed)
        before: Sequence[Value | None] = [g.Unsqueeze(state, one) for state in initial]
        before = before or [None] * self.states * bool(masks)
        inputs = [X, kernel, recurrent, bias, pace.lengths, *before, *masks]
        Y, *states = g.emit(f"Dropout{self.op}" if masks else self.op, inputs, self._attributes(pace.reverse))
        return g.Squeeze(Y, g.constant([1])) if pace.sequences else None, [g.Squeeze(state, one) for state in states]

    def _masks(self, g: Builder, X: Value) -> list[Value]:
        """Emit dropout masks per gate for the state and, as in Keras, for the input; none without ``recurrent_dropout``."""
        if not self.recurrent_dropout:
            return []
        rates = [(self.recurrent_dropout, self.units)]
        if self.dropout and len(self.gates) > 1:
            rates.append((self.dropout, X.features))
        return [dropout_mask(g, [g.size(X, 1), len(self.gates), size], rate, self.seed) for rate, size in rates]

    def _attributes(self, reverse: bool) -> dict[str, Any]:
        named = [found for a in self.cell_activations().values() if (found := in_operator(a)) is not None]
        attributes = {
            "hidden_size": self.units,
            "activations": tuple(name for name, _ in named),
            "activation_alpha": tuple(alpha for _, parameters in named for alpha in parameters[:1]),
            "activation_beta": tuple(beta for _, parameters in named for beta in parameters[1:]),
            "direction": "reverse" if reverse else "",
        }
        return {key: value for key, value in attributes.items() if value} | self.cell_attributes()

    def _unrolled_steps(self, g: Builder, X: Value, initial: Sequence[Value], pace: Pace) -> Ran:
        gates = len(self.gates)
        kernel = self.weight(g, "kernel", (X.features, gates * self.units))
        recurrent = self.weight(g, "recurrent_kernel", (self.units, gates * self.units))
        input_bias, state_bias = self.biases(g) if self.use_bias else (None, None)
        copies = gates if self.dropout and self.recurrent_dropout else 1  # as in Keras: each gate has its own mask
        inputs = [drop_features(g, X, self.dropout, self.seed) for _ in range(copies)]
        Z = by_gate(g, g.MatMul, kernel, copies, axis=1, into=-1)(*inputs)
        Z = Z if input_bias is None else Z + input_bias
        zeros = g.Expand(g.constant(0.0), g.ints([g.size(X, 1), self.units]))
        states = list(initial) or [zeros] * self.states
        products = self.products(g, recurrent, state_masks(g, zeros, gates, self.recurrent_dropout, self.seed))
        return unroll(g, Z, states, lambda x, h: self.step(g, x, h, products, state_bias), pace)


class SimpleRNNCell(UnitCell, op="RNN", gates=(0,)):
    """``h = activation(x @ kernel + h₋₁ @ recurrent_kernel + bias)``.

    Shapes of a step: x (batch, features), state h (batch, units) → h. As a node its inputs are `[x, h]`.
    """

    def step(self, g: Builder, Z: Value, states: States, products: list[OfState], bias: Value | None) -> States:
        return [self.activated(g, self.activation, Z + products[0](states[0]))]


class GRUCell(Gated, UnitCell, op="GRU", gates=(0, 1, 2)):
    """Gated recurrent unit: gates z and r, candidate ĥ; ``h = z·h₋₁ + (1 − z)·ĥ``.

    Shapes of a step: x (batch, features), state h (batch, units) → h. As a node its inputs are `[x, h]`.
    Cho et al., *Learning Phrase Representations using RNN Encoder–Decoder*, EMNLP 2014.
    """

    reset_after: bool = setting(True, "Whether r is applied after the recurrent product, not before.")

    def cell_activations(self) -> dict[str, Activation | None]:
        return {"recurrent_activation": self.recurrent_activation, "activation": self.activation}

    def cell_attributes(self) -> dict[str, Any]:
        return {"linear_before_reset": int(self.reset_after)}

    def onnx_bias(self, g: Builder) -> Value:
        if not self.reset_after:
            return super().onnx_bias(g)
        return self.weight(g, "bias", (2, 3 * self.units), layout=Layout(shape=(1, 6 * self.units)))

    def biases(self, g: Builder) -> tuple[Value, Value | None]:
        if not self.reset_after:
            return super().biases(g)
        first, second = split(g, self.weight(g, "bias", (2, 3 * self.units)), 2, 0)
        return first, second

    def products(self, g: Builder, kernel: Value, masks: Sequence[Value]) -> list[OfState]:
        """Return one function for all gates, or two if r comes before the product: for z and r, and for the candidate."""
        if self.reset_after:
            return super().products(g, kernel, masks)
        kernels = g.Split(kernel, g.constant([2 * self.units, self.units]), axis=1)
        return [super(GRUCell, self).products(g, k, m)[0] for k, m in zip(kernels, (masks[:2], masks[2:]), strict=True)]

    def step(self, g: Builder, Z: Value, states: States, products: list[OfState], bias: Value | None) -> States:
        (h,), u, opening = states, self.units, self.recurrent_activation
        if self.reset_after:
            inner = products[0](h)
            inner = inner if bias is None else inner + bias
            sizes = g.constant([2 * u, u])
            (gates, x), (state_gates, y) = g.Split(Z, sizes, axis=-1), g.Split(inner, sizes, axis=-1)
            z, r = (self.activated(g, opening, gate) for gate in split(g, gates + state_gates, 2, -1))
            candidate = self.activated(g, self.activation, x + r * y)
        else:
            gates, x = g.Split(Z, g.constant([2 * u, u]), axis=-1)
            z, r = (self.activated(g, opening, gate) for gate in split(g, gates + products[0](h), 2, -1))
            candidate = self.activated(g, self.activation, x + products[1](r * h))
        return [candidate + z * (h - candidate)]


class LSTMCell(Remembering, UnitCell, op="LSTM", gates=(0, 3, 1, 2), states=2, arity=(3, 3)):
    """Long short-term memory: gates i, f and o, candidate c̃; ``c = f·c₋₁ + i·c̃``, ``h = o·activation(c)``.

    Shapes of a step: x (batch, features), states h and c (batch, units) → h, c. As a node its inputs are `[x, h, c]`.
    Hochreiter and Schmidhuber, *Long Short-Term Memory*, Neural Computation, 1997.
    """

    def cell_activations(self) -> dict[str, Activation | None]:
        own = self.activation
        return {"recurrent_activation": self.recurrent_activation, "activation": own, "output": own}

    def step(self, g: Builder, Z: Value, states: States, products: list[OfState], bias: Value | None) -> States:
        h, c = states
        return self.remember(g, (Z, products[0](h)), c, -1)


def _several(value: Any) -> Any:
    if value in ([], ()):
        raise invalid("must contain at least one cell", "such as `[{type: GRUCell, units: 8}]`", show_value=True)
    return value


Stack = Annotated[  # a list of cells
    tuple[CellField, ...],
    FROM_LIST,
    BeforeValidator(_several),
    WithJsonSchema({"type": "array", "items": {"x-kind": "cell"}, "minItems": 1}),
]


class StackedRNNCells(Cell):
    """Stacked cells: the input of each cell is the output of the cell below."""

    cells: Stack = setting(..., "The cells from bottom to top.")

    def parts(self) -> list[tuple[str, Cell]]:
        return stacked(self.cells)


def stacked(cells: Sequence[Cell]) -> list[tuple[str, Cell]]:
    """Return the parts of all ``cells``; the names of cell k's weights begin with ``k/``."""
    return [(f"{k}/{name}".rstrip("/"), part) for k, cell in enumerate(cells) for name, part in cell.parts()]
