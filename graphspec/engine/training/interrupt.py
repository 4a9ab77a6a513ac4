"""Ctrl-C and the signals of schedulers: a training stops between two steps, when its state is consistent."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from graphspec.engine.parallel.launch import STOPS

_ONE_REQUEST = 1.0
# Seconds within which a program's repeated signals are one request: `timeout` signals its child, then the child's group.


class Interrupt:
    """The first signal sets ``requested``; a later one interrupts immediately.

    Attributes:
        signum: the number of the first signal; 0 if there was none.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.signum = 0
        self._clock, self._last = clock, 0.0

    @property
    def requested(self) -> bool:
        return self.signum != 0

    def handle(self, signum: int, frame: FrameType | None) -> None:
        now, last = self._clock(), self._last
        self._last = now
        if not self.requested:
            self.signum = signum
        elif signum == signal.SIGINT or now - last > _ONE_REQUEST:
            raise KeyboardInterrupt(signum)

    def stop(self) -> NoReturn:
        """Raise the KeyboardInterrupt of the first signal, which is its argument."""
        raise KeyboardInterrupt(self.signum or signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Let Ctrl-C set a flag instead of raising, inside the ``with`` block; inside :func:`raised`, other signals, too.

    Elsewhere the other signals belong to the program that trains. A signal that is ignored stays so. Only the main thread
    can handle signals; in other threads this does nothing.
    """
    state = Interrupt()
    ours = [number for number in STOPS if signal.getsignal(number) is _raise]
    with handled([signal.SIGINT, *ours], state.handle):
        yield state


@contextmanager
def raised() -> Iterator[None]:
    """Let Ctrl-C and the other signals raise KeyboardInterrupt with their number inside the ``with`` block."""
    with handled((signal.SIGINT, *STOPS), _raise):
        yield


@contextmanager
def handled(numbers: Iterable[int], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle signals by ``handler`` inside the ``with`` block.

    A signal that is ignored stays so. In threads other than the main one this does nothing.
    """
    before: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                if (old := signal.getsignal(number)) not in (None, signal.SIG_IGN):
                    before[number] = old
                    signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _raise(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signum)
