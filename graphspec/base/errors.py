"""Diagnostics, how they are shown, and the exceptions that graphspec raises on purpose.

::

    GraphspecError      base class; its status is the exit status of the command
    ├── SpecError       status 1: the spec, its data or its export is wrong (GS1 to GS5, GS7, GS8); contains all diagnostics
    ├── UsageError      status 2: the command line or the arguments of a call are wrong
    ├── RunError        status 3: the run failed (GS6)
    └── ProblemError    contains one Problem; the caller knows its subject and position
        ├── ShapeError  raised while a node is lowered
        └── DataError   raised while data are read (graphspec/data/source.py)

A :class:`Problem` describes what is wrong without naming the subject. With a subject and a position it becomes a
:class:`Diagnostic`. Validators of pydantic report a Problem by raising :func:`graphspec.base.config.invalid`.
"""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self

from graphspec.base.codes import Code as Code  # who makes diagnostics takes it from here
from graphspec.base.deprecation import Old
from graphspec.base.text import character_width, display_width, line_of, printable, wrapped

Severity = Literal["error", "warning"]
SHOWN = 100  # the largest number of diagnostics that are printed; the number of further ones follows
_MAX_TEXT = 2000  # characters of a message, a path or a hint; longer ones are cut, since they may quote long values


class SourceFile(str):
    """The name of a source with the text that was read from it. Excerpts use this text and do not open the file again."""

    text: str

    def __new__(cls, name: str, text: str) -> SourceFile:
        self = super().__new__(cls, name)
        self.text = text
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.text)


class GivenText(SourceFile):
    """The text of a source that is no file, such as a cell of a notebook, with a name for messages."""


class Mark(NamedTuple):
    """A position in a source file: 1-based line and column, and the number of characters to underline.

    For a value of a dict, ``line`` and ``column`` are None and the file is ``<dict>``.
    """

    file: str
    line: int | None = None
    column: int | None = None
    length: int = 1


NOWHERE = Mark("<dict>")  # the position of everything that was not read from a text
SET = "--set"  # the file of values from the command line


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A node that a diagnostic mentions, with its line and, if known, its output shape."""

    name: str
    type: str | None = None
    shape: tuple[int | str, ...] | None = None
    line: int | None = None
    note: str = ""  # the arguments that determine its shape, such as "padding: same"

    @property
    def shape_text(self) -> str:
        """The shape as ``(N, 28, 28)``; empty if it is unknown."""
        return "" if self.shape is None else f"({', '.join(map(str, self.shape))})"

    @property
    def origin(self) -> str:
        """Where the node comes from: ``from Conv2D at line 6, padding: same``."""
        text = f"from {self.type}" if self.type and self.type != "input" else "input"
        text += "" if self.line is None else f" at line {self.line}"
        return f"{text}, {self.note}" if self.note else text

    def describe(self) -> str:
        """Return the node in one line: name, shape, origin."""
        return "  ".join(part for part in (self.name, self.shape_text, self.origin) if part)


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a subject that is not named yet."""

    code: Code
    message: str  # a predicate, such as ``has 3 labels for 4 classes``; the diagnostic puts the subject in front of it
    hint: str | None = None  # how to fix it
    key: str | None = None  # the key of the spec whose value is wrong; the diagnostic points there
    span: tuple[int, int] | None = None  # the part of that value, a text, that is wrong
    severity: Severity = "error"
    old: Old | None = None  # what the wrong name is today, if it is one of older versions


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem with its position, the nodes involved and a hint.

    Attributes:
        code: a :class:`Code`; it is equal to its text.
        message: a complete sentence, subject included.
        path: the dotted path of keys, such as ``layers.hidden_1.units``.
        hint: how to fix it.
        length: the number of characters to underline.
    """

    code: str
    message: str
    file: str = "<dict>"
    line: int | None = None
    column: int | None = None
    path: str = ""
    hint: str | None = None
    nodes: tuple[NodeRef, ...] = ()
    severity: Severity = "error"
    length: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", Code(self.code))
        for key in ("message", "path", "hint"):
            value: str | None = getattr(self, key)
            if value is not None and len(value) > _MAX_TEXT:
                object.__setattr__(self, key, shorten(value, _MAX_TEXT))

    @classmethod
    def at(cls, mark: Mark, code: str, message: str, **fields: Any) -> Diagnostic:
        """Return a diagnostic at the position ``mark``."""
        return cls(code, message, mark.file, mark.line, mark.column, length=mark.length, **fields)

    @classmethod
    def of(cls, subject: str, problem: Problem, mark: Mark = NOWHERE, **fields: Any) -> Diagnostic:
        """Return ``problem`` as a diagnostic about ``subject``."""
        text = f"{subject} {problem.message}"
        return cls.at(mark, problem.code, text, hint=problem.hint, severity=problem.severity, **fields)

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    @property
    def end_column(self) -> int | None:
        """The column after the last character to underline, in the same line."""
        return None if self.column is None else self.column + self.length

    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Return the key by which diagnostics are sorted: the position first."""
        return (self.file, self.line or 0, self.column or 0, self.code, self.message)

    def to_json(self) -> dict[str, Any]:
        """Return the record that ``--format json`` prints."""
        nodes = [
            {"name": n.name, "type": n.type, "shape": None if n.shape is None else list(n.shape), "line": n.line}
            for n in self.nodes
        ]
        record = asdict(self) | {"end_line": self.line, "end_column": self.end_column}
        keys = ("code", "severity", "message", "file", "line", "column", "end_line", "end_column", "path", "hint")
        return {key: record[key] for key in keys} | {"nodes": nodes}

    def __str__(self) -> str:
        position = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        text = f"{position}: {self.severity}[{self.code}]: {self.message}"
        return text if self.hint is None else f"{text} (help: {self.hint})"

    def as_warning(self) -> Diagnostic:
        return replace(self, severity="warning")


