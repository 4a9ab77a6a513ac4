"""Copies of a network that are trained at the same time: processes of one thread each, which leave checkpoints.

``python -m graphspec.engine.training.apart`` reads a job from its standard input, and ends with the process that started it.
Both are one installation, and the pipe is theirs alone.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from graphspec.base.arrays.cores import ONE_THREAD
from graphspec.base.codes import Code
from graphspec.base.errors import GraphspecError, RunError
from graphspec.engine.parallel.launch import raised
from graphspec.graph.kernels import compiled

_STOP = signal.SIGTERM if sys.platform == "win32" else signal.SIGINT  # Windows ends a process at once


@dataclass(frozen=True)
class Job:
    """Some copies of a network, by their places among all."""

    document: dict[str, Any]
    folder: str  # the spec's
    adapted: dict[str, Any] | None  # what the network has learnt, and its form
    rows: Any  # raw training and validation rows
    fitting: Any  # the settings of the training
    directory: Path  # the run's, in which each copy has a folder
    places: Sequence[int]

    def run(self) -> None:
        """Train the copies."""
        from graphspec.engine.compiler.adaptation import Adapted
        from graphspec.engine.compiler.check import check
        from graphspec.engine.runtime.session import Session
        from graphspec.engine.training.copies import CopiesTrainer
        from graphspec.engine.training.reporting import Silent

        adapted = None if self.adapted is None else Adapted.of_json(self.adapted)
        checked = check(self.document, allow_outside=True, adapted=adapted, base=Path(self.folder))
        model = Session(*checked.require(), checked.diagnostics, adapted)
        for trainer in CopiesTrainer(model, self.rows, self.fitting, Silent(), self.directory).trainers(self.places):
            trainer.run()


def train_apart(jobs: Sequence[Job]) -> None:
    """Run each job in a process of its own, until all have ended: the first error, or Ctrl-C, stops the others.

    Raises RunError: GS604, a process died; errors of a training. OSError: a process cannot be started.
    """
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-P", "-m", __name__]
    options: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}  # Ctrl-C comes from here alone
    options |= {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "env": environment | {compiled.KERNELS: compiled.mode()},
    }
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for job in jobs:
            processes.append(subprocess.Popen(command, **options))
            with suppress(BrokenPipeError):
                pickle.dump(job, cast("IO[bytes]", processes[-1].stdin))
                cast("IO[bytes]", processes[-1].stdin).flush()
        for process in processes:
            answer = cast("IO[bytes]", process.stdout).read()
            if answer[-1:] != b".":
                text = f"a process that trains copies died: exit status {process.wait()}"
                raise RunError(Code.WORKER_DIED, text, "`workers: 1` trains them in one process")
            if (error := pickle.loads(answer)) is not None:
                raise error
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(_STOP)
        for process in processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):
                    cast("IO[bytes]", pipe).close()


def main() -> None:
    """Run the job on standard input; answer with its error, or None."""
    job: Job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer, sys.stdout = sys.stdout.buffer, sys.stderr
    try:
        with raised():
            job.run()
        pickle.dump(None, answer)
    except KeyboardInterrupt:
        sys.exit(1)
    except GraphspecError as error:
        pickle.dump(error, answer)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.modules["graphspec.engine.training.apart"] = sys.modules["__main__"]  # the job's class is in this module
    main()
