"""A head's answer for one row beside the truth: classes with probabilities, numbers, texts, series, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Inline, Span
from graphspec.base.text import number, percent
from graphspec.export.labels import joined, label_texts, predicted_letters
from graphspec.show.report.charts import spark
from graphspec.show.report.kinds import sigmoid, softmax
from graphspec.show.report.raw import as_picture, compact, plain, series, shown
from graphspec.show.report.rows import Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.findings import HeadAnswers

_STEPS = 24  # time steps, or classes that apply to a row, that are listed


@dataclass(frozen=True)
class Verdict:
    """The truth and the answer for a row.

    Attributes:
        wrong: whether they are different classes; None if they are no classes.
        marked: whether the wrong ones of several are marked themselves.
    """

    truth: Inline
    answer: Inline
    wrong: bool | None = None
    marked: bool = False


def verdict(found: HeadAnswers, row: int) -> Verdict:
    """Return what a head says of a kept row, and what is true.

    Args:
        row: its place among the kept rows; the head has targets.
    """
    loss, targets = found.head.loss, found.targets
    assert loss is not None
    assert targets is not None
    answer, target = np.asarray(found.answers[row], np.float64), targets[row]
    if loss.targets == "labels":
        return _letters(found, row, target)
    if loss.targets == "groups":
        field = Field(found.head.name, found.head.name)
        return Verdict(f"group {plain(target.reshape(-1)[0])}", shown(field, found.answers[row]))
    if loss.targets in ("ids", "one_hot"):
        axis = (loss.class_axis(found.value) or found.value.rank - 1) - 1
        answer = _probabilities(np.moveaxis(answer, axis, -1), found, several=True)
        ids = np.moveaxis(target, axis, -1).argmax(-1) if loss.targets == "one_hot" else np.rint(target)
        ids = ids.astype(np.int64)
        return _class(found, ids, answer) if answer.ndim == 1 else _steps(found, row, ids, answer)
    if loss.binary or loss.fits == "classes" or (loss.fits is None and found.head.labels is not None):
        return _binary(found, row, target, _probabilities(answer, found, several=False))
    return _numbers(found, row, np.asarray(target, np.float64), answer)


def _probabilities(values: Array, found: HeadAnswers, *, several: bool) -> Array:
    """Return probabilities where the head outputs logits; other values stay."""
    if not getattr(found.head.loss, "from_logits", False):
        return values
    return softmax(values) if several else sigmoid(values)


def _labels(found: HeadAnswers, count: int) -> Sequence[str]:
    labels = found.head.labels
    return labels if labels is not None and len(labels) == count else [str(k) for k in range(count)]


def _with_share(label: str, value: float) -> Inline:
    """Return ``coat 87 %``, or ``coat 1.34`` for a value that is no probability."""
    share = percent(value) if 0 <= value <= 1 else "not a number" if np.isnan(value) else plain(value)
    return f"{label or '(empty)'} ", Span(share, "share")


def _class(found: HeadAnswers, target: Array, answer: Array) -> Verdict:
    labels, truth = _labels(found, len(answer)), int(target.reshape(-1)[0])
    best = int(answer.argmax()) if not np.isnan(answer).any() else -1
    known = 0 <= truth < len(answer)
    true = _with_share(labels[truth], answer[truth]) if known else f"class {truth}"
    return Verdict(true, _with_share(labels[best], answer[best]) if best >= 0 else "not a number", truth != best)


def _steps(found: HeadAnswers, row: int, ids: Array, answer: Array) -> Verdict:
    """Return the labels of the time steps that count."""
    maps = np.stack([ids, answer.argmax(-1)]).astype(np.float32)
    if ids.ndim == 2 and as_picture(maps[0]) is not None:
        return _maps(found, maps, answer.shape[-1])
    labels = _labels(found, answer.shape[-1])
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


def _maps(found: HeadAnswers, maps: Array, classes: int) -> Verdict:
    """Return the classes of the pixels of a picture as pictures, the truth and the answer."""
    field, scaled, wrong = Field(found.head.name, found.head.name), maps / max(classes - 1, 1), maps[0] != maps[1]
    share = Span(f"{percent(float(wrong.mean()))} wrong", "share")
    return Verdict(shown(field, scaled[0], 2500), (shown(field, scaled[1], 2500), " ", share), bool(wrong.any()))


def _binary(found: HeadAnswers, row: int, target: Array, answer: Array) -> Verdict:
    """Return the class of a head with one unit, or the classes that apply of one with several."""
    if answer.size == 1:
        labels = _labels(found, 2)
        value, truth = float(answer.reshape(-1)[0]), float(target.reshape(-1)[0])
        positive = value > 0.5
        inside = 0 <= value <= 1
        share = value if positive or not inside else 1 - value
        right = int(truth > 0) if truth in (-1, 0, 1) else None
        said = "not a number" if np.isnan(value) else _with_share(labels[int(positive)], share)
        if right is None:
            return Verdict(plain(truth), said)
        truly = _with_share(labels[right], value if right else 1 - value) if inside else labels[right]
        return Verdict(truly, said, bool(positive != right))
    if answer.ndim > 1:
        return _numbers(found, row, np.asarray(target, np.float64), answer)
    labels = _labels(found, answer.shape[-1])
    applies, claimed = target > 0.5, answer > 0.5
    most = np.argsort(-answer, kind="stable")

    def listed(chosen: Array) -> Inline:
        names = [_with_share(labels[k], float(answer[k])) for k in most.tolist() if chosen[k]]
        parts = [(", " if k else "", name) for k, name in enumerate(names[:_STEPS])]
        return (*parts, ", …" if len(names) > _STEPS else "") if names else "none"

    return Verdict(listed(applies), listed(claimed), bool((applies != claimed).any()))


def _letters(found: HeadAnswers, row: int, target: Array) -> Verdict:
    """Return the text of a row of a CTC head, read along its best path."""
    classes = label_texts(_labels(found, found.answers.shape[-1]), letters=True)
    mask = None if found.mask is None else found.mask[row : row + 1]
    steps = found.lengths.get("input_length")
    letters = np.array(classes, object)[predicted_letters(found.answers[row : row + 1], mask)]
    said = str(joined(letters, None if steps is None else steps[row : row + 1])[0])
    count = found.lengths.get("length")
    ids = target.reshape(-1)[: None if count is None else int(count[row])].astype(np.int64)
    true = "".join(classes[k] for k in ids.tolist() if 0 < k < len(classes))
    return Verdict(true or "(no letters)", said or "(no letters)", true != said)


def _numbers(found: HeadAnswers, row: int, target: Array, answer: Array) -> Verdict:
    name = found.head.name
    if answer.size == 1 and target.size == 1:
        value, truth = float(answer.reshape(-1)[0]), float(target.reshape(-1)[0])
        off = value - truth
        sign = "+" if off > 0 else "−" if off < 0 else ""
        error: Inline = (" ", Span(f"{sign}{compact(abs(off))}", "share")) if np.isfinite(off) else ""
        return Verdict(plain(truth), (compact(value), error))
    picture = as_picture(found.answers[row])
    if picture is not None and target.shape == answer.shape:
        field = Field(name, name)
        return Verdict(shown(field, target.astype(np.float32), 2500), shown(field, found.answers[row], 2500))
    if answer.size == max(answer.shape) and target.size == answer.size:
        lines = [("soft", target.reshape(-1)), ("b", answer.reshape(-1))]
        about = f"true (grey): {series(target.reshape(-1))}\npredicted (orange): {series(answer.reshape(-1))}"
        both = spark(lines, about, tall=True)
        off = np.abs(target.reshape(-1) - answer.reshape(-1))
        return Verdict("", (both, Span(f"mean error {number(float(off.mean()))}", "share")))
    field = Field(name, name)
    return Verdict(shown(field, target.astype(np.float32)), shown(field, found.answers[row]))