# Diagnostics as text with an excerpt of the source, as JSON, or as HTML for notebooks.
COLUMNS = 102  # of an excerpt that goes to a file or a pipe; a longer line is cut around the position
_FEWEST = 20  # columns of an excerpt, however narrow the terminal is
_INDENT = 4  # of the further lines of a message
Spell = Callable[[str], str]  # writes a part of a source line as a console can
_COLOURS = {"error": "1;31", "warning": "1;33", "gutter": "1;34", "help": "1;36", "bold": "1"}


def render(
    diagnostics: Iterable[Diagnostic],
    *,
    colour: bool = False,
    sources: Mapping[str, str] | None = None,
    width: int | None = None,
    spell: Spell = str,
) -> str:
    """Return ``diagnostics`` as text, in the order given, separated by blank lines.

    Args:
        colour: use ANSI escapes.
        width: the columns of the terminal. Excerpts are cut to it, and texts are wrapped. None for no wrapping: programs
            read lines.
        spell: how the console writes a part of a source line: characters outside its encoding become others.
        sources: texts by file name, as they were read: a file may have changed since, and a pipe is empty. For other files
            the diagnostic itself refers to the text.
    """
    cached_line_of = cache(line_of)

    def line(file: str, number: int) -> str | None:
        text: str | None = getattr(file, "text", None)  # a `SourceFile` has it
        text = (sources or {}).get(file) if text is None else text
        return None if text is None else cached_line_of(text, number)

    return "\n\n".join(_render(diagnostic, line, colour, width, spell) for diagnostic in diagnostics)


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """Return the list that ``--format json`` prints."""
    return json.dumps([diagnostic.to_json() for diagnostic in diagnostics], indent=2, ensure_ascii=False)


_HTML_COLOURS = {"1;31": "#e5484d", "1;33": "#c77800", "1;34": "#3b82f6", "1;36": "#0d9488", "1": "inherit"}
"""Colours that are readable on white and on black."""


def render_html(diagnostics: Iterable[Diagnostic]) -> str:
    """Return ``diagnostics`` as HTML that contains no script and loads nothing; all text of specs is escaped."""
    from html import escape

    text = escape(render(diagnostics, colour=True))  # the only escape characters left are those of the colours

    def span(found: re.Match[str]) -> str:
        return f'<span style="color: {_HTML_COLOURS[found[1]]}; font-weight: bold">'

    text = re.sub("\x1b\\[(1(?:;\\d+)?)m", span, text).replace("\x1b[0m", "</span>")
    return f'<pre style="line-height: 1.35; white-space: pre; overflow-x: auto">{text}</pre>'


