"""A forecast: the last known value of each window, the error by step, the longest series."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import html_from
from judged import plain, rows

import graphspec as gs
from graphspec.show.html import html_of
from graphspec.show.report import kinds as scored
from graphspec.show.report.findings import find
from graphspec.show.report.heads import heads
from graphspec.show.report.number_heads import is_series, series

VALUES = {"a": [float(k * k % 17) for k in range(30)], "b": [100.0 + k for k in range(18)]}
LENGTH, HORIZON = 4, 3


def written(folder: Path, **windows: Any) -> dict[str, Any]:
    lines = ["series,t,v", *(f"{name},{k},{v}" for name, row in VALUES.items() for k, v in enumerate(row))]
    (folder / "test.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    horizon = windows.get("horizon", HORIZON)
    cut = {"length": LENGTH, "horizon": HORIZON, "group": "series", "order": "t"} | windows
    flat = {"name": "flat", "type": "Flatten", "inputs": "past"}
    source = {"file": str(folder / "test.csv"), "windows": cut, "inputs": {"past": ["v"]}, "targets": {"next": "v"}}
    return {
        "graphspec": 1,
        "name": "series",
        "inputs": {"past": {"shape": [LENGTH, 1]}},
        "layers": [flat, {"name": "next", "type": "Dense", "units": horizon}],
        "outputs": {"next": {"loss": "mse", "metrics": ["mae"]}},
        "training": {"seed": 1},
        "data": {"test": source},
    }


@pytest.mark.parametrize("stride", [1, 2])
def test_the_last_known_value_of_each_window(tmp_path: Path, stride: int) -> None:
    found = find(gs.compile(written(tmp_path, stride=stride)), tmp_path)
    judged = found.judged
    assert judged is not None
    last = found.baselines["next"][0]
    assert last.name == "the last known value"
    wanted = [row[k + LENGTH - 1] for row in VALUES.values() for k in range(0, len(row) - LENGTH - HORIZON + 1, stride)]
    np.testing.assert_allclose(last.answers, np.repeat(np.array(wanted)[:, None], HORIZON, axis=1))


def test_the_error_by_step_beside_that_of_the_last_value(tmp_path: Path) -> None:
    found = find(gs.compile(written(tmp_path)), tmp_path)
    judged = found.judged
    assert judged is not None
    assert is_series(found, judged, "next")
    html = html_from(series(found, judged, "next"))
    head = judged.heads["next"]
    assert head.targets is not None
    error = np.abs(head.answers - head.targets.reshape(head.answers.shape)).mean(0)
    shown = [float(row[1]) for row in rows(html, "Mean absolute error at each step ahead")]
    assert shown == pytest.approx(error, rel=1e-3)
    assert judged.results["mae"] == pytest.approx(np.mean(shown), rel=1e-3)
    assert "the last known value" in plain(html)
    assert "Forecasts of 3 steps beside the truth, 6 to 29: 24 steps" in html  # of the longer series alone
    assert "After the last row, 30 to 32" in html
    assert [row[0] for row in rows(html, "The forecast after the last row")] == ["30", "31", "32"]


def test_a_horizon_of_one(tmp_path: Path) -> None:
    found = find(gs.compile(written(tmp_path, horizon=1)), tmp_path)
    section = heads(found)
    assert section is not None
    assert "Forecasts of 1 step beside the truth" in html_of(section.blocks)
    assert "Error by step" not in html_of(section.blocks)
    assert "The last known value" in html_of(section.blocks)


def test_other_rows_are_no_series(tmp_path: Path) -> None:
    spec = written(tmp_path)
    found = find(gs.compile(spec), tmp_path)
    assert found.judged is not None
    object.__setattr__(found.model.spec.data["test"], "windows", None)
    assert not is_series(found, found.judged, "next")


def test_of_many_windows_a_part_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored, "MAX_ROWS", 24)  # of 36
    found = find(gs.compile(written(tmp_path)), tmp_path)
    judged = found.judged
    assert judged is not None
    html = html_from(series(found, judged, "next"))
    kept = int((judged.rows < 24).sum())  # of the longer series
    assert 10 < kept < 24
    assert re.search(r"Forecasts of 3 steps beside the truth, \d+ to \d+: (15|18|21|24) steps", html)


def test_windows_some_rows_apart_are_one_line(tmp_path: Path) -> None:
    found = find(gs.compile(written(tmp_path, stride=2)), tmp_path)
    assert found.judged is not None
    assert "Forecasts of 3 steps beside the truth, 6 to 28: 18 steps" in html_from(series(found, found.judged, "next"))


def test_a_split_of_the_training_rows_is_a_series_too(tmp_path: Path) -> None:
    spec = written(tmp_path)
    spec["data"] = {"train": spec["data"]["test"], "validation": {"split": 0.5, "by": "time"}}
    found = find(gs.compile(spec), tmp_path)
    assert found.judged is not None
    assert found.judged.part == "validation"
    assert is_series(found, found.judged, "next")


def test_the_last_rows_are_those_of_the_series_that_is_drawn(tmp_path: Path) -> None:
    """Windows whose last input is filled in are left out: the longest stretch ends before the last row."""
    spec = written(tmp_path, missing="interpolate")
    del spec["data"]["test"]["windows"]["group"]
    for gap, rest in ((16, "known"), (23, "not known")):
        lines = [f"{k},{'' if k == gap else k % 5}" for k in range(24 if rest == "known" else 25)]
        (tmp_path / "test.csv").write_text("\n".join(["t,v", *lines]) + "\n", encoding="utf-8")
        section = heads(find(gs.compile(spec), tmp_path))
        assert section is not None
        assert f"After the last row, {len(lines)} to {len(lines) + 2}" in html_of(section.blocks)
