"""The marked tree: the values of a document, each with its position."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from math import isfinite, isnan
from typing import Any, TypeAlias, TypeVar

from graphspec.base.errors import Code, Mark, Problems, did_you_mean, shorten
from graphspec.base.synonyms.keys import number_hint, tuple_items

Scalar: TypeAlias = "str | int | float | bool | None"
Value: TypeAlias = "dict[str, Tree] | list[Tree] | Scalar"
T = TypeVar("T")

MAX_DEPTH = 100  # the deepest nesting of a document. Real specs have about ten levels
MAX_VALUES = 400_000  # the largest number of values in a document after its aliases and variables are expanded
MAX_KEY = 1024  # the longest key, in characters: YAML's limit for keys without ``?``
MAX_TEXT = 65_536  # the longest text, in characters
MAX_DIGITS = 600  # the longest number, in digits. Python may be configured to print only 640
_MAX_PATH = 500  # characters of a path to which further keys are appended
_MAX_QUOTED = 60  # characters of a value that a message quotes
_LARGEST = 10**MAX_DIGITS
_SURROGATE = re.compile("[\ud800-\udfff]")


class Tree:
    """One value of a document. Trees may share parts (aliases, variables): never change one in place.

    ``size`` is the number of values in it with itself, ``depth`` that of levels below it. ``dynamic``: it may contain a
    variable; substitution skips others. ``unknown``: it depends on an error that has been reported, such as an unknown
    variable. Further problems of it are not reported.
    """

    __slots__ = ("depth", "dynamic", "key_marks", "mark", "origin", "path", "size", "unknown", "value")

    def __init__(
        self, value: Value, mark: Mark, key_marks: dict[str, Mark] | None = None, path: str = "", unknown: bool = False
    ) -> None:
        self.value: Any = value  # a scalar, a list of trees, or a dict of trees
        self.mark = mark  # the position of the value
        self.key_marks: dict[str, Mark] = key_marks or {}  # for a mapping, the position of each key
        self.path = path  # the dotted keys from the top. An item of a list appears by its ``name``, else by its index
        self.origin: Mark | None = None  # the position of the value's definition, if it came from a variable
        self.size, self.depth, self.dynamic, self.unknown = 1, 0, False, unknown
        for child in self.children():
            self.size += child.size
            self.depth = max(self.depth, child.depth + 1)
            self.dynamic = self.dynamic or child.dynamic
            self.unknown = self.unknown or child.unknown
        if isinstance(value, str):
            self.dynamic = "${" in value

    def children(self) -> Iterator[Tree]:
        """Yield the values of a mapping or the items of a list."""
        if isinstance(self.value, dict | list):
            yield from self.value.values() if isinstance(self.value, dict) else self.value

    def get(self, key: str) -> Tree | None:
        """Return the value under ``key``; None if this is not a mapping or lacks the key."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def text(self, key: str) -> str | None:
        child = self.get(key)
        return child.value if child is not None and isinstance(child.value, str) else None

    def mapping(self, key: str) -> dict[str, Tree]:
        """Return the mapping under ``key``; an empty one if there is none."""
        child = self.get(key)
        return child.value if child is not None and isinstance(child.value, dict) else {}

    def plain(self) -> Any:
        return each(Tree.plain, self.value)

    def find(self, loc: Sequence[str | int]) -> tuple[Tree | None, Mark | None]:
        """Return the value at ``loc`` (keys and indices) and the mark of its key, or None for what does not exist."""
        tree: Tree | None = self
        key_mark: Mark | None = None
        for step in loc:
            value = None if tree is None else tree.value
            if isinstance(value, dict) and isinstance(step, str):
                key_mark = tree.key_marks.get(step) if tree is not None else None
                tree = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
                tree, key_mark = value[step], None
            else:
                return None, None
        return tree, key_mark

    @property
    def first_key(self) -> Mark:
        """The position of the first key, with its value if both are on one line. It represents a whole node."""
        if not isinstance(self.value, dict) or not self.value:
            return self.mark
        key, child = next(iter(self.value.items()))
        start, end = self.key_marks.get(key, self.mark), child.mark
        if start.column is None or end.column is None or start.line != end.line or start.file != end.file:
            return start
        return Mark(start.file, start.line, start.column, max(start.length, end.column + end.length - start.column))

    def child_path(self, key: str) -> str:
        return child_path(self.path, key)

    def set_paths(self, path: str = "") -> Tree:
        """Set the paths of this tree and its parts, and return it. A shared part gets the path of its first occurrence."""
        if self.path:
            return self
        self.path = path
        for key, child in self.value.items() if isinstance(self.value, dict) else enumerate(self.children()):
            child.set_paths(child_path(path, key if isinstance(key, str) else child.text("name") or str(key)))
        return self


def child_path(path: str, key: str) -> str:
    """Return the path of ``key`` below ``path``. A very long path stays as it is, since many values store a copy."""
    return path if len(path) > _MAX_PATH else f"{path}.{key}" if path else key


def wrong_type(tree: Tree, message: str, problems: Problems, hint: str | None = None, expected: str = "") -> None:
    """Report a value that has another type (GS104) than ``message`` says; the fix for ``expected`` comes before ``hint``."""
    problems.value(tree, Code.WRONG_TYPE, f"{message}, not {describe(tree)}", hint=type_hint(tree, expected) or hint)


