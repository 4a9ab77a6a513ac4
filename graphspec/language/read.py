"""Read a text or a dict to a marked tree."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, GivenText, Mark, Problems, SourceFile, SpecError, did_you_mean, shorten
from graphspec.base.text import count_breaks, line_of
from graphspec.language.override import override
from graphspec.language.scan import ERRORS, events
from graphspec.language.tree import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_KEY,
    MAX_VALUES,
    Scalar,
    Tree,
    child_path,
    describe,
    scalar_problem,
)

# Convert a spec from a dict to a marked tree with plain values. Everything else in the dict is reported.
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


# Explain syntax errors of YAML and JSON, and find positions in a text.
def line_and_column(text: str, position: int) -> tuple[int, int]:
    """Return line and column of a character, both from 1."""
    head = text[:position]
    if head.endswith("\r") and text[position : position + 1] == "\n":
        head = head[:-1]  # CR LF is one line break: the LF belongs to the line that it ends
    return count_breaks(head) + 1, position - max(head.rfind("\n"), head.rfind("\r"))


def explain_syntax(error: Exception, text: str, file: str) -> Diagnostic:
    """Return GS101 for an error of the YAML parser."""
    if isinstance(error, MarkedYAMLError):
        return _marked(error, text, file)
    if isinstance(error, ReaderError):
        line, column = line_and_column(text, error.position)
        code = ord(error.character) if isinstance(error.character, str) else int(error.character)
        message = f"not YAML or JSON: character U+{code:04X} is not allowed in text"
        hint = "remove it; inside double quotes it may be written as an escape"
        return Diagnostic(Code.UNREADABLE_DOCUMENT, message, file, line, column, hint=hint)
    hint = "check escapes inside double quotes, and lines that begin with '%'"
    return Diagnostic(Code.UNREADABLE_DOCUMENT, f"not YAML or JSON: {error}".rstrip(": "), file, hint=hint)


def _marked(error: MarkedYAMLError, text: str, file: str) -> Diagnostic:
    """Return GS101 for an error with a position, with a hint for common mistakes."""
    position = error.problem_mark or error.context_mark
    problem = re.sub(r"\('(.*)',\)", r"'\1'", (error.problem or "syntax error").strip())
    problem = problem.replace("'<stream end>'", "the end of the text").replace("'<scalar>'", "a value")
    message = "not YAML or JSON: " + re.sub(r"'<(.*)>'", r"\1", problem)
    start = None
    if error.context:
        message += f", {error.context.strip()}"
        if error.context_mark is not None and error.context_mark is not position:
            start = error.context_mark.line + 1
            message += f" that begins at line {start}"
    hint = None
    if match := re.match(r"expected ',' or '(.)'", problem):
        bracket = "{" if match[1] == "}" else "["
        hint = f"insert a comma before it, or close the '{bracket}' of line {start}"
    if position is not None:
        line = line_of(text, position.line + 1) or ""
        if re.search(r"""(?<!["'$])\$\{""", line):
            hint = 'put quotes around a variable inside braces: "${x}"'
        elif "\t" in line[: position.column + 1]:
            hint = "indent with spaces, not with tabs"
        elif "mapping values are not allowed" in message:
            hint = "check the indentation; put quotes around text that contains ': '"
        elif "cannot start any token" in message:
            hint = "put quotes around text that begins with this character"
    hint = hint or "check indentation, quotes and brackets here and in the lines above"
    if position is None:
        return Diagnostic(Code.UNREADABLE_DOCUMENT, message, file, hint=hint)
    return Diagnostic(Code.UNREADABLE_DOCUMENT, message, file, position.line + 1, position.column + 1, hint=hint)


# Load the text of a spec from a file, a pipe or a device, up to a limit.
MAX_BYTES: Final = 16 * 2**20
"""The largest file. A spec of 10,000 layers has about 2 MB."""
MAX_LINES: Final = MAX_VALUES
"""The largest number of lines."""

_SUFFIXES = (".yaml", ".yml", ".json")
_REFUSED = {stat.S_IFDIR: "a folder", stat.S_IFBLK: "a block device", stat.S_IFSOCK: "a socket"}


def fail(file: str, message: str, *, line: int | None = None, column: int | None = None, **fields: Any) -> SpecError:
    """Return the error for a source that cannot be read: GS101, or the code in ``fields``."""
    return SpecError([Diagnostic(fields.pop("code", Code.UNREADABLE_DOCUMENT), message, file, line, column, **fields)])


def load(file: str) -> SourceFile:
    """Read a file once and return its name with its text. ``/dev/stdin``, named pipes and process substitution work, too.

    Reading from a pipe waits for its writer.

    Raises:
        SpecError: the file cannot be read or is not text (GS101), or it is too large (GS110).
    """
    if isinstance(file, GivenText):
        return _given(file)
    path = Path(file)
    try:
        status = path.stat()
        kind = _REFUSED.get(stat.S_IFMT(status.st_mode))
        if stat.S_ISFIFO(status.st_mode) and path.suffix.lower() not in ("", *_SUFFIXES):
            kind = "a pipe"
        if kind is not None:
            raise fail(file, f"cannot read '{shorten(file)}': it is {kind}", hint="name a YAML or JSON file")
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        data = b""
        if size <= MAX_BYTES:
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        hint = did_you_mean(file, _specs_beside(path)) or "`graphspec init` writes a first spec"
        raise fail(file, f"no such file: {shorten(file)!r}", hint=hint) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise fail(file, f"cannot read {shorten(file)!r}: {reason}") from None
    if max(size, len(data)) > MAX_BYTES:
        much = f"{size / 2**20:.0f}" if size > MAX_BYTES else f"more than {MAX_BYTES // 2**20}"
        raise _too_large(file, f"the file has {much} MiB")
    return SourceFile(file, _decoded(file, data))


def _too_large(file: str, size: str) -> SpecError:
    text = f"{size}, but a spec has at most {MAX_BYTES // 2**20}"
    return fail(file, text, code=Code.DOCUMENT_TOO_LARGE, hint="is it a spec? store data in separate files")


def _given(file: GivenText) -> GivenText:
    """Return a text that is no file, unless it is too large."""
    if len(file.text) > MAX_BYTES:
        raise _too_large(file, f"the text has {len(file.text) / 2**20:.0f} MiB")
    return file


def _specs_beside(path: Path) -> list[str]:
    """Return the specs in the folder of ``path``."""
    try:
        return [str(p) for p in path.parent.iterdir() if p.suffix in _SUFFIXES]
    except OSError:
        return []


def _decoded(file: str, data: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte-order mark."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        head = data[: error.start].decode(encoding, "ignore")
        line, column = line_and_column(head, len(head))
        text = f"not YAML or JSON: byte 0x{data[error.start]:02x} is not UTF-8 text"
        raise fail(file, text, line=line, column=column, hint="a spec is a text file in UTF-8") from None


def check_lines(file: str, text: str) -> None:
    """Refuse a text with too many lines. Every line takes time, even an empty one.

    Raises:
        SpecError: GS110.
    """
    if (lines := count_breaks(text)) > MAX_LINES:
        message = f"the document has {lines:,} lines, but a spec has at most {MAX_LINES:,}"
        hint = "is it a spec? store data in separate files"
        raise fail(file, message, code=Code.DOCUMENT_TOO_LARGE, line=None, hint=hint)


# Read a text or a dict to a marked tree.
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
    problems.check()
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
        except ERRORS as error:
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
        text = joined(event.value)
        try:
            value = text if event.style is not None else plain_value(text)
        except ValueError as error:
            hint = "put quotes around it if it is text"
            self.problems.at(mark, Code.VALUE_NOT_ALLOWED, str(error), path=self._path(), hint=hint)
            return None
        if (message := scalar_problem(value)) is not None:
            self.problems.at(mark, Code.VALUE_NOT_ALLOWED, message, path=self._path(), hint="shorten or remove it")
            return None
        if event.ctag is not None:
            tag = self._check_tag(event, value)
            if tag == "str":
                return text
            if tag == "float" and isinstance(value, int | float):
                return float(value)
        return value


def joined(text: str) -> str:
    """Return a text with a letter for each surrogate pair, which JSON's escapes may have."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def plain_value(text: str) -> Scalar:
    """Return the value of a plain scalar by the core schema of YAML 1.2.

    Raises:
        ValueError: the number has too many digits.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in "+-.0123456789" or (match := _NUMBER.fullmatch(text)) is None:
        return text
    kind = match.lastgroup
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too long, at most {MAX_DIGITS}")
    if kind == "int":
        return int(text)
    if kind == "oct" or kind == "hex":
        return int(match[kind], 8 if kind == "oct" else 16)
    return float(text.replace(".", "", 1)) if kind in ("inf", "nan") else float(text)
