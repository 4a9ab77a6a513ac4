"""What graphspec says when something is wrong.

::

    GraphspecError      base of all; its status is the exit status of the command
    ├── SpecError       status 1: the spec, its data or its export is wrong (GS1 to GS5, GS7); holds every Diagnostic
    ├── UsageError      status 2: the command line or the arguments of a call are wrong
    ├── RunError        status 3: the run failed (GS6)
    └── ProblemError    holds one Problem; whoever catches it knows the subject and the place
        ├── ShapeError  raised while a node is lowered
        └── DataError   raised while data are read (graphspec/data/source.py)

A :class:`Problem` is what is wrong with a subject that is not named yet. With the subject and a place it becomes a
:class:`Diagnostic`. Validators of pydantic raise a Problem by :func:`graphspec.config.invalid`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from graphspec.codes import Code

Severity = Literal["error", "warning"]
SHOWN = 100
"""Diagnostics that are printed; of more, it is said how many there are."""
_LONGEST = 2000
"""Characters of a message, a path or a fix; what they quote may be longer."""


class SourceFile(str):
    """The name of a source, with the text that was read from it: an excerpt never opens the file again."""

    text: str

    def __new__(cls, name: str, text: str) -> SourceFile:
        self = super().__new__(cls, name)
        self.text = text
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.text)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a source file: 1-based line and column, and how many characters to underline.

    A value of a spec that was given as a dict has ``line`` and ``column`` None and the file ``<dict>``.
    """

    file: str
    line: int | None = None
    column: int | None = None
    length: int = 1


NOWHERE = Mark("<dict>")


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A node named in a diagnostic: its output shape where that is known, and where it stands."""

    name: str
    type: str | None = None
    shape: tuple[int | str, ...] | None = None
    line: int | None = None
    note: str = ""  # what about it matters here, such as "padding: same"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a subject.

    Attributes:
        message: a predicate, such as ``has 3 labels for 4 classes``. The subject is put in front of it.
        hint: how to solve it.
        key: the key of the spec whose value is wrong; the diagnostic points there.
    """

    code: Code
    message: str
    hint: str | None = None
    key: str | None = None
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem with its place, the nodes involved, and a fix.

    Attributes:
        code: a :class:`Code`, which is equal to its text.
        message: a whole sentence.
        path: the dotted path of keys, such as ``layers.hidden_1.units``.
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
            if value is not None and len(value) > _LONGEST:
                object.__setattr__(self, key, shorten(value, _LONGEST))

    @classmethod
    def at(cls, mark: Mark, code: str, message: str, **more: Any) -> Diagnostic:
        return cls(code, message, mark.file, mark.line, mark.column, length=mark.length, **more)

    @classmethod
    def of(cls, subject: str, problem: Problem, mark: Mark = NOWHERE, **more: Any) -> Diagnostic:
        """``problem``, said of ``subject``."""
        text = f"{subject} {problem.message}"
        return cls.at(mark, problem.code, text, hint=problem.hint, severity=problem.severity, **more)

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    def sort_key(self) -> tuple[str, int, int, str, str]:
        return (self.file, self.line or 0, self.column or 0, self.code, self.message)

    def to_json(self) -> dict[str, Any]:
        """The record of ``--format json``."""
        nodes = [
            {"name": n.name, "type": n.type, "shape": None if n.shape is None else list(n.shape), "line": n.line}
            for n in self.nodes
        ]
        record = asdict(self)
        keys = ("code", "severity", "message", "file", "line", "column", "path", "hint")
        return {key: record[key] for key in keys} | {"nodes": nodes}

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        text = f"{place}: {self.severity}[{self.code}]: {self.message}"
        return text if self.hint is None else f"{text} (help: {self.hint})"

    def as_warning(self) -> Diagnostic:
        return replace(self, severity="warning")


class GraphspecError(Exception):
    """Base of every exception that graphspec raises on purpose; ``status`` is the command's exit status."""

    status = 1


