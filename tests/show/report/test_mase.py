"""MASE: errors divided by those of the seasonal naive forecast before the judged rows, by hand and series by series."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec
from judged import plain, rows

import graphspec as gs
from graphspec.show.html import html_of
from graphspec.show.report.findings import Findings, find
from graphspec.show.report.heads import heads
from graphspec.show.report.verdicts import coverage

LENGTH, HORIZON, SEASON = 8, 4, 4
RANDOM = np.random.default_rng(0)
SERIES = {
    name: size * (10 + np.sin(np.arange(steps) * np.pi / 2) + RANDOM.normal(0, 0.3, steps))
    for name, steps, size in (("a", 40, 1.0), ("b", 28, 1000.0))
}


def document(folder: Path, validation: Any = None, test: bool = False, **windows: Any) -> dict[str, Any]:
    parts = {"s.csv": (0, None)} if not test else {"s.csv": (0, -HORIZON), "t.csv": (-HORIZON - LENGTH, None)}
    for file, (first, last) in parts.items():
        lines = [f"{n},{k},{v!r}" for n, row in SERIES.items() for k, v in list(enumerate(row.tolist()))[first:last]]
        (folder / file).write_text("\n".join(["series,t,v", *lines]) + "\n", encoding="utf-8")
    cut = {
        "length": LENGTH,
        "horizon": HORIZON,
        "group": "series",
        "order": "t",
        "every": 1,
        "season": SEASON,
    } | windows
    source = {"windows": cut, "inputs": {"past": "v"}, "targets": {"next": "v"}}
    return {
        "graphspec": 1,
        "name": "m",
        "inputs": {"past": {"shape": [LENGTH]}},
        "layers": [{"name": "next", "type": "Dense", "units": HORIZON}],
        "outputs": {"next": {"loss": "mae"}},
        "training": {"seed": 1, "epochs": 1},
        "data": {"train": {"file": str(folder / "s.csv"), **source}}
        | ({"validation": validation} if validation else {})
        | ({"test": {"file": str(folder / "t.csv"), **source}} if test else {}),
    }


def by_hand(model: Any, origins: int, last: int = 0, season: int = SEASON) -> tuple[float, float]:
    """MASE as the M4 Competition's R code computes it, of the network and of the seasonal naive forecast."""
    own, naive = [], []
    for y in SERIES.values():
        y = y.astype(np.float32).astype(np.float64)
        first = len(y) - last - origins * HORIZON
        scale = np.mean([abs(y[t] - y[t - season]) for t in range(season, first)])
        for at in range(first, len(y) - last, HORIZON):
            answer = model.predict(y[None, at - LENGTH : at].astype(np.float32))[0]
            own += [np.abs(answer - y[at : at + HORIZON]).mean() / scale]
            naive += [np.abs(y[at - season : at][:HORIZON] - y[at : at + HORIZON]).mean() / scale]
    return float(np.mean(own)), float(np.mean(naive))


def verdict_of(found: Findings) -> Any:
    [verdict] = found.verdicts
    return verdict


def test_series_of_different_sizes_count_alike(tmp_path: Path) -> None:
    model = gs.compile(document(tmp_path, {"origins": 2}))
    found = find(model, tmp_path)
    verdict = verdict_of(found)
    assert verdict.metric == "MASE"
    assert (verdict.score, verdict.other) == pytest.approx(by_hand(model, 2), rel=1e-5)
    assert (verdict.baseline, verdict.term) == ("the value 4 steps before", "the seasonal naive forecast")
    assert "The network is" in str(verdict)
    assert "MASE" in str(verdict).split()[0]
    section = heads(found)
    assert section is not None
    shown = {row[0]: float(row[-1]) for row in rows(html_of(section.blocks), "Errors of")}
    assert shown["This network"] == pytest.approx(verdict.score, rel=1e-3)
    assert shown["The value 4 steps before"] == pytest.approx(verdict.other, rel=1e-3)
    assert "MASE" in plain(html_of(section.blocks))


def test_of_test_rows_all_rows_of_the_training_data_are_before(tmp_path: Path) -> None:
    model = gs.compile(document(tmp_path, test=True))
    verdict = verdict_of(find(model, tmp_path))
    assert (verdict.score, verdict.other) == pytest.approx(by_hand(model, 1), rel=1e-5)


def test_evaluate_says_it_too(tmp_path: Path) -> None:
    spec = document(tmp_path, {"origins": 1}, test=True)
    (tmp_path / "m.yaml").write_text(json.dumps(spec), encoding="utf-8")
    lines = graphspec("train", tmp_path / "m.yaml", "--out", tmp_path / "run").output.splitlines()
    [said] = [line for line in lines if line.startswith(("MASE", "warning: MASE"))]
    assert said.removeprefix("warning: ")[:30] in graphspec("evaluate", tmp_path / "run").output
    assert "MASE" in graphspec("evaluate", tmp_path / "run", "--part", "validation").output


