"""A fast scanner for ruamel.yaml: the same events in a fraction of the time.

ruamel.yaml's scanner examines one character at a time. The classes here match runs of characters with regular
expressions, and skip checks that cannot have another result. Events and errors are the same, but for what YAML 1.2 allows
and ruamel.yaml refuses; ``tests/trust/test_scan.py`` compares them. Keys, tags, anchors and directives are limited to
``MAX_KEY`` characters. The caller limits the number of lines.

An editor reads texts that are half written. The tolerant scanner has the same tokens up to an error, and goes on after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import FileMark, YAMLError
from ruamel.yaml.events import ScalarEvent
from ruamel.yaml.parser import Parser
from ruamel.yaml.reader import Reader
from ruamel.yaml.scanner import Scanner, ScannerError
from ruamel.yaml.tokens import FlowMappingEndToken, FlowSequenceEndToken, KeyToken, ScalarToken

from graphspec.language.tree import MAX_KEY

_BREAKS: Final = "\r\n"
_OLD_BREAKS: Final = "\x85\u2028\u2029"  # of YAML 1.1, and of ruamel.yaml; letters in YAML 1.2 and JSON
_ENDS: Final = f"{_BREAKS}\0"
_STOPS: Final = f" \t{_ENDS}"
_ESCAPES: Final = (
    r"""\\(?:[0abt\tnvfre "/\\N_LP]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U000[0-9A-Fa-f]{5}|U0010[0-9A-Fa-f]{4})"""
)


def _line(word: str, space: str) -> re.Pattern[str]:
    return re.compile(f"{word}(?:{space}++{word})*+")


_PLAIN_BLOCK: Final = _line(f"(?!(?<= )#)(?:[^{_STOPS}:]|:(?![{_STOPS}]))++", " ")
_PLAIN_FLOW: Final = _line(rf"(?!(?<= )#)(?:[^{_STOPS}:,\[\]{{}}]|:(?![{_STOPS}]))++", " ")
_SINGLE: Final = _line(f"(?:[^{_STOPS}']|'')++", r"[ \t]")
_DOUBLE: Final = _line(rf'(?:[^{_STOPS}"\\]|{_ESCAPES})++', r"[ \t]")
_ESCAPE: Final = re.compile(_ESCAPES)
_WORD: Final = re.compile(rf"[^{_STOPS}]*+")
_LINE: Final = re.compile(f"[^{_ENDS}]*+")
_SPACES: Final = re.compile(" *+")
_BLANKS: Final = re.compile(r"[ \t]*+")
_GAP_BLOCK: Final = re.compile(f" *+(?:#[^{_ENDS}]*+)?+")
_GAP_FLOW: Final = re.compile(rf"[ \t]*+(?:#[^{_ENDS}]*+)?+")
_JUNK_FLOW: Final = re.compile(rf"[^{_ENDS}][^{_ENDS},\[\]{{}}]*+")
_QUOTED: Final = {'"': re.compile(r'"(?:[^"\\\0]|\\.)*+"', re.S), "'": re.compile(r"'(?:[^'\0]|'')*+'")}
_INDENTED: Final = re.compile(r"[\r\n]([ \t]*)([^\r\n]?)")
_KEY_AHEAD: Final = re.compile(
    r"""(?:"(?:[^"\\\r\n\0]|\\.)*"|'[^'\r\n\0]*'|[^ \t\r\n\[\]{}"'#&*!|>@`%,\0](?:(?![ \t]#|:[ \t\r\n\0])[^\r\n\0])*)"""
    r"[ \t]*:(?=[ \t\r\n\0])"
)

ERRORS: Final = (YAMLError, ValueError, IndexError, KeyError, AssertionError, OverflowError)
"""What the scanner and the parser raise: ruamel.yaml has plain exceptions for some malformed escapes and directives."""


def scanner(text: str, *, tolerant: bool = False) -> tuple[Any, dict[int, str]]:
    """Return a scanner and a table that translates its scalars. Only a tolerant scanner raises nothing."""
    if tolerant:
        text = Reader.NON_PRINTABLE.sub("?", text)
    text, back = _prepared(text)
    yaml = _yaml(_TolerantScanner if tolerant else _FastScanner)
    yaml.reader.stream = text
    return yaml.scanner, back


def events(text: str) -> Iterator[Any]:
    """Yield the events of a stream. What is not YAML raises one of ``ERRORS``."""
    text, back = _prepared(text)
    parsed = _yaml(_FastScanner).parse(text)
    if not back:
        yield from parsed
        return
    for event in parsed:
        if isinstance(event, ScalarEvent):
            event.value = event.value.translate(back)
        yield event


def _yaml(kind: type[_FastScanner]) -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Reader, yaml.Scanner, yaml.Parser = _FastReader, kind, _FastParser
    return yaml


def _prepared(text: str) -> tuple[str, dict[int, str]]:
    """Return a text with letters of private use in place of ``_OLD_BREAKS``, and the table that translates it back."""
    letters = [c for c in _OLD_BREAKS if c in text]
    free = (c for c in map(chr, range(0xE000, 0xF8FF)) if c not in text)
    others = {ord(c): next(free) for c in letters}
    return text.translate(others) if letters else text, {ord(other): chr(c) for c, other in others.items()}


class _FastReader(Reader):
    _mark = FileMark(None, -1, 0, 0)

    def get_mark(self) -> Any:
        if self._mark.index != self.index:
            self._mark = FileMark(self.name, self.index, self.line, self.column)
        return self._mark

    def forward(self, length: int = 1) -> None:
        """Consume characters: four or more are a run without a line break."""
        start, buffer = self.pointer, self.buffer
        end = start + length
        if length < 4 or end >= len(buffer):
            super().forward(length)
            return
        self.pointer = end
        self.index += length
        self.column += end - start - (0 if buffer.isascii() else buffer.count("\ufeff", start, end))


class _FastScanner(Scanner):
    reader: Any = None  # properties in the base class
    scanner_processing_version = (1, 2)
    plain_flow = _PLAIN_FLOW

    def __init__(self, loader: Any) -> None:
        self.reader = loader.reader
        super().__init__(loader=loader)

    def check_token(self, *choices: Any) -> bool:
        if not self.tokens or self.possible_simple_keys:
            while self.need_more_tokens():
                self.fetch_more_tokens()
        return bool(self.tokens) and (not choices or isinstance(self.tokens[0], choices))

    def need_more_tokens(self) -> bool:
        if self.done:
            return False
        if not self.tokens:
            return True
        if not self.possible_simple_keys:
            return False
        self.stale_possible_simple_keys()
        return bool(self.next_possible_simple_key() == self.tokens_taken)

    def next_possible_simple_key(self) -> Any:
        # Keys are stored in order: one of an inner level is removed before one of an outer level is added.
        return next((key.token_number for key in self.possible_simple_keys.values()), None)

    def stale_possible_simple_keys(self) -> None:
        first = next(iter(self.possible_simple_keys.values()), None)
        if first is not None and (first.line != self.reader.line or self.reader.index - first.index > MAX_KEY):
            super().stale_possible_simple_keys()

    def fetch_more_tokens(self) -> Any:
        self.scan_to_next_token()
        if not self.reader.peek().isalnum():
            return super().fetch_more_tokens()
        self.stale_possible_simple_keys()
        self.unwind_indent(self.reader.column)
        return self.fetch_plain()

    def _consume(self, pattern: re.Pattern[str], limit: int | None = None) -> str:
        """Consume and return what ``pattern`` matches at the current position, at most ``limit`` characters."""
        reader = self.reader
        match = pattern.match(reader.buffer, reader.pointer)
        text: str = match.group()[:limit] if match is not None else ""
        if text:
            reader.forward(len(text))
        return text

    def _check_length(self, pattern: re.Pattern[str], what: str) -> None:
        reader = self.reader
        match = pattern.match(reader.buffer, reader.pointer)
        if match is not None and match.end() - match.start() > MAX_KEY:
            raise ScannerError(None, None, f"found {what} of more than {MAX_KEY} characters", reader.get_mark())

    def scan_anchor(self, TokenClass: Any) -> Any:
        self._check_length(_WORD, "an anchor or alias")
        return super().scan_anchor(TokenClass)

    def scan_tag(self) -> Any:
        self._check_length(_WORD, "a tag")
        return super().scan_tag()

    def scan_directive(self) -> Any:
        self._check_length(_LINE, "a directive")
        return super().scan_directive()

    def scan_to_next_token(self) -> Any:
        reader, flow = self.reader, bool(self.flow_context)
        if reader.index == 0 and reader.peek() == "\ufeff":
            reader.forward()
        while True:
            if reader.peek() in " \t#":
                self._consume(_GAP_FLOW if flow else _GAP_BLOCK)
            if reader.peek() not in _BREAKS:
                return
            self.scan_line_break()
            if not flow:
                self.allow_simple_key = True

    def scan_line_break(self) -> Any:
        return super().scan_line_break() if self.reader.peek() in _BREAKS else ""

    def scan_plain(self) -> Any:
        reader = self.reader
        start = end = reader.get_mark()
        indent = self.indent + 1
        run = self.plain_flow if self.flow_context else _PLAIN_BLOCK
        chunks: list[str] = []
        spaces: list[str] = []
        while reader.peek() != "#" and (text := self._consume(run)):
            self.allow_simple_key = False
            chunks += [*spaces, text]
            end = reader.get_mark()
            if reader.peek() not in _STOPS:
                break
            spaces = self.scan_plain_spaces(indent, start)
            if not spaces or reader.peek() == "#" or (not self.flow_context and reader.column < indent):
                break
        return ScalarToken("".join(chunks), True, start, end)

    def scan_plain_spaces(self, indent: Any, start_mark: Any) -> Any:
        spaces = self._consume(_SPACES)
        if self.reader.peek() not in _BREAKS:
            return [spaces] if spaces else []
        breaks: list[str] = []
        first = self.scan_line_break()
        self.allow_simple_key = True
        while not self._separator():
            self._consume(_SPACES)
            if self.reader.peek() not in _BREAKS:
                return self._folded(first, breaks)
            breaks.append(self.scan_line_break())
        return None

    def _separator(self) -> bool:
        """Return whether a document separator, ``---`` or ``...``, is at the current position."""
        reader = self.reader
        return reader.peek() in "-." and reader.prefix(3) in ("---", "...") and reader.peek(3) in _STOPS

    @staticmethod
    def _folded(first: str, breaks: list[str]) -> list[str]:
        """Fold a line break and the empty lines after it, as in a plain or quoted scalar."""
        return [first, *breaks] if first != "\n" else breaks or [" "]

    def scan_flow_scalar_non_spaces(self, double: Any, start_mark: Any) -> Any:
        text = self._consume(_DOUBLE if double else _SINGLE)
        if not double:
            text = text.replace("''", "'")
        elif "\\" in text:
            text = _ESCAPE.sub(self._unescaped, text)
        return [text, *super().scan_flow_scalar_non_spaces(double, start_mark)]

    def _unescaped(self, match: re.Match[str]) -> str:
        text = match.group()
        return chr(int(text[2:], 16)) if len(text) > 2 else self.ESCAPE_REPLACEMENTS[text[1]]

    def scan_flow_scalar_spaces(self, double: Any, start_mark: Any) -> Any:
        spaces = self._consume(_BLANKS)
        if self.reader.peek() == "\0":
            return super().scan_flow_scalar_spaces(double, start_mark)
        if self.reader.peek() not in _BREAKS:
            return [spaces]
        first = self.scan_line_break()
        return self._folded(first, self.scan_flow_scalar_breaks(double, start_mark))

    def scan_flow_scalar_breaks(self, double: Any, start_mark: Any) -> Any:
        breaks: list[str] = []
        while not self._separator():
            self._consume(_BLANKS)
            if self.reader.peek() not in _BREAKS:
                return breaks
            breaks.append(self.scan_line_break())
        return super().scan_flow_scalar_breaks(double, start_mark)

    def scan_block_scalar(self, style: Any, rt: bool | None = False) -> Any:
        reader = self.reader
        start = reader.get_mark()
        reader.forward()
        chomping, increment = self.scan_block_scalar_indicators(start)
        self._consume(_GAP_BLOCK)
        self.scan_block_scalar_ignored_line(start)
        least = self.indent + 1
        if increment is None:
            breaks, most, end = self.scan_block_scalar_indentation()
            indent = max(least, most)
        else:
            least = max(least, 1)
            indent = least + increment - 1
            breaks, end = self.scan_block_scalar_breaks(indent)
        chunks: list[str] = []
        line_break = ""
        while reader.column == indent and reader.peek() != "\0":
            chunks += breaks
            text_first = reader.peek() not in " \t"
            chunks.append(self._consume(_LINE))
            line_break = self.scan_line_break()
            breaks, end = self.scan_block_scalar_breaks(indent)
            if least == 0 and (self.check_document_start() or self.check_document_end()):
                break
            if reader.column != indent or reader.peek() == "\0":
                break
            if style == ">" and line_break == "\n" and text_first and reader.peek() not in " \t":
                chunks += [] if breaks else [" "]
            else:
                chunks.append(line_break)
        if chomping in (None, True):
            chunks.append(line_break)
        if chomping is True:
            chunks += breaks
        elif breaks:
            self.scan_to_next_token()
        return ScalarToken("".join(chunks), False, start, end, style)

    def scan_block_scalar_indentation(self) -> Any:
        reader = self.reader
        breaks: list[str] = []
        most, end = 0, reader.get_mark()
        while True:
            if self._consume(_SPACES):
                most = max(most, reader.column)
            if reader.peek() not in _BREAKS:
                break
            breaks.append(self.scan_line_break())
            end = reader.get_mark()
        return breaks, most, end

    def scan_block_scalar_breaks(self, indent: int) -> Any:
        reader = self.reader
        breaks: list[str] = []
        while True:
            end = reader.get_mark()
            if reader.column < indent:
                self._consume(_SPACES, indent - reader.column)
            if reader.peek() not in _BREAKS:
                return breaks, end
            breaks.append(self.scan_line_break())


class _TolerantScanner(_FastScanner):
    """A scanner of texts that are half written.

    An unclosed bracket ends where the next entry of the block around it begins, an unclosed quotation mark ends with its
    line, a key without a colon is a key, and what begins no token is a word.
    """

    # with `${x}`
    plain_flow = _line(rf"(?!(?<= )#)(?:\$\{{[^}}\r\n]*\}}|[^{_STOPS}:,\[\]{{}}]|:(?![{_STOPS},\[\]{{}}]))++", " ")

    def fetch_more_tokens(self) -> Any:
        self.scan_to_next_token()
        reader = self.reader
        if self.flow_context and (reader.peek() == "\0" or (self._outside() and reader.peek() not in "]},")):
            self._close(len(self.flow_context))
            self.allow_simple_key = True
        place = reader.pointer, reader.index, reader.line, reader.column
        try:
            super().fetch_more_tokens()
        except ERRORS:
            reader.pointer, reader.index, reader.line, reader.column = place
            self.tokens.append(self._rest(None))

    def scan_to_next_token(self) -> Any:
        super().scan_to_next_token()
        while self.reader.peek() == "\t":
            self._consume(_BLANKS)
            super().scan_to_next_token()

    def _outside(self) -> bool:
        """Return whether the next character is the first one of its line, and not inside the entry of the open brackets."""
        reader = self.reader
        if reader.column > self.indent:
            return False
        return not reader.buffer[reader.pointer - reader.column : reader.pointer].strip(" \t")

    def _close(self, count: int) -> None:
        mark = self.reader.get_mark()
        for _ in range(count):
            self.remove_possible_simple_key()
            kind = FlowMappingEndToken if self.flow_context.pop() == "{" else FlowSequenceEndToken
            self.tokens.append(kind(mark, mark))

    def _rest(self, style: str | None) -> Any:
        """Return the rest of the line, or up to the next sign of a mapping or list in brackets, as a scalar."""
        start = self.reader.get_mark()
        text = self._consume(_JUNK_FLOW if self.flow_context and style is None else _LINE).rstrip(" \t")
        return ScalarToken(text if style is None else text[1:], style is None, start, self.reader.get_mark(), style)

    def _insert_key(self, level: int) -> None:
        """Make what may be a key one without a colon, if it has to be one."""
        key = self.possible_simple_keys.pop(level)
        if key.required:
            self.tokens.insert(key.token_number - self.tokens_taken, KeyToken(key.mark, key.mark))

    def remove_possible_simple_key(self) -> None:
        if self.flow_level in self.possible_simple_keys:
            self._insert_key(self.flow_level)

    def stale_possible_simple_keys(self) -> None:
        first = next(iter(self.possible_simple_keys.values()), None)
        if first is not None and (first.line != self.reader.line or self.reader.index - first.index > MAX_KEY):
            for level in [n for n, key in self.possible_simple_keys.items() if key.line != self.reader.line]:
                self._insert_key(level)

    def fetch_flow_collection_end(self, TokenClass: Any) -> None:
        opening = "{" if TokenClass is FlowMappingEndToken else "["
        if opening in self.flow_context:
            self._close(self.flow_context[::-1].index(opening))
        elif self.flow_context:
            self._close(1)
            self.reader.forward()
            return
        super().fetch_flow_collection_end(TokenClass)

    def fetch_flow_scalar(self, style: Any) -> None:
        reader = self.reader
        match = _QUOTED[style].match(reader.buffer, reader.pointer)
        lines = [] if match is None else _INDENTED.findall(match.group())
        if match is None or any(content[1] and len(content[0]) <= self.indent for content in lines):
            self.save_possible_simple_key()
            self.allow_simple_key = False
            self.tokens.append(self._rest(style))
        else:
            super().fetch_flow_scalar(style)

    def scan_plain(self) -> Any:
        token = super().scan_plain()
        return token if token.value else self._rest(None)

    def scan_plain_spaces(self, indent: Any, start_mark: Any) -> Any:
        line = self.reader.line
        spaces = super().scan_plain_spaces(indent, start_mark)
        if self.reader.line == line:
            return spaces
        outside = bool(self.flow_context) and self._outside()
        return None if outside or _KEY_AHEAD.match(self.reader.buffer, self.reader.pointer) else spaces


class _FastParser(Parser):
    scanner: Any = None  # a property in the base class

    def __init__(self, loader: Any) -> None:
        self.scanner = loader.scanner
        super().__init__(loader=loader)

    def parse_node(self, block: bool = False, indentless_sequence: bool = False) -> Any:
        token = self.scanner.peek_token()
        if type(token) is not ScalarToken:
            return super().parse_node(block, indentless_sequence)
        self.scanner.get_token()
        self.state = self.states.pop()
        implicit = (True, False) if token.plain else (False, True)
        return ScalarEvent(None, None, implicit, token.value, token.start_mark, token.end_mark, style=token.style)
