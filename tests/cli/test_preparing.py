"""The bar of the work before training."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from graphspec.cli import progress as preparing
from graphspec.cli.progress import PreparingBar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(preparing.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=text, force_terminal=True, width=80))
    return text


def test_short_work_shows_nothing(clock: list[float], shown: io.StringIO) -> None:
    bar = PreparingBar()
    for rows in (10, 20, 30):
        bar.update("preparing rows", rows, 30)
        clock[0] += 0.1
    assert shown.getvalue() == ""


def test_long_work_shows_rows_and_their_rate(clock: list[float], shown: io.StringIO) -> None:
    bar = PreparingBar()
    bar.update("preparing rows", 100, 1000)
    clock[0] += 2
    bar.update("preparing rows", 500, 1000)
    assert "preparing rows" in shown.getvalue()
    assert "500/1000" in shown.getvalue()
    assert "250 rows/s" in shown.getvalue()


def test_a_second_pass_begins_again(clock: list[float], shown: io.StringIO) -> None:
    bar = PreparingBar()
    bar.update("learning", 1, 2)
    clock[0] += 5
    bar.update("learning", 2, 2)
    assert shown.getvalue() == ""
    bar.update("preparing rows", 1, 2)
    clock[0] += 0.5
    bar.update("preparing rows", 2, 2)
    assert shown.getvalue() == ""
