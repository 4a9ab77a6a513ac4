"""What the other modules find, as messages of the Language Server Protocol."""

from __future__ import annotations

from collections.abc import Iterable

from lsprotocol import types as lsp

from graphspec.editor.analysis import Analysis
from graphspec.editor.completion import Item
from graphspec.editor.outline import Symbol
from graphspec.editor.places import Edit, Encoding, Span
from graphspec.editor.problems import Shown
from graphspec.editor.shapes import Hint

_ITEMS = {
    "key": lsp.CompletionItemKind.Property,
    "class": lsp.CompletionItemKind.Class,
    "word": lsp.CompletionItemKind.EnumMember,
    "name": lsp.CompletionItemKind.Reference,
    "variable": lsp.CompletionItemKind.Variable,
}
_SYMBOLS = {
    "section": lsp.SymbolKind.Module,
    "input": lsp.SymbolKind.Interface,
    "column": lsp.SymbolKind.Field,
    "layer": lsp.SymbolKind.Function,
    "block": lsp.SymbolKind.Class,
    "head": lsp.SymbolKind.Event,
    "source": lsp.SymbolKind.File,
    "variable": lsp.SymbolKind.Variable,
}


def offset_of(analysis: Analysis, position: lsp.Position, encoding: Encoding) -> int:
    """Return the offset of a position of an editor."""
    return analysis.text.offset(position.line, position.character, encoding)


def position_of(analysis: Analysis, offset: int, encoding: Encoding) -> lsp.Position:
    """Return the position of an offset for an editor."""
    return lsp.Position(*analysis.text.position(offset, encoding))


def range_of(analysis: Analysis, span: Span, encoding: Encoding) -> lsp.Range:
    """Return a part of a document."""
    return lsp.Range(*(position_of(analysis, offset, encoding) for offset in span))


def text_edits(analysis: Analysis, edits: Iterable[Edit], encoding: Encoding) -> list[lsp.TextEdit]:
    """Return edits of a document."""
    return [lsp.TextEdit(range_of(analysis, Span(e.start, e.end), encoding), e.text) for e in edits]


def diagnostic(analysis: Analysis, uri: str, found: Shown, encoding: Encoding) -> lsp.Diagnostic:
    """Return a problem, with the other places that it is about."""
    related = [
        lsp.DiagnosticRelatedInformation(lsp.Location(uri, range_of(analysis, one.span, encoding)), one.text)
        for one in found.related
    ]
    is_error = found.diagnostic.is_error
    return lsp.Diagnostic(
        range=range_of(analysis, found.span, encoding),
        message=found.message,
        severity=lsp.DiagnosticSeverity.Error if is_error else lsp.DiagnosticSeverity.Warning,
        code=str(found.diagnostic.code),
        source="graphspec",
        related_information=related or None,
    )


def item_of(analysis: Analysis, position: int, item: Item, encoding: Encoding) -> lsp.CompletionItem:
    """Return a completion; ``position`` is that among the others."""
    quote = analysis.text.text[item.edit.start : item.edit.start + 1]
    return lsp.CompletionItem(
        label=item.label,
        kind=_ITEMS[item.kind],
        detail=item.detail or None,
        documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, item.text) if item.text else None,
        sort_text=f"{item.rank}{position:05}",
        filter_text=f"{quote}{item.label}" if quote in ('"', "'") else item.label,
        text_edit=text_edits(analysis, [item.edit], encoding)[0],
    )


def symbol(analysis: Analysis, found: Symbol, encoding: Encoding) -> lsp.DocumentSymbol:
    """Return a part of the outline with its parts."""
    return lsp.DocumentSymbol(
        name=found.name,
        detail=found.detail or None,
        kind=_SYMBOLS[found.kind],
        range=range_of(analysis, found.whole, encoding),
        selection_range=range_of(analysis, found.name_span, encoding),
        children=[symbol(analysis, child, encoding) for child in found.children],
    )


def inlay_hint(analysis: Analysis, hint: Hint, encoding: Encoding) -> lsp.InlayHint:
    """Return a shape after a line."""
    return lsp.InlayHint(
        position_of(analysis, hint.offset, encoding),
        hint.text,
        kind=lsp.InlayHintKind.Type,
        padding_left=True,
        tooltip=hint.meaning,
    )
