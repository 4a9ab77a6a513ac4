"""The worker processes of one machine, or of one rank of an MPI job: what they share, their start, death and end."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from tempfile import TemporaryFile
from typing import IO, Any, NoReturn

from graphspec.base.arrays.blas import one_thread
from graphspec.base.arrays.calls import Calls
from graphspec.base.arrays.cores import ONE_THREAD
from graphspec.base.arrays.layout import shard_slice
from graphspec.base.arrays.memory import describe_map, free, give_back
from graphspec.base.errors import Code, Diagnostic, GraphspecError, RunError, SpecError
from graphspec.base.files import open_closed_streams
from graphspec.data.batches import Dataset, Form
from graphspec.engine.parallel.agreement import installation, program
from graphspec.engine.parallel.launch import can_fork, held_back, raised
from graphspec.engine.parallel.machine import Member, Memory, Pipes, Place, Spin, allocate, layout, spins_safely
from graphspec.engine.parallel.shards import Step, Workers
from graphspec.engine.parallel.validation import PREFIX, VALIDATE, Batches, Sharing, nbytes
from graphspec.engine.parallel.worker import DIAGNOSTICS, forked, inherit
from graphspec.engine.runtime.evaluation import Evaluation
from graphspec.engine.runtime.parameters import OptimizerState
from graphspec.engine.runtime.program import Program
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.graph.analysis import activations
from graphspec.graph.ir.graph import Array
from graphspec.graph.kernels import compiled
from graphspec.graph.optimizers import Rate

_MAX_ERROR_BYTES = 8000  # bytes read from the end of a dead worker's output
_SCATTER_RATIO = 32  # bytes of activations per byte of rows, from which on rank 0 gathers them in 1 % of a step


class Processes:
    """The processes of ranks 1 to ``size - 1``.

    Signals refer to this object, to check in a long wait that the workers are alive. This object refers neither to the
    leader nor to its arrays, so shared memory is freed with the leader, without the garbage collector.
    """

    def __init__(self, size: int) -> None:
        self.size, self._open = size, ExitStack()
        self.started: list[subprocess.Popen[bytes] | Forked] = []
        self._errors: list[IO[bytes]] = []

    def start(self, memory: Memory, message: dict[str, Any]) -> Spin | Pipes:
        """Start the processes, each with a line of JSON on its standard input, and return rank 0's signals.

        A process ends when its input is closed. Raises OSError: one cannot be started; :meth:`close` ends the others.
        """
        environment = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        environment |= {"PYTHONIOENCODING": "utf-8", "PYDANTIC_DISABLE_PLUGINS": "__all__"}  # as in `graphspec`
        environment |= {compiled.KERNELS: compiled.mode()}
        options: dict[str, Any] = {"process_group": 0}  # only rank 0 gets Ctrl-C
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        if not sys.executable:
            raise OSError("the path of the Python interpreter is not known")
        files = [where["fd"] for where in message["maps"].values() if where["fd"] is not None]
        use_pipes, reads, writes = not spins_safely(), list[int](), list[int]()
        for rank in range(1, self.size):
            pipes = [*os.pipe(), *os.pipe()] if use_pipes else []  # to the worker: read, write; from it: read, write
            child_fds = pipes[::3]
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
            for ends, fd in zip((writes, reads), pipes[1:3], strict=False):
                ends.append(fd)
                self._open.callback(os.close, fd)
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

    def fork(self, memory: Memory, follow: Callable[[int], NoReturn]) -> Spin:
        """Fork the processes, each of which calls ``follow`` with its rank, and return rank 0's signals. Raises OSError."""
        for rank in range(1, self.size):
            errors = self._open.enter_context(TemporaryFile(buffering=0))  # noqa: SIM115
            read, write = os.pipe()
            with held_back():
                if not (pid := os.fork()):
                    os.close(write)
                    forked(read, errors.fileno(), partial(follow, rank))
            os.close(read)
            self.started.append(Forked(pid, os.fdopen(write, "wb", buffering=0)))
            self._errors.append(errors)
        return Spin(memory.arrays["signals"], 0, self.size, self.check)

    def check(self) -> None:
        """Raise if a process has ended: SpecError (GS5: the data), GS606 (it computes something else), GS604 (it died)."""
        for rank, process in enumerate(self.started, 1):
            if (code := process.poll()) is None:
                continue
            file = self._errors[rank - 1]
            file.seek(max(file.seek(0, os.SEEK_END) - _MAX_ERROR_BYTES, 0))
            lines = file.read().decode(errors="replace").strip().splitlines()
            with suppress(ValueError, TypeError, KeyError, IndexError):
                records = json.loads(lines[-1])[DIAGNOSTICS]
                if isinstance(records, dict):
                    raise RunError(**records)
                raise SpecError(Diagnostic(**record | {"nodes": ()}) for record in records)
            text = f"worker {rank} of {self.size} died: {_exit_reason(code)}"
            text += "".join(f"\n  {line}" for line in lines[-5:])
            raise RunError(Code.WORKER_DIED, text, "`workers: 1` trains in one process")

    def close(self) -> None:
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


