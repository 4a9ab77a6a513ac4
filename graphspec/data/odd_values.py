"""Warn of values that an input probably does not mean: texts that are no dates, numbers that hide all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.strings import Strings
from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, Problem
from graphspec.data.labels import places_of
from graphspec.data.problems.tally import Tally
from graphspec.data.profiling.column_profile import FAR
from graphspec.vocabulary.layers.columns import Impute
from graphspec.vocabulary.layers.dates import DateParts, is_date

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array
    from graphspec.data.batches import Dataset
    from graphspec.language.declarations import DataSource, Spec

_CHUNK = 1 << 14  # texts that are unpacked at a time


def odd_values(spec: Spec, source: DataSource, data: Dataset) -> list[Diagnostic]:
    """Return warnings: GS510 for texts that are no dates, GS505 for numbers that may be markers of missing values."""
    return [found.as_warning() for found in (*_no_dates(spec, source, data), *_far_numbers(spec, source, data))]


def _no_dates(spec: Spec, source: DataSource, data: Dataset) -> Iterator[Diagnostic]:
    """Yield GS510 for each input of DateParts with texts that are not dates of its format: they count as missing."""
    for node in spec.nodes:
        if not isinstance(node.layer, DateParts) or not node.inputs or node.inputs[0] is None:
            continue
        name = node.inputs[0].name
        texts = data.inputs.get(name)
        if not isinstance(texts, Strings):
            continue
        tally = Tally("has texts that are not dates")
        for row, text in _bad(texts, node.layer.format):
            tally.add(row, text)
        if tally.rows:
            hint = f'set `format`, such as `format: "%d/%m/%Y"`; it is now {node.layer.format or "ISO 8601"}'
            problem = Problem(Code.UNREADABLE_DATE, tally.text(len(texts), places_of(source)), hint)
            yield Diagnostic.of(f"input '{name}'", problem, source.tree.mark, path=source.tree.path)


def _bad(texts: Strings, form: str | None) -> Iterator[tuple[int, str]]:
    """Yield the row and the text of each text that is neither empty nor a date; equal texts are read once."""
    known: dict[str, bool] = {"": True}
    for start in range(0, len(texts), _CHUNK):
        for k, text in enumerate(texts[start : start + _CHUNK].reshape(-1).tolist()):
            if text not in known:
                known[text] = is_date(text, form)
            if not known[text]:
                yield start + k, text


def _far_numbers(spec: Spec, source: DataSource, data: Dataset) -> Iterator[Diagnostic]:
    """Yield GS505 for each number column with a value of at least 2**53 that hides all others."""
    filled = [node for node in spec.nodes if isinstance(node.layer, Impute) and node.inputs[0] is not None]
    marked = {node.inputs[0].name: node.layer.missing_values for node in filled}  # type: ignore[union-attr]
    for name, declared in spec.inputs.items():
        array = data.inputs.get(name)
        if ".columns." not in declared.tree.path or not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            continue
        known = [float(value) for value in marked.get(name, ()) if not isinstance(value, str)]
        tally = Tally("has numbers beside which all others are equal after scaling")
        if len(array):
            tally.add_block(0, array, _far(array, np.asarray(known, array.dtype)))
        if tally.rows:
            few = ", ".join(f"{value:g}" for value in tally.examples)
            hint = f"correct them, or write `missing_values: [{few}]` if they mark a missing value"
            problem = Problem(Code.MISSING_VALUE, tally.text(len(array), places_of(source)), hint)
            yield Diagnostic.of(f"column '{declared.column or name}'", problem, declared.mark, path=declared.tree.path)


def _far(numbers: Array, known: Array) -> Array:
    """Return which numbers are far from all others but the ``known`` markers."""
    sizes = np.abs(np.where(np.isin(numbers, known), np.nan, numbers)).astype(np.float64)  # holds the limit
    far = np.asarray(sizes >= FAR)
    return far & (sizes >= 1e6 * float(np.nanquantile(sizes, 0.75))) if far.any() else far
