"""The rows with the largest losses: raw records, answers beside the truth, where the network is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from graphspec.base import document as doc
from graphspec.base.document import Block, Cell, Column, Drawing, Facts, Inline, Section, Span, Table, Text
from graphspec.base.text import count, number, percent
from graphspec.export.onnx import joined, label_texts, predicted_letters
from graphspec.graph.ir.graph import MISSING_INTEGER, Array
from graphspec.show.drawing.pictures import is_picture, pixels, small_uri
from graphspec.show.html import html_of, row_size, text
from graphspec.show.report.charts import amount, spark
from graphspec.show.report.findings import Findings
from graphspec.show.report.kinds import HeadAnswers, Scored, cutoff_of, labels_of, sigmoid, softmax
from graphspec.show.report.rows import Field, as_wide_as_pictures, fields, places, source_name

# Raw values of a row: numbers, texts, pictures, series, sequences of ids; what is missing is said to be.
MISSING = Span("missing", "missing")
_EXCERPT, _TEXT = 300, 1500  # characters of a text that are shown at once, and at all
_RUNS = 40  # runs of equal values of a sequence
_TALL = 120  # pixels of the page that a picture is high; it is at most twice as wide
_LISTED = 12  # numbers of an array that are listed; of more, a line is drawn


def shown(field: Field, value: Array, room: int = 4000) -> Inline:
    """Return the value of a field for one row; a picture has at most about ``room`` characters."""
    value = np.asarray(value)
    picture = as_picture(value)
    if picture is not None:
        return _picture(field, picture, room)
    if value.size == 0:
        return Span("empty", "missing")
    if value.dtype == object:
        return _texts(field, value)
    line = value.reshape(-1)
    if value.size == 1:
        return MISSING if field.missing(value).any() else plain(line[0])
    if value.size != max(value.shape):
        return _summary(field, value)
    if line.dtype.kind != "f":
        return _runs(["missing" if v == MISSING_INTEGER else str(v) for v in line.tolist()])
    if len(line) <= _LISTED:
        return ", ".join("missing" if np.isnan(v) else plain(v) for v in line)
    return spark([("a", line)], f"{field.name}: {series(line)}")


def as_picture(value: Array) -> Array | None:
    """Return a value as a picture ``(height, width, channels)``; None if it does not look like one."""
    if value.dtype == object or not value.size:
        return None
    if is_picture(value.shape):
        return value
    small = value.dtype in (np.uint8, np.float32) and as_wide_as_pictures(value.shape)
    return value[..., None] if small else None


def is_short(value: Array) -> bool:
    """Return whether a value fits into the cell of a table: a number, or a text of some words."""
    value = np.asarray(value)
    return value.size == 1 and (value.dtype != object or len(str(value.reshape(-1)[0])) <= 60)


def plain(value: object) -> str:
    """Return a number as text, with the digits that a float32 has."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    number = float(value)  # type: ignore[arg-type]
    if not np.isfinite(number):
        return "not a number" if np.isnan(number) else "infinite" if number > 0 else "−infinite"
    return str(round(number)) if _is_whole(number) else f"{number:.6g}"


def _is_whole(value: float) -> bool:
    """Whether a finite number is shown without decimals: it is whole, or a million or more; and below ten million."""
    return abs(value) < 1e7 and (value == int(value) or abs(value) >= 999999.5)


def compact(value: float) -> str:
    """Return a number as text with about five significant digits; whole numbers stay."""
    value = float(value)
    if not np.isfinite(value) or _is_whole(value):
        return plain(value)
    shown = number(value)
    return shown.rstrip("0").rstrip(".") if "." in shown and "e" not in shown else shown


def series(values: Array) -> str:
    """Return a sentence about a series: its length, its range, and its gaps."""
    finite = values[np.isfinite(values)]
    gaps = len(values) - len(finite)
    about = f"{_between(finite)}, last {compact(finite[-1])}" if finite.size else ""
    return f"{len(values):,} values{about}" + (f", {gaps:,} missing" if gaps else "")


def _between(values: Array) -> str:
    return f", from {compact(values.min())} to {compact(values.max())}"


