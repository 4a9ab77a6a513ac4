"""Runs attacks: each in a process of its own, by turns, until the time is over.

A process that dies or hangs is a problem of the case that it was trying. Its temporary files are in a folder that is
removed with it.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import os
import queue
import random
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO, Any

HERE = Path(__file__).parent
TURN = 15.0  # seconds that an attack has before the next one's turn
SHOWN = 12  # problems of one attack that are printed


def names() -> list[str]:
    """The attacks, ``graphs`` for ``attack_graphs.py``."""
    return sorted(path.stem.removeprefix("attack_") for path in HERE.glob("attack_*.py"))


def module(name: str) -> ModuleType:
    return import_module(f"{__package__}.attack_{name}")


def tried(attack: ModuleType, seed: int) -> list[str]:
    """The problems of the case of ``seed``. An exception that the attack does not expect is a problem too."""
    try:
        return list(attack.attack(random.Random(seed)))
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return [f"{type(error).__name__} at {place}: {error}"]


def seeds(name: str, start: int) -> Iterator[int]:
    """The cases of an attack: endless, the same for the same start."""
    drawn = random.Random(f"{name}/{start}")
    while True:
        yield drawn.getrandbits(32)


def serve(name: str) -> None:
    """Try the cases whose seeds come by stdin; answer by the stdout that this process was given, a line of JSON each."""
    faulthandler.enable()
    os.chdir(tempfile.gettempdir())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a case prints is no answer
    attack = module(name)
    for line in sys.stdin:
        problems = tried(attack, int(line))
        counts: Counter[str] = getattr(attack, "counts", Counter())
        answers.write(json.dumps({"problems": problems, "counts": dict(counts)}) + "\n")
        answers.flush()
        counts.clear()


class Child:
    """A process that tries the cases of one attack."""

    def __init__(self, command: Sequence[str], folder: str, log: IO[bytes]) -> None:
        self.log = log
        root = str(HERE.parents[1])
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))  # of commands that a case runs
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=root,
            env={**os.environ, **threads, "PYTHONPATH": path, "TMPDIR": folder, "TEMP": folder, "TMP": folder},
            text=True,
            encoding="utf-8",
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self.lines.put(line)
        self.lines.put("")

    def ask(self, seed: int, timeout: float) -> tuple[list[str], dict[str, int]]:
        """The problems of a case, and what it counted; of a process that is dead or hangs one problem."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{seed}\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=timeout)
        except (OSError, queue.Empty) as error:
            line, late = "", isinstance(error, queue.Empty)
        else:
            late = False
        if line:
            answer = json.loads(line)
            return answer["problems"], answer["counts"]
        if late:
            self.process.kill()
        status = self.process.wait()
        said = f"no answer in {timeout:.0f} s" if late else f"the interpreter ended with status {status}"
        return [f"{said}{self._last_words()}"], {}

    def _last_words(self) -> str:
        self.log.seek(0)
        lines = [line.strip() for line in self.log.read().decode(errors="replace").splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith(("Fatal", "File", "MemoryError"))]
        return f": {' · '.join((fatal or lines)[:3])}" if lines else ""

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(timeout=5)


@dataclass
class Record:
    """What one attack has done so far."""

    name: str
    seeds: Iterator[int]
    timeout: float
    tried: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[int, str]] = field(default_factory=list)
    busy: bool = False


def turn(record: Record, until: float) -> None:
    """Cases of one attack, in a process of its own, until ``until``; at least one."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, tempfile.TemporaryFile() as log:
        began = time.monotonic()
        child = Child([sys.executable, "-m", "tests.trust", "--serve", record.name], folder, log)
        try:
            while True:
                seed = next(record.seeds)
                problems, counts = child.ask(seed, record.timeout)
                record.tried += 1
                record.counts.update(counts)
                record.problems += [(seed, problem) for problem in problems]
                if time.monotonic() >= until or not child.alive:
                    break
        finally:
            child.end()
            record.seconds += time.monotonic() - began


def run(records: Sequence[Record], minutes: float, jobs: int, say: Callable[[str], None]) -> None:
    """Turns for all, those that had the least time first."""
    end = time.monotonic() + 60 * minutes
    lock = threading.Lock()

    def work(_: int) -> None:
        while time.monotonic() < end or any(not r.tried and not r.busy for r in records):
            with lock:
                free = [r for r in records if not r.busy]
                if not free:
                    return
                record = min(free, key=lambda r: r.seconds)
                record.busy = True
            known = len(record.problems)
            turn(record, min(end, time.monotonic() + TURN))
            with lock:
                record.busy = False
                say(f"{record.name:<9} {record.tried:>7} tried {len(record.problems):>5} problems")
                for seed, problem in record.problems[known:]:
                    if len(record.problems) <= SHOWN or record.problems.index((seed, problem)) < SHOWN:
                        say(shown(record.name, seed, problem))

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, range(min(jobs, len(records)))))


def shown(name: str, seed: int, problem: str) -> str:
    """A problem in lines of 80 columns, and how to see it again."""
    plain = problem.encode("ascii", "backslashreplace").decode()
    printable = "".join(c if c.isprintable() else " " for c in plain)
    text = textwrap.shorten(printable, 460, placeholder=" ...")
    lines = textwrap.wrap(text, 78, initial_indent="  ", subsequent_indent="    ")
    return "\n".join([*lines, f"    python -m tests.trust --only {name} --case {seed}"])


def table(records: Sequence[Record]) -> str:
    """What was tried, and how many problems there were."""
    lines = [f"{'attack':<12}{'tried':>9}{'problems':>10}{'seconds':>9}"]
    for r in records:
        lines.append(f"{r.name:<12}{r.tried:>9}{len(r.problems):>10}{r.seconds:>9.0f}")
        detail = ", ".join(f"{n} {what}" for what, n in sorted(r.counts.items()))
        lines += textwrap.wrap(detail, 78, initial_indent="  ", subsequent_indent="  ")
    tried, problems = sum(r.tried for r in records), sum(len(r.problems) for r in records)
    return "\n".join([*lines, f"{'all':<12}{tried:>9}{problems:>10}"])


def main(arguments: Sequence[str] | None = None) -> int:
    """The status: 0 where there is no problem, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description="Attack graphspec for a while.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long, all attacks together (5)")
    parser.add_argument("--seed", type=int, default=0, help="where the cases begin (0)")
    parser.add_argument("--only", nargs="+", choices=names(), metavar="NAME", help=f"some of {', '.join(names())}")
    parser.add_argument("--jobs", type=int, default=1, help="attacks at once (1)")
    parser.add_argument("--case", type=int, action="append", help="try the case of this seed, in this process")
    parser.add_argument("--serve", choices=names(), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.serve:
        serve(given.serve)
        return 0
    chosen = given.only or names()
    if given.case:
        return cases(chosen, given.case)
    records = [Record(n, seeds(n, given.seed), getattr(module(n), "TIMEOUT", 120.0)) for n in chosen]
    run(records, given.minutes, max(1, given.jobs), lambda text: print(text, flush=True))
    print(table(records))
    return 1 if any(r.problems for r in records) else 0


def cases(chosen: Sequence[str], wanted: Sequence[int]) -> int:
    """The given cases, in this process; what is told of them in full."""
    found: list[Any] = []
    for name in chosen:
        for seed in wanted:
            problems = tried(module(name), seed)
            print(f"{name} {seed}: {len(problems)} problems")
            for problem in problems:
                print(f"  {problem}")
            found += problems
    return 1 if found else 0
