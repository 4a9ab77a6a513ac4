"""Worker processes without the second that each start of Python takes: forks of a process that has imported what they need.

:class:`Popen` takes the place of ``subprocess.Popen`` in the tests' process, whose threads (pytest-xdist's, the watchdog's)
forbid that it forks its workers itself. A worker of :mod:`graphspec.engine.parallel.worker` gets the same environment,
descriptors and line of JSON as when it starts by itself, and compiles the network; only what it imports is there.
That a worker starts by itself is what ``new_processes`` is for.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from functools import cache
from typing import IO, Any

WORKER = "graphspec.engine.parallel.worker"
MODE = "GRAPHSPEC_KERNELS"
USED = {"engine.parallel", "engine.compiler", "engine.runtime", "graph", "vocabulary.layers", "vocabulary.losses"}


class Popen(subprocess.Popen[Any]):
    """As ``subprocess.Popen``; workers are forked."""

    def __new__(cls, args: Any, *rest: Any, **options: Any) -> Any:
        """Return a :class:`Worker` for a worker whose kernels are those of this session."""
        if isinstance(args, list) and args[-1] == WORKER and has_pidfd() and options["env"][MODE] == mode():
            return Worker(**options)
        return super().__new__(cls)


class Worker:
    """A forked worker, with what is used of ``subprocess.Popen``."""

    def __init__(self, env: dict[str, str], pass_fds: Any, stdout: IO[bytes], stderr: IO[bytes], **_: Any) -> None:
        read, write = os.pipe()
        self._status, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = {"environment": env, "folder": os.getcwd(), "numbers": [0, 1, 2, *pass_fds]}  # noqa: PTH109
        streams = [read, stdout.fileno(), stderr.fileno(), *pass_fds]
        socket.send_fds(listening(), [json.dumps(request).encode()], [told.fileno(), *streams])
        os.close(read)
        told.close()
        self.pid = int(self._status.recv(32))
        self.stdin: IO[bytes] = os.fdopen(write, "wb")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, that of a signal negative; None as long as the worker lives."""
        return self._await(0)

    def wait(self, timeout: float | None = None) -> int:
        if (status := self._await(timeout)) is None:
            raise subprocess.TimeoutExpired(WORKER, timeout or 0)
        return status

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _await(self, seconds: float | None) -> int | None:
        if self.returncode is None and self._status in select.select([self._status], [], [], seconds)[0]:
            self.returncode = int(self._status.recv(32))
            self._status.close()
        return self.returncode


@cache
def has_pidfd() -> bool:
    """Whether this system tells the end of a process by a descriptor: Linux does."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


@cache
def mode() -> str:
    """Which kernels the workers of this session have imported."""
    from graphspec.graph.kernels import compiled

    return compiled.mode()


@cache
def listening() -> socket.socket:
    """The socket at which a process listens that forks workers, until this process ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
    path = os.pathsep.join(p for p in sys.path if p)
    started = REAL(
        [sys.executable, "-P", __file__, str(theirs.fileno())],
        env=os.environ | threads | {"PYTHONPATH": path, MODE: mode()},
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()

    def end() -> None:
        ours.close()
        started.wait()

    atexit.register(end)
    return ours


REAL = subprocess.Popen


def listen(asked: socket.socket) -> None:
    """Fork for each request, and tell how the forks end, until who asks ends."""
    import gc

    import_all()
    gc.collect()
    gc.freeze()  # a collection in a fork would copy all pages
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1))  # as `held_back`
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for ready in select.select([asked, *running], [], [])[0]:
            if ready is asked:
                text, received, _, _ = socket.recv_fds(asked, 1 << 20, 250)
                if not text:
                    return
                told, *streams = received
                if (pid := os.fork()) == 0:
                    become(json.loads(text), streams)
                for stream in streams:
                    os.close(stream)
                status = socket.socket(fileno=told)
                status.send(b"%d" % pid)
                running[os.pidfd_open(pid)] = pid, status
            else:
                pid, status = running.pop(ready)
                os.close(ready)
                with suppress(BrokenPipeError):  # nobody waits any more
                    status.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                status.close()


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Be the worker that was asked for, to the end of this process."""
    import fcntl
    import traceback

    status: object = 0
    try:
        os.setpgid(0, 0)
        high = [fcntl.fcntl(stream, fcntl.F_DUPFD, 500) for stream in streams]
        for source, number in zip(high, request["numbers"], strict=True):
            os.dup2(source, number)
            os.close(source)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        path = request["environment"]["PYTHONPATH"].split(os.pathsep)
        sys.path[:] = [*path, *(p for p in sys.path if p not in path)]
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = sys.stderr = open(1, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        from graphspec.engine.parallel.worker import main

        main()
    except SystemExit as asked:
        status = asked.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    os._exit(status if isinstance(status, int) else 1)


def import_all() -> None:
    """Import what workers import."""
    from importlib import import_module
    from pkgutil import walk_packages

    for folder in sorted(USED):
        package = import_module(f"graphspec.{folder}")
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)


if __name__ == "__main__":
    listen(socket.socket(fileno=int(sys.argv[1])))
