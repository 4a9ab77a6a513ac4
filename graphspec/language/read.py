"""Read a text or a dict to a marked tree.

One loader reads YAML 1.2 (core schema) and JSON from the parser's event stream. It checks depth and size before it
builds anything, tags construct no objects, and every value stores its position.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from graphspec.base.codes import Code
from graphspec.base.errors import Mark, SpecError, did_you_mean
from graphspec.language.from_dict import tree_from_dict
from graphspec.language.override import override
from graphspec.language.scan import events
from graphspec.language.source import check_lines, fail, load
from graphspec.language.syntax import explain_syntax
from graphspec.language.tree import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_KEY,
    MAX_VALUES,
    Problems,
    Tree,
    child_path,
    describe,
    scalar_problem,
)

MAX_PROBLEMS = 10_000
"""Reading stops after this many problems, such as tags and duplicate keys."""
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+)|0o(?P<oct>[0-7]+)|0x(?P<hex>[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<inf>[-+]?\.(?:inf|Inf|INF))|(?P<nan>\.(?:nan|NaN|NAN))"
)
_CORE_TAGS = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None), "map": dict, "seq": list}


def read(
    source: str | os.PathLike[str] | Mapping[str, Any], *, sets: Sequence[str] = (), problems: Problems | None = None
) -> Tree:
    """Return the tree of a spec.

    Args:
        source: a file's path, or a dict.
        sets: overrides ``key.path=VALUE``, applied in order.
        problems: collects problems that do not stop reading: a key that is not a string (GS104), a duplicate key (GS106),
            a tag (GS101). Without it these are raised, too.

    Raises:
        SpecError: the source is not YAML or JSON (GS101), or is too deep or too large (GS110). The exception contains all
            problems found before.
        UsageError: an override is malformed or leads nowhere.
    """
    collected = problems is not None
    problems = problems or Problems()
    if isinstance(source, Mapping):
        tree = tree_from_dict(source, problems)
    else:
        file = load(os.fspath(source))
        tree = _Builder(file, problems).build(file.text)
    if not isinstance(tree.value, dict):
        hint = "begin with `graphspec: 1`, then `name`, `inputs`, `layers` and `outputs`"
        problems.value(tree, Code.UNREADABLE_DOCUMENT, f"a spec is a mapping of keys, not {describe(tree)}", hint=hint)
    if problems.found and not (collected and isinstance(tree.value, dict)):
        raise SpecError(problems.found)
    for text in sets:
        tree = override(tree, text, read_value)
    return tree.set_paths()


def read_value(text: str, file: str) -> Tree:
    """Return the tree of a YAML value that is not in a file, such as one of the command line. Its marks have no line.

    Raises:
        SpecError: the text is not YAML.
    """
    problems = Problems()
    tree = _Builder(file, problems, without_lines=True).build(text or "null")
    if problems.found:
        raise SpecError(problems.found)
    return tree


class _Open:
    """A list or mapping that is being built."""

    __slots__ = ("anchor", "key", "key_mark", "marks", "start", "unknown", "value")

    def __init__(self, value: dict[str, Tree] | list[Tree], start: Any, anchor: str | None) -> None:
        self.value: Any = value
        self.start, self.anchor, self.unknown = start, anchor, False
        self.marks: dict[str, Mark] = {}
        self.key: str | None = None
        self.key_mark: Mark | None = None


class _Builder:
    """Builds a tree from the events of one document, without recursion."""

    def __init__(self, file: str, problems: Problems, *, without_lines: bool = False) -> None:
        self.file, self.problems, self.without_lines = file, problems, without_lines
        self.anchors: dict[str, Tree | None] = {}
        self.stack: list[_Open] = []
        self.count = 0

    def build(self, text: str) -> Tree:
        """Return the tree of the only document in ``text``."""
        check_lines(self.file, text)
        top: Tree | None = None
        for event in self._events(text):
            tree: Tree
            if isinstance(event, ScalarEvent):
                mark = self._mark(event)
                if self._expects_key():
                    self._set_key(event, mark)
                    continue
                before = len(self.problems.found)
                value = self._scalar(event, mark)
                tree = Tree(value, mark, unknown=len(self.problems.found) > before)
                self._remember(event.anchor, tree)
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                self._open(event)
                continue
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                tree = self._close(event)
            elif isinstance(event, AliasEvent):
                if self._expects_key():
                    raise self._stop(
                        event, Code.WRONG_TYPE, "a key must be a string, not an alias", "replace the alias by its text"
                    )
                tree = self._alias(event)
            elif isinstance(event, DocumentStartEvent) and top is not None:
                raise self._stop(
                    event, Code.UNREADABLE_DOCUMENT, "a second document begins here", "one file holds one spec"
                )
            else:
                continue
            if not self.stack:
                top = tree
            else:
                self._add(tree)
        if top is None:
            raise fail(self.file, "the file is empty", line=1, column=1, hint="`graphspec init` writes a first spec")
        return top

    def _events(self, text: str) -> Iterator[Any]:
        try:
            yield from events(text)
        except (YAMLError, ValueError, IndexError, KeyError, AssertionError, OverflowError) as error:
            # ruamel.yaml raises plain exceptions for some malformed escapes and directives
            found = explain_syntax(error, text, self.file)
            if self.without_lines:
                found = replace(found, line=None, column=None)
            raise SpecError([*self.problems.found, found]) from None

    def _mark(self, event: Any, end: Any = None) -> Mark:
        if self.without_lines:
            return Mark(self.file)
        start, stop = event.start_mark, end or event.end_mark
        length = stop.column - start.column if start.line == stop.line else 1
        return Mark(self.file, start.line + 1, start.column + 1, max(1, length))

    def _path(self) -> str:
        steps = [entry.key if isinstance(entry.value, dict) else str(len(entry.value)) for entry in self.stack]
        return ".".join(step for step in steps if step is not None)

    def _stop(self, event: Any, code: str, message: str, hint: str | None = None) -> SpecError:
        """Return the error that stops reading, with all problems found before."""
        self.problems.at(self._mark(event), code, message, path=self._path(), hint=hint)
        return SpecError(self.problems.found)

    def _too_deep(self, event: Any) -> SpecError:
        text = f"the document is deeper than {MAX_DEPTH} levels"
        return self._stop(
            event, Code.DOCUMENT_TOO_LARGE, text, "real specs have about ten levels; is a bracket not closed?"
        )

    def _expects_key(self) -> bool:
        """Return whether the next event is a key of a mapping."""
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def _set_key(self, event: Any, mark: Mark) -> None:
        text: str = event.value
        if len(text) > MAX_KEY:
            message = f"a key has {len(text):,} characters, at most {MAX_KEY:,}"
            raise self._stop(event, Code.DOCUMENT_TOO_LARGE, message, "is a quotation mark not closed?")
        before = len(self.problems.found)
        value = self._scalar(event, mark)
        entry = self.stack[-1]
        if value is None and len(self.problems.found) > before:
            value = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if isinstance(value, int) and not isinstance(value, bool):
            value = text
        if not isinstance(value, str):
            message = f"a key must be a string, not {describe(value)}"
            self.problems.at(
                mark,
                Code.WRONG_TYPE,
                message,
                path=child_path(self._path(), text or "null"),
                hint="put quotes around it",
            )
            value = text
        entry.key, entry.key_mark = value, mark

    def _open(self, event: Any) -> None:
        if self._expects_key():
            word = "mapping" if isinstance(event, MappingStartEvent) else "list"
            hint = "check the indentation; put quotes around text that begins with a bracket"
            if isinstance(event, MappingStartEvent) and event.flow_style:
                hint = 'put quotes around a variable inside braces: "${x}"'
            raise self._stop(event, Code.WRONG_TYPE, f"a key must be a string, not a {word}", hint)
        before = len(self.problems.found)
        self._check_tag(event, None)
        unknown = len(self.problems.found) > before
        if len(self.stack) >= MAX_DEPTH:
            raise self._too_deep(event)
        self._count(event, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(_Open({} if isinstance(event, MappingStartEvent) else [], event, event.anchor))
        self.stack[-1].unknown = unknown

    def _close(self, event: Any) -> Tree:
        entry = self.stack.pop()
        start = entry.start
        mark = self._mark(start, event.end_mark)
        if not start.flow_style and entry.marks:
            mark = next(iter(entry.marks.values()))
        tree = Tree(entry.value, mark, entry.marks, unknown=entry.unknown)
        self._remember(entry.anchor, tree)
        return tree

    def _add(self, tree: Tree) -> None:
        entry = self.stack[-1]
        if isinstance(entry.value, list):
            entry.value.append(tree)
            return
        assert entry.key is not None
        assert entry.key_mark is not None
        if entry.key in entry.value:
            first = entry.marks[entry.key].line
            where = "" if first is None else f"; first at line {first}"
            message = f"key '{entry.key}' is given twice{where}"
            self.problems.at(entry.key_mark, Code.DUPLICATE_KEY, message, path=self._path(), hint="remove one of them")
        else:
            entry.value[entry.key], entry.marks[entry.key] = tree, entry.key_mark
        entry.key = None

    def _remember(self, anchor: str | None, tree: Tree) -> None:
        if anchor is not None:
            self.anchors[anchor] = tree

    def _alias(self, event: Any) -> Tree:
        name = event.anchor
        if name not in self.anchors:
            hint = did_you_mean(name, self.anchors, quote="*") or "put quotes around text that begins with '*'"
            raise self._stop(event, Code.UNREADABLE_DOCUMENT, f"no anchor '&{name}' precedes this alias", hint)
        tree = self.anchors[name]
        if tree is None:
            text = f"alias '*{name}' is inside its own anchor and never ends"
            raise self._stop(event, Code.DOCUMENT_TOO_LARGE, text, "replace the alias by a value")
        if len(self.stack) + tree.depth > MAX_DEPTH:
            raise self._too_deep(event)
        self._count(event, tree.size)
        return tree

    def _count(self, event: Any, values: int) -> None:
        self.count += values
        if len(self.problems.found) > MAX_PROBLEMS:
            text = f"there are more than {MAX_PROBLEMS:,} problems before this line: reading stops here"
            raise self._stop(event, Code.DOCUMENT_TOO_LARGE, text, "fix these first")
        if self.count > MAX_VALUES:
            text = f"the document has more than {MAX_VALUES:,} values after its aliases are expanded"
            raise self._stop(
                event,
                Code.DOCUMENT_TOO_LARGE,
                text,
                "use fewer aliases, and `repeat` or `blocks` for many nodes",
            )

    def _check_tag(self, event: Any, value: Any) -> str | None:
        """Return the short tag of an event in the core schema. Report other tags, which would construct objects."""
        tag = event.tag
        if tag is None or tag == "!":
            return "str" if tag == "!" and isinstance(event, ScalarEvent) else None
        name = str(tag).removeprefix("tag:yaml.org,2002:")
        expected = _CORE_TAGS.get(name) if name != tag else None
        kind = type(value) if isinstance(event, ScalarEvent) else dict if isinstance(event, MappingStartEvent) else list
        if expected is None or not (expected is str or kind is expected or (expected is float and kind is int)):
            written = f"!!{name}" if name != tag else name
            text = f"tag '{written}' is not allowed: a spec contains only plain values"
            self.problems.at(
                self._mark(event), Code.UNREADABLE_DOCUMENT, text, path=self._path(), hint="remove the tag"
            )
            return None
        return name

    def _scalar(self, event: Any, mark: Mark) -> Any:
        """Return the value of a scalar. Report a scalar that a spec cannot contain, and return None."""
        self._count(event, 1)
        text: str = event.value
        if not text.isascii():  # joins the surrogate pairs of JSON escapes
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        value = text if event.style is not None else self._resolve(text, mark)
        if (message := scalar_problem(value)) is not None:
            self.problems.at(mark, Code.VALUE_NOT_ALLOWED, message, path=self._path(), hint="shorten or remove it")
            return None
        if event.ctag is not None:
            tag = self._check_tag(event, value)
            if tag == "str":
                return text
            if tag == "float":
                return float(value)
        return value

    def _resolve(self, text: str, mark: Mark) -> Any:
        """Return the value of a plain scalar by the core schema of YAML 1.2."""
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if text[0] not in "+-.0123456789" or (match := _NUMBER.fullmatch(text)) is None:
            return text
        kind = match.lastgroup
        if len(text) > MAX_DIGITS:
            message = f"a number of {len(text)} digits is too long, at most {MAX_DIGITS}"
            self.problems.at(
                mark, Code.VALUE_NOT_ALLOWED, message, path=self._path(), hint="put quotes around it if it is text"
            )
            return None
        if kind == "int":
            return int(text)
        if kind == "oct" or kind == "hex":
            return int(match[kind], 8 if kind == "oct" else 16)
        return float(text.replace(".", "", 1)) if kind in ("inf", "nan") else float(text)
