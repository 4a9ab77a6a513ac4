"""SimpleRNN, GRU and LSTM, on ONNX's RNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import numpy as np
from pydantic import Field

from graphspec.activations import Activation
from graphspec.compiler.dims import show
from graphspec.compiler.ir import Layout
from graphspec.config import PositiveInt
from graphspec.errors import ShapeError
from graphspec.initializers import Array, Initializer
from graphspec.layers.base import (
    LAYERS,
    ActivationField,
    Constraint,
    InitializerField,
    Layer,
    Machinery,
    NoRate,
    RegularizerField,
    Seed,
    Stateful,
    as_float,
    starts,
)
from graphspec.layers.regularization import Share, drop_shared
from graphspec.layers.steps import Steps, flip_time

if TYPE_CHECKING:
    from graphspec.compiler.build import Builder
    from graphspec.compiler.ir import Value

States = tuple["Value", ...]
ReturnSequences = Annotated[bool, Field(description="Whether every step's output is returned, not the last alone.")]


class ForgetBias(Initializer):
    """``start``, but 1 for the forget gate, the second of four (Jozefowicz et al., 2015)."""

    start: Initializer

    def check(self, shape: tuple[int, ...]) -> None:
        self.start.check((shape[0] // 4,))

    def __call__(self, shape: tuple[int, ...], random: np.random.Generator) -> Array:
        u = shape[0] // 4
        parts = self.start((u,), random), np.ones(u, np.float32), self.start((2 * u,), random)
        return np.concatenate(parts)


class Recurrent(Layer):
    """A recurrent layer: what its kinds share.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``; the last states
    follow with ``return_state``.

    A masked step leaves the states as they are and repeats the output before it (0 at the start), or gives 0 with
    ``zero_output_for_mask``. With ``initial_state`` masked steps count like others, but the output keeps the mask.
    """

    op: ClassVar[str]
    gates: ClassVar[tuple[int, ...]]
    """ONNX's order of Keras's gates."""
    states: ClassVar[int] = 1

    handles_mask = True
    call_arguments = ("initial_state",)

    units: Annotated[PositiveInt, Field(description="Size of the output and of each state.")]
    activation: ActivationField = Field(
        default="tanh", validate_default=True, description="Applied to the candidate and to the output; null for none."
    )
    use_bias: bool = Field(default=True, description="Whether a bias is added.")
    kernel_initializer: InitializerField = starts("glorot_uniform")
    recurrent_initializer: InitializerField = starts("orthogonal")
    bias_initializer: InitializerField = starts("zeros")
    kernel_regularizer: RegularizerField = Field(default=None, description="Penalty on the kernel.")
    recurrent_regularizer: RegularizerField = Field(default=None, description="Penalty on the recurrent kernel.")
    bias_regularizer: RegularizerField = Field(default=None, description="Penalty on the bias.")
    activity_regularizer: RegularizerField = Field(default=None, description="Penalty on the output.")
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: Annotated[Share, Field(description="Share of the input's features dropped, the same at every step.")] = 0.0
    recurrent_dropout: NoRate = 0.0
    seed: Seed = None
    return_sequences: ReturnSequences = False
    return_state: bool = Field(default=False, description="Whether the last states are outputs too.")
    go_backwards: bool = Field(default=False, description="Whether steps are taken from the last to the first.")
    stateful: Stateful = False
    unroll: Machinery = False
    zero_output_for_mask: bool = Field(default=False, description="Whether the output is 0 at masked steps.")

    def cell_activations(self) -> dict[str, Activation | None]:
        """The activations in ONNX's order, by the argument that gives them."""
        return {"activation": self.activation}

    def cell_attributes(self) -> dict[str, Any]:
        """The operator's further attributes."""
        return {}

    def bias(self, g: Builder) -> Value:
        """ONNX's bias: one for the input, one for the state; Keras trains the first alone."""
        size = len(self.gates) * self.units
        gates = self.gates if len(self.gates) > 1 else ()
        trained = self.weight(g, "bias", (size,), layout=Layout(gates=gates, shape=(1, size)))
        return cast("Value", g.Concat(trained, g.constant(np.broadcast_to(np.float32(0), (1, size))), axis=1))

    def lower(self, g: Builder, X: Value, *, initial_state: Sequence[Value] = ()) -> Value | tuple[Value, ...]:
        Y, states = self.run(g, X, initial_state, zero_masked=self.zero_output_for_mask)
        if self.return_sequences:
            Y = (flip_time(g, Y) if self.go_backwards else Y).with_mask(X.mask)
        return (Y, *states) if self.return_state else Y

    def run(self, g: Builder, X: Value, initial_state: Sequence[Value], *, zero_masked: bool) -> tuple[Value, States]:
        """The output of every step in the order of time, or (without ``return_sequences``) of the last one; the states.

        With ``initial_state`` Keras hands no mask to the layer: every step counts.
        """
        _need_sequence(g, X)
        initial = self._initial(g, X, initial_state)
        mask = None if initial else X.mask
        X = as_float(g, X)
        features, units = X.features, self.units
        if self.dropout:
            X = drop_shared(g, X, self.dropout, self.seed, [g.size(X, 0), 1, features])
        steps = None if mask is None else Steps(g, mask)
        X = g.transpose(X, (1, 0, 2)) if steps is None else steps.collect(X)
        size = len(self.gates) * units
        gates = self.gates if len(self.gates) > 1 else ()
        kernel = self.weight(
            g, "kernel", (features, size), layout=Layout(gates=gates, perm=(1, 0), shape=(1, size, features))
        )
        recurrent = self.weight(
            g, "recurrent_kernel", (units, size), layout=Layout(gates=gates, perm=(1, 0), shape=(1, size, units))
        )
        bias = self.bias(g) if self.use_bias else None
        lengths = None if steps is None else steps.lengths
        inputs = [X, kernel, recurrent, bias, lengths, *initial]
        outputs = g.emit(self.op, inputs, self._attributes())
        states = tuple(g.Squeeze(s, g.constant([0])) for s in outputs[1:])
        if self.return_sequences:
            Y = g.Squeeze(outputs[0], g.constant([1]))
            if steps is None:
                Y = g.transpose(Y, (1, 0, 2))
            else:
                Y = steps.distribute(Y, reverse=self.go_backwards, zero_masked=zero_masked)
        else:
            Y = states[0]
            if steps is not None and zero_masked:
                Y = steps.zero_where_masked(Y, step=0 if self.go_backwards else -1)
        return Y, states

    def _attributes(self) -> dict[str, Any]:
        names: list[str] = []
        alphas: list[float] = []
        betas: list[float] = []
        for key, activation in self.cell_activations().items():
            known = ("Affine", (1.0, 0.0)) if activation is None else activation.in_cell()
            if known is None:
                text = f"cannot use this {key} in its cell: ONNX's {self.op} does not have it"
                hint = "tanh, sigmoid, relu, hard_sigmoid, elu, leaky_relu, softplus, softsign and linear are available"
                raise ShapeError("GS105", text, hint=hint, key=key)
            name, numbers = known
            names.append(name)
            alphas += numbers[:1]
            betas += numbers[1:]
        attributes: dict[str, Any] = {"hidden_size": self.units, "activations": tuple(names)}
        if alphas:
            attributes["activation_alpha"] = tuple(alphas)
        if betas:
            attributes["activation_beta"] = tuple(betas)
        if self.go_backwards:
            attributes["direction"] = "reverse"
        return attributes | self.cell_attributes()

    def _initial(self, g: Builder, X: Value, given: Sequence[Value]) -> list[Value]:
        if not given:
            return []
        if len(given) != self.states:
            text = f"takes {self.states} initial state{'s' * (self.states > 1)}, got {len(given)}"
            hint = "one for each state: h and c of an LSTM, h of a GRU or a SimpleRNN"
            raise ShapeError("GS203", text, hint=hint, key="initial_state")
        for state in given:
            if state.shape != (X.shape[0], self.units):
                text = f"needs initial states of shape {show((X.shape[0], self.units))}, got {show(state.shape)}"
                hint = "a state has as many features as the layer has units"
                raise ShapeError("GS304", text, hint=hint, key="initial_state")
        return [g.Unsqueeze(as_float(g, state), g.constant([0])) for state in given]


