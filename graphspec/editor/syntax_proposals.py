"""Edits that may repair the syntax of a text at the place where reading stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator

from graphspec.base.errors import Diagnostic
from graphspec.editor.analysis import Analysis
from graphspec.editor.places import Edit
from graphspec.editor.problems import place_of

_BARE_VARIABLE = re.compile(r"""(?<!["'$\w])\$\{[^}\r\n]*\}""")


def syntax_edits(analysis: Analysis, diagnostic: Diagnostic) -> Iterator[tuple[str, list[Edit]]]:
    """Yield edits with their titles."""
    hint, text = diagnostic.hint or "", analysis.text
    at = place_of(analysis, diagnostic).start
    line = text.line_of(at)
    start, content = text.starts[line], text.line_text(line)
    if "variable inside braces" in hint:
        found = [Edit(start + m.start(), start + m.end(), f'"{m[0]}"') for m in _BARE_VARIABLE.finditer(content)]
        yield "put quotes around the variable", found
    if "insert a comma" in hint:
        end = len(text.text[:at].rstrip())
        yield "insert a comma", [Edit(end, end, ",")]
        if match := re.search(r"close the '(.)' of line", hint):
            closing = {"{": "}", "[": "]"}.get(match[1], "")
            yield f"close the bracket with '{closing}'", [Edit(end, end, closing)]
    if "spaces, not with tabs" in hint:
        for size in (2, 4):
            found = []
            for begin, end in zip(text.starts, text.ends, strict=True):
                indent = re.match(r"[ \t]*", text.text[begin:end])
                if indent is not None and "\t" in indent[0]:
                    found.append(Edit(begin, begin + len(indent[0]), indent[0].replace("\t", " " * size)))
            yield "indent with spaces", found
    if "begins with this character" in hint or "begins with" in hint:
        rest = re.compile(r"[^,\]}\r\n#]*").match(text.text, at)
        word = "" if rest is None else rest[0].rstrip()
        yield "put quotes around it", [Edit(at, at + len(word), f'"{word}"')] if word else []
    if "contains ': '" in hint and (match := re.match(r"(\s*(?:- )?[\w.-]+:\s+)(\S.*?)\s*$", content)):
        begin = start + len(match[1])
        yield "put quotes around the text", [Edit(begin, begin + len(match[2]), f'"{match[2]}"')]
    if match := re.search(r"did you mean \*([^*?]+)\*\?", hint):
        alias = re.compile(r"\*[^\s,\[\]{}]+").match(text.text, at)
        yield f"replace it by '*{match[1]}'", [Edit(*alias.span(), f"*{match[1]}")] if alias else []
