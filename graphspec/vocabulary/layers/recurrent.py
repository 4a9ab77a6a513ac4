"""Recurrent layers, and layers that apply another one to each step or in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Annotated, ClassVar, Literal, cast

import numpy as np
from pydantic import AfterValidator

from graphspec.base.config import Neutral, described, invalid, setting
from graphspec.graph.ir.graph import show
from graphspec.vocabulary import Builder, Code, ShapeError, Value, not_allowed, shapes_differ, wrong_rank
from graphspec.vocabulary.layers import cells
from graphspec.vocabulary.layers import layer as base
from graphspec.vocabulary.layers.layer import Layer


def flip_time(g: Builder, X: Value) -> Value:
    """Emit ``X`` (batch, time, …) in reverse order of the steps."""
    start, end, axis, step = (g.constant([k]) for k in (-1, np.iinfo(np.int64).min + 1, 1, -1))
    return g.Slice(X, start, end, axis, step)


class Steps:
    """The unmasked steps of a mask (batch, time), in any pattern.

    ONNX's recurrent operators support lengths, not masks. Therefore the unmasked steps move to the front in their order
    (a stable TopK on the mask), the operator runs with the number of unmasked steps as the length, and its outputs move
    back to the original steps.
    """

    def __init__(self, g: Builder, mask: Value) -> None:
        if mask.rank != 2:  # the mask of an image, passed through TimeDistributed
            text = f"needs a mask with one value per step, (batch, time), got {show(mask.shape)}"
            raise shapes_differ(text, "add Masking after the layers that compute one vector per step")
        self.g, self.mask = g, mask
        self.lengths: Value = g.ReduceSum(base.cast_to(g, mask, "int32"), g.constant([1]), keepdims=0)
        self.batch, self.time = g.ints([g.size(mask, 0)]), g.ints([g.size(mask, 1)])
        ones = g.Expand(g.constant(1), g.Concat(self.batch, g.constant([1]), axis=0))
        self.row: Value = g.CumSum(ones, g.constant(0), exclusive=1)  # 0, 1, … along the batch

    def collect(self, X: Value) -> Value:
        """Emit ``X`` (batch, time, …) as (time, batch, …), with the unmasked steps first."""
        g = self.g
        _, order = g.TopK(base.cast_to(g, self.mask, "float32"), self.time, axis=1)
        return self._gather(X, g.transpose(order + self.row * self.time, (1, 0)))

    def distribute(self, Y: Value, *, reverse: bool, zero_masked: bool) -> Value:
        """Emit the outputs ``Y`` (time, batch, …) of the collected steps as (batch, time, …), at their original steps.

        A masked step repeats the output of the step processed before it; before the first processed step the output is
        0. With ``zero_masked`` it is 0 at all masked steps.
        """
        g = self.g
        count = g.CumSum(base.cast_to(g, self.mask, "int64"), g.constant(1), exclusive=int(reverse))
        if reverse:  # the index of the first unmasked step from here on
            lengths = g.Unsqueeze(base.cast_to(g, self.lengths, "int64"), g.constant([1]))
            index, exists = count, count < lengths
        else:  # the index of the last unmasked step up to here; -1 if there is none
            index, exists = count - 1, count > 0
        gathered = self._gather(Y, index * self.batch + self.row)
        return self._where(self.mask if zero_masked else exists, gathered)

    def zero_where_masked(self, Y: Value, *, step: int) -> Value:
        """Emit ``Y`` (batch, …), set to 0 in rows with the step ``step`` (0 or -1) masked."""
        return self._where(self.g.Gather(self.mask, self.g.constant(step), axis=1), Y)

    def _gather(self, X: Value, indices: Value) -> Value:
        """Emit rows of ``X``, with its first two axes joined to one."""
        sizes = [X.fixed(axis) for axis in range(2, X.rank)]
        return self.g.Gather(self.g.reshape(X, (-1, *sizes)), indices, axis=0)

    def _where(self, condition: Value, Y: Value) -> Value:
        """Emit ``Y``, set to 0 where ``condition`` is False; ``condition`` has the leading axes of ``Y``."""
        g = self.g
        return g.Where(g.Unsqueeze(condition, g.constant(list(range(condition.rank, Y.rank)))), Y, g.constant(0.0))


States = tuple["Value", ...]
ReturnSequences = Annotated[bool, described("Whether the outputs of all steps are returned, not only the last one.")]


class Recurrent(cells.Cell, arity=(1, 1), handles_mask=True, gathers_steps=True, call_arguments=("initial_state",)):
    """Base of the recurrent layers. A layer with a single cell inherits from that cell, too.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``; with
    ``return_state`` the last states are additional outputs.

    A masked step does not change the states. It repeats the previous output (0 at the start), or outputs 0 with
    ``zero_output_for_mask``. With ``initial_state`` masked steps count like others, but the output keeps the mask.
    """

    neutral: ClassVar[Mapping[str, Neutral]] = base.NEUTRAL | {  # written by Keras 2
        "time_major": Neutral((False,), "time is the axis after the batch", "add a Permute before the layer"),
        "implementation": Neutral((0, 1, 2), "it must be 0, 1 or 2"),
    }

    activity_regularizer: base.RegularizerField = setting(None, "Penalty on the output.")
    return_sequences: ReturnSequences = False
    return_state: bool = setting(False, "Whether the last states are additional outputs.")
    go_backwards: bool = setting(False, "Whether the steps are processed from last to first.")
    stateful: base.Stateful = False
    unroll: base.NoEffect = False
    zero_output_for_mask: bool = setting(False, "Whether the output at masked steps is 0.")

    def lower(self, g: Builder, X: Value, *, initial_state: Sequence[Value] = ()) -> base.Outputs:
        Y, states = self.run(g, X, initial_state, zero_masked=self.zero_output_for_mask)
        if self.return_sequences:
            Y = (flip_time(g, Y) if self.go_backwards else Y).with_mask(X.mask)
        return (Y, *states) if self.return_state else Y

    def need_input(self, g: Builder, X: Value) -> None:
        """Raise GS301 unless ``X`` has the axes that the layer requires."""
        if X.rank == 3:
            return
        hint = "join its last axes, for example with TimeDistributed of Flatten, or with Reshape"
        if X.rank == 2:
            hint = "convert the ids to vectors first, with Embedding"
            if X.type.is_float:
                hint = last_output(g, X) or "add a feature axis: a Reshape with `target_shape: [-1, 1]`"
        raise wrong_rank(f"needs rank-3 data (batch, time, features), got {show(X.shape)}", hint)

    def state_count(self) -> int:
        return sum(cell.states for _, cell in self.parts())

    def run(self, g: Builder, X: Value, initial_state: Sequence[Value], *, zero_masked: bool) -> tuple[Value, States]:
        """Emit the layer; return the output and the last states.

        The output contains all steps in the order of time, or without ``return_sequences`` the last step. With
        ``initial_state`` every step counts: Keras does not pass the mask to the layer then. A masked step does not
        change the state of any cell; therefore one cell after the other can process all unmasked steps.
        """
        self.need_input(g, X)
        initial, parts = list(initial_state), self.parts()
        if initial and len(initial) != (count := self.state_count()):
            text = f"expects {count} initial state{'s' * (count > 1)}, got {len(initial)}"
            hint = "use one per state: h and c of an LSTM, h of a GRU or a SimpleRNN"
            hint += ", with the states of the lowest cell first" if len(parts) > 1 else ""
            raise ShapeError(Code.WRONG_INPUT_COUNT, text, hint, key="initial_state")
        for _, cell in parts:
            if (reason := cell.unrolled()) is not None:
                cells.need_steps(X, *reason)
        mask = None if initial else X.mask
        X = base.as_float(g, X)
        steps = None if mask is None else Steps(g, mask)
        Y: Value | None = g.transpose(X, (1, 0, *range(2, X.rank))) if steps is None else steps.collect(X)
        states: list[Value] = []
        last: list[Value] = []
        lengths = None if steps is None else steps.lengths
        for k, (name, cell) in enumerate(parts, 1):
            pace = cells.Pace(lengths, self.go_backwards, sequences=self.return_sequences or k < len(parts))
            assert Y is not None
            before = initial[len(states) : len(states) + cell.states]
            with g.part(name) if name else nullcontext():
                Y, last = cell.over(g, Y, before, pace)
            states += last
        if Y is None:
            Y = last[0]
            if steps is not None and zero_masked:
                Y = steps.zero_where_masked(Y, step=0 if self.go_backwards else -1)
        elif steps is None:
            Y = g.transpose(Y, (1, 0, *range(2, Y.rank)))
        else:
            Y = steps.distribute(Y, reverse=self.go_backwards, zero_masked=zero_masked)
        return Y, tuple(states)


def last_output(g: Builder, X: Value) -> str | None:
    """Return the hint for a missing time axis if ``X`` is the last output of a recurrent layer, else None."""
    owner = None if X.node is None else X.node.owner
    inputs = (v for node in g.graph.nodes if node.owner == owner for v in node.inputs if v is not None)
    if any(v.param is not None and v.param.name.endswith("/recurrent_kernel") for v in inputs):
        return f"set `return_sequences: true` on '{owner}'"
    return None


class SimpleRNN(Recurrent, cells.SimpleRNNCell):
    """``h = activation(x @ kernel + h₋₁ @ recurrent_kernel + bias)``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    """


class GRU(Recurrent, cells.GRUCell):
    """Gated recurrent unit: gates z and r, candidate ĥ; ``h = z·h₋₁ + (1 − z)·ĥ``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    Cho et al., *Learning Phrase Representations using RNN Encoder–Decoder*, EMNLP 2014.
    """

    use_cudnn: base.NoEffect = "auto"


class LSTM(Recurrent, cells.LSTMCell):
    """Long short-term memory: gates i, f and o, candidate c̃; ``c = f·c₋₁ + i·c̃``, ``h = o·activation(c)``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    Hochreiter and Schmidhuber, *Long Short-Term Memory*, Neural Computation, 1997.
    """

    use_cudnn: base.NoEffect = "auto"


class RNN(Recurrent):
    """A recurrent layer over a cell, or over stacked cells.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``. The
    outputs are the output of the top cell, then with ``return_state`` the states of every cell, the lowest cell first.
    """

    cell: cells.Stack | cells.CellField = setting(..., "The cell, or a list of cells from bottom to top.")

    def parts(self) -> list[tuple[str, cells.Cell]]:
        return self.cell.parts() if isinstance(self.cell, cells.Cell) else cells.stacked(self.cell)


def _recurrent(layer: Layer) -> Layer:
    if not isinstance(layer, Recurrent):
        text = f"must be a recurrent layer (LSTM, GRU, SimpleRNN, RNN, ConvLSTM2D, …), not {type(layer).__name__}"
        raise invalid(text, "use TimeDistributed for layers that are applied to every step", key="type")
    return layer


RecurrentField = Annotated[base.LayerField, AfterValidator(_recurrent)]


class Bidirectional(Layer, handles_mask=True, call_arguments=("initial_state",)):
    """A recurrent layer and a copy that processes the steps backwards, merged.

    Shapes: as for the layer, with twice as many units for ``merge_mode: concat``. The outputs are the merged output
        (two
    with ``merge_mode: null``), then with ``return_state`` the states of the forward layer and of the backward layer.
    Schuster and Paliwal, *Bidirectional Recurrent Neural Networks*, 1997.
    """

    layer: RecurrentField = setting(..., "The forward layer.")
    merge_mode: Literal["concat", "sum", "mul", "ave"] | None = setting("concat", "How outputs merge; null keeps both.")
    backward_layer: RecurrentField | None = setting(None, "The backward layer; null for a copy of `layer`.")

    def lower(self, g: Builder, X: Value, *, initial_state: Sequence[Value] = ()) -> base.Outputs:
        forward, backward = self._pair()
        half, count = forward.state_count(), forward.state_count() + backward.state_count()
        if initial_state and len(initial_state) != count:
            text = f"expects {count} initial states, got {len(initial_state)}"
            hint = "name the states of the forward layer first"
            raise ShapeError(Code.WRONG_INPUT_COUNT, text, hint, key="initial_state")
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
            raise shapes_differ(text, "give both layers as many units, or use `merge_mode: concat`", key="merge_mode")
        if self.merge_mode == "mul":
            return (Y * Z,)
        total = Y + Z
        return (total if self.merge_mode == "sum" else total * 0.5,)

    def _pair(self) -> tuple[Recurrent, Recurrent]:
        """Return both layers; raise GS105 unless they have the same outputs and opposite directions."""
        forward, backward = cast(Recurrent, self.layer), cast("Recurrent | None", self.backward_layer)
        key = "layer" if backward is None else "backward_layer"
        backward = backward or forward.model_copy(update={"go_backwards": True})
        if forward.go_backwards == backward.go_backwards:
            text = "needs one forward layer and one backward layer"
            raise not_allowed(text, "set `go_backwards` to true only on `backward_layer`", key=key)
        for name in ("return_sequences", "return_state"):
            if (wanted := getattr(forward, name)) != getattr(backward, name):
                hint = f"write `{name}: {str(wanted).lower()}` on `backward_layer`, as on `layer`"
                raise not_allowed(f"needs the same `{name}` on both layers", hint, key=key)
        return forward, backward


class TimeDistributed(Layer, handles_mask=True):
    """A layer that is applied to every step separately; the batch and the steps become one batch.

    Shapes: (batch, time, …) → (batch, time, the layer's output without the batch).
    """

    layer: base.LayerField = setting(..., "The layer that is applied to every step.")

    @property
    def mixes_rows(self) -> bool:
        return self.layer.mixes_rows

    def lower(self, g: Builder, X: Value) -> Value:
        base.need_rank(X, 3, None, "(batch, time, …)", hint="without a time axis the layer needs no wrapper")
        least, most = self.layer.arity
        refused = f"cannot wrap {type(self.layer).__name__}, which"
        if least > 1 or most == 0:
            takes = f"needs {least} or more inputs" if least > 1 else "takes no input"
            raise not_allowed(f"{refused} {takes}", "wrap a layer with one input", key="layer")
        if self.layer.learns:
            text = f"{refused} would have to learn from the training rows"
            raise not_allowed(text, "set what it would learn in the spec", key="layer")
        Y = self._unrolled(g, X) if self.layer.mixes_rows and g.trainable else self._folded(g, X)
        return Y.with_mask(X.mask)

    def _folded(self, g: Builder, X: Value) -> Value:
        batch, time, *sizes = (g.size(X, axis) for axis in range(X.rank))
        mask = X.mask
        if mask is not None:
            mask = g.reshape(mask, (-1, *sizes[: mask.rank - 2])) if mask.rank > 2 else None
        Y = self._apply(g, g.reshape(X, (-1, *sizes)).with_mask(mask))
        return g.reshape(Y, (batch, time, *(g.size(Y, axis) for axis in range(1, Y.rank))))

    def _unrolled(self, g: Builder, X: Value) -> Value:
        """Emit the layer step by step: in training each step is a separate batch for it."""
        steps = X.fixed(1)
        if steps > cells.MAX_STEPS:
            text = (
                f"would be unrolled for {steps:,} steps, each a separate batch in training, at most {cells.MAX_STEPS:,}"
            )
            hint = "freeze it with `trainable: false`, or use fewer steps"
            raise ShapeError(Code.DOCUMENT_TOO_LARGE, text, hint, key="layer")
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
            message = error.problem.message.replace(show(X.shape), show(("N", *X.shape[1:])))
            text = f"passes {type(self.layer).__name__} every step separately, and that {message}"
            hint = "leave TimeDistributed out, which removes the time axis, or give the steps more axes"
            raise error.changed(message=text, hint=hint if error.problem.key is None else error.problem.hint) from None
        if isinstance(Y, tuple):
            raise not_allowed("cannot wrap a layer with several outputs", key="layer")
        return Y