def _need_sequence(g: Builder, X: Value) -> None:
    if X.rank == 3:
        return
    hint = "join its last axes, such as with TimeDistributed of Flatten, or with Reshape"
    if X.rank == 2:
        before = {node.owner for node in g.graph.nodes if node.op in ("LSTM", "GRU", "RNN")}
        if X.node is not None and X.node.owner in before:
            hint = f"set `return_sequences: true` on '{X.node.owner}'"
        elif X.type.is_float:
            hint = "add a feature axis: a Reshape with `target_shape: [-1, 1]`"
        else:
            hint = "turn the ids into vectors first, with Embedding"
    raise ShapeError("GS301", f"needs rank-3 data (batch, time, features), got {show(X.shape)}", hint=hint)


@LAYERS.add("SimpleRNN")
class SimpleRNN(Recurrent):
    """``h = activation(x @ kernel + h₋₁ @ recurrent_kernel + bias)``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    """

    op, gates = "RNN", (0,)


RecurrentActivation = Annotated[ActivationField, Field(description="The gates' activation; null for none.")]


@LAYERS.add("GRU")
class GRU(Recurrent):
    """Gated recurrent unit (Cho et al., 2014): gates z and r, candidate ĥ; ``h = z·h₋₁ + (1 − z)·ĥ``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    """

    op, gates = "GRU", (0, 1, 2)

    recurrent_activation: RecurrentActivation = Field(default="sigmoid", validate_default=True)
    reset_after: bool = Field(default=True, description="Whether r is applied after the recurrent product, not before.")
    use_cudnn: Machinery = "auto"

    def cell_activations(self) -> dict[str, Activation | None]:
        return {"recurrent_activation": self.recurrent_activation, "activation": self.activation}

    def cell_attributes(self) -> dict[str, Any]:
        return {"linear_before_reset": int(self.reset_after)}

    def bias(self, g: Builder) -> Value:
        if not self.reset_after:
            return super().bias(g)
        return self.weight(g, "bias", (2, 3 * self.units), layout=Layout(shape=(1, 6 * self.units)))


@LAYERS.add("LSTM")
class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997): gates i, f, o, candidate c̃; ``c = f·c₋₁ + i·c̃``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    """

    op, gates, states = "LSTM", (0, 3, 1, 2), 2

    recurrent_activation: RecurrentActivation = Field(default="sigmoid", validate_default=True)
    unit_forget_bias: bool = Field(default=True, description="Whether the forget gate's bias starts at 1.")
    use_cudnn: Machinery = "auto"

    def cell_activations(self) -> dict[str, Activation | None]:
        return {
            "recurrent_activation": self.recurrent_activation,
            "activation": self.activation,
            "output": self.activation,
        }

    def weight(self, g: Builder, role: str, shape: Sequence[int], **more: Any) -> Value:
        if role == "bias" and self.unit_forget_bias:
            more["initializer"] = ForgetBias(start=self.bias_initializer)
        return super().weight(g, role, shape, **more)
