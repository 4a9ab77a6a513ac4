"""Training steps of networks that people train: proved over ten steps, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser_steps import check_in_browser, recorded_feeds
from paths import ROOT, TESTS

import graphspec as gs
from benchmarks.networks import OLD, spec
from graphspec.base.errors import SpecError

MODELS = sorted((TESTS / "models").glob("*/*.yaml"))
LOSSES = {
    "conformer": "CTCLoss",
    "deep_speech": "CTCLoss",
    "captcha": "CTCLoss",
}
"""Networks with a loss that is not written."""
TRIED = sorted({*MODELS[::4], *(path for path in MODELS if path.stem in {*LOSSES, "simclr"})})
CHAOTIC = 0.2  # ten steps of a deep network double what rounding changes several times


@pytest.mark.parametrize("name", ["W1", "W3", "W4", "W5"])
def test_networks_of_the_first_table(name: str, tmp_path: Path) -> None:
    proof = gs.compile(spec(name)).export_training_step(tmp_path / "step.onnx")
    assert proof.loss < 1e-3
    assert proof.moved < 1e-3
    assert proof.undecided == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(OLD) - {"W1", "W3", "W4", "W5"}))
def test_larger_networks_of_the_first_table(name: str, tmp_path: Path) -> None:
    proof = gs.compile(spec(name)).export_training_step(tmp_path / "step.onnx")
    assert proof.loss < 1e-3
    assert proof.moved < CHAOTIC
    assert proof.undecided == []


@pytest.mark.slow
@pytest.mark.parametrize("path", TRIED, ids=lambda path: path.stem)
def test_models_that_people_write(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    model = gs.compile(path)
    if (missing := LOSSES.get(path.stem)) is not None:
        with pytest.raises(SpecError, match=missing):
            model.export_training_step(tmp_path / "step.onnx")
        return
    proof = model.export_training_step(tmp_path / "step.onnx")
    assert proof.loss < 1e-3
    assert proof.moved < CHAOTIC


@pytest.mark.slow
def test_a_browser_trains_the_networks_of_the_first_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds, folder = recorded_feeds(monkeypatch), tmp_path / "served"
    paths = {name: tmp_path / f"{name}.onnx" for name in OLD}
    for name, path in paths.items():
        gs.compile(spec(name)).export_training_step(path)
    folder.mkdir()
    check_in_browser(dict(zip(OLD, zip(paths.values(), feeds, strict=True), strict=True)), folder)
