"""The page of results: scores of each table, mean ranks over groups of tables, and what became worse."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from benchmarks.quality.tables import LARGE
from benchmarks.tables import table

FORMAT = 1
WORSE = 0.01
"""How much accuracy or R² a table may lose against an earlier file."""
LOWER = ("log_loss", "mase", "smape")
"""Scores of which less is better."""

Tables = Mapping[str, Mapping[str, Any]]


def text(content: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> str:
    """Everything about a run; with ``before``, an earlier run's content, what changed since."""
    tables: Tables = content["tables"]
    numbers = {name: t for name, t in tables.items() if t["task"] == "numbers"}
    classes = {name: t for name, t in tables.items() if t["task"] == "classes"}
    two = {name: t for name, t in classes.items() if any(mean(t, c, "auc") is not None for c in t["contenders"])}
    parts = [content["machine"]]
    shown = (
        ("R² of numbers", numbers, "r2"),
        ("Accuracy of classes", classes, "accuracy"),
        ("Log-loss of classes, less is better", classes, "log_loss"),
        ("AUC of two classes", two, "auc"),
    )
    parts += [f"{title}; bold: best of the row.\n\n{grid(chosen, score)}" for title, chosen, score in shown if chosen]
    parts.append(f"Mean rank, and wins or shared wins.\n\n{_ranks(tables, numbers, classes, two)}")
    parts.append(f"Over all that a contender has run.\n\n{costs(tables)}")
    if covered := intervals(numbers):
        parts.append(f"Intervals of 90 %: the part of the test rows within, and the width in deviations.\n\n{covered}")
    if before is not None:
        parts.append(changes(before["tables"], tables))
    return "\n\n".join([*parts, *failures(content)])


MAIN = {"numbers": "r2", "classes": "accuracy", "series": "mase"}
"""By task: the score that ranks, and that a change is judged by."""


def main_score(one: Mapping[str, Any]) -> str:
    return MAIN[one["task"]]


def failures(content: Mapping[str, Any]) -> list[str]:
    """The part of a page about what failed, if anything did."""
    lines = [f"- {name}: {error}" for name, error in content["failed"].items()]
    return ["Failed:\n\n" + "\n".join(lines)] if lines else []


def repeats(one: Mapping[str, Any], contender: str) -> dict[str, Any]:
    """What was measured of a contender on a table, by the number of the split."""
    found: dict[str, Any] = one["contenders"].get(contender, {"repeats": {}})["repeats"]
    return found


def mean(one: Mapping[str, Any], contender: str, score: str, only: Collection[str] | None = None) -> float | None:
    """The mean of a score over a contender's repeats, or over those of ``only``; None where there is none."""
    values = [r["scores"].get(score) for k, r in repeats(one, contender).items() if only is None or k in only]
    return None if not values or None in values else fmean(values)


def contenders(tables: Tables) -> list[str]:
    return list(dict.fromkeys(c for t in tables.values() for c in t["contenders"]))


def grid(tables: Tables, score: str, size: str = "rows × columns", digits: int = 3) -> str:
    """A score of all contenders on all tables, the mean of the repeats that are there; ¹: fewer than others have."""
    names = contenders(tables)
    lines = []
    for name, one in tables.items():
        values = {c: mean(one, c, score) for c in names}
        there = [v for v in values.values() if v is not None]
        best = (min if score in LOWER else max)(there)
        most = max(len(repeats(one, c)) for c in names)
        cells = []
        for c, v in values.items():
            cell = "" if v is None else f"{v:.{digits}f}"
            cell = f"**{cell}**" if v == best else cell
            cells.append(f"{cell}¹" if v is not None and len(repeats(one, c)) < most else cell)
        lines.append([name, f"{one['rows']:,} × {one['columns']}", *cells])
    return table(["table", size, *names], lines)


def places(tables: Tables, names: Sequence[str], score: Callable[[Mapping[str, Any]], str]) -> dict[str, list[float]]:
    """The ranks of contenders on each table on which all of them have the score, over the repeats that all of them have."""
    found: dict[str, list[float]] = {c: [] for c in names}
    for one in tables.values():
        common = set.intersection(*(set(repeats(one, c)) for c in names))
        values = [mean(one, c, score(one), common) for c in names]
        if not common or None in values:
            continue
        sign = 1 if score(one) in LOWER else -1
        keys = [round(sign * v, 9) for v in values if v is not None]
        for c, key in zip(names, keys, strict=True):
            found[c].append(1 + sum(k < key for k in keys) + (sum(k == key for k in keys) - 1) / 2)
    return found


def wins(tables: Tables, names: Sequence[str], score: Callable[[Mapping[str, Any]], str]) -> tuple[int, list[str]]:
    ranks = places(tables, names, score)
    by_table = list(zip(*ranks.values(), strict=True))
    wins = [sum(row[k] == min(row) for row in by_table) for k in range(len(names))]
    return len(by_table), [f"{fmean(r):.2f} ({w})" if r else "" for r, w in zip(ranks.values(), wins, strict=True)]


