"""The workers of one machine: where each is, how they add arrays in shared memory, and each one's part of every step."""

from __future__ import annotations

import errno
import math
import mmap
import os
import platform
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from graphspec.base.arrays.calls import Call, Calls
from graphspec.base.arrays.layout import CACHE_LINE, Array, shard_slice, sum_into_first, until_two
from graphspec.base.arrays.memory import free, human
from graphspec.data.batches import Form
from graphspec.engine.compiler.objective import TOTAL, loss_of
from graphspec.engine.parallel.shards import ShardGroup, Step, Workers, in_step
from graphspec.engine.runtime.parameters import Partition
from graphspec.engine.runtime.program import Program
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.graph.kernels.context import Group
from graphspec.graph.optimizers import Rate, Vectors
from graphspec.graph.optimizers.vectors import Lookup


# Shared memory: named arrays in one block that has no name in the file system and is freed with its last user.
@dataclass
class Memory:
    """A block of shared memory."""

    arrays: dict[str, Array]  # views of the block, by name; initially zeros
    description: dict[str, Any]  # plain JSON with which a child process attaches to the block (:func:`attach`)
    inherited: tuple[int, ...]  # file descriptors that the child process must inherit

    def close(self) -> None:
        """Prevent further processes from attaching; the arrays live as long as they are used."""
        for fd in self.inherited:
            os.close(fd)
        self.inherited = ()


def allocate(arrays: Mapping[str, tuple[Sequence[int], Any]]) -> Memory:
    """Allocate a block of arrays, each from a cache line on. Raises OSError: there is too little memory to share."""
    layout: dict[str, tuple[int, str, list[int]]] = {}
    size = 0
    for name, (shape, dtype) in arrays.items():
        layout[name] = size, np.dtype(dtype).str, [int(n) for n in shape]
        size += math.prod(shape) * np.dtype(dtype).itemsize
        size += -size % CACHE_LINE
    size = max(size, CACHE_LINE)
    if size > free():  # the system allocates pages when they are first written to: an error would then be too late
        raise OSError(errno.ENOMEM, f"training needs {human(size)} of shared memory, but {human(free())} are free")
    block, handle, inherited = _create(size)
    return Memory(_views(block, layout), {"handle": handle, "size": size, "layout": layout}, inherited)


def attach(description: Mapping[str, Any]) -> dict[str, Array]:
    """Return the arrays of a block that the parent process has described."""
    handle, size = description["handle"], description["size"]
    if sys.platform == "win32":
        block = mmap.mmap(-1, size, tagname=handle)
    else:
        block = mmap.mmap(handle, size)
        os.close(handle)
    return _views(block, description["layout"])


def _create(size: int) -> tuple[mmap.mmap, int | str, tuple[int, ...]]:
    if sys.platform == "win32":
        name = f"graphspec-{uuid.uuid4()}"
        return mmap.mmap(-1, size, tagname=name), name, ()
    if hasattr(os, "memfd_create"):  # not /dev/shm, which is 64 MiB in a container
        fd = os.memfd_create("graphspec")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, size)
        return mmap.mmap(fd, size), fd, (fd,)
    except BaseException:
        os.close(fd)
        raise


def _views(block: mmap.mmap, layout: Mapping[str, Sequence[Any]]) -> dict[str, Array]:
    raw = np.frombuffer(block, np.uint8)
    arrays = {}
    for name, (start, dtype, shape) in layout.items():
        stop = start + math.prod(shape) * np.dtype(dtype).itemsize
        arrays[name] = raw[start:stop].view(dtype).reshape(shape)
    return arrays


# Synchronization of the workers of one machine: counters in shared memory, or pipes.
_STRIDE = CACHE_LINE // 8  # 64-bit words between two counters: each has a cache line of its own
_SPINS = 2000  # reads of a counter, of about 50 ns each, before a waiting worker yields its core


def spins_safely() -> bool:
    """Return whether all processors see writes in program order, which counters without memory fences rely on."""
    return platform.machine().lower() in ("x86_64", "amd64", "i686", "x86")


def counter_words(size: int) -> int:
    """Return the number of 64-bit words that :class:`Spin` needs for ``size`` workers."""
    return 2 * size * _STRIDE


