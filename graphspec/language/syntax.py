"""Explain syntax errors of YAML and JSON, and find positions in a text."""

from __future__ import annotations

import re

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic
from graphspec.base.text import count_breaks, line_of


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """Return line and column of a character, both from 1."""
    head = text[:position]
    if head.endswith("\r") and text[position : position + 1] == "\n":
        head = head[:-1]  # CR LF is one line break: the LF belongs to the line that it ends
    return count_breaks(head) + 1, position - max(head.rfind("\n"), head.rfind("\r"))


def explain_syntax(error: Exception, text: str, file: str) -> Diagnostic:
    """Return GS101 for an error of the YAML parser."""
    if isinstance(error, MarkedYAMLError):
        return _marked(error, text, file)
    if isinstance(error, ReaderError):
        line, column = line_and_column(text, error.position)
        code = ord(error.character) if isinstance(error.character, str) else int(error.character)
        message = f"not YAML or JSON: character U+{code:04X} is not allowed in text"
        hint = "remove it; inside double quotes it may be written as an escape"
        return Diagnostic(Code.UNREADABLE_DOCUMENT, message, file, line, column, hint=hint)
    hint = "check escapes inside double quotes, and lines that begin with '%'"
    return Diagnostic(Code.UNREADABLE_DOCUMENT, f"not YAML or JSON: {error}".rstrip(": "), file, hint=hint)


def _marked(error: MarkedYAMLError, text: str, file: str) -> Diagnostic:
    """Return GS101 for an error with a position, with a hint for common mistakes."""
    position = error.problem_mark or error.context_mark
    problem = re.sub(r"\('(.*)',\)", r"'\1'", (error.problem or "syntax error").strip())
    problem = problem.replace("'<stream end>'", "the end of the text").replace("'<scalar>'", "a value")
    message = "not YAML or JSON: " + re.sub(r"'<(.*)>'", r"\1", problem)
    start = None
    if error.context:
        message += f", {error.context.strip()}"
        if error.context_mark is not None and error.context_mark is not position:
            start = error.context_mark.line + 1
            message += f" that begins at line {start}"
    hint = None
    if match := re.match(r"expected ',' or '(.)'", problem):
        bracket = "{" if match[1] == "}" else "["
        hint = f"insert a comma before it, or close the '{bracket}' of line {start}"
    if position is not None:
        line = line_of(text, position.line + 1) or ""
        if re.search(r"""(?<!["'$])\$\{""", line):
            hint = 'put quotes around a variable inside braces: "${x}"'
        elif "\t" in line[: position.column + 1]:
            hint = "indent with spaces, not with tabs"
        elif "mapping values are not allowed" in message:
            hint = "check the indentation; put quotes around text that contains ': '"
        elif "cannot start any token" in message:
            hint = "put quotes around text that begins with this character"
    hint = hint or "check indentation, quotes and brackets here and in the lines above"
    if position is None:
        return Diagnostic(Code.UNREADABLE_DOCUMENT, message, file, hint=hint)
    return Diagnostic(Code.UNREADABLE_DOCUMENT, message, file, position.line + 1, position.column + 1, hint=hint)
