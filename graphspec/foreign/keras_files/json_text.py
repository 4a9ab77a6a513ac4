"""JSON from a file of another program: bounded, without duplicate keys, and never evaluated."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from graphspec.foreign.keras_files.problems import Problems

MAX_TEXT = 64 << 20
"""Bytes of a configuration."""
MAX_DEPTH = 200
"""Levels of lists and objects: a nested model takes four."""
MAX_VALUES = 5_000_000
_SHOWN = 100  # characters of a key


class _DuplicateKeyError(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise _DuplicateKeyError(next(key for key, count in counts.items() if count > 1)[:_SHOWN])
    return made


def parse_json(text: bytes | str, place: str, problems: Problems) -> Any:
    """Return the value of a JSON text.

    Raises:
        SpecError: GS801, it is no JSON, is too large or too deep, or an object has a key twice.
    """
    if len(text) > MAX_TEXT:
        raise problems.fail(place, f"{place} has {len(text):,} bytes, more than the {MAX_TEXT:,} of any configuration")
    try:
        found = json.loads(text, object_pairs_hook=_object)
    except _DuplicateKeyError as error:
        raise problems.fail(place, f"{place} has an object with the key '{error}' twice") from None
    except RecursionError:
        raise problems.fail(place, f"{place} has more than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise problems.fail(place, f"{place} is no JSON: {error}") from None
    _bound(found, place, problems)
    return found


def _bound(found: Any, place: str, problems: Problems) -> None:
    """Raise GS801 if a value has too many levels or values."""
    level, count = [found], 0
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        ]
        count += len(level)
        if count > MAX_VALUES:
            raise problems.fail(place, f"{place} has more than {MAX_VALUES:,} values")
        if not level:
            return
    raise problems.fail(place, f"{place} has more than {MAX_DEPTH} levels")
