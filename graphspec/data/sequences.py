"""Label sequences, the targets of CTC: texts as ids, a label for each character; checks; time steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError
from graphspec.data.source import DataError, at
from graphspec.language.declarations import LENGTH, STEPS

if TYPE_CHECKING:
    from graphspec.base.arrays.strings import Strings
    from graphspec.graph.ir.graph import Array

BLANK = ""
"""The label of class 0 where labels are learnt: between two letters, and where no letter is."""
_BLOCK_ROWS = 1 << 12  # texts that are arrays of characters at a time


def learn_alphabet(targets: Strings, rows: Array | None = None) -> list[str]:
    """Return the blank and the characters in the texts of rows (by default of all), sorted."""
    found = set[int]()
    for _, codes in _blocks(targets, rows):
        found.update(np.unique(codes).tolist())
    return [BLANK, *(chr(code) for code in sorted(found - {0}))]


def encode_texts(targets: Strings, labels: Sequence[str], *, learnt: bool, rows: Array | None = None) -> Array:
    """Return the class ids of the characters of texts, (rows, longest), padded with 0; ``labels`` begin with the blank.

    Args:
        learnt: whether the labels were learnt from the training rows.
        rows: by default all.

    Raises:
        DataError: GS511 (GS506 if the labels are given), a character is not a label; GS405, a label is no character.
    """
    if longer := [label for label in labels[1:] if len(label) != 1]:
        text = f"contains texts, each character of which is a label, but the head has the label '{longer[0]}'"
        raise DataError(Code.CLASSES_MISMATCH, text, "give it one character a label, or store the ids of the labels")
    known = np.array([ord(label) for label in labels[1:]], np.int64)
    order = np.argsort(known)
    count = len(targets) if rows is None else len(rows)
    found = np.zeros((count, 0), np.min_scalar_type(len(labels)))
    for first, codes in _blocks(targets, rows):
        at = np.minimum(np.searchsorted(known[order], codes), len(known) - 1)
        unknown = (codes != 0) & (known[order][at] != codes) if len(known) else codes != 0
        if unknown.any():
            index = int(unknown.any(1).argmax())
            row = first + index if rows is None else int(rows[first + index])
            character = chr(codes[index][unknown[index]][0])
            raise _unknown(character, row, labels, learnt=learnt)
        if codes.shape[1] > found.shape[1]:
            found = np.pad(found, ((0, 0), (0, codes.shape[1] - found.shape[1])))
        if len(known):
            found[first : first + len(codes), : codes.shape[1]] = np.where(codes == 0, 0, order[at] + 1)
    return found


def _unknown(character: str, row: int, labels: Sequence[str], *, learnt: bool) -> DataError:
    shown = "".join(labels[1:41]) + ("…" if len(labels) > 41 else "")
    if learnt:
        text = f"has the character '{character}' in {at(row)}, which no text of the training rows has"
        hint = f"add training rows with it, or replace it: the characters are {shown}"
        return DataError(Code.CLASS_LEFT_OUT, text, hint)
    text = f"has the character '{character}' in {at(row)}, which is not a label"
    return DataError(Code.OUT_OF_RANGE, text, f"add it to `labels`, or replace it: the labels are {shown}")


def _blocks(targets: Strings, rows: Array | None) -> Iterator[tuple[int, Array]]:
    """Yield texts as the code points of their characters, padded with 0, with the index of the first one."""
    for first in range(0, len(targets) if rows is None else len(rows), _BLOCK_ROWS):
        part = slice(first, first + _BLOCK_ROWS)
        texts = targets[part if rows is None else rows[part]].reshape(-1).astype(str)
        yield first, np.ascontiguousarray(texts).view(np.uint32).reshape(len(texts), -1).astype(np.int64)


def check_texts(head: str, targets: Strings, lengths: Array | None, given: Array | None, steps: int | None) -> None:
    """Do the work of :func:`check_sequences` for texts, of which each character is a label."""
    for first, codes in _blocks(targets, None):
        part = slice(first, first + len(codes))
        own, available = (None if a is None else a[part] for a in (lengths, given))
        check_sequences(head, codes, own, available, steps, first)


def steps_of_rows(
    heads: Sequence[str],
    shapes: Mapping[str, tuple[int, ...]],
    sizes: Mapping[str, tuple[int, Array]],
    steps: Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, int]],
) -> dict[str, Array]:
    """Return the time steps of each row, int64, of the heads in which they depend on the sizes of a row's pictures.

    Args:
        shapes: of the inputs.
        sizes: by input, the axis on which its pictures have several sizes, and each row's size there.
        steps: returns the time steps of every head for such shapes.

    Raises:
        DataError: GS503, a picture is too small for the layers.
    """
    names = list(sizes)
    different, index = np.unique(np.stack([sizes[n][1] for n in names], 1), axis=0, return_inverse=True)
    found = []
    for row in different.tolist():
        own = {n: (1, *shape[1:]) for n, shape in shapes.items()}
        for n, size in zip(names, row, strict=True):
            axis = sizes[n][0]
            own[n] = (*own[n][:axis], size, *own[n][axis + 1 :])
        try:
            found.append(steps(own))
        except ShapeError as error:
            rows = np.flatnonzero((np.stack([sizes[n][1] for n in names], 1) == row).all(1))
            text = f"has a picture in {at(int(rows[0]))} that is too small for the network: {error.problem.message}"
            raise DataError(Code.WRONG_ARRAY_SHAPE, text, "leave the row out, or use smaller kernels") from None
    by_head = {h: np.array([each.get(h, -1) for each in found], np.int64) for h in heads}
    return {h: counts[index.reshape(-1)] for h, counts in by_head.items() if (counts >= 0).all()}


def check_sequences(
    head: str, y: Array, lengths: Array | None, given: Array | None, steps: int | None, first: int = 0
) -> None:
    """Raise GS506, GS507 or GS509 if a label sequence has no path through its time steps.

    Args:
        y: labels, padded with 0.
        lengths: the number of labels of each row, if they are not counted.
        given: the time steps of each row.
        steps: the time steps of all rows, if they are known.
        first: the index of the first row, if the rows are a part of more.
    """
    counts = np.count_nonzero(y, axis=1) if lengths is None else lengths.astype(np.int64)
    _check_lengths(counts, 0, y.shape[1], head + LENGTH)
    if given is not None and steps is not None:
        _check_lengths(given, 0, steps, head + STEPS)
    inside = np.arange(y.shape[1]) < counts[:, None]
    blank = ((y == 0) & inside).any(1)
    if blank.any():
        text = f"has class 0, the blank, among the labels of {at(int(blank.argmax()))}"
        raise DataError(Code.OUT_OF_RANGE, text, "labels count from 1; 0 only pads the end of a row")
    repeats = ((y[:, 1:] == y[:, :-1]) & inside[:, 1:]).sum(1)
    available = given.astype(np.int64) if given is not None else None if steps is None else np.full(len(y), steps)
    if available is not None and (counts + repeats > available).any():
        row = int((counts + repeats > available).argmax())
        labels = f"{counts[row]} labels with {repeats[row]} repeats"
        text = f"does not fit: {at(first + row)} has {labels} in {available[row]} time steps"
        raise DataError(Code.TARGET_TOO_LONG, text, "a repeat needs a blank in between: time steps ≥ labels + repeats")


def _check_lengths(values: Array, low: int, high: int, name: str) -> None:
    bad = (values < low) | (values > high)
    if bad.any():
        row = int(bad.argmax())
        text = f"cannot have '{name}' {values[row]} in {at(row)}: it must be {low} to {high}"
        raise DataError(Code.WRONG_LENGTH, text, "correct the lengths, or omit them if the labels are padded with 0")
