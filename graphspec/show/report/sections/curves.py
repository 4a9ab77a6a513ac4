"""How the training went: losses, metrics and the learning rate by epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphspec.base.document import Block, Folded, Legend, Section, Text
from graphspec.base.text import count
from graphspec.show.drawing.curves import Best, best_epoch, number
from graphspec.show.report.curve_charts import LOG_SWITCH, Line, Mark, Panel, by_name, charts_of
from graphspec.vocabulary.callbacks.monitors import EarlyStopping, ModelCheckpoint

if TYPE_CHECKING:
    from graphspec.show.report.findings import Findings

_OPEN, _MAX = 8, 32  # panels that are shown at once, and at all
_RATE = "learning_rate"


def curves(found: Findings) -> Section | None:
    """Return one chart for the loss and one for each metric, with marks for the best epoch, stops and resumptions."""
    history = {key: values for key, values in found.history.items() if key != _RATE}
    ended = max(map(len, history.values()), default=0)
    if not ended:
        return None
    named = by_name(history)
    kinds = {"training": "a", "validation": "b"}
    panels = [
        Panel(name, [Line(key, history[key], kinds[part]) for key, part in keys.items()])
        for name, keys in named.items()
    ]
    rates = learning_rates(found)
    said = ""
    finite = [rate for rate in rates if math.isfinite(rate)]
    if finite and len(set(finite)) > 1:
        panels.insert(1, Panel("learning rate", [Line("learning rate", rates, "a")]))
    elif finite:
        said = f" The learning rate was {finite[0]:g} throughout."
    marks, explained = _marks(found, ended)
    shown = panels[:_OPEN]
    blocks: list[Block] = [Text(_sentence(found, ended) + said), _legend(named, explained), *_switch(panels)]
    blocks += charts_of(shown, marks, "curves")
    if further := panels[_OPEN:_MAX]:
        left = f"; {len(panels) - _MAX} more are in history.csv" if len(panels) > _MAX else ""
        title = f"{count(len(further), 'further metric')}{left}"
        blocks.append(Folded(title, charts_of(further, marks, "further-curves")))
    return Section("curves", "Curves", blocks)


def learning_rates(found: Findings) -> list[float]:
    """Return the learning rate of each epoch, NaN where it is unknown; nothing if none is known."""
    if rates := found.history.get(_RATE):
        return list(rates)
    known = [] if found.times is None else [epoch.learning_rate for epoch in found.times.epochs]
    return [math.nan if rate is None else rate for rate in known]


def best_of(found: Findings) -> Best | None:
    """Return the epoch that is best by what the callbacks monitor, else by the validation loss, else by the loss."""
    for callback in found.model.spec.training.callbacks:
        if not isinstance(callback, EarlyStopping | ModelCheckpoint) or callback.monitor not in found.history:
            continue
        if isinstance(callback, EarlyStopping) or callback.save_best_only:
            if callback.mode == "auto":
                return best_epoch(found.history, callback.monitor)
            finite = [(v, k) for k, v in enumerate(found.history[callback.monitor]) if math.isfinite(v)]
            if not finite:
                return None
            larger = callback.mode == "max"
            value, k = max(finite, key=lambda p: (p[0], -p[1])) if larger else min(finite)
            return Best(k + 1, callback.monitor, value)
    return best_epoch(found.history)


def _sentence(found: Findings, ended: int) -> str:
    if ended == 1:
        return "The training had one epoch: each chart has one point."
    best = best_of(found)
    if best is None:
        return f"{ended:,} epochs."
    last = "the last epoch" if best.epoch == ended else f"epoch {best.epoch:,} of {ended:,}"
    return f"Best in {last}: {best.key} {number(best.value)}."


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
    for start in starts[:50]:
        marks.append(Mark(min(max(start.epoch + 0.5, 1.0), float(ended)), "resumed"))
    if starts:
        explained.append(("resumed", f"resumed {'once' if len(starts) == 1 else f'{len(starts):,} times'}"))
    return marks, explained


def _legend(named: dict[str, dict[str, str]], explained: list[tuple[str, str]]) -> Legend:
    items = [("line a", "training")]
    if any("validation" in keys.values() for keys in named.values()):
        items.append(("line b", "validation"))
    return Legend([*items, *((f"mark {kind}", name) for kind, name in explained)])


def _switch(panels: list[Panel]) -> list[Block]:
    """Return the button for logarithmic scales, if a chart has one."""
    values = [[v for line in panel.lines for v in line.values if math.isfinite(v)] for panel in panels]
    return [LOG_SWITCH] if any(v and min(v) > 0 and max(v) > min(v) for v in values) else []