def test_one_series_has_its_own_unit_and_mase_beside_it(tmp_path: Path) -> None:
    spec = document(tmp_path, {"origins": 2}, group=None)
    (tmp_path / "s.csv").write_text("\n".join(["t,v", *(f"{k},{v!r}" for k, v in enumerate(SERIES["a"].tolist()))]))
    del spec["data"]["train"]["windows"]["group"]
    model = gs.compile(spec)
    verdict = verdict_of(find(model, tmp_path))
    y = SERIES["a"]
    scale = np.abs(y[SEASON : -2 * HORIZON] - y[: -2 * HORIZON - SEASON]).mean()
    assert verdict.mase == pytest.approx((verdict.score / scale, verdict.other / scale), rel=1e-5)
    assert " off on average, R² " in str(verdict)
    assert f", MASE {verdict.mase[0]:.4g}; the value 4 steps before: " in str(verdict)


def test_of_several_seasons_the_one_with_the_lowest_error_counts_and_without_any_the_step(tmp_path: Path) -> None:
    several = gs.compile(document(tmp_path, {"origins": 1}, season=[3, 4]))
    assert verdict_of(find(several, tmp_path)).score == pytest.approx(by_hand(several, 1)[0], rel=1e-5)
    spec = document(tmp_path, {"origins": 1})
    del spec["data"]["train"]["windows"]["season"]
    none = gs.compile(spec)
    found = find(none, tmp_path)
    assert verdict_of(found).score == pytest.approx(by_hand(none, 1, season=1)[0], rel=1e-5)
    assert [rule.name for rule in found.baselines["next"]][0:1] == ["the last known value"]
    assert found.baselines["next"][0].term == "the naive forecast"


def test_a_season_without_times(tmp_path: Path) -> None:
    spec = document(tmp_path, {"origins": 1})
    for key in ("order", "every"):
        del spec["data"]["train"]["windows"][key]
    model = gs.compile(spec)
    verdict = verdict_of(find(model, tmp_path))
    assert (verdict.score, verdict.other) == pytest.approx(by_hand(model, 1), rel=1e-5)


def test_a_forecast_is_drawn_with_its_interval_beside_both_naive_ones(tmp_path: Path) -> None:
    spec = document(tmp_path, {"origins": 2})
    spec["outputs"]["next"]["interval"] = 0.6
    model = gs.compile(spec)
    model.fit(verbose=0)
    section = heads(find(model, tmp_path))
    assert section is not None
    html = html_of(section.blocks)
    assert html.count('<path class="band"') == 3  # two forecasts of the longer series, and the one after its last row
    assert [html.count(f'class="line {kind}" points') for kind in ("b", "naive")] == [
        3,
        2,
    ]  # one is of the errors by step
    ahead = rows(html, "The forecast after the last row")
    numbers = [[float(cell.replace("−", "-")) for cell in row[1:]] for row in ahead]
    assert all(low < value < high for value, low, high in numbers)


def test_quantiles_are_drawn_and_their_share_is_told(tmp_path: Path) -> None:
    spec = document(tmp_path, {"origins": 2})
    spec["layers"] = [
        {"type": "Dense", "units": 3 * HORIZON},
        {"type": "Reshape", "target_shape": [HORIZON, 3]},
        {"name": "next", "type": "QuantileSteps"},
    ]
    spec["outputs"]["next"] = {"loss": {"type": "quantile", "quantiles": [0.1, 0.5, 0.9]}, "scale": "standard"}
    spec["outputs"]["next"]["metrics"] = ["smape", "wql"]
    model = gs.compile(spec)
    model.fit(verbose=0)
    found = find(model, tmp_path)
    section = heads(found)
    assert section is not None
    assert html_of(section.blocks).count('<path class="band"') == 3
    judged = found.judged
    assert judged is not None
    answers = model.predict(judged.raw.inputs["past"][judged.places])
    assert (np.diff(answers, axis=-1) >= 0).all()
    targets = judged.heads["next"].targets
    share = np.mean((answers[..., 0] <= targets) & (targets <= answers[..., 2]))
    [said] = coverage(judged)
    assert said.startswith("next: 80 % interval ±")
    assert f"; {100 * share:.1f} % of 16 values lie within." in said


def test_metrics_of_quantiles_have_intervals(tmp_path: Path) -> None:
    spec = document(tmp_path, {"split": 0.4, "by": "time"})
    spec["layers"] = [
        {"type": "Dense", "units": 3 * HORIZON},
        {"type": "Reshape", "target_shape": [HORIZON, 3]},
        {"name": "next", "type": "QuantileSteps"},
    ]
    loss = {"type": "quantile", "quantiles": [0.1, 0.5, 0.9]}
    spec["outputs"]["next"] = {"loss": loss, "scale": "standard", "metrics": ["smape", "wql"]}
    model = gs.compile(spec)
    model.fit(verbose=0)
    found = find(model, tmp_path)
    assert found.judged is not None
    for key in ("smape", "wql"):
        low, high = found.intervals[key]
        assert low < found.judged.results[key] < high