def excerpt(value: str) -> Inline:
    """Return a text: its beginning, and the rest behind a click; a very long one is cut."""
    if len(value) <= _EXCERPT + 60:
        return value
    cut = _EXCERPT + len(re.split(r"\s", value[_EXCERPT : _EXCERPT + 40], maxsplit=1)[0])
    rest = value[cut:_TEXT] + (" …" if len(value) > _TEXT else "")
    return f"{value[:cut]} …", doc.Rest(f"{len(value) - cut:,} more characters", rest)


def _picture(field: Field, picture: Array, room: int) -> Drawing:
    height, width = picture.shape[:2]
    small, title = " small" if max(height, width) <= 64 else "", f"{field.name}, {width} × {height} pixels"
    scale = min(_TALL / height, 2 * _TALL / width)
    size = f'width="{max(round(width * scale), 1)}" height="{max(round(height * scale), 1)}"'
    source = small_uri(pixels(picture), room)
    return Drawing(f'<img class="picture{small}" {size} src="{source}" alt="{text(title)}">', title)


def _texts(field: Field, value: Array) -> Inline:
    flat = [str(v) for v in value.reshape(-1).tolist()]
    missing = field.missing(value).reshape(-1).tolist()
    if len(flat) == 1:
        return (MISSING if flat[0] == "" else (MISSING, f" ({flat[0]})")) if missing[0] else excerpt(flat[0])
    return excerpt(_runs(["missing" if gone else v for v, gone in zip(flat, missing, strict=True)]))


def _runs(values: Iterable[str]) -> str:
    """Return values with repeated ones counted: ``3, 7, 0 × 40``."""
    runs = [(value, sum(1 for _ in equal)) for value, equal in groupby(values)]
    shown_runs = [f"{value} × {count}" if count > 2 else ", ".join([value] * count) for value, count in runs[:_RUNS]]
    return ", ".join(shown_runs) + (", …" if len(runs) > _RUNS else "")


def _summary(field: Field, value: Array) -> str:
    sizes = " × ".join(map(str, value.shape))
    if value.dtype.kind not in "fiub":
        return f"array {sizes}"
    gone = int(field.missing(value).sum())
    kept = value[np.isfinite(value) & ~field.missing(value)]
    about = f"{_between(kept)}, mean {compact(kept.mean())}" if kept.size else ""
    return f"array {sizes}{about}" + (f", {gone:,} missing" if gone else "")


# A head's answer for one row beside the truth: classes with probabilities, numbers, texts, series, pictures.
_STEPS = 24  # time steps, or classes that apply to a row, that are listed


class Verdict(NamedTuple):
    """The truth and the answer for a row."""

    truth: Inline
    answer: Inline
    wrong: bool | None = None  # whether they are different classes; None if they are no classes
    marked: bool = False  # whether the wrong ones of several are marked themselves

    def cell(self) -> Cell:
        return Cell(self.answer, kind="wrong" if self.wrong and not self.marked else "")


def verdict(found: HeadAnswers, row: int) -> Verdict:
    """Return what a head with targets says of a kept row, given by its place among these, and what is true."""
    loss, targets = found.head.loss, found.targets
    assert loss is not None
    assert targets is not None
    answer, target = np.asarray(found.answers[row], np.float64), targets[row]
    if loss.targets == "labels":
        return _letters(found, row, target)
    if loss.targets == "groups":
        return Verdict(f"group {plain(target.reshape(-1)[0])}", shown(_field(found), found.answers[row]))
    if loss.targets in ("ids", "one_hot"):
        axis = (loss.class_axis(found.value) or found.value.rank - 1) - 1
        answer = _probable(np.moveaxis(answer, axis, -1), found, softmax)
        ids = np.moveaxis(target, axis, -1).argmax(-1) if loss.targets == "one_hot" else np.rint(target)
        ids = ids.astype(np.int64)
        return _class(found, ids, answer) if answer.ndim == 1 else _steps(found, row, ids, answer)
    if loss.binary or loss.fits == "classes" or (loss.fits is None and found.head.labels is not None):
        return _binary(found, row, target, _probable(answer, found, sigmoid))
    return _numbers(found, row, np.asarray(target, np.float64), answer)