_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_MACHINERY = re.compile(r"[/\\](?:IPython|ipykernel)[/\\]|[/\\]contextlib\.py$|^<frozen ")
_CELL = re.compile(r"^<ipython-input|[/\\]ipykernel_\d+[/\\]|^<stdin>$|^<string>$")


def own_lines(found: TracebackType | None) -> list[str]:
    """Return the lines of a traceback that are the user's own, not graphspec's or the notebook's: the last three."""
    lines = []
    for frame in traceback.extract_tb(found):
        if frame.filename.startswith(_PACKAGE) or _MACHINERY.search(frame.filename):
            continue
        place = f"line {frame.lineno}"
        if not _CELL.search(frame.filename):
            place = f"{_one_line(Path(frame.filename).name)}, {place}"
        if frame.name != "<module>" and not frame.name.startswith("<cell"):
            place += f", in {frame.name}"
        lines.append(f"{place}: {_one_line(frame.line)}" if frame.line else place)
    return lines[-3:]


def _render(
    diagnostic: Diagnostic, line_in: Callable[[str, int], str | None], colour: bool, width: int | None, spell: Spell
) -> str:
    def paint(kind: str, text: str) -> str:
        return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if colour else text

    def said(start: str, painted: str, text: str, indent: int) -> list[str]:
        """Return ``start`` and ``text``, wrapped; ``start`` is printed as ``painted``."""
        first, *rest = wrapped(_one_line(text), width, indent=indent, start=display_width(start))
        return [painted + first, *rest]

    position = _one_line(diagnostic.file)
    if diagnostic.line is not None:
        position += f":{diagnostic.line}:{diagnostic.column}"
    label = f"{diagnostic.severity}[{diagnostic.code}]"
    painted = f"{paint('bold', position)}: {paint(diagnostic.severity, label)}: "
    lines = said(f"{position}: {label}: ", painted, diagnostic.message, _INDENT)
    margin = " " * (len(str(diagnostic.line or "")) + 1)
    text = None if diagnostic.line is None else line_in(diagnostic.file, diagnostic.line)
    if text is not None:
        assert diagnostic.column is not None
        room = COLUMNS if width is None else max(width - len(margin) - 2, _FEWEST)
        shown, start, length = _excerpt(text, diagnostic.column - 1, diagnostic.length, room)
        before, at, after = map(spell, (shown[:start], shown[start : start + length], shown[start + length :]))
        bar = paint("gutter", "│")
        carets = paint(diagnostic.severity, "^" * max(1, display_width(at)))
        lines.append(f"{margin}{bar}")
        lines.append(f"{paint('gutter', str(diagnostic.line))} {bar} {before}{at}{after}".rstrip())
        lines.append(f"{margin}{bar} {' ' * display_width(before)}{carets}")
    elif diagnostic.line is None:
        margin = "  "
        if diagnostic.path:
            lines.append(f"{margin}{paint('gutter', '=')} at {_one_line(diagnostic.path)}")
    note, painted_note, help_ = f"{margin}= ", f"{margin}{paint('gutter', '=')} ", "help: "
    for line in _nodes(diagnostic.nodes, width, len(note)):
        lines += said(note, painted_note, line, len(note) + 2)
    if diagnostic.hint:
        painted = f"{painted_note}{paint('help', 'help')}: "
        lines += said(note + help_, painted, diagnostic.hint, len(note) + len(help_))
    return "\n".join(lines)