def not_allowed(tree: Tree, message: str, problems: Problems, hint: str | None = None) -> None:
    """Report a value that has the right type and is wrong (GS105)."""
    problems.value(tree, Code.VALUE_NOT_ALLOWED, message, hint=hint)


def is_flag(tree: Tree | None, what: str, problems: Problems, otherwise: str) -> bool:
    """Return whether a value is true or false. Report one that is neither, with a hint."""
    if tree is not None and not tree.unknown and not isinstance(tree.value, bool):
        wrong_type(tree, f"{what} must be true or false", problems, otherwise, "true or false")
    return tree is not None and not tree.unknown and isinstance(tree.value, bool)


def each(convert: Callable[[Any], Any], value: Any) -> Any:
    """Return a list or a mapping with its values converted; a scalar as it is."""
    if isinstance(value, dict):
        return {key: convert(child) for key, child in value.items()}
    return type(value)(map(convert, value)) if isinstance(value, list | tuple) else value


def depth_first(starts: Iterable[T], before: Callable[[T], Iterable[T]]) -> Iterator[T]:
    """Yield what ``starts`` lead to, each behind all that is ``before`` it; in a circle, one is too early."""
    seen: set[T] = set()
    stack: list[tuple[T | None, Iterator[T]]] = [(None, iter(starts))]
    while stack:
        item, others = stack[-1]
        below = next((one for one in others if one not in seen), None)
        if below is not None:
            seen.add(below)
            stack.append((below, iter(before(below))))
            continue
        stack.pop()
        if item is not None:
            yield item


def scalar_problem(value: Any) -> str | None:
    """Return why a spec cannot contain a scalar, or None if it can."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            return f"a text of {len(value):,} characters is too long, at most {MAX_TEXT:,}"
        if not value.isascii() and (half := _SURROGATE.search(value)):
            return f"text contains U+{ord(half[0]):04X}, which is half of a character"
    elif isinstance(value, int) and abs(value) >= _LARGEST:
        return f"a number of more than {MAX_DIGITS} digits is too long"
    return None


def describe(value: Any) -> str:
    """Return a tree or a plain value as a message quotes it: short, in YAML notation."""
    plain = value.value if isinstance(value, Tree) else value
    text = ""
    for piece in _pieces(plain):
        text += piece
        if isinstance(plain, dict | list | tuple) and len(text) > _MAX_QUOTED:
            return f"a {'mapping' if isinstance(plain, dict) else 'list'} of {len(plain)}"
    return text


def format_value(value: Any) -> str:
    """Return ``value`` in YAML's flow style."""
    return "".join(_pieces(value))


def _pieces(value: Any) -> Iterator[str]:
    """Yield the text of ``value`` in flow style, piece by piece: a caller can stop early."""
    if isinstance(value, Tree):
        value = value.value
    if isinstance(value, dict):
        separator = "{"
        for key, child in value.items():
            yield f"{separator}{key}: "
            yield from _pieces(child)
            separator = ", "
        yield "{}" if not value else "}"
    elif isinstance(value, list | tuple):
        separator = "["
        for child in value:
            yield separator
            yield from _pieces(child)
            separator = ", "
        yield "[]" if not value else "]"
    else:
        yield _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not isfinite(value):
        return ".nan" if isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, str):
        return f"'{value if len(value) <= _MAX_QUOTED else value[: _MAX_QUOTED - 3] + '…'}'"
    if isinstance(value, int | float):
        return "a very long number" if scalar_problem(value) else shorten(repr(value))
    return f"a {type(value).__name__}"


def type_hint(tree: Tree, expected: str) -> str | None:
    """Return a hint for a value that is not ``expected`` (``an integer``, ``a list``, …), or None if no fix is obvious."""
    value = tree.value
    if expected == "text":
        return "put quotes around it" if isinstance(value, bool | int | float) else None
    if expected.startswith("a list") and isinstance(value, str) and (items := tuple_items(value)):
        return f"lists have brackets: `{items}`"
    if expected == "true or false" and isinstance(value, str):
        word = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value.lower())
        return f"write `{word}`" if word in ("true", "false") else None
    if expected == "true or false" and not isinstance(value, bool) and value in (0, 1):
        return f"write `{'true' if value else 'false'}`"
    if expected == "an integer" and isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"write `{int(value)}`"
    if expected in ("an integer", "a number") and isinstance(value, str):
        return number_hint(value, integer=expected == "an integer")
    return None


_NAMES = 12  # names in a message


def format_names(names: Iterable[str]) -> str:
    """Return ``a, b, c``; of many names the first ones and ``…``."""
    first = [shorten(name) for name in islice(names, _NAMES + 1)]
    return ", ".join(first[:_NAMES]) + (", …" if len(first) > _NAMES else "")


def format_cycle(names: Sequence[str]) -> str:
    """Return ``a → b → a`` for a cycle ``a, b``; of many names the first and last ones."""
    listed = [*names] if len(names) <= _NAMES else [*names[: _NAMES // 2], "…", *names[-_NAMES // 2 :]]
    return " → ".join(shorten(name) for name in [*listed, names[0]])


def intended_keys(tree: Tree, known: Collection[str]) -> set[str]:
    """Return the ``known`` keys that misspelt keys of ``tree`` stand for. They are not reported as missing."""
    hints = {did_you_mean(key, known) for key in tree.value if key not in known}
    return {key for key in known if f"did you mean '{key}'?" in hints}
