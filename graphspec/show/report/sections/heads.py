"""How each head answers: its mistakes, its curves, whether its probabilities can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.base.document import Block, Group, Heading, Section, Text
from graphspec.base.text import count
from graphspec.show.report.findings import Findings
from graphspec.show.report.kinds import Flat, Kind, flatten
from graphspec.show.report.rows import places
from graphspec.show.report.sections.head_binary import binary_head
from graphspec.show.report.sections.head_classes import classes_head
from graphspec.show.report.sections.head_groups import groups_head
from graphspec.show.report.sections.head_images import example_images
from graphspec.show.report.sections.head_labels import labels_head
from graphspec.show.report.sections.head_numbers import numbers_head
from graphspec.show.report.sections.head_sequences import sequences_head
from graphspec.show.report.sections.head_series import is_series, series
from graphspec.show.report.sections.head_values import values_head
from graphspec.show.report.terms import terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphspec.show.report.findings import HeadAnswers, Scored

_WORDS: dict[Kind, str] = {
    "classes": "one of {} per {}",
    "binary": "{2} or {3} per {1}",
    "labels": "which of {} apply to a {}",
    "numbers": "{} per {}",
    "sequences": "a sequence of labels per row",
    "groups": "a place for each row, close to the rows of its group",
    "values": "values without targets",
}
_UNITS = {"classes": ("class", "classes"), "labels": ("label", "labels"), "numbers": ("number", "numbers")}


def heads(found: Findings) -> Section | None:
    """Return what each head answers for the judged rows; None if there are none."""
    judged = found.judged
    if judged is None or not judged.heads:
        return None
    shown = [Group("head", _head(found, judged, name, k)) for k, name in enumerate(judged.heads)]
    explained = terms({flatten(head).kind for head in judged.heads.values()})
    kept = len(judged.rows)
    part = f"{count(judged.total, judged.part + ' row')}"
    used = f"{'all ' if kept > 1 else ''}{part}" if kept == judged.total else f"{kept:,} of {part}, spread evenly"
    return Section("heads", "Predictions", [Text(f"From {used}.", "muted"), *shown, *explained])


def _head(found: Findings, judged: Scored, name: str, number: int) -> list[Block]:
    """Return what a head answers."""
    head = judged.heads[name]
    flat = flatten(head)
    loss = "no loss" if head.head.loss is None else f"loss {head.head.loss.label}"
    parts: list[Block] = [
        Heading(name, id=f"head-{number}"),
        Text(f"{_purpose(flat)}; {loss}.", "muted"),
        *(Text(f"{note[:1].upper()}{note[1:]}.", "note") for note in flat.notes),
    ]
    if not len(flat.scores):
        return [*parts, Text(f"No {flat.noun} is left to be judged.")]
    return [*parts, *_body(found, judged, name, head, flat, f"head-{number}")]


def _body(found: Findings, judged: Scored, name: str, head: HeadAnswers, flat: Flat, anchor: str) -> list[Block]:
    row_name = _row_names(found, judged)
    match flat.kind:
        case "classes":
            return [*classes_head(flat, anchor), *example_images(judged, head, flat, row_name)]
        case "binary":
            return [*binary_head(head, flat, anchor), *example_images(judged, head, flat, row_name)]
        case "labels":
            return labels_head(flat)
        case "numbers":
            alike = is_series(found, judged, name)
            rules = found.baselines.get(name, ())
            forecast = series(found, judged, name) if alike else []
            errors = numbers_head(head, flat, rules, alike=alike)
            return [*forecast, *errors, *example_images(judged, head, flat, row_name)]
        case "sequences":
            return sequences_head(head, row_name)
        case "groups":
            return groups_head(head)
    return [values_head(flat)]


def _row_names(found: Findings, judged: Scored) -> Callable[[int], str]:
    """Return the words for a kept row: its line, or its file."""
    place = places(found.model.spec, judged.part)
    return lambda row: place(judged.index(row))


def _purpose(flat: Flat) -> str:
    units = flat.scores.shape[-1] if flat.scores.ndim > 1 else 1
    words = _UNITS.get(flat.kind, ("", ""))
    names = [f"'{label}'" for label in flat.labels[:2]] if flat.kind == "binary" else ["", ""]
    shown = _WORDS[flat.kind].format(count(units, *words), flat.noun, *names)
    return shown[:1].upper() + shown[1:]
