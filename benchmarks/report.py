"""What a race has shown: tables, what falls short of its target, and JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.race import Score
from benchmarks.tables import machine, milliseconds, table

TARGETS = {
    "W1": (0.45, 1.0),
    "W2": (0.95, 1.0),
    "W3": (0.7, 1.0),
    "W3ids": (0.35, 1.0),
    "W4": (0.4, 1.0),
    "W5": (0.65, 1.0),
    "W6": (0.5, 1.0),
    "W7": (0.9, 1.0),
    "W8": (0.75, 1.05),
    "W9": (0.95, 1.3),
}
"""The most that graphspec's step may take, as a part of the best peer's: as installed, and with malloc tuned too."""
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

    def ratio(self, tuned: bool) -> float | None:
        best, own = self.best(tuned), self.scores[0].seconds
        return own / best.seconds if best is not None and best.seconds is not None and own is not None else None

    @property
    def reached(self) -> float | None:
        """The part of its limit that graphspec reaches."""
        own = self.scores[0].seconds
        return self.limit / own if self.limit is not None and own is not None else None


def taken(score: Score) -> str:
    """Milliseconds per step, with ``~`` where no window was clean."""
    return "–" if score.seconds is None else ("" if score.clean else "~") + milliseconds(score.seconds)


def ratios(results: Sequence[Result]) -> str:
    """graphspec against the best peers, and against its limit; what is above its target is bold."""
    lines = []
    for r in results:
        cells = [r.workload, taken(r.scores[0])]
        for tuned, target in zip((False, True), TARGETS[r.workload], strict=True):
            best, ratio = r.best(tuned), r.ratio(tuned)
            if best is None or ratio is None:
                cells += ["–", "–", f"{target:.2f}"]
            else:
                shown = f"{ratio:.2f}"
                cells += [
                    f"{taken(best)} {best.entry.name}",
                    f"**{shown}**" if ratio > target else shown,
                    f"{target:.2f}",
                ]
        limit = "–" if r.limit is None else milliseconds(r.limit)
        lines.append([*cells, limit, "–" if r.reached is None else f"{r.reached:.0%}"])
    head = ["", "graphspec"]
    for way in WAYS:
        head += [f"best peer, {way}", "ratio", "target"]
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
        for tuned, target, way in zip((False, True), TARGETS[r.workload], WAYS, strict=True):
            best, ratio = r.best(tuned), r.ratio(tuned)
            if best is not None and ratio is not None and ratio > target:
                found.append(
                    f"{r.workload}, {way}: {ratio:.2f} of {best.entry.name}, wanted {target:.2f}: "
                    f"the step is {ratio / target - 1:.0%} too long"
                )
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


def as_json(results: Sequence[Result], rate: float) -> dict[str, Any]:
    """Everything measured; ``rate`` in multiply-adds a second."""
    workloads = {
        r.workload: {
            "limit": r.limit,
            "ratio": r.ratio(False),
            "ratio_tuned": r.ratio(True),
            "contenders": {s.entry.name: asdict(s) | {"seconds": s.seconds, "clean": s.clean} for s in r.scores},
        }
        for r in results
    }
    return {"machine": machine(), "multiply_adds_per_second": rate, "workloads": workloads}
