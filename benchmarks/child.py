"""A contender's process: ``python -m benchmarks.child FAMILY FOLDER OPTIONS``.

It is told what to do on its standard input and answers on its standard output, one JSON object a line. It imports
nothing but NumPy and its framework, so that it may run under an interpreter that has no graphspec.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Protocol

from benchmarks.workload import Workload, read


class Contender(Protocol):
    """A framework with a workload's network, made by its module's ``start(workload, **options)``."""

    version: str
    others: int
    """Bytes that worker processes have held."""

    def losses(self, count: int) -> list[float]:
        """The losses of the first steps, from the first weights."""

    def steps(self, count: int) -> list[float]:
        """Seconds of at least ``count`` training steps, each."""

    def restore(self) -> None:
        """Back to the first weights."""


def peak() -> int:
    """Bytes: the most that this process has had resident."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage also counts what the parent had before exec
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def workers() -> int:
    """Bytes that this process's children hold now, what is shared counted once (Linux; elsewhere 0)."""
    total = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def answer(contender: Contender, message: dict[str, Any]) -> dict[str, Any]:
    match message["do"]:
        case "losses":
            return {"losses": contender.losses(message["count"])}
        case "steps":
            contender.restore()
            contender.steps(message["warm"])
            return {"seconds": contender.steps(message["count"])}
        case _:
            return {"peak": peak() + contender.others}


def main(family: str, folder: str, options: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer

    def say(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")

    try:
        module = importlib.import_module(f"benchmarks.contenders.{family}")
    except ImportError as error:
        say(missing=str(error))
        return
    try:
        workload: Workload = read(Path(folder))
        before = peak()
        contender: Contender | None = module.start(workload, **json.loads(options))
        if contender is None:
            say(missing="it has no such network")
            return
        say(version=contender.version, peak=before)
        for line in sys.stdin:
            say(**answer(contender, json.loads(line)))
    except Exception as error:  # to the parent, whatever it is
        traceback.print_exc()
        say(failed=f"{type(error).__name__}: {error}".splitlines()[0][:200])


if __name__ == "__main__":
    main(*sys.argv[1:4])
