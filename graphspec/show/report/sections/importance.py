"""Which inputs matter: what becomes of the loss if the values of a field are permuted among the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.document import Column, Drawing, Inline, Section, Span, Table, Text
from graphspec.base.text import count, number, shorten_end
from graphspec.show.html import text
from graphspec.show.report.importance import REPEATS, Importance, measured

if TYPE_CHECKING:
    from graphspec.show.report.findings import Findings

SHOWN = 60
"""Fields that are shown, the most important ones."""


def importance(found: Findings) -> Section | None:
    """Return the importance of each field of the judged rows."""
    judged, known = found.judged, measured(found)
    if judged is None or known is None:
        return None
    if isinstance(known, str):
        return Section("importance", "Importance of inputs", [Text(known)])
    shown = known.found[:SHOWN]
    ends = [value for each in shown for value in (each.loss.low, each.loss.high, 0.0)]
    low, high = min(ends), max(ends)
    columns = [Column("Input"), Column("Change of the loss", "barcell", fixed=True), Column("loss", "number")]
    columns += [Column(known.metric[0], "number")] if known.metric is not None else []
    rows = [_row(each, low, high) for each in shown]
    table = Table(columns, rows, label="Inputs by importance", sort=True, kind="importance")
    more = len(known.found) - len(shown)
    note = [Text(f"{count(more, 'less important input')} not shown.", "note")] if more else []
    base = f"loss {number(known.loss)}"
    if known.metric is not None:
        base += f", {known.metric[0]} {number(known.metric[1])}"
    rows_of = count(known.rows, f"{judged.part} row")
    lead = (
        f"How much the loss rises if the values of one input are shuffled among {rows_of}: an input that the network "
        f"does not need changes nothing. As they are: {base}."
    )
    how = (
        f"Each bar is the mean of {REPEATS} shuffles, the thin line their range. Of inputs that say the same, each seems "
        "less important than they are together."
    )
    return Section("importance", "Importance of inputs", [Text(lead), Text(how, "note"), table, *note])


def _row(each: Importance, low: float, high: float) -> list[Inline]:
    metric = [] if each.metric is None else [_signed(each.metric.mean)]
    return [shorten_end(each.name, 44), _bar(each, low, high), _signed(each.loss.mean), *metric]


def _bar(each: Importance, low: float, high: float) -> Inline:
    """Return a bar from 0 to the mean, with a whisker from the lowest to the highest repeat."""
    change, room = each.loss, (high - low) or 1.0

    def at(value: float) -> float:
        return (value - low) / room * 98 + 1

    if not all(map(_finite, (change.mean, change.low, change.high))):
        return Span("not finite", "share")
    zero, end = at(0), at(change.mean)
    kind = "a" if change.mean >= 0 else "soft"
    tip = f"{each.name}: {_signed(change.mean)} ({_signed(change.low)} to {_signed(change.high)})"
    return Drawing(
        f'<svg class="rail" viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true" data-tip="{text(tip)}">'
        f'<rect class="bar {kind}" x="{min(zero, end):.4g}" y="3" width="{abs(end - zero):.4g}" height="10"/>'
        f'<path class="whisker" d="M{at(change.low):.4g} 8H{at(change.high):.4g}"/></svg>',
        tip,
    )


def _signed(value: float) -> str:
    if not _finite(value):
        return "not finite"
    shown = number(abs(value))
    return shown if float(shown) == 0 else f"+{shown}" if value > 0 else f"−{shown}"


def _finite(value: float) -> bool:
    return abs(value) < float("inf")
