"""Diagnostics, and the exceptions that graphspec raises on purpose.

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

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, Self

from graphspec.base.codes import Code
from graphspec.base.near_names import bounded_search as bounded_search
from graphspec.base.near_names import did_you_mean as did_you_mean
from graphspec.base.rendering import COLUMNS, own_lines, render, render_html
from graphspec.base.text import printable

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


@dataclass(frozen=True, slots=True)
class Mark:
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
    """A problem of a subject that is not named yet.

    Attributes:
        message: a predicate, such as ``has 3 labels for 4 classes``. The diagnostic puts the subject in front of it.
        hint: how to fix it.
        key: the key of the spec whose value is wrong. The diagnostic points there.
    """

    code: Code
    message: str
    hint: str | None = None
    key: str | None = None
    severity: Severity = "error"


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
        """Whether this is an error, not a warning."""
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
        """Return a copy with the severity ``warning``."""
        return replace(self, severity="warning")


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
        """Return the text that a notebook shows."""
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
        """Return a copy of the error with another ``message``, ``hint`` or ``key``."""
        problem = replace(self.problem, **fields)
        return type(self)(problem.code, problem.message, problem.hint, key=problem.key)


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

    mark: Mark
    path: str
    origin: Mark | None  # the position of the value's definition, if it came from a variable
    key_marks: dict[str, Mark]  # for a mapping, the position of each key

    @property
    def first_key(self) -> Mark:
        """The position that represents a whole mapping."""

    def child_path(self, key: str) -> str:
        """Return the path of a key."""


class Problems:
    """Collects diagnostics. A repeated problem at one position (a block's node in many instances) is kept once."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self._seen: set[tuple[object, ...]] = set()
        self._wrong: set[tuple[object, ...]] = set()

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

    def value(self, tree: Place, code: str, message: str, *, hint: str | None = None, subject: str = "") -> None:
        """Report at a value. If it came from a variable, the hint names the position of its definition."""
        if origin := tree.origin:
            place = "by --set" if origin.file == SET else f"at line {origin.line}" if origin.line else "elsewhere"
            hint = f"{hint}; the value is set {place}" if hint else f"the value is set {place}"
        self.at(tree.mark, code, message, path=tree.path, hint=hint, subject=subject)

    def key(self, tree: Place, key: str, code: str, message: str, *, hint: str | None = None) -> None:
        """Report at a key of the mapping ``tree``."""
        self.at(tree.key_marks.get(key, tree.mark), code, message, path=tree.child_path(key), hint=hint)

    def node(self, tree: Place, code: str, message: str, *, hint: str | None = None, subject: str = "") -> None:
        """Report at a whole mapping, marked by its first key."""
        self.at(tree.first_key, code, message, path=tree.path, hint=hint, subject=subject)


def shorten(text: str, limit: int = 60) -> str:
    """Return ``text``, cut to at most ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
