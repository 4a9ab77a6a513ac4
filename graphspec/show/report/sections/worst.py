"""The rows with the largest losses, with their raw records: where the network is wrong, and how sure it is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.text import count, number
from graphspec.show.report.answers import Verdict, verdict
from graphspec.show.report.fields import Field, fields
from graphspec.show.report.page import Section, text, wide
from graphspec.show.report.places import places, source_name
from graphspec.show.report.raw import as_picture, is_short, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.findings import Findings
    from graphspec.show.report.scored import HeadAnswers, Scored

ROWS = 20
"""Rows of each head that are shown."""
_ROOM = 100_000  # characters of the section
_COUNTED = " (counted from 1)"  # ends the words for a row whose line is unknown
_COLUMNS = 40  # of a table of rows


def worst(found: Findings) -> Section | None:
    """Return the rows with the largest losses of each head."""
    judged = found.judged
    if judged is None or not len(judged.rows):
        return None
    heads = [head for head in judged.heads.values() if head.targets is not None and head.head.loss is not None]
    if not heads:
        return None
    described = fields(found.model.spec)
    place = places(found.model.spec, judged.part)
    room = _ROOM // len(heads)
    parts = [_head(judged, head, described, place, room) for head in heads]
    several = len(heads) > 1
    if several:
        buttons = "".join(
            f'<button data-tab="worst-{k}">{text(head.head.name)}</button>' for k, head in enumerate(heads)
        )
        panels = "".join(
            f'<div id="worst-{k}"><h3>{text(head.head.name)}</h3>{part}</div>'
            for k, (head, part) in enumerate(zip(heads, parts, strict=True))
        )
        body = f'<div class="tabs" data-tabs aria-label="Heads"><div>{buttons}</div>{panels}</div>'
    else:
        body = parts[0]
    return Section("worst", "Worst rows", _about(found, judged) + body)


def largest(
    head: HeadAnswers, limit: int = ROWS, spans: tuple[Array, Array] | None = None
) -> tuple[Array, Array] | None:
    """Return the places of the rows that the network answers worst, and how badly: by loss, else by absolute error.

    Args:
        spans: for windows over series, the first and the last time of each row: of windows that overlap, the worst one
            counts, as the others have the same mistake.

    Returns:
        Places among the kept rows, the worst first, and their losses or errors; NaN is the worst. None if the rows have
        neither: the loss has no value per row, and the targets are no numbers.
    """
    scores = head.losses
    if scores is None:
        if head.targets is None or head.targets.shape != head.answers.shape or head.targets.dtype == object:
            return None
        errors = np.abs(head.targets.astype(np.float64) - head.answers).reshape(len(head.answers), -1)
        scores = errors.mean(axis=1) if errors.shape[1] else np.zeros(len(errors))
    order = np.argsort(np.where(np.isnan(scores), -np.inf, -scores), kind="stable")
    order = order[:limit] if spans is None else _apart(order, spans, limit)
    return order, scores[order]


def _apart(order: Array, spans: tuple[Array, Array], limit: int) -> Array:
    """Return the first of some rows that do not overlap in time."""
    first, last = (times[order] for times in spans)
    kept: list[int] = []
    free = np.ones(len(order), bool)
    while len(kept) < limit and free.any():
        k = int(free.argmax())
        kept.append(k)
        free &= (first > last[k]) | (last < first[k])
    return order[kept]


def _spans(judged: Scored) -> tuple[Array, Array] | None:
    """Return the first and the last time of each kept row; None if the rows are no windows."""
    times = judged.raw.times
    if times is None:
        return None
    chosen = judged.rows if judged.raw.chosen is None else judged.raw.chosen[judged.rows]
    return times.first[chosen], times.last[chosen]


def _about(found: Findings, judged: Scored) -> str:
    name = source_name(found.model.spec, judged.part)
    kept = "" if len(judged.rows) == judged.total else f", of {len(judged.rows):,} rows spread evenly over them"
    of = f" in {name}" if name else ""
    if judged.raw.times is not None:
        kept += " (of windows that overlap, the worst one)"
    lead = f"The {judged.part} rows with the largest loss{kept}, with what the data say of them{of}."
    return f"<p>{lead} Look for errors in the data first, then for what these rows have in common.</p>"


def _head(judged: Scored, head: HeadAnswers, described: Sequence[Field], place: Callable[[int], str], room: int) -> str:
    ordered = largest(head, spans=_spans(judged))
    if ordered is None:
        return f"<p>The loss of <b>{text(head.head.name)}</b> is of whole batches: no row has a loss of its own.</p>"
    rows, scores = ordered
    inputs = [judged.inputs(int(row)) for row in rows]
    titles = [place(judged.index(int(row))) for row in rows]
    if counted := all(title.endswith(_COUNTED) for title in titles):
        titles = [title.removesuffix(_COUNTED) for title in titles]
    verdicts = [verdict(head, int(row)) for row in rows]
    by = "loss" if head.losses is not None else "mean absolute error"
    short = all(is_short(field.of(values)) for values in inputs for field in described)
    draw = _table if short and described else _cards
    html, kept = draw(described, inputs, titles, verdicts, scores, by, room)
    notes = []
    if counted:
        notes.append("Rows are counted from 1.")
    if any(not v.truth for v in verdicts):
        notes.append('<span class="key line soft"></span> true, <span class="key line b"></span> predicted.')
    if any(v.wrong is not None for v in verdicts):
        wrong = sum(v.wrong is True for v in verdicts)
        of = f"{wrong} of these {count(len(rows), 'row')} {'has' if wrong == 1 else 'have'}"
        notes.append(f"{of if wrong else 'None of them has'} a wrong answer.")
    if kept < len(rows):
        notes.append(f"{count(len(rows) - kept, 'row')} more would make the page too large.")
    return (f'<p class="note">{" ".join(notes)}</p>' if notes else "") + html


def _table(
    described: Sequence[Field],
    inputs: Sequence[Mapping[str, Array]],
    titles: Sequence[str],
    verdicts: Sequence[Verdict],
    scores: Array,
    by: str,
    room: int,
) -> tuple[str, int]:
    """Return the rows as a table with a column for each field, and how many there was room for."""
    columns = described[:_COLUMNS]
    head = "".join(f"<th scope=col{_right(field, inputs)}>{text(field.name)}</th>" for field in columns)
    rows: list[str] = []
    for values, title, said, score in zip(inputs, titles, verdicts, scores.tolist(), strict=True):
        cells = "".join(f"<td{_right(field, inputs)}>{shown(field, field.of(values))}</td>" for field in columns)
        row = (
            f"<tr><th scope=row>{text(title)}</th><td class=number>{number(score)}</td><td>{said.truth}</td>"
            f"<td{_mark(said)}>{said.answer}</td>{cells}</tr>"
        )
        if rows and len(row) > room:
            break
        room -= len(row)
        rows.append(row)
    more = len(described) - len(columns)
    note = f'<p class="note">{count(more, "more column")} not shown.</p>' if more else ""
    table = (
        f"<table data-sort class=cases><thead><tr><th scope=col>Row</th><th scope=col class=number>{by.capitalize()}</th>"
        f"<th scope=col>True</th><th scope=col>Predicted</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )
    return wide(table, "The worst rows") + note, len(rows)


def _right(field: Field, inputs: Sequence[Mapping[str, Array]]) -> str:
    return "" if field.of(inputs[0]).dtype == object else " class=number"


def _mark(said: Verdict) -> str:
    """Return the class of an answer; of several, the wrong ones are marked themselves."""
    return " class=wrong" if said.wrong and "<mark>" not in said.answer else ""


def _cards(
    described: Sequence[Field],
    inputs: Sequence[Mapping[str, Array]],
    titles: Sequence[str],
    verdicts: Sequence[Verdict],
    scores: Array,
    by: str,
    room: int,
) -> tuple[str, int]:
    """Return the rows as cards with pictures, texts and series, and how many there was room for."""
    pictures = [f for f in described if as_picture(np.asarray(f.of(inputs[0]))) is not None]
    others = [f for f in described if f not in pictures]
    each = max(int(room / len(inputs) * 0.75 / max(len(pictures), 1)), 800)
    cards: list[str] = []
    for k, (values, title, said, score) in enumerate(zip(inputs, titles, verdicts, scores.tolist(), strict=True)):
        images = "".join(shown(field, field.of(values), min(each, 5000)) for field in pictures)
        hidden = " class=hidden-text" if len(described) == 1 else ""
        facts = "".join(
            f"<div><dt{hidden}>{text(field.name)}</dt><dd>{shown(field, field.of(values))}</dd></div>"
            for field in others[:_COLUMNS]
        )
        truth = f"<div><dt>true</dt><dd>{said.truth}</dd></div>" if said.truth else ""
        name = "<dt>predicted" if said.truth else "<dt class=hidden-text>true and predicted"
        answer = f"<div>{name}</dt><dd{_mark(said)}>{said.answer}</dd></div>"
        parts = [
            f'<p class="where"><b>{k + 1}</b> {text(title)} <span class="share">{by} {number(score)}</span></p>',
            f'<div class="pictures">{images}</div>' if images else "",
            f"<dl>{truth}{answer}</dl>",
            f'<dl class="record">{facts}</dl>' if facts else "",
        ]
        card = f'<li class="case">{"".join(parts)}</li>'
        if cards and len(card) > room:
            break
        room -= len(card)
        cards.append(card)
    written = any(f.of(inputs[0]).dtype == object and f.of(inputs[0]).size == 1 for f in others)
    kind = "pictured" if pictures else "written" if written else "serial"
    return f'<ol class="cases {kind}">{"".join(cards)}</ol>', len(cards)