class Spin:
    """Signals by polling shared counters, at first zeros: 0.3 µs if both sides are ready. A long wait calls ``check``."""

    def __init__(self, counters: np.ndarray[Any, Any], rank: int, size: int, check: Callable[[], None]) -> None:
        self._words, self._check = counters.view(np.uint8).data.cast("q"), check
        ranks = range(size)
        self._notify_index, self._barrier_index = rank * _STRIDE, (size + rank) * _STRIDE
        self._sources = [k * _STRIDE for k in ranks if (k > 0) == (rank == 0)]
        self._peers = [(size + k) * _STRIDE for k in ranks if k != rank]
        self._notified = self._waited = self._barriers = 0

    def notify(self) -> None:
        """On rank 0, let all others return from :meth:`wait`; on another rank, notify rank 0."""
        self._notified += 1
        self._words[self._notify_index] = self._notified

    def wait(self) -> None:
        """On rank 0, wait until all others have called :meth:`notify`; on another rank, wait for rank 0."""
        self._waited += 1
        for index in self._sources:
            if self._words[index] < self._waited:
                self._wait(index, self._waited)

    def barrier(self) -> None:
        """Return when every worker has called this."""
        self._barriers = count = self._barriers + 1
        counters = self._words
        counters[self._barrier_index] = count
        for index in self._peers:
            if counters[index] < count:
                self._wait(index, count)

    def _wait(self, index: int, value: int) -> None:
        counters = self._words
        for _ in range(_SPINS):
            if counters[index] >= value:
                return
        start = time.perf_counter()
        while counters[index] < value:
            if pause(time.perf_counter() - start):
                self._check()


def pause(waited: float) -> bool:
    """Let others use the core, the longer the more seconds were waited; return whether that is long already."""
    if waited < 2e-3:
        yield_core()
    else:
        time.sleep(5e-5 if waited < 0.1 else 1e-3)
    return waited >= 0.1


yield_core: Callable[[], None] = getattr(os, "sched_yield", partial(time.sleep, 0))


class Pipes:
    """Signals by bytes in pipes, for processors that reorder writes: the system calls order all memory accesses.

    Rank 0 has pipes from and to each worker. If the other end of one is closed, ``check`` is called, which raises.
    """

    def __init__(self, reads: Sequence[int], writes: Sequence[int], rank: int, check: Callable[[], None]) -> None:
        self._reads, self._writes, self._first, self._check = reads, writes, rank == 0, check

    def notify(self) -> None:
        for fd in self._writes:
            try:
                os.write(fd, b".")
            except BrokenPipeError:
                self._lost()

    def wait(self) -> None:
        for fd in self._reads:
            if not os.read(fd, 1):
                self._lost()

    def barrier(self) -> None:
        if self._first:
            self.wait()
            self.notify()
        else:
            self.notify()
            self.wait()

    def _lost(self) -> None:
        while True:  # the pipe is closed a moment before the process has ended
            self._check()
            time.sleep(1e-2)


Signals = Spin | Pipes  # one worker's side: rank 0 launches the others' steps and waits for them; barriers
SCRATCH = 1 << 18  # bytes: larger arrays are summed in pieces of this size


@dataclass(frozen=True)
class Place:
    """Which worker of one machine, or of one rank of an MPI job, this is, and which rank; without MPI, rank 0 of one."""

    worker: int = 0
    workers: int = 1
    rank: int = 0
    ranks: int = 1

    @property
    def index(self) -> int:
        """The number of this worker among those of all ranks, which are ``total``."""
        return self.rank * self.workers + self.worker

    @property
    def total(self) -> int:
        return self.ranks * self.workers

    def of_rank(self, shards: int) -> slice:
        """Return which of the shards of a batch the workers of this rank compute."""
        return shard_slice(shards, self.rank, self.ranks)

    def own(self, shards: int) -> slice:
        """Return which of the shards of a batch this worker computes."""
        return shard_slice(shards, self.index, self.total)


