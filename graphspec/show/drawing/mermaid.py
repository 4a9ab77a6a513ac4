"""A drawing as Mermaid text (https://mermaid.js.org/syntax/flowchart.html), which GitHub and many editors render."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from graphspec.show.drawing.outline import Box, Panel

_CODED = "#`%{}\\"
_STEERING = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"<>&#`%{}\\\\]')
_FORMS = {"input": ("([", "])"), "head": ("([", "])"), "block": ("[[", "]]"), "shared": ("[", "]"), "layer": ("[", "]")}


def mermaid(panels: Sequence[Panel]) -> str:
    """Return a flowchart; with blocks, the network and each block are subgraphs."""
    lines = ["flowchart TD"]
    number = 0
    for panel in panels:
        names = {}
        for key in panel.boxes:
            names[key] = f"n{number}"
            number += 1
        indent = "    "
        if len(panels) > 1:
            lines.append(f"    subgraph {names[next(iter(names))]}_[{quoted(panel.title)}]")
            indent = "        "
        lines += [f"{indent}{line}" for line in body(panel, names)]
        if len(panels) > 1:
            lines.append("    end")
    return "\n".join([*lines, ""])


def body(panel: Panel, names: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a panel: its boxes, then its arrows."""
    for key, box in panel.boxes.items():
        opening, closing = _FORMS[box.kind]
        yield f"{names[key]}{opening}{label(box)}{closing}"
    for a, b in panel.arrows:
        yield f"{names[a]} --> {names[b]}"


def label(box: Box) -> str:
    """Return the label of a box: its title and lines."""
    return quoted(box.title, *box.lines)


def quoted(*lines: str) -> str:
    """Return the lines as one label; escapes keep them from ending it, or from being markup, links or directives."""
    return '"' + "<br/>".join(_STEERING.sub(_code, line) for line in lines) + '"'


def _code(match: re.Match[str]) -> str:
    """Return Mermaid's code of a character; a space for a control character."""
    character = match[0]
    named = {'"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;"}
    return named.get(character) or (f"#{ord(character)};" if character in _CODED else " ")
