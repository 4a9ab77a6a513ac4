"""Checks of label sequences, the targets of CTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphspec.codes import Code
from graphspec.data.source import DataError, at
from graphspec.language.head_arrays import LENGTH, STEPS

if TYPE_CHECKING:
    from graphspec.ir.graph import Array


def check_sequences(head: str, y: Array, lengths: Array | None, given: Array | None, steps: int | None) -> None:
    """Raise GS506, GS507 or GS509 if a label sequence has no path through its time steps.

    Args:
        y: labels, padded with 0.
        lengths: the number of labels of each row, if they are not counted.
        given: the time steps of each row.
        steps: the time steps of all rows, if they are known.
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
        text = f"does not fit: {at(row)} has {labels} in {available[row]} time steps"
        raise DataError(Code.TARGET_TOO_LONG, text, "a repeat needs a blank in between: time steps ≥ labels + repeats")


def _check_lengths(values: Array, low: int, high: int, name: str) -> None:
    bad = (values < low) | (values > high)
    if bad.any():
        row = int(bad.argmax())
        text = f"cannot have '{name}' {values[row]} in {at(row)}: it must be {low} to {high}"
        raise DataError(Code.WRONG_LENGTH, text, "correct the lengths, or omit them if the labels are padded with 0")
