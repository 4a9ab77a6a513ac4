"""Contenders in processes of their own, timed in turn."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from statistics import median, quantiles
from typing import Any

from benchmarks.networks import OLD

ROOT = Path(__file__).parent.parent
TUNED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 31)}
"""malloc gives nothing back to the system, so that no page is faulted in twice."""
NUMPY = {"PYTHONPATH": os.pathsep.join([str(ROOT / "benchmarks/numpy_only"), os.environ.get("PYTHONPATH", "")])}
"""graphspec without compiled kernels, where they are installed too."""
ONE = {f"{k}_NUM_THREADS": "1" for k in ("OPENBLAS", "OMP", "MKL")}
CLEAN = 0.25
"""The most that a clean window's middle four fifths may spread, as a fraction of its median."""
SLOWEST = 1.0
"""Seconds of a step beyond which a contender is not measured further."""
LAST_LINES = 20
"""What is shown of the output of a contender that has failed."""
FIRST = 2e-6
"""How nearly the first losses agree."""
TRIES = 3
"""Windows a round until one is clean."""


class ContenderError(Exception):
    """A contender is left out: it has no such network, or is too slow."""


class BrokenError(Exception):
    """A contender cannot start, fails, or trains otherwise. The race ends: without its best peer a ratio says too much."""


@dataclass(frozen=True)
class Entry:
    """A contender: the module of its family, its options, and its environment.

    Attributes:
        python: the key of ``--python``: one framework a name.
        peer: whether graphspec is compared with it.
        tuned: whether malloc is told to keep its memory.
        trains: whether its steps train as graphspec's do, so that later losses must agree too, and how nearly.
        embeds: the same for a network with embeddings, if it is not as near there.
        networks: those that it is for; None for all.
    """

    name: str
    family: str
    python: str
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    peer: bool = True
    tuned: bool = False
    trains: float | None = 1e-3
    embeds: float | None = None
    networks: Sequence[str] | None = None

    def on(self, name: str, embeds: bool) -> Entry | None:
        """The contender on a network; None if it is for others."""
        if self.networks is not None and name not in self.networks:
            return None
        return replace(self, trains=self.embeds) if embeds and self.embeds is not None else self


def entries(workers: str) -> list[Entry]:
    """All contenders, graphspec first."""
    torch = {"torch": {}, "torch fused": {"fused": True}, "torch compile": {"compiled": True}}
    tf = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    own = {"workers": workers}, {"workers": workers, "compiled": True}
    alone = {"workers": "1"}, {"workers": "1", "compiled": True}
    large = {"networks": ["recommender", "recommender-small"], "peer": False}
    return [
        Entry("graphspec", "graphspec", "graphspec", own[0], NUMPY, peer=False),
        Entry("graphspec fast", "graphspec", "graphspec", own[1], peer=False),
        Entry("one core", "graphspec", "graphspec", alone[0], NUMPY | ONE, peer=False),
        Entry("fast, one core", "graphspec", "graphspec", alone[1], ONE, peer=False),
        # Its RMSprop adds epsilon after the root, Keras's before.
        *(Entry(name, "torch", "torch", options, trains=0.02) for name, options in torch.items()),
        # Its sparse Adam leaves rows alone that no id of the batch names, so it is shown and not compared with.
        Entry("torch sparse", "torch", "torch", {"sparse": True}, trains=0.02, **large),
        Entry("jax", "jax", "jax"),
        # Its Adam squares the gradients of an id that comes twice one by one, not their sum.
        Entry("keras tf", "keras", "keras-tensorflow", environment=tf, embeds=0.05),
        Entry("keras jax", "keras", "keras-jax", environment={"KERAS_BACKEND": "jax"}, networks=OLD),
        Entry("sklearn", "sklearn", "sklearn", trains=None),
        *(Entry(f"{n}, tuned", "torch", "torch", o, TUNED, tuned=True, trains=0.02) for n, o in torch.items()),
        Entry("torch sparse, tuned", "torch", "torch", {"sparse": True}, TUNED, tuned=True, trains=0.02, **large),
        Entry("jax, tuned", "jax", "jax", environment=TUNED, tuned=True),
    ]


