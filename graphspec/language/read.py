"""Read a text or a dict to a marked tree."""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import events as yaml
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from graphspec.base import errors
from graphspec.base.codes import Code
from graphspec.base.text import count_breaks, line_of
from graphspec.language import tree as trees
from graphspec.language.override import override
from graphspec.language.scan import ERRORS, events
from graphspec.language.tree import MAX_DEPTH, MAX_KEY, MAX_VALUES, Scalar, Tree, child_path, describe, scalar_problem

# Convert a spec from a dict to a marked tree with plain values. Everything else in the dict is reported.
_ALLOWED: Final = "a spec contains mappings, lists, text, numbers, true, false and null"


def tree_from_dict(source: Mapping[Any, Any], problems: errors.Problems) -> Tree:
    """Return the tree of a dict; SpecError (GS110) if it is too deep, contains itself, or is too large."""
    return _Converter(problems).convert(source, "", 0)


class _Converter:
    def __init__(self, problems: errors.Problems) -> None:
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
        if isinstance(plain, tuple):
            return self._mapping(plain, path, depth)
        if isinstance(plain, list):
            items = [self.convert(item, child_path(path, str(i)), depth + 1) for i, item in enumerate(plain)]
            return Tree(items, errors.NOWHERE)
        if plain is _UNSUPPORTED:
            return self._refuse(path, f"a spec cannot contain a {_type_name(value)}")
        if (message := scalar_problem(plain)) is not None:
            return self._refuse(path, message, Code.VALUE_NOT_ALLOWED, "write it shorter")
        return Tree(plain, errors.NOWHERE)

    def _mapping(self, items: Iterable[tuple[Any, Any]], path: str, depth: int) -> Tree:
        children: dict[str, Tree] = {}
        for key, child in items:
            name = _key(key)
            if name is None:
                quoted = describe(key)
                self._refuse(child_path(path, quoted), f"a key must be a string, not {quoted}", hint="use text")
            elif len(name) > MAX_KEY:
                raise self._too_large(f"a key has {len(name):,} characters, at most {MAX_KEY:,}", path)
            elif (problem := scalar_problem(name)) is not None:
                self._refuse(path, problem, Code.VALUE_NOT_ALLOWED, "use other text")
            elif name in children:
                message = f"key '{name}' is given twice, as text and as a number"
                self._refuse(child_path(path, name), message, Code.DUPLICATE_KEY, "remove one of them")
            else:
                children[name] = self.convert(child, child_path(path, name), depth + 1)
        return Tree(children, errors.NOWHERE, dict.fromkeys(children, errors.NOWHERE))

    def _refuse(self, path: str, message: str, code: str = Code.WRONG_TYPE, hint: str = _ALLOWED) -> Tree:
        """Report a value, and return an unknown one in its place."""
        self.problems.at(errors.NOWHERE, code, message, path=path, hint=hint)
        return Tree(None, errors.NOWHERE, unknown=True)

    @staticmethod
    def _too_large(message: str, path: str) -> errors.SpecError:
        hint = "real specs have about ten levels and short keys"
        return fail(errors.NOWHERE.file, message, code=Code.DOCUMENT_TOO_LARGE, path=path, hint=hint)


_UNSUPPORTED: Final = object()