class ProcessGroup:
    """Worker processes on one machine.

    Sums use the two halves of ``scratch`` alternately. So one barrier per sum is enough: before a worker writes to a half
    again, all workers have passed the barrier of the other half, and have finished reading this one.
    ``scratch`` is shared, uint8, ``(2, shards, SCRATCH)``, with a whole number of shards per worker. Within an MPI job there
    is one more row, for the sum over all ranks, and the first worker of each rank exchanges the sums with ``between``.
    """

    def __init__(self, signals: Signals, scratch: Array, place: Place, between: Workers | None = None) -> None:
        self.rank, self.size, self.barrier = place.index, place.total, signals.barrier
        self.writes_state, self._in_job, self._between = place.worker == 0, place.ranks > 1, between
        self._scratch, self._turn = scratch, 0
        self._own = shard_slice(scratch.shape[1] - self._in_job, place.worker, place.workers)
        self._sums: dict[Any, list[tuple[Sequence[Array], Calls, Sequence[Array]]]] = {}

    def all_reduce(self, *arrays: Array) -> None:
        """Replace ``arrays``, one per shard of this worker, by their sum over all shards of all workers."""
        array = arrays[0]
        if array.nbytes > SCRATCH:
            self._in_pieces(arrays)
            return
        sums = self._sums.get((array.shape, array.dtype))
        if sums is None:
            sums = self._sums[array.shape, array.dtype] = [self._sum(half, array) for half in self._scratch]
        own, calls, (first, second) = sums[self._turn]
        self._turn ^= 1
        for part, array in zip(own, arrays, strict=True):
            np.copyto(part, array)
        self.barrier()
        if self._in_job:
            self._add_ranks(calls, first, second, arrays)
            return
        for add, a, b, total in calls:
            add(a, b, total)
        for array in arrays:
            np.add(first, second, array)

    def _add_ranks(self, calls: Calls, first: Array, second: Array, arrays: Sequence[Array]) -> None:
        """Let the first worker add the parts of this rank and of the others; then all workers copy the sum."""
        total = self._scratch[self._turn ^ 1, -1, : first.nbytes].view(first.dtype).reshape(first.shape)
        if self._between is not None:
            for add, a, b, out in calls:
                add(a, b, out)
            np.add(first, second, total)
            self._between.all_reduce(total)
        self.barrier()
        for array in arrays:
            np.copyto(array, total)

    def _sum(self, half: Array, like: Array) -> tuple[Sequence[Array], Calls, Sequence[Array]]:
        """Return, for arrays ``like`` this one, this worker's parts of scratch memory, and the calls that add all parts."""
        rows = half[:-1] if self._in_job else half
        parts = [part.view(like.dtype).reshape(like.shape) for part in rows[:, : like.nbytes]]
        return parts[self._own], *until_two(parts)

    def _in_pieces(self, arrays: Sequence[Array]) -> None:
        flat = [array.reshape(-1) for array in arrays]  # copies if the arrays are not contiguous
        step = SCRATCH // arrays[0].itemsize
        for start in range(0, flat[0].size, step):
            self.all_reduce(*(values[start : start + step] for values in flat))
        for values, array in zip(flat, arrays, strict=True):
            if not np.may_share_memory(values, array):
                array[...] = values.reshape(array.shape)


