"""Runs that learn from raw records, killed at any file operation: while rows are stored, learnt from, prepared, trained on.

The rows are in memory maps and in a cache that the killed runs share. Afterwards it has nothing that is half written.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

from commands import graphspec
from shop import project

from graphspec.base.files import is_leftover
from graphspec.data import stored
from graphspec.engine.runtime import session
from trust.attack_kills import KILLED, compare, content, finish, killed, moments

CASES = 3 if hasattr(os, "fork") else 0
counts: Counter[str] = Counter()
_HELD = tempfile.TemporaryDirectory(prefix="graphspec-adapting-")
"""Removed when the process ends."""


@contextmanager
def _in_files() -> Iterator[None]:
    """All rows are kept in files."""
    with patch.object(stored, "SHARE", 0.0), patch.object(session, "CACHED_BYTES", 1):
        yield


@cache
def whole() -> tuple[Path, dict[str, bytes], int]:
    """The spec, what the files of its run are, and how many operations it makes."""
    folder = Path(_HELD.name).resolve()
    spec = project(folder)
    with _in_files():
        found = moments(["train", spec, "--out", folder / "counted", "--cache", folder / "new"])
        assert graphspec("train", spec, "--out", folder / "runs" / "whole", "--cache", folder / "kept").exit_code == 0
    return spec, content(folder / "runs" / "whole"), found


def attack(r: random.Random) -> list[str]:
    """A run is killed once or several times, then resumed."""
    spec, expected, count = whole()
    with tempfile.TemporaryDirectory(dir=spec.parent) as folder, _in_files():
        run, kept, flag, told = Path(folder) / "run", Path(folder) / ".graphspec-cache", list[str](), list[str]()
        for _ in range(r.choice([1, 2, 3])):
            moment, torn = r.randrange(1, count + 1), r.random() < 0.5
            told.append(f"at {moment}{' torn' if torn else ''}")
            status = killed(["train", spec, "--out", run, *flag], moment, torn)
            counts["killed" if status == KILLED else f"status {status}"] += 1
            if status not in (0, 2, KILLED):
                return [f"{told}: status {status}"]
            flag = ["--resume"] if run.is_dir() else []
        problem = finish(spec, run, flag[0] if flag else None) or compare(run, expected)
        entries = [path for path in kept.iterdir() if path.is_dir()]
        if problem is None and not all(is_leftover(p) or (p / "index.json").is_file() for p in entries):
            problem = f"the cache has half an entry: {entries}"
        return [f"{', '.join(told)}: {problem}"] if problem else []
