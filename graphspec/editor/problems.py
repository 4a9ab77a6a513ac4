"""Diagnostics as an editor shows them: the part of the text that is wrong, a message, and the other places it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from graphspec.base.errors import Diagnostic
from graphspec.editor.analysis import Analysis
from graphspec.editor.places import Span

_LINE = re.compile(r"\bline (\d+)\b")


@dataclass(frozen=True)
class Related:
    """Another place that a problem is about."""

    span: Span
    text: str


@dataclass(frozen=True)
class Shown:
    """A diagnostic, as an editor shows it.

    Attributes:
        message: a sentence, the nodes with their shapes, and how to fix it.
        related: the nodes, and the lines that the message names.
    """

    diagnostic: Diagnostic
    span: Span
    message: str
    related: list[Related] = field(default_factory=list)


def place_of(analysis: Analysis, diagnostic: Diagnostic) -> Span:
    """Return the part of the text that a diagnostic is about; of another file's or of no line, the first line."""
    if diagnostic.file != analysis.name:
        return analysis.text.of_mark(None, None)
    return analysis.text.of_mark(diagnostic.line, diagnostic.column, diagnostic.length)


def shown(analysis: Analysis, diagnostics: list[Diagnostic] | None = None) -> list[Shown]:
    """Return the diagnostics of a document, or the given ones of it, as an editor shows them."""
    return [_shown(analysis, d) for d in (analysis.diagnostics if diagnostics is None else diagnostics)]


def _shown(analysis: Analysis, diagnostic: Diagnostic) -> Shown:
    lines = [diagnostic.message]
    if diagnostic.file != analysis.name and diagnostic.file != "<dict>":
        lines[0] = f"{diagnostic.file}: {lines[0]}"
    lines += [f"{node.name} {node.shape_text} {node.origin}".replace("  ", " ") for node in diagnostic.nodes]
    lines += [f"help: {diagnostic.hint}"] if diagnostic.hint else []
    related: dict[int, str] = {}
    for node in diagnostic.nodes:
        if node.line is not None:
            related.setdefault(node.line, f"{node.name} {node.shape_text}".strip())
    for text in (diagnostic.message, diagnostic.hint or ""):
        for match in _LINE.finditer(text):
            related.setdefault(int(match[1]), "here")
    related.pop(diagnostic.line or 0, None)
    places = [Related(_whole_line(analysis, line), text) for line, text in related.items() if _exists(analysis, line)]
    return Shown(diagnostic, place_of(analysis, diagnostic), "\n".join(lines), places)


def _exists(analysis: Analysis, line: int) -> bool:
    return 1 <= line <= len(analysis.text.starts)


def _whole_line(analysis: Analysis, line: int) -> Span:
    """Return the content of a line, from 1, without the space around it."""
    start, end = analysis.text.starts[line - 1], analysis.text.ends[line - 1]
    content = analysis.text.text[start:end]
    return Span(start + len(content) - len(content.lstrip()), start + len(content.rstrip()))
