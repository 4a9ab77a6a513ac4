"""Write the tables of `docs/diagnostics.md` from :class:`graphspec.base.codes.Code`: ``python -m tools.make_diagnostics``.

A table stands between ``<!-- GS1 -->``, for the codes that begin so, and ``<!-- end -->``. Below it stand the examples of
``graphspec explain``, from ``graphspec/base/explanations/``. What is around it is kept.
"""

from __future__ import annotations

import re
from pathlib import Path

from graphspec.base.codes import Code
from graphspec.base.explanations.pages import Block, explanation
from graphspec.base.files import write_atomic

PAGE = Path(__file__).parent.parent / "docs" / "diagnostics.md"


def page(text: str) -> str:
    """``text`` with its tables written anew."""

    def written(found: re.Match[str]) -> str:
        return f"<!-- {found[1]} -->\n\n{table(found[1])}\n{examples(found[1])}\n<!-- end -->"

    return re.sub(r"<!-- (GS\d) -->.*?<!-- end -->", written, text, flags=re.DOTALL)


def table(group: str) -> str:
    """The codes that begin with ``group``."""
    rows = ["| code | problem | what to do |", "| --- | --- | --- |"]
    for code in Code:
        if code.startswith(group):
            rows.append(f"| {code} | **{code.summary}.** {code.explanation} | {code.remedy} |")
    return "\n".join(rows) + "\n"


def examples(group: str) -> str:
    """The wrong and the right example of each code that begins with ``group``."""
    return "\n".join(example(code) for code in Code if code.startswith(group))


def example(code: Code) -> str:
    """What `graphspec explain` shows of a code."""
    explained = explanation(code)
    parts = [f"### {code}: {code.summary}\n"]
    if explained.note:
        parts.append(explained.note + "\n")
    if explained.answer:
        parts += ["Wrong:\n", *map(fenced, explained.example("wrong")), f"```text\n{explained.answer}```\n", "Right:\n"]
    shown = [b for b in explained.example("right") if b.role == "right" or not b.file]
    return "\n".join([*parts, *map(fenced, shown)])


def fenced(block: Block) -> str:
    """A block of Markdown; a file has its name above it."""
    name = f"`{block.file}`\n\n" if block.file else ""
    return f"{name}```{block.language}\n{block.text}```\n"


if __name__ == "__main__":
    write_atomic(PAGE, page(PAGE.read_text(encoding="utf-8")))
