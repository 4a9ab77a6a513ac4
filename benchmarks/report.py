"""What a race has shown, as tables and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.race import Score


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
        """The fastest peer: as installed, or any, malloc tuned included."""
        peers = [s for s in self.scores if s.entry.peer and s.seconds is not None and (tuned or not s.entry.tuned)]
        return min(peers, key=lambda s: s.seconds or 0.0, default=None)

    def ratio(self, tuned: bool) -> float | None:
        best, own = self.best(tuned), self.scores[0].seconds
        return own / best.seconds if best is not None and best.seconds is not None and own is not None else None

    @property
    def reached(self) -> float | None:
        """The part of its limit that graphspec reaches."""
        own = self.scores[0].seconds
        return self.limit / own if self.limit is not None and own is not None else None


def milliseconds(score: Score) -> str:
    """``~`` where no window was clean."""
    if score.seconds is None:
        return "–"
    ms = score.seconds * 1e3
    return ("" if score.clean else "~") + (f"{ms:.3f}" if ms < 1 else f"{ms:.2f}" if ms < 10 else f"{ms:.1f}")


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its columns aligned."""
    rows = [head, *lines]
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    texts = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    texts.insert(1, "| " + " | ".join("-" * w for w in widths) + " |")
    return "\n".join(texts)


def ratios(results: Sequence[Result]) -> str:
    """graphspec against the best peers, and against its limit."""
    lines = []
    for r in results:
        cells = [r.workload, milliseconds(r.scores[0])]
        for tuned in (False, True):
            best, ratio = r.best(tuned), r.ratio(tuned)
            known = best is not None and ratio is not None
            cells += [f"{milliseconds(best)} {best.entry.name}", f"{ratio:.2f}"] if known and best else ["–", "–"]
        limit = "–" if r.limit is None else f"{r.limit * 1e3:.3g}"
        lines.append([*cells, limit, "–" if r.reached is None else f"{r.reached:.0%}"])
    head = ["", "graphspec", "best peer as installed", "ratio", "best peer, tuned too", "ratio", "limit", "reached"]
    return table(head, lines)


def times(results: Sequence[Result]) -> str:
    """Milliseconds a step of every contender."""
    names = list(dict.fromkeys(s.entry.name for r in results for s in r.scores if s.seconds is not None))
    by_name = [{s.entry.name: milliseconds(s) for s in r.scores} for r in results]
    return table(
        ["", *names],
        [[r.workload, *(cells.get(n, "–") for n in names)] for r, cells in zip(results, by_name, strict=True)],
    )


def memory(results: Sequence[Result]) -> str:
    """Megabytes at most resident in training, above what importing the framework takes; the data are in it."""
    names = list(dict.fromkeys(s.entry.name for r in results for s in r.scores if s.seconds is not None))
    by_name = [{s.entry.name: f"{s.memory / 1e6:.0f}" for s in r.scores if s.seconds is not None} for r in results]
    return table(
        ["", *names],
        [[r.workload, *(cells.get(n, "–") for n in names)] for r, cells in zip(results, by_name, strict=True)],
    )


def notes(results: Sequence[Result]) -> list[str]:
    """Why contenders have no figures."""
    missing = [(r.workload, s.entry.name, s.note) for r in results for s in r.scores if s.note]
    groups: dict[tuple[str, str], list[str]] = {}
    for workload, name, note in missing:
        groups.setdefault((name, note), []).append(workload)
    return [f"{name} ({', '.join(where)}): {note}" for (name, note), where in groups.items()]


def machine() -> dict[str, Any]:
    """Where this was measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index, call-overload]
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
    }


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