def _plain(value: Any) -> Any:
    """Return a builtin scalar, a list, a mapping as a tuple of pairs, or ``_UNSUPPORTED`` for other objects.

    Of endless iterables it is one item more than a spec may contain, so that they are reported as too large.
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return value if type(value) is kind else _exactly(kind, value)
    if isinstance(value, Mapping):
        return tuple((key, child) for key, child in islice(value.items(), MAX_VALUES + 1))
    if isinstance(value, list | tuple):
        return [*islice(value, MAX_VALUES + 1)]
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


def explain_syntax(error: Exception, text: str, file: str) -> errors.Diagnostic:
    """Return GS101 for an error of the YAML parser."""
    if isinstance(error, MarkedYAMLError):
        return _marked(error, text, file)
    if isinstance(error, ReaderError):
        line, column = line_and_column(text, error.position)
        code = ord(error.character) if isinstance(error.character, str) else int(error.character)
        message = f"not YAML or JSON: character U+{code:04X} is not allowed in text"
        hint = "remove it; inside double quotes it may be written as an escape"
        return errors.Diagnostic(Code.UNREADABLE_DOCUMENT, message, file, line, column, hint=hint)
    hint = "check escapes inside double quotes, and lines that begin with '%'"
    return errors.Diagnostic(Code.UNREADABLE_DOCUMENT, f"not YAML or JSON: {error}".rstrip(": "), file, hint=hint)


def _marked(error: MarkedYAMLError, text: str, file: str) -> errors.Diagnostic:
    """Return GS101 for an error with a position, with a hint for common mistakes."""
    position = error.problem_mark or error.context_mark
    problem = re.sub(r"\('(.*)',\)", r"'\1'", (error.problem or "syntax error").strip())
    problem = problem.replace("'<stream end>'", "the end of the text").replace("'<scalar>'", "a value")
    hint = None
    if position and "expected <block end>" in problem and (near := _near_indents(text, position)):
        problem, error.context = f"no line above that it could belong to is indented by {position.column}", None
        hint = f"indent it by {' or '.join(near)} spaces, as the lines beside which it belongs"
    message = "not YAML or JSON: " + re.sub(r"'<(.*?)>'", r"\1", problem)
    start = None
    if error.context:
        message += f", {error.context.strip()}"
        if error.context_mark is not None and error.context_mark is not position:
            start = error.context_mark.line + 1
            message += f" that begins at line {start}"
    if match := re.match(r"expected ',' or '(.)'", problem):
        bracket = "{" if match[1] == "}" else "["
        hint = f"insert a comma before it, or close the '{bracket}' of line {start}"
    if position is not None:
        text_of_line = line_of(text, position.line + 1) or ""
        if re.search(r"""(?<!["'$])\$\{""", text_of_line):
            hint = 'put quotes around a variable inside braces: "${x}"'
        elif "\t" in text_of_line[: position.column + 1]:
            hint = "indent with spaces, not with tabs"
        elif "mapping values are not allowed" in message:
            hint = "check the indentation; put quotes around text that contains ': '"
        elif "cannot start any token" in message:
            hint = "put quotes around text that begins with this character"
    hint = hint or "check indentation, quotes and brackets here and in the lines above"
    line, column = (None, None) if position is None else (position.line + 1, position.column + 1)
    return errors.Diagnostic(Code.UNREADABLE_DOCUMENT, message, file, line, column, hint=hint)


def _near_indents(text: str, mark: Any) -> list[str]:
    """Return the next smaller and larger indents of the lines above a mark; none if it begins no line, or has theirs."""
    lines = text.splitlines()[: mark.line + 1]
    above = sorted({len(line) - len(line.lstrip()) for line in lines[:-1] if line.strip()})
    if mark.column in above or lines[-1][: mark.column].strip():
        return []
    at = bisect(above, mark.column)
    return [str(indent) for indent in above[max(at - 1, 0) : at + 1]]


# Load the text of a spec from a file, a pipe or a device, up to a limit.
MAX_BYTES: Final = 16 * 2**20  # the largest file. A spec of 10,000 layers has about 2 MB
MAX_LINES: Final = MAX_VALUES  # the largest number of lines

_FIRST = "`graphspec init` writes a first spec"
_SUFFIXES = (".yaml", ".yml", ".json")
_REFUSED = {stat.S_IFDIR: "a folder", stat.S_IFBLK: "a block device", stat.S_IFSOCK: "a socket"}


def fail(
    file: str, message: str, *, line: int | None = None, column: int | None = None, **fields: Any
) -> errors.SpecError:
    """Return the error for a source that cannot be read: GS101, or the code in ``fields``."""
    code = fields.pop("code", Code.UNREADABLE_DOCUMENT)
    return errors.SpecError([errors.Diagnostic(code, message, file, line, column, **fields)])


def load(file: str) -> errors.SourceFile:
    """Read a file once and return its name with its text, also of ``/dev/stdin`` and of pipes, whose writer it waits for.

    SpecError: it cannot be read or is not text (GS101), or it is too large (GS110).
    """
    if isinstance(file, errors.GivenText):
        if len(file.text) > MAX_BYTES:
            raise _too_large(file, f"the text has {len(file.text) / 2**20:.0f} MiB")
        return file
    path = Path(file)
    try:
        status = path.stat()
        kind = _REFUSED.get(stat.S_IFMT(status.st_mode))
        if stat.S_ISFIFO(status.st_mode) and path.suffix.lower() not in ("", *_SUFFIXES):
            kind = "a pipe"
        if kind is not None:
            raise fail(file, f"cannot read '{errors.shorten(file)}': it is {kind}", hint="name a YAML or JSON file")
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        data = b""
        if size <= MAX_BYTES:
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        hint = errors.did_you_mean(file, [str(p) for p in path.parent.glob("*") if p.suffix in _SUFFIXES]) or _FIRST
        raise fail(file, f"no such file: {errors.shorten(file)!r}", hint=hint) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise fail(file, f"cannot read {errors.shorten(file)!r}: {reason}") from None
    if max(size, len(data)) > MAX_BYTES:
        much = f"{size / 2**20:.0f}" if size > MAX_BYTES else f"more than {MAX_BYTES // 2**20}"
        raise _too_large(file, f"the file has {much} MiB")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # UTF-16 has a byte-order mark
    try:
        return errors.SourceFile(file, data.decode(encoding))
    except UnicodeDecodeError as error:
        head = data[: error.start].decode(encoding, "ignore")
        line, column = line_and_column(head, len(head))
        text = f"not YAML or JSON: byte 0x{data[error.start]:02x} is not UTF-8 text"
        raise fail(file, text, line=line, column=column, hint="a spec is a text file in UTF-8") from None


def _too_large(file: str, size: str, most: str = f"{MAX_BYTES // 2**20}") -> errors.SpecError:
    hint = "is it a spec? store data in separate files"
    return fail(file, f"{size}, but a spec has at most {most}", code=Code.DOCUMENT_TOO_LARGE, hint=hint)


# Read a text or a dict to a marked tree.
Source = str | os.PathLike[str] | Mapping[str, Any]  # a file's path, or a dict
MAX_PROBLEMS = 10_000  # reading stops after this many problems, such as tags and duplicate keys
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+)|0o(?P<oct>[0-7]+)|0x(?P<hex>[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<inf>[-+]?\.(?:inf|Inf|INF))|(?P<nan>\.(?:nan|NaN|NAN))"
)
_CORE_TAGS = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None), "map": dict, "seq": list}


