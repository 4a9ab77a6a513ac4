"""Convert a spec from a dict to a marked tree with plain values. Everything else in the dict is reported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, Mark, SpecError
from graphspec.language.tree import MAX_DEPTH, MAX_KEY, MAX_VALUES, Problems, Tree, child_path, describe, scalar_problem

_MARK: Final = Mark("<dict>")
_ALLOWED: Final = "a spec contains mappings, lists, text, numbers, true, false and null"


def tree_from_dict(source: Mapping[Any, Any], problems: Problems) -> Tree:
    """Return the tree of a dict.

    Raises:
        SpecError: the dict is too deep, contains itself, or is too large (GS110).
    """
    return _Converter(problems).convert(source, "", 0)


class _Converter:
    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.count = 0

    def convert(self, value: Any, path: str, depth: int) -> Tree:
        """Return the tree of ``value``; report what cannot be converted."""
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_VALUES:
            what = f"deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"larger than {MAX_VALUES:,} values"
            raise self._too_large(f"the spec is {what}", path)
        try:
            plain = _plain(value)
        except Exception as error:  # the methods of a user's class may raise anything
            return self._refuse(path, f"a {_type_name(value)} cannot be read: {type(error).__name__}")
        if isinstance(plain, _Items):
            return self._mapping(plain.values, path, depth)
        if isinstance(plain, list):
            return Tree(
                [self.convert(item, child_path(path, str(i)), depth + 1) for i, item in enumerate(plain)], _MARK
            )
        if plain is _UNSUPPORTED:
            return self._refuse(path, f"a spec cannot contain a {_type_name(value)}")
        if (message := scalar_problem(plain)) is not None:
            self.problems.at(_MARK, Code.VALUE_NOT_ALLOWED, message, path=path, hint="write it shorter")
            return Tree(None, _MARK, unknown=True)
        return Tree(plain, _MARK)

    def _mapping(self, items: list[tuple[Any, Any]], path: str, depth: int) -> Tree:
        children: dict[str, Tree] = {}
        for key, child in items:
            name = _key(key)
            if name is None:
                message = f"a key must be a string, not {describe(key)}"
                self.problems.at(_MARK, Code.WRONG_TYPE, message, path=child_path(path, describe(key)), hint="use text")
            elif len(name) > MAX_KEY:
                raise self._too_large(f"a key has {len(name):,} characters, at most {MAX_KEY:,}", path)
            elif (problem := scalar_problem(name)) is not None:
                self.problems.at(_MARK, Code.VALUE_NOT_ALLOWED, problem, path=path, hint="use other text")
            elif name in children:
                message = f"key '{name}' is given twice, as text and as a number"
                self.problems.at(
                    _MARK, Code.DUPLICATE_KEY, message, path=child_path(path, name), hint="remove one of them"
                )
            else:
                children[name] = self.convert(child, child_path(path, name), depth + 1)
        return Tree(children, _MARK, dict.fromkeys(children, _MARK))

    def _refuse(self, path: str, message: str) -> Tree:
        self.problems.at(_MARK, Code.WRONG_TYPE, message, path=path, hint=_ALLOWED)
        return Tree(None, _MARK, unknown=True)

    @staticmethod
    def _too_large(message: str, path: str) -> SpecError:
        hint = "real specs have about ten levels and short keys"
        return SpecError([Diagnostic(Code.DOCUMENT_TOO_LARGE, message, _MARK.file, path=path, hint=hint)])


class _Items:
    """The keys and values of a mapping."""

    def __init__(self, values: list[tuple[Any, Any]]) -> None:
        self.values = values


_UNSUPPORTED: Final = object()


def _plain(value: Any) -> Any:
    """Return a builtin scalar, a list, or :class:`_Items`; ``_UNSUPPORTED`` for other objects."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return value if type(value) is kind else _exactly(kind, value)
    if isinstance(value, Mapping):
        return _Items([(key, child) for key, child in _limited(value.items())])
    if isinstance(value, list | tuple):
        return list(_limited(value))
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        return _exactly(str, path) if isinstance(path, str) else _UNSUPPORTED
    if type(value).__module__ == "numpy" and getattr(value, "size", 0) <= MAX_VALUES:  # a scalar or an array
        result = value.tolist()
        return result if isinstance(result, list) else _UNSUPPORTED if type(result) is type(value) else _plain(result)
    return _UNSUPPORTED


def _exactly(kind: type, value: Any) -> Any:
    """Return an instance of a subclass as a builtin, ignoring the methods of the subclass."""
    return {str: str.__str__, int: int.__int__, float: float.__float__}[kind](value)


def _limited(items: Iterable[Any]) -> Iterator[Any]:
    """Yield at most one item more than a spec may contain, so that endless iterables are reported as too large."""
    return islice(items, MAX_VALUES + 1)


def _key(key: Any) -> str | None:
    """Return a key as text, or None if it is neither text nor an integer."""
    if isinstance(key, str):
        return str(_exactly(str, key))
    if isinstance(key, int) and not isinstance(key, bool):
        number = _exactly(int, key)
        return None if scalar_problem(number) else str(number)
    return None


def _type_name(value: Any) -> str:
    return type(value).__name__[:60]
