"""What other frameworks and plain speech call ours: keys, arguments, values (``keys.toml``) and classes (``names.toml``)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any


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


# Values as Python and other frameworks write them: ``None``, ``(2, 2)``, ``1_000``, ``50%``, ``padding: 1``.
_NONE = frozenset(("none", "null", "nil", "nan", "na", "n/a", "undefined"))
_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_RULES = {"NCHW": "channels_first", "NCW": "channels_first", "NHWC": "channels_last", "NWC": "channels_last"}


def means_null(value: Any) -> bool:
    """Return whether ``value`` is a text that stands for null elsewhere, such as ``None``."""
    return isinstance(value, str) and value.strip("'\" ").lower() in _NONE


def tuple_items(text: str) -> str | None:
    """Return a tuple in Python's notation as a list in YAML's: ``(None, 4)`` becomes ``[null, 4]``; None for other texts.

    The closing bracket may be missing; the list then ends with ``…``.
    """
    if not re.match(r"\((?!\w+\))", text):
        return None
    items = [item.strip() for item in text.strip("() ").split(",") if item.strip()]
    items = ["null" if means_null(item) else item for item in items]
    return f"[{', '.join(items)}{'' if text.endswith(')') else ', …'}]"


def number_hint(text: str, *, integer: bool = False) -> str | None:
    """Return how to write a text that means a number, or None if it means none."""
    plain = text.strip("'\" ")
    digits = plain.replace("_", "").replace(" ", "").replace("'", "")
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", digits):
        digits = digits.replace(",", "")
    elif re.fullmatch(r"[-+]?\d+,\d+", digits):
        digits = digits.replace(",", ".")
    if re.fullmatch(r"[-+]?\d+" if integer else _NUMBER, digits):
        return f"write `{digits}` without quotes" if digits == text else f"write `{digits}`"
    if not integer and (percent := re.fullmatch(rf"({_NUMBER})%", digits)):
        return f"write `{float(percent[1]) / 100:g}`"
    if not integer and (ratio := re.fullmatch(r"(\d{1,9})/(\d{1,9})", digits)) and int(ratio[2]):
        return f"write `{int(ratio[1]) / int(ratio[2]):.6g}`"
    if integer and (sizes := re.fullmatch(r"(\d{1,6})[x×*](\d{1,6})([x×*](\d{1,6}))?", plain)):
        return f"write `[{', '.join(size for size in (sizes[1], sizes[2], sizes[4]) if size)}]`"
    return None


def value_synonym(key: str, value: Any) -> str | None:
    """Return a hint for a value of ``key`` that is right in another framework, or None."""
    if key == "shape" and means_null(value):
        return "write a list of sizes, `null` for one that varies: `[null, 4]`"
    if key == "padding" and isinstance(value, int) and not isinstance(value, bool):
        padded = f"`same` for an output of the input's size, or a ZeroPadding layer before this one for exactly {value}"
        return f"write {padded}" if value else "write `valid`"
    if key == "padding" and value in ("zeros", "zero", "half"):
        return "write `same`"
    if key == "data_format" and isinstance(value, str) and value.upper() in _RULES:
        return f"write `{_RULES[value.upper()]}`"
    if key.endswith("_regularizer") and isinstance(value, int | float) and not isinstance(value, bool):
        return f"write `{{type: L2, l2: {value:g}}}`"
    if key.endswith("dropout") or key in ("rate", "split"):
        is_percent = isinstance(value, int | float) and not isinstance(value, bool) and 5 <= value < 100
        return f"write `{value / 100:g}`: it is a fraction, not a percentage" if is_percent else None
    return None


@cache
def tables() -> Mapping[str, Mapping[str, str]]:
    """Return the synonyms by the name of a class, or of one that it is derived from: as written, and folded."""
    raw = tables_of("keys").items()
    return {name: {_folded(key): target for key, target in table.items()} | dict(table) for name, table in raw}


def _folded(key: str) -> str:
    """Return a key without case, underscores, hyphens and spaces."""
    return re.sub("[-_ ]", "", key).lower()


def key_synonym(key: str, classes: Sequence[str], *known: Collection[str]) -> str | None:
    """Return a hint for an unknown ``key``, or None if it is no synonym.

    ``classes`` are the names of the class and its bases, the class first; ``known`` are keys that the class accepts, those
    of the first collection preferred.
    """
    chosen = [tables()[name] for name in classes if name in tables()]
    hints = (hint for names in known for table in chosen if (hint := hint_in(table, key, names)) is not None)
    return next(hints, None)


def hint_in(table: Mapping[str, str], key: str, known: Collection[str]) -> str | None:
    """Return the hint of one table: the first key of ``known`` that ``key`` leads to, or a sentence; None without."""
    target = table.get(key) or table.get(_folded(key))
    if target is None or is_sentence(target):
        return target
    name = next((name for name in target.split() if name in known and name != key), None)
    return None if name is None else f"did you mean '{name}'?"


def is_sentence(target: str) -> bool:
    """Return whether a target is a hint itself, not names of keys."""
    return re.fullmatch(r"[a-z_0-9]+( [a-z_0-9]+)*", target) is None