def _probable(values: Array, found: HeadAnswers, activation: Callable[[Array], Array]) -> Array:
    """Return probabilities where the head outputs logits; other values stay."""
    return activation(values) if getattr(found.head.loss, "from_logits", False) else values


def _field(found: HeadAnswers) -> Field:
    return Field(found.head.name, found.head.name)


def _with_share(label: str, value: float) -> Inline:
    """Return ``coat 87 %``, or ``coat 1.34`` for a value that is no probability."""
    share = percent(value) if 0 <= value <= 1 else "not a number" if np.isnan(value) else plain(value)
    return f"{label or '(empty)'} ", Span(share, "share")


def _class(found: HeadAnswers, target: Array, answer: Array) -> Verdict:
    labels, truth = labels_of(found, len(answer)), int(target.reshape(-1)[0])
    best = int(answer.argmax()) if not np.isnan(answer).any() else -1
    true = _with_share(labels[truth], answer[truth]) if 0 <= truth < len(answer) else f"class {truth}"
    return Verdict(true, _with_share(labels[best], answer[best]) if best >= 0 else "not a number", truth != best)


def _steps(found: HeadAnswers, row: int, ids: Array, answer: Array) -> Verdict:
    """Return the labels of the time steps that count."""
    maps = np.stack([ids, answer.argmax(-1)]).astype(np.float32)
    if ids.ndim == 2 and as_picture(maps[0]) is not None:  # the pixels of a picture
        true, said = (shown(_field(found), each / max(answer.shape[-1] - 1, 1), 2500) for each in maps)
        differ = maps[0] != maps[1]
        return Verdict(true, (said, " ", Span(f"{percent(float(differ.mean()))} wrong", "share")), bool(differ.any()))
    labels = labels_of(found, answer.shape[-1])
    best, counts = answer.argmax(-1).reshape(-1), np.ones(ids.shape, bool)
    if found.mask is not None and found.mask[row].shape == ids.shape:
        counts = found.mask[row]
    kept = np.flatnonzero(counts.reshape(-1) & (ids.reshape(-1) != getattr(found.head.loss, "ignore_class", None)))
    truth = ids.reshape(-1)[kept]
    wrong = truth != best[kept]

    def listed(values: Array) -> Inline:
        words: list[Inline] = []
        for v, different in zip(values[:_STEPS].tolist(), wrong[:_STEPS].tolist(), strict=True):
            label = labels[v] if 0 <= v < len(labels) else str(v)
            words += [" " if words else "", Span(label, "mark") if different else label]
        return (*words, " …" if len(values) > _STEPS else "")

    about = Span(f"{int(wrong.sum()):,} of {len(kept):,} wrong", "share")
    marked = bool(wrong[:_STEPS].any())
    return Verdict(listed(truth), (listed(best[kept]), " ", about), bool(wrong.any()), marked)


def _binary(found: HeadAnswers, row: int, target: Array, answer: Array) -> Verdict:
    """Return the class of a head with one unit, or the classes that apply of one with several."""
    if answer.size == 1:
        labels = labels_of(found, 2)
        value, truth = float(answer.reshape(-1)[0]), float(target.reshape(-1)[0])
        positive, inside = value > cutoff_of(found, 0.5), 0 <= value <= 1
        share = value if positive or not inside else 1 - value
        said = "not a number" if np.isnan(value) else _with_share(labels[int(positive)], share)
        if truth not in (-1, 0, 1):
            return Verdict(plain(truth), said)
        right = int(truth > 0)
        truly = _with_share(labels[right], value if right else 1 - value) if inside else labels[right]
        return Verdict(truly, said, bool(positive != right))
    if answer.ndim > 1:
        return _numbers(found, row, np.asarray(target, np.float64), answer)
    labels = labels_of(found, answer.shape[-1])
    applies, claimed = target > 0.5, answer > 0.5
    most = np.argsort(-answer, kind="stable")

    def listed(chosen: Array) -> Inline:
        names = [_with_share(labels[k], float(answer[k])) for k in most.tolist() if chosen[k]]
        parts = [(", " if k else "", name) for k, name in enumerate(names[:_STEPS])]
        return (*parts, ", …" if len(names) > _STEPS else "") if names else "none"

    return Verdict(listed(applies), listed(claimed), bool((applies != claimed).any()))


