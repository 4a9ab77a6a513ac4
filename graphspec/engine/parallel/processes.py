"""The worker processes of a group: start them, notice if one dies, and end them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from graphspec.base.arrays.cores import ONE_THREAD
from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, RunError, SpecError
from graphspec.engine.parallel.stops import held_back
from graphspec.engine.parallel.sync import Pipes, Signals, Spin, spins_safely
from graphspec.engine.parallel.worker import DIAGNOSTICS
from graphspec.graph.kernels import compiled as fast

if TYPE_CHECKING:
    from graphspec.engine.parallel.shared_memory import Memory

_MAX_ERROR_BYTES = 8000  # bytes read from the end of a dead worker's output
_HINT = "`workers: 1` trains in one process"


class Processes:
    """The processes of ranks 1 to ``size - 1``.

    Signals refer to this object, to check in a long wait that the workers are alive. This object refers neither to the
    leader nor to its arrays, so shared memory is freed with the leader, without the garbage collector.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.started: list[subprocess.Popen[bytes]] = []
        self._errors: list[IO[bytes]] = []
        self._open = ExitStack()

    def start(self, memory: Memory, message: dict[str, Any]) -> Signals:
        """Start the processes, and return rank 0's signals.

        Each process gets one line of JSON on its standard input, and ends when that is closed.

        Raises:
            OSError: a process cannot be started; :meth:`close` ends the others.
        """
        environment = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        environment |= {"PYTHONIOENCODING": "utf-8", fast.KERNELS: fast.mode()}
        options: dict[str, Any] = {"process_group": 0}  # only rank 0 gets Ctrl-C
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        if not sys.executable:
            raise OSError("the path of the Python interpreter is not known")
        files = [where["fd"] for where in message["maps"].values() if where["fd"] is not None]
        use_pipes = not spins_safely()
        reads, writes = list[int](), list[int]()
        for rank in range(1, self.size):
            pipes = [*os.pipe(), *os.pipe()] if use_pipes else []  # to the worker: read, write; from it: read, write
            child_fds = [pipes[0], pipes[3]] if use_pipes else []
            errors = self._open.enter_context(TemporaryFile())  # noqa: SIM115
            with held_back():
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "graphspec.engine.parallel.worker"],
                    stdin=subprocess.PIPE,
                    stdout=errors,
                    stderr=errors,
                    env=environment,
                    pass_fds=(*memory.inherited, *files, *child_fds),
                    **options,
                )
            self.started.append(process)
            self._errors.append(errors)
            for fd in child_fds:
                os.close(fd)
            if use_pipes:
                reads.append(pipes[2])
                writes.append(pipes[1])
                self._open.callback(os.close, pipes[2])
                self._open.callback(os.close, pipes[1])
            line = json.dumps(message | {"rank": rank, "memory": memory.description, "pipes": child_fds})
            assert process.stdin is not None
            try:
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                process.wait()
                self.check()
        if use_pipes:
            return Pipes(reads, writes, 0, self.check)
        return Spin(memory.arrays["signals"], 0, self.size, self.check)

    def check(self) -> None:
        """Check that all processes are running.

        Raises:
            SpecError: GS5, a worker found an error in the data.
            RunError: GS604, a worker died; GS606, it computes something else.
        """
        for rank, process in enumerate(self.started, 1):
            if (code := process.poll()) is not None:
                self._raise_diagnostics(rank)
                raise RunError(
                    Code.WORKER_DIED,
                    f"worker {rank} of {self.size} died: {_exit_reason(code)}{self._error_text(rank)}",
                    _HINT,
                )

    def _raise_diagnostics(self, rank: int) -> None:
        """Raise the diagnostics that a worker has written to its last line, if any."""
        *_, last = ["", *self._lines(rank)]
        with suppress(ValueError, TypeError, KeyError):
            records = json.loads(last)[DIAGNOSTICS]
            if isinstance(records, dict):
                raise RunError(**records)
            raise SpecError(Diagnostic(**record | {"nodes": ()}) for record in records)

    def _error_text(self, rank: int) -> str:
        return "".join(f"\n  {line}" for line in self._lines(rank)[-5:])

    def _lines(self, rank: int) -> list[str]:
        """Return the last lines that a worker has written."""
        file = self._errors[rank - 1]
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _MAX_ERROR_BYTES, 0))
        return file.read().decode(errors="replace").strip().splitlines()

    def close(self) -> None:
        """End all processes."""
        for process in self.started:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
        for process in self.started:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._open.close()


def _exit_reason(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    import signal

    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (" (too little memory?)" if name == "SIGKILL" else "")
