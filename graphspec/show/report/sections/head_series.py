"""A forecast of a series: beside the truth over a week, what comes after the last row, and its error at each step ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Figure, Folded, Group, Legend
from graphspec.base.text import count
from graphspec.show.drawing.curves import Scale, linear
from graphspec.show.report.baselines import starts_of
from graphspec.show.report.charts import Plot, amount, table
from graphspec.show.report.findings import Findings
from graphspec.show.report.rows import source_of
from graphspec.show.report.scores import number_errors
from graphspec.show.report.stretches import Stretch, future_of
from graphspec.show.report.verdicts import known_rows

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.findings import Scored

_POINTS = 200
_WIDTH = 480


def is_series(found: Findings, judged: Scored, name: str) -> bool:
    """Return whether a head forecasts a single series: its rows are windows, its values one per step of the horizon."""
    head = judged.heads[name]
    source = source_of(found.model.spec, judged.part)
    if judged.raw.times is None or source is None or source.windows is None or head.targets is None:
        return False
    horizon = source.windows.horizon
    answers = head.answers.reshape(len(head.answers), -1)
    targets = head.targets.reshape(len(head.targets), -1)
    return answers.shape == targets.shape and answers.shape[1] == horizon and len(answers) > 0 and head.mask is None


def series(found: Findings, judged: Scored, name: str) -> list[Block]:
    """Return the forecast and the best simple rule beside the truth, the future, and the errors by step."""
    head, rules = judged.heads[name], found.baselines.get(name, ())
    assert head.targets is not None
    answers = head.answers.reshape(len(head.answers), -1).astype(np.float64)
    targets = head.targets.reshape(len(head.targets), -1).astype(np.float64)
    finite = np.asarray(np.isfinite(answers).all(1) & np.isfinite(targets).all(1))
    starts = starts_of(judged)
    if not finite.any():
        return []
    steps = answers.shape[1]
    kept, rows = known_rows(head, rules)
    rows = rows[finite[rows]] if len(rows) else np.flatnonzero(finite)
    errors = [_errors_by_step(answers[rows], targets[rows])]
    errors += [_errors_by_step(rule.answers.reshape(answers.shape)[rows], targets[rows]) for rule in kept if len(rows)]
    names = ["this network", *(rule.name for rule in kept)]
    best = min(range(1, len(errors)), key=lambda k: float(np.mean(errors[k])), default=None)
    beside = [0] if best is None else [0, best]
    chosen = np.flatnonzero(finite)[_last_points(judged, starts[finite])]
    source, times = source_of(found.model.spec, judged.part), judged.raw.times
    assert source is not None
    assert times is not None
    unit = (source.targets or {}).get(name, name)
    unit = unit if isinstance(unit, str) else name
    stretch = Stretch(times, unit, starts, targets)
    drawn = [("the truth", targets), ("this network", answers)]
    drawn += [(names[best], kept[best - 1].answers.reshape(answers.shape))] if best is not None else []
    groups = times.series.groups[starts]
    ahead = future_of(found.model, source, name, int(groups[chosen[-1]]))
    last = int(np.flatnonzero(finite & (groups == groups[chosen[-1]]))[-1])
    charts: list[Block] = [stretch.past(chosen, drawn)]
    tables: list[Block] = []
    if ahead:
        charts.append(stretch.future(last, ahead))
        title = "The forecast after the last row"
        rows_ahead = [(time, amount(value)) for time, value in ahead]
        tables.append(Folded(title, [table(title, ("Time", unit), rows_ahead)]))
    if steps > 1:
        charts.append(_by_step([errors[k] for k in beside], [names[k] for k in beside]))
        columns = ("Steps ahead", *(name[:1].upper() + name[1:] for name in names))
        shown = [(str(h), *map(amount, each)) for h, each in enumerate(zip(*errors, strict=True), 1)]
        by_step = table("Mean absolute error at each step ahead", columns, shown)
        tables.append(Folded("The error at each step", [by_step]))
    return [Group("charts wide", charts), *tables]


def _errors_by_step(answers: Array, targets: Array) -> list[float]:
    return [number_errors(targets[:, h], answers[:, h]).mae for h in range(answers.shape[1])]


def _last_points(judged: Scored, starts: Array) -> slice:
    """Return the last windows of the longest series without a gap."""
    times = judged.raw.times
    assert times is not None
    steps = np.diff(starts)
    thinned = -(-judged.total // max(len(judged.rows), 1))  # of many rows, not every one is kept
    apart = (steps > thinned * (int(steps.min()) if len(steps) else 1)) | (np.diff(times.first[starts]) < 0)
    begins = np.concatenate([[0], np.flatnonzero(apart) + 1])
    ends = np.append(begins[1:], len(starts))
    longest = int(np.argmax(ends - begins))
    return slice(max(int(begins[longest]), int(ends[longest]) - _POINTS), int(ends[longest]))


def _by_step(errors: list[list[float]], names: list[str]) -> Figure:
    """Return the chart of the error at each step ahead, of the network and of the best simple rule."""
    own = errors[0]
    summary = f"Mean absolute error by step: {amount(own[0])} at the first, {amount(own[-1])} at the last of {len(own)}"
    for other, name in zip(errors[1:], names[1:], strict=True):
        summary += f"; {name} {amount(other[0])} and {amount(other[-1])}"
    across = linear([1.0, float(len(own))])
    across = Scale(1.0, float(len(own)), tuple(t for t in across.ticks if 1 <= t <= len(own) and t == int(t)) or (1.0,))
    up = linear([0.0, *(e for each in errors for e in each)])
    plot = Plot(across, up, "Steps ahead", "Mean absolute error", summary, width=_WIDTH)
    for other, name in zip(errors[1:], names[1:], strict=True):
        plot.line(list(enumerate(other, 1)), "b", tip=name)
    plot.line(list(enumerate(own, 1)), "a")
    tips = [f"{count(h, 'step')} ahead: {amount(e)}" for h, e in enumerate(own, 1)]
    plot.dots(list(enumerate(own, 1)), tips)
    lines = [(f"line {kind}", name) for kind, name in zip("ab", names, strict=False)]
    return Figure("Error by step", plot.drawing(), [Legend(lines)])
