"""Who may use a model at a time: many threads that read its weights, or one that changes them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol
from weakref import WeakSet

from graphspec.errors import UsageError


class Renewed(Protocol):
    """What has locks."""

    def renew(self) -> None:
        """Let go of all that other threads hold."""


_renewed: WeakSet[Renewed] = WeakSet()


def renew_in_children(holder: Renewed) -> None:
    """Renew the locks of ``holder`` in every process that is forked: there the threads that held them do not exist."""
    _renewed.add(holder)


def _in_child() -> None:
    for holder in list(_renewed):
        holder.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


class Access:
    """A lock with many readers or one writer; a thread may take it again while it holds it.

    A change of weights is short, and others wait for it. A training is long: meanwhile other threads are refused. The
    thread that trains may read, as callbacks do.
    """

    def __init__(self) -> None:
        self._readers: dict[int, int] = {}  # thread → how often it holds the lock
        self._writer: int | None = None
        self._writes = 0
        self._training = self._torn = False
        self._changed = threading.Condition()
        renew_in_children(self)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Weights stay as they are within.

        Raises:
            UsageError: another thread trains the model.
        """
        me = threading.get_ident()
        with self._changed:
            while not (me in self._readers or self._writer in (None, me)):
                self._refuse_training()
                self._changed.wait()
            self._refuse_torn()
            self._readers[me] = self._readers.get(me, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._readers[me] -= 1
                if not self._readers[me]:
                    del self._readers[me]
                    self._changed.notify_all()

    @contextmanager
    def writing(self, what: Literal["weights", "training"] = "weights") -> Iterator[None]:
        """Nobody else reads or changes weights within; begins when the readers of now have ended.

        Raises:
            UsageError: another thread trains the model, or this one only reads it (a prediction cannot train).
        """
        me = threading.get_ident()
        with self._changed:
            if me in self._readers and self._writer != me:
                raise UsageError("a model cannot change while the same thread computes with it")
            while self._writer not in (None, me):
                self._refuse_training()
                self._changed.wait()
            self._refuse_torn()
            self._writer, trained = me, self._training  # from here on nobody begins to read
            self._training = self._training or what == "training"
            self._writes += 1
            try:
                while self._readers.keys() - {me}:
                    self._changed.wait()
            except BaseException:
                self._end(trained)
                raise
        try:
            yield
        finally:
            with self._changed:
                self._end(trained)

    def _end(self, training: bool) -> None:
        self._writes -= 1
        self._training = training
        if not self._writes:
            self._writer = None
        self._changed.notify_all()

    def _refuse_training(self) -> None:
        if self._training:
            raise UsageError(
                "another thread is training this model: wait until `fit` returns, or use a copy made before "
                "(`copy.copy(model)`)"
            )

    def _refuse_torn(self) -> None:
        if self._torn:
            raise UsageError(
                "this process was forked while another thread changed the model, so its weights are not whole: "
                "fork before, or give the process a pickle of the model"
            )

    def renew(self) -> None:
        """In a forked process only this thread goes on."""
        me = threading.get_ident()
        self._changed = threading.Condition()
        self._readers = {t: n for t, n in self._readers.items() if t == me}
        if self._writer not in (None, me):
            self._writer, self._writes, self._training, self._torn = None, 0, False, True
