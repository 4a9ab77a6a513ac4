"""The bar of a training: what it shows while an epoch runs, and the remaining time."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from graphspec.cli import progress
from graphspec.cli.progress import Bar, Speed


class Running:
    rows = 16_000

    def logs(self) -> dict[str, float]:
        return {"loss": 0.5, "accuracy": 0.75}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.2, "1 s left"),
        (59, "59 s left"),
        (130, "2 min left"),
        (7100, "118 min left"),
        (9000, "2.5 h left"),
        (72000, "20 h left"),
    ],
)
def test_the_remaining_time_has_a_unit(seconds: float, shown: str) -> None:
    remaining = Speed()
    remaining.begin(100.0, 0, 20)
    assert remaining.left(100.0 + seconds, 10) == shown


def test_a_resumed_run_estimates_from_its_own_steps() -> None:
    remaining = Speed()
    remaining.begin(0.0, 90, 100)
    assert remaining.left(5.0, 90) == "", "nothing is known yet"
    assert remaining.left(10.0, 95) == "10 s left"
    assert remaining.left(20.0, 100) == ""


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_bar_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now, screen = [100.0], io.StringIO()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(progress, "peak", lambda: 2**28)
    monkeypatch.setattr(progress.t, "can_show", lambda _: True)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        "rich.console.Console", lambda **_: Console(file=screen, force_terminal=True, width=width, color_system=None)
    )
    bar = Bar()
    bar.begin(400, 0, 1000)
    running: Any = Running()
    for epoch in range(10, 13):
        bar.epoch(epoch, {"loss": 1.0, "accuracy": 0.75, "val_loss": 0.5, "val_accuracy": 0.75})
    for step in (1, 500):
        now[0] += 60
        bar.step(13, step, running)
    now[0] += 60
    bar.epoch(13, {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.5, "val_accuracy": 0.75})
    bar.end()
    text = screen.getvalue()
    assert "epoch 14/400  step  500/1000" in text
    assert "min left" in text or "h left" in text
    assert "…" not in text, "a value is whole or left out"
    assert " 14/400  loss 0.5000  accuracy 0.7500" in text
    assert ("rows/s" in text) == (width > 60)
    assert ("▁" in text) == ("256.0 MiB at most" in text) == (width == 120)


def test_a_bar_ends_with_the_last_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(
        "rich.console.Console", lambda **_: Console(file=screen, force_terminal=True, width=100, color_system=None)
    )
    bar = Bar(every=10)
    bar.begin(400, 0, 10)
    for epoch in range(13):
        if epoch == 11:
            bar.event("learning rate reduced to 0.001")
        bar.epoch(epoch, {"loss": 1 / (epoch + 1)})
    bar.end()
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).replace("\r", "\n").splitlines()
    shown = [line.strip() for line in lines if "step" not in line and ("loss" in line or "reduced" in line)]
    assert [line.split()[1] for line in shown] == ["1/400", "10/400", "12/400", "rate", "13/400"]


def test_rows_per_second() -> None:
    speed = Speed()
    speed.begin(100.0, 50, 200)
    assert speed.rate(100.0, 50) is None
    assert speed.rate(110.0, 60) is None, "the rows of a step are not known"
    speed.rows_per_step = 32
    assert speed.rate(110.0, 60) == 32
    assert speed.left(110.0, 60) == "2 min left"
