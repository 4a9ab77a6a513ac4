"""Wrappers of other layers: Bidirectional and TimeDistributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import AfterValidator, Field

from graphspec.base.codes import Code
from graphspec.base.config import invalid
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.layers.base import LAYERS, Layer, LayerField, need_rank
from graphspec.vocabulary.layers.masked_steps import flip_time
from graphspec.vocabulary.layers.recurrent import Recurrent
from graphspec.vocabulary.layers.unrolled_cells import MAX_STEPS

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value


def _recurrent(layer: Layer) -> Layer:
    if not isinstance(layer, Recurrent):
        hint = "use TimeDistributed for layers that are applied to every step"
        text = f"must be a recurrent layer (LSTM, GRU, SimpleRNN, RNN, ConvLSTM2D, …), not {type(layer).__name__}"
        raise invalid(text, hint, key="type")
    return layer


RecurrentField = Annotated[LayerField, AfterValidator(_recurrent)]


@LAYERS.add("Bidirectional")
class Bidirectional(Layer):
    """A recurrent layer and a copy that processes the steps backwards, merged.

    Shapes: as for the layer, with twice as many units for ``merge_mode: concat``. The outputs are the merged output
        (two
    with ``merge_mode: null``), then with ``return_state`` the states of the forward layer and of the backward layer.
    Schuster and Paliwal, *Bidirectional Recurrent Neural Networks*, 1997.
    """

    handles_mask = True
    call_arguments = ("initial_state",)

    layer: Annotated[RecurrentField, Field(description="The forward layer.")]
    merge_mode: Annotated[
        Literal["concat", "sum", "mul", "ave"] | None,
        Field(description="How both outputs are merged; null for two separate outputs."),
    ] = "concat"
    backward_layer: Annotated[
        RecurrentField | None, Field(description="The backward layer; null for a copy of `layer`.")
    ] = None

    def lower(self, g: Builder, X: Value, *, initial_state: Sequence[Value] = ()) -> Value | tuple[Value, ...]:
        forward, backward = self._pair()
        half, count = forward.state_count(), forward.state_count() + backward.state_count()
        if initial_state and len(initial_state) != count:
            text = f"expects {count} initial states, got {len(initial_state)}"
            hint = "name the states of the forward layer first"
            raise ShapeError(Code.WRONG_INPUT_COUNT, text, hint=hint, key="initial_state")
        sequences = forward.return_sequences
        with g.part("forward"):
            Y, states = forward.run(g, X, initial_state[:half], zero_masked=sequences)
            g.penalize(forward.activity_regularizer, Y, *(states if forward.return_state else ()))
        with g.part("backward"):
            Z, backward_states = backward.run(g, X, initial_state[half:], zero_masked=sequences)
            g.penalize(backward.activity_regularizer, Z, *(backward_states if backward.return_state else ()))
        if sequences and forward.go_backwards:  # Keras merges in the order of the forward layer's steps
            Y, Z = flip_time(g, Y), flip_time(g, Z)
        merged = tuple(y.with_mask(X.mask if sequences else None) for y in self._merge(g, Y, Z))
        if forward.return_state:
            return (*merged, *states, *backward_states)
        return merged[0] if len(merged) == 1 else merged

    def _merge(self, g: Builder, Y: Value, Z: Value) -> tuple[Value, ...]:
        if self.merge_mode is None:
            return Y, Z
        if self.merge_mode == "concat":
            return (g.Concat(Y, Z, axis=-1),)
        if Y.shape != Z.shape:
            text = f"needs outputs of equal shape to merge, got {show(Y.shape)} forward and {show(Z.shape)} backward"
            hint = "give both layers as many units, or use `merge_mode: concat`"
            raise ShapeError(Code.SHAPES_DIFFER, text, hint=hint, key="merge_mode")
        if self.merge_mode == "mul":
            return (g.Mul(Y, Z),)
        total = g.Add(Y, Z)
        return (total if self.merge_mode == "sum" else g.Mul(total, g.constant(0.5)),)

    def _pair(self) -> tuple[Recurrent, Recurrent]:
        """Return both layers; raise GS105 unless they have the same outputs and opposite directions."""
        forward = cast(Recurrent, self.layer)
        backward = cast("Recurrent | None", self.backward_layer)
        if backward is None:
            backward = forward.model_copy(update={"go_backwards": True})
        key = "layer" if self.backward_layer is None else "backward_layer"
        if forward.go_backwards == backward.go_backwards:
            text = "needs one forward layer and one backward layer"
            hint = "set `go_backwards` to true only on `backward_layer`"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint=hint, key=key)
        for name in ("return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                hint = f"write `{name}: {str(getattr(forward, name)).lower()}` on `backward_layer`, as on `layer`"
                raise ShapeError(Code.VALUE_NOT_ALLOWED, f"needs the same `{name}` on both layers", hint=hint, key=key)
        return forward, backward


@LAYERS.add("TimeDistributed")
class TimeDistributed(Layer):
    """A layer that is applied to every step separately; the batch and the steps become one batch.

    Shapes: (batch, time, …) → (batch, time, the layer's output without the batch).
    """

    handles_mask = True

    layer: Annotated[LayerField, Field(description="The layer that is applied to every step.")]

    @property
    def mixes_rows(self) -> bool:
        return self.layer.mixes_rows

    def lower(self, g: Builder, X: Value) -> Value:
        need_rank(X, 3, None, "(batch, time, …)", hint="without a time axis the layer needs no wrapper")
        least, most = self.layer.arity
        if least > 1 or most == 0:
            takes = f"needs {least} or more inputs" if least > 1 else "takes no input"
            text = f"cannot wrap {type(self.layer).__name__}, which {takes}"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="wrap a layer with one input", key="layer")
        if self.layer.learns:
            text = f"cannot wrap {type(self.layer).__name__}, which would have to learn from the training rows"
            raise ShapeError(Code.VALUE_NOT_ALLOWED, text, hint="set what it would learn in the spec", key="layer")
        Y = self._unrolled(g, X) if self.layer.mixes_rows and g.trainable else self._folded(g, X)
        return Y.with_mask(X.mask)

    def _folded(self, g: Builder, X: Value) -> Value:
        batch, time, *sizes = (g.size(X, axis) for axis in range(X.rank))
        mask = X.mask
        if mask is not None:
            mask_sizes = sizes[: mask.rank - 2]
            mask = g.reshape(mask, (-1, *mask_sizes)) if mask_sizes else None
        Y = self._apply(g, g.reshape(X, (-1, *sizes)).with_mask(mask))
        return g.reshape(Y, (batch, time, *(g.size(Y, axis) for axis in range(1, Y.rank))))

    def _unrolled(self, g: Builder, X: Value) -> Value:
        """Emit the layer step by step: in training each step is a separate batch for it."""
        steps = X.fixed(1)
        if steps > MAX_STEPS:
            text = f"would be unrolled for {steps:,} steps, each a separate batch in training, at most {MAX_STEPS:,}"
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
            message = error.problem.message.replace(show(X.shape), step)
            text = f"passes {type(self.layer).__name__} every step separately, and that {message}"
            hint = "leave TimeDistributed out, which removes the time axis, or give the steps more axes"
            raise error.changed(message=text, hint=hint if error.problem.key is None else error.problem.hint) from None
        if isinstance(Y, tuple):
            raise ShapeError(Code.VALUE_NOT_ALLOWED, "cannot wrap a layer with several outputs", key="layer")
        return Y
