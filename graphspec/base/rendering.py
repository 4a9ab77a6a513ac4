"""Render diagnostics as text with an excerpt of the source, as JSON, or as HTML for notebooks.

This floor is below the diagnostics themselves, so that the text of an exception can show them.
"""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from graphspec.base.text import character_width, display_width, line_of, printable, wrapped

if TYPE_CHECKING:
    from graphspec.base.errors import Diagnostic, NodeRef

COLUMNS = 102  # of an excerpt that goes to a file or a pipe; a longer line is cut around the position
_FEWEST = 20  # columns of an excerpt, however narrow the terminal is
_INDENT = 4  # of the further lines of a message
_COLOURS = {"error": "1;31", "warning": "1;33", "gutter": "1;34", "help": "1;36", "bold": "1"}


def render(
    diagnostics: Iterable[Diagnostic],
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
    diagnostic: Diagnostic,
    line_in: Callable[[str, int], str | None],
    colour: bool,
    width: int | None,
    spell: Callable[[str], str],
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