class Forked:
    """A forked process, with what is used of ``subprocess.Popen``."""

    def __init__(self, pid: int, stdin: IO[bytes]) -> None:
        self.pid, self.stdin = pid, stdin
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, that of a signal negative; None as long as the process lives."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # it has ended, and this program ignores SIGCHLD
                pid, status = self.pid, 0
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float = math.inf) -> None:
        """Wait for the end. Raises TimeoutExpired."""
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("", timeout)
            time.sleep(1e-3)

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _exit_reason(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (" (too little memory?)" if name == "SIGKILL" else "")


class Team:
    """The worker processes of a machine: this one is the first, and starts the others, if any.

    The weights are in shared memory from the start to :meth:`close`.

    ``member``: computes this process's shards. ``sharing``: how the processes get the validation rows, if they share
    them. Raises OSError: processes or shared memory are not available; nothing has changed then.
    """

    def __init__(
        self,
        step: Step,
        running: RunningMetrics,
        slots: Mapping[str, tuple[Sequence[int], Any]],  # of the optimizer: the shape and dtype of each
        message: Mapping[str, Any],  # what the other processes build the network from
        place: Place,
        between: Workers | None = None,  # the group of the ranks
        validation: Dataset | None = None,  # the rows that the processes validate, if they are many
        lighten: Callable[[], None] | None = None,  # frees what a fork of this process does not need; None: not forked
    ) -> None:
        open_closed_streams()  # the children's pipes replace theirs
        self._step, self._loader, self._compared = step, step.loader, place.workers == 1
        self.processes, self._place, alone = Processes(place.workers), place, place.ranks == 1
        partition = step.divide(step.optimizer, place.total, shard_kernels=alone)
        self._shards = len(partition.parts)
        arrays = layout(step, running, slots, partition, place)
        forks = lighten if place.workers > 1 and spins_safely() and can_fork() else None  # then the rows are inherited
        data = self._loader.dataset.named() if place.workers > 1 and not forks else {}
        maps = {name: where for name, a in data.items() if (where := describe_map(a)) is not None}
        rows = {name: a for name, a in data.items() if name not in maps}
        if scatters := bool(rows) and not maps and alone and _scatters(step):
            rows.pop("chosen", None)
        lengths = {name: self._loader.rows(0) if scatters else len(a) for name, a in rows.items()}
        arrays |= {f"rows/{name}": ((lengths[name], *a.shape[1:]), a.dtype) for name, a in rows.items()}
        whole, room = {} if scatters else rows, math.inf if forks else free() - nbytes(arrays)
        self.sharing = Sharing.of(validation, self._loader.batch_size, running, whole, room, place.workers)
        if forks:
            self.sharing = replace(self.sharing, copies={}, chosen=None, maps={}, same=())
        maps |= {f"{PREFIX}rows/{name}": where for name, where in self.sharing.maps.items()}
        memory = allocate(arrays | self.sharing.layout())
        self._scattered: dict[str, Array] = {}
        try:
            shared = {name: memory.arrays[f"rows/{name}"] for name in rows}
            if scatters:
                self._scattered = Dataset.of(shared).feeds()
            else:
                for name, array in rows.items():
                    shared[name][...] = array
            self.sharing = self.sharing.copy(memory.arrays)
            signals: Spin | Pipes
            if forks is None:
                signals = self.processes.start(memory, {**message, **self._started(maps)})
            else:
                own = partial(inherit, forks, step, memory.arrays, validation)
                signals = self.processes.fork(memory, lambda rank: own(replace(place, worker=rank)))
            self.member = Member(step, memory.arrays, signals, place, partition, between)
            self.own = dict(step.parameters.vectors)
            for name, vector in self.own.items():
                memory.arrays[f"weights/{name}"][...] = vector
            step.parameters.vectors = {name: memory.arrays[f"weights/{name}"] for name in self.own}
        except BaseException:
            self.processes.close()
            raise
        finally:
            memory.close()

    def await_workers(self) -> None:
        """Wait, once, until the others have compared their programs with ours. GS606: they differ; GS604: one died."""
        if not self._compared:
            self.member.signals.wait()
            self._compared = True

    def launch(self, epoch: int, batch: int, rate: Rate) -> None:
        self.await_workers()
        if self._scattered:
            last = self._place.own(self._shards).stop - 1
            first = shard_slice(self._loader.rows(batch), last, self._shards).stop
            self._loader.scatter(batch, first, self._scattered)
        order = self.member.order
        order[0], order[1], order[2] = epoch, batch, self._step.clock.step
        self.member.rate[0] = rate.value
        self.member.signals.notify()

    def _started(self, maps: dict[str, Any]) -> dict[str, Any]:
        more = {"shuffle": False, "total": len(self._loader.dataset)} if self._scattered else {}
        facts = {**installation(), **program(self._step)} if self._place.workers > 1 else {}
        return more | {"place": asdict(self._place), "maps": maps, "validation": self.sharing.same, "facts": facts}

    def close(self) -> None:
        """End the other workers, and move the weights back into this process's memory."""
        self.processes.close()
        parameters = self._step.parameters
        for name, vector in self.own.items():
            vector[...] = parameters.vectors[name]
        parameters.vectors = self.own


def _scatters(step: Step) -> bool:
    """Return whether rank 0 gathers the rows of all workers, batch by batch, which saves a shared copy of all rows."""
    loader = step.loader
    if loader.dataset.sizes:  # each worker finds out how long a batch's lists are
        return False
    shapes = loader.shapes(loader.rows(0))
    row_bytes = sum(a[:1].nbytes for a in loader.dataset.feeds().values())
    return activations(step.network.graph, shapes) >= _SCATTER_RATIO * loader.rows(0) * row_bytes


# Rank 0 of a group: it starts the others, launches steps, sums what they count, and stops them. How the workers get their
# orders and add their arrays is the transport's: processes of one machine, which share memory (`Leader`), or ranks of an
# MPI job (`RankLeader` in ranks.py), each of which is a team of such processes.
class Leader:
    """Rank 0 of a group of workers. Until :meth:`close`, the weights and the slots are in the team's memory."""

    def __init__(
        self,
        team: Team,
        state: OptimizerState,
        running: RunningMetrics,
        others: Sequence[Array],  # where the metric counters of all other shards are after a step
        update: Callable[[Rate], Calls],  # returns the calls that update the weights
        collect: Callable[[], None] | None = None,  # fetches the slots that other machines have updated
    ) -> None:
        gradient, slots = state.gradient, state.slots
        self.team, self.state, self.processes, self.member = team, state, team.processes, team.member
        self.bind: Callable[[Form], Program] = team.member.bind
        self.check = team.processes.check  # only the workers of this machine: if a rank dies, the launcher ends the job
        self._aside = [*team.own.values(), gradient, *slots.values()]
        self._others = [running.views(counters) for counters in others]
        self._stack = ExitStack()
        self._stack.callback(lambda: state.move_back(gradient, slots))
        self._stack.callback(team.close)
        try:
            state.move(team.member.gradients[0], team.member.slots, lambda: update(state.rate), collect)
            self._stack.enter_context(one_thread())
        except BaseException:
            self._stack.close()
            raise

    def give_back(self) -> None:
        """Let the system have the memory of this process's weights, slots and gradient until they are moved back."""
        for array in self._aside:
            give_back(array)

    def launch_step(self, epoch: int, batch: int) -> None:
        self.team.launch(epoch, batch, self.state.rate)

    def finish_step(self, running: RunningMetrics | None) -> None:
        """Wait until the other workers have finished the step, and add their metric counters to ``running``."""
        self.wait()
        if running is not None:
            for views in self._others:
                running.include(views)

    def wait(self) -> None:
        """Wait for the other workers: until the next step they neither read nor write shared memory."""
        self.member.signals.wait()

    def validate(self, evaluation: Evaluation, running: RunningMetrics, between: Callable[[], None]) -> RunningMetrics:
        """Evaluate the validation rows with all workers: the bits of this one; ``between`` precedes each batch of it."""
        self.team.await_workers()
        self.member.order[0] = VALIDATE
        batches = Batches(self.member.arrays, 0, self.processes.size)
        return batches.launch(evaluation, running, self.member.signals, between)

    def close(self) -> None:
        """End the other workers, and move weights and slots back into this process's memory."""
        self._stack.close()


# Processes of one thread each that do parts of a work, and share nothing but its files: they send what they have done.
Target = Callable[[Any, Callable[[Any], None]], None]  # gets a part of the work, and what sends a message


def run_apart(target: Target, works: Sequence[Any], show: Callable[[Any], None]) -> None:
    """Call ``target`` for each part of a work in a process of its own; ``show`` gets the messages.

    Raises KeyboardInterrupt: Ctrl-C was pressed; the processes have ended, and their work can be resumed. GraphspecError: a
    process failed with it; the others have ended their work. RunError: GS604, a process died.
    """
    context, failed = get_context("spawn"), list[Exception]()
    ends: dict[Connection, Any] = {}
    with _one_thread():
        for work in works:
            mine, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_process, args=(target, work, theirs), daemon=False)
            process.start()
            theirs.close()
            ends[mine] = process
    running = dict(ends)
    try:
        while running:
            for end in wait([*running]):
                assert isinstance(end, Connection)
                try:
                    message = end.recv()
                except (EOFError, OSError):
                    running.pop(end)
                    continue
                if isinstance(message, GraphspecError):
                    failed.append(message)
                else:
                    show(message)
    except KeyboardInterrupt:
        for process in (process for process in ends.values() if process.is_alive()):
            if sys.platform == "win32":
                process.terminate()  # its last checkpoint is from the end of an epoch
            else:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT)
        raise
    finally:
        for process in ends.values():
            process.join()
    if failed:
        raise failed[0]
    if any(codes := [process.exitcode for process in ends.values()]):
        listed = ", ".join(map(str, codes))
        raise RunError(Code.WORKER_DIED, f"a process has died (exit codes {listed})", "the same command goes on")


def _process(target: Target, work: Any, end: Connection) -> None:
    """Work in a process of its own group: Ctrl-C in a terminal reaches it once, by the process that started it."""
    if hasattr(os, "setpgrp"):
        with suppress(OSError):
            os.setpgrp()
    try:
        with raised():
            target(work, end.send)
    except KeyboardInterrupt:
        end.close()
        os._exit(0)
    except BrokenPipeError:  # the process that started it has died: another one resumes its work
        os._exit(1)
    except GraphspecError as error:
        end.send(error)
    finally:
        with suppress(OSError):
            end.close()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that are started inside the ``with`` block compute with one thread each, without the main script."""
    before, main = {key: os.environ.get(key) for key in ONE_THREAD}, vars(sys.modules["__main__"])
    os.environ.update(ONE_THREAD)
    hidden: dict[str, Any] = {key: main[key] for key in ("__file__", "__spec__") if key in main}
    main |= dict.fromkeys(hidden)
    try:
        yield
    finally:
        main |= hidden
        for key in ONE_THREAD:
            os.environ.pop(key, None)
        os.environ.update({key: value for key, value in before.items() if value is not None})
