"""Processes of one thread each that do parts of a work, and share nothing but its files: they send what they have done."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from graphspec.base.arrays.cores import ONE_THREAD
from graphspec.base.errors import Code, GraphspecError, RunError
from graphspec.engine.parallel.launch import raised

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
