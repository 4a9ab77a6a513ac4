"""What is wrong with a text that is neither YAML nor JSON, in words that help."""

from __future__ import annotations

import re

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from graphspec.errors import Diagnostic


def text_lines(text: str) -> list[str]:
    """Lines as YAML counts them."""
    return re.split("\r\n|\r|\n", text)


def explain_syntax(error: Exception, text: str, file: str) -> Diagnostic:
    """GS101 for an error of the YAML parser."""
    if isinstance(error, MarkedYAMLError):
        return _marked(error, text, file)
    if isinstance(error, ReaderError):
        head = text[: error.position]
        line, column = head.count("\n") + 1, error.position - head.rfind("\n")
        code = ord(error.character) if isinstance(error.character, str) else int(error.character)
        message = f"not YAML or JSON: character U+{code:04X} is not allowed in text"
        hint = "remove it; inside double quotes it may be written as an escape"
        return Diagnostic("GS101", message, file, line, column, hint=hint)
    hint = "check escapes inside double quotes, and lines that begin with '%'"
    return Diagnostic("GS101", f"not YAML or JSON: {error}".rstrip(": "), file, hint=hint)


def _marked(error: MarkedYAMLError, text: str, file: str) -> Diagnostic:
    place = error.problem_mark or error.context_mark
    problem = re.sub(r"\('(.*)',\)", r"'\1'", (error.problem or "syntax error").strip())
    problem = problem.replace("'<stream end>'", "the end of the text").replace("'<scalar>'", "a value")
    message = "not YAML or JSON: " + re.sub(r"'<(.*)>'", r"\1", problem)
    began = None
    if error.context:
        message += f", {error.context.strip()}"
        if error.context_mark is not None and error.context_mark is not place:
            began = error.context_mark.line + 1
            message += f" that begins at line {began}"
    hint = None
    if match := re.match(r"expected ',' or '(.)'", problem):
        bracket = "{" if match[1] == "}" else "["
        hint = f"put a comma in front, or close the '{bracket}' of line {began}"
    if place is not None:
        line = text_lines(text)[place.line]
        if re.search(r"""(?<!["'$])\$\{""", line):
            hint = 'put quotes around a variable inside braces: "${x}"'
        elif "\t" in line[: place.column + 1]:
            hint = "indent with spaces, not with tabs"
        elif "mapping values are not allowed" in message:
            hint = "check the indentation; put quotes around text that holds ': '"
        elif "cannot start any token" in message:
            hint = "put quotes around text that begins with this character"
    hint = hint or "check indentation, quotes and brackets here and in the lines above"
    if place is None:
        return Diagnostic("GS101", message, file, hint=hint)
    return Diagnostic("GS101", message, file, place.line + 1, place.column + 1, hint=hint)
