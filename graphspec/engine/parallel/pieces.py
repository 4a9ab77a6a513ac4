"""Parts of vectors that all ranks of an MPI job send to each other in every step, in short messages.

MPI libraries send a short message at once. Before a long one, the sender asks and the receiver answers: two more latencies;
and over TCP the answer may wait behind data that its sender is sending itself, so that both directions take turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.engine.parallel.mpi import Ranks
    from graphspec.graph.ir.graph import Array

PIECE = 63 << 10
"""Bytes of a message: Open MPI sends up to 64 KiB, with its header, at once over TCP."""


class Pieces:
    """An exchange of arrays between all ranks, made once and started in every step.

    Args:
        tag: the number of the exchange; each rank makes the same.
        sent, received: one-dimensional arrays to and from each rank; those of this rank are left out.
    """

    def __init__(self, ranks: Ranks, tag: int, sent: Sequence[Array], received: Sequence[Array]) -> None:
        self._ranks, comm = ranks, ranks.comm
        others = [(ranks.rank + k) % ranks.size for k in range(1, ranks.size)]  # not all begin with the same
        receives = [(comm.Recv_init, k, _cut(received[k])) for k in reversed(others)]
        sends = [(comm.Send_init, k, _cut(sent[k])) for k in others]
        self._requests: list[Any] = []
        for messages in receives, sends:
            for turn in range(max((len(pieces) for _, _, pieces in messages), default=0)):
                self._requests += [init(pieces[turn], k, tag) for init, k, pieces in messages if turn < len(pieces)]

    def start(self) -> None:
        """Start sending and receiving."""
        self._ranks.mpi.Prequest.Startall(self._requests)

    def finish(self) -> None:
        """Wait until everything is sent and received; if nothing was started, do nothing."""
        self._ranks.finish(*self._requests)


def _cut(array: Array) -> list[Array]:
    octets = array.view(np.uint8)
    return [octets[start : start + PIECE] for start in range(0, octets.size, PIECE)]
