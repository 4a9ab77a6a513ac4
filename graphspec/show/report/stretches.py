"""Charts of a series along time: the last stretch of the judged rows, and what is forecast after the last row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Figure, Legend
from graphspec.base.errors import GraphspecError
from graphspec.base.text import count
from graphspec.data.batches import in_batches
from graphspec.data.new_rows import rows_at_end
from graphspec.language.durations import MICROSECONDS
from graphspec.show.drawing.curves import linear
from graphspec.show.report.charts import Named, Plot, amount
from graphspec.show.report.scores import number_errors

if TYPE_CHECKING:
    from graphspec.data.batches import Times
    from graphspec.data.series.rows import Series
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.ir.graph import Array
    from graphspec.language.declarations import DataSource

_WIDTH = 480
_DAY = MICROSECONDS["d"]
_LONG, _STEPS = 60, 200  # steps of a chart: of days or months, and at most
_TICKS = 5
_KINDS = ("soft", "a", "b")


def future_of(model: Session, source: DataSource, name: str, group: int) -> list[tuple[str, float]]:
    """Return the forecast of a head after the last row of a group, with its times; empty if its rows cannot be read."""
    try:
        rows = rows_at_end(model.spec, model.whole, source)
        values = in_batches(rows.inputs, 256, model.run)[name]
    except GraphspecError:
        return []
    assert rows.ends is not None
    at = np.flatnonzero(rows.ends.series.groups[rows.ends.at] == group)
    if not len(at) or not np.isfinite(values[at[0]]).all():
        return []
    end = int(rows.ends.at[at[0]])
    ahead = enumerate(values[at[0]].reshape(-1).tolist(), 1)
    return [(rows.ends.series.time_after(end, k), value) for k, value in ahead]


@dataclass(frozen=True)
class Stretch:
    """The judged windows of a series.

    Attributes:
        times: of all windows.
        unit: the name of what is forecast.
        starts: the step at which each kept window begins; ``targets``, its future, ``(n, horizon)``.
    """

    times: Times
    unit: str
    starts: Array
    targets: Array

    def past(self, chosen: Array, drawn: Sequence[tuple[str, Array]]) -> Figure:
        """Return the chart of the truth and of forecasts that follow each other, in about the last week.

        Args:
            chosen: the kept windows of one series, in the order of time.
            drawn: the truth, and what else is drawn for each kept window, ``(n, horizon)``.
        """
        horizon, firsts = self.targets.shape[1], self.starts[chosen] + self.times.past
        windows: list[int] = []
        before = int(firsts[-1]) + horizon
        span = max(self._span(), horizon)
        for k in range(len(chosen) - 1, -1, -1):  # windows whose futures do not overlap, the last one first
            if firsts[k] + horizon <= before and firsts[-1] - firsts[k] < span:
                windows.insert(0, k)
                before = int(firsts[k])
        low, high = int(firsts[windows[0]]), int(firsts[windows[-1]]) + horizon - 1
        rows = chosen[windows]
        values = [np.concatenate([of[row] for row in rows]) for _, of in drawn]
        finite = np.concatenate([v[np.isfinite(v)] for v in values])
        e = number_errors(values[0], values[1])
        series = self.times.series
        ends = [series.time_of(low), series.time_of(high)]
        when = f", {ends[0]} to {ends[1]}" if ends[0] else ""
        summary = f"Forecasts of {count(horizon, 'step')} beside the truth{when}: {count(len(values[0]), 'step')}, "
        summary += f"mean absolute error {amount(e.mae)}"
        across = _axis(series, low, high)
        plot = Plot(across, linear(finite.tolist()), "Time", self.unit, summary, width=_WIDTH)
        for (tip, of), kind in reversed(list(zip(drawn, _KINDS, strict=False))):
            points = [
                [(int(firsts[k]) + h, v) for h, v in enumerate(of[row].tolist()) if np.isfinite(v)]
                for k, row in zip(windows, rows.tolist(), strict=True)
            ]
            lines = [list(chain(*points))] if of is self.targets else points  # each forecast begins anew
            for line in lines:
                plot.line(line, kind, tip=tip)
        if len(values[0]) == 1:
            plot.dots([(low, v[0]) for v in values[:2]], ["the truth", "this network"], "a")
        title = "Forecast and truth" + (f", {count(horizon, 'step')} at a time" if horizon > 1 else "")
        entries = [(f"line {kind}", tip) for kind, (tip, _) in zip(_KINDS, drawn, strict=False)]
        return Figure(title, plot.drawing(), [Legend(entries)])

    def future(self, window: int, ahead: Sequence[tuple[str, float]]) -> Figure:
        """Return the chart of the last known values of a series and of what follows them; ``window`` is its last one."""
        series, last = self.times.series, int(self.starts[window])
        end = int(np.searchsorted(series.groups, series.groups[last], "right")) - 1
        known = [(last + self.times.past + h, v) for h, v in enumerate(self.targets[window].tolist())]
        if known[-1][0] != end:
            known = []  # the last rows are not judged
        points = [*known[-1:], *((end + h, v) for h, (_, v) in enumerate(ahead, 1))]
        (first, begin), (until, final) = ahead[0], ahead[-1]
        summary = f"After the last row, {first} to {until}: {amount(begin)} to {amount(final)}"
        low = int(known[0][0]) if known else end
        across = _axis(series, low, max(end + len(ahead), low + 1))
        plot = Plot(across, linear([v for _, v in [*known, *points]]), "Time", self.unit, summary, width=_WIDTH)
        plot.line(known, "soft", tip="the last rows")
        plot.line(points, "a", tip="the forecast")
        plot.dots(points[-len(ahead) :], [f"{time}: {amount(value)}" for time, value in ahead])
        entries = [*([("line soft", "the last rows")] if known else []), ("line a", "the forecast")]
        return Figure("After the last row", plot.drawing(), [Legend(entries)])

    def _span(self) -> int:
        """Return how many steps a chart has: a week of them, or some."""
        every = self.times.series.every
        if every is None or not every.unit:
            return _STEPS
        return _LONG if every.in_days else int(min(7 * _DAY // every.size, _STEPS))


def _axis(series: Series, low: int, high: int) -> Named:
    """Return the axis of the steps of a series; their names are dates where the series has them."""
    clock = series.clock
    ticks = list(range(low, high + 1, max(-(-(high - low) // _TICKS), 1)))
    end = int(np.searchsorted(series.groups, series.groups[low], "right")) - 1
    names = [series.time_of(k) if k <= end else series.time_after(end, k - end) for k in ticks]
    if clock is None:
        names = [str(k) for k in ticks]
    elif clock.dated and series.every is not None and not series.every.in_days:
        inside = [k for k in range(low, min(high, end) + 1) if series.times[k] % _DAY == 0]
        if len(inside) > 1:
            ticks = inside[:: -(-len(inside) // _TICKS)]
            times = [series.time_of(k).replace("T", " ") for k in ticks]
            names = [time.rpartition(" ")[0] or time for time in times]  # all at midnight
        else:
            ticks, names = ticks[::2], names[::2]
    wide = max(float(high), low + 1.0)
    return Named(float(low), wide, tuple(map(float, ticks)), names=tuple(names))
