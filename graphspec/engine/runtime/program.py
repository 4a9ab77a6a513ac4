"""Programs, the result of binding: buffers and one flat list of calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from graphspec.base.arrays.calls import apart, runner

if TYPE_CHECKING:
    from graphspec.base.arrays.calls import Calls
    from graphspec.graph.ir.graph import Array


def no_rows(batch: int) -> None:
    """Copy nothing: this program has no source of rows."""


@dataclass
class Program:
    """A bound graph: copy a batch into ``feeds``, ``run`` it, read ``fetches``.

    Attributes:
        calls: the forward calls, then the backward calls.
        spans: (phase, node, start, stop): the range of calls of each node, for printing and profiling.
        nbytes: the memory of its buffers.
        grads: the requested gradients of inputs, by name.
        backward_start: the index of the first backward call.
        dead_after_forward: forward arrays that no backward call may read; tests fill them with NaN.
        after: calls to make after the barrier at which all workers have made theirs: they compute gradients of weights
            from the rows of all workers.
        load: copies the batch with this index into ``feeds``.
    """

    feeds: dict[str, Array]
    fetches: dict[str, Array]
    calls: Calls
    spans: list[tuple[str, str, int, int]]
    nbytes: int
    grads: dict[str, Array] = field(default_factory=dict)
    backward_start: int = 0
    dead_after_forward: list[Array] = field(default_factory=list)
    after: Calls = field(default_factory=list)
    load: Callable[[int], None] = no_rows

    @cached_property
    def run(self) -> Callable[[], None]:
        """Make all calls. Changes of ``calls`` after the first run have no effect."""
        return runner(self.calls)

    @cached_property
    def run_apart(self) -> Callable[[], None]:
        """Do as :meth:`run`, under the settings that programs need."""
        return apart(self.run)

    def describe(self) -> str:
        """Return the program as text, with one line per node: phase, node, and the names of its calls."""
        lines = []
        for phase, name, start, stop in self.spans:
            names = ", ".join(getattr(c[0], "__name__", type(c[0]).__name__) for c in self.calls[start:stop])
            lines.append(f"{phase:8} {name}: {names}")
        return "\n".join(lines)
