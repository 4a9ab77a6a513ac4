"""Names that other frameworks and plain speech have for the classes of a spec, by kind. They are in ``names.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path


def fold(name: str) -> str:
    """Return a name without case, separators and the module before it: ``nn.Conv_2d`` becomes ``conv2d``."""
    return re.sub(r"[\W_]+", "", name.strip("'\" ").removesuffix("()").rpartition(".")[2]).lower()


@cache
def tables_of(file: str) -> Mapping[str, Mapping[str, str]]:
    """Return the tables of a file in this folder: what each word leads to. It is read when the first name is wrong."""
    import tomllib

    text = Path(__file__).with_name(f"{file}.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text).items()
    return {name: {word: target for words, target in rows.items() for word in words.split()} for name, rows in tables}


def synonym(kind: str, name: str) -> str | None:
    """Return a hint for a ``name`` of another framework or of plain speech, or None if it is no synonym."""
    table, folded = tables_of("names").get(kind, {}), fold(name)
    target = table.get(folded) or table.get(folded.removesuffix(kind) or folded)
    return f"did you mean '{target}'?" if target is not None and target.isidentifier() else target


def otherwise(kind: str) -> str | None:
    """Return the hint for a name that is like no other."""
    return tables_of("names")["otherwise"].get(kind)
