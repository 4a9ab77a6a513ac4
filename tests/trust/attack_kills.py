"""Runs that are killed at any file operation, and resumed: they end with the bits of one that was not.

The process that is killed is forked from this one, so that a case takes a tenth of a second.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from commands import graphspec, project

CASES = 4 if hasattr(os, "fork") else 0
KILLED = 99
counts: Counter[str] = Counter()
_HELD = tempfile.TemporaryDirectory(prefix="graphspec-kills-")
"""Removed when the process ends."""

SPEC = """\
graphspec: 1
name: killed
inputs:
  features: {shape: [4]}
layers:
  - {name: hidden, type: Dense, units: 3, activation: relu}
  - {name: dropped, type: Dropout, rate: 0.2}
  - {name: answer, type: Dense, units: 1, activation: sigmoid}
outputs:
  answer: {loss: binary_crossentropy, metrics: [accuracy], labels: ["no", "yes"]}
training:
  optimizer: {type: Adam, use_ema: true}
  epochs: 2
  batch_size: 16
  seed: 5
  callbacks:
    - {type: CSVLogger, filename: log.csv}
    - {type: ModelCheckpoint, filepath: "kept/{epoch}"}
    - {type: ModelCheckpoint, filepath: "best.safetensors", save_best_only: true}
    - {type: EarlyStopping, patience: 5, restore_best_weights: true}
    - {type: ReduceLROnPlateau, patience: 1}
data:
  train: {file: train.npz}
  validation: {split: 0.25}
  test: {file: test.npz}
"""
_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


CLOCKED = ("timing.json", "report.html")
"""Files that show when a run was trained, and how long: they differ in equal runs."""


@cache
def whole() -> tuple[Path, dict[str, bytes]]:
    """A folder with a spec and its data, and what the files of its run are."""
    folder = Path(_HELD.name).resolve()
    spec = project(folder, SPEC)
    result = graphspec("train", spec, "--out", folder / "runs" / "whole")
    assert result.exit_code == 0, result.stderr
    return spec, content(folder / "runs" / "whole")


def content(directory: Path) -> dict[str, bytes]:
    """All files of a run; of those with values of a clock only that they are there."""
    files = [p for p in sorted(directory.rglob("*")) if p.is_file()]
    return {str(p.relative_to(directory)): b"" if p.name in CLOCKED else p.read_bytes() for p in files}


class Killer:
    """Ends this process at the n-th operation that changes files: before it, or in the middle of what it writes."""

    def __init__(self, moment: int, torn: bool) -> None:
        self.left, self.torn, self.seen = moment, torn, 0
        sys.addaudithook(self._watch)
        self._write, self._fsync = os.write, os.fsync
        os.write, os.fsync = self._writes, self._syncs  # they are no events

    def _count(self) -> bool:
        self.seen += 1
        self.left -= 1
        return self.left == 0

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        changes = event in _EVENTS
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            changes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) or (mode or "r") not in ("r", "rb")
        if changes and self._count():
            os._exit(KILLED)

    def _writes(self, descriptor: int, data: Any) -> int:
        if self._count():
            if self.torn:
                self._write(descriptor, memoryview(data)[: len(data) // 2])
            os._exit(KILLED)
        return self._write(descriptor, data)

    def _syncs(self, descriptor: int) -> None:
        if self._count():
            os._exit(KILLED)
        self._fsync(descriptor)


def forked(action: Callable[[], int]) -> int:
    """The status of a process forked for ``action``."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 98
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            status = action()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def moments(arguments: list[object]) -> int:
    """How many operations a command makes."""
    reading, writing = os.pipe()

    def count() -> int:
        killer = Killer(0, False)
        status = graphspec(*arguments).exit_code
        killer._write(writing, str(killer.seen).encode())
        return status

    assert forked(count) == 0
    found = int(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    return found


def killed(arguments: list[object], moment: int, torn: bool) -> int:
    """The status of a command that is killed at a moment."""

    def run() -> int:
        Killer(moment, torn)
        return graphspec(*arguments).exit_code

    return forked(run)


def finish(spec: Path, run: Path, flag: str | None) -> str | None:
    """Go on as a user does; what is wrong with that."""
    result = graphspec("train", spec, "--out", run, *([] if flag is None else [flag]))
    if result.exit_code == 2 and flag == "--resume" and "there is no run" in result.stderr:
        result = graphspec("train", spec, "--out", run)
    return None if result.exit_code == 0 else f"status {result.exit_code}: {result.stderr}"


def compare(run: Path, expected: dict[str, bytes]) -> str | None:
    found = content(run)
    if found.keys() != expected.keys():
        return f"other files: {sorted(found.keys() ^ expected.keys())}"
    wrong = [name for name in found if found[name] != expected[name]]
    return f"other bytes in {wrong}" if wrong else None


@cache
def _moments(overwrite: bool) -> int:
    spec, _ = whole()
    with tempfile.TemporaryDirectory(dir=spec.parent) as folder:
        run = Path(folder) / "run"
        if overwrite:
            shutil.copytree(spec.parent / "runs" / "whole", run)
        return moments(["train", spec, "--out", run, *(["--overwrite"] if overwrite else [])])


def attack(r: random.Random) -> list[str]:
    """A run, or one that overwrites another, is killed once or several times."""
    spec, expected = whole()
    overwrite = r.random() < 0.3
    with tempfile.TemporaryDirectory(dir=spec.parent) as folder:
        run = Path(folder) / "run"
        if overwrite:
            shutil.copytree(spec.parent / "runs" / "whole", run)
        flag, told = "--overwrite" if overwrite else None, list[str]()
        for _ in range(r.choice([1, 1, 2, 3])):
            moment, torn = r.randrange(1, _moments(overwrite) + 1), r.random() < 0.5
            told.append(f"{flag or 'train'} at {moment}{' torn' if torn else ''}")
            status = killed(["train", spec, "--out", run, *([] if flag is None else [flag])], moment, torn)
            counts["killed" if status == KILLED else f"status {status}"] += 1
            if status not in (0, 2, KILLED):
                return [f"{told}: status {status}"]
            if flag != "--overwrite":
                flag = "--resume" if run.is_dir() else None
        problem = finish(spec, run, flag) or compare(run, expected)
        return [f"{', '.join(told)}: {problem}"] if problem else []


def every(overwrite: bool = False) -> list[str]:
    """Each moment of a run, and what is wrong after it."""
    spec, expected = whole()
    found = []
    for moment in range(1, _moments(overwrite) + 1):
        for torn in (False, True):
            with tempfile.TemporaryDirectory(dir=spec.parent) as folder:
                run = Path(folder) / "run"
                if overwrite:
                    shutil.copytree(spec.parent / "runs" / "whole", run)
                status = killed(["train", spec, "--out", run, *(["--overwrite"] if overwrite else [])], moment, torn)
                problem = None if status == KILLED else f"status {status}"
                if problem is None:
                    problem = finish(spec, run, "--overwrite" if overwrite else "--resume") or compare(run, expected)
                if problem:
                    found.append(f"{moment}{' torn' if torn else ''}: {problem}")
    return found
