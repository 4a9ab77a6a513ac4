"""Checks of the arguments of Python calls, made before any work starts. A UsageError names the wrong argument."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from graphspec.errors import UsageError

T = TypeVar("T", bound=str)
_MAX_QUOTED = 40  # characters of a value that a message quotes


def bad_argument(name: str, expected: str, value: object) -> UsageError:
    """Return the error for an argument that cannot be used. It quotes short values and names the type of others."""
    is_scalar = value is None or isinstance(value, str | float) or (isinstance(value, int) and value.bit_length() < 100)
    quoted = ascii(value) if is_scalar and len(str(value)) < _MAX_QUOTED else f"a value of type {type(value).__name__}"
    return UsageError(f"`{name}` must be {expected}, got {quoted}")


def positive_int(name: str, value: Any, default: int) -> int:
    """Return ``value`` as a positive integer, or ``default`` for None."""
    if value is None:
        return default
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise bad_argument(name, "a positive integer", value)
    try:
        number = int(value.__index__())
    except TypeError:  # an array with several elements
        raise bad_argument(name, "a positive integer", value) from None
    if number < 1:
        raise bad_argument(name, "at least 1", number)
    return number


def flag(name: str, value: Any, default: bool) -> bool:
    """Return ``value`` as a bool, or ``default`` for None."""
    if value is None:
        return default
    if type(value).__name__ not in ("bool", "bool_"):  # NumPy's bool_ is not a `bool`
        raise bad_argument(name, "true or false", value)
    return bool(value)


def literal(name: str, value: Any, word: T, expected: str) -> T:
    """Return ``word``, the only text that is accepted. The type is checked first: arrays compare element by element."""
    if not isinstance(value, str) or value != word:
        raise bad_argument(name, expected, value)
    return word


def path_of(name: str, value: Any) -> Path:
    """Return ``value`` as a path that system calls accept."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise bad_argument(name, "a path", value)
    text = os.fspath(value)
    try:
        usable = bool(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise bad_argument(name, "a path that the file system can have", text)
    return Path(text)


def mapping(name: str, value: Any, expected: str) -> Mapping[str, Any]:
    """Return ``value``, a mapping with text keys."""
    if not isinstance(value, Mapping):
        raise bad_argument(name, expected, value)
    for key in value:
        if not isinstance(key, str):
            raise bad_argument(name, f"{expected}, by names", key)
    return value


def folders(value: Any) -> list[Path]:
    """Return ``allow``, a list or tuple of folders, as paths."""
    if not isinstance(value, list | tuple):
        raise bad_argument("allow", "a list of folders", value)
    return [path_of("allow", item) for item in value]


def texts(name: str, value: Any, expected: str) -> list[str]:
    """Return ``value``, a list or tuple of texts, as a list. A single text is refused."""
    if not isinstance(value, list | tuple):
        raise bad_argument(name, expected, value)
    for item in value:
        if not isinstance(item, str):
            raise bad_argument(name, expected, item)
    return list(value)
