"""The marked tree: a document's values, each with the place where it stands."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from math import isfinite, isnan
from typing import Any, TypeAlias

from graphspec.codes import Code
from graphspec.errors import Diagnostic, Mark, did_you_mean, shorten

Scalar: TypeAlias = "str | int | float | bool | None"

MAX_DEPTH = 100
"""Levels of nesting that a document may have; the deepest real spec has about ten."""
MAX_VALUES = 400_000
"""Values that a document may hold once its aliases and variables are written out."""
MAX_KEY = 1024
"""Characters of a key; YAML's limit for keys without ``?``."""
MAX_TEXT = 65_536
"""Characters of a text."""
MAX_DIGITS = 600
"""Digits of a number; Python can be set to write no more than 640."""
_MAX_PATH = 500
_SHORT = 60
_LARGEST = 10**MAX_DIGITS
_HALF = re.compile("[\ud800-\udfff]")


class Tree:
    """One value of a document. Trees may share parts (aliases, variables): never change one in place.

    Attributes:
        key_marks: for a mapping, where each key stands.
        path: dotted keys from the top; an item of a list by its ``name`` if it has one, else by its index.
        size, depth: values within, itself included, and levels below it.
        dynamic: whether a variable may occur in it, so that substitution can pass over the rest.
        origin: where the value was written, if a variable put it here.
        unknown: whether a variable in it could not be found; that has been reported, and nothing more is said of it.
    """

    __slots__ = ("depth", "dynamic", "key_marks", "mark", "origin", "path", "size", "unknown", "value")

    def __init__(
        self,
        value: dict[str, Tree] | list[Tree] | Scalar,
        mark: Mark,
        key_marks: dict[str, Mark] | None = None,
        path: str = "",
        *,
        unknown: bool = False,
    ) -> None:
        self.value: Any = value
        self.mark = mark
        self.key_marks: dict[str, Mark] = key_marks or {}
        self.path = path
        self.origin: Mark | None = None
        self.size, self.depth, self.dynamic, self.unknown = 1, 0, False, unknown
        for child in self.children():
            self.size += child.size
            self.depth = max(self.depth, child.depth + 1)
            self.dynamic = self.dynamic or child.dynamic
            self.unknown = self.unknown or child.unknown
        if isinstance(value, str):
            self.dynamic = "${" in value

    def children(self) -> Iterator[Tree]:
        if isinstance(self.value, dict):
            yield from self.value.values()
        elif isinstance(self.value, list):
            yield from self.value

    def get(self, key: str) -> Tree | None:
        """The value under ``key``; None if this is no mapping or has no such key."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def plain(self) -> Any:
        """The plain Python value."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def find(self, loc: Sequence[str | int]) -> tuple[Tree | None, Mark | None]:
        """The value at ``loc`` (keys and indices), and the mark of its key; None where there is none."""
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
        """The first key with its value, where both stand on one line: what stands for a whole node."""
        if not isinstance(self.value, dict) or not self.value:
            return self.mark
        key, child = next(iter(self.value.items()))
        start, end = self.key_marks.get(key, self.mark), child.mark
        if start.column is None or end.column is None or start.line != end.line or start.file != end.file:
            return start
        return Mark(start.file, start.line, start.column, max(start.length, end.column + end.length - start.column))

    def below(self, key: str) -> str:
        """The path of ``key`` in this mapping."""
        return below(self.path, key)

    def set_paths(self, path: str = "") -> Tree:
        """Give this tree and all below it their paths, the first one where a part is shared; returns itself."""
        if self.path:
            return self
        self.path = path
        if isinstance(self.value, dict):
            for key, child in self.value.items():
                child.set_paths(below(path, key))
        elif isinstance(self.value, list):
            for index, child in enumerate(self.value):
                child.set_paths(below(path, item_name(child) or str(index)))
        return self


def below(path: str, key: str) -> str:
    """The path of ``key`` below ``path``. A path that is very long goes no deeper: many values would have copies of it."""
    if len(path) > _MAX_PATH:
        return path
    return f"{path}.{key}" if path else key


def item_name(item: Tree) -> str | None:
    """What a list's item is called: its ``name``, if it is a mapping that has one."""
    name = item.get("name")
    return name.value if name is not None and isinstance(name.value, str) else None