def _excerpt(text: str, start: int, length: int, room: int) -> tuple[str, int, int]:
    """Return a part of a line that fits into ``room`` columns, and the start and length of the position in it."""
    far = max(0, start - 4 * room)  # lines may have megabytes: only the neighbourhood matters
    text, start = text[far : start + 4 * room], start - far
    text = _one_line(text.replace("\t", " "))
    start = min(start, len(text))
    text = text[:start] + text[start:].rstrip()
    if not far and display_width(text) <= room:
        return text, start, length
    left, used = start, 1
    before_it = max(room // 3, room - 1 - display_width(text[start:]))  # columns
    while left > 0 and used + character_width(text[left - 1]) <= before_it:
        left -= 1
        used += character_width(text[left])
    before = "…" if left or far else ""
    right, used = left, len(before)
    while right < len(text) and used + character_width(text[right]) <= room:
        used += character_width(text[right])
        right += 1
    after = "…" if right < len(text) else ""
    while after and used >= room:
        right -= 1
        used -= character_width(text[right])
    start += len(before) - left
    return before + text[left:right] + after, start, max(min(length, right - left + len(before) - start), 1)


def _one_line(text: str) -> str:
    """Return ``text`` in one line, without terminal control characters."""
    return printable(text).replace("\n", "�")


def _nodes(nodes: Sequence[NodeRef], width: int | None, margin: int) -> list[str]:
    """Return a line for each node: its name, shape, type, source line and note; aligned where that leaves some room."""
    shapes = [node.shape_text for node in nodes]
    names = max((display_width(node.name) for node in nodes), default=0)
    widest = max(map(display_width, shapes), default=0)
    if width is not None and margin + names + widest > 2 * width // 3:
        names = 0
    lines = []
    for node, shape in zip(nodes, shapes, strict=True):
        shape = f"{shape:<{widest if names else 0}}   " if widest else ""
        lines.append(f"{node.name}{' ' * (names - display_width(node.name))}  {shape}{node.origin}")
    return lines


class Diagnostics(list[Diagnostic]):
    """A list of diagnostics. A notebook shows it as the command line does, with excerpts of the source.

    Example::

        found = gs.validate("specs/penguins.yaml")
        print(found)  # the text of the command line; `found == []` if there are none
    """

    def __str__(self) -> str:
        return self.text()

    def text(self, *, colour: bool = False, wrap: bool = False) -> str:
        """Return the text of the command line: each diagnostic with its excerpt, nodes and hint.

        With ``wrap``, sentences end at about 100 columns, for people; programs read whole lines.
        """
        rendered = render(self.shown(), colour=colour, width=COLUMNS if wrap else None)
        return "\n\n".join(filter(None, [rendered, self._more()]))

    def shown(self) -> list[Diagnostic]:
        """Return those that are printed: of very many, the errors come first."""
        errors_first = sorted(self, key=lambda d: (not d.is_error, *d.sort_key()))
        return sorted(errors_first[:SHOWN], key=Diagnostic.sort_key)

    def _more(self) -> str:
        return f"… and {len(self) - SHOWN:,} more" if len(self) > SHOWN else ""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Let IPython show the text in place of a list of records."""
        printer.text(self.text(wrap=True) if self else "[]")

    def _repr_html_(self) -> str:
        if not self:
            return "<pre>no problems</pre>"
        return render_html(self.shown()) + (f"<pre>{self._more()}</pre>" if self._more() else "")


class GraphspecError(Exception):
    """Base class of the exceptions that graphspec raises on purpose. ``status`` is the exit status of the command.

    In a notebook the traceback is the user's own line and the text, without the frames of graphspec.
    """

    status = 1

    def _text(self, *, colour: bool) -> str:
        return printable(str(self))

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in place of a traceback."""
        colour = "NO_COLOR" not in os.environ
        *callers, line = own_lines(self.__traceback__) or [""]
        name = f"\x1b[1;31m{type(self).__name__}\x1b[0m" if colour else type(self).__name__
        head = [*callers, f"{name} in {line}" if line else name]
        return [*head, "", *self._text(colour=colour).split("\n")]


class SpecError(GraphspecError):
    """The spec, its data or its export is wrong (GS1–GS5, GS7, GS8). ``diagnostics`` contains all diagnostics by position.

    The text of the error is that of the command line: excerpts of the source, nodes with their shapes, hints.

    Example::

        try:
            gs.compile({"graphspec": 1, "name": "empty", "inputs": {}, "layers": [], "outputs": {}})
        except gs.SpecError as error:
            print(error)
            codes = [found.code for found in error.diagnostics]
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = Diagnostics(sorted(diagnostics, key=Diagnostic.sort_key))
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return str(self.diagnostics)

    def _text(self, *, colour: bool) -> str:
        return self.diagnostics.text(colour=colour, wrap=True)

    def _repr_html_(self) -> str:
        return self.diagnostics._repr_html_()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self.diagnostics),)


class ProblemError(GraphspecError):
    """A :class:`Problem` of a subject that only the caller knows."""

    def __init__(self, code: str, message: str, hint: str | None = None, *, key: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(Code(code), message, hint, key)

    @property
    def code(self) -> Code:
        """The code of the problem."""
        return self.problem.code

    def changed(self, **fields: Any) -> Self:
        """Return a copy of the error with other fields of its problem."""
        problem = replace(self.problem, **fields)
        changed = type(self)(problem.code, problem.message)
        changed.problem = problem
        return changed


class ShapeError(ProblemError):
    """Operands or arguments do not fit together. The subject is the node that is being lowered."""


class UsageError(GraphspecError):
    """The command line or the arguments of a call are wrong. Nothing was changed.

    Example::

        model = gs.compile("specs/housing.yaml")
        try:
            model.fit(epochs="5")
        except gs.UsageError as error:
            print(error)  # `epochs` must be a positive integer, got '5'
    """

    status = 2


class RunError(GraphspecError):
    """The run failed (GS6): a loss that is not finite, too little memory, a damaged checkpoint, a dead worker.

    Example::

        model = gs.compile("specs/housing.yaml", ["training.optimizer={type: SGD, learning_rate: 1e30}"])
        try:
            model.fit(epochs=1, verbose=0)
        except gs.RunError as error:
            print(error.code, error.hint)  # GS601, lower `learning_rate`, …
    """

    status = 3

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"{code}: {message}" + (f" (help: {hint})" if hint else ""))
        self.code, self.message, self.hint = Code(code), message, hint

    @classmethod
    def of(cls, subject: str, problem: Problem) -> RunError:
        """Return ``problem`` as an error about ``subject``."""
        return cls(problem.code, f"{subject} {problem.message}", problem.hint)

    def _text(self, *, colour: bool) -> str:
        text = printable(f"error[{self.code}]: {self.message}")
        return text + (printable(f"\n  = help: {self.hint}") if self.hint else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.message, self.hint)


class Place(Protocol):
    """A value of a document with its position, such as a :class:`graphspec.language.tree.Tree`."""

    value: Any
    mark: Mark
    path: str
    origin: Mark | None  # the position of the value's definition, if it came from a variable
    key_marks: dict[str, Mark]  # for a mapping, the position of each key

    @property
    def first_key(self) -> Mark:
        """The position that represents a whole mapping."""

    def child_path(self, key: str) -> str:
        """Return the path of a key."""


@dataclass(frozen=True, slots=True)
class Renaming:
    """A name of older versions in a spec: a key, or a value. ``mark`` is where it is written."""

    mark: Mark
    path: str
    name: str
    old: Old
    is_key: bool

    @property
    def place(self) -> tuple[Mark | str, bool]:
        """What tells it from others: its position, or its path where it was not read from a text."""
        return self.path if self.mark.line is None else self.mark, self.is_key

    def diagnostic(self, more: str = "; `graphspec upgrade` does it") -> Diagnostic:
        """Return the diagnostic about it. ``more``: what its hint says if it is in a file."""
        text = f"'{self.name}' is written `{self.old.use}` since {self.old.since}"
        hint = f"write `{self.old.use}`" + (more if self.mark.line is not None else "")
        return Diagnostic.at(self.mark, Code.OLD_NAME, text, path=self.path, hint=hint, severity="warning")


class Problems:
    """Collects diagnostics. A repeated problem at one position (a block's node in many instances) is kept once."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self.renamed: list[Renaming] = []  # of what was found, the names of older versions
        self._seen: set[tuple[object, ...]] = set()
        self._wrong: set[tuple[object, ...]] = set()

    def copy(self) -> Problems:
        """Return a copy, which collects problems of its own."""
        copy = Problems()
        copy.found, copy.renamed, copy._seen, copy._wrong = [*self.found], [], {*self._seen}, {*self._wrong}
        return copy

    def check(self) -> None:
        """Raise a SpecError of everything that was collected."""
        if self.found:
            raise SpecError(self.found)

    def at(
        self, mark: Mark, code: str, message: str, *, path: str = "", subject: str = "", hint: str | None = None
    ) -> None:
        """Report at ``mark``. ``subject`` distinguishes problems with one code and position, such as two missing keys."""
        key = (code, mark.file, mark.line, mark.column, path, subject)
        if code == Code.UNKNOWN_KEY and mark.line is not None and (mark.file, mark.line, mark.column) in self._wrong:
            return  # already reported as GS104: the key is not text
        if code == Code.WRONG_TYPE:
            self._wrong.add((mark.file, mark.line, mark.column))
        if key not in self._seen:
            self._seen.add(key)
            self.found.append(Diagnostic.at(mark, code, message, path=path, hint=hint))

    def value(self, tree: Place, code: str, message: str, *, hint: str | None = None, old: Old | None = None) -> None:
        """Report at a value. If it came from a variable, the hint names the position of its definition.

        ``old``: what it is today, if it is a name of older versions.
        """
        if old is not None:
            self.renamed.append(Renaming(tree.origin or tree.mark, tree.path, tree.value, old, is_key=False))
        if origin := tree.origin:
            place = "by --set" if origin.file == SET else f"at line {origin.line}" if origin.line else "elsewhere"
            hint = f"{hint}; the value is set {place}" if hint else f"the value is set {place}"
        self.at(tree.mark, code, message, path=tree.path, hint=hint)

    def key(
        self, tree: Place, key: str, code: str, message: str, *, hint: str | None = None, old: Old | None = None
    ) -> None:
        """Report at a key of the mapping ``tree``; ``old`` as for :meth:`value`."""
        mark, path = tree.key_marks.get(key, tree.mark), tree.child_path(key)
        if old is not None:
            self.renamed.append(Renaming(mark, path, key, old, is_key=True))
        self.at(mark, code, message, path=path, hint=hint)

    def node(self, tree: Place, code: str, message: str, *, hint: str | None = None, subject: str = "") -> None:
        """Report at a whole mapping, marked by its first key."""
        self.at(tree.first_key, code, message, path=tree.path, hint=hint, subject=subject)


def shorten(text: str, limit: int = 60) -> str:
    """Return ``text``, cut to at most ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


# Hints: the name that is closest to a wrong one, found within a limit of time.
_SEARCH = 20_000_000  # pairs of characters that all searches of one check may compare, about two seconds
_LONGEST_NAME = 100  # characters of a name that a search compares; longer names are skipped
_budget: ContextVar[list[int] | None] = ContextVar("_budget", default=None)


@contextmanager
def bounded_search() -> Iterator[None]:
    """Let all searches of :func:`did_you_mean` in this context share one limit. Beyond it they find nothing."""
    token = _budget.set([_SEARCH])
    try:
        yield
    finally:
        _budget.reset(token)


def _may_compare(name: str, known: Collection[str]) -> bool:
    """Return whether the budget allows a search, and charge it."""
    budget = _budget.get() or [_SEARCH]
    if budget[0] <= 0:
        return False
    budget[0] -= len(known)
    cost = sum(200 + len(name) * min(len(k), _LONGEST_NAME) for k in known)
    is_allowed = cost <= budget[0]
    budget[0] -= cost if is_allowed else 0
    return is_allowed


def did_you_mean(name: str, known: Collection[str], *, quote: str = "'") -> str | None:
    """Return ``did you mean 'x'?`` with the name of ``known`` that is closest to ``name``, or None if none is close.

    Case does not count. Very long names are skipped, and so is a search among very many names.
    """
    from difflib import SequenceMatcher, get_close_matches

    if len(name) > _LONGEST_NAME or not _may_compare(name, known):
        return None

    def fold(text: str) -> str:
        return text.lower().replace("_", "")

    def stem(text: str) -> str:
        return fold(text).removesuffix("loss")

    known = [k for k in known if len(k) <= _LONGEST_NAME]
    folded = fold(name)
    close = [fold(k) for k in known if stem(k) == stem(name) != ""]  # MSELoss → mse
    if not close and len(folded) >= 2:  # lr → learning_rate, rmse → RootMeanSquaredError
        close = [fold(k) for k in known if fold(k) != folded == _initials(k)]
    longer = sorted((fold(k) for k in known if fold(k).startswith(folded)), key=len)  # TopK → TopKCategoricalAccuracy
    close = close or (longer if len(folded) >= 4 else [])
    close = close or get_close_matches(folded, {fold(k): None for k in known}, n=1, cutoff=0.61)
    close = close or (longer if len(folded) >= 2 else [])
    if not close:
        return None
    spellings = [k for k in known if fold(k) == close[0]]  # of HeNormal and he_normal, the one spelt like `name`
    best = max(spellings, key=lambda k: SequenceMatcher(None, name, k).ratio())
    return f"did you mean {quote}{best}{quote}?"


def _initials(name: str) -> str:
    """Return the initials of a name: ``rmse`` for ``RootMeanSquaredError`` and ``root_mean_squared_error``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return "".join(word if word.isupper() else word[0] for word in words).lower()
