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
from graphspec.editor import completion, hover, names
from graphspec.editor.analysis import Analysis, Shown, shown
from graphspec.editor.completion import Item
from graphspec.editor.document import Edit, Encoding, Span
from graphspec.editor.fixes import fixes
from graphspec.editor.hover import Section

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
_ERROR, _WARNING = lsp.DiagnosticSeverity.Error, lsp.DiagnosticSeverity.Warning


@dataclass
class Document:
    """A document that is open, as it is in the editor now, with its parts in the words of the protocol."""

    uri: str
    encoding: Encoding  # the units of columns
    analysis: Analysis
    version: int | None
    of_data: list[Diagnostic] = field(default_factory=list)
    waiting: asyncio.TimerHandle | None = None  # the check that waits for a pause of the keys

    def offset(self, position: lsp.Position) -> int:
        return self.analysis.text.offset(position.line, position.character, self.encoding)

    def offsets(self, part: lsp.Range) -> tuple[int, int]:
        return self.offset(part.start), self.offset(part.end)

    def position(self, offset: int) -> lsp.Position:
        return lsp.Position(*self.analysis.text.position(offset, self.encoding))

    def range(self, span: Span) -> lsp.Range:
        return lsp.Range(self.position(span.start), self.position(span.end))

    def location(self, span: Span) -> lsp.Location:
        return lsp.Location(self.uri, self.range(span))

    def edits(self, edits: Iterable[Edit]) -> list[lsp.TextEdit]:
        return [lsp.TextEdit(self.range(Span(e.start, e.end)), e.text) for e in edits]

    def diagnostic(self, found: Shown) -> lsp.Diagnostic:
        """Return a problem, with the other places that it is about."""
        related = [lsp.DiagnosticRelatedInformation(self.location(one.span), one.text) for one in found.related]
        return lsp.Diagnostic(
            range=self.range(found.span),
            message=found.message,
            severity=_ERROR if found.diagnostic.is_error else _WARNING,
            code=str(found.diagnostic.code),
            source="graphspec",
            related_information=related or None,
        )

    def item(self, rank: int, item: Item) -> lsp.CompletionItem:
        """Return a completion; ``rank`` is its position among the others."""
        quote = self.analysis.text.text[item.edit.start : item.edit.start + 1]
        return lsp.CompletionItem(
            label=item.label,
            kind=_ITEMS[item.kind],
            detail=item.detail or None,
            documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, item.text) if item.text else None,
            sort_text=f"{item.rank}{rank:05}",
            filter_text=f"{quote}{item.label}" if quote in ('"', "'") else item.label,
            text_edit=self.edits([item.edit])[0],
        )

    def symbol(self, found: Section) -> lsp.DocumentSymbol:
        return lsp.DocumentSymbol(
            name=found.name,
            detail=found.detail or None,
            kind=_SYMBOLS[found.kind],
            range=self.range(found.whole),
            selection_range=self.range(found.name_span),
            children=[self.symbol(child) for child in found.children],
        )

    # The answers to questions: what is shown at a place, what concerns names, and quick fixes.

    def complete(self, params: lsp.CompletionParams) -> lsp.CompletionList:
        found = completion.complete(self.analysis, self.offset(params.position))
        return lsp.CompletionList(False, [self.item(k, item) for k, item in enumerate(found)])

    def hover(self, params: lsp.HoverParams) -> lsp.Hover | None:
        found = hover.hover(self.analysis, self.offset(params.position))
        if found is None:
            return None
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, found.text), self.range(found.span))

    def shapes(self, params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
        found, kind = hover.shape_hints(self.analysis, *self.offsets(params.range)), lsp.InlayHintKind.Type
        at = self.position
        return [lsp.InlayHint(at(h.offset), h.text, kind, padding_left=True, tooltip=h.meaning) for h in found]

    def outline(self, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        return [self.symbol(one) for one in hover.outline(self.analysis)]

    def definition(self, params: lsp.DefinitionParams) -> lsp.Location | None:
        span = names.definition(self.analysis, self.offset(params.position))
        return None if span is None else self.location(span)

    def references(self, params: lsp.ReferenceParams) -> list[lsp.Location]:
        offset, declared = self.offset(params.position), params.context.include_declaration
        return [self.location(span) for span in names.references(self.analysis, offset, declaration=declared)]

    def highlights(self, params: lsp.DocumentHighlightParams) -> list[lsp.DocumentHighlight]:
        found = names.references(self.analysis, self.offset(params.position))
        return [lsp.DocumentHighlight(self.range(span)) for span in found]

    def before_rename(self, params: lsp.PrepareRenameParams) -> lsp.PrepareRenamePlaceholder | None:
        found = names.occurrence_at(self.analysis, self.offset(params.position))
        return None if found is None else lsp.PrepareRenamePlaceholder(self.range(found.span), found.symbol.name)

    def rename(self, params: lsp.RenameParams) -> lsp.WorkspaceEdit:
        try:
            found = names.rename(self.analysis, self.offset(params.position), params.new_name)
        except names.Rejected as error:
            raise JsonRpcException(str(error), _REQUEST_FAILED) from None
        return lsp.WorkspaceEdit({self.uri: self.edits(found)})

    def fixes(self, params: lsp.CodeActionParams) -> list[lsp.CodeAction] | None:
        if params.context.only and lsp.CodeActionKind.QuickFix not in params.context.only:
            return None
        start, end = self.offsets(params.range)
        return [
            lsp.CodeAction(
                title=one.title,
                kind=lsp.CodeActionKind.QuickFix,
                diagnostics=[self.diagnostic(problem)],
                is_preferred=k == 0,
                edit=lsp.WorkspaceEdit({self.uri: self.edits(one.edits)}),
            )
            for problem in shown(self.analysis)
            if problem.span.start <= end and start <= problem.span.end
            for k, one in enumerate(fixes(self.analysis, problem.diagnostic))
        ]


P = ParamSpec("P")
T = TypeVar("T")

DELAY = 0.15  # seconds without a key after which a changed document is checked
_REQUEST_FAILED = -32803


class Server(LanguageServer):
    """A server for specs; with ``data``, it also checks data files when a document is opened and when it is saved."""

    def __init__(self, *, data: bool = False) -> None:
        kind = lsp.TextDocumentSyncKind.Full
        super().__init__("graphspec", __version__, text_document_sync_kind=kind)
        self.data, self.shapes, self.asked_to_end = data, True, False
        self.documents: dict[str, Document] = {}

    def document(self, uri: str) -> Document:
        """Return a document as it is in the editor now; an empty one that it has not opened: no file is read for it."""
        source = self.workspace.text_documents.get(unquote(uri)) or TextDocument(uri, "")
        found = self.documents.get(uri)
        if found is None:
            analysis = Analysis(source.source, path_of(uri))
            found = self.documents[uri] = Document(uri, self.encoding, analysis, source.version)
        elif found.analysis.text.text != source.source:
            found.analysis, found.of_data = Analysis(source.source, path_of(uri)), []
        found.version = source.version
        return found

    @property
    def encoding(self) -> Encoding:
        """The units of columns, on which the editor and pygls have agreed."""
        value = str(getattr(self.workspace.position_encoding, "value", self.workspace.position_encoding))
        return "utf-8" if value == "utf-8" else "utf-32" if value == "utf-32" else "utf-16"

    def publish(self, uri: str) -> None:
        document = self.document(uri)
        analysis = document.analysis
        found = shown(analysis, [*analysis.diagnostics, *document.of_data]) if analysis.is_spec else []
        diagnostics = [document.diagnostic(one) for one in found]
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, diagnostics, document.version))

    def publish_later(self, uri: str) -> None:
        """Check a document after a pause of the keys."""
        document = self.document(uri)
        if document.waiting is not None:
            document.waiting.cancel()
        document.waiting = asyncio.get_running_loop().call_later(DELAY, _logged(self.publish), uri)

    async def publish_with_data(self, uri: str) -> None:
        """Check a document, and then its data files if that is wanted, in a thread."""
        try:
            self.publish(uri)
            document = self.document(uri)
            analysis = document.analysis
            if not self.data or not analysis.is_spec or analysis.checked.errors:
                return
            before = set(analysis.diagnostics)
            found = await asyncio.get_running_loop().run_in_executor(None, _logged(_of_data), analysis)
            if self.documents.get(uri) is document and document.analysis is analysis:
                document.of_data = [d for d in found or () if d not in before]
                self.publish(uri)
        except Exception:
            traceback.print_exc(file=sys.stderr)

    def close(self, uri: str) -> None:
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


