"""Rank 0's side of a group of processes: it starts the others, gives the orders, and restores everything at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from graphspec.arrays.blas import ONE_THREAD, one_thread
from graphspec.arrays.memory_maps import mapped
from graphspec.codes import Code
from graphspec.data.batches import Dataset
from graphspec.errors import Diagnostic, RunError, SpecError
from graphspec.graph.memory_estimate import activations
from graphspec.kernels.group import LocalGroup
from graphspec.parallel.member import Member, layout
from graphspec.parallel.shared_memory import allocate
from graphspec.parallel.sync import Pipes, Signals, Spin, spins_safely
from graphspec.parallel.worker import FOUND
from graphspec.runtime.partition import Partition

if TYPE_CHECKING:
    from graphspec.ir.graph import Array
    from graphspec.parallel.member import Step
    from graphspec.parallel.shared_memory import Memory
    from graphspec.runtime.optimizer_state import OptimizerState
    from graphspec.runtime.running_metrics import RunningMetrics

_FEW = 32
"""How many times its rows a step writes where gathering all of them takes rank 0 less than a hundredth of the step."""
_LAST_WORDS = 8000  # bytes of a dead worker's standard error that are looked at


class Leader:
    """``size`` processes that train together: this one, rank 0, and others that it starts.

    While it lasts, the weights and the optimizer's slots lie in shared memory; :meth:`close` takes them back.

    Args:
        document: the spec, with data files by paths that hold anywhere.

    Raises:
        OSError: processes or shared memory are not to be had; nothing has changed then.
    """

    def __init__(
        self,
        step: Step,
        optimizer_state: OptimizerState,
        running: RunningMetrics,
        document: Mapping[str, Any],
        size: int,
    ) -> None:
        self._step, self._optimizer_state, self._feeder = step, optimizer_state, step.loader
        self.size = size
        self._processes: list[subprocess.Popen[bytes]] = []
        self._errors: list[IO[bytes]] = []
        self._stack = ExitStack()
        partition = step.divide(optimizer_state.optimizer, size)
        wanted = layout(step, running, optimizer_state.slots, partition)
        given = self._feeder.given.named()
        maps = {name: where for name, a in given.items() if (where := mapped(a)) is not None}
        rows = {name: a for name, a in given.items() if name not in maps}
        if deals := not maps and _deals(step):
            rows.pop("chosen", None)
        held = {name: self._feeder.rows(0) if deals else len(a) for name, a in rows.items()}
        wanted |= {f"rows/{name}": ((held[name], *a.shape[1:]), a.dtype) for name, a in rows.items()}
        memory = allocate(wanted)
        self._dealt: dict[str, Array] = {}
        try:
            shared = {name: memory.arrays[f"rows/{name}"] for name in rows}
            if deals:
                self._dealt = Dataset.of(shared).feeds()
            else:
                for name, array in rows.items():
                    shared[name][...] = array
            signals = self._start(memory, self._message(document, maps))
            self.member = Member(memory.arrays, signals, 0, partition)
            self._others = [running.views(counters) for counters in self.member.counters[1:]]
            self._move_in(memory)
            self._stack.enter_context(one_thread())
        except BaseException:
            self.close()
            raise
        finally:
            memory.close()

    # Steps.

    def launch_step(self, epoch: int, batch: int) -> None:
        """Let the others take their part of a step."""
        if self._dealt:
            self._feeder.scatter(batch, self._dealt)
        order = self.member.order
        order[0], order[1], order[2] = epoch, batch, self._optimizer_state.clock.step
        self.member.rate[0] = self._optimizer_state.rate.value
        self.member.signals.notify()

    def finish_step(self, running: RunningMetrics | None) -> None:
        """Wait until the others have done their part; until the next step they touch nothing. Count what they counted."""
        self.member.signals.wait()
        if running is not None:
            for views in self._others:
                running.include(views)

    # Beginning and end.

    def _message(self, document: Mapping[str, Any], maps: dict[str, Any]) -> dict[str, Any]:
        return {
            "document": document,
            "size": self.size,
            "seed": self._step.seed,
            "batch_size": self._feeder.batch_size,
            "shuffle": self._feeder.shuffle and not self._dealt,
            "total": len(self._feeder.given) if self._dealt else None,
            "maps": maps,
        }

    def _start(self, memory: Memory, message: dict[str, Any]) -> Signals:
        """Start the other processes, each by a line of JSON on its standard input, whose end is the end of it, too."""
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
            errors = self._stack.enter_context(TemporaryFile())  # noqa: SIM115
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "graphspec.parallel.worker"],
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
                env=environment,
                pass_fds=(*memory.inherited, *files, *theirs),
                **apart,
            )
            self._processes.append(process)
            self._errors.append(errors)
            for fd in theirs:
                os.close(fd)
            if plain:
                reads.append(pipes[2])
                writes.append(pipes[1])
                self._stack.callback(os.close, pipes[2])
                self._stack.callback(os.close, pipes[1])
            line = json.dumps(message | {"rank": rank, "memory": memory.description, "pipes": theirs})
            assert process.stdin is not None
            try:
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                process.wait()
                self._check()
        if plain:
            return Pipes(reads, writes, 0, self._check)
        return Spin(memory.arrays["signals"], 0, self.size, self._check)

    def _move_in(self, memory: Memory) -> None:
        """Weights and slots into shared memory, and the way back."""
        optimizer_state, parameters = self._optimizer_state, self._step.parameters
        own, gradient, slots = dict(parameters.vectors), optimizer_state.gradient, optimizer_state.slots

        def move_out() -> None:
            for name, vector in own.items():
                vector[...] = parameters.vectors[name]
            parameters.vectors = own
            optimizer_state.move([gradient], slots, LocalGroup(), Partition([slice(0, gradient.size)]))
            self._feeder.rank, self._feeder.size = 0, 1

        for name, vector in own.items():
            memory.arrays[f"weights/{name}"][...] = vector
        parameters.vectors = {name: memory.arrays[f"weights/{name}"] for name in own}
        self._stack.callback(move_out)
        optimizer_state.move(self.member.gradients, self.member.slots, self.member.group, self.member.partition)
        self._feeder.rank, self._feeder.size = 0, self.size

    def _check(self) -> None:
        """If one of the others has ended: what it found wrong with the data, else GS604."""
        for rank, process in enumerate(self._processes, 1):
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
        """End the others, and take weights and slots back into this process's memory."""
        for process in self._processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._stack.close()
        with suppress(AttributeError):
            del self.member, self._others  # signals know this team: with them in the circle its memory would stay


def _deals(step: Step) -> bool:
    """Whether rank 0 gathers the others' rows, too, so that not all rows need lie in shared memory once more."""
    loader = step.loader
    shapes = loader.shapes(loader.rows(0))
    row = sum(a[:1].nbytes for a in loader.given.feeds().values())
    return activations(step.network.graph, shapes) >= _FEW * loader.rows(0) * row


_HINT = "`workers: 1` trains in one process"


def _ended(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    import signal

    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (" (too little memory?)" if name == "SIGKILL" else "")
