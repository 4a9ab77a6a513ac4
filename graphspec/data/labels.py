"""Labels that are learnt: the texts of a target column, and class ids in place of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.strings import Strings
from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, Mark, SpecError, did_you_mean
from graphspec.base.text import count
from graphspec.data.convert import one_hot, reshape
from graphspec.data.problems.tally import Tally
from graphspec.data.sequences import encode_texts
from graphspec.data.source import DataError, at, placed

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphspec.data.batches import Dataset
    from graphspec.graph.ir.graph import Array, Type
    from graphspec.language.declarations import DataSource

_BLOCK_ROWS = 1 << 16  # texts that are objects at a time
_FEW = 5  # rows of a class below which it is named


def learn_labels(targets: Strings, rows: Array | None = None) -> list[str]:
    """Return the texts of rows (by default of all), sorted, each once; missing ones are left out."""
    found = set[str]()
    for _, texts in _blocks(targets, rows):
        found.update(texts)
    return sorted(found - {""})


def encode_labels(targets: Strings, labels: Sequence[str], rows: Array | None = None) -> Array:
    """Return the class ids of rows (by default of all), int64.

    Raises:
        DataError: GS511, a text is not among the labels.
    """
    ids = {label: k for k, label in enumerate(labels)}
    found = np.empty(len(targets) if rows is None else len(rows), np.int64)
    for first, texts in _blocks(targets, rows):
        try:
            found[first : first + len(texts)] = [ids[text] for text in texts]
        except KeyError:
            raise _unseen(targets, ids, rows, first) from None
    return found


def _unseen(targets: Strings, known: Mapping[str, int], rows: Array | None, start: int) -> DataError:
    """Return GS511 for texts that are no labels; all rows before ``start`` have labels."""
    tally = Tally("has labels that no training row has")
    for first, texts in _blocks(targets, rows, start):
        for k, text in enumerate(texts, first):
            if text not in known:
                tally.add(k if rows is None else int(rows[k]), text)
    labels = list(known)
    shown = f"the labels are {', '.join(labels[:12])}{', …' if len(labels) > 12 else ''}"
    hint = did_you_mean(next(iter(tally.examples)), labels) or shown
    return DataError(Code.CLASS_LEFT_OUT, tally.text(len(targets) if rows is None else len(rows), at), hint)


def _blocks(targets: Strings, rows: Array | None, start: int = 0) -> Iterator[tuple[int, list[str]]]:
    for first in range(start, len(targets) if rows is None else len(rows), _BLOCK_ROWS):
        part = slice(first, first + _BLOCK_ROWS)
        yield first, targets[part if rows is None else rows[part]].reshape(-1).tolist()


def with_class_ids(
    data: Dataset,
    labels: Mapping[str, Sequence[str]],
    types: Mapping[str, Type],
    sequences: Collection[str] = (),
    source: DataSource | None = None,
) -> Dataset:
    """Return the dataset with class ids in place of texts, for heads whose labels were learnt.

    Args:
        types: the type of each target: ids, or vectors with a 1 at the class.
        sequences: heads of which each character of a text is a label.
        source: the source of the rows, at which a problem is reported.

    Raises:
        SpecError: GS511, a target is not among the labels, or GS503, it does not have the shape of the head.
    """
    targets: Mapping[str, Any] = data.targets
    texts = {name: target for name, target in targets.items() if isinstance(target, Strings)}
    if not texts:
        return data
    found = dict[str, Any]()
    for name, target in texts.items():
        expected = types[name]
        try:
            if name in sequences:
                found[name] = encode_texts(target, labels[name], learnt=True)
                continue
            ids = one_hot(encode_labels(target, labels[name]), expected, len(labels[name]))
            found[name] = reshape(ids, expected, {}, squeeze=not expected.is_float)
        except DataError as error:
            mark, path = (Mark("<arrays>"), name) if source is None else (source.tree.mark, source.tree.path)
            if source is not None:
                error = placed(error, places_of(source))
            raise SpecError([Diagnostic.of(f"target '{name}'", error.problem, mark, path=path)]) from None
    return replace(data, targets={**data.targets, **found})


def places_of(source: DataSource) -> Callable[[int], str]:
    """Return the words for the rows of a source that has been read: where a person finds them in its file."""
    from graphspec.data.files import plain_rows
    from graphspec.data.problems.places import row_from_1

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
    has = "has" if len(small) == 1 else "have"
    which = f"{len(small):,} of {count(len(rows), 'class', 'classes')} {has} fewer than"
    why = f"too few to learn, and to check what was learnt; add {noun}s, or join classes"
    return f"{which} {_FEW} {noun}s ('{label[:40]}' has {small[label]}): {why}"
