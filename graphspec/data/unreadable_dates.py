"""Warn of texts in date columns that are not dates: the network sees them as missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphspec.arrays.strings import Strings
from graphspec.codes import Code
from graphspec.data.labels import places_of
from graphspec.data.problems.tally import Tally
from graphspec.errors import Diagnostic, Problem
from graphspec.layers.dates import DateParts, is_date

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.language.declarations import DataSource, Spec

_CHUNK = 1 << 14  # texts that are unpacked at a time


def unreadable_dates(spec: Spec, source: DataSource, data: Dataset) -> list[Diagnostic]:
    """Return GS510 as a warning for each input of DateParts with texts that are not dates of its format."""
    found: list[Diagnostic] = []
    for node in spec.nodes:
        if not isinstance(node.layer, DateParts) or not node.inputs or node.inputs[0] is None:
            continue
        name = node.inputs[0].name
        texts = data.inputs.get(name)
        if not isinstance(texts, Strings):
            continue
        bad = list(_bad(texts, node.layer.format))
        if bad:
            tally = Tally("has texts that are not dates")
            for row, text in bad:
                tally.add(row, text)
            hint = f'set `format`, such as `format: "%d/%m/%Y"`; it is now {node.layer.format or "ISO 8601"}'
            message = tally.text(len(texts), places_of(source))
            mark = source.tree.mark
            problem = Problem(Code.UNREADABLE_DATE, message, hint)
            found.append(Diagnostic.of(f"input '{name}'", problem, mark, path=source.tree.path).as_warning())
    return found


def _bad(texts: Strings, form: str | None) -> Iterator[tuple[int, str]]:
    """Yield the row and the text of each text that is neither empty nor a date; equal texts are read once."""
    known: dict[str, bool] = {"": True}
    for start in range(0, len(texts), _CHUNK):
        for k, text in enumerate(texts[start : start + _CHUNK].reshape(-1).tolist()):
            if text not in known:
                known[text] = is_date(text, form)
            if not known[text]:
                yield start + k, text
