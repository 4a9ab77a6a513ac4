"""The sections of a comparison: results, curves, the keys in which the specs differ, times and versions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from graphspec.base.arrays.memory import human
from graphspec.base.text import duration, number, shorten_end
from graphspec.show.report.curve_charts import Line, Panel, charts_of
from graphspec.show.report.differences import differences
from graphspec.show.report.page import Section, text, wide
from graphspec.show.report.sections.headline import exported, moment
from graphspec.show.report.tables import UNDEFINED
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
    head = ["Run", "Judged on", *shown, "Epochs", "Training time", "Parameters"]
    kinds = ["", "", *["number"] * (len(head) - 2)]
    header = "".join(f'<th scope="col" class="{c}">{text(h)}</th>' for h, c in zip(head, kinds, strict=True))
    rows = []
    for k, run in enumerate(runs):
        on = f"{run.total:,} {run.part} rows" if run.part else "no rows"
        cells = [f"<td>{on}</td>", *(_cell(runs, k, key, best.get(key)) for key in shown)]
        seconds = None if run.times is None else run.times.seconds
        cells.append(_number(run.epochs, f"{run.epochs:,}"))
        least = "" if run.times is None or run.times.complete else "≥ "
        cells.append(_number(seconds, "" if seconds is None else f"{least}{duration(seconds)}"))
        cells.append(_number(run.parameters, f"{run.parameters:,}"))
        rows.append(f'<tr><th scope="row">{text(run.name)}</th>{"".join(cells)}</tr>')
    table = (
        f"<table data-sort><caption>Final losses and metrics, with 95 % intervals</caption><thead><tr>{header}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    said = "".join(f'<p class="note">{text(line)}</p>' for line in notes(runs, len(keys) - len(shown), bool(best)))
    return Section("results", "Results", f"{said}{wide(table, 'Results of all runs')}")


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


def _cell(runs: Sequence[Compared], k: int, key: str, best: list[int] | None) -> str:
    """Return the cell of a value, with its interval, and how it stands to the best."""
    value, interval = runs[k].results.get(key), runs[k].intervals.get(key)
    if value is None:
        return f'<td class="number muted" data-value="">{UNDEFINED}</td>'
    mark = ""
    if best is not None and k in best:
        mark = ' <strong class="best">best</strong>'
    elif best is not None and interval is not None:
        low, high = runs[best[0]].intervals.get(key) or (runs[best[0]].results[key],) * 2
        mark = ' <span class="muted">≈</span>' if interval.low <= high and low <= interval.high else ""
    between = "" if interval is None else f"{number(interval.low)} to {number(interval.high)}"
    return (
        f'<td class="number" data-value="{value!r}">{number(value)}{mark}<br><span class="note">{between}</span></td>'
    )


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
    switch = '<button type="button" data-switch="log" aria-pressed="false">Log scale</button>'
    left = len(keys) - len(panels)
    note = f'<p class="note">{left:,} further metrics are not drawn.</p>' if left > 0 else ""
    legend = f'<ul class="legend">{items}</ul><div class="controls js-only">{switch}</div>'
    return Section("curves", "Curves", f"{legend}{charts_of(panels, [], 'curves')}{note}")


def _style(k: int) -> str:
    return f"r{k % 10}" + (" dashed" if k % _STYLES >= 10 else "")


def differing(runs: Sequence[Compared]) -> Section:
    """Return the keys in which the specs differ, defaults included."""
    found = differences([run.spec for run in runs])
    if not found:
        return Section("differences", "Differences", "<p>The specs are the same in every key, and so are the data.</p>")
    rows = [(key, [None if v is None else shorten_end(v, _VALUE) for v in values]) for key, values in found.items()]
    more = f"<p class='note'>{len(rows) - _KEYS:,} further keys differ.</p>" if len(rows) > _KEYS else ""
    table = _by_run("Keys of the specs that differ, with their defaults", "Key", runs, rows[:_KEYS], code=True)
    return Section("differences", "Differences", f"{wide(table, 'Keys that differ')}{more}")


def origins_of(runs: Sequence[Compared]) -> Section:
    """Return when and with which versions the runs were trained."""

    def each(value: Callable[[Compared], Any]) -> list[str | None]:
        return [None if (found := value(run)) is None else str(found) for run in runs]

    def package(name: str) -> Callable[[Compared], Any]:
        def version(run: Compared) -> Any:
            packages = run.record.get("packages")
            return packages.get(name) if isinstance(packages, dict) else None

        return version

    rows = [
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
    table = _by_run("Times, versions and seeds of the runs", "", runs, known)
    return Section("origins", "Times and versions", wide(table, "Times and versions"))


def _by_run(
    caption: str,
    corner: str,
    runs: Sequence[Compared],
    rows: Iterable[tuple[str, Sequence[str | None]]],
    *,
    code: bool = False,
) -> str:
    """Return a table with a column for each run."""
    first = f'<th scope="col">{text(corner)}</th>' if corner else "<td></td>"
    head = first + "".join(f'<th scope="col">{text(run.name)}</th>' for run in runs)
    body = []
    for name, values in rows:
        shown = f"<code>{text(name)}</code>" if code else text(name)
        cells = "".join(f'<td class="muted">{UNDEFINED}</td>' if v is None else f"<td>{text(v)}</td>" for v in values)
        body.append(f'<tr><th scope="row">{shown}</th>{cells}</tr>')
    parts = f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<table class="by-run">{parts}</table>'


def _number(value: float | None, shown: str) -> str:
    return f'<td class="number" data-value="{"" if value is None else value}">{text(shown)}</td>'
