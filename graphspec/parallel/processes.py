"""The other processes of a group: started, watched while they are waited for, and ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from graphspec.arrays.blas import ONE_THREAD
from graphspec.codes import Code
from graphspec.errors import Diagnostic, RunError, SpecError
from graphspec.parallel.sync import Pipes, Signals, Spin, spins_safely
from graphspec.parallel.worker import FOUND

if TYPE_CHECKING:
    from graphspec.parallel.shared_memory import Memory

_LAST_WORDS = 8000  # bytes of a dead worker's standard error that are looked at
_HINT = "`workers: 1` trains in one process"


class Processes:
    """Ranks 1 to ``size - 1``.

    Signals hold it: in a long wait they check that the others are alive. It refers neither to the leader nor to its arrays,
    so shared memory goes with the leader, without the garbage collector.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.started: list[subprocess.Popen[bytes]] = []
        self._errors: list[IO[bytes]] = []
        self._open = ExitStack()

    def start(self, memory: Memory, message: dict[str, Any]) -> Signals:
        """Start them, each by a line of JSON on its standard input, whose end is the end of it, too; rank 0's signals.

        Raises:
            OSError: they are not to be had; :meth:`close` ends those that have been started.
        """
        environment = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        environment["PYTHONIOENCODING"] = "utf-8"
        apart: dict[str, Any] = {"process_group": 0}  # Ctrl-C is for rank 0 alone
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        if not sys.executable:
            raise OSError("there is no Python interpreter to start")
        files = [where["fd"] for where in message["maps"].values() if where["fd"] is not None]
        plain = not spins_safely()
        reads, writes = list[int](), list[int]()
        for rank in range(1, self.size):
            pipes = [*os.pipe(), *os.pipe()] if plain else []  # down: read, write; up: read, write
            theirs = [pipes[0], pipes[3]] if plain else []
            errors = self._open.enter_context(TemporaryFile())  # noqa: SIM115
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "graphspec.parallel.worker"],
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
                env=environment,
                pass_fds=(*memory.inherited, *files, *theirs),
                **apart,
            )
            self.started.append(process)
            self._errors.append(errors)
            for fd in theirs:
                os.close(fd)
            if plain:
                reads.append(pipes[2])
                writes.append(pipes[1])
                self._open.callback(os.close, pipes[2])
                self._open.callback(os.close, pipes[1])
            line = json.dumps(message | {"rank": rank, "memory": memory.description, "pipes": theirs})
            assert process.stdin is not None
            try:
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                process.wait()
                self.check()
        if plain:
            return Pipes(reads, writes, 0, self.check)
        return Spin(memory.arrays["signals"], 0, self.size, self.check)

    def check(self) -> None:
        """If one of them has ended: what it found wrong with the data, else GS604."""
        for rank, process in enumerate(self.started, 1):
            if (code := process.poll()) is not None:
                self._raise_found(rank)
                raise RunError(
                    Code.WORKER_DIED,
                    f"worker {rank} of {self.size} died: {_ended(code)}{self._last_words(rank)}",
                    _HINT,
                )

    def _raise_found(self, rank: int) -> None:
        *_, last = ["", *self._lines(rank)]
        with suppress(ValueError, TypeError, KeyError):
            records = json.loads(last)[FOUND]
            raise SpecError(Diagnostic(**record | {"nodes": ()}) for record in records)

    def _last_words(self, rank: int) -> str:
        return "".join(f"\n  {line}" for line in self._lines(rank)[-5:])

    def _lines(self, rank: int) -> list[str]:
        """The last lines that a worker has written."""
        file = self._errors[rank - 1]
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _LAST_WORDS, 0))
        return file.read().decode(errors="replace").strip().splitlines()

    def close(self) -> None:
        """End them."""
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


def _ended(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    import signal

    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (" (too little memory?)" if name == "SIGKILL" else "")
