"""Access to a model from several threads: many may read its weights at a time, or one may change them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol
from weakref import WeakSet

from graphspec.base.errors import UsageError


class HasLocks(Protocol):
    """An object with locks."""

    def reset_locks(self) -> None:
        """Release the locks of all other threads."""


_with_locks: WeakSet[HasLocks] = WeakSet()


def reset_locks_in_children(owner: HasLocks) -> None:
    """Reset the locks of ``owner`` in every forked process, which does not have the threads that acquired them."""
    _with_locks.add(owner)


def _after_fork() -> None:
    for owner in list(_with_locks):
        owner.reset_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Reading:
    """The ``with`` block of :meth:`Access.reading`; a class, since every prediction enters one."""

    __slots__ = ("_access", "_thread")

    def __init__(self, access: Access) -> None:
        self._access = access

    def __enter__(self) -> None:
        self._thread = threading.get_ident()
        self._access._begin_reading(self._thread)

    def __exit__(self, *_: object) -> None:
        self._access._end_reading(self._thread)


class Access:
    """A reentrant lock with many readers or one writer.

    A change of weights is short, so other threads wait for it. A training is long, so other threads get an error. The
    training thread itself may read, as callbacks do.
    """

    def __init__(self) -> None:
        self._readers: dict[int, int] = {}  # by thread: the number of its nested `reading` blocks
        self._writer: int | None = None
        self._writes = 0
        self._training = self._inconsistent = False
        self._new_lock()
        reset_locks_in_children(self)

    def _new_lock(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def reading(self) -> Reading:
        """Prevent other threads from changing the weights inside a ``with`` block.

        Raises:
            UsageError: another thread is training the model.
        """
        return Reading(self)

    def _begin_reading(self, me: int) -> None:
        with self._lock:
            while not (me in self._readers or self._writer in (None, me)):
                self._refuse_training()
                self._changed.wait()
            self._refuse_inconsistent()
            self._readers[me] = self._readers.get(me, 0) + 1

    def _end_reading(self, me: int) -> None:
        with self._lock:
            left = self._readers[me] - 1
            if left:
                self._readers[me] = left
            else:
                del self._readers[me]
                if self._writer is not None:  # only a writer waits for readers
                    self._changed.notify_all()

    @contextmanager
    def writing(self, what: Literal["weights", "training", "steps"] = "weights") -> Iterator[None]:
        """Wait for the current readers, then be the only thread that reads or changes weights inside the ``with`` block.

        Args:
            what: ``training`` contains the ``steps`` of one training, and changes of weights by its callbacks.

        Raises:
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
            raise UsageError(
                "another thread is training this model: wait until `fit` returns, or make a copy before the training "
                "(`copy.copy(model)`) and use that"
            )

    def _refuse_inconsistent(self) -> None:
        if self._inconsistent:
            raise UsageError(
                "this process was forked while another thread was changing the model, so its weights are inconsistent: "
                "fork before that, or send the process a pickle of the model"
            )

    def reset_locks(self) -> None:
        """Release the locks of all other threads: only the current thread exists in a forked process."""
        me = threading.get_ident()
        self._new_lock()
        self._readers = {t: n for t, n in self._readers.items() if t == me}
        if self._writer not in (None, me):
            self._writer, self._writes, self._training, self._inconsistent = None, 0, False, True