class Child:
    """A contender's process."""

    def __init__(self, entry: Entry, folder: Path, python: str, log: Path) -> None:
        command = [python, "-m", "benchmarks.child", entry.family, str(folder), json.dumps(entry.options)]
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | entry.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._log, self._name = log, entry.name

    def hear(self, patience: float) -> dict[str, Any]:
        """Its next answer.

        Raises:
            ContenderError: it has no such network.
            BrokenError: it has failed, has ended, or says nothing for ``patience`` seconds.
        """
        assert self._process.stdout is not None
        with DefaultSelector() as selector:
            selector.register(self._process.stdout, EVENT_READ)
            if not selector.select(patience):
                raise self._broken(f"not ready after {patience:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._broken(f"it has ended with status {self._process.wait()}")
        said: dict[str, Any] = json.loads(line)
        if "failed" in said:
            raise self._broken(said["failed"])
        if "missing" in said:
            raise ContenderError(said["missing"])
        return said

    def _broken(self, why: str) -> BrokenError:
        lines = self._log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return BrokenError("\n".join([f"{self._name}: {why}", *(f"  {line}" for line in lines)]))

    def ask(self, patience: float, **message: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: what it has said, or nothing, is heard
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        return self.hear(patience)

    def end(self) -> None:
        """It ends when its input does; if not, it is ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@dataclass
class Window:
    """Some steps in a row: seconds a step, and how far they spread."""

    seconds: float
    spread: float

    @property
    def clean(self) -> bool:
        return self.spread <= CLEAN


@dataclass
class Score:
    """What a contender did.

    Attributes:
        processes: how many trained, window by window.
        memory: bytes.
        note: why it has no values.
    """

    entry: Entry
    version: str = ""
    losses: list[float] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    memory: int = 0
    note: str = ""

    @property
    def seconds(self) -> float | None:
        """The median of the clean windows; of all where none is."""
        windows = [w for w in self.windows if w.clean] or self.windows
        return median(w.seconds for w in windows) if windows else None

    @property
    def clean(self) -> bool:
        return any(w.clean for w in self.windows)


def window(times: Sequence[float]) -> Window:
    middle = median(times)
    tenths = quantiles(times, n=10) if len(times) > 1 else [middle]
    return Window(middle, (tenths[-1] - tenths[0]) / middle)


def agree(score: Score, wanted: Sequence[float]) -> None:
    """The first loss is that of the same weights on the same batch, the next ones those of the same training.

    Raises:
        BrokenError: they differ.
    """
    allowed = [FIRST, *[score.entry.trains] * (len(wanted) - 1)]
    for k, (a, b, limit) in enumerate(zip(score.losses, wanted, allowed, strict=True)):
        if limit is not None and not abs(a - b) <= limit * abs(b):
            raise BrokenError(f"{score.entry.name}: the loss of step {k + 1} is {a:.8g}, not {b:.8g}")


def race(
    folder: Path, field_: Sequence[Entry], pythons: Mapping[str, str], rounds: int, seconds: float, patience: float
) -> list[Score]:
    """Every contender's score; the first must be graphspec, whose losses the others must have.

    Args:
        seconds: how long a window lasts.
        patience: how long a contender may take to get ready, compiling included.

    Raises:
        ContenderError: the first is too slow.
        BrokenError: one cannot start, fails, or trains otherwise.
    """
    scores, children, counts = [Score(e) for e in field_], dict[str, Child](), dict[str, int]()
    try:
        for k, score in enumerate(scores):
            entry = score.entry
            child = Child(entry, folder, pythons.get(entry.python, sys.executable), folder / f"{k}.log")
            children[entry.name] = child
            try:
                begin = child.hear(patience)
                score.version, before = begin["version"], begin["before"]
                score.losses = child.ask(patience, do="losses", count=4)["losses"]
                agree(score, scores[0].losses)
                once = median(child.ask(patience, do="steps", warm=2, count=3)["seconds"])
                if once > SLOWEST:
                    raise ContenderError(f"a step takes {once:.1f} s")
                counts[entry.name] = max(5, min(2000, int(seconds / once)))
                score.memory = child.ask(patience, do="peak")["peak"] - before
            except ContenderError as error:
                if k == 0:
                    raise ContenderError(f"{entry.name}: {error}") from None  # there is nothing to compare with
                score.note = str(error)
                children.pop(entry.name).end()
            print(f"    {entry.name}: {score.note or 'ready'}", file=sys.stderr, flush=True)
        for _ in range(rounds):
            order = [s for s in scores if s.entry.name in children]
            random.shuffle(order)
            for score in order:
                _round(score, children[score.entry.name], counts[score.entry.name], patience)
    finally:
        for child in children.values():
            child.end()
    return scores


def _round(score: Score, child: Child, count: int, patience: float) -> None:
    """One clean window, or several that are not."""
    for _ in range(TRIES):
        time.sleep(0.05)  # threads of the one before that spin go to sleep
        said = child.ask(patience, do="steps", warm=max(2, count // 10), count=count)
        score.windows.append(window(said["seconds"]))
        score.processes.append(said["processes"])
        if score.windows[-1].clean:
            return
