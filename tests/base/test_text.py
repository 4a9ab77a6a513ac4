"""Text for a terminal: widths, wrapping and numbers."""

from __future__ import annotations

import io
import math
import os
import shlex
from typing import Any

import pytest

from graphspec.base import text
from graphspec.base.text import (
    display_width,
    duration,
    number,
    percent,
    printable,
    shell,
    shorten_end,
    shorten_middle,
    significant,
    terminal_width,
    wrapped,
)


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 99


class AsciiTerminal(Terminal):
    encoding = "ascii"  # type: ignore[assignment]


def test_the_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal_width(io.StringIO()) is None
    sizes = {99: 132}
    monkeypatch.setattr(
        text.os, "get_terminal_size", lambda descriptor: type("Size", (), {"columns": sizes[descriptor]})
    )
    assert terminal_width(Terminal()) == 132
    assert terminal_width(AsciiTerminal()) == 128  # `…` becomes `...`
    sizes[99] = 10
    assert terminal_width(Terminal()) == 40
    sizes[99] = 0
    assert terminal_width(Terminal()) == 80


def test_columns_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert terminal_width(Terminal()) == terminal_width(io.StringIO()) == 60
    for wrong in ("", "0", "-3", "wide", "²"):
        monkeypatch.setenv("COLUMNS", wrong)
        assert terminal_width(io.StringIO()) is None


def test_a_terminal_without_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    def none(descriptor: int) -> None:
        raise OSError

    monkeypatch.setattr(text.os, "get_terminal_size", none)
    assert terminal_width(Terminal()) == 80


class Logger:
    """What a program may have put in the place of stdout."""

    def write(self, text: str) -> int:
        return len(text)


def test_a_stream_with_less(monkeypatch: pytest.MonkeyPatch) -> None:
    logger: Any = Logger()
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal_width(logger) is None
    monkeypatch.setenv("COLUMNS", "60")
    assert terminal_width(logger) == 60


def test_lines_break_between_words() -> None:
    assert wrapped("one two three four", 9, indent=2) == ["one two", "  three", "  four"]
    assert wrapped("one two three", 9, start=4) == ["one", "two three"]
    assert wrapped("one two", None) == ["one two"]
    assert wrapped("", 40) == [""]
    assert wrapped("/a/very/long/path/that/stays/whole is", 10) == ["/a/very/long/path/that/stays/whole", "is"]


def test_code_and_names_stay_whole() -> None:
    assert wrapped("set `padding: same` on it", 20) == ["set `padding: same`", "on it"]
    assert wrapped("write `units: 8`, please", 14) == ["write", "`units: 8`,", "please"]
    assert wrapped("the column 'body mass' is text", 16) == ["the column", "'body mass' is", "text"]
    assert wrapped("a `code that is too long for one line` b", 12) == [
        "a `code that",
        "is too long",
        "for one",
        "line` b",
    ]


def test_wide_characters_count_twice() -> None:
    assert display_width("日本é") == 5
    assert display_width("e\u0301") == 1
    assert wrapped("日本 日本 日本", 9) == ["日本 日本", "日本"]
    assert shorten_end("日本語の", 6) == "日本…"
    assert display_width(shorten_middle("日本語のファイル", 9)) <= 9


def test_texts_are_shortened() -> None:
    assert shorten_end("abcdef", 6) == "abcdef"
    assert shorten_end("abcdef", 5) == "abcd…"
    assert shorten_end("ab cdef", 4) == "ab…"
    assert shorten_middle("abcdefgh", 8) == "abcdefgh"
    assert shorten_middle("abcdefgh", 5) == "ab…gh"
    assert shorten_middle("abcdefgh", 1) == "…"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.0000"),
        (1e-5, "1e-05"),
        (0.00001234, "1.234e-05"),
        (0.001, "0.001"),
        (0.0012345, "0.001234"),
        (0.0721, "0.0721"),
        (0.97444, "0.9744"),
        (1.0, "1.0000"),
        (-0.5, "-0.5000"),
        (9.99999, "10.000"),
        (123.456, "123.46"),
        (12345.6, "12346"),
        (123456.7, "123457"),
        (1234567.0, "1.235e+06"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_numbers_have_significant_digits(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.000"),
        (5.472e-6, "5.472e-06"),
        (0.00113403, "0.001134"),
        (0.01834, "0.01834"),
        (1.0, "1.000"),
        (-0.5, "-0.5000"),
        (9.99999, "10.00"),
        (446.23, "446.2"),
        (999.97, "1000"),
        (12345.6, "12346"),
        (1234567.0, "1.235e+06"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_measures_have_four_significant_digits(value: float, shown: str) -> None:
    assert significant(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0404, "40 ms"),
        (0.9999, "1.0 s"),
        (2.54, "2.5 s"),
        (60.2, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (11520, "3 h 12 min"),
    ],
)
def test_durations_have_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_shares() -> None:
    assert [percent(share) for share in (0, 0.0032, 0.45, 1)] == ["0 %", "0.32 %", "45 %", "100 %"]


def test_control_characters_are_replaced() -> None:
    assert printable("a\x1b[2Jb\tc\n") == "a�[2Jb\tc\n"


def test_words_with_spaces_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", "posix")
    assert shell("graphspec", "train", "my net.yaml") == "graphspec train 'my net.yaml'"
    assert shlex.split(shell("a", "b=[{c: 1}]")) == ["a", "b=[{c: 1}]"]


def test_windows_has_double_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", "nt")
    assert shell("graphspec", "train", "my net.yaml") == 'graphspec train "my net.yaml"'
