"""`validation: {origins: 2}`: the last horizons of each series, one window each; training windows end before them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import graphspec

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.engine.training.prepare import part_rows

SIZES = {"a": 30, "b": 17}
LENGTH, HORIZON = 4, 3


def spec(folder: Path, validation: Any, **windows: Any) -> dict[str, Any]:
    lines = ["series,t,v", *(f"{name},{k},{k + 100 * (name == 'b')}" for name, n in SIZES.items() for k in range(n))]
    (folder / "s.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    cut = {"length": LENGTH, "horizon": HORIZON, "group": "series", "order": "t"} | windows
    return {
        "graphspec": 1,
        "name": "series",
        "inputs": {"past": {"shape": [LENGTH]}},
        "layers": [{"name": "next", "type": "Dense", "units": HORIZON}],
        "outputs": {"next": {"loss": "mse", "scale": "standard", "metrics": ["mae"]}},
        "training": {"epochs": 2, "seed": 1},
        "data": {
            "train": {"file": str(folder / "s.csv"), "windows": cut, "inputs": {"past": "v"}, "targets": {"next": "v"}},
            "validation": validation,
        },
    }


@pytest.mark.parametrize("stride", [1, 2])
def test_the_last_horizons_of_each_series_are_forecast_once(tmp_path: Path, stride: int) -> None:
    model = gs.compile(spec(tmp_path, {"origins": 2}, stride=stride))
    train, validation = (part_rows(model, part) for part in ("train", "validation"))
    futures = validation.targets["next"][validation.chosen].astype(int).tolist()
    assert futures == [[24, 25, 26], [27, 28, 29], [111, 112, 113], [114, 115, 116]]
    assert validation.inputs["past"][validation.chosen][0].tolist() == [20, 21, 22, 23]  # rows of the training part
    known = train.targets["next"][train.chosen].astype(int)
    assert {row[-1] < 24 or 100 <= row[-1] < 111 for row in known.tolist()} == {True}
    assert known.max() == (110 if stride == 1 else 110 - (17 - 6 - LENGTH - HORIZON) % 2)
    assert not {*futures[0], *futures[2]} & set(known.ravel().tolist())
    model.fit(verbose=0)
    assert model.spec.heads["next"].statistics[0] == pytest.approx(known.mean())  # learnt from training windows alone


@pytest.mark.slow
def test_train_and_evaluate_name_the_rows(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(spec(tmp_path, {"origins": 2})), encoding="utf-8")
    found = graphspec("train", str(tmp_path / "s.json"), "--out", str(tmp_path / "run"))
    assert "validation: 4 windows (the last 2 horizons of each series)" in found.stdout
    assert "the training data, the last 2 horizons of each series" in (tmp_path / "run/report.html").read_text("utf-8")
    shown = graphspec("evaluate", str(tmp_path / "run"), "--part", "validation").stdout
    assert "mae" in shown
    assert "validation: the last 2 horizons of each series" in graphspec("data", str(tmp_path / "s.json")).stdout


def test_one_horizon(tmp_path: Path) -> None:
    model = gs.compile(spec(tmp_path, {"origins": 1}))
    assert len(part_rows(model, "validation")) == 2
    assert model.spec.data["validation"].at_origins == "the last horizon of each series"


@pytest.mark.parametrize(
    ("validation", "says"),
    [
        ({"origins": 2, "by": "time"}, "`origins` of `data.validation` cannot be used with `by`"),
        ({"origins": 2, "split": 0.2}, "`origins` of `data.validation` cannot be used with `split`"),
        ({"origins": 2, "file": "v.csv"}, "`origins` of `data.validation` cannot be used with `file`"),
        ({"origins": 0}, "`origins`"),
    ],
)
def test_what_it_cannot_be_used_with(tmp_path: Path, validation: Any, says: str) -> None:
    assert says in "\n".join(map(str, check(spec(tmp_path, validation)).diagnostics))


def test_it_needs_windows_and_enough_rows(tmp_path: Path) -> None:
    document = spec(tmp_path, {"origins": 2})
    del document["data"]["train"]["windows"]
    found = "\n".join(map(str, check(document).diagnostics))
    assert "`origins` of `data.validation` needs `windows` of `data.train`" in found
    with pytest.raises(gs.SpecError, match="no series has a window before 40 futures"):
        gs.compile(spec(tmp_path, {"origins": 40})).fit(verbose=0)