def serve(*, data: bool = False) -> int:
    """Serve an editor over stdin and stdout until it asks to end, or ends itself.

    Return the exit status: 1 if the editor has ended without asking. Whatever else writes to stdout, writes to stderr:
    it would be no message of the protocol.
    """
    of_failures = logging.getLogger("pygls.protocol.json_rpc")  # not of answers such as that a name cannot be given
    of_failures.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], JsonRpcException)))
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
    for method, answer in _ANSWERS.items():
        _add_answer(server, method, answer)
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
    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    async def opened_or_saved(params: lsp.DidOpenTextDocumentParams | lsp.DidSaveTextDocumentParams) -> None:
        await server.publish_with_data(params.text_document.uri)

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


def _setting(options: Any, key: str, default: bool) -> bool:
    value = options.get(key, default) if isinstance(options, dict) else getattr(options, key, default)
    return value if isinstance(value, bool) else default


_ANSWERS: dict[str, Callable[[Document, Any], Any]] = {
    lsp.TEXT_DOCUMENT_COMPLETION: Document.complete,
    lsp.TEXT_DOCUMENT_HOVER: Document.hover,
    lsp.TEXT_DOCUMENT_INLAY_HINT: Document.shapes,
    lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL: Document.outline,
    lsp.TEXT_DOCUMENT_DEFINITION: Document.definition,
    lsp.TEXT_DOCUMENT_REFERENCES: Document.references,
    lsp.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT: Document.highlights,
    lsp.TEXT_DOCUMENT_PREPARE_RENAME: Document.before_rename,
    lsp.TEXT_DOCUMENT_RENAME: Document.rename,
    lsp.TEXT_DOCUMENT_CODE_ACTION: Document.fixes,
}
_OPTIONS = {
    lsp.TEXT_DOCUMENT_COMPLETION: lsp.CompletionOptions(trigger_characters=[" ", "{", "[", '"', "$"]),
    lsp.TEXT_DOCUMENT_CODE_ACTION: lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix]),
}


def _add_answer(server: Server, method: str, answer: Callable[[Document, Any], Any]) -> None:
    """Let a server answer questions about specs; of other documents only completion, which may begin one."""

    @server.feature(method, _OPTIONS.get(method))
    @_logged
    def answered(params: Any) -> Any:
        document = server.document(params.text_document.uri)
        wanted = server.shapes or answer is not Document.shapes
        wanted = wanted and (answer is Document.complete or document.analysis.is_spec)
        return answer(document, params) if wanted else None
