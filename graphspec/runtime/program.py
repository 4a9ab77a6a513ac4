"""What binding makes: buffers and one flat list of calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from graphspec.arrays.calls import runner

if TYPE_CHECKING:
    from graphspec.arrays.calls import Calls
    from graphspec.ir.graph import Array


def no_rows(batch: int) -> None:
    """There are no rows to copy."""


@dataclass
class Program:
    """A bound graph: copy a batch into ``feeds``, ``run`` it, read ``fetches``.

    ``calls`` is forward then backward; ``spans`` says which of them belong to which node, for printing and profiling.
    ``grads`` are the gradients of inputs that were asked for.
    """

    feeds: dict[str, Array]
    fetches: dict[str, Array]
    calls: Calls
    spans: list[tuple[str, str, int, int]]
    nbytes: int
    grads: dict[str, Array] = field(default_factory=dict)
    backward_start: int = 0
    """Where the backward calls begin."""
    forgotten: list[Array] = field(default_factory=list)
    """Forward arrays that no backward call may read: tests fill them with NaN."""

    after: Calls = field(default_factory=list)
    """Calls to make when all workers have made theirs: gradients of weights from the rows of all."""

    load: Callable[[int], None] = no_rows
    """Copies the batch of this number into ``feeds``, where rows are fed by number."""

    @cached_property
    def run(self) -> Callable[[], None]:
        """Make all calls; they are not to be changed after the first time."""
        return runner(self.calls)

    def describe(self) -> str:
        """The program, a line a node: phase, node, and its calls' names."""
        lines = []
        for phase, name, start, stop in self.spans:
            names = ", ".join(getattr(c[0], "__name__", type(c[0]).__name__) for c in self.calls[start:stop])
            lines.append(f"{phase:8} {name}: {names}")
        return "\n".join(lines)
