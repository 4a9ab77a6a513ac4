"""Offsets, lines and columns: with emojis, all line breaks, and places that do not exist."""

from __future__ import annotations

import pytest

from graphspec.editor.document import Edit, Encoding, Span, Text, applied

EMOJIS = "a: 😀é\r\nb: x\rc\n"


@pytest.mark.parametrize(("encoding", "column"), [("utf-16", 6), ("utf-8", 9), ("utf-32", 5)])
def test_columns_count_units_of_the_encoding(encoding: Encoding, column: int) -> None:
    text = Text(EMOJIS)
    assert text.position(5, encoding) == (0, column)
    assert text.offset(0, column, encoding) == 5


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "utf-32"])
def test_every_offset_comes_back(encoding: Encoding) -> None:
    text = Text(EMOJIS)
    inside = [offset for offset in range(len(EMOJIS) + 1) if EMOJIS[offset - 1 : offset + 1] != "\r\n"]
    assert [text.offset(*text.position(offset, encoding), encoding) for offset in inside] == inside


def test_the_middle_of_an_emoji_is_its_start() -> None:
    assert Text("😀x").offset(0, 1, "utf-16") == 0


def test_places_beyond_the_text_are_its_end() -> None:
    text = Text("ab\nc")
    assert text.offset(0, 99) == 2
    assert text.offset(99, 0) == 4
    assert text.of_mark(99, 1) == text.of_mark(None, None) == Span(0, 2)
    assert text.of_mark(1, 2, 50) == Span(1, 2)


def test_lines_end_as_in_yaml() -> None:
    text = Text("a\r\nb\rc\nd\u2028e")
    assert [text.line_text(line) for line in range(len(text.starts))] == ["a", "b", "c", "d\u2028e"]


def test_edits_keep_the_rest() -> None:
    assert applied("units: 1, name: a", [Edit(7, 8, "20"), Edit(16, 17, "bc")]) == "units: 20, name: bc"
