"""Layers that go through a sequence step by step: SimpleRNN, GRU, LSTM, and RNN over any cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from graphspec.codes import Code
from graphspec.config import Neutral
from graphspec.errors import ShapeError
from graphspec.ir.dims import show
from graphspec.layers.base import LAYERS, NEUTRAL, Machinery, RegularizerField, Stateful, as_float
from graphspec.layers.cells import Cell, CellField, GRUCell, LSTMCell, SimpleRNNCell, Stack, stacked
from graphspec.layers.masked_steps import Steps, flip_time
from graphspec.layers.unrolled_cells import Pace, need_steps

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder
    from graphspec.ir.graph import Value

States = tuple["Value", ...]
ReturnSequences = Annotated[bool, Field(description="Whether every step's output is returned, not the last alone.")]


class Recurrent(Cell):
    """A recurrent layer: what its kinds share. One that is made of a single cell is that cell, too.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``; the last states
    follow with ``return_state``.

    A masked step leaves the states as they are and repeats the output before it (0 at the start), or gives 0 with
    ``zero_output_for_mask``. With ``initial_state`` masked steps count like others, but the output keeps the mask.
    """

    handles_mask = True
    call_arguments = ("initial_state",)
    neutral: ClassVar[Mapping[str, Neutral]] = NEUTRAL | {  # Keras 2 writes them
        "time_major": Neutral((False,), "time is the axis after the batch", "put a Permute before the layer"),
        "implementation": Neutral((0, 1, 2), "it must be 0, 1 or 2"),
    }

    activity_regularizer: RegularizerField = Field(default=None, description="Penalty on the output.")
    return_sequences: ReturnSequences = False
    return_state: bool = Field(default=False, description="Whether the last states are outputs too.")
    go_backwards: bool = Field(default=False, description="Whether steps are taken from the last to the first.")
    stateful: Stateful = False
    unroll: Machinery = False
    zero_output_for_mask: bool = Field(default=False, description="Whether the output is 0 at masked steps.")

    def lower(self, g: Builder, X: Value, *, initial_state: Sequence[Value] = ()) -> Value | tuple[Value, ...]:
        Y, states = self.run(g, X, initial_state, zero_masked=self.zero_output_for_mask)
        if self.return_sequences:
            Y = (flip_time(g, Y) if self.go_backwards else Y).with_mask(X.mask)
        return (Y, *states) if self.return_state else Y

    def need_input(self, g: Builder, X: Value) -> None:
        """GS301 where ``X`` has not the axes that the layer takes."""
        if X.rank == 3:
            return
        hint = "join its last axes, such as with TimeDistributed of Flatten, or with Reshape"
        if X.rank == 2:
            hint = "turn the ids into vectors first, with Embedding"
            if X.type.is_float:
                hint = last_output(g, X) or "add a feature axis: a Reshape with `target_shape: [-1, 1]`"
        raise ShapeError(Code.WRONG_RANK, f"needs rank-3 data (batch, time, features), got {show(X.shape)}", hint=hint)

    def state_count(self) -> int:
        return sum(cell.states for _, cell in self.parts())

    def run(self, g: Builder, X: Value, initial_state: Sequence[Value], *, zero_masked: bool) -> tuple[Value, States]:
        """The output of every step in the order of time, or (without ``return_sequences``) of the last one; the states.

        With ``initial_state`` Keras hands no mask to the layer: every step counts. A step that is masked leaves the
        states of all cells as they are, so each cell may go through the kept steps by itself, one cell after the other.
        """
        self.need_input(g, X)
        initial = list(initial_state)
        if initial and len(initial) != (count := self.state_count()):
            text = f"takes {count} initial state{'s' * (count > 1)}, got {len(initial)}"
            hint = "one for each state: h and c of an LSTM, h of a GRU or a SimpleRNN"
            hint += ", those of the lowest cell first" if len(self.parts()) > 1 else ""
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
    """What to do about a missing time axis where ``X`` is the last output of a recurrent layer."""
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
    """Gated recurrent unit (Cho et al., 2014): gates z and r, candidate ĥ; ``h = z·h₋₁ + (1 − z)·ĥ``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    """

    use_cudnn: Machinery = "auto"


@LAYERS.add("LSTM")
class LSTM(Recurrent, LSTMCell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997): gates i, f, o, candidate c̃; ``c = f·c₋₁ + i·c̃``.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``.
    """

    use_cudnn: Machinery = "auto"


@LAYERS.add("RNN")
class RNN(Recurrent):
    """A recurrent layer over a cell, or over cells stacked on top of each other.

    Shapes: (batch, time, features) → (batch, units), or (batch, time, units) with ``return_sequences``. Outputs: that of
    the topmost cell, then with ``return_state`` the states of each cell, the lowest first.
    """

    cell: Annotated[Stack | CellField, Field(description="The cell; or a list of cells, from the bottom up.")]

    def parts(self) -> list[tuple[str, Cell]]:
        return self.cell.parts() if isinstance(self.cell, Cell) else stacked(self.cell)
