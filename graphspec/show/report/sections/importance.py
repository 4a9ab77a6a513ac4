"""Which inputs matter: what becomes of the loss if the values of a field are permuted among the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.text import count, number, shorten_end
from graphspec.show.report.importance import REPEATS, Change, Importance, measured
from graphspec.show.report.page import Section, text, wide

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
        return Section("importance", "Importance of inputs", f"<p>{known}</p>")
    shown = known.found[:SHOWN]
    ends = [value for each in shown for value in (each.loss.low, each.loss.high, 0.0)]
    low, high = min(ends), max(ends)
    named = known.metric[0] if known.metric is not None else ""
    metric_head = f"<th scope=col class=number>{text(named)}</th>" if named else ""
    names = "<th scope=col>Input</th><th scope=col data-fixed>Change of the loss</th>"
    head = f"{names}<th scope=col class=number>loss</th>{metric_head}"
    rows = "".join(_row(each, low, high) for each in shown)
    table = f'<table data-sort class="importance"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    more = len(known.found) - len(shown)
    note = f'<p class="note">{count(more, "less important input")} not shown.</p>' if more else ""
    base = f"loss {number(known.loss)}"
    if known.metric is not None:
        base += f", {known.metric[0]} {number(known.metric[1])}"
    rows_of = count(known.rows, f"{judged.part} row")
    lead = (
        f"<p>How much the loss rises if the values of one input are shuffled among {rows_of}: an input that the network "
        f"does not need changes nothing. As they are: {text(base)}.</p>"
        f'<p class="note">Each bar is the mean of {REPEATS} shuffles, the thin line their range. Of inputs that '
        "say the same, each seems less important than they are together.</p>"
    )
    return Section("importance", "Importance of inputs", lead + wide(table, "Inputs by importance") + note)


def _row(each: Importance, low: float, high: float) -> str:
    name = shorten_end(each.name, 44)
    metric = "" if each.metric is None else f"<td class=number>{_signed(each.metric.mean)}</td>"
    return (
        f"<tr><th scope=row>{text(name)}</th><td class=barcell>{_bar(each, low, high)}</td>"
        f"<td class=number>{_signed(each.loss.mean)}</td>{metric}</tr>"
    )


def _bar(each: Importance, low: float, high: float) -> str:
    """Return a bar from 0 to the mean, with a whisker from the lowest to the highest repeat."""
    change, room = each.loss, (high - low) or 1.0

    def at(value: float) -> float:
        return (value - low) / room * 98 + 1

    if not all(map(_finite, (change.mean, change.low, change.high))):
        return '<span class="share">not finite</span>'
    zero, end = at(0), at(change.mean)
    kind = "a" if change.mean >= 0 else "soft"
    tip = text(f"{each.name}: {_range(change)}")
    return (
        f'<svg class="rail" viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true" data-tip="{tip}">'
        f'<rect class="bar {kind}" x="{min(zero, end):.4g}" y="3" width="{abs(end - zero):.4g}" height="10"/>'
        f'<path class="whisker" d="M{at(change.low):.4g} 8H{at(change.high):.4g}"/></svg>'
    )


def _range(change: Change) -> str:
    return f"{_signed(change.mean)} ({_signed(change.low)} to {_signed(change.high)})"


def _signed(value: float) -> str:
    if not _finite(value):
        return "not finite"
    shown = number(abs(value))
    return shown if float(shown) == 0 else f"+{shown}" if value > 0 else f"−{shown}"


def _finite(value: float) -> bool:
    return abs(value) < float("inf")
