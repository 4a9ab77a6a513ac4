"""A head that answers numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Figure, Group, Table, Text
from graphspec.base.text import count
from graphspec.show.drawing.curves import Scale, linear
from graphspec.show.report.baselines import answering
from graphspec.show.report.charts import Plot, amount, table
from graphspec.show.report.kinds import Flat, flatten
from graphspec.show.report.rows import evenly
from graphspec.show.report.scores import NumberErrors, boxes, determination, number_errors
from graphspec.show.report.verdicts import known_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.baselines import Baseline
    from graphspec.show.report.findings import HeadAnswers

MOST_DOTS = 1_500
_CHARTED = 400_000  # values of which charts are made
_CELLS = (36, 27)
_LEVELS = 6
_OUTPUTS = 50
_BARS = 30
_FAR = 8  # interquartile ranges from the median, beyond which an error is not drawn in the histogram
_COLUMNS = ("MAE", "RMSE", "Median absolute error", "Mean error", "R²")


def numbers_head(head: HeadAnswers, flat: Flat, rules: Sequence[Baseline] = (), *, alike: bool = False) -> list[Block]:
    """Return the errors of a head beside those of simple rules, and charts of them.

    Args:
        alike: whether all units are the same quantity, such as the steps of a forecast: they share the charts.
    """
    units = flat.true.shape[1]
    names = list(flat.labels) if head.head.labels else [f"output {k}" for k in range(units)]
    scores = determination(flat.true, flat.scores)
    parts: list[Block] = [_summary(head, flat, rules)]
    shown, title = (flat.true.reshape(-1), flat.scores.reshape(-1)), ""
    if units > 1 and not alike:
        order = np.argsort(np.where(np.isnan(scores), np.inf, scores), kind="stable")
        worst = int(order[0])
        parts.append(_outputs(flat, names, order))
        shown, title = (flat.true[:, worst], flat.scores[:, worst]), f", {names[worst]}"
        parts.append(Text(f"The charts show the output with the lowest R²: {names[worst]}."))
    true, predicted = shown
    if len(true) > _CHARTED:
        chosen = evenly(len(true), _CHARTED)
        parts.append(Text(f"The charts are of {_CHARTED:,} of {len(true):,} values, spread evenly.", "note"))
        true, predicted = true[chosen], predicted[chosen]
    return [*parts, Group("charts", [make(true, predicted, title) for make in (_against, _spread, _by_value)])]


def _summary(head: HeadAnswers, flat: Flat, rules: Sequence[Baseline]) -> Table:
    """Return the errors of all outputs together, with those of simple rules for the same rows."""
    kept, rows = known_rows(head, rules)
    own = flat if len(rows) in (0, len(head.answers)) else flatten(answering(head, head.answers, rows))
    answers = [("This network", own)]
    answers += [(rule.name, flatten(answering(head, rule.answers, rows))) for rule in kept if len(rows)]
    shown = []
    for name, of in answers:
        errors = number_errors(of.true.reshape(-1), of.scores.reshape(-1))
        shown.append((name[:1].upper() + name[1:], *_cells(errors), _r2(_mean(determination(of.true, of.scores)))))
    caption = f"Errors of {count(own.true.size, 'value')}, in the target's own unit"
    caption += ", where all of these have an answer" if own is not flat else ""
    caption += "; R² is the mean of the outputs" if flat.true.shape[1] > 1 else ""
    return table(caption, ("Answer", *_COLUMNS), shown, sort=False)


def _cells(e: NumberErrors) -> list[str]:
    bias = 0.0 if abs(e.bias) <= 1e-9 * e.rmse else e.bias  # no rounding errors
    return [amount(e.mae), amount(e.rmse), amount(e.median), f"{'+' if bias > 0 else ''}{amount(bias)}"]


def _r2(value: float) -> str:
    return f"{round(value, 4) + 0.0:.4f}" if abs(value) < 1000 else amount(value)  # no -0


def _mean(scores: Array) -> float:
    """Return the mean of the scores that are defined."""
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")


def _outputs(flat: Flat, names: list[str], order: Array) -> Table:
    """Return the errors of each output; of very many, of those with the lowest R², the first ones of ``order``."""
    caption = "Each output"
    chosen = range(len(names))
    if len(names) > _OUTPUTS:
        chosen = order[:_OUTPUTS].tolist()
        caption = f"The {_OUTPUTS} outputs with the lowest R², of {len(names):,}"
    found = [(names[k], number_errors(flat.true[:, k], flat.scores[:, k])) for k in chosen]
    return table(caption, ("Output", *_COLUMNS), [(name, *_cells(e), _r2(e.r2)) for name, e in found])


def _against(true: Array, predicted: Array, title: str) -> Figure:
    """Return the chart of predicted against true values: dots, or cells with a colour if there are many."""
    ends = [float(f(x)) for x in (true, predicted) for f in (np.min, np.max)]
    scale = linear(ends)
    e = number_errors(true, predicted)
    summary = f"Predicted against true values{title}: {count(e.count, 'value')}, R² {_r2(e.r2)}, "
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
        levels = _density(plot, scale, true, predicted)
        below += f" The stronger the colour, the more values: {levels}."
    plot.line([(scale.low, scale.low), (scale.high, scale.high)], "soft")
    return Figure(f"Predicted against true{title}", plot.drawing(), [Text(below, "note")])


def _density(plot: Plot, scale: Scale, true: Array, predicted: Array) -> str:
    """Add cells with a colour by their number of values, on a logarithmic scale; return the range of the numbers."""
    wide, high = _CELLS
    x, y = np.linspace(scale.low, scale.high, wide + 1), np.linspace(scale.low, scale.high, high + 1)
    counts = np.histogram2d(true, predicted, (x, y))[0].astype(np.int64)
    most = int(counts.max())
    bounds = np.unique(np.rint(np.geomspace(1, most + 1, _LEVELS + 1)).astype(np.int64))
    for k, (low, high_) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        cells = [
            (float(x[i]), float(x[i + 1]), float(y[j]), float(y[j + 1]))
            for i, j in np.argwhere((counts >= low) & (counts < high_)).tolist()
        ]
        tip = f"{low:,} to {high_ - 1:,} values" if high_ - low > 1 else count(low, "value")
        plot.area(cells, 0.15 + 0.85 * (k + 1) / (len(bounds) - 1), tip)
    return f"1 to {most:,} in a cell"


def _spread(true: Array, predicted: Array, title: str) -> Figure:
    """Return the histogram of the errors."""
    errors = predicted - true
    q1, q2, q3 = np.quantile(errors, [0.25, 0.5, 0.75]).tolist()
    reach = _FAR * (q3 - q1)
    near = errors[np.abs(errors - q2) <= reach] if reach > 0 else errors
    far = len(errors) - len(near)
    across = linear([float(near.min()), float(near.max())])
    edges = np.linspace(across.low, across.high, _BARS + 1)
    counts = np.histogram(near, edges)[0]
    mean = float(errors.mean())
    summary = (
        f"Errors{title}, predicted minus true: mean {amount(mean)}, half of them from {amount(q1)} to {amount(q3)}"
    )
    plot = Plot(across, linear([0.0, float(counts.max())]), "Predicted minus true", "Values", summary)
    shown = [(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True) if n]
    plot.bars(shown, [f"{count(n, 'value')} from {a:.4g} to {b:.4g}" for a, b, n in shown])
    if across.low <= 0 <= across.high:
        plot.line([(0, plot.up.low), (0, plot.up.high)], "soft")
    below = f"Half of the errors are from {amount(q1)} to {amount(q3)}."
    below += f" {count(far, 'error')} further away {'is' if far == 1 else 'are'} not drawn." if far else ""
    return Figure(f"Errors{title}", plot.drawing(), [Text(below, "note")])


def _by_value(true: Array, predicted: Array, title: str) -> Figure:
    """Return the chart of the errors by predicted value, in tenths of the values."""
    found = boxes(predicted, predicted - true)
    across = Scale(0.4, len(found) + 0.6, tuple(float(k + 1) for k in range(len(found))))
    up = linear([v for b in found for v in (b.p5, b.p95)] + [0.0])
    wider = max(found, key=lambda b: b.p95 - b.p5)
    summary = (
        f"Errors by predicted value{title}, in {count(len(found), 'group')}: widest from {amount(wider.low)} to "
        f"{amount(wider.high)}, where 90 % are from {amount(wider.p5)} to {amount(wider.p95)}"
    )
    plot = Plot(across, up, "Group of predicted values, from low to high", "Predicted minus true", summary)
    plot.line([(across.low, 0), (across.high, 0)], "soft")
    for k, b in enumerate(found):
        tip = (
            f"predicted {amount(b.low)} to {amount(b.high)} ({count(b.count, 'value')}): median error {amount(b.p50)}, "
            f"half from {amount(b.p25)} to {amount(b.p75)}"
        )
        plot.box(k + 1.0, 10, (b.p5, b.p25, b.p50, b.p75, b.p95), tip)
    below = "A box has half of the errors of its group, the line in it is their median, and the whiskers have 90 %."
    return Figure(f"Errors by predicted value{title}", plot.drawing(), [Text(below, "note")])
