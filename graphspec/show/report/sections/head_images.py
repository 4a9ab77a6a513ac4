"""A head whose answers are pictures: some of them beside what went in and what is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import UNDEFINED, Block, Drawing, Inline, Table, Text
from graphspec.show.drawing.pictures import is_picture, pixels, small_uri
from graphspec.show.html import text
from graphspec.show.report.charts import amount
from graphspec.show.report.kinds import Flat, sigmoid
from graphspec.show.report.rows import evenly

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.findings import HeadAnswers, Scored

_ROWS = 5
_ROOM = 2_400  # characters of a picture
_SMALLEST = 8  # pixels of a side, from which on the values of a row are taken for a picture
_COLOURS = np.array(
    [
        (30, 41, 59), (37, 99, 235), (234, 88, 12), (22, 163, 74), (219, 39, 119), (202, 138, 4), (13, 148, 136),
        (124, 58, 237), (148, 163, 184), (220, 38, 38), (132, 204, 22), (8, 145, 178),
    ],
    np.uint8,
)  # fmt: skip


def example_images(judged: Scored, head: HeadAnswers, flat: Flat, name_of: Callable[[int], str]) -> list[Block]:
    """Return pictures of some rows, from the smallest to the largest loss; nothing if the head answers none."""
    shape, targets = head.answers.shape, head.targets
    if len(shape) != 4 or min(shape[1:3]) < _SMALLEST or targets is None or head.head.loss is None:
        return []
    if flat.kind != "classes" and shape[3] not in (1, 3):
        return []
    if flat.kind == "classes" and head.head.loss.class_axis(head.value) != 3:
        return []
    losses = np.arange(shape[0], dtype=np.float64) if head.losses is None else np.nan_to_num(head.losses, nan=np.inf)
    order = np.argsort(losses, kind="stable")
    chosen = order[evenly(len(order), _ROWS)].tolist()
    rows = []
    for k in chosen:
        inputs = [
            a for a in judged.inputs(k).values() if is_picture(np.shape(a)) and np.asarray(a).dtype.kind in "fiub"
        ]
        shown: list[Inline] = [_image(pixels(np.asarray(inputs[0])), f"input of {name_of(k)}") if inputs else UNDEFINED]
        shown += [_image(_pixels(a, flat), f"{what} of {name_of(k)}") for a, what in _both(head, targets, k, flat)]
        loss = "" if head.losses is None else f", loss {amount(float(head.losses[k]))}"
        rows.append([name_of(k) + loss, *shown])
    caption = "Some rows" if head.losses is None else "Some rows, from the smallest to the largest loss"
    return [*_colours(flat), Table(("Row", "Input", "True", "Answer"), rows, caption, kind="pictures")]


def _colours(flat: Flat) -> list[Block]:
    """Return which class has which colour."""
    if flat.kind != "classes":
        return []
    shown: list[Inline] = ["Colours of the classes: "]
    for k, label in enumerate(flat.labels[: len(_COLOURS)]):
        colour = ",".join(map(str, _COLOURS[k % len(_COLOURS)].tolist()))
        shown += [Drawing(f'<span style="background: rgb({colour})"></span>'), label]
    return [Text(tuple(shown), "note colours")]


def _both(head: HeadAnswers, targets: Array, k: int, flat: Flat) -> list[tuple[Array, str]]:
    """Return the target and the answer of a row: pictures, or class ids ``(height, width)``."""
    target, answer = targets[k], head.answers[k]
    if flat.kind == "classes":
        ids = target.argmax(-1) if target.shape == answer.shape else target.reshape(answer.shape[:2])
        return [(ids, "target"), (answer.argmax(-1), "answer")]
    if flat.probabilities and getattr(head.head.loss, "from_logits", False):
        answer = sigmoid(answer)
    return [
        (np.asarray(target, np.float64).reshape(answer.shape), "target"),
        (np.asarray(answer, np.float64), "answer"),
    ]


def _pixels(values: Array, flat: Flat) -> Array:
    if flat.kind == "classes":
        return np.ascontiguousarray(_COLOURS[np.asarray(values, np.int64) % len(_COLOURS)])
    clipped = np.clip(values, 0, 1) if flat.probabilities or flat.kind == "binary" else values
    return pixels(clipped)


def _image(image: Array, what: str) -> Drawing:
    return Drawing(f'<img src="{small_uri(image, _ROOM)}" alt="{text(what)}">', what)
