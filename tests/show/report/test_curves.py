"""Curves of a training: panels, marks, learning rates."""

from __future__ import annotations

import math
from typing import Any

import graphspec as gs
from graphspec.engine.training.reporting import EpochTime, Start, Times
from graphspec.show.html import html_of
from graphspec.show.report.curves import best_of, curves, learning_rates
from graphspec.show.report.findings import Findings


def found(
    history: dict[str, list[float]], times: Times | None = None, stopped: str | None = None, **training: Any
) -> Findings:
    spec = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [2]}},
        "layers": [{"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mse", "metrics": ["mae"]}},
        "training": training,
        "data": {"train": {"file": "a.npz"}, "validation": {"split": 0.2}},
    }
    return Findings(gs.compile(spec), None, history, times=times, stopped=stopped)


def html(findings: Findings) -> str:
    section = curves(findings)
    assert section is not None
    return html_of(section.blocks)


LOSSES = {"loss": [4.0, 3.0, 2.0, 1.0], "val_loss": [4.0, 2.0, 3.0, 3.5]}


def test_panels_and_the_best_epoch() -> None:
    page = html(found({**LOSSES, "mae": [1.0, 0.5, 0.4, 0.3]}))
    assert page.count("<figure") == 2
    assert "Best in epoch 2 of 4: val_loss 2.000." in page
    assert "best val_loss: epoch 2" in page
    assert "training</li>" in page
    assert "validation</li>" in page
    assert "Log scale" in page


def test_marks() -> None:
    times = Times(
        starts=[Start(at="a", epoch=0, batch=0), Start(at="b", epoch=2, batch=1), Start(at="c", epoch=3, batch=0)],
        restored_epoch=2,
    )
    page = html(found(LOSSES, times, "enough <b>"))
    assert "best val_loss: epoch 2, whose weights were restored" in page
    assert "stopped: enough &lt;b&gt;" in page
    assert "resumed 2 times" in page
    for kind, marks in (("best", 1), ("stopped", 1), ("resumed", 2)):
        assert page.count(f'<line class="mark {kind}" x1="0" x2="22"') == 1
        assert page.count(f'<line class="mark {kind}"') == 1 + 2 * marks, "in both scales"


def test_weights_of_another_epoch_are_marked() -> None:
    assert "weights restored: epoch 4" in html(found(LOSSES, Times(restored_epoch=4)))


def test_the_monitor_of_a_callback_decides() -> None:
    history = {**LOSSES, "val_mae": [1.0, 2.0, 3.0, 0.5]}
    stopping = {"type": "EarlyStopping", "monitor": "val_mae"}
    best = best_of(found(history, callbacks=[stopping]))
    assert best is not None
    assert (best.epoch, best.key) == (4, "val_mae")
    best = best_of(found(history, callbacks=[stopping | {"mode": "max"}]))
    assert best is not None
    assert best.epoch == 3
    nothing = {"loss": [1.0], "val_mae": [math.nan]}
    assert best_of(found(nothing, callbacks=[stopping | {"mode": "max"}])) is None


def test_learning_rates() -> None:
    same = Times(epochs=[EpochTime(learning_rate=0.5)] * 4)
    assert "The learning rate was 0.5 throughout." in html(found(LOSSES, same))
    falling = Times(epochs=[EpochTime(learning_rate=r) for r in (0.5, None, 0.2, 0.1)])
    page = html(found(LOSSES, falling))
    assert "learning rate" in page
    assert page.count("<figure") == 2
    rates = learning_rates(found(LOSSES, falling))
    assert math.isnan(rates[1])
    assert learning_rates(found({**LOSSES, "learning_rate": [1.0, 0.5, 0.5, 0.5]}, falling)) == [1.0, 0.5, 0.5, 0.5]


def test_one_epoch_and_none() -> None:
    page = html(found({"loss": [1.0], "val_loss": [2.0]}))
    assert "one epoch" in page
    assert "mark best" not in page
    assert curves(found({})) is None


def test_many_metrics_are_folded() -> None:
    page = html(found({f"f1_score_{k}": [0.1, 0.2] for k in range(60)}))
    assert "<summary>24 further metrics; 28 more are in history.csv</summary>" in page
