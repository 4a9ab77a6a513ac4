"""Recurrent layers: SimpleRNN, GRU, LSTM, and RNN over any cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import Neutral
from graphspec.base.errors import ShapeError
from graphspec.graph.ir.dims import show
from graphspec.vocabulary.layers.base import LAYERS, NEUTRAL, NoEffect, RegularizerField, Stateful, as_float
from graphspec.vocabulary.layers.cells import Cell, CellField, GRUCell, LSTMCell, SimpleRNNCell, Stack, stacked
from graphspec.vocabulary.layers.masked_steps import Steps, flip_time
from graphspec.vocabulary.layers.unrolled_cells import Pace, need_steps

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.graph.ir.graph import Value

States = tuple["Value", ...]
ReturnSequences = Annotated[
    bool, Field(description="Whether the outputs of all steps are returned, not only the last one.")
]


class Recurrent(Cell):
    """Base of the recurrent layers. A layer with a single cell inherits from that cell, too.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``; with
    ``return_state`` the last states are additional outputs.

    A masked step does not change the states. It repeats the previous output (0 at the start), or outputs 0 with
    ``zero_output_for_mask``. With ``initial_state`` masked steps count like others, but the output keeps the mask.
    """

    handles_mask = True
    gathers_steps = True
    call_arguments = ("initial_state",)
    neutral: ClassVar[Mapping[str, Neutral]] = NEUTRAL | {  # written by Keras 2
        "time_major": Neutral((False,), "time is the axis after the batch", "add a Permute before the layer"),
        "implementation": Neutral((0, 1, 2), "it must be 0, 1 or 2"),
    }

    activity_regularizer: RegularizerField = Field(default=None, description="Penalty on the output.")
    return_sequences: ReturnSequences = False
    return_state: bool = Field(default=False, description="Whether the last states are additional outputs.")
    go_backwards: bool = Field(default=False, description="Whether the steps are processed from last to first.")
    stateful: Stateful = False
    unroll: NoEffect = False
    zero_output_for_mask: bool = Field(default=False, description="Whether the output at masked steps is 0.")

    def lower(self, g: Builder, X: Value, *, initial_state: Sequence[Value] = ()) -> Value | tuple[Value, ...]:
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
        raise ShapeError(Code.WRONG_RANK, f"needs rank-3 data (batch, time, features), got {show(X.shape)}", hint=hint)

    def state_count(self) -> int:
        """Return the number of states of all cells."""
        return sum(cell.states for _, cell in self.parts())

    def run(self, g: Builder, X: Value, initial_state: Sequence[Value], *, zero_masked: bool) -> tuple[Value, States]:
        """Emit the layer; return the output and the last states.

        The output contains all steps in the order of time, or without ``return_sequences`` the last step. With
        ``initial_state`` every step counts: Keras does not pass the mask to the layer then. A masked step does not
        change the state of any cell; therefore one cell after the other can process all unmasked steps.
        """
        self.need_input(g, X)
        initial = list(initial_state)
        if initial and len(initial) != (count := self.state_count()):
            text = f"expects {count} initial state{'s' * (count > 1)}, got {len(initial)}"
            hint = "use one per state: h and c of an LSTM, h of a GRU or a SimpleRNN"
            hint += ", with the states of the lowest cell first" if len(self.parts()) > 1 else ""
            raise ShapeError(Code.WRONG_INPUT_COUNT, text, hint=hint, key="initial_state")
        parts = self.parts()
        for _, cell in parts:
            if (reason := cell.unrolled()) is not None:
                need_steps(X, *reason)
        mask = None if initial else X.mask
        X = as_float(g, X)
        steps = None if mask is None else Steps(g, mask)
        Y: Value | None = g.transpose(X, (1, 0, *range(2, X.rank))) if steps is None else steps.collect(X)
        states: list[Value] = []
        last: list[Value] = []
        for k, (name, cell) in enumerate(parts):
            pace = Pace(
                lengths=None if steps is None else steps.lengths,
                reverse=self.go_backwards,
                sequences=self.return_sequences or k + 1 < len(parts),
            )
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


@LAYERS.add("SimpleRNN")
class SimpleRNN(Recurrent, SimpleRNNCell):
    """``h = activation(x @ kernel + h₋₁ @ recurrent_kernel + bias)``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    """


@LAYERS.add("GRU")
class GRU(Recurrent, GRUCell):
    """Gated recurrent unit: gates z and r, candidate ĥ; ``h = z·h₋₁ + (1 − z)·ĥ``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    Cho et al., *Learning Phrase Representations using RNN Encoder–Decoder*, EMNLP 2014.
    """

    use_cudnn: NoEffect = "auto"


@LAYERS.add("LSTM")
class LSTM(Recurrent, LSTMCell):
    """Long short-term memory: gates i, f and o, candidate c̃; ``c = f·c₋₁ + i·c̃``, ``h = o·activation(c)``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    Hochreiter and Schmidhuber, *Long Short-Term Memory*, Neural Computation, 1997.
    """

    use_cudnn: NoEffect = "auto"


@LAYERS.add("RNN")
class RNN(Recurrent):
    """A recurrent layer over a cell, or over stacked cells.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``. The
    outputs are the output of the top cell, then with ``return_state`` the states of every cell, the lowest cell first.
    """

    cell: Annotated[Stack | CellField, Field(description="The cell, or a list of cells from bottom to top.")]

    def parts(self) -> list[tuple[str, Cell]]:
        return self.cell.parts() if isinstance(self.cell, Cell) else stacked(self.cell)
