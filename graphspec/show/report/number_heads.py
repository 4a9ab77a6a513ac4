"""Heads that answer numbers, and forecasts of series along time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from graphspec.base.document import Block, Figure, Folded, Group, Legend, Table, Text
from graphspec.base.errors import GraphspecError
from graphspec.base.text import count
from graphspec.data.batches import Times, in_batches
from graphspec.data.new_rows import rows_at_end
from graphspec.data.series import Series
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.graph import Array
from graphspec.language.declarations import BOUNDS, MICROSECONDS, DataSource
from graphspec.show.drawing.curves import Scale, linear
from graphspec.show.report.baselines import Baseline, answering, mase
from graphspec.show.report.charts import Plot, amount, table
from graphspec.show.report.findings import Findings
from graphspec.show.report.kinds import Flat, HeadAnswers, Scored, flatten
from graphspec.show.report.rows import evenly, source_of
from graphspec.show.report.scores import NumberErrors, boxes, determination, number_errors
from graphspec.show.report.verdicts import known_rows

# A head that answers numbers.
MOST_DOTS = 1_500
_CHARTED = 400_000  # values of which charts are made
_CELLS = (36, 27)
_LEVELS = 6
_OUTPUTS, _OPEN = 50, 12  # values that are listed, and of which the table stands open
_BARS = 30
_SHORT = 6  # characters of the names of groups, from which on every other one is left out
_FAR = 8  # interquartile ranges from the median, beyond which an error is not drawn in the histogram
_COLUMNS = ("MAE", "RMSE", "Median absolute error", "Mean error", "R²")


def numbers_head(
    head: HeadAnswers, flat: Flat, rules: Sequence[Baseline] = (), *, alike: bool = False, names: Sequence[str] = ()
) -> list[Block]:
    """Return the errors of a head beside those of simple rules, and charts of them, which ``alike`` units share."""
    units = flat.true.shape[1]
    parts: list[Block] = [_summary(head, flat, rules)]
    below: list[Block] = []
    true, predicted, title = flat.true.reshape(-1), flat.scores.reshape(-1), ""
    if units > 1 and not alike:
        names = names or (flat.labels if head.head.labels else [f"value {k + 1}" for k in range(units)])
        scores = determination(flat.true, flat.scores)
        order = np.argsort(np.where(np.isnan(scores), np.inf, scores), kind="stable").tolist()
        worst = order[0]
        each = _outputs(flat, names, order)
        below.append(each if units <= _OPEN else Folded(each.caption, [each]))
        true, predicted, title = flat.true[:, worst], flat.scores[:, worst], f", {names[worst]}"
        parts.append(Text(f"The charts show the value with the lowest R²: {names[worst]}."))
    if len(true) > _CHARTED:
        chosen = evenly(len(true), _CHARTED)
        parts.append(Text(f"The charts are of {_CHARTED:,} of {len(true):,} values, spread evenly.", "note"))
        true, predicted = true[chosen], predicted[chosen]
    return [*parts, Group("charts", [make(true, predicted, title) for make in (_against, _spread, _by_value)]), *below]


def unit_names(source: DataSource | None, name: str, units: int) -> list[str]:
    """Return what the values of a head are called: its columns, at each step ahead for windows; nothing if unknown."""
    columns = [] if source is None else (source.targets or {}).get(name, [])
    columns = [columns] if isinstance(columns, str) else [str(column) for column in columns]
    if source is None or source.windows is None or units == len(columns):
        return columns if units == len(columns) else []
    steps = [count(step, "step") + " ahead" for step in range(1, source.windows.horizon + 1)]
    named = [f"{column}, {step}" if len(columns) > 1 else step for step in steps for column in columns]
    return named if units == len(named) else []


def _summary(head: HeadAnswers, flat: Flat, rules: Sequence[Baseline]) -> Table:
    """Return the errors of all outputs together, with those of simple rules for the same rows."""
    kept, rows = known_rows(head, rules)
    own = flat if len(rows) in (0, len(head.answers)) else flatten(answering(head, head.answers, rows))
    others = [(rule, flatten(answering(head, rule.answers, rows))) for rule in kept if len(rows)]
    compared, shown = rows if len(rows) else np.arange(len(head.answers)), []
    for (name, answers, _), of in [(Baseline("This network", head.answers), own), *others]:
        errors, r2 = number_errors(of.true.reshape(-1), of.scores.reshape(-1)), determination(of.true, of.scores)
        mean = float(np.nanmean(r2)) if np.isfinite(r2).any() else float("nan")
        scaled = [] if head.scale is None else [amount(mase(head, answers, compared))]
        shown.append((name[:1].upper() + name[1:], *_cells(errors, mean), *scaled))
    caption = f"Errors of {count(own.true.size, 'value')}, in the target's own unit"
    caption += ", where all of these have an answer" if own is not flat else ""
    caption += "; R² is the mean of the values that are predicted together" if flat.true.shape[1] > 1 else ""
    return table(caption, ("Answer", *_COLUMNS, *([] if head.scale is None else ["MASE"])), shown, sort=False)


def _cells(e: NumberErrors, r2: float) -> list[str]:
    bias = 0.0 if abs(e.bias) <= 1e-9 * e.rmse else e.bias  # no rounding errors
    return [amount(e.mae), amount(e.rmse), amount(e.median), f"{'+' if bias > 0 else ''}{amount(bias)}", _r2(r2)]


def _r2(value: float) -> str:
    return amount(0.0 if abs(value) < 5e-5 else value)  # no rounding errors


def _outputs(flat: Flat, names: Sequence[str], order: list[int]) -> Table:
    """Return the errors of each output; of very many, of those with the lowest R², the first ones of ``order``."""
    caption, chosen = "Each value", list(range(len(names)))
    if len(names) > _OUTPUTS:
        caption, chosen = f"The {_OUTPUTS} values with the lowest R², of {len(names):,}", order[:_OUTPUTS]
    found = [(names[k], number_errors(flat.true[:, k], flat.scores[:, k])) for k in chosen]
    return table(caption, ("Value", *_COLUMNS), [(name, *_cells(e, e.r2)) for name, e in found])


def _against(true: Array, predicted: Array, title: str) -> Figure:
    """Return the chart of predicted against true values: dots, or cells with a colour if there are many."""
    scale = linear([float(f(x)) for x in (true, predicted) for f in (np.min, np.max)])
    e = number_errors(true, predicted)
    summary = f"Predicted against true values{title}: {count(e.size, 'value')}, R² {_r2(e.r2)}, "
    summary += f"mean absolute error {amount(e.mae)}"
    plot = Plot(scale, scale, "True", "Predicted", summary)
    below = "On the line, predicted and true values are equal."
    if len(true) <= MOST_DOTS:
        plot.many(list(zip(true.tolist(), predicted.tolist(), strict=True)))
        far = np.argsort(-np.abs(predicted - true), kind="stable")[:8].tolist()
        tips = [f"true {amount(float(true[k]))}, predicted {amount(float(predicted[k]))}" for k in far]
        plot.dots([(float(true[k]), float(predicted[k])) for k in far], tips, "b", 3.5)
        below += f" The {count(len(far), 'largest error')} {'is' if len(far) == 1 else 'are'} larger dots."
    else:
        below += f" The stronger the colour, the more values: {_density(plot, scale, true, predicted)}."
    plot.line([(scale.low, scale.low), (scale.high, scale.high)], "soft")
    return Figure(f"Predicted against true{title}", plot.drawing(), [Text(below, "note")])


def _density(plot: Plot, scale: Scale, true: Array, predicted: Array) -> str:
    """Add cells with a colour by their number of values, on a logarithmic scale; return the range of the numbers."""
    x, y = (np.linspace(scale.low, scale.high, size + 1).tolist() for size in _CELLS)
    counts = np.histogram2d(true, predicted, (x, y))[0].astype(np.int64)
    most = int(counts.max())
    bounds = np.unique(np.rint(np.geomspace(1, most + 1, _LEVELS + 1)).astype(np.int64))
    for k, (low, high) in enumerate(pairwise(bounds.tolist())):
        places = np.argwhere((counts >= low) & (counts < high)).tolist()
        cells = [(x[i], x[i + 1], y[j], y[j + 1]) for i, j in places]
        tip = f"{low:,} to {high - 1:,} values" if high - low > 1 else count(low, "value")
        plot.area(cells, 0.15 + 0.85 * (k + 1) / (len(bounds) - 1), tip)
    return f"1 to {most:,} in a cell"


def _spread(true: Array, predicted: Array, title: str) -> Figure:
    errors = predicted - true
    q1, q2, q3 = np.quantile(errors, [0.25, 0.5, 0.75]).tolist()
    reach = _FAR * (q3 - q1)
    near = errors[np.abs(errors - q2) <= reach] if reach > 0 else errors
    far = len(errors) - len(near)
    across = linear([float(near.min()), float(near.max())])
    edges = np.linspace(across.low, across.high, _BARS + 1)
    counts = np.histogram(near, edges)[0]
    mean = float(errors.mean())
    half = f"from {amount(q1)} to {amount(q3)}"
    summary = f"Errors{title}, predicted minus true: mean {amount(mean)}, half of them {half}"
    plot = Plot(across, linear([0.0, float(counts.max())]), "Predicted minus true", "Values", summary)
    shown = [(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True) if n]
    plot.bars(shown, [f"{count(n, 'value')} from {a:.4g} to {b:.4g}" for a, b, n in shown])
    if across.low <= 0 <= across.high:
        plot.line([(0, plot.up.low), (0, plot.up.high)], "soft")
    below = f"Half of the errors are {half}."
    below += f" {count(far, 'error')} further away {'is' if far == 1 else 'are'} not drawn." if far else ""
    return Figure(f"Errors{title}", plot.drawing(), [Text(below, "note")])


def _by_value(true: Array, predicted: Array, title: str) -> Figure:
    """Return the chart of the errors by predicted value, in tenths of the values."""
    found = boxes(predicted, predicted - true)
    middles = [amount((b.low + b.high) / 2) for b in found]
    ticks = range(0, len(found), 1 if max(map(len, middles)) < _SHORT else 2)
    across = Scale(0.4, len(found) + 0.6, tuple(k + 1.0 for k in ticks), names=tuple(middles[k] for k in ticks))
    up = linear([v for b in found for v in (b.p5, b.p95)] + [0.0])
    wider = max(found, key=lambda b: b.p95 - b.p5)
    summary = (
        f"Errors by predicted value{title}, in {count(len(found), 'group')}: widest from {amount(wider.low)} to "
        f"{amount(wider.high)}, where 90 % are from {amount(wider.p5)} to {amount(wider.p95)}"
    )
    plot = Plot(across, up, "Predicted: the middle of each group", "Predicted minus true", summary)
    plot.line([(across.low, 0), (across.high, 0)], "soft")
    for k, b in enumerate(found):
        tip = (
            f"predicted {amount(b.low)} to {amount(b.high)} ({count(b.size, 'value')}): median error {amount(b.p50)}, "
            f"half from {amount(b.p25)} to {amount(b.p75)}"
        )
        plot.box(k + 1.0, 10, (b.p5, b.p25, b.p50, b.p75, b.p95), tip)
    below = "A box has half of the errors of its group, the line in it is their median, and the whiskers have 90 %."
    return Figure(f"Errors by predicted value{title}", plot.drawing(), [Text(below, "note")])


# Charts of a series along time: the last stretch of the judged rows, and what is forecast after the last row.
_WIDTH = 480
_DAY = MICROSECONDS["d"]
_LONG, _STEPS = 60, 200  # steps of a chart: of days or months, and at most
_TICKS = 5
_KINDS = ("soft", "a", "b", "naive")


def future_of(model: Session, source: DataSource, name: str, group: int) -> list[tuple[str, list[float]]]:
    """Return the forecast of a head after the last row of a group, with its times; empty if its rows cannot be read.

    Each has its value, and the ends of its interval if it has one.
    """
    try:
        rows = rows_at_end(model.spec, model.whole, source)
        answers = in_batches(rows.inputs, 256, model.run)
    except GraphspecError:
        return []
    assert rows.ends is not None
    at, loss = np.flatnonzero(rows.ends.series.groups[rows.ends.at] == group), model.spec.heads[name].loss
    values = [answers[name], *(answers[name + end] for end in BOUNDS if name + end in answers)]
    if loss is not None:
        values = [loss.point(values[0]), *(values[1:] or loss.ends(values[0]) or ())]
    if not len(at) or not np.isfinite(values[0][at[0]]).all():
        return []
    end = int(rows.ends.at[at[0]])
    ahead = enumerate(zip(*(of[at[0]].reshape(-1).tolist() for of in values), strict=True), 1)
    return [(rows.ends.series.time_after(end, k), list(each)) for k, each in ahead]


class Stretch(NamedTuple):
    """The judged windows of a series."""

    times: Times  # of all windows
    unit: str  # the name of what is forecast
    starts: Array  # the step at which each kept window begins; ``targets``, its future, ``(n, horizon)``
    targets: Array
    bounds: Sequence[Array] = ()  # the ends of the forecasts' intervals, ``(n, horizon)``, if they have them

    def past(self, chosen: Array, drawn: Sequence[tuple[str, Array]]) -> Figure:
        """Return the chart of the truth and of forecasts that follow each other, in about the last week.

        The ``chosen`` windows are those of one series, in the order of time. What is ``drawn`` has a value for each step of
        each kept window; the first is the truth.
        """
        horizon, firsts = self.targets.shape[1], self.starts[chosen] + self.times.past
        windows: list[int] = []
        before = int(firsts[-1]) + horizon
        span = max(_span(self.times.series), horizon)
        for k in range(len(chosen) - 1, -1, -1):  # windows whose futures do not overlap, the last one first
            if firsts[k] + horizon <= before and firsts[-1] - firsts[k] < span:
                windows.insert(0, k)
                before = int(firsts[k])
        low, high = int(firsts[windows[0]]), int(firsts[windows[-1]]) + horizon - 1
        rows = chosen[windows]
        values = [np.concatenate([of[row] for row in rows]) for of in [*(of for _, of in drawn), *self.bounds]]
        finite = np.concatenate([v[np.isfinite(v)] for v in values])
        series = self.times.series
        first, last = series.time_of(low), series.time_of(high)
        summary = f"Forecasts of {count(horizon, 'step')} beside the truth{f', {first} to {last}' if first else ''}: "
        summary += f"{count(len(values[0]), 'step')}, mean absolute error {amount(number_errors(*values[:2]).mae)}"
        across = _axis(series, low, high)
        plot = Plot(across, linear(finite.tolist()), "Time", self.unit, summary, width=_WIDTH)
        for k, row in zip(windows, rows.tolist(), strict=True) if self.bounds else ():
            plot.band("the interval", *(list(enumerate(of[row].tolist(), int(firsts[k]))) for of in self.bounds))
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
        entries += [("line band", "its interval")] if self.bounds else []
        return Figure(title, plot.drawing(), [Legend(entries)])

    def future(self, window: int, ahead: Sequence[tuple[str, list[float]]]) -> Figure:
        """Return the chart of the last known values of a series and of what follows them; ``window`` is its last one."""
        series, last = self.times.series, int(self.starts[window])
        end = int(np.searchsorted(series.groups, series.groups[last], "right")) - 1
        known = [(last + self.times.past + h, v) for h, v in enumerate(self.targets[window].tolist())]
        if known[-1][0] != end:
            known = []  # the last rows are not judged
        lines = [[(end + h, of[k]) for h, (_, of) in enumerate(ahead, 1)] for k in range(len(ahead[0][1]))]
        points = [*known[-1:], *lines[0]]
        (first, (begin, *_)), (until, (final, *_)) = ahead[0], ahead[-1]
        summary = f"After the last row, {first} to {until}: {amount(begin)} to {amount(final)}"
        low = int(known[0][0]) if known else end
        across = _axis(series, low, max(end + len(ahead), low + 1))
        plot = Plot(across, linear([v for _, v in chain(known, *lines)]), "Time", self.unit, summary, width=_WIDTH)
        if len(lines) > 1:
            plot.band("the interval", *lines[1:])
        plot.line(known, "soft", tip="the last rows")
        plot.line(points, "a", tip="the forecast")
        plot.dots(points[-len(ahead) :], [f"{time}: {amount(value)}" for time, (value, *_) in ahead])
        entries = [*([("line soft", "the last rows")] if known else []), ("line a", "the forecast")]
        return Figure("After the last row", plot.drawing(), [Legend(entries)])


def _span(series: Series) -> int:
    """Return how many steps a chart has: a week of them, or some."""
    if series.every is None or not series.every.unit:
        return _STEPS
    return _LONG if series.every.in_days else int(min(7 * _DAY // series.every.size, _STEPS))


def _axis(series: Series, low: int, high: int) -> Scale:
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
    return Scale(float(low), max(float(high), low + 1.0), tuple(map(float, ticks)), names=tuple(names))


# A forecast of a series: beside the truth over a week, what comes after the last row, and its error at each step ahead.
_POINTS = 200


def is_series(found: Findings, judged: Scored, name: str) -> bool:
    """Return whether a head forecasts a single series: its rows are windows, its values one per step of the horizon."""
    head = judged.heads[name]
    source = source_of(found.model.spec, judged.part)
    if judged.raw.times is None or source is None or source.windows is None or head.targets is None:
        return False
    horizon = source.windows.horizon
    answers, targets = (array.reshape(len(array), -1) for array in (head.answers, head.targets))
    return answers.shape == targets.shape and answers.shape[1] == horizon and len(answers) > 0 and head.mask is None


def series(found: Findings, judged: Scored, name: str) -> list[Block]:
    """Return the forecast and the best simple rule beside the truth, the future, and the errors by step."""
    head, rules = judged.heads[name], found.baselines.get(name, ())
    assert head.targets is not None
    answers, targets = (a.reshape(len(a), -1).astype(np.float64) for a in (head.answers, head.targets))
    finite, starts = np.asarray(np.isfinite(answers).all(1) & np.isfinite(targets).all(1)), judged.places
    if not finite.any():
        return []
    kept, rows = known_rows(head, rules)
    rows = rows[finite[rows]] if len(rows) else np.flatnonzero(finite)
    errors = [_errors_by_step(answers[rows], targets[rows])]
    errors += [_errors_by_step(rule.answers.reshape(answers.shape)[rows], targets[rows]) for rule in kept if len(rows)]
    names = ["this network", *(rule.name for rule in kept)]
    best = sorted(range(1, len(errors)), key=lambda k: float(np.mean(errors[k])))[:1]  # the best rule, if there are any
    chosen = np.flatnonzero(finite)[_last_points(judged, starts[finite])]
    source, times = source_of(found.model.spec, judged.part), judged.raw.times
    assert source is not None
    assert times is not None
    column = (source.targets or {}).get(name)
    unit = column if isinstance(column, str) else name
    stretch = Stretch(times, unit, starts, targets, [end.reshape(targets.shape) for end in head.bounds or ()])
    drawn = [("the truth", targets), ("this network", answers)]
    of_best = [rule.term for rule in kept[best[0] - 1 : best[0]]] if best else []
    also = [k for k, rule in enumerate(kept, 1) if rule.term and rule.term not in of_best and best][:1]
    drawn += [(names[k], kept[k - 1].answers.reshape(answers.shape)) for k in (*best, *also)]
    groups = times.series.groups[starts]
    ahead = future_of(found.model, source, name, int(groups[chosen[-1]]))
    last = int(np.flatnonzero(finite & (groups == groups[chosen[-1]]))[-1])
    charts: list[Block] = [stretch.past(chosen, drawn)]
    tables: list[Block] = []
    if ahead:
        charts.append(stretch.future(last, ahead))
        title = "The forecast after the last row"
        rows_ahead = [(time, *map(amount, each)) for time, each in ahead]
        names_ahead = ("Time", unit, "From", "To")[: len(rows_ahead[0])]
        tables.append(Folded(title, [table(title, names_ahead, rows_ahead)]))
    if answers.shape[1] > 1:
        charts.append(_by_step([errors[k] for k in (0, *best)], [names[k] for k in (0, *best)]))
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
    own, others = errors[0], list(zip(errors[1:], names[1:], strict=True))
    summary = f"Mean absolute error by step: {amount(own[0])} at the first, {amount(own[-1])} at the last of {len(own)}"
    for other, name in others:
        summary += f"; {name} {amount(other[0])} and {amount(other[-1])}"
    ticks = tuple(t for t in linear([1.0, float(len(own))]).ticks if 1 <= t <= len(own) and t == int(t))
    across = Scale(1.0, float(len(own)), ticks or (1.0,))
    up = linear([0.0, *(e for each in errors for e in each)])
    plot = Plot(across, up, "Steps ahead", "Mean absolute error", summary, width=_WIDTH)
    for other, name in others:
        plot.line(list(enumerate(other, 1)), "b", tip=name)
    plot.line(list(enumerate(own, 1)), "a")
    tips = [f"{count(h, 'step')} ahead: {amount(e)}" for h, e in enumerate(own, 1)]
    plot.dots(list(enumerate(own, 1)), tips)
    lines = [(f"line {kind}", name) for kind, name in zip("ab", names, strict=False)]
    return Figure("Error by step", plot.drawing(), [Legend(lines)])