class Member:
    """One worker of a machine: its shards of the batch, their gradients and losses, its part of the update.

    Rank 0 writes ``order`` before each step: epoch, batch, global step; and ``rate``, the learning rate.
    """

    def __init__(
        self,
        step: Step,
        arrays: Mapping[str, Array],  # the shared memory (:func:`layout`)
        signals: Signals,
        place: Place,
        partition: Partition,
        between: Workers | None = None,  # of the ranks, for the first worker of each; a lone one adds with it directly
    ) -> None:
        self._step, self._place, self._partition = step, place, partition
        self.arrays, self.signals = arrays, signals
        self.gradients, self.counters = list(arrays["gradients"]), list(arrays["counters"])
        self.slots = {name[5:]: array for name, array in arrays.items() if name.startswith("slot/")}
        self.order = arrays["order"].view(np.uint8).data.cast("q")
        self.rate = arrays["rate"].view(np.uint8).data.cast("d")
        self._alone, count = between is not None and place.workers == 1, len(partition.parts)
        alone = between if place.workers == 1 else None
        group = self._group = alone or ProcessGroup(signals, arrays["scratch"], place, between)
        groups: list[Group] = [group]
        if count > place.total:
            own, first = place.own(count), place.of_rank(count).start
            groups = [ShardGroup(k, count, writes_state=k == first) for k in range(own.start, own.stop)]
        self._lookups = {group: step.lookups() for group in groups}  # of this worker's shards, by their groups
        if place.ranks > 1 and (len(groups) > 1 or not self._alone):
            for lookup in (lookup for lookups in self._lookups.values() for lookup in lookups):
                lookup.touched.kept = False  # whole gradients are added in place: then a step clears all their rows
        # The counters of a step of each shard; those of the first of all are the trainer's.
        self._running = [RunningMetrics(step.network, training=True) if group.rank else None for group in groups]
        self._here = shard_slice(len(self.gradients), place.worker, place.workers)
        for running, vector in zip(self._running, self.counters[self._here], strict=True):
            if running is not None:
                running.count_in(vector)
        self._matrices = partition.views(arrays, place.worker)

    def bind(self, form: Form, send: Call | None = None) -> Program:
        """Bind a program that ends when all workers have their gradients; its losses are summed over all shards.

        Its feeds and fetches are those of the first shard. A rank of one worker sends its gradient by ``send`` before the
        losses are summed: both take one latency.
        """
        step, pairs = self._step, zip(self._lookups.items(), self.gradients[self._here], strict=True)
        programs = [step.bind(form, array, group, self._matrices, own) for (group, own), array in pairs]
        names = [TOTAL, *map(loss_of, step.objective.losses)]
        for program, group, running in zip(programs, self._lookups, self._running, strict=True):
            losses, sums = [program.fetches[name] for name in names], np.zeros(len(names))
            program.calls += [(_collect, losses, sums), (group.all_reduce, sums), *program.after]
            program.fetches |= {name: sums[k : k + 1].reshape(()) for k, name in enumerate(names)}
            if running is not None:
                program.calls += [(running.reset,), (running.add, form[0], program.fetches, program.feeds)]
        program, fills = programs[0], [program.load for program in programs]
        if len(programs) > 1:

            def load(batch: int) -> None:
                for fill in fills:
                    fill(batch)

            calls, size = self._in_step([p.calls for p in programs]), sum(p.nbytes for p in programs)
            program = Program(program.feeds, program.fetches, calls, [], size, load=load)
        if self._alone and send is not None:
            last = max(k for k, call in enumerate(program.calls) if call[0] == self._group.all_reduce)
            program.calls[last:last] = [*sum_into_first(self.gradients), send]
        return program

    def _in_step(self, calls: Sequence[Calls]) -> Calls:
        return in_step(calls, [*self._lookups], self._group) if len(calls) > 1 else calls[0]

    def _each_shard(self, bind: Callable[[Group, Sequence[Lookup]], Calls]) -> Calls:
        """Return the calls of ``bind`` for all shards, which update a part of the weights each."""
        return self._in_step([bind(group, lookups) for group, lookups in self._lookups.items()])

    def update(
        self, rate: Rate, send: Call | None = None, receive: Call | None = None, collect: Call | None = None
    ) -> Calls:
        """Return the calls that sum the gradients of this worker's part of the weights, and update it.

        ``send``, ``receive``, ``collect``: on the first worker of a rank of an MPI job, the calls that send the rank's
        gradients to the others, receive theirs, and collect the weights.
        """
        parts, parameters, clock = self._partition.parts, self._step.parameters, self._step.clock
        weights, segments = parameters.vectors["trainable"], parameters.segments["trainable"]
        vectors = Vectors.of_workers(weights, self.gradients, self.slots, segments)
        if self._place.ranks == 1:

            def update(group: Group, lookups: Sequence[Lookup]) -> Calls:
                part = parts[group.rank], list(self._partition.summed(group.rank))
                return self._step.optimizer.bind(replace(vectors, lookups=lookups).part(*part), clock, rate, group)

            return self._each_shard(update)
        here = self._place.of_rank(len(parts))
        whole = slice(parts[here.start].start, parts[here.stop - 1].stop)  # what this rank updates
        slots = {name: a if "/" in name or self._place.rank else a[whole] for name, a in self.slots.items()}
        own = replace(vectors, slots={}, others=()).part(whole, [])
        own = replace(own, G=self.arrays["received"][0], others=list(self.arrays["received"][1:]), slots=slots)

        def update_part(group: Group, lookups: Sequence[Lookup]) -> Calls:
            start, stop = parts[group.rank].start - whole.start, parts[group.rank].stop - whole.start
            kept = replace(own, lookups=[lookup.within(whole) for lookup in lookups])
            piece = kept.part(slice(start, stop), [slice(0, stop - start)])
            return self._step.optimizer.bind(piece, clock, rate, group)

        update_own = self._each_shard(update_part)
        sends, receives, collects = ([call] if call else [] for call in (send, receive, collect))
        if self._alone:
            return [*receives, *update_own, *collects]
        piece = shard_slice(weights.size, self._place.worker, self._place.workers)
        add, wait = sum_into_first([gradient[piece] for gradient in self.gradients]), (self.signals.barrier,)
        return [*add, wait, *sends, *receives, wait, *update_own, wait, *collects]


def _collect(losses: Sequence[Array], into: Array) -> None:
    for k, loss in enumerate(losses):
        into[k] = loss


def layout(
    step: Step,
    running: RunningMetrics,
    slots: Mapping[str, tuple[Sequence[int], Any]],
    partition: Partition,
    place: Place,
) -> dict[str, tuple[Any, Any]]:
    """Return the shapes and dtypes of the arrays that the workers of a machine share, by name."""
    vectors, dtype, in_job = step.parameters.vectors, step.parameters.dtype, place.ranks > 1
    parts = partition.parts[place.of_rank(len(partition.parts))]
    shards, received = len(parts), {"received": ((place.ranks, parts[-1].stop - parts[0].start), dtype)}
    return {
        "signals": ((counter_words(place.workers),), np.int64),
        "order": ((3,), np.int64),
        "rate": ((1,), np.float64),
        "scratch": ((2, shards + in_job, SCRATCH), np.uint8),
        "counters": ((shards, running.counters), np.float64),
        "gradients": ((shards, vectors["trainable"].size), dtype),
        **{f"weights/{name}": (vector.shape, dtype) for name, vector in vectors.items()},
        **{f"slot/{name}": slot for name, slot in slots.items()},
        **(received if in_job else {}),
        **partition.layout(dtype),
    }
