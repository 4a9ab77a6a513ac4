"""The sections of a comparison: results, curves, the keys in which the specs differ, times and versions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from graphspec.base.arrays.system_memory import human
from graphspec.base.document import BREAK, UNDEFINED, Cell, Column, Element, Inline, Section, Span, Table, Text
from graphspec.base.text import duration, number, shorten_end
from graphspec.show.html import text
from graphspec.show.report.curve_charts import LOG_SWITCH, Line, Panel, charts_of
from graphspec.show.report.differences import differences
from graphspec.show.report.sections.headline import exported, moment
from graphspec.vocabulary.callbacks.monitors import direction

if TYPE_CHECKING:
    from graphspec.show.report.compared import Compared

_METRICS, _PANELS, _KEYS = 12, 8, 200  # that are shown
_VALUE = 120  # characters of a value of a spec
_STYLES = 20


def results(runs: Sequence[Compared]) -> Section:
    """Return a table of runs by losses and metrics, the best of each marked, and what cannot be compared."""
    keys = list(dict.fromkeys(key for run in runs for key in run.results))
    shown = keys[:_METRICS]
    best = {key: found for key in shown if (found := best_of(runs, key)) is not None}
    columns = [Column("Run"), Column("Judged on")]
    columns += [Column(name, "number") for name in (*shown, "Epochs", "Training time", "Parameters")]
    rows: list[list[Inline | Cell]] = []
    for k, run in enumerate(runs):
        on = f"{run.total:,} {run.part} rows" if run.part else "no rows"
        seconds = None if run.times is None else run.times.seconds
        least = "" if run.times is None or run.times.complete else "≥ "
        time = Cell("", "") if seconds is None else Cell(f"{least}{duration(seconds)}", seconds)
        numbers = [Cell(f"{run.epochs:,}", run.epochs), time, Cell(f"{run.parameters:,}", run.parameters)]
        rows.append([run.name, on, *(_cell(runs, k, key, best.get(key)) for key in shown), *numbers])
    caption = "Final losses and metrics, with 95 % intervals"
    table = Table(columns, rows, caption, label="Results of all runs", sort=True)
    said = [Text(line, "note") for line in notes(runs, len(keys) - len(shown), bool(best))]
    return Section("results", "Results", [*said, table])


def best_of(runs: Sequence[Compared], key: str) -> list[int] | None:
    """Return the runs whose value is best; None unless at least two runs have it, and all that have it can be compared."""
    having = [k for k, run in enumerate(runs) if math.isfinite(run.results.get(key, math.nan))]
    better = direction(key)
    if len(having) < 2 or better is None or len({(runs[k].rows, runs[k].task) for k in having}) > 1:
        return None
    values = [runs[k].results[key] for k in having]
    wanted = min(values) if better == "min" else max(values)
    return [k for k, value in zip(having, values, strict=True) if value == wanted]


def notes(runs: Sequence[Compared], hidden: int, marked: bool) -> Iterator[str]:
    """Yield what a reader of the table must know."""
    tasks: dict[str, list[str]] = {}
    rows: dict[str, list[str]] = {}
    for run in runs:
        tasks.setdefault(run.task, []).append(run.name)
        if run.part:
            rows.setdefault(run.rows, []).append(run.name)
    if len(tasks) > 1:
        yield f"The runs have {len(tasks)} different tasks, whose values cannot be compared: {_groups(tasks.values())}."
    if len(rows) > 1:
        yield f"The runs are judged on different rows, so no value is marked as best across them: {_groups(rows.values())}."
    for run in runs:
        if run.missing:
            yield f"{run.name}: {run.missing}"
    if marked:
        yield "“best” marks the best value, “≈” one whose interval overlaps with its: other rows may change the order."
    if hidden > 0:
        yield f"{hidden:,} further values are not shown; the report of each run has them."


def _groups(groups: Iterable[Sequence[str]]) -> str:
    return "; ".join(
        ", ".join(group[:6]) + (f" and {len(group) - 6} more" if len(group) > 6 else "") for group in groups
    )


def _cell(runs: Sequence[Compared], k: int, key: str, best: list[int] | None) -> Cell:
    """Return the cell of a value, with its interval, and how it stands to the best."""
    value, interval = runs[k].results.get(key), runs[k].intervals.get(key)
    if value is None:
        return Cell(UNDEFINED, kind="muted")
    mark: Inline = ""
    if best is not None and k in best:
        mark = (" ", Span("best", "strong best"))
    elif best is not None and interval is not None:
        low, high = runs[best[0]].intervals.get(key) or (runs[best[0]].results[key],) * 2
        mark = (" ", Span("≈", "muted")) if interval.low <= high and low <= interval.high else ""
    between = "" if interval is None else f"{number(interval.low)} to {number(interval.high)}"
    return Cell((number(value), mark, BREAK, Span(between, "note")), repr(value))


def compared_curves(runs: Sequence[Compared]) -> Section | None:
    """Return the curves of all runs over one another: one chart for each loss and metric."""
    keys = list(dict.fromkeys(key for run in runs for key in run.history if key != "learning_rate"))
    keys.sort(key=lambda key: not key.startswith("val_"))
    panels = []
    for key in keys[:_PANELS]:
        lines = [Line(run.name, run.history[key], _style(k), k) for k, run in enumerate(runs) if key in run.history]
        panels.append(Panel(key, lines))
    if not panels:
        return None
    items = "".join(
        f'<li><label><input type="checkbox" class="js-only" checked data-run-switch="{k}"> '
        f'<svg viewBox="0 0 22 10" aria-hidden="true"><line class="line {_style(k)}" x1="0" x2="22" y1="5" y2="5"/></svg>'
        f"{text(run.name)}</label></li>"
        for k, run in enumerate(runs)
        if run.history
    )
    left = len(keys) - len(panels)
    note = [Text(f"{left:,} further metrics are not drawn.", "note")] if left > 0 else []
    legend = Element(f'<ul class="legend">{items}</ul>')
    return Section("curves", "Curves", [legend, LOG_SWITCH, *charts_of(panels, [], "curves"), *note])


def _style(k: int) -> str:
    return f"r{k % 10}" + (" dashed" if k % _STYLES >= 10 else "")


def differing(runs: Sequence[Compared]) -> Section:
    """Return the keys in which the specs differ, defaults included."""
    found = differences([run.spec for run in runs])
    if not found:
        same = Text("The specs are the same in every key, and so are the data.")
        return Section("differences", "Differences", [same])
    rows: list[tuple[Inline, Sequence[str | None]]] = [
        (Span(key, "code"), [None if v is None else shorten_end(v, _VALUE) for v in values])
        for key, values in found.items()
    ]
    more = [Text(f"{len(rows) - _KEYS:,} further keys differ.", "note")] if len(rows) > _KEYS else []
    caption = "Keys of the specs that differ, with their defaults"
    table = _by_run(caption, "Keys that differ", "Key", runs, rows[:_KEYS])
    return Section("differences", "Differences", [table, *more])


def origins_of(runs: Sequence[Compared]) -> Section:
    """Return when and with which versions the runs were trained."""

    def each(value: Callable[[Compared], Any]) -> list[str | None]:
        return [None if (found := value(run)) is None else str(found) for run in runs]

    def package(name: str) -> Callable[[Compared], Any]:
        def version(run: Compared) -> Any:
            packages = run.record.get("packages")
            return packages.get(name) if isinstance(packages, dict) else None

        return version

    rows: list[tuple[Inline, Sequence[str | None]]] = [
        ("trained", each(lambda r: moment(r.times.starts[0].at) if r.times and r.times.starts else None)),
        ("resumed", each(lambda r: len(r.times.starts) - 1 if r.times and r.times.starts else None)),
        ("rows per second", each(lambda r: f"{s:,.0f}" if r.times and (s := r.times.rows_per_second) else None)),
        ("stopped", each(lambda r: r.stopped)),
        ("weights", each(lambda r: human(4 * r.parameters))),
        ("exported", each(lambda r: exported(r.record))),
        ("seed", each(lambda r: r.record.get("seed"))),
        ("workers", each(lambda r: r.record.get("workers"))),
        ("graphspec", each(lambda r: r.record.get("graphspec"))),
        ("Python", each(lambda r: r.record.get("python"))),
        ("NumPy", each(package("numpy"))),
        ("onnxruntime", each(package("onnxruntime"))),
        ("platform", each(lambda r: r.record.get("platform"))),
        ("spec sha256", each(lambda r: str(r.record.get("spec_sha256") or "")[:12] or None)),
    ]
    known = [(name, values) for name, values in rows if any(value not in (None, "0") for value in values)]
    table = _by_run("Times, versions and seeds of the runs", "Times and versions", "", runs, known)
    return Section("origins", "Times and versions", [table])


def _by_run(
    caption: str, label: str, corner: str, runs: Sequence[Compared], rows: Iterable[tuple[Inline, Sequence[str | None]]]
) -> Table:
    """Return a table with a column for each run."""
    cells = [[name, *(Cell(UNDEFINED, kind="muted") if v is None else v for v in values)] for name, values in rows]
    return Table([corner, *(run.name for run in runs)], cells, caption, label=label, kind="by-run")
