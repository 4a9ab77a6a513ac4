"""A spec that is given as a dict → marked tree: whatever a dict may hold is plain after this, or reported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from graphspec.codes import Code
from graphspec.errors import Diagnostic, Mark, SpecError
from graphspec.language.tree import MAX_DEPTH, MAX_KEY, MAX_VALUES, Problems, Tree, below, describe, unfit

_MARK: Final = Mark("<dict>")
_PLAIN: Final = "a spec has mappings, lists, text, numbers, true, false and null"


def from_plain(source: Mapping[Any, Any], problems: Problems) -> Tree:
    """The tree of a dict.

    Raises:
        SpecError: GS110 it is too deep (or holds itself) or too large.
    """
    return _Converter(problems).convert(source, "", 0)


class _Converter:
    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.count = 0

    def convert(self, value: Any, path: str, depth: int) -> Tree:
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_VALUES:
            what = f"deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"larger than {MAX_VALUES:,} values"
            raise self._too_large(f"the spec is {what}", path)
        try:
            plain = _plain(value)
        except Exception as error:  # an object of the user's own may raise anything
            return self._refuse(path, f"a {_kind(value)} cannot be read: {type(error).__name__}")
        if isinstance(plain, _Items):
            return self._mapping(plain.values, path, depth)
        if isinstance(plain, list):
            return Tree([self.convert(item, below(path, str(i)), depth + 1) for i, item in enumerate(plain)], _MARK)
        if plain is _NOTHING:
            return self._refuse(path, f"a {_kind(value)} cannot stand in a spec")
        if (message := unfit(plain)) is not None:
            self.problems.at(_MARK, Code.VALUE_NOT_ALLOWED, message, path=path, hint="write it shorter")
            return Tree(None, _MARK, unknown=True)
        return Tree(plain, _MARK)

    def _mapping(self, items: list[tuple[Any, Any]], path: str, depth: int) -> Tree:
        children: dict[str, Tree] = {}
        for key, child in items:
            name = _key(key)
            if name is None:
                message = f"a key must be a string, not {describe(key)}"
                self.problems.at(_MARK, Code.WRONG_TYPE, message, path=below(path, describe(key)), hint="use text")
            elif len(name) > MAX_KEY:
                raise self._too_large(f"a key has {len(name):,} characters, at most {MAX_KEY:,}", path)
            elif (refusal := unfit(name)) is not None:
                self.problems.at(_MARK, Code.VALUE_NOT_ALLOWED, refusal, path=path, hint="use other text")
            elif name in children:
                message = f"key '{name}' is given twice, as text and as a number"
                self.problems.at(_MARK, Code.DUPLICATE_KEY, message, path=below(path, name), hint="remove one of them")
            else:
                children[name] = self.convert(child, below(path, name), depth + 1)
        return Tree(children, _MARK, dict.fromkeys(children, _MARK))

    def _refuse(self, path: str, message: str) -> Tree:
        self.problems.at(_MARK, Code.WRONG_TYPE, message, path=path, hint=_PLAIN)
        return Tree(None, _MARK, unknown=True)

    @staticmethod
    def _too_large(message: str, path: str) -> SpecError:
        hint = "a spec has about ten levels and short keys"
        return SpecError([Diagnostic(Code.DOCUMENT_TOO_LARGE, message, _MARK.file, path=path, hint=hint)])


class _Items:
    """The keys and values of a mapping."""

    def __init__(self, values: list[tuple[Any, Any]]) -> None:
        self.values = values


_NOTHING: Final = object()


def _plain(value: Any) -> Any:
    """A scalar of exactly its type, a list, or :class:`_Items`; ``_NOTHING`` for what has no place in a spec."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return value if type(value) is kind else _exactly(kind, value)
    if isinstance(value, Mapping):
        return _Items([(key, child) for key, child in _some(value.items())])
    if isinstance(value, list | tuple):
        return list(_some(value))
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        return _exactly(str, path) if isinstance(path, str) else _NOTHING
    if type(value).__module__ == "numpy" and getattr(value, "size", 0) <= MAX_VALUES:  # its numbers and arrays
        made = value.tolist()
        return made if isinstance(made, list) else _NOTHING if type(made) is type(value) else _plain(made)
    return _NOTHING


def _exactly(kind: type, value: Any) -> Any:
    """The text or number that an object of a class of its own is, whatever its methods say."""
    return {str: str.__str__, int: int.__int__, float: float.__float__}[kind](value)


def _some(items: Iterable[Any]) -> Iterator[Any]:
    """The items, as many as a spec may have and one more: what goes on for ever is too large."""
    return islice(items, MAX_VALUES + 1)


def _key(key: Any) -> str | None:
    if isinstance(key, str):
        return str(_exactly(str, key))
    if isinstance(key, int) and not isinstance(key, bool):
        number = _exactly(int, key)
        return None if unfit(number) else str(number)
    return None


def _kind(value: Any) -> str:
    return type(value).__name__[:60]
