"""Blocks as Markdown: texts of specs and data show as they are."""

from __future__ import annotations

import pytest

from graphspec.base.document import Cell, Code, Facts, Heading, Items, Row, Span, Table, Text
from graphspec.show.markdown import line, markdown_of


def test_every_kind_of_block() -> None:
    blocks = [
        Heading("a *b*", 2),
        Text(("run ", Span("x y", "code"), ", then\nlook")),
        Items(["one", "2_3"]),
        Table(["", "n|m"], [[Span("k", "code"), Cell("<1>")], Row(["a", "b"])]),
        Code("x = `1`", label="python"),
    ]
    assert markdown_of(blocks) == (
        "## a \\*b\\*\n\n"
        "run `x y`, then look\n\n"
        "- one\n- 2\\_3\n\n"
        "|  | n\\|m |\n| --- | --- |\n| `k` | \\<1\\> |\n| a | b |\n\n"
        "```python\nx = `1`\n```\n"
    )


@pytest.mark.parametrize(
    ("content", "shown"),
    [(Span("a`b", "code"), "a\\`b"), (Span("a|b", "code"), "a\\|b"), ("  a\n b ", "a b"), (Span("a_b"), "a\\_b")],
)
def test_what_code_cannot_hold_is_text(content: str | Span, shown: str) -> None:
    assert line(content) == shown


def test_a_block_without_a_form_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match="no Markdown for Facts"):
        markdown_of([Facts([("a", "b")])])
