"""Render diagnostics as text with an excerpt of the source, as JSON, or as HTML for notebooks.

This floor is below the diagnostics themselves, so that the text of an exception can show them: it knows their shape alone.
"""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from graphspec.base.text import character_width, display_width, line_of, printable, wrapped

SHOWN = 100
"""The largest number of diagnostics that are printed; the number of further ones follows."""
_COLUMNS = 102  # of an excerpt that goes to a file or a pipe; a longer line is cut around the position
_FEWEST = 20  # columns of an excerpt, however narrow the terminal is
_INDENT = 4  # of the further lines of a message
_COLOURS = {"error": "1;31", "warning": "1;33", "gutter": "1;34", "help": "1;36", "bold": "1"}


class _Node(Protocol):
    """A node that a diagnostic mentions: see :class:`graphspec.base.errors.NodeRef`."""

    @property
    def name(self) -> str: ...
    @property
    def shape_text(self) -> str: ...
    @property
    def origin(self) -> str: ...


class _Shown(Protocol):
    """A diagnostic: see :class:`graphspec.base.errors.Diagnostic`."""

    @property
    def code(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int | None: ...
    @property
    def column(self) -> int | None: ...
    @property
    def path(self) -> str: ...
    @property
    def hint(self) -> str | None: ...
    @property
    def nodes(self) -> Sequence[_Node]: ...
    @property
    def severity(self) -> str: ...
    @property
    def length(self) -> int: ...
    @property
    def is_error(self) -> bool: ...
    def sort_key(self) -> tuple[str, int, int, str, str]: ...
    def to_json(self) -> dict[str, Any]: ...


D = TypeVar("D", bound=_Shown)


def _position(diagnostic: _Shown) -> tuple[str, int, int, str, str]:
    return diagnostic.sort_key()


def render(
    diagnostics: Iterable[_Shown],
    *,
    colour: bool = False,
    sources: Mapping[str, str] | None = None,
    width: int | None = None,
    spell: Callable[[str], str] = str,
) -> str:
    """Return ``diagnostics`` as text, in the order given, separated by blank lines.

    Args:
        colour: use ANSI escapes.
        width: the columns of the terminal. Excerpts are cut to it, and texts are wrapped. None for no wrapping: programs
            read lines.
        spell: how the console writes a part of a source line: characters outside its encoding become others.
        sources: texts by file name; for other files, the diagnostic itself refers to the text.
    """
    excerpts = _Excerpts(sources or {})
    return "\n\n".join(_render(diagnostic, excerpts, colour, width, spell) for diagnostic in diagnostics)


def render_json(diagnostics: Iterable[_Shown]) -> str:
    """Return the list that ``--format json`` prints."""
    return json.dumps([diagnostic.to_json() for diagnostic in diagnostics], indent=2, ensure_ascii=False)


_HTML_COLOURS = {"1;31": "#e5484d", "1;33": "#c77800", "1;34": "#3b82f6", "1;36": "#0d9488", "1": "inherit"}
"""Colours that are readable on white and on black."""


def render_html(diagnostics: Iterable[_Shown]) -> str:
    """Return ``diagnostics`` as HTML that contains no script and loads nothing; all text of specs is escaped."""
    text = escape(render(diagnostics, colour=True))  # the only escape characters left are those of the colours

    def span(found: re.Match[str]) -> str:
        return f'<span style="color: {_HTML_COLOURS[found[1]]}; font-weight: bold">'

    text = re.sub("\x1b\\[(1(?:;\\d+)?)m", span, text).replace("\x1b[0m", "</span>")
    return f'<pre style="line-height: 1.35; white-space: pre; overflow-x: auto">{text}</pre>'


class Listed(list[D]):
    """A list of diagnostics that shows itself as the command line does."""

    def __str__(self) -> str:
        return self.text()

    def text(self, *, colour: bool = False, wrap: bool = False) -> str:
        """Return the text of the command line: each diagnostic with its excerpt, nodes and hint.

        Args:
            wrap: whether sentences end at about 100 columns, for people; programs read whole lines.
        """
        rendered = render(self.shown(), colour=colour, width=_COLUMNS if wrap else None)
        return "\n\n".join(filter(None, [rendered, self._more()]))

    def shown(self) -> list[D]:
        """Return those that are printed: of very many, the errors come first."""
        first = sorted(self, key=lambda d: (not d.is_error, *d.sort_key()))[:SHOWN]
        return sorted(first, key=_position)

    def _more(self) -> str:
        return f"… and {len(self) - SHOWN:,} more" if len(self) > SHOWN else ""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Let IPython show the text in place of a list of records."""
        printer.text(self.text(wrap=True) if self else "[]")

    def _repr_html_(self) -> str:
        if not self:
            return "<pre>no problems</pre>"
        return render_html(self.shown()) + (f"<pre>{self._more()}</pre>" if self._more() else "")


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


class _Excerpts:
    """Lines of sources as they were read: a file may have changed since, and a pipe is empty."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._lines: dict[tuple[str, int], str | None] = {}

    def line(self, file: str, number: int) -> str | None:
        text: str | None = getattr(file, "text", None)  # a `SourceFile` has it
        text = self._sources.get(file) if text is None else text
        if text is not None and (file, number) not in self._lines:
            self._lines[file, number] = line_of(text, number)
        return self._lines.get((file, number))


def _render(
    diagnostic: _Shown, excerpts: _Excerpts, colour: bool, width: int | None, spell: Callable[[str], str]
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
    text = None if diagnostic.line is None else excerpts.line(diagnostic.file, diagnostic.line)
    if text is not None:
        assert diagnostic.column is not None
        room = _COLUMNS if width is None else max(width - len(margin) - 2, _FEWEST)
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


def _nodes(nodes: Sequence[_Node], width: int | None, margin: int) -> list[str]:
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
