"""MPI jobs of which a rank is killed at any moment, and that go on by ``--resume auto``: they end as a job that was not.

``python -m tests.trust --only ranks --minutes 5`` tries many.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import IO

from commands import project
from mpi import HERE, started, why_not

from trust.attack_kills import CLOCKED, SPEC

CASES = 1 if why_not() is None else 0
TIMEOUT = 300.0
LATE = 20.0
"""Seconds after which a job of which a rank was killed must have ended, also on a busy machine."""
counts: Counter[str] = Counter()
_HELD = tempfile.TemporaryDirectory(prefix="graphspec-ranks-")
"""Removed when the process ends."""

_LONGER = SPEC.replace("epochs: 2", "epochs: 6").replace("batch_size: 16", "batch_size: 8")
"""A checkpoint after each of 6 epochs of 8 steps."""


@cache
def whole(ranks: int) -> tuple[Path, dict[str, bytes], float]:
    """A spec with its data, the files of its run by so many ranks, and the seconds that the job took."""
    folder = Path(_HELD.name).resolve() / str(ranks)
    folder.mkdir()
    spec = project(folder, _LONGER)
    with tempfile.TemporaryDirectory() as pids, tempfile.TemporaryFile() as said:
        began = time.monotonic()
        job = _start(spec, folder / "whole", ranks, pids, said)
        assert _ended(job, TIMEOUT) == 0, _words(said)
        seconds = time.monotonic() - began
    return spec, _content(folder / "whole"), seconds


def _start(spec: Path, run: Path, ranks: int, pids: str, said: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a job that starts a run, or goes on with it; its ranks write their processes to files in ``pids``."""
    options = ("--mpi", "--no-report", "--resume", "auto", "--out", run)
    return started([HERE / "mpi_named.py", pids, "train", spec, *options], said, ranks)


def _ended(job: subprocess.Popen[bytes], timeout: float) -> int | None:
    """The status of a job; None if it had to be ended."""
    try:
        return job.wait(timeout)
    except subprocess.TimeoutExpired:
        job.terminate()
        job.wait()
        return None


def _words(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode(errors="replace")[-600:]


def _content(run: Path) -> dict[str, bytes]:
    files = [p for p in sorted(run.rglob("*")) if p.is_file() and p.name not in CLOCKED]
    return {str(p.relative_to(run)): p.read_bytes() for p in files}


def _kill(spec: Path, run: Path, ranks: int, victim: int, moment: float, expected: dict[str, bytes]) -> list[str]:
    """Start a job and kill one of its ranks ``moment`` seconds later, or as soon as there is one; what is wrong then.

    A rank may be killed after its work, while another one writes the report: such a job ends well, with a whole run.
    """
    with tempfile.TemporaryDirectory() as pids, tempfile.TemporaryFile() as said:
        job, until, file = _start(spec, run, ranks, pids, said), time.monotonic() + moment, Path(pids, str(victim))
        while job.poll() is None and (time.monotonic() < until or not file.exists()):
            time.sleep(0.002)
        if job.poll() is not None:
            counts["over before"] += 1
            return [] if job.returncode == 0 else [f"status {job.returncode} before the kill: {_words(said)}"]
        os.kill(int(file.read_text()), signal.SIGKILL)
        began = time.monotonic()
        status = _ended(job, LATE)
        counts["killed"] += 1
        counts["killed before the run"] += not (run / "run.json").exists()
        counts["GS604"] += "GS604" in _words(said)
        counts["tenths of a second until the end"] += round(10 * (time.monotonic() - began))
        if status is None:
            return [f"the job was there {LATE:.0f} s later: {_words(said)}"]
        counts["killed after its work"] += status == 0
        return [f"status 0: {_words(said)}"] if status == 0 and _content(run) != expected else []


def attack(r: random.Random) -> list[str]:
    """A rank of a job is killed once or several times; then the job goes on to its end."""
    ranks = r.choice([2, 3])
    spec, expected, seconds = whole(ranks)
    told, run = list[str](), spec.parent / "run"
    shutil.rmtree(run, ignore_errors=True)
    for _ in range(r.choice([1, 1, 2])):
        victim, moment = r.randrange(ranks), seconds * r.uniform(0.0, 1.0)
        told.append(f"rank {victim} of {ranks} at {moment / seconds:.3f}")
        if found := _kill(spec, run, ranks, victim, moment, expected):
            return [f"{', '.join(told)}: {problem}" for problem in found]
    with tempfile.TemporaryDirectory() as pids, tempfile.TemporaryFile() as said:
        status = _ended(_start(spec, run, ranks, pids, said), TIMEOUT)
        if status != 0:
            return [f"{', '.join(told)}: status {status} of the last job: {_words(said)}"]
    found_files = _content(run)
    wrong = sorted(n for n in expected.keys() | found_files.keys() if expected.get(n) != found_files.get(n))
    return [f"{', '.join(told)}: other bytes in {wrong}"] if wrong else []
