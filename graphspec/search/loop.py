"""Run the trials of a search: in this process, or in several, which share nothing but the search's folder and database."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any

from graphspec.base.arrays.cores import ONE_THREAD
from graphspec.base.errors import GraphspecError
from graphspec.engine.training.interrupt import raised
from graphspec.search.records import Trial
from graphspec.search.study import Plan, Study
from graphspec.search.trial import Source, train_trial

Show = Callable[[Trial], None]


@dataclass(frozen=True)
class Work:
    """What each process of a search needs.

    Attributes:
        url: the database of a study, if any.
        until: the time of the monotonic clock after which no trial begins.
    """

    plan: Plan
    source: Source
    url: str | None = None
    until: float | None = None

    def study(self) -> Study:
        """Return the study, with which this process works."""
        return Study(self.plan, self.url)


def run_here(work: Work, study: Study, show: Show) -> None:
    """Run trials in this process until there are none left.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the current trial can be resumed.
    """
    while work.until is None or monotonic() < work.until:
        with study.claimed() as trial:
            if trial is None:
                return
            try:
                done = train_trial(study, trial, work.source)
            except KeyboardInterrupt:
                replace(trial, starts=0).write(study.folder)  # the process did not die
                raise
            study.finish(done)
        show(done)


def run_in_processes(work: Work, processes: int, show: Show) -> None:
    """Run trials in several processes of one thread each.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the processes have ended, and their trials can be resumed.
        GraphspecError: a process failed with it; the others have ended their trials.
    """
    from multiprocessing import get_context

    context = get_context("spawn")
    ends: dict[Connection, Any] = {}
    failed: list[Exception] = []
    with _one_thread():
        for _ in range(processes):
            mine, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_process, args=(work, theirs), daemon=False)
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
                if isinstance(message, Trial):
                    show(message)
                else:
                    failed.append(message)
    except KeyboardInterrupt:
        for process in ends.values():
            _interrupt(process)
        raise
    finally:
        for process in ends.values():
            process.join()
    if failed:
        raise failed[0]
    if any(process.exitcode for process in ends.values()):
        codes = ", ".join(str(process.exitcode) for process in ends.values())
        raise ChildProcessError(f"a process of the search has died (exit codes {codes}): the same command goes on")


def _process(work: Work, end: Connection) -> None:
    """Run trials in a process of its own group: Ctrl-C in a terminal reaches it once, by the process that started it."""
    if hasattr(os, "setpgrp"):
        with suppress(OSError):
            os.setpgrp()
    try:
        with raised():
            run_here(work, work.study(), end.send)
    except KeyboardInterrupt:
        end.close()
        os._exit(0)
    except BrokenPipeError:  # the process that started it has died: another one resumes its trial
        os._exit(1)
    except GraphspecError as error:
        end.send(error)
    finally:
        with suppress(OSError):
            end.close()


def _interrupt(process: Any) -> None:
    if not process.is_alive():
        return
    if sys.platform == "win32":
        process.terminate()  # its last checkpoint is from the end of an epoch
    else:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that are started inside the ``with`` block compute with one thread each."""
    before = {key: os.environ.get(key) for key in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
