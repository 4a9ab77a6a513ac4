"""Hostile ONNX files: each of them through ``graphspec predict``, which answers with a sentence or with right rows."""

from __future__ import annotations

import copy
import csv
import io
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from commands import graphspec
from onnx import ModelProto

from trust.hostile_onnx import CHANGES, ROWS, Change, files

CASES = 60
TIMEOUT = 60.0
SECONDS = 20.0
counts: Counter[str] = Counter()


@contextmanager
def native_errors(folder: Path) -> Iterator[list[str]]:
    """What is written to the process's stderr past Python."""
    found: list[str] = []
    before = os.dup(2)
    with (folder / "stderr").open("w+b") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield found
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            found.append(file.read().decode(errors="replace"))


def changed(change: Change, model: ModelProto, draw: random.Random, folder: Path) -> bytes | None:
    """What ``change`` gives; a change may find nothing that it could change behind another one."""
    try:
        return change(model, draw, folder)
    except (IndexError, StopIteration, TypeError, ValueError):
        if model.graph.input and model.graph.output and model.graph.initializer:
            counts["not changed"] += 1
        return None


def attack(random: random.Random) -> list[str]:
    right, rows = random.choice(files())
    model, names = copy.deepcopy(right), []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = None
        for change in random.sample(CHANGES, random.choice([1, 1, 1, 2])):
            names.append(change.__name__)
            data = changed(change, model, random, folder)
            if data is not None:
                break
        (folder / "a.onnx").write_bytes(model.SerializeToString() if data is None else data)
        np.savez(folder / "rows.npz", **rows)
        said = problems(folder)
    counts["files"] += 1
    return [f"{' and '.join(names)}: {problem}" for problem in said]


def problems(folder: Path) -> list[str]:
    """What is wrong with the answer to ``a.onnx`` on ``rows.npz``."""
    begun = time.monotonic()
    with native_errors(folder) as native:
        result = graphspec("predict", folder / "a.onnx", folder / "rows.npz")
    seconds = time.monotonic() - begun
    found = []
    if result.exit_code not in (0, 1, 2, 3):
        found.append(f"status {result.exit_code}: {result.stderr[:300]}")
    if native[0]:
        found.append(f"past Python: {native[0][:200]!r}")
    if "Traceback" in result.stderr or any(ord(c) < 32 and c not in "\n\t" for c in result.stderr):
        found.append(f"stderr: {result.stderr[:300]!r}")
    if any(len(line) > 2_000 for line in result.stderr.splitlines()):
        found.append(f"a line of {max(map(len, result.stderr.splitlines()))} characters")
    if seconds > SECONDS:
        found.append(f"took {seconds:.0f} s")
    if result.exit_code:
        counts[f"status {result.exit_code}"] += 1
        if result.stdout or not result.stderr:
            found.append(f"status {result.exit_code} with {result.stdout[:100]!r} and {result.stderr[:100]!r}")
    elif len(list(csv.reader(io.StringIO(result.stdout)))) != ROWS + 1:
        found.append(f"{ROWS} rows became {result.stdout[:300]!r}")
    return found
