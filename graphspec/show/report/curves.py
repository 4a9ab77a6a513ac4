"""How the training went: losses, metrics and the learning rate by epoch, as charts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import NamedTuple

from graphspec.base.document import Block, Element, Folded, Group, Legend, Section, Text
from graphspec.base.text import count
from graphspec.show.drawing import curves as axes
from graphspec.show.html import text
from graphspec.show.report.charts import LEFT, Plot, amount
from graphspec.show.report.findings import Findings
from graphspec.vocabulary.callbacks.monitors import EarlyStopping, ModelCheckpoint

# Values by epoch as charts: lines of a training or of several runs, with marks, and the numbers that the pointer shows.
MAX_POINTS = 300  # of a line
_ALL_POINTS = 6000  # of all lines of a page: a page stays small
_FEWEST_POINTS = 40


LOG_SWITCH = Element(  # the button for logarithmic scales
    '<div class="controls js-only"><button type="button" data-switch="log" aria-pressed="false">Log scale</button></div>'
)


class Line(NamedTuple):
    """A line: one value per epoch, and the class of its colour."""

    label: str
    values: Sequence[float]
    kind: str
    run: int | None = None  # the number of its run among several; None for a training alone


class Mark(NamedTuple):
    """A vertical line at an epoch, from 1: ``kind`` is ``best``, ``restored``, ``stopped`` or ``resumed``."""

    epoch: float
    kind: str


class Panel(NamedTuple):
    """A chart of some lines with the same axis."""

    name: str
    lines: Sequence[Line]


def thinned(count: int, lines: int) -> list[int]:
    """Return the epochs, from 0, of which each of the page's lines has points: all, or of many some, with both ends."""
    limit = max(_FEWEST_POINTS, min(MAX_POINTS, _ALL_POINTS // max(lines, 1)))
    places = range(count) if count <= limit else {round(k * (count - 1) / (limit - 1)) for k in range(limit)}
    return sorted(places)


def charts_of(panels: Sequence[Panel], marks: Sequence[Mark], name: str) -> list[Block]:
    """Return the charts of all panels, and their numbers for the pointer; ids on the page begin with ``name``."""
    lines = [line for panel in panels for line in panel.lines]
    count = max((len(line.values) for line in lines), default=0)
    kept = thinned(count, len(lines))
    across = axes.epochs(max(count, 1))
    figures = [_figure(panel, across, kept, marks, f"{name}:{k}") for k, panel in enumerate(panels)]

    def shown(values: Sequence[float]) -> list[str | None]:
        return [amount(values[k]) if k < len(values) and math.isfinite(values[k]) else None for k in kept]

    drawn = [[[line.label, shown(line.values), line.run] for line in panel.lines] for panel in panels]
    numbers = {"epochs": [k + 1 for k in kept], "panels": drawn}
    data = json.dumps(numbers, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    script = Element(f'<script type="application/json" id="{name}-values">{data}</script>')
    return [Group("charts", [Element(each) for each in figures]), script]


def _figure(panel: Panel, across: axes.Scale, kept: Sequence[int], marks: Sequence[Mark], key: str) -> str:
    finite = [v for line in panel.lines for v in line.values if math.isfinite(v)]
    if not finite:
        return ""
    best = axes.for_values(finite)
    plots = {"chart-only": _plot(panel, across, best, kept, marks)}
    if min(finite) > 0 and not best.log and max(finite) > min(finite):
        log = _plot(panel, across, axes.logarithmic(finite), kept, marks)
        plots = {"chart-auto": plots["chart-only"], "chart-log": log}
    plot = next(iter(plots.values()))
    numbers = {"left": LEFT, "wide": plot.width, "tall": plot.height, "low": across.low, "high": across.high}
    place = " ".join(f'data-{name}="{value:g}"' for name, value in numbers.items())
    shown = "".join(f'<div class="{kind}">{each.drawing().markup}</div>' for kind, each in plots.items())
    return f'<figure data-curve="{text(key)}" {place}>{shown}</figure>'


def _plot(panel: Panel, across: axes.Scale, up: axes.Scale, kept: Sequence[int], marks: Sequence[Mark]) -> Plot:
    note = " (log scale)" if up.log else ""
    plot = Plot(across, up, "epoch", panel.name + note, _summary(panel))
    for mark in marks:
        if across.low <= mark.epoch <= across.high and across.high > 1.5:
            x = across.position(mark.epoch) * plot.width
            ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{plot.height:.0f}"'
            plot.marks.append(f'<line class="mark {mark.kind}" {ends}/>')
    for line in panel.lines:
        run = "" if line.run is None else f' data-run="{line.run}"'
        plot.marks.append(f"<g{run}>")
        for piece in axes.pieces(line.values, kept):
            if len(piece) == 1:
                plot.dots(piece, [""], line.kind)
            else:
                plot.line(piece, line.kind)
        plot.marks.append("</g>")
    return plot


def _summary(panel: Panel) -> str:
    """Return what a chart shows, for readers who do not see it."""
    parts = []
    for line in panel.lines[:6]:
        finite = [v for v in line.values if math.isfinite(v)]
        if finite:
            parts.append(f"{line.label} from {amount(finite[0])} to {amount(finite[-1])}")
    more = len(panel.lines) - 6
    return f"{panel.name} by epoch: {', '.join(parts)}" + (f", and {more} more" if more > 0 else "")


# The section of a report.
_OPEN, _MAX = 8, 32  # panels that are shown at once, and at all
_RATE = "learning_rate"


def curves(found: Findings) -> Section | None:
    """Return one chart for the loss and one for each metric, with marks for the best epoch, stops and resumptions."""
    history = {key: values for key, values in found.history.items() if key != _RATE}
    ended = max(map(len, history.values()), default=0)
    if not ended:
        return None
    named = axes.panels_of(history)
    panels = [Panel(n, [Line(k, history[k], "a" if k == n else "b") for k in keys]) for n, keys in named.items()]
    rates, said = learning_rates(found), _sentence(found, ended)
    finite = list(filter(math.isfinite, rates))
    if len(set(finite)) > 1:
        panels.insert(1, Panel("learning rate", [Line("learning rate", rates, "a")]))
    elif finite:
        said += f" The learning rate was {finite[0]:g} throughout."
    marks, explained = _marks(found, ended)
    legend = [("line a", "training")]
    if any(key != name for name, keys in named.items() for key in keys):
        legend.append(("line b", "validation"))
    legend += [(f"mark {kind}", text) for kind, text in explained]
    blocks: list[Block] = [Text(said), Legend(legend), *([LOG_SWITCH] if any(map(_may_be_log, panels)) else [])]
    blocks += charts_of(panels[:_OPEN], marks, "curves")
    if further := panels[_OPEN:_MAX]:
        left = f"; {len(panels) - _MAX} more are in history.csv" if len(panels) > _MAX else ""
        title = f"{count(len(further), 'further metric')}{left}"
        blocks.append(Folded(title, charts_of(further, marks, "further-curves")))
    best = best_of(found) if ended > 1 else None
    return Section("curves", "Curves", blocks, f"best in epoch {best.epoch:,} of {ended:,}" if best else "")


def learning_rates(found: Findings) -> list[float]:
    """Return the learning rate of each epoch, NaN where it is unknown; nothing if none is known."""
    if rates := found.history.get(_RATE):
        return list(rates)
    known = [] if found.times is None else [epoch.learning_rate for epoch in found.times.epochs]
    return [math.nan if rate is None else rate for rate in known]


def best_of(found: Findings) -> axes.Best | None:
    """Return the epoch that is best by what the callbacks monitor, else by the validation loss, else by the loss."""
    for callback in found.model.spec.training.callbacks:
        if not isinstance(callback, EarlyStopping | ModelCheckpoint) or callback.monitor not in found.history:
            continue
        if isinstance(callback, EarlyStopping) or callback.save_best_only:
            return axes.best_epoch(found.history, callback.monitor, None if callback.mode == "auto" else callback.mode)
    return axes.best_epoch(found.history)


def _sentence(found: Findings, ended: int) -> str:
    if ended == 1:
        return "The training had one epoch: each chart has one point."
    best = best_of(found)
    if best is None:
        return f"{ended:,} epochs."
    last = "the last epoch" if best.epoch == ended else f"epoch {best.epoch:,} of {ended:,}"
    return f"Best in {last}: {best.key} {amount(best.value)}."


def _marks(found: Findings, ended: int) -> tuple[list[Mark], list[tuple[str, str]]]:
    """Return the marks of all charts, and what they mean: kind and text."""
    marks, explained = [], []
    best = best_of(found)
    if best is not None and ended > 1:
        marks.append(Mark(best.epoch, "best"))
        explained.append(("best", f"best {best.key}: epoch {best.epoch:,}"))
    restored = None if found.times is None else found.times.restored_epoch
    if restored and ended > 1 and (best is None or best.epoch != restored):
        marks.append(Mark(restored, "restored"))
        explained.append(("restored", f"weights restored: epoch {restored:,}"))
    elif restored and explained:
        explained[0] = ("best", f"{explained[0][1]}, whose weights were restored")
    if found.stopped and ended > 1:
        marks.append(Mark(ended, "stopped"))
        explained.append(("stopped", f"stopped: {found.stopped}"))
    starts = [] if found.times is None else found.times.starts[1:]
    marks += [Mark(min(max(start.epoch + 0.5, 1.0), float(ended)), "resumed") for start in starts[:50]]
    if starts:
        explained.append(("resumed", f"resumed {'once' if len(starts) == 1 else f'{len(starts):,} times'}"))
    return marks, explained


def _may_be_log(panel: Panel) -> bool:
    values = [v for line in panel.lines for v in line.values if math.isfinite(v)]
    return bool(values) and 0 < min(values) < max(values)