def _letters(found: HeadAnswers, row: int, target: Array) -> Verdict:
    """Return the text of a row of a CTC head, read along its best path."""
    classes = label_texts(labels_of(found, found.answers.shape[-1]), letters=True)
    mask = None if found.mask is None else found.mask[row : row + 1]
    steps = found.lengths.get("input_length")
    letters = np.array(classes, object)[predicted_letters(found.answers[row : row + 1], mask)]
    said = str(joined(letters, None if steps is None else steps[row : row + 1])[0])
    count = found.lengths.get("length")
    ids = target.reshape(-1)[: None if count is None else int(count[row])].astype(np.int64)
    true = "".join(classes[k] for k in ids.tolist() if 0 < k < len(classes))
    return Verdict(true or "(no letters)", said or "(no letters)", true != said)


def _numbers(found: HeadAnswers, row: int, target: Array, answer: Array) -> Verdict:
    picture = as_picture(found.answers[row])
    if answer.size == 1 and target.size == 1:
        value, truth = float(answer.reshape(-1)[0]), float(target.reshape(-1)[0])
        off = value - truth
        sign = "+" if off > 0 else "−" if off < 0 else ""
        error: Inline = (" ", Span(f"{sign}{compact(abs(off))}", "share")) if np.isfinite(off) else ""
        return Verdict(plain(truth), (compact(value), error))
    if (picture is None or target.shape != answer.shape) and target.size == answer.size == max(answer.shape):
        true, said = target.reshape(-1), answer.reshape(-1)
        about = f"true (grey): {series(true)}\npredicted (orange): {series(said)}"
        both = spark([("soft", true), ("b", said)], about, tall=True)
        return Verdict("", (both, Span(f"mean error {amount(float(np.abs(true - said).mean()))}", "share")))
    room = 4000 if picture is None or target.shape != answer.shape else 2500
    field = _field(found)
    return Verdict(shown(field, target.astype(np.float32), room), shown(field, found.answers[row], room))


# The rows with the largest losses, with their raw records: where the network is wrong, and how sure it is of it.
ROWS = 20  # rows of each head that are shown
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
        tabs = [(f"worst-{k}", head.head.name, part) for k, (head, part) in enumerate(zip(heads, parts, strict=True))]
        parts = [[doc.Tabs("Heads", tabs)]]
    return Section("worst", "Worst rows", [_about(found, judged), *parts[0]])


