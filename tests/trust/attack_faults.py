"""A write, a sync, a rename, … of a command fails: it says so, loses nothing, leaves nothing, and goes on after it.

What a run can do without, its report and its page, is a warning: the command ends well, and the file is as it was.
What C writes is not seen: the bytes of memory maps, and those of Optuna's journal, of which only the opening fails.
``python -m tests.trust --only faults --minutes 5`` tries many.
"""

from __future__ import annotations

import ast
import builtins
import errno
import io
import os
import random
import re
import shutil
import stat
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from commands import graphspec, project
from onnx_files import dense
from searches import project as search_project
from sources import trees

from graphspec.base.errors import Code, RunError
from graphspec.base.files import LOCK, is_leftover
from graphspec.search.study import TRIAL
from trust import attack_kills
from trust.attack_kills import SPEC

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
STATUS = {errno.ENOSPC: 3, errno.EIO: 3, errno.EACCES: 2}
CALLS = [(os, c) for c in ("open", "write", "fsync", "replace", "rename", "mkdir", "ftruncate", "posix_fallocate")]
CALLS += [(io, "open"), (builtins, "open")]
"""The functions by which files are changed."""
CLOCKED = (*attack_kills.CLOCKED, "search.html", ".owner", "optuna.journal", "events.out")
"""Files with times, or with random numbers: they differ in equal runs."""
CASES = 4
counts: Counter[str] = Counter()
_HELD = tempfile.TemporaryDirectory(prefix="graphspec-faults-")
"""Removed when the process ends."""


class Call(NamedTuple):
    name: str
    module: str  # of graphspec, that wants to write
    locks: bool  # whether filelock calls: it tries a second way to open its file


FILES = "graphspec.base.files"


def _call(name: str) -> Call:
    frame, locks = sys._getframe(2), False
    while (module := frame.f_globals.get("__name__", "")) == FILES or not module.startswith("graphspec."):
        assert frame.f_back is not None
        frame, locks = frame.f_back, locks or module.startswith("filelock.")
    return Call(name, module, locks)


