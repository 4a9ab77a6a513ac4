"""Bidirectional and TimeDistributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import AfterValidator, Field

from graphspec.codes import Code
from graphspec.config import invalid
from graphspec.errors import ShapeError
from graphspec.ir.dims import show
from graphspec.layers.base import LAYERS, Layer, LayerField, Weights, need_rank
from graphspec.layers.masked_steps import flip_time
from graphspec.layers.recurrent import Recurrent
from graphspec.layers.unrolled_cells import MAX_STEPS

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value


def _recurrent(layer: Layer) -> Layer:
    if not isinstance(layer, Recurrent):
        kind = type(layer).__name__
        hint = "TimeDistributed wraps layers that work step by step"
        text = f"must be a recurrent layer (LSTM, GRU, SimpleRNN, RNN, ConvLSTM2D, …), not {kind}"
        raise invalid(text, hint, key="type")
    return layer


RecurrentField = Annotated[LayerField, AfterValidator(_recurrent)]


@LAYERS.add("Bidirectional")
class Bidirectional(Layer):
    """A recurrent layer and a copy that goes backwards in time, merged.

    Shapes: those of the layer, twice as many units with ``merge_mode: concat``. Outputs: the merged one (two with
    ``merge_mode: null``), then with ``return_state`` the forward layer's states and the backward layer's.
    """

    handles_mask = True
    call_arguments = ("initial_state",)

    layer: Annotated[RecurrentField, Field(description="The layer that goes forward.")]
    merge_mode: Annotated[
        Literal["concat", "sum", "mul", "ave"] | None,
        Field(description="How both outputs become one; null keeps two outputs."),
    ] = "concat"
    weights: Weights = None
    backward_layer: Annotated[
        RecurrentField | None, Field(description="The layer that goes backwards; a copy of `layer` where null.")
    ] = None

    def lower(self, g: Builder, X: Value, *, initial_state: Sequence[Value] = ()) -> Value | tuple[Value, ...]:
        forward, backward = self._pair()
        half, count = forward.state_count(), forward.state_count() + backward.state_count()
        if initial_state and len(initial_state) != count:
            text = f"takes {count} initial states, got {len(initial_state)}"
            raise ShapeError(Code.WRONG_INPUT_COUNT, text, hint="those of the forward layer first", key="initial_state")
        sequences = forward.return_sequences
        with g.part("forward"):
            Y, states = forward.run(g, X, initial_state[:half], zero_masked=sequences)
            g.penalize(forward.activity_regularizer, Y, *(states if forward.return_state else ()))
        with g.part("backward"):
            Z, more = backward.run(g, X, initial_state[half:], zero_masked=sequences)
            g.penalize(backward.activity_regularizer, Z, *(more if backward.return_state else ()))
        if sequences and forward.go_backwards:  # Keras merges in the order of the forward layer's steps
            Y, Z = flip_time(g, Y), flip_time(g, Z)
        merged = tuple(y.with_mask(X.mask if sequences else None) for y in self._merge(g, Y, Z))
        if forward.return_state:
            return (*merged, *states, *more)
        return merged[0] if len(merged) == 1 else merged

    def _merge(self, g: Builder, Y: Value, Z: Value) -> tuple[Value, ...]:
        if self.merge_mode is None:
            return Y, Z
        if self.merge_mode == "concat":
            return (g.Concat(Y, Z, axis=-1),)
        if Y.shape != Z.shape:
            text = f"needs outputs of one shape to merge, got {show(Y.shape)} forward and {show(Z.shape)} backward"
            hint = "give both layers as many units, or use `merge_mode: concat`"
            raise ShapeError(Code.SHAPES_DIFFER, text, hint=hint, key="merge_mode")
        if self.merge_mode == "mul":
            return (g.Mul(Y, Z),)
        total = g.Add(Y, Z)
        return (total if self.merge_mode == "sum" else g.Mul(total, g.constant(0.5)),)

    def _pair(self) -> tuple[Recurrent, Recurrent]:
        """Both layers, which must agree on their outputs and differ in direction (GS105)."""
        forward = cast(Recurrent, self.layer)
        backward = cast("Recurrent | None", self.backward_layer)
        if backward is None:
            backward = forward.model_copy(update={"go_backwards": True})
        key = "layer" if self.backward_layer is None else "backward_layer"
        if forward.go_backwards == backward.go_backwards:
            text = "needs one layer that goes forward and one that goes backwards"
            hint = "set `go_backwards` to true on `backward_layer` alone"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint=hint, key=key)
        for name in ("return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                hint = f"write `{name}: {str(getattr(forward, name)).lower()}` on `backward_layer`, as on `layer`"
                raise ShapeError(Code.VALUE_NOT_ALLOWED, f"needs the same `{name}` on both layers", hint=hint, key=key)
        return forward, backward


@LAYERS.add("TimeDistributed")
class TimeDistributed(Layer):
    """A layer applied to every step: the batch's rows times their steps become rows.

    Shapes: (batch, time, …) → (batch, time, \\*the layer's output without its batch).
    """

    handles_mask = True

    layer: Annotated[LayerField, Field(description="The layer that is applied to every step.")]

    @property
    def mixes_rows(self) -> bool:
        return self.layer.mixes_rows

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 3, None, "(batch, time, …)", hint="without a time axis the layer needs no wrapper")
        least = self.layer.arity[0]
        if least > 1:
            text = f"cannot wrap {type(self.layer).__name__}, which takes {least} inputs or more"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="wrap a layer that takes one input", key="layer")
        Y = self._unrolled(g, X) if self.layer.mixes_rows and g.trainable else self._folded(g, X)
        return Y.with_mask(X.mask)

    def _folded(self, g: Builder, X: Value) -> Value:
        batch, time, *rest = (g.size(X, axis) for axis in range(X.rank))
        mask = X.mask
        if mask is not None:
            more = rest[: mask.rank - 2]
            mask = g.reshape(mask, (-1, *more)) if more else None
        Y = self._apply(g, g.reshape(X, (-1, *rest)).with_mask(mask))
        return g.reshape(Y, (batch, time, *(g.size(Y, axis) for axis in range(1, Y.rank))))

    def _unrolled(self, g: Builder, X: Value) -> Value:
        """Step by step, because each step is a batch of its own to the layer."""
        steps = X.fixed(1)
        if steps > MAX_STEPS:
            text = (
                f"would be written out for {steps:,} steps, each a batch of its own in training, at most {MAX_STEPS:,}"
            )
            raise ShapeError(
                Code.DOCUMENT_TOO_LARGE, text, hint="freeze it with `trainable: false`, or use fewer steps", key="layer"
            )
        outputs = []
        for t in range(steps):
            at = g.constant(t)
            mask = None if X.mask is None else g.Gather(X.mask, at, axis=1)
            Y = self._apply(g, g.Gather(X, at, axis=1).with_mask(mask))
            outputs.append(g.Unsqueeze(Y, g.constant([1])))
        return g.Concat(*outputs, axis=1)

    def _apply(self, g: Builder, X: Value) -> Value:
        try:
            Y = self.layer.lower(g, X)
        except ShapeError as error:
            if error.code != Code.WRONG_RANK:
                raise
            step = show(("N", *X.shape[1:]))
            said = error.problem.message.replace(show(X.shape), step)
            text = f"gives {type(self.layer).__name__} every step by itself, and that {said}"
            hint = "leave TimeDistributed out, which takes the time axis away, or give the steps more axes"
            raise error.changed(message=text, hint=hint if error.problem.key is None else error.problem.hint) from None
        if isinstance(Y, tuple):
            raise ShapeError(Code.VALUE_NOT_ALLOWED, "cannot wrap a layer with several outputs", key="layer")
        return Y
