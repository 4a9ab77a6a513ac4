"""What a race has shown: tables, and what falls short of its target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.race import Score
from benchmarks.tables import milliseconds, table

ALONE = (0.95, 1.05)
"""The most that graphspec's step may take, as a part of the best peer's: as installed, and with malloc tuned too."""
FAST = (0.75, 0.85)
"""The same with compiled kernels."""
AGAINST = {"W3ids": "torch"}
"""Where the first target is meant against one framework: PyTorch's EmbeddingBag."""
LEAN = ("W5", "W9")
"""Where graphspec may hold no more memory than PyTorch."""
WAYS = ("as installed", "tuned too")


@dataclass
class Result:
    """One workload's scores.

    Attributes:
        limit: seconds that the multiply-adds of a step take at the rate of large matrix products; None where the
            graph's products are not what has to be computed.
    """

    workload: str
    scores: list[Score]
    limit: float | None

    def best(self, tuned: bool) -> Score | None:
        """The fastest peer: as installed (of the framework that :data:`AGAINST` names), or any, malloc tuned included."""
        peers = [s for s in self.scores if s.entry.peer and s.seconds is not None]
        if not tuned:
            family = AGAINST.get(self.workload)
            peers = [s for s in peers if not s.entry.tuned and family in (None, s.entry.family)]
        return min(peers, key=lambda s: s.seconds or 0.0, default=None)

    @property
    def own(self) -> list[Score]:
        """graphspec, and graphspec with compiled kernels if it was measured."""
        return [s for s in self.scores if s.entry.name in ("graphspec", "graphspec fast") and s.seconds is not None]

    def ratios(self, tuned: bool) -> list[tuple[str, float]]:
        """The step of each of them as a part of the best peer's."""
        best = self.best(tuned)
        if best is None or best.seconds is None:
            return []
        return [(s.entry.name, s.seconds / best.seconds) for s in self.own if s.seconds is not None]

    @staticmethod
    def target(name: str, tuned: bool) -> float:
        """The most that a contender's step may take."""
        return (FAST if name == "graphspec fast" else ALONE)[tuned]

    @property
    def reached(self) -> dict[str, float]:
        """The part of the limit that each of them reaches; nothing without a limit."""
        return {} if self.limit is None else {s.entry.name: self.limit / s.seconds for s in self.own if s.seconds}


def taken(score: Score) -> str:
    """Milliseconds per step, with ``~`` where no window was clean."""
    return "–" if score.seconds is None else ("" if score.clean else "~") + milliseconds(score.seconds)


def ratios(results: Sequence[Result]) -> str:
    """graphspec against the best peers, and against its limit; what is above its target is bold."""
    lines = []
    names = list(dict.fromkeys(s.entry.name for r in results for s in r.own))
    for r in results:
        own = {s.entry.name: taken(s) for s in r.own}
        cells = [r.workload, *(own.get(name, "–") for name in names)]
        for tuned in (False, True):
            best, found = r.best(tuned), dict(r.ratios(tuned))
            cells.append("–" if best is None else f"{taken(best)} {best.entry.name}")
            for name in names:
                shown = f"{found[name]:.2f}" if name in found else "–"
                cells.append(f"**{shown}**" if found.get(name, 0.0) > r.target(name, tuned) else shown)
            cells.append(", ".join(f"{r.target(name, tuned):.2f}" for name in names))
        limit = "–" if r.limit is None else milliseconds(r.limit)
        lines.append([*cells, limit, ", ".join(f"{part:.0%}" for part in r.reached.values()) or "–"])
    head = ["", *names]
    for way in WAYS:
        head += [f"best peer, {way}", *("ratio" + name.removeprefix("graphspec") for name in names), "target"]
    return table([*head, "limit", "reached"], lines)


def by_contender(results: Sequence[Result], cell: Callable[[Score], str]) -> str:
    """One value of every contender on every workload."""
    names = list(dict.fromkeys(s.entry.name for r in results for s in r.scores if s.seconds is not None))
    cells = [{s.entry.name: cell(s) for s in r.scores if s.seconds is not None} for r in results]
    return table(
        ["", *names],
        [[r.workload, *(c.get(n, "–") for n in names)] for r, c in zip(results, cells, strict=True)],
    )


def short(results: Sequence[Result]) -> list[str]:
    """Which values fall short of their targets, and by how much."""
    found = []
    for r in results:
        for tuned, way in zip((False, True), WAYS, strict=True):
            best = r.best(tuned)
            found += [
                f"{r.workload}, {name}, {way}: {ratio:.2f} of {best.entry.name}, wanted {target:.2f}: "
                f"the step is {ratio / target - 1:.0%} too long"
                for name, ratio in r.ratios(tuned)
                if best is not None and ratio > (target := r.target(name, tuned))
            ]
        torch = [s.memory for s in r.scores if s.entry.family == "torch" and s.seconds is not None]
        own = r.scores[0].memory
        if r.workload in LEAN and torch and own > min(torch):
            found.append(f"{r.workload}: {own / 1e6:.0f} MB, PyTorch {min(torch) / 1e6:.0f}")
    return found


def notes(results: Sequence[Result]) -> list[str]:
    """How many processes graphspec's ``auto`` chose, and why contenders have no values."""
    chosen = [f"{r.workload} {' or '.join(map(str, sorted(set(r.scores[0].processes))))}" for r in results]
    groups: dict[tuple[str, str], list[str]] = {}
    for r in results:
        for s in r.scores:
            if s.note:
                groups.setdefault((s.entry.name, s.note), []).append(r.workload)
    missing = [f"{name} ({', '.join(where)}): {note}" for (name, note), where in groups.items()]
    return [f"graphspec trained in so many processes: {', '.join(chosen)}", *missing]


def bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def page(results: Sequence[Result], about: str) -> str:
    """Everything for people, in Markdown."""
    parts = [
        about,
        "Milliseconds per step, graphspec beside the best peer; what is above its target is bold.",
        ratios(results),
        "All contenders, milliseconds per step; `~`: no window was clean.",
        by_contender(results, taken),
        "Megabytes at most resident in training, above what the import and the given arrays take.",
        by_contender(results, lambda s: f"{s.memory / 1e6:.0f}"),
        bullets(notes(results)),
    ]
    unknown = [r.workload for r in results if r.best(False) is None]
    missed = [*short(results), *([f"{', '.join(unknown)}: no peer to compare with"] if unknown else [])]
    parts += (
        ["Short of the targets, or not known:", bullets(missed)]
        if missed
        else ["Every target that was measured is reached."]
    )
    return "\n\n".join(parts)
