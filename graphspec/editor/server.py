"""The language server: what the other modules find, in the words of the Language Server Protocol, by pygls over stdio."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from graphspec.base.errors import Diagnostic
from graphspec.base.version import __version__
from graphspec.editor import completion, names
from graphspec.editor import hover as outline
from graphspec.editor.analysis import Analysis, Shown, shown
from graphspec.editor.completion import Item
from graphspec.editor.document import Edit, Encoding, Span
from graphspec.editor.fixes import fixes
from graphspec.editor.hover import Hint, Section, hover, shape_hints

# Paths of files from the addresses that editors use for documents.
_DRIVE = re.compile(r"/([A-Za-z]):")


def path_of(uri: str, *, windows: bool = os.name == "nt") -> str:
    r"""Return the path of a document.

    A document that is not a file, such as ``untitled:Untitled-1``, gets its last part as its name: what its spec names is
    then relative to the folder in which the server was started.

    >>> path_of("file:///home/me/my%20net.yaml", windows=False)
    '/home/me/my net.yaml'
    >>> print(path_of("file:///c%3A/nets/a.yaml", windows=True), path_of("file://host/share/a.yaml", windows=True))
    C:\\nets\\a.yaml \\\\host\\share\\a.yaml
    """
    parts = urlsplit(uri)
    if parts.scheme.lower() != "file":
        return unquote(parts.path or uri).rpartition("/")[2] or "untitled"
    path = unquote(parts.path)
    if not windows:
        return path
    if match := _DRIVE.match(path):
        path = f"{match[1].upper()}:{path[match.end() :]}"
    elif parts.netloc and parts.netloc != "localhost":
        path = f"//{parts.netloc}{path}"
    return path.replace("/", "\\")


# What the other modules find, as messages of the Language Server Protocol.
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


def symbol(analysis: Analysis, found: Section, encoding: Encoding) -> lsp.DocumentSymbol:
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


P = ParamSpec("P")
T = TypeVar("T")

DELAY = 0.15  # seconds without a key after which a changed document is checked
_REQUEST_FAILED = -32803
_TRIGGERS = [" ", "{", "[", '"', "$"]


@dataclass
class _Open:
    """A document that is open: its last version, and the check that waits for a pause of the keys."""

    analysis: Analysis
    version: int | None
    of_data: list[Diagnostic] = field(default_factory=list)
    waiting: asyncio.TimerHandle | None = None


class Server(LanguageServer):
    """A server for specs.

    ``data``: whether data files are read and checked, too, when a document is opened and when it is saved.
    """

    def __init__(self, *, data: bool = False) -> None:
        kind = lsp.TextDocumentSyncKind.Full
        super().__init__("graphspec", __version__, text_document_sync_kind=kind)
        self.data = data
        self.shapes = True
        self.asked_to_end = False
        self.documents: dict[str, _Open] = {}

    def document(self, uri: str) -> _Open:
        """Return a document as it is in the editor now; an empty one that it has not opened: no file is read for it."""
        source = self.workspace.text_documents.get(unquote(uri)) or TextDocument(uri, "")
        known = self.documents.get(uri)
        if known is None:
            known = self.documents[uri] = _Open(Analysis(source.source, path_of(uri)), source.version)
        elif known.analysis.text.text != source.source:
            known.analysis, known.of_data = Analysis(source.source, path_of(uri)), []
        known.version = source.version
        return known

    def analysis(self, uri: str) -> Analysis | None:
        """Return what is known of a document; None if it is not a spec."""
        found = self.document(uri).analysis
        return found if found.is_spec else None

    @property
    def encoding(self) -> Encoding:
        """The units of columns, on which the editor and pygls have agreed."""
        value = str(getattr(self.workspace.position_encoding, "value", self.workspace.position_encoding))
        return "utf-8" if value == "utf-8" else "utf-32" if value == "utf-32" else "utf-16"

    # Diagnostics

    def publish(self, uri: str) -> None:
        """Check a document and show its problems."""
        document = self.document(uri)
        analysis = document.analysis
        found = shown(analysis, [*analysis.diagnostics, *document.of_data]) if analysis.is_spec else []
        diagnostics = [diagnostic(analysis, uri, one, self.encoding) for one in found]
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, diagnostics, document.version))

    def publish_later(self, uri: str) -> None:
        """Check a document after a pause of the keys."""
        document = self.document(uri)
        if document.waiting is not None:
            document.waiting.cancel()
        document.waiting = asyncio.get_running_loop().call_later(DELAY, _logged(self.publish), uri)

    async def publish_with_data(self, uri: str) -> None:
        """Check a document, and then its data files if that is wanted, in a thread."""
        self.publish(uri)
        document = self.document(uri)
        analysis = document.analysis
        if not self.data or not analysis.is_spec or analysis.checked.errors:
            return
        known = set(analysis.diagnostics)
        found = await asyncio.get_running_loop().run_in_executor(None, _logged(_of_data), analysis)
        if self.documents.get(uri) is document and document.analysis is analysis:
            document.of_data = [d for d in found or () if d not in known]
            self.publish(uri)

    def close(self, uri: str) -> None:
        """Forget a document, and take its problems away."""
        document = self.documents.pop(uri, None)
        if document is not None and document.waiting is not None:
            document.waiting.cancel()
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))


def _of_data(analysis: Analysis) -> list[Diagnostic]:
    from graphspec.api.validation import check_further

    return check_further(analysis.checked, data=True)


def _logged(function: Callable[P, T]) -> Callable[P, T | None]:
    """Return a function that writes any exception to stderr, and then returns None: the server goes on."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except JsonRpcException:  # an answer
            raise
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return None

    return guarded


