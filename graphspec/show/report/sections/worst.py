"""The rows with the largest losses, with their raw records: where the network is wrong, and how sure it is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Cards, Cell, Column, Facts, Inline, Section, Span, Table, Tabs, Text
from graphspec.base.text import count, number
from graphspec.show.html import html_of, row_size
from graphspec.show.report.answers import Verdict, verdict
from graphspec.show.report.raw import as_picture, is_short, shown
from graphspec.show.report.rows import Field, fields, places, source_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.findings import Findings, HeadAnswers, Scored

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
    if len(heads) > 1:
        names = [head.head.name for head in heads]
        tabs = [(f"worst-{k}", name, part) for k, (name, part) in enumerate(zip(names, parts, strict=True))]
        parts = [[Tabs("Heads", tabs)]]
    return Section("worst", "Worst rows", [_about(found, judged), *parts[0]])


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


def _about(found: Findings, judged: Scored) -> Text:
    name = source_name(found.model.spec, judged.part)
    kept = "" if len(judged.rows) == judged.total else f", of {len(judged.rows):,} rows spread evenly over them"
    of: Inline = (" in ", name) if name else ""
    if judged.raw.times is not None:
        kept += " (of windows that overlap, the worst one)"
    lead = f"The {judged.part} rows with the largest loss{kept}, with what the data say of them"
    return Text((lead, of, ". Look for errors in the data first, then for what these rows have in common."))


def _head(
    judged: Scored, head: HeadAnswers, described: Sequence[Field], place: Callable[[int], str], room: int
) -> list[Block]:
    ordered = largest(head, spans=_spans(judged))
    if ordered is None:
        name = Span(head.head.name, "b")
        return [Text(("The loss of ", name, " is of whole batches: no row has a loss of its own."))]
    rows, scores = ordered
    inputs = [judged.inputs(int(row)) for row in rows]
    titles = [place(judged.index(int(row))) for row in rows]
    if counted := all(title.endswith(_COUNTED) for title in titles):
        titles = [title.removesuffix(_COUNTED) for title in titles]
    verdicts = [verdict(head, int(row)) for row in rows]
    by = "loss" if head.losses is not None else "mean absolute error"
    short = all(is_short(field.of(values)) for values in inputs for field in described)
    draw = _table if short and described else _cards
    blocks, kept = draw(described, inputs, titles, verdicts, scores, by, room)
    notes: list[Inline] = []
    if counted:
        notes.append("Rows are counted from 1.")
    if any(not v.truth for v in verdicts):
        notes.append((Span("", "key line soft"), " true, ", Span("", "key line b"), " predicted."))
    if any(v.wrong is not None for v in verdicts):
        wrong = sum(v.wrong is True for v in verdicts)
        of = f"{wrong} of these {count(len(rows), 'row')} {'has' if wrong == 1 else 'have'}"
        notes.append(f"{of if wrong else 'None of them has'} a wrong answer.")
    if kept < len(rows):
        notes.append(f"{count(len(rows) - kept, 'row')} more would make the page too large.")
    said = tuple((" " if k else "", note) for k, note in enumerate(notes))
    return [*([Text(said, "note")] if notes else []), *blocks]


def _table(
    described: Sequence[Field],
    inputs: Sequence[Mapping[str, Array]],
    titles: Sequence[str],
    verdicts: Sequence[Verdict],
    scores: Array,
    by: str,
    room: int,
) -> tuple[list[Block], int]:
    """Return the rows as a table with a column for each field, and how many there was room for."""
    shown_fields = described[:_COLUMNS]
    kinds = ["" if field.of(inputs[0]).dtype == object else "number" for field in shown_fields]
    columns = [Column("Row"), Column(by.capitalize(), "number"), Column("True"), Column("Predicted")]
    columns += [Column(field.name, kind) for field, kind in zip(shown_fields, kinds, strict=True)]
    rows: list[list[Inline | Cell]] = []
    for values, title, said, score in zip(inputs, titles, verdicts, scores.tolist(), strict=True):
        answer = Cell(said.answer, kind=_mark(said))
        row = [title, number(score), said.truth, answer, *(shown(f, f.of(values)) for f in shown_fields)]
        room -= row_size(row, columns)
        if rows and room < 0:
            break
        rows.append(row)
    more = len(described) - len(shown_fields)
    note = [Text(f"{count(more, 'more column')} not shown.", "note")] if more else []
    return [Table(columns, rows, label="The worst rows", sort=True, kind="cases"), *note], len(rows)


def _mark(said: Verdict) -> str:
    """Return the class of an answer; of several, the wrong ones are marked themselves."""
    return "wrong" if said.wrong and not said.marked else ""


def _cards(
    described: Sequence[Field],
    inputs: Sequence[Mapping[str, Array]],
    titles: Sequence[str],
    verdicts: Sequence[Verdict],
    scores: Array,
    by: str,
    room: int,
) -> tuple[list[Block], int]:
    """Return the rows as cards with pictures, texts and series, and how many there was room for."""
    pictures = [f for f in described if as_picture(np.asarray(f.of(inputs[0]))) is not None]
    others = [f for f in described if f not in pictures]
    each = max(int(room / len(inputs) * 0.75 / max(len(pictures), 1)), 800)
    cards: list[list[Block]] = []
    for k, (values, title, said, score) in enumerate(zip(inputs, titles, verdicts, scores.tolist(), strict=True)):
        images = tuple(shown(field, field.of(values), min(each, 5000)) for field in pictures)
        hidden = "hidden-text" if len(described) == 1 else ""
        record = [(Span(f.name, hidden) if hidden else f.name, shown(f, f.of(values))) for f in others[:_COLUMNS]]
        answer = Cell(said.answer, kind=_mark(said))
        answers: list[tuple[Inline, Inline | Cell]] = [(Span("true and predicted", "hidden-text"), answer)]
        if said.truth:
            answers = [("true", said.truth), ("predicted", answer)]
        where = (Span(str(k + 1), "b"), f" {title} ", Span(f"{by} {number(score)}", "share"))
        card: list[Block] = [Text(where, "where"), *([Text(images, "pictures")] if images else []), Facts(answers, "")]
        card += [Facts(record, "record")] if record else []
        room -= len(html_of(card))
        if cards and room < 0:
            break
        cards.append(card)
    written = any(f.of(inputs[0]).dtype == object and f.of(inputs[0]).size == 1 for f in others)
    return [Cards("pictured" if pictures else "written" if written else "serial", cards)], len(cards)