def _ranks(tables: Tables, numbers: Tables, classes: Tables, two: Tables) -> str:
    """Among the contenders that have every table and repeat, among those that have every table, and with those of fewer."""
    everyone = contenders(tables)
    runs = {c: {(n, k) for n, t in tables.items() for k in repeats(t, c)} for c in everyone}
    whole = [c for c in everyone if runs[c] == set.union(*runs.values())]
    count_of = {c: len({n for n, _ in runs[c]}) for c in everyone}
    wider = [[c for c in everyone if count_of[c] >= least] for least in sorted({*count_of.values()}, reverse=True)]
    groups: list[tuple[str, Tables, Callable[[Mapping[str, Any]], str]]] = [
        ("all", tables, main_score),
        ("numbers, by R²", numbers, main_score),
        ("classes, by accuracy", classes, main_score),
        ("classes, by log-loss", classes, lambda _: "log_loss"),
        ("two classes, by AUC", two, lambda _: "auc"),
        (f"fewer than {LARGE:,} rows", {n: t for n, t in tables.items() if t["rows"] < LARGE}, main_score),
        (f"{LARGE:,} rows and more", {n: t for n, t in tables.items() if t["rows"] >= LARGE}, main_score),
    ]
    lines = []
    for names in {len(names): names for names in (whole, *wider) if len(names) > 1}.values():
        for group, chosen, score in groups:
            count, cells = wins(chosen, names, score)
            said = dict(zip(names, cells, strict=True))
            if count:
                lines.append([f"{group} ({count})", *(said.get(c, "") for c in everyone)])
    return table(["group (tables)", *everyone], lines)


def costs(tables: Tables) -> str:
    """What contenders take, and how far their probabilities and their rarest class can be trusted."""
    names, lines = contenders(tables), []
    runs = {c: [r for t in tables.values() for r in repeats(t, c).values()] for c in names}
    facts: list[tuple[str, Callable[[Any], float | None], Callable[[list[float]], float], str]] = [
        ("ECE, mean", lambda r: r["scores"].get("ece"), fmean, "{:.3f}"),
        ("recall of the rarest class, mean", lambda r: r["scores"].get("recall"), fmean, "{:.2f}"),
        (
            "recall of the rarest class by its label, mean",
            lambda r: r["scores"].get("labelled_recall"),
            fmean,
            "{:.2f}",
        ),
        ("seconds to train, median", lambda r: r["seconds"], median, "{:.1f}"),
        ("seconds of the processor, median", lambda r: r["cpu"], median, "{:.1f}"),
        ("seconds of the processor, most", lambda r: r["cpu"], max, "{:.0f}"),
        ("size, KB, median", lambda r: r["size"] / 1024 if "size" in r else None, median, "{:.0f}"),
    ]
    for title, pick, summary, unit in facts:
        values = {c: [v for r in runs[c] if (v := pick(r)) is not None] for c in names}
        if any(values.values()):
            lines.append([title, *(unit.format(summary(v)) if v else "" for v in values.values())])
    return table(["", *names], lines)


def intervals(tables: Tables) -> str:
    """How many test rows lie within their intervals; nothing if no contender has any."""
    lines = []
    for name, one in tables.items():
        for contender in one["contenders"]:
            coverage, width = (mean(one, contender, score) for score in ("coverage", "width"))
            if coverage is not None and width is not None:
                lines.append([name, contender, f"{coverage:.3f}", f"{width:.2f}"])
    return table(["table", "", "within", "width"], lines) if lines else ""


def changes(before: Tables, after: Tables, contender: str = "graphspec") -> str:
    """What a contender gained and lost since an earlier file, on the tables and repeats that both have."""
    lines, lost = [], []
    for name, one in after.items():
        old = before.get(name, {"contenders": {}})
        kept = [repeats(t, contender) for t in (old, one)]
        common = {k for k in kept[0].keys() & kept[1].keys() if kept[0][k]["digest"] == kept[1][k]["digest"]}
        if not common:
            continue
        cells = []
        for score in (main_score(one), "log_loss", "auc"):
            was, now = mean(old, contender, score, common), mean(one, contender, score, common)
            if was is None or now is None:
                cells += ["", ""]
                continue
            gain = was - now if score in LOWER else now - was
            cells += [f"{was:.3f} → {now:.3f}", f"{gain:+.3f}"]
            if score == main_score(one) and gain < -WORSE:
                lost.append(name)
                cells[-1] = f"**{cells[-1]}**"
        cpu = [fmean(part[k]["cpu"] for k in common) for part in kept]
        lines.append([name, main_score(one), *cells, f"{cpu[0]:.1f} → {cpu[1]:.1f}"])
    head = ["table", "score", "before → now", "gain", "log-loss", "gain", "AUC", "gain", "processor, s"]
    said = f"more than {WORSE} worse: {', '.join(lost)}" if lost else f"no table is more than {WORSE} worse"
    return f"{contender} against an earlier file, on {len(lines)} tables: {said}.\n\n{table(head, lines)}"
