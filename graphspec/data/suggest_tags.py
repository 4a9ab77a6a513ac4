"""A spec for lists of tokens with a tag for each: the template, filled with what a table holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath

from graphspec.base.codes import Code
from graphspec.base.text import count
from graphspec.data.database import Relation
from graphspec.data.fill import Changes, Filled, changed, line
from graphspec.data.profile import Profile
from graphspec.data.source import DataError
from graphspec.data.targets import small_classes
from graphspec.language.write import literal

_TOKENS = 3_000_000  # seen in training by a corpus of a million; of a smaller one, each is seen more often
_FEW = 1000  # sentences below which a batch has half as many


def tags(template: str, found: Profile, table: Relation, target: str, file: Sequence[str]) -> Filled:
    """Fill the template for the lists of ``target``; ``file``: its path and how its text is read, as lines of a spec.

    Raises DataError: GS502, no other column has lists of texts; GS507, none has as many in each row.
    """
    mark = table.columns[target]
    lists = [name for name, column in found.columns.items() if column.kind == "list" and name != target]
    differ: dict[str, int] = {}
    with table.reading():
        for name in lists:
            [(rows,)] = table.query(f"count(*) FILTER (coalesce(len({table.columns[name]}), 0) <> len({mark}))")
            differ[name] = rows
        known = table.connection.execute(
            f"SELECT tag, count(*) FROM (SELECT unnest({mark}) AS tag FROM ({table.source})) GROUP BY tag"
        ).fetchall()
    if not lists:
        text = f"has no column of lists beside '{target}', of which each word has a tag"
        raise DataError(Code.MISSING_ARRAY, text, 'write `{"tokens": ["The", "cat"], "tags": ["AT", "NN"]}`')
    tokens = min(lists, key=lambda name: differ[name])
    if differ[tokens]:
        text = f"has another number of '{tokens}' than of '{target}' in {count(differ[tokens], 'row')}"
        raise DataError(Code.WRONG_LENGTH, text, "write one tag for each token, or remove these rows")
    counts = {str(tag): n for tag, n in known if tag not in (None, "")}
    total, batch = sum(counts.values()), 32 if found.rows >= _FEW else 16
    epochs = min(max(round(_TOKENS / 1e6 * math.sqrt(1e6 / max(total, 1))), 3), 40)
    steps = epochs * -(-found.rows * 9 // (10 * batch))
    path, *form = file
    source = {"file": path} | ({} if tokens == "tokens" else {"inputs": {"tokens": tokens}})
    source |= {} if target == "tags" else {"targets": {"tags": target}}
    lines = [f"  train: {literal(source)}"]
    if form:
        lines = ["  train:", *(f"    {key}: {literal(value)}" for key, value in source.items()), *form]
    changes: Changes = {
        "type: Dense, units: 10": f"type: Dense, units: {len(counts)}",
        "decay_steps: 1000": f"decay_steps: {steps}",
        "epochs: 20": f"epochs: {epochs}",
        "batch_size: 32": f"batch_size: {batch}",
        line("  train:"): "".join(f"{each}\n" for each in lines),
        line("  # test:"): "",
    }
    text = changed(template, changes)
    said = f"{found.rows:,} sentences of {PurePath(path).name}, {total:,} words with {count(len(counts), 'tag')}"
    return Filled(text, said, tuple(filter(None, [small_classes(counts, "word")])))