class _Failures(logging.Filter):
    """Lets pygls log failures, not answers such as that a name cannot be given."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcException))


def serve(*, data: bool = False) -> int:
    """Serve an editor over stdin and stdout until it asks to end, or ends itself.

    Whatever else writes to stdout, writes to stderr: it would be no message of the protocol.

    Returns:
        The exit status: 1 if the editor has ended without asking.
    """
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_Failures())
    sys.stdout.flush()
    own = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    server = make_server(data=data)
    server.start_io(sys.stdin.buffer, own)
    return 0 if server.asked_to_end else 1


def make_server(*, data: bool = False) -> Server:
    """Return a server with all its features."""
    server = Server(data=data)
    _add_documents(server)
    _add_texts(server)
    _add_names(server)
    _add_fixes(server)
    return server


def _add_documents(server: Server) -> None:
    """Add what happens when documents are opened, changed, saved and closed."""

    @server.feature(lsp.INITIALIZE)
    @_logged
    def initialize(params: lsp.InitializeParams) -> None:
        options = params.initialization_options
        server.shapes = _setting(options, "shapes", True)
        server.data = _setting(options, "data", server.data)

    @server.feature(lsp.SHUTDOWN)
    def shut_down(params: Any = None) -> None:
        server.asked_to_end = True

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    async def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        await _safely(server, params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    async def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        await _safely(server, params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    @_logged
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        server.publish_later(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    @_logged
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        server.close(params.text_document.uri)

    @server.feature(lsp.WORKSPACE_DID_CHANGE_CONFIGURATION)
    def configured(params: Any) -> None:
        """Do nothing: the options of ``initialize`` hold until the server ends."""


async def _safely(server: Server, uri: str) -> None:
    try:
        await server.publish_with_data(uri)
    except Exception:
        traceback.print_exc(file=sys.stderr)


def _setting(options: Any, key: str, default: bool) -> bool:
    value = options.get(key, default) if isinstance(options, dict) else getattr(options, key, default)
    return value if isinstance(value, bool) else default


def _add_texts(server: Server) -> None:
    """Add what is shown at a place: completions, texts under the mouse, shapes, the outline."""

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=_TRIGGERS))
    @_logged
    def complete(params: lsp.CompletionParams) -> lsp.CompletionList | None:
        analysis = server.document(params.text_document.uri).analysis
        found = completion.complete(analysis, offset_of(analysis, params.position, server.encoding))
        return lsp.CompletionList(False, [item_of(analysis, k, item, server.encoding) for k, item in enumerate(found)])

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    @_logged
    def show(params: lsp.HoverParams) -> lsp.Hover | None:
        analysis = server.analysis(params.text_document.uri)
        found = None if analysis is None else hover(analysis, offset_of(analysis, params.position, server.encoding))
        if analysis is None or found is None:
            return None
        return lsp.Hover(
            lsp.MarkupContent(lsp.MarkupKind.Markdown, found.text), range_of(analysis, found.span, server.encoding)
        )

    @server.feature(lsp.TEXT_DOCUMENT_INLAY_HINT)
    @_logged
    def inlay(params: lsp.InlayHintParams) -> list[lsp.InlayHint] | None:
        analysis = server.analysis(params.text_document.uri)
        if analysis is None or not server.shapes:
            return None
        start, end = (offset_of(analysis, at, server.encoding) for at in (params.range.start, params.range.end))
        return [inlay_hint(analysis, hint, server.encoding) for hint in shape_hints(analysis, start, end)]

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    @_logged
    def symbols(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol] | None:
        analysis = server.analysis(params.text_document.uri)
        return (
            None if analysis is None else [symbol(analysis, one, server.encoding) for one in outline.outline(analysis)]
        )


def _add_names(server: Server) -> None:
    """Add what concerns names: definitions, references, highlights, new names."""

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    @_logged
    def define(params: lsp.DefinitionParams) -> lsp.Location | None:
        uri = params.text_document.uri
        analysis = server.analysis(uri)
        span = (
            None
            if analysis is None
            else names.definition(analysis, offset_of(analysis, params.position, server.encoding))
        )
        return (
            None if analysis is None or span is None else lsp.Location(uri, range_of(analysis, span, server.encoding))
        )

    @server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    @_logged
    def refer(params: lsp.ReferenceParams) -> list[lsp.Location] | None:
        uri = params.text_document.uri
        analysis = server.analysis(uri)
        if analysis is None:
            return None
        at, declared = offset_of(analysis, params.position, server.encoding), params.context.include_declaration
        found = names.references(analysis, at, declaration=declared)
        return [lsp.Location(uri, range_of(analysis, span, server.encoding)) for span in found]

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    @_logged
    def highlight(params: lsp.DocumentHighlightParams) -> list[lsp.DocumentHighlight] | None:
        analysis = server.analysis(params.text_document.uri)
        if analysis is None:
            return None
        found = names.references(analysis, offset_of(analysis, params.position, server.encoding))
        return [lsp.DocumentHighlight(range_of(analysis, span, server.encoding)) for span in found]

    @server.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)
    @_logged
    def prepare(params: lsp.PrepareRenameParams) -> lsp.PrepareRenamePlaceholder | None:
        analysis = server.analysis(params.text_document.uri)
        found = (
            None
            if analysis is None
            else names.occurrence_at(analysis, offset_of(analysis, params.position, server.encoding))
        )
        if analysis is None or found is None:
            return None
        return lsp.PrepareRenamePlaceholder(range_of(analysis, found.span, server.encoding), found.symbol.name)

    @server.feature(lsp.TEXT_DOCUMENT_RENAME)
    @_logged
    def rename(params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
        uri = params.text_document.uri
        analysis = server.analysis(uri)
        if analysis is None:
            return None
        try:
            found = names.rename(analysis, offset_of(analysis, params.position, server.encoding), params.new_name)
        except names.Rejected as error:
            raise JsonRpcException(str(error), _REQUEST_FAILED) from None
        return lsp.WorkspaceEdit({uri: text_edits(analysis, found, server.encoding)})


def _add_fixes(server: Server) -> None:
    """Add quick fixes."""

    @server.feature(
        lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix])
    )
    @_logged
    def fix(params: lsp.CodeActionParams) -> list[lsp.CodeAction] | None:
        uri = params.text_document.uri
        analysis = server.analysis(uri)
        only = params.context.only
        if analysis is None or (only and lsp.CodeActionKind.QuickFix not in only):
            return None
        start, end = (offset_of(analysis, at, server.encoding) for at in (params.range.start, params.range.end))
        return [
            lsp.CodeAction(
                title=one.title,
                kind=lsp.CodeActionKind.QuickFix,
                diagnostics=[diagnostic(analysis, uri, problem, server.encoding)],
                is_preferred=k == 0,
                edit=lsp.WorkspaceEdit({uri: text_edits(analysis, one.edits, server.encoding)}),
            )
            for problem in shown(analysis)
            if problem.span.start <= end and start <= problem.span.end
            for k, one in enumerate(fixes(analysis, problem.diagnostic))
        ]
