"""``graphspec explain``: what a diagnostic code means, with a wrong and a right example."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from graphspec.base.errors import Code, UsageError
from graphspec.base.text import display_width, printable, terminal_width, wrapped
from graphspec.cli.console import colourful, on_stdout, out, out_wrapped, spelled
from graphspec.cli.options import argument

if TYPE_CHECKING:
    from graphspec.base.explanations.pages import Block, Explanation

_BOLD, _RED, _GREEN = "1", "31", "32"


def explain(
    codes: Annotated[list[str] | None, argument("CODE", "Codes, such as GS302; by default all are listed.")] = None,
) -> None:
    """Explain diagnostic codes: what they mean, a wrong spec with its answer, and the right spec."""
    from graphspec.base.explanations.pages import GROUPS, explanation, find, near

    if not codes:
        for k, (group, title) in enumerate(GROUPS.items()):
            out(("" if k == 0 else "\n") + f"{group}: {title}")
            out(*(f"  {each}  {each.summary}" for each in Code if each.startswith(group)))
        out("")
        return out_wrapped("`graphspec explain GS302` explains a code, with a wrong and a right example")
    found = [(text, find(text)) for text in codes]
    for text, code in found:
        if code is None:
            close = [f"{each} ({each.summary})" for each in near(text)]
            meant = f"; did you mean {' or '.join(close)}?" if close else ""
            raise UsageError(f"there is no code '{text}'; `graphspec explain` lists all codes{meant}")
    for k, code in enumerate(dict.fromkeys(code for _, code in found if code is not None)):
        if k:
            out("")
        with on_stdout():
            for line in _lines(explanation(code)):
                sys.stdout.write(line + "\n")


def _lines(explained: Explanation) -> Iterator[str]:
    width, colour, code = terminal_width(sys.stdout), colourful(sys.stdout), explained.code

    def paint(style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if colour else text

    yield paint(_BOLD, f"{code}: {code.summary}")
    yield ""
    yield from wrapped(code.explanation, width)
    yield from wrapped(f"What to do: {code.remedy}", width)
    if explained.note:
        yield ""
        yield from wrapped(explained.note, width)
    same = [b for b in explained.example("right") if b.role == "both"]
    for role, style in (("wrong", _RED), ("right", _GREEN)):
        blocks = explained.example(role)
        if role == "right" and explained.answer:  # what both examples have is shown above
            blocks = [b for b in blocks if b not in same or not b.file]
        if not blocks:
            continue
        if explained.answer:
            yield ""
            yield paint(style, "Wrong:" if role == "wrong" else "Right:")
        for block in blocks:
            yield ""
            yield from _block(block, explained.changed_lines(block), style, width, colour=colour)
        if role == "wrong":
            yield ""
            yield explained.rendered_answer(colour=colour, width=width, spell=spelled(sys.stdout))


def _block(block: Block, changed: set[int], style: str, width: int | None, *, colour: bool) -> Iterator[str]:
    """Yield the lines of a file, indented under its name, or of commands after a ``$``."""
    if not block.file:
        for command in block.text.splitlines():
            yield from wrapped(f"$ {command}", width, indent=4)
        return
    yield f"{block.file}:"
    for k, line in enumerate(block.text.splitlines()):
        bare = line.lstrip(" ")
        indent = 4 + display_width(line) - display_width(bare)
        for part in wrapped(f"{' ' * indent}{printable(bare)}", width, indent=indent + 4):
            yield f"\x1b[{style}m{part}\x1b[0m" if colour and k in changed else part
