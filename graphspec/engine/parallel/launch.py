"""How processes of a training are started together and stopped: launchers such as ``mpiexec``, and signals."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

# Whether a launcher such as ``mpiexec`` or ``srun`` has started this process as one of several; without loading MPI.
_VARIABLES = (
    ("mpiexec", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI
    ("mpiexec", "PMI_RANK", "PMI_SIZE"),  # MPICH and Intel MPI, also under srun
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # SLURM_NTASKS is also set where only the job script runs
)


@dataclass(frozen=True)
class Launch:
    """The place of this process among those that a launcher has started."""

    command: str  # the launcher
    rank: int
    size: int


def launch_of(environment: Mapping[str, str]) -> Launch | None:
    """Return this process's place by the variables that launchers set; None if it was started alone."""
    for command, rank, size in _VARIABLES:
        try:
            found = Launch(command, int(environment[rank]), int(environment[size]))
        except (KeyError, ValueError):
            continue
        if found.size > 1:
            return found
    return None


def can_fork() -> bool:
    """Return whether a fork of this process is whole: it has no threads but those of OpenBLAS, which ends them before."""
    from graphspec.base.arrays import blas
    from graphspec.base.arrays.cores import usable_cores

    if sys.platform != "linux" or threading.active_count() > 1 or blas.openblas() is None:
        return False
    for _ in range(20):  # a thread that has been joined may end a moment later
        if len([*Path("/proc/self/task").iterdir()]) <= (blas.THREADS_SET or usable_cores()):
            return True
        time.sleep(1e-3)
    return False


# Signals that stop a training: rank 0 handles them, and the other workers, which may get them too, ignore them.
_NAMES = ("SIGTERM", "SIGUSR1", "SIGBREAK")  # besides Ctrl-C: of batch systems, containers, consoles of Windows
STOPS: tuple[int, ...] = tuple(int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name))


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
    """Ignore all signals to stop, also those that were held back.

    Batch systems signal every process of a job at once. A worker that ended then would keep rank 0 from finishing its step
    and writing its checkpoint. Workers end when rank 0 does: that closes their standard input.
    """
    for number in (signal.SIGINT, *STOPS):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, *STOPS))


# Ctrl-C and the signals of schedulers: a training stops between two steps, when its state is consistent.
_ONE_REQUEST = 1.0  # seconds in which repeated signals are one: `timeout` signals its child, then the child's group


class Interrupt:
    """The first signal sets ``signum``, which was 0; a later one interrupts immediately."""

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
    """Handle signals in a ``with`` block, except those that are ignored; outside the main thread, do nothing."""
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
