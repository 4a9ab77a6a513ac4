"""Signals that stop a training: rank 0 handles them, and the other workers, which may get them too, ignore them.

Batch systems signal every process of a job at once. A worker that ended then would keep rank 0 from finishing its step
and writing its checkpoint. Workers end when rank 0 does: that closes their standard input.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

STOPS: tuple[int, ...] = tuple(
    int(getattr(signal, name)) for name in ("SIGTERM", "SIGUSR1", "SIGBREAK") if hasattr(signal, name)
)
"""Signals besides Ctrl-C that stop ``graphspec train``: batch systems, containers, consoles of Windows send them."""


@contextmanager
def held_back() -> Iterator[None]:
    """Start workers inside the ``with`` block: all signals to stop wait until a worker calls :func:`ignore`.

    For this process they wait until the end of the block. Windows cannot hold signals back.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, *STOPS))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """Ignore all signals to stop, also those that were held back."""
    for number in (signal.SIGINT, *STOPS):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, *STOPS))
