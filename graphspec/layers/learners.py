"""What layers learn from the training rows: exact statistics of a stream of batches, in memory of a fixed size.

Vocabularies are the exception: they need memory for every different value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from graphspec.ir.graph import Array


class Learner(Protocol):
    """Learns the arguments of one layer from all training rows, in one pass over them or in several."""

    def add(self, batch: Array) -> None:
        """Take in some rows, ``(rows, …)``; texts come as arrays of ``object``."""

    def end_pass(self) -> bool:
        """Finish a pass over all rows; return True if no other pass is needed."""

    def state(self) -> dict[str, Any]:
        """Return what was learnt: arguments of the layer, of numbers, texts and lists (it is stored as JSON)."""
