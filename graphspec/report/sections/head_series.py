"""A forecast of a series: over the truth along time, and its error at each step ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.drawing.scales import Scale, linear
from graphspec.report.charts import Plot, figure, grid, legend
from graphspec.report.findings import Findings
from graphspec.report.number_errors import number_errors
from graphspec.report.page import text
from graphspec.report.tables import amount, table
from graphspec.text import count, percent

if TYPE_CHECKING:
    from graphspec.ir.graph import Array
    from graphspec.report.scored import Scored

_POINTS = 200
_WIDTH = 480


def is_series(found: Findings, judged: Scored, name: str) -> bool:
    """Return whether a head forecasts a single series: its rows are windows, its values one per step of the horizon."""
    head = judged.heads[name]
    source = found.model.spec.data.get(judged.part) or found.model.spec.data.get("train")
    if judged.raw.times is None or source is None or source.windows is None or head.targets is None:
        return False
    horizon = source.windows.horizon
    answers = head.answers.reshape(len(head.answers), -1)
    targets = head.targets.reshape(len(head.targets), -1)
    return answers.shape == targets.shape and answers.shape[1] == horizon and len(answers) > 0 and head.mask is None


def series(judged: Scored, name: str) -> str:
    """Return the forecast over the truth, and the error by step beside that of the last known value, as HTML."""
    head = judged.heads[name]
    assert head.targets is not None
    answers = head.answers.reshape(len(head.answers), -1).astype(np.float64)
    targets = head.targets.reshape(len(head.targets), -1).astype(np.float64)
    finite = np.isfinite(answers).all(1) & np.isfinite(targets).all(1)
    starts = starts_of(judged)
    if not finite.any():
        return ""
    last = last_known(judged, name, starts, targets)
    steps = answers.shape[1]
    own = [number_errors(targets[finite, h], answers[finite, h]).mae for h in range(steps)]
    naive: list[float] = []
    if last is not None:
        known = finite & np.isfinite(last)
        if known.any():
            naive = [number_errors(targets[known, h], last[known]).mae for h in range(steps)]
    chosen = np.flatnonzero(finite)[_last_points(judged, starts[finite])]
    charts = [_along(targets[chosen], answers[chosen], h) for h in sorted({0, steps - 1})]
    if steps > 1:
        charts.append(_by_step(own, naive))
    return _sentence(own, naive) + grid(charts, wide=True) + (_steps(own, naive) if steps > 1 else "")


def starts_of(judged: Scored) -> Array:
    """Return the index at which each kept window begins, among the rows of the table in the order of time."""
    raw = judged.raw
    return np.asarray(judged.rows if raw.chosen is None else raw.chosen[judged.rows])


def last_known(judged: Scored, name: str, starts: Array, targets: Array) -> Array | None:
    """Return the last value of the target before each window's future, NaN where it is not known; None if it never is.

    The arrays of windows have a row for each row of the table, so the target of the window that begins one row earlier
    begins with that value.
    """
    whole = judged.raw.targets.get(name)
    if whole is None or not isinstance(whole, np.ndarray) or not np.issubdtype(whole.dtype, np.number):
        return None
    firsts = whole.reshape(len(whole), -1)
    found = np.where(starts > 0, firsts[np.maximum(starts - 1, 0), 0], np.nan).astype(np.float64)
    if targets.shape[1] > 1:  # the earlier window must overlap with this one
        second = firsts[np.maximum(starts - 1, 0), 1]
        found[~np.isclose(second, targets[:, 0], equal_nan=True)] = np.nan
    return found if np.isfinite(found).any() else None


def _sentence(own: list[float], naive: list[float]) -> str:
    mean = float(np.mean(own))
    shown = f"Its mean absolute error over {count(len(own), 'step')} ahead is {amount(mean)}"
    if naive:
        base = float(np.mean(naive))
        shown += f"; repeating the last known value gives {amount(base)}"
        shown += f", so it is {percent(mean / base)} of that" if base > 0 else ""
        if mean >= base:
            shown += ": <strong>no better than repeating the last value</strong>"
    return f"<p>{shown}.</p>"


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


def _along(targets: Array, answers: Array, h: int) -> str:
    """Return the chart of what was forecast ``h + 1`` steps ahead, over the truth."""
    true, said = targets[:, h].tolist(), answers[:, h].tolist()
    ahead = count(h + 1, "step")
    e = number_errors(targets[:, h], answers[:, h])
    summary = f"Forecast {ahead} ahead over the truth, {count(len(true), 'point')}: mean absolute error {amount(e.mae)}"
    across = linear([0.0, float(max(len(true) - 1, 1))])
    across = Scale(0.0, float(max(len(true) - 1, 1)), tuple(t for t in across.ticks if t <= len(true) - 1) or (0.0,))
    plot = Plot(
        across,
        linear([*true, *said]),
        f"The last {count(len(true), 'point')} in the order of time",
        "Value",
        summary,
        width=_WIDTH,
    )
    plot.line(list(enumerate(true)), "soft", tip="the truth")
    plot.line(list(enumerate(said)), "a", tip=f"forecast {ahead} ahead")
    if len(true) == 1:
        plot.dots([(0.0, true[0]), (0.0, said[0])], ["the truth", f"forecast {ahead} ahead"], "a")
    below = legend([("soft", "the truth"), ("a", f"forecast {ahead} ahead")])
    return figure(f"Forecast {ahead} ahead", plot.svg(), below)


def _by_step(own: list[float], naive: list[float]) -> str:
    """Return the chart of the error at each step ahead."""
    summary = f"Mean absolute error by step: {amount(own[0])} at the first, {amount(own[-1])} at the last of {len(own)}"
    if naive:
        summary += f"; repeating the last known value {amount(naive[0])} and {amount(naive[-1])}"
    across = linear([1.0, float(len(own))])
    across = Scale(1.0, float(len(own)), tuple(t for t in across.ticks if 1 <= t <= len(own) and t == int(t)) or (1.0,))
    plot = Plot(across, linear([0.0, *own, *naive]), "Steps ahead", "Mean absolute error", summary, width=_WIDTH)
    entries = [("a", "this network")]
    if naive:
        plot.line([(h + 1, e) for h, e in enumerate(naive)], "b", tip="repeating the last known value")
        entries.append(("b", "repeating the last known value"))
    plot.line([(h + 1, e) for h, e in enumerate(own)], "a")
    plot.dots(
        [(h + 1, e) for h, e in enumerate(own)],
        [f"{count(h + 1, 'step')} ahead: {amount(e)}" for h, e in enumerate(own)],
    )
    return figure("Error by step", plot.svg(), legend(entries))


def _steps(own: list[float], naive: list[float]) -> str:
    columns = ("Steps ahead", "MAE", *(("MAE of the last known value", "Share of it") if naive else ()))
    rows = []
    for h, error in enumerate(own):
        more = (amount(naive[h]), percent(error / naive[h]) if naive[h] else "–") if naive else ()
        rows.append((str(h + 1), amount(error), *more))
    inner = table("Mean absolute error at each step ahead", columns, rows)
    return f"<details><summary>{text('The error at each step')}</summary>{inner}</details>"