@contextmanager
def faults(folder: Path, moment: int, number: int = errno.EIO) -> Iterator[list[Call]]:
    """Let the call of that moment in ``folder`` fail, a write after half of its bytes; yield the calls so far."""
    calls: list[Call] = []

    def failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *more: Any, **named: Any) -> Any:
            if not _counts(name, folder, first, more):
                return real(first, *more, **named)
            calls.append(_call(name))
            if len(calls) == moment:
                if name == "write":
                    real(first, memoryview(more[0])[: len(more[0]) // 2])
                raise OSError(number, os.strerror(number))
            return real(first, *more, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in CALLS:
            if hasattr(owner, name):
                patch.setattr(owner, name, failing(name, getattr(owner, name)))
        yield calls


def _counts(name: str, folder: Path, first: Any, more: tuple[Any, ...]) -> bool:
    if isinstance(first, int):
        return name != "open" and stat.S_ISREG(os.fstat(first).st_mode)
    how = more[0] if name == "open" and more else "r"
    if name == "open" and not (how & (os.O_WRONLY | os.O_RDWR) if isinstance(how, int) else set(how) & set("wax+")):
        return False
    if name == "mkdir" and Path(first).is_dir():
        return False  # it exists: the call is no change
    return os.path.realpath(first).startswith(f"{folder}{os.sep}")


def content(folder: Path) -> dict[str, bytes]:
    """All files but locks; of those with values of a clock only that they are there, of a trial not how often it began."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != LOCK]
    return {
        p.relative_to(folder).as_posix(): b""
        if p.name.startswith(CLOCKED)
        else re.sub(rb'"(starts|reached)": \d+', b"", p.read_bytes())
        if p.name == TRIAL
        else p.read_bytes()
        for p in files
    }


TABLE = "".join(f"{k % 7},{k % 5},w{k % 3} v{k % 4},{'no' if k % 7 < 3 else 'yes'}\n" for k in range(60))
RICH = """\
graphspec: 1
name: rich
inputs:
  row: {columns: {a: number, b: number, said: {type: text, max_tokens: 2}}}
layers:
  - {name: four, type: Dense, units: 4, trainable: false}
  - {name: file, type: Onnx, file: dense.onnx}
  - {name: answer, type: Dense, units: 2, activation: softmax}
outputs:
  answer: {loss: sparse_categorical_crossentropy}
training:
  epochs: 1
  seeds: 2
  seed: 5
  callbacks: [{type: TensorBoard}]
data:
  train: {file: table.csv}
  validation: {split: 0.25}
"""
OLD = """\
graphspec: 1
name: old
inputs: {x: {shape: [None, 4]}}
layers: [{name: y, type: Dense, units: 1}]
outputs: {y: {loss: mean_squared_error}}
"""
TRAIN = ("train", "tiny.yaml", "--out", "run")
EXPORT = ("export", "run", "-o", "m.onnx")
IMPORT = ("import", "dense.onnx", "-o", "new.yaml")
CACHED = ("train", "rich.yaml", "--out", "run")
OPERATIONS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    # what there is before, the command, and how a user goes on after it failed
    "train": ("spec", (*TRAIN, "--page"), (*TRAIN, "--page", "--resume", "auto")),
    "train again": ("run", (*TRAIN, "--overwrite"), (*TRAIN, "--overwrite")),
    "train on": ("run", (*TRAIN, "--resume", "--set", "training.epochs=3"), ()),
    "train and export": ("spec", (*TRAIN, "--export", "m.onnx"), (*TRAIN, "--export", "m.onnx", "--resume", "auto")),
    "train copies from a cache": ("spec", CACHED, (*CACHED, "--resume", "auto")),
    "export": ("run", (*EXPORT, "--signature", "m.json"), ()),
    "export folders": ("run", (*EXPORT, "--mlflow", "ml", "--triton", "models"), ()),
    "export a step": ("run", (*EXPORT, "--training-step", "step.onnx"), ()),
    "export smaller numbers": ("run", (*EXPORT, "--quantize", "float16", "--max-loss", "1"), ()),
    "page": ("run", ("page", "run", "-o", "page"), ()),
    "report": ("run", ("report", "run", "-o", "r.html"), ()),
    "compare": ("run", ("report", "run", "kept", "-o", "r.html"), ()),
    "card": ("run", ("card", "run", "-o", "card.md"), ()),
    "predict": ("run", ("predict", "run", "test.npz", "-o", "answers.csv"), ()),
    "explain rows": ("run", ("predict", "run", "test.npz", "--explain", "-o", "why.csv"), ()),
    "plot": ("spec", ("plot", "tiny.yaml", "-o", "drawing.svg"), ()),
    "schema": ("spec", ("schema", "--for", "tiny.yaml"), ()),  # without --for it takes five seconds
    "init": ("spec", ("init", "new.yaml"), ()),
    "init from a table": ("spec", ("init", "new.yaml", "--from", "table.csv", "--target", "answer"), ()),
    "import": ("spec", IMPORT, (*IMPORT, "--overwrite")),
    "upgrade": ("spec", ("upgrade", "old.yaml"), ()),
    "search": ("search", ("search", "tiny.yaml", "--out", "trials", "--trials", "2"), ()),
}
CAN_DO_WITHOUT = "warning: the run is complete, but"
OPTIONAL = ("graphspec.show.page.build", "graphspec.show.report.comparison")
"""Modules that write what a run can do without."""
ALONE = "writes one whole file, from Python alone: see test_writing.py"
UNDISTURBED = {
    "graphspec.show.drawing.curves": ALONE,
    "graphspec.show.notebook.pages": ALONE,
}
"""Modules that write files in no operation, and why."""


def writers() -> set[str]:
    """The modules that call a function which writes files."""

    def calls(tree: ast.AST) -> set[str]:
        return {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}

    by_name = {node.name: calls(node) for node in trees()[FILES].body if isinstance(node, ast.FunctionDef)}
    functions = {name for name, called in by_name.items() if called & {"_marked_as_writing", "written_in_parts"}}
    imported = {
        module: {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == FILES
            for alias in node.names
        }
        for module, tree in trees().items()
    }
    return {module for module, names in imported.items() if names & functions}


@cache
def _before(kind: str) -> Path:
    """A folder with specs and their data, one with two runs, too, or one with the spec of a search."""
    folder = Path(_HELD.name).resolve() / kind
    folder.mkdir()
    if kind == "search":
        search_project(folder)
        return folder
    project(folder, SPEC)
    for name, text in (("table.csv", f"a,b,said,answer\n{TABLE}"), ("rich.yaml", RICH), ("old.yaml", OLD)):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "dense.onnx").write_bytes(dense().SerializeToString())
    if kind == "run":
        with chdir(folder):
            result = graphspec(*TRAIN)
        assert result.exit_code == 0, result.stderr
        shutil.copytree(folder / "run", folder / "kept")
    return folder


@contextmanager
def _fresh(kind: str) -> Iterator[Path]:
    """A copy of such a folder, in which the process works; all rows of tables are cached there."""
    with tempfile.TemporaryDirectory(dir=_HELD.name) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphspec.data.stored.SHARE", 0.0)
        patch.setattr("graphspec.engine.runtime.session.CACHED_BYTES", 0)
        place = Path(folder).resolve() / "place"
        shutil.copytree(_before(kind), place)
        with chdir(place):
            yield place


@cache
def undisturbed(name: str) -> tuple[list[Call], dict[str, bytes]]:
    """The calls of an operation that nothing disturbs, and the files that it leaves."""
    kind, command, _ = OPERATIONS[name]
    with _fresh(kind) as place:
        with faults(place, 0) as calls:
            result = graphspec(*command)
        assert result.exit_code == 0, result.stderr
        assert CAN_DO_WITHOUT not in result.stderr
        assert calls
        return calls, content(place)


def attack(r: random.Random) -> list[str]:
    """One call of one operation fails."""
    name = r.choice([*OPERATIONS])
    return [
        f"{name}: {problem}"
        for problem in disturbed(name, r.randrange(len(undisturbed(name)[0])) + 1, r.choice(ERRORS))
    ]


def disturbed(name: str, moment: int, number: int) -> Iterator[str]:
    """What is wrong when the call of that moment fails, and after it."""
    kind, command, on = OPERATIONS[name]
    usual, whole = undisturbed(name)
    with _fresh(kind) as place:
        before = content(place)
        with faults(place, moment, number) as calls:
            result = graphspec(*command)
        if len(calls) < moment:
            if result.exit_code:
                yield f"call {moment} of {len(usual)}: status {result.exit_code} before it: {result.stderr.strip()}"
            return  # nothing failed: a slow training writes checkpoints between its epochs, and this one was faster
        call = calls[moment - 1]
        at, why = f"call {moment} of {len(usual)}, {call.name}, {errno.errorcode[number]}", os.strerror(number)
        counts[call.name] += 1
        said = result.stderr.strip()
        failed = result.exit_code == STATUS[number] and "error: " in said
        failed = failed or (result.exit_code == RunError.status and str(Code.NOT_ENOUGH_MEMORY) in said)  # of the cache
        warned = result.exit_code == 0 and CAN_DO_WITHOUT in said
        if ".tmp" in said or "[Errno" in said or "internal error" in said:
            yield f"{at}: it is told badly: {said}"
        failed = failed and not (command[0] == "train" and call.module in OPTIONAL)
        if not ((failed or warned) and why in said) and not (call.locks and result.exit_code == 0):
            yield f"{at}: status {result.exit_code}: {said}"
        if left := [p.name for p in place.rglob("*") if is_leftover(p)]:
            yield f"{at}: {left} are left"
        found = content(place)
        for file, data in before.items():
            if found.get(file) not in (data, whole.get(file)) and "--overwrite" not in command:
                yield f"{at}: {file} is neither the old one nor the new one"
        again = graphspec(*(on or command))
        after = content(place)
        if again.exit_code:
            yield f"{at}: then status {again.exit_code}: {again.stderr.strip()}"
        elif wrong := sorted(file for file in after.keys() | whole.keys() if after.get(file) != whole.get(file)):
            yield f"{at}: then other {wrong}"
