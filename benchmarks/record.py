"""What was measured as JSON: ``--json``, whose form README.md documents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.race import Score, Window, entries
from benchmarks.report import Result
from benchmarks.tables import machine

FORMAT = 1


def as_json(results: Sequence[Result], rate: float, busy: bool) -> dict[str, Any]:
    """Everything measured; ``rate`` in multiply-adds a second."""
    workloads = {
        r.workload: {
            "limit": r.limit,
            "ratios": dict(r.ratios(False)),
            "ratios_tuned": dict(r.ratios(True)),
            "contenders": {s.entry.name: _score(s) for s in r.scores},
        }
        for r in results
    }
    about = {"format": FORMAT, "machine": machine(), "busy": busy, "multiply_adds_per_second": rate}
    return about | {"workloads": workloads}


def _score(score: Score) -> dict[str, Any]:
    return {
        "version": score.version,
        "seconds": score.seconds,
        "clean": score.clean,
        "windows": [{"seconds": w.seconds, "spread": w.spread} for w in score.windows],
        "processes": score.processes,
        "losses": score.losses,
        "memory": score.memory,
        "note": score.note,
    }


def read(path: Path, busy: bool) -> tuple[list[Result], float]:
    """What a file of an earlier run says, and its rate.

    Raises:
        ValueError: it has another format, or a run that was busy where this one is not.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get("format") != FORMAT or content["busy"] != busy:
        raise ValueError(f"{path} is of another format, or of a run with{'out' if busy else ''} --busy")
    known = {entry.name: entry for entry in entries("auto")}
    results = []
    for name, said in content["workloads"].items():
        scores = [
            Score(
                known[contender],
                s["version"],
                s["losses"],
                [Window(**w) for w in s["windows"]],
                s["processes"],
                s["memory"],
                s["note"],
            )
            for contender, s in said["contenders"].items()
            if contender in known
        ]
        results.append(Result(name, scores, said["limit"]))
    return results, content["multiply_adds_per_second"]