def unfit(value: Any) -> str | None:
    """Why a scalar cannot stand in a spec, or None."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            return f"a text of {len(value):,} characters is too long, at most {MAX_TEXT:,}"
        if not value.isascii() and (half := _HALF.search(value)):
            return f"text holds U+{ord(half[0]):04X}, which is half of a character"
    elif isinstance(value, int) and abs(value) >= _LARGEST:
        return f"a number of more than {MAX_DIGITS} digits is too long"
    return None


def describe(value: Any) -> str:
    """A tree or a plain value as a message quotes it: short, in YAML's words."""
    plain = value.value if isinstance(value, Tree) else value
    text = ""
    for piece in _pieces(plain):
        text += piece
        if isinstance(plain, dict | list | tuple) and len(text) > _SHORT:
            return f"a {'mapping' if isinstance(plain, dict) else 'list'} of {len(plain)}"
    return text


def format_value(value: Any) -> str:
    """``value`` in flow style."""
    return "".join(_pieces(value))


def _pieces(value: Any) -> Iterator[str]:
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
        return f"'{value if len(value) <= _SHORT else value[: _SHORT - 3] + '…'}'"
    if isinstance(value, int | float):
        return "a very long number" if unfit(value) else shorten(repr(value))
    return f"a {type(value).__name__}"


def wrong_type(tree: Tree, wanted: str) -> str | None:
    """How to mend a value that is no ``wanted`` (``an integer``, ``a list``, …), where that is plain."""
    value = tree.value
    if wanted == "text":
        return "put quotes around it" if isinstance(value, bool | int | float) else None
    if wanted in ("a list", "an integer") and isinstance(value, str) and re.match(r"\((?!\w+\))", value):
        return f"lists have brackets: `[{value.strip('() ')}{'' if value.endswith(')') else ', …'}]`"
    if wanted == "true or false" and isinstance(value, str):
        word = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value.lower())
        return f"write `{word}`" if word in ("true", "false") else None
    if wanted == "an integer" and isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"write `{int(value)}`"
    if wanted in ("an integer", "a number") and isinstance(value, str):
        pattern = r"[-+]?\d+" if wanted == "an integer" else r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
        return f"write `{value}` without quotes" if re.fullmatch(pattern, value) else None
    return None


def listed(names: Iterable[str], most: int = 12) -> str:
    """``a, b, c``, the first ones of many."""
    first = [shorten(name) for name in islice(names, most + 1)]
    return ", ".join(first[:most]) + (", …" if len(first) > most else "")


def circle(names: Sequence[str], most: int = 12) -> str:
    """``a → b → a`` of the names on a circle, the first and last ones of many."""
    shown = [*names] if len(names) <= most else [*names[: most // 2], "…", *names[-most // 2 :]]
    return " → ".join(shorten(name) for name in [*shown, names[0]])


def meant(tree: Tree, known: Collection[str]) -> set[str]:
    """Those of the ``known`` keys that a misspelt key of the mapping ``tree`` was meant to be: they are not missing."""
    hints = {did_you_mean(key, known) for key in tree.value if key not in known}
    return {key for key in known if f"did you mean '{key}'?" in hints}


class Problems:
    """Collects diagnostics; what is said twice about one place (a block's node, used many times) is kept once."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self._seen: set[tuple[object, ...]] = set()
        self._wrong: set[tuple[object, ...]] = set()

    def at(
        self, mark: Mark, code: str, message: str, *, path: str = "", subject: str = "", hint: str | None = None
    ) -> None:
        """Report at ``mark``; ``subject`` tells apart what has the same code and place, such as two missing keys."""
        key = (code, mark.file, mark.line, mark.column, path, subject)
        if code == Code.UNKNOWN_KEY and mark.line is not None and (mark.file, mark.line, mark.column) in self._wrong:
            return  # that a key is no text has been said
        if code == Code.WRONG_TYPE:
            self._wrong.add((mark.file, mark.line, mark.column))
        if key not in self._seen:
            self._seen.add(key)
            self.found.append(Diagnostic.at(mark, code, message, path=path, hint=hint))

    def value(self, tree: Tree, code: str, message: str, *, hint: str | None = None, subject: str = "") -> None:
        """Report at a value; where a variable put it there, say where that has it from."""
        if tree.origin is not None:
            source = (
                f"the value is set at line {tree.origin.line}" if tree.origin.line else "the value is set elsewhere"
            )
            if tree.origin.file == "--set":
                source = "the value is set by --set"
            hint = f"{hint}; {source}" if hint else source
        self.at(tree.mark, code, message, path=tree.path, hint=hint, subject=subject)

    def key(self, tree: Tree, key: str, code: str, message: str, *, hint: str | None = None) -> None:
        """Report at a key of the mapping ``tree``."""
        self.at(tree.key_marks.get(key, tree.mark), code, message, path=tree.below(key), hint=hint)

    def node(self, tree: Tree, code: str, message: str, *, hint: str | None = None, subject: str = "") -> None:
        """Report at a mapping as a whole: its first key."""
        self.at(tree.first_key, code, message, path=tree.path, hint=hint, subject=subject)
