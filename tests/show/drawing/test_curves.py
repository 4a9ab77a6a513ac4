"""The curves of a training: what is drawn, what is marked, and that it is well-formed."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from graphspec.base.errors import UsageError
from graphspec.show.drawing.curves import MAX_PANELS, MAX_POINTS, Best, Curves, best_epoch, draw_curves, panels_of

NAME = "{http://www.w3.org/2000/svg}"
TWO_HEADS = {
    "loss": [3.0, 2.0, 1.0],
    "same_accuracy": [0.5, 0.7, 0.9],
    "val_loss": [3.0, 1.5, 1.75],
    "val_same_accuracy": [0.5, 0.8, 0.75],
    "learning_rate": [0.01, 0.01, 0.001],
}


def drawn(history: dict[str, list[float]], title: str = "t") -> tuple[ElementTree.Element, list[str]]:
    root = ElementTree.fromstring(draw_curves(history, title))
    return root, [text.text or "" for text in root.iter(f"{NAME}text")]


def test_one_panel_for_the_loss_and_one_for_each_metric() -> None:
    root, texts = drawn(TWO_HEADS, "pairs")
    assert {"pairs", "loss", "same_accuracy", "learning_rate", "training", "validation", "epoch"} <= {*texts}
    assert "3 epochs, best: epoch 2 (val_loss 1.500)" in texts
    assert "best 0.8000 in epoch 2" in texts
    lines = [(line.get("class"), line.get("points", "").count(",")) for line in root.iter(f"{NAME}polyline")]
    assert lines == [("gs-train", 3), ("gs-val", 3)] * 2 + [("gs-train", 3)]
    assert len([c for c in root.iter(f"{NAME}circle") if c.get("class") == "gs-best"]) == 2  # not of the learning rate


def test_values_that_are_not_finite_cut_a_line() -> None:
    root, _ = drawn({"loss": [1.0, 0.9, math.nan, 0.8, math.inf, 0.7, 0.6]})
    assert [line.get("points", "").count(",") for line in root.iter(f"{NAME}polyline")] == [2, 2]
    assert len([c for c in root.iter(f"{NAME}circle") if c.get("class") == "gs-train"]) == 1
    assert "nan" not in draw_curves({"loss": [1.0, math.nan]}, "t")
    assert panels_of({"loss": [math.nan]}) == {}
    history = {"loss": [1.0], "val_loss": [1.0], "val_only": [1.0], "gone": [math.nan]}
    assert panels_of(history) == {"loss": ["loss", "val_loss"], "val_only": ["val_only"]}


@pytest.mark.parametrize("history", [{}, {"loss": []}, {"loss": [0.5]}, {"loss": [0.0, 0.0]}, {"val_loss": [1.0, 2.0]}])
def test_small_histories(history: dict[str, list[float]]) -> None:
    drawn(history)


def test_text_of_specs_is_escaped() -> None:
    text = draw_curves({"<b>": [1.0, 2.0]}, "</svg><script>alert(1)</script>\x00")
    assert "<script" not in text
    assert "<b>" not in text
    ElementTree.fromstring(text)


def test_nothing_is_loaded_and_nothing_runs() -> None:
    text = draw_curves(TWO_HEADS, "t").replace("http://www.w3.org/2000/svg", "")
    assert not any(word in text for word in ("http", "<script", "url(", "@import", "onload"))
    assert "prefers-color-scheme: dark" in text


def test_large_histories_stay_small() -> None:
    root, texts = drawn({f"metric_{k}": [1.0, 2.0] for k in range(MAX_PANELS + 3)})
    assert any("3 further metrics are not drawn" in text for text in texts)
    long = {"loss": [1 / (k + 1) for k in range(100_000)]}
    (line,) = drawn(long)[0].iter(f"{NAME}polyline")
    assert line.get("points", "").count(",") <= MAX_POINTS + 1
    assert root.tag == f"{NAME}svg"


def test_the_best_epoch() -> None:
    assert best_epoch(TWO_HEADS) == Best(2, "val_loss", 1.5)
    assert best_epoch(TWO_HEADS, "val_same_accuracy") == Best(2, "val_same_accuracy", 0.8)
    assert best_epoch({"loss": [2.0, 1.0, 1.0]}) == Best(2, "loss", 1.0)  # the first of equal ones
    assert best_epoch({"accuracy": [0.5, 0.9, 0.9]}, "accuracy") == Best(2, "accuracy", 0.9)
    assert best_epoch({"loss": [math.nan, 2.0]}) == Best(2, "loss", 2.0)
    assert best_epoch({}) is best_epoch({"loss": []}) is best_epoch(TWO_HEADS, "learning_rate") is None


def test_curves_are_saved(tmp_path: Path) -> None:
    curves = Curves(TWO_HEADS, "pairs")
    path = curves.save(tmp_path / "curves.svg")
    assert path.read_text(encoding="utf-8") == curves.svg() == curves._repr_svg_()
    with pytest.raises(UsageError, match=r"must end in \.svg"):
        curves.save(tmp_path / "curves.png")
    assert [p.name for p in tmp_path.iterdir()] == ["curves.svg"]