def read(source: Source, *, sets: Sequence[str] = (), problems: errors.Problems | None = None) -> Tree:
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
    problems = problems or errors.Problems()
    if isinstance(source, Mapping):
        tree = tree_from_dict(source, problems)
    else:
        file = load(os.fspath(source))
        tree = _Builder(file, problems).build(file.text)
    if not isinstance(tree.value, dict):
        hint = "begin with `graphspec: 1`, then `name`, `inputs`, `layers` and `outputs`"
        problems.value(tree, Code.UNREADABLE_DOCUMENT, f"a spec is a mapping of keys, not {describe(tree)}", hint=hint)
    if problems.found and not (collected and isinstance(tree.value, dict)):
        raise errors.SpecError(problems.found)
    for text in sets:
        tree = override(tree, text, read_value)
    return tree.set_paths()


def read_value(text: str, file: str) -> Tree:
    """Return the tree of a YAML value that is not in a file, such as one of the command line. Its marks have no line."""
    problems = errors.Problems()
    tree = _Builder(file, problems, without_lines=True).build(text or "null")
    problems.check()
    return tree


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being built."""

    value: Any
    start: Any
    unknown: bool
    marks: dict[str, errors.Mark] = field(default_factory=dict)
    key: str | None = None
    key_mark: errors.Mark = errors.NOWHERE


class _Builder:
    """Builds a tree from the events of one document, without recursion."""

    def __init__(self, file: str, problems: errors.Problems, *, without_lines: bool = False) -> None:
        self.file, self.problems, self.without_lines = file, problems, without_lines
        self.anchors: dict[str, Tree | None] = {}
        self.stack: list[_Open] = []
        self.count = 0

    def build(self, text: str) -> Tree:
        """Return the tree of the only document in ``text``. Every line takes time, even an empty one."""
        if (lines := count_breaks(text)) > MAX_LINES:
            raise _too_large(self.file, f"the document has {lines:,} lines", f"{MAX_LINES:,}")
        top: Tree | None = None
        for event in self._events(text):
            tree: Tree
            if isinstance(event, yaml.ScalarEvent):
                if self._expects_key():
                    self._set_key(event)
                    continue
                before, mark = len(self.problems.found), self._mark(event)
                tree = Tree(self._scalar(event, mark), mark, unknown=len(self.problems.found) > before)
                if event.anchor is not None:
                    self.anchors[event.anchor] = tree
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._open(event)
                continue
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                tree = self._close(event)
            elif isinstance(event, yaml.AliasEvent):
                tree = self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent) and top is not None:
                hint = "one file holds one spec"
                raise self._stop(event, "a second document begins here", hint, Code.UNREADABLE_DOCUMENT)
            else:
                continue
            if self.stack:
                self._add(tree)
            else:
                top = tree
        if top is None:
            raise fail(self.file, "the file is empty", line=1, column=1, hint=_FIRST)
        return top

    def _events(self, text: str) -> Iterator[Any]:
        try:
            yield from events(text)
        except ERRORS as error:
            found = explain_syntax(error, text, self.file)
            if self.without_lines:
                found = replace(found, line=None, column=None)
            raise errors.SpecError([*self.problems.found, found]) from None

    def _mark(self, event: Any, end: Any = None) -> errors.Mark:
        if self.without_lines:
            return errors.Mark(self.file)
        start, stop = event.start_mark, end or event.end_mark
        length = stop.column - start.column if start.line == stop.line else 1
        return errors.Mark(self.file, start.line + 1, start.column + 1, max(1, length))

    def _path(self) -> str:
        steps = [entry.key if isinstance(entry.value, dict) else str(len(entry.value)) for entry in self.stack]
        return ".".join(step for step in steps if step is not None)

    def _report(self, mark: errors.Mark, code: str, message: str, hint: str | None) -> None:
        self.problems.at(mark, code, message, path=self._path(), hint=hint)

    def _stop(self, event: Any, message: str, hint: str, code: str = Code.DOCUMENT_TOO_LARGE) -> errors.SpecError:
        """Return the error that stops reading, with all problems found before."""
        self._report(self._mark(event), code, message, hint)
        return errors.SpecError(self.problems.found)

    def _check_depth(self, event: Any, levels: int) -> None:
        if levels > MAX_DEPTH:
            hint = "real specs have about ten levels; is a bracket not closed?"
            raise self._stop(event, f"the document is deeper than {MAX_DEPTH} levels", hint)

    def _expects_key(self) -> bool:
        """Return whether the next event is a key of a mapping."""
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def _set_key(self, event: Any) -> None:
        text: str = event.value
        mark = self._mark(event)
        if len(text) > MAX_KEY:
            message = f"a key has {len(text):,} characters, at most {MAX_KEY:,}"
            raise self._stop(event, message, "is a quotation mark not closed?")
        before = len(self.problems.found)
        value = self._scalar(event, mark)
        if value is None and len(self.problems.found) > before:
            value = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if not isinstance(value, str):
            if isinstance(value, bool) or not isinstance(value, int):
                path = child_path(self._path(), text or "null")
                message = f"a key must be a string, not {describe(value)}"
                self.problems.at(mark, Code.WRONG_TYPE, message, path=path, hint="put quotes around it")
            value = text
        self.stack[-1].key, self.stack[-1].key_mark = value, mark

    def _open(self, event: Any) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if self._expects_key():
            hint = "check the indentation; put quotes around text that begins with a bracket"
            if is_mapping and event.flow_style:
                hint = 'put quotes around a variable inside braces: "${x}"'
            message = f"a key must be a string, not a {'mapping' if is_mapping else 'list'}"
            raise self._stop(event, message, hint, Code.WRONG_TYPE)
        before = len(self.problems.found)
        self._check_tag(event, None)
        unknown = len(self.problems.found) > before
        self._check_depth(event, len(self.stack) + 1)
        self._count(event, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(_Open({} if is_mapping else [], event, unknown))

    def _close(self, event: Any) -> Tree:
        entry = self.stack.pop()
        mark = self._mark(entry.start, event.end_mark)
        if not entry.start.flow_style and entry.marks:
            mark = next(iter(entry.marks.values()))
        tree = Tree(entry.value, mark, entry.marks, unknown=entry.unknown)
        if entry.start.anchor is not None:
            self.anchors[entry.start.anchor] = tree
        return tree

    def _add(self, tree: Tree) -> None:
        entry = self.stack[-1]
        if isinstance(entry.value, list):
            entry.value.append(tree)
            return
        key = entry.key or ""
        if key in entry.value:
            first = entry.marks[key].line
            where = "" if first is None else f"; first at line {first}"
            self._report(entry.key_mark, Code.DUPLICATE_KEY, f"key '{key}' is given twice{where}", "remove one of them")
        else:
            entry.value[key], entry.marks[key] = tree, entry.key_mark
        entry.key = None

    def _alias(self, event: Any) -> Tree:
        name = event.anchor
        if self._expects_key():
            message = "a key must be a string, not an alias"
            raise self._stop(event, message, "replace the alias by its text", Code.WRONG_TYPE)
        if name not in self.anchors:
            hint = errors.did_you_mean(name, self.anchors, quote="*") or "put quotes around text that begins with '*'"
            raise self._stop(event, f"no anchor '&{name}' precedes this alias", hint, Code.UNREADABLE_DOCUMENT)
        tree = self.anchors[name]
        if tree is None:
            text = f"alias '*{name}' is inside its own anchor and never ends"
            raise self._stop(event, text, "replace the alias by a value")
        self._check_depth(event, len(self.stack) + tree.depth)
        self._count(event, tree.size)
        return tree

    def _count(self, event: Any, values: int) -> None:
        self.count += values
        if len(self.problems.found) > MAX_PROBLEMS:
            text = f"there are more than {MAX_PROBLEMS:,} problems before this line: reading stops here"
            raise self._stop(event, text, "fix these first")
        if self.count > MAX_VALUES:
            text = f"the document has more than {MAX_VALUES:,} values after its aliases are expanded"
            raise self._stop(event, text, "use fewer aliases, and `repeat` or `blocks` for many nodes")

    def _check_tag(self, event: Any, value: Any) -> str | None:
        """Return the short tag of an event in the core schema. Report other tags, which would construct objects."""
        tag = event.tag
        if tag is None or tag == "!":
            return "str" if tag == "!" and isinstance(event, yaml.ScalarEvent) else None
        name = str(tag).removeprefix("tag:yaml.org,2002:")
        expected = _CORE_TAGS.get(name) if name != tag else None
        kind = {yaml.MappingStartEvent: dict, yaml.SequenceStartEvent: list}.get(type(event)) or type(value)
        if expected is None or not (expected is str or kind is expected or (expected is float and kind is int)):
            written = f"!!{name}" if name != tag else name
            text = f"tag '{written}' is not allowed: a spec contains only plain values"
            self._report(self._mark(event), Code.UNREADABLE_DOCUMENT, text, "remove the tag")
            return None
        return name

    def _scalar(self, event: Any, mark: errors.Mark) -> Any:
        """Return the value of a scalar. Report a scalar that a spec cannot contain, and return None."""
        self._count(event, 1)
        text = joined(event.value)
        try:
            value = text if event.style is not None else plain_value(text)
        except ValueError as error:
            self._report(mark, Code.VALUE_NOT_ALLOWED, str(error), "put quotes around it if it is text")
            return None
        if (message := scalar_problem(value)) is not None:
            self._report(mark, Code.VALUE_NOT_ALLOWED, message, "shorten or remove it")
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
    """Return the value of a plain scalar by the core schema of YAML 1.2; ValueError if a number has too many digits."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in "+-.0123456789" or (match := _NUMBER.fullmatch(text)) is None:
        return text
    kind = match.lastgroup
    if len(text) > trees.MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too long, at most {trees.MAX_DIGITS}")
    if kind == "int":
        return int(text)
    if kind == "oct" or kind == "hex":
        return int(match[kind], 8 if kind == "oct" else 16)
    return float(text.replace(".", "", 1)) if kind in ("inf", "nan") else float(text)