class SpecError(GraphspecError):
    """The spec or its data is wrong (GS1–GS5, GS7): all diagnostics of the run, sorted by place."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: list[Diagnostic] = sorted(diagnostics, key=Diagnostic.sort_key)
        lines = [str(d) for d in self.diagnostics[:SHOWN]]
        if (more := len(self.diagnostics) - SHOWN) > 0:
            lines.append(f"… and {more:,} more")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.diagnostics,)


class ProblemError(GraphspecError):
    """A :class:`Problem` of a subject that only the caller knows.

    Args:
        code, message, hint, key: those of the problem.
    """

    def __init__(self, code: str, message: str, hint: str | None = None, *, key: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(Code(code), message, hint, key)

    @property
    def code(self) -> Code:
        return self.problem.code

    def changed(self, **more: Any) -> Self:
        """The error with another ``message``, ``hint`` or ``key``."""
        problem = replace(self.problem, **more)
        return type(self)(problem.code, problem.message, problem.hint, key=problem.key)


class ShapeError(ProblemError):
    """Operands or arguments that cannot work together. The subject is the node that is lowered."""


class UsageError(GraphspecError):
    """The command line or a call's arguments are wrong."""

    status = 2


class RunError(GraphspecError):
    """The run failed (GS6): a loss that is not finite, too little memory, a damaged checkpoint, a dead worker."""

    status = 3

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"{code}: {message}" + (f" (help: {hint})" if hint else ""))
        self.code, self.message, self.hint = Code(code), message, hint

    @classmethod
    def of(cls, subject: str, problem: Problem) -> RunError:
        """``problem``, said of ``subject``."""
        return cls(problem.code, f"{subject} {problem.message}", problem.hint)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.message, self.hint)


def shorten(text: str, most: int = 60) -> str:
    """``text``, cut to ``most`` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


_SEARCH = 20_000_000
"""Pairs of characters that the searches of one check compare, about two seconds; the first mistakes get similar names."""
_LONGEST_NAME = 100
_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)


@contextmanager
def bounded_search() -> Iterator[None]:
    """While inside, the searches of :func:`did_you_mean` share a limit; beyond it they find nothing."""
    token = _left.set([_SEARCH])
    try:
        yield
    finally:
        _left.reset(token)


def _may_compare(name: str, known: Collection[str]) -> bool:
    left = _left.get() or [_SEARCH]
    if left[0] <= 0:
        return False
    left[0] -= len(known)
    cost = sum(200 + len(name) * min(len(k), _LONGEST_NAME) for k in known)
    if cost > left[0]:
        return False
    left[0] -= cost
    return True


def did_you_mean(name: str, known: Collection[str], *, quote: str = "'") -> str | None:
    """``did you mean 'x'?`` for the closest of ``known`` (case is not counted), or None if nothing is close.

    Very long names, and very many, are not compared.
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
    close = [fold(k) for k in known if stem(k) == stem(name) != ""]  # MSELoss for mse
    if not close and len(folded) >= 2:  # lr for learning_rate, rmse for RootMeanSquaredError
        close = [fold(k) for k in known if fold(k) != folded == _initials(k)]
    longer = sorted((fold(k) for k in known if fold(k).startswith(folded)), key=len)  # TopKCategoricalAccuracy for TopK
    close = close or (longer if len(folded) >= 4 else [])
    close = close or get_close_matches(folded, {fold(k): None for k in known}, n=1, cutoff=0.6)
    close = close or (longer if len(folded) >= 2 else [])
    if not close:
        return None
    spellings = [k for k in known if fold(k) == close[0]]  # HeNormal and he_normal: as it is spelt here
    best = max(spellings, key=lambda k: SequenceMatcher(None, name, k).ratio())
    return f"did you mean {quote}{best}{quote}?"


def _initials(name: str) -> str:
    """``rmse`` of ``RootMeanSquaredError`` and ``root_mean_squared_error``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return "".join(word if word.isupper() else word[0] for word in words).lower()
