"""Targets: labels that are learnt, texts as sequences of labels, rows without a target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.memory import map_of
from graphspec.base.arrays.pictures import Pictures
from graphspec.base.arrays.strings import Strings, StringsBuilder
from graphspec.base.errors import Code, Diagnostic, Mark, Problem, ShapeError, SpecError, did_you_mean
from graphspec.base.text import count
from graphspec.data.convert import FILL_IN, chunks, one_hot, reshape
from graphspec.data.source import DataError, MemoryBudget, Tally, at, placed, wrong_shape
from graphspec.graph.ir.graph import MISSING_INTEGER, Array, Type
from graphspec.language.declarations import LENGTH, STEPS, DataSource

if TYPE_CHECKING:
    from graphspec.base.arrays.memory import Allocate
    from graphspec.data.batches import Dataset

# Label sequences, the targets of CTC: texts as ids, a label for each character; checks; time steps.
BLANK = ""  # the label of class 0 where labels are learnt: between two letters, and where no letter is
_SEQUENCE_ROWS = 1 << 12  # texts that are arrays of characters at a time


def learn_alphabet(targets: Strings, rows: Array | None = None) -> list[str]:
    """Return the blank and the characters in the texts of rows (by default of all), sorted."""
    found = set[int]()
    for _, codes in _code_points(targets, rows):
        found.update(np.unique(codes).tolist())
    return [BLANK, *(chr(code) for code in sorted(found - {0}))]


def encode_texts(targets: Strings, labels: Sequence[str], *, learnt: bool) -> Array:
    """Return the class ids of the characters of texts, (rows, longest), padded with 0; ``labels`` begin with the blank.

    ``learnt``: whether the labels were learnt from the training rows.

    Raises DataError: GS511 (GS506 if the labels are given), a character is not a label; GS405, a label is no character.
    """
    if longer := [label for label in labels[1:] if len(label) != 1]:
        text = f"contains texts, each character of which is a label, but the head has the label '{longer[0]}'"
        raise DataError(Code.CLASSES_MISMATCH, text, "give it one character a label, or store the ids of the labels")
    ids = np.array([ord(label) for label in labels[1:]], np.int64)
    order = np.argsort(ids)
    found = np.zeros((len(targets), 0), np.min_scalar_type(len(labels)))
    for first, codes in _code_points(targets):
        at = np.minimum(np.searchsorted(ids[order], codes), len(ids) - 1)
        unknown = (codes != 0) & (ids[order][at] != codes) if len(ids) else codes != 0
        if unknown.any():
            index = int(unknown.any(1).argmax())
            raise _unknown(chr(codes[index][unknown[index]][0]), first + index, labels, learnt=learnt)
        if codes.shape[1] > found.shape[1]:
            found = np.pad(found, ((0, 0), (0, codes.shape[1] - found.shape[1])))
        if len(ids):
            found[first : first + len(codes), : codes.shape[1]] = np.where(codes == 0, 0, order[at] + 1)
    return found


def _unknown(character: str, row: int, labels: Sequence[str], *, learnt: bool) -> DataError:
    listed = "".join(labels[1:41]) + ("…" if len(labels) > 41 else "")
    text = f"has the character '{character}' in {at(row)}, which"
    if learnt:
        hint = f"add training rows with it, or replace it: the characters are {listed}"
        return DataError(Code.CLASS_LEFT_OUT, f"{text} no text of the training rows has", hint)
    hint = f"add it to `labels`, or replace it: the labels are {listed}"
    return DataError(Code.OUT_OF_RANGE, f"{text} is not a label", hint)


def _blocks(targets: Strings, rows: Array | None, size: int) -> Iterator[tuple[int, Array]]:
    """Yield the texts of rows (by default of all) as objects, ``size`` at a time, with the index of the first one."""
    for first in range(0, len(targets) if rows is None else len(rows), size):
        part = slice(first, first + size)
        yield first, targets[part if rows is None else rows[part]].reshape(-1)


def _code_points(targets: Strings, rows: Array | None = None) -> Iterator[tuple[int, Array]]:
    """Yield texts as the code points of their characters, padded with 0, with the index of the first one."""
    for first, block in _blocks(targets, rows, _SEQUENCE_ROWS):
        texts = np.ascontiguousarray(block.astype(str))
        yield first, texts.view(np.uint32).reshape(len(texts), -1).astype(np.int64)


def steps_of_rows(
    heads: Sequence[str],
    shapes: Mapping[str, tuple[int, ...]],
    sizes: Mapping[str, tuple[int, Array]],
    steps: Callable[[Mapping[str, tuple[int, ...]]], Mapping[str, int]],
) -> dict[str, Array]:
    """Return the time steps of each row, int64, of the heads in which they depend on the sizes of a row's pictures.

    ``shapes``: of the inputs, for which ``steps`` returns the time steps of every head; ``sizes``: by input, the axis on
    which its pictures have several sizes, and each row's size there.

    Raises DataError: GS503, a picture is too small for the layers.
    """
    of_rows = np.stack([each for _, each in sizes.values()], 1)
    different, index = np.unique(of_rows, axis=0, return_inverse=True)
    found = []
    for row in different.tolist():
        own = {n: (1, *shape[1:]) for n, shape in shapes.items()}
        for (n, (axis, _)), size in zip(sizes.items(), row, strict=True):
            own[n] = (*own[n][:axis], size, *own[n][axis + 1 :])
        try:
            found.append(steps(own))
        except ShapeError as error:
            first = at(int(np.flatnonzero((of_rows == row).all(1))[0]))
            text = f"has a picture in {first} that is too small for the network: {error.problem.message}"
            raise wrong_shape(text, "leave the row out, or use smaller kernels") from None
    by_head = {h: np.array([each.get(h, -1) for each in found], np.int64) for h in heads}
    return {h: counts[index.reshape(-1)] for h, counts in by_head.items() if (counts >= 0).all()}


def check_sequences(
    head: str, y: Array | Strings, lengths: Array | None, given: Array | None, steps: int | None, first: int = 0
) -> None:
    """Raise GS506, GS507 or GS509 if a label sequence has no path through its time steps.

    ``y``: labels, padded with 0, or texts with a label per character; ``lengths``: the number of labels of each row, if
    they are not counted; ``given``: the time steps of each row, ``steps``: of all rows, if they are known; ``first``: the
    index of the first row.
    """
    if isinstance(y, Strings):
        for first, codes in _code_points(y):
            own, available = (None if a is None else a[first : first + len(codes)] for a in (lengths, given))
            check_sequences(head, codes, own, available, steps, first)
        return
    counts = np.count_nonzero(y, axis=1) if lengths is None else lengths.astype(np.int64)
    _check_lengths(counts, y.shape[1], head + LENGTH)
    if given is not None and steps is not None:
        _check_lengths(given, steps, head + STEPS)
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


def _check_lengths(values: Array, high: int, name: str) -> None:
    bad = (values < 0) | (values > high)
    if bad.any():
        row = int(bad.argmax())
        text = f"cannot have '{name}' {values[row]} in {at(row)}: it must be 0 to {high}"
        raise DataError(Code.WRONG_LENGTH, text, "correct the lengths, or omit them if the labels are padded with 0")


# Labels that are learnt: the texts of a target column, and class ids in place of them.
_BLOCK_ROWS = 1 << 16  # texts that are objects at a time
_FEW = 5  # rows of a class below which it is named


def learn_labels(targets: Strings, rows: Array | None = None) -> list[str]:
    """Return the texts of rows (by default of all), sorted, each once; missing ones are left out."""
    found = set[str]()
    for _, texts in _blocks(targets, rows, _BLOCK_ROWS):
        found.update(texts.tolist())
    return sorted(found - {""})


def encode_labels(targets: Strings, labels: Sequence[str], *, learnt: bool = True) -> Array:
    """Return the class ids of rows, int64, or of lists of labels: 0 where they are padded, in a narrow dtype.

    Raises DataError: GS511 (GS506 if the labels were not ``learnt``), a text is not among the labels.
    """
    ids, width = {label: k for k, label in enumerate(labels)}, 1
    found = np.empty(len(targets), np.int64)
    if targets.ndim == 2:
        ids, width = {"": 0} | ids, max(targets.shape[1], 1)
        found = np.empty(targets.size, np.min_scalar_type(len(labels)))
    tally = Tally("has labels that no training row has" if learnt else "has labels that the network does not know")
    for row, block in _blocks(targets, None, max(_BLOCK_ROWS // width, 1)):
        texts, first = block.tolist(), row * width
        try:
            found[first : first + len(texts)] = [ids[text] for text in texts]
        except KeyError:
            for k, text in enumerate(texts, first):
                if text not in ids:
                    tally.add(k // width, text)
    if tally.rows:
        listed = f"the labels are {', '.join(labels[:12])}{', …' if len(labels) > 12 else ''}"
        hint = did_you_mean(next(iter(tally.examples)), labels) or listed
        raise DataError(Code.CLASS_LEFT_OUT if learnt else Code.OUT_OF_RANGE, tally.text(len(targets), at), hint)
    return found.reshape(targets.shape)


def with_class_ids(
    data: Dataset,
    labels: Mapping[str, Sequence[str]],
    types: Mapping[str, Type],
    sequences: Collection[str] = (),
    source: DataSource | None = None,
) -> Dataset:
    """Return the dataset with class ids in place of texts, for heads whose labels were learnt.

    ``types``: of each target, ids or vectors with a 1 at the class; ``sequences``: heads of which each character of a text
    is a label; ``source``: that of the rows, at which a problem is reported.

    Raises SpecError: GS511, a target is not among the labels, or GS503, it does not have the shape of the head.
    """
    targets: Mapping[str, Any] = data.targets
    found = dict[str, Any]()
    for name, target in targets.items():
        if not isinstance(target, Strings):
            continue
        expected = types[name]
        try:
            if name in sequences:
                found[name] = encode_texts(target, labels[name], learnt=True)
                continue
            ids = one_hot(encode_labels(target, labels[name]), expected, len(labels[name]))
            found[name] = reshape(ids, expected, {}, squeeze=not expected.is_float)
        except DataError as error:
            mark, path = (Mark("<arrays>"), name) if source is None else (source.tree.mark, source.tree.path)
            error = error if source is None else placed(error, places_of(source))
            raise SpecError([Diagnostic.of(f"target '{name}'", error.problem, mark, path=path)]) from None
    return replace(data, targets={**targets, **found}) if found else data


def places_of(source: DataSource) -> Callable[[int], str]:
    """Return the words for the rows of a source that has been read: where a person finds them in its file."""
    from graphspec.data.files import plain_rows
    from graphspec.data.text_files import row_from_1

    try:
        if source.windows is None and not source.drop_missing_targets:
            return plain_rows(source, None).place
    except DataError:
        pass
    return row_from_1


def small_classes(rows: Mapping[str, int], noun: str = "row") -> str | None:
    """Return what to know about classes of few rows, given the rows of each class; None if there are none."""
    small = {label: n for label, n in rows.items() if n < _FEW}
    if not small:
        return None
    label = min(small, key=lambda label: small[label])
    has = f"{count(len(rows), 'class', 'classes')} {'has' if len(small) == 1 else 'have'}"
    why = f"too few to learn, and to check what was learnt; add {noun}s, or join classes"
    return f"{len(small):,} of {has} fewer than {_FEW} {noun}s ('{label[:40]}' has {small[label]}): {why}"


# Rows without a target: found, refused, or left out.
DROP = "fill it in, or set `drop_missing_targets: true`"


def rows_without(target: Array | Strings, *, lists: bool = False) -> Array | None:
    """Return the mask of rows in which a value of the target, or a whole list, is missing; None if there are none."""
    if isinstance(target, Strings):
        empty = target.lengths().reshape(len(target), -1) == 0
        missing = empty.all(1) if lists else empty.any(1)
        return missing if missing.any() else None
    if target.dtype.kind != "f" and target.dtype.newbyteorder("=") != np.int64:
        return None
    found = None
    for start, block in chunks(target):
        bad = np.isnan(block) if block.dtype.kind == "f" else block == MISSING_INTEGER
        if bad.any():
            found = np.zeros(len(target), bool) if found is None else found
            found[start : start + len(block)] = bad.reshape(len(block), -1).any(1)
    return found


def problem_of(missing: Array, place: Callable[[int], str], *, in_file: bool) -> Problem:
    """Return GS505 for the rows of a mask; ``place`` returns the words for a row."""
    count = int(np.count_nonzero(missing))
    text = f"has no target in {count:,} of {len(missing):,} rows; first: {place(int(missing.argmax()))}"
    return Problem(Code.MISSING_VALUE, text, DROP if in_file else FILL_IN)


def keep_rows(data: Dataset, keep: Array, allocate: Allocate | None = None) -> Dataset:
    """Return a dataset of copies of the rows of a mask. Raises DataError: GS602, too little memory for them."""
    budget, count = MemoryBudget(), int(np.count_nonzero(keep))

    def kept(name: str, array: Any) -> Any:
        if isinstance(array, Strings):
            return array.select(keep, StringsBuilder(array.shape[1:], f"{name}:kept", allocate, budget.reserve))
        if allocate is None or isinstance(array, Pictures):
            if map_of(array) is not None:
                budget.reserve(array[:1].nbytes * count)
            return array[keep]
        found = allocate(f"{name}:kept", (count, *array.shape[1:]), array.dtype)
        done = 0
        for start, block in chunks(array):
            rows = block[keep[start : start + len(block)]]
            found[done : done + len(rows)] = rows
            done += len(rows)
        return found

    parts = ("inputs", "targets", "weights", "lengths")
    arrays: dict[str, Any] = {p: {n: kept(n, a) for n, a in getattr(data, p).items()} for p in parts}
    return replace(data, **arrays, groups=None if data.groups is None else data.groups[keep])