def largest(
    head: HeadAnswers, limit: int = ROWS, spans: tuple[Array, Array] | None = None
) -> tuple[Array, Array] | None:
    """Return the places among the kept rows of those that are answered worst, and their losses, else absolute errors.

    NaN is the worst. For windows over series, ``spans`` are the first and the last time of each row: of windows that
    overlap, the worst one counts, as the others have the same mistake. None if the loss has no value per row, and the
    targets are no numbers.
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


def _about(found: Findings, judged: Scored) -> Text:
    name = source_name(found.model.spec, judged.part)
    kept = "" if len(judged.rows) == judged.total else f", of {len(judged.rows):,} rows spread evenly over them"
    of: Inline = (" in ", name) if name else ""
    if judged.raw.times is not None:
        kept += " (of windows that overlap, the worst one)"
    lead = f"The {judged.part} rows with the largest loss{kept}, with what the data say of them"
    return Text((lead, of, ". Look for errors in the data first, then for what these rows have in common."))


class Case(NamedTuple):
    """One of the worst rows: its raw inputs, where it is in the data, its verdict and its loss."""

    inputs: Mapping[str, Array]
    title: str
    verdict: Verdict
    score: float


def _head(
    judged: Scored, head: HeadAnswers, described: Sequence[Field], place: Callable[[int], str], room: int
) -> list[Block]:
    times = judged.raw.times
    ordered = largest(head, spans=None if times is None else (times.first[judged.places], times.last[judged.places]))
    if ordered is None:
        name = Span(head.head.name, "b")
        return [Text(("The loss of ", name, " is of whole batches: no row has a loss of its own."))]
    rows = [(row, place(judged.index(row)), score) for row, score in zip(*(x.tolist() for x in ordered), strict=True)]
    counted = all(title.endswith(_COUNTED) for _, title, _ in rows)
    cut = _COUNTED if counted else ""
    cases = [Case(judged.inputs(row), at.removesuffix(cut), verdict(head, row), score) for row, at, score in rows]
    by = "loss" if head.losses is not None else "mean absolute error"
    short = all(is_short(field.of(case.inputs)) for case in cases for field in described)
    blocks, kept = (_table if short and described else _cards)(described, cases, by, room)
    notes: list[Inline] = ["Rows are counted from 1."] if counted else []
    if any(not case.verdict.truth for case in cases):
        notes.append((Span("", "key line soft"), " true, ", Span("", "key line b"), " predicted."))
    if any(case.verdict.wrong is not None for case in cases):
        wrong = sum(case.verdict.wrong is True for case in cases)
        of = f"{wrong} of these {count(len(cases), 'row')} {'has' if wrong == 1 else 'have'}"
        notes.append(f"{of if wrong else 'None of them has'} a wrong answer.")
    if kept < len(cases):
        notes.append(f"{count(len(cases) - kept, 'row')} more would make the page too large.")
    said = tuple((" " if k else "", note) for k, note in enumerate(notes))
    return [*([Text(said, "note")] if notes else []), *blocks]


def _table(described: Sequence[Field], cases: Sequence[Case], by: str, room: int) -> tuple[list[Block], int]:
    """Return the rows as a table with a column for each field, and how many there was room for."""
    listed = described[:_COLUMNS]
    columns = [Column("Row"), Column(by.capitalize(), "number"), Column("True"), Column("Predicted")]
    columns += [Column(f.name, "" if f.of(cases[0].inputs).dtype == object else "number") for f in listed]
    rows: list[list[Inline | Cell]] = []
    for case in cases:
        values = [shown(field, field.of(case.inputs)) for field in listed]
        row = [case.title, amount(case.score), case.verdict.truth, case.verdict.cell(), *values]
        room -= row_size(row, columns)
        if rows and room < 0:
            break
        rows.append(row)
    more = len(described) - len(listed)
    note = [Text(f"{count(more, 'more column')} not shown.", "note")] if more else []
    return [Table(columns, rows, label="The worst rows", sort=True, kind="cases"), *note], len(rows)


def _cards(described: Sequence[Field], cases: Sequence[Case], by: str, room: int) -> tuple[list[Block], int]:
    """Return the rows as cards with pictures, texts and series, and how many there was room for."""
    first = cases[0].inputs
    pictures = [f for f in described if as_picture(np.asarray(f.of(first))) is not None]
    others = [f for f in described if f not in pictures]
    each = max(int(room / len(cases) * 0.75 / max(len(pictures), 1)), 800)
    cards: list[list[Block]] = []
    for k, case in enumerate(cases):
        images = tuple(shown(field, field.of(case.inputs), min(each, 5000)) for field in pictures)
        names: list[Inline] = [f.name if len(described) > 1 else Span(f.name, "hidden-text") for f in others[:_COLUMNS]]
        record = [(name, shown(f, f.of(case.inputs))) for name, f in zip(names, others, strict=False)]
        answer, truth = case.verdict.cell(), case.verdict.truth
        answers: list[tuple[Inline, Inline | Cell]] = [(Span("true and predicted", "hidden-text"), answer)]
        if truth:
            answers = [("true", truth), ("predicted", answer)]
        where = (Span(str(k + 1), "b"), f" {case.title} ", Span(f"{by} {amount(case.score)}", "share"))
        card: list[Block] = [Text(where, "where"), *([Text(images, "pictures")] if images else []), Facts(answers, "")]
        card += [Facts(record, "record")] if record else []
        room -= len(html_of(card))
        if cards and room < 0:
            break
        cards.append(card)
    written = any(f.of(first).dtype == object and f.of(first).size == 1 for f in others)
    return [doc.Cards("pictured" if pictures else "written" if written else "serial", cards)], len(cards)
