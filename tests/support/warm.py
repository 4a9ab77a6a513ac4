"""Commands without the second that each start of Python takes: forks of one process that has imported the package.

``python warm.py PATH`` listens at a socket. ``python warm.py PATH graphspec WORD …`` is as ``graphspec WORD …``: the process
that listens forks, and the fork has the folder, the environment and the streams of who asks, and its status. ``python
warm.py PATH python`` runs a block of code for each line that it reads, a text in JSON, in one namespace; ``-`` in place of
``PATH`` does it without a fork.

That a command starts by itself, with nothing imported, is what ``tests/cli/test_app.py`` and others show.
"""

from __future__ import annotations

import json
import os
import socket
import sys

END = "<<the block ended with status>>"


def ask(path: str, words: list[str]) -> int:
    """Let a fork do it with the streams of this process; its status."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(path)
        request = {"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
        socket.send_fds(asked, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
        return int(asked.recv(16))


def listen(path: str) -> None:
    """Fork for each who asks, until the stdin of this process ends."""
    import gc
    import select
    import signal

    import_all()
    gc.collect()
    gc.freeze()  # a collection in a fork would copy all pages
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("listening", flush=True)
        while True:
            if sys.stdin in select.select([listening, sys.stdin], [], [])[0]:
                return
            asked, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                break
            asked.close()
    serve(asked)


def serve(asked: socket.socket) -> None:
    """Read a request, fork once more for what is asked, and send its status; who leaves ends it."""
    import select
    import signal

    text, streams, _, _ = socket.recv_fds(asked, 65536, 3)
    while not text.endswith(b"\n"):
        text += asked.recv(65536)
    request = json.loads(text)
    child = os.fork()
    if child == 0:
        asked.close()
        for k, stream in enumerate(streams):
            os.dup2(stream, k)
            os.close(stream)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.path[0] = request["folder"]
        end(request["words"])
    for stream in streams:
        os.close(stream)
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if asked in select.select([asked], [], [], 0.02)[0]:
            os.kill(child, signal.SIGKILL)
            os._exit(0)
    status = os.waitstatus_to_exitcode(ended[1])
    asked.send(b"%d" % (status if status >= 0 else 128 - status))
    os._exit(0)


def end(words: list[str]) -> None:
    """Run, and end as an interpreter does, but for taking all modules apart, which writes to each page of memory."""
    import atexit
    import threading

    status: object = 0
    try:
        run(words)
    except SystemExit as asked:
        status = asked.code or 0
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    sys.stdout.flush()
    os._exit(status)


def run(words: list[str]) -> None:
    """As a process of its own: with its own module ``__main__``, of which nothing here is a part."""
    if words[0] == "graphspec":
        from runpy import run_module

        os.fsync = lambda descriptor: None  # as in the tests' own processes
        # One core for each of the tests that run side by side: `workers: auto` starts no processes. The bits are the same.
        os.sched_getaffinity = lambda _: {0}
        os.process_cpu_count = lambda: 1  # from Python 3.13
        sys.argv = words
        run_module("graphspec", run_name="__main__", alter_sys=True)
        return
    import traceback
    from types import ModuleType

    sys.modules["__main__"] = main = ModuleType("__main__")
    for line in sys.stdin:
        status = 0
        try:
            exec(json.loads(line), vars(main))  # noqa: S102
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stderr.flush()
        print(END, status, sep="", flush=True)


def import_all() -> None:
    """Import what commands import."""
    from importlib import import_module
    from pkgutil import walk_packages

    import graphspec

    for module in walk_packages(graphspec.__path__, "graphspec."):
        if not module.name.startswith(("graphspec.editor", "graphspec.search", "graphspec.__main__")):
            try:
                import_module(module.name)
            except ImportError:  # of an extra that is not installed
                continue


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.path[0] = ""  # not the folder of this file
        listen(sys.argv[1])
    elif sys.argv[1] == "-":
        sys.path[0] = ""
        run(sys.argv[2:])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
