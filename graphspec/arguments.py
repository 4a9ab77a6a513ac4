"""What callers from Python give, checked before anything is done with it: a UsageError names the argument."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from graphspec.errors import UsageError

T = TypeVar("T", bound=str)
_SHOWN = 40  # characters of a value that stand in a message


def refusal(name: str, wanted: str, value: object) -> UsageError:
    """What is said of a value that cannot be used: itself where it is short, else its type."""
    plain = value is None or isinstance(value, str | float) or (isinstance(value, int) and value.bit_length() < 100)
    shown = ascii(value) if plain and len(str(value)) < _SHOWN else f"a value of type {type(value).__name__}"
    return UsageError(f"`{name}` must be {wanted}, got {shown}")


def whole(name: str, value: Any, otherwise: int) -> int:
    """A number from 1 on; ``otherwise`` for None."""
    if value is None:
        return otherwise
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise refusal(name, "an integer from 1 on", value)
    try:
        number = int(value.__index__())
    except TypeError:  # an array of several numbers
        raise refusal(name, "an integer from 1 on", value) from None
    if number < 1:
        raise refusal(name, "at least 1", number)
    return number


def flag(name: str, value: Any, otherwise: bool) -> bool:
    """True or False; ``otherwise`` for None."""
    if value is None:
        return otherwise
    if type(value).__name__ not in ("bool", "bool_"):  # NumPy's own is no `bool`
        raise refusal(name, "true or false", value)
    return bool(value)


def literal(name: str, value: Any, word: T, wanted: str) -> T:
    """A word, the only one that may stand here; arrays are not compared with it."""
    if not isinstance(value, str) or value != word:
        raise refusal(name, wanted, value)
    return word


def path_of(name: str, value: Any) -> Path:
    """A path that a system call takes."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise refusal(name, "a path", value)
    text = os.fspath(value)
    try:
        usable = bool(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise refusal(name, "a path that the file system can have", text)
    return Path(text)


def mapping(name: str, value: Any, wanted: str) -> Mapping[str, Any]:
    """A mapping whose keys are text."""
    if not isinstance(value, Mapping):
        raise refusal(name, wanted, value)
    for key in value:
        if not isinstance(key, str):
            raise refusal(name, f"{wanted}, by names", key)
    return value


def texts(name: str, value: Any, wanted: str) -> list[str]:
    """A list of texts; one text alone is none."""
    if not isinstance(value, list | tuple):
        raise refusal(name, wanted, value)
    for item in value:
        if not isinstance(item, str):
            raise refusal(name, wanted, item)
    return list(value)
