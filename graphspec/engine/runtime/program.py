"""Programs, the result of binding: buffers and one flat list of calls."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Self
from weakref import WeakSet

from graphspec.base.arrays.calls import Calls, apart
from graphspec.base.arrays.cores import usable_cores
from graphspec.base.errors import UsageError
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels.one_call import runner


def no_rows(batch: int) -> None:
    """Copy nothing: this program has no source of rows."""


@dataclass
class Program:
    """A bound graph: copy a batch into ``feeds``, ``run`` it, read ``fetches``.

    The calls ``after`` are made after the barrier at which all workers have made theirs: they compute gradients of weights
    from the rows of all workers.
    """

    feeds: dict[str, Array]
    fetches: dict[str, Array]
    calls: Calls  # the forward calls, then the backward calls
    spans: list[tuple[str, str, int, int]]  # phase, node, start, stop: of each node's calls, for printing and profiling
    nbytes: int  # the memory of its buffers
    grads: dict[str, Array] = field(default_factory=dict)  # the requested gradients of inputs, by name
    backward_start: int = 0  # the index of the first backward call
    dead_after_forward: Callable[[], list[Array]] = list  # what no backward call and no fetch reads: tests fill in NaN
    after: Calls = field(default_factory=list)
    load: Callable[[int], None] = no_rows  # copies the batch with this index into ``feeds``

    @cached_property
    def run(self) -> Callable[[], None]:
        """Make all calls. Changes of ``calls`` after the first run have no effect."""
        return runner(self.calls)

    @cached_property
    def run_apart(self) -> Callable[[], None]:
        """Do as :meth:`run`, under the settings that programs need."""
        return apart(self.run)

    def results(self, feeds: Mapping[str, Array], run: Callable[[], None] | None = None) -> dict[str, Array]:
        """Copy a batch into ``feeds``, ``run`` (:meth:`run_apart`), and return copies of the ``fetches``."""
        for name, buffer in self.feeds.items():
            buffer[...] = feeds[name]
        (run or self.run_apart)()
        return {name: array.copy() for name, array in self.fetches.items()}

    def describe(self) -> str:
        """Return the program as text, with one line per node: phase, node, and the names of its calls."""
        lines = []
        for phase, name, start, stop in self.spans:
            names = ", ".join(getattr(c[0], "__name__", type(c[0]).__name__) for c in self.calls[start:stop])
            lines.append(f"{phase:8} {name}: {names}")
        return "\n".join(lines)


# Access to a model from several threads: many may read its weights at a time, or one may change them.
_with_locks: WeakSet[Access | ProgramCache] = WeakSet()  # every forked process resets their locks


def _after_fork() -> None:
    for owner in list(_with_locks):
        owner.reset_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Access:
    """A reentrant lock with many readers or one writer.

    A change of weights is short, so other threads wait for it. A training is long, so other threads get an error. The
    training thread itself may read, as callbacks do.
    """

    def __init__(self) -> None:
        self._readers: dict[int, int] = {}  # by thread: the number of its nested `reading` blocks
        self._writer: int | None = None
        self._writes, self._training, self._inconsistent = 0, False, False
        self._new_lock()
        _with_locks.add(self)

    def _new_lock(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def reading(self) -> Self:
        """Let no other thread change the weights in a ``with`` block. Raises UsageError: another one is training."""
        return self

    def __enter__(self) -> None:
        # Without the lock, which takes longer than the rest: a reader enters and then looks for a writer, and a writer
        # comes and then looks for readers, so one of them sees the other.
        me = threading.get_ident()
        self._readers[me] = self._readers.get(me, 0) + 1
        if self._writer is not None or self._inconsistent:
            self._enter_later(me)

    def _enter_later(self, me: int) -> None:
        self.__exit__()
        with self._lock:
            while self._writer is not None and not (self._writer == me or me in self._readers):
                self._refuse_training()
                self._changed.wait()
            if self._inconsistent:
                self._refuse_inconsistent()
            self._readers[me] = self._readers.get(me, 0) + 1

    def __exit__(self, *_: object) -> None:
        me = threading.get_ident()
        if left := self._readers[me] - 1:
            self._readers[me] = left
        else:
            del self._readers[me]
            if self._writer is not None:  # only a writer waits for readers
                with self._lock:
                    self._changed.notify_all()

    @contextmanager
    def writing(self, what: Literal["weights", "training", "steps"] = "weights") -> Iterator[None]:
        """Wait for the current readers, then be the only thread that reads or changes weights inside the ``with`` block.

        ``what``: ``training`` contains the ``steps`` of one training, and changes of weights by its callbacks. Raises
        UsageError: another thread is training the model, or this thread is reading it: a prediction cannot train; or
        this thread is training it: a callback cannot train.
        """
        me = threading.get_ident()
        with self._changed:
            if me in self._readers and self._writer != me:
                raise UsageError("a thread cannot change a model while it computes with it")
            if what == "training" and self._training and self._writer == me:
                raise UsageError("a callback cannot train the model that is being trained: train `copy.copy(model)`")
            while self._writer not in (None, me):
                self._refuse_training()
                self._changed.wait()
            self._refuse_inconsistent()
            self._writer, was_training = me, self._training  # from here on no thread starts to read
            self._training = self._training or what != "weights"
            self._writes += 1
            try:
                while self._readers.keys() - {me}:
                    self._changed.wait()
            except BaseException:
                self._end(was_training)
                raise
        try:
            yield
        finally:
            with self._changed:
                self._end(was_training)

    def _end(self, training: bool) -> None:
        self._writes -= 1
        self._training = training
        if not self._writes:
            self._writer = None
        self._changed.notify_all()

    def _refuse_training(self) -> None:
        if self._training:
            text = "another thread is training this model: wait until `fit` returns, or make a copy before the training"
            raise UsageError(f"{text} (`copy.copy(model)`) and use that")

    def _refuse_inconsistent(self) -> None:
        if self._inconsistent:
            text = "this process was forked while another thread was changing the model, so its weights are"
            raise UsageError(f"{text} inconsistent: fork before that, or send the process a pickle of the model")

    def reset_locks(self) -> None:
        """Release the locks of all other threads: only the current thread exists in a forked process."""
        me = threading.get_ident()
        self._new_lock()
        self._readers = {t: n for t, n in self._readers.items() if t == me}
        if self._writer not in (None, me):
            self._writer, self._writes, self._training, self._inconsistent = None, 0, False, True


class ProgramCache:
    """A cache of programs by mode and shapes: binding takes milliseconds, and an epoch has one batch shape, or two.

    A program computes in its own buffers, so only one thread may use it at a time. Threads that need the same program
    at the same time each get their own, up to the number of cores: more would use memory without being faster.
    ``max_bytes``: the limit for idle programs, of which the least recently used go first; the last is always kept.
    """

    def __init__(self, max_bytes: int = 1 << 30) -> None:
        self._max_bytes = max_bytes
        self._idle: OrderedDict[Hashable, list[Program]] = OrderedDict()
        self._nbytes = 0
        self.reset_locks()
        _with_locks.add(self)

    def reset_locks(self) -> None:
        """Create new locks, which no thread has acquired."""
        self._lock = threading.RLock()
        self._freed, self._turns, self._waiting = threading.Condition(self._lock), usable_cores(), 0

    def borrow(self, key: Hashable, make: Callable[[], Program]) -> Loan:
        """Lend a program to one thread for a ``with`` block; ``make`` binds it if none is idle."""
        return Loan(self, key, make)

    def lend(self, key: Hashable) -> Program | None:
        """Wait for a turn, and do as :meth:`take`; :meth:`give_back` ends the turn."""
        with self._lock:
            if not self._turns:
                self._waiting += 1
                try:
                    while not self._turns:
                        self._freed.wait()
                finally:
                    self._waiting -= 1
            self._turns -= 1
            if not (programs := self._idle.get(key)):  # as `take`
                return None
            program = programs.pop()
            self._nbytes -= program.nbytes
            return program

    def give_back(self, key: Hashable, program: Program | None) -> None:
        """End a turn; keep the program, if any, as :meth:`put` does."""
        with self._lock:
            self._turns += 1
            if program is not None:
                self.put(key, program)
            if self._waiting:
                self._freed.notify()

    def take(self, key: Hashable) -> Program | None:
        """Remove an idle program from the cache and return it; None if there is none. No other thread may use the cache."""
        if not (programs := self._idle.get(key)):
            return None
        program = programs.pop()  # an empty list is kept until the next eviction: the key is about to come back
        self._nbytes -= program.nbytes
        return program

    def put(self, key: Hashable, program: Program) -> None:
        """Add an idle program, and evict the least recently used ones beyond the limit. As :meth:`take`, not for threads."""
        self._idle.setdefault(key, []).append(program)
        self._idle.move_to_end(key)
        self._nbytes += program.nbytes
        while self._nbytes > self._max_bytes and sum(map(len, self._idle.values())) > 1:
            oldest, programs = next(iter(self._idle.items()))
            if programs:
                self._nbytes -= programs.pop(0).nbytes
            if not programs:
                del self._idle[oldest]

    def nbytes(self) -> int:
        return self._nbytes


class Loan:
    """The ``with`` block of :meth:`ProgramCache.borrow`; a class, since every prediction enters one."""

    __slots__ = ("_cache", "_key", "_make", "_program")

    def __init__(self, cache: ProgramCache, key: Hashable, make: Callable[[], Program]) -> None:
        self._cache, self._key, self._make = cache, key, make

    def __enter__(self) -> Program:
        program = self._cache.lend(self._key)
        if program is None:
            try:
                program = self._make()
            except BaseException:
                self._cache.give_back(self._key, None)
                raise
        self._program = program
        return program

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._cache.give_back(self._key, None if kind else self._program)  # a program that failed is not kept
