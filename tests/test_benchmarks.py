"""The networks of the benchmarks have rows that fit; a race's results are compared, tabled and kept. Nothing is timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import graphspec as gs
from benchmarks.busy import busy
from benchmarks.contenders.graphspec import start
from benchmarks.fine_tuning.cases import CASES, Case
from benchmarks.networks import OLD, ROWS, SMALL, first, spec
from benchmarks.prepare import prepare
from benchmarks.race import ROOT, BrokenError, Entry, Score, Window, agree, entries, race
from benchmarks.record import as_json, read
from benchmarks.report import Result, page, ratios
from benchmarks.workload import read as read_workload
from benchmarks.workload import write
from graphspec.engine.compiler.check import check

KERAS_ADAM = {
    *("type", "learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad", "weight_decay", "clipnorm", "clipvalue"),
    *("global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor"),
    *("gradient_accumulation_steps", "name"),
}
ENTRIES = {entry.name: entry for entry in entries("auto")}


@pytest.mark.parametrize("name", ROWS)
def test_rows_fit_the_network(name: str) -> None:
    checked, lowered = check(spec(name)).require()
    x, y = ROWS[name](3)
    inputs = x if isinstance(x, dict) else {"x": x}
    for key, value in lowered.graph.inputs.items():
        assert inputs[key].shape == (3, *value.shape[1:])
        assert inputs[key].dtype == value.type.dtype or inputs[key].dtype == bool
    assert inputs.keys() == lowered.graph.inputs.keys()
    assert checked.heads["y"].loss is not None
    assert len(y) == 3


@pytest.mark.parametrize("name", SMALL)
def test_a_small_network_has_fewer_weights_and_rows(name: str) -> None:
    large, small = (check(spec(n)).require()[0] for n in (SMALL[name].of, name))
    assert small.name == name
    assert small.training.batch_size < large.training.batch_size
    assert {node.type for node in small.nodes} == {node.type for node in large.nodes}


@pytest.mark.parametrize("name", ["tabular-small", "recommender-small"])
def test_graphspec_trains_on_what_was_written(name: str, tmp_path: Path) -> None:
    workload, count = prepare(name)
    assert count > 0
    write(workload, tmp_path)
    contender = start(read_workload(tmp_path), "1")
    found = contender.losses(3)
    contender.restore()
    assert contender.losses(1) == found[:1]
    assert len(contender.steps(2, 4)) == 4
    x, y = (first(workload.inputs, workload.batch), workload.y[: workload.batch])
    model = gs.compile(spec(name))
    model.set_weights(workload.weights)  # its BatchNormalization takes other statistics than a step
    assert model.evaluate(x, y, verbose=0)["loss"] == pytest.approx(found[0], rel=0.2)


def score(name: str, seconds: float | None, note: str = "") -> Score:
    windows = [] if seconds is None else [Window(seconds, 0.1), Window(9.0, 0.9)]
    return Score(ENTRIES[name], "1", [0.5, 0.4], windows, [1] * len(windows), 1_000_000, note)


@pytest.fixture
def results() -> list[Result]:
    found = [
        score("graphspec", 0.006),
        score("graphspec fast", 0.002),
        score("torch", 0.004),
        score("jax", None, "no wheel"),
        score("torch sparse", 0.001),
        score("jax, tuned", 0.003),
    ]
    return [Result("recommender", found, None), Result("gru", [score("graphspec", 0.001)], 0.0005)]


def test_ratios_are_to_the_best_peer(results: list[Result]) -> None:
    assert dict(results[0].ratios(False)) == pytest.approx({"graphspec": 1.5, "graphspec fast": 0.5})
    assert dict(results[0].ratios(True)) == pytest.approx({"graphspec": 2.0, "graphspec fast": 2 / 3})
    assert results[1].ratios(False) == []
    row = ratios(results).splitlines()[2]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        *("recommender", "6.00", "2.00"),
        *("4.00 torch", "**1.50**", "0.50", "0.95, 0.75"),
        *("3.00 jax, tuned", "**2.00**", "0.67", "1.05, 0.85"),
        *("–", "–"),
    ]
    text = page(results, "a machine")
    assert "- jax (recommender): no wheel" in text
    assert "recommender, graphspec, as installed: 1.50 of torch, wanted 0.95: the step is 58% too long" in text
    assert "- gru: no peer to compare with" in text


def test_json_can_be_read_again(results: list[Result], tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    file.write_text(json.dumps(as_json(results, 1e11, False)), encoding="utf-8")
    again, rate = read(file, False)
    assert rate == 1e11
    assert again == results
    with pytest.raises(ValueError, match=r"of a run without --busy"):
        read(file, True)


def test_a_contender_that_trains_otherwise_ends_the_race() -> None:
    agree(score("jax", 1.0), [0.5, 0.4003])  # 0.07 %
    with pytest.raises(BrokenError, match=r"keras tf: the loss of step 2 is 0\.4, not 0\.402"):
        agree(score("keras tf", 1.0), [0.5, 0.402])
    with pytest.raises(BrokenError, match=r"jax: the loss of step 1 is 0\.5, not 0\.500002"):
        agree(score("jax", 1.0), [0.500002, 0.4])
    for name, embeds in (("W6", True), ("gru", False)):
        entry = ENTRIES["keras tf"].on(name, embeds)
        assert entry is not None
        assert entry.trains == (0.05 if embeds else 1e-3)
    assert ENTRIES["torch sparse"].on("gru", False) is None
    assert ENTRIES["keras jax"].on("gru", False) is None
    assert all(isinstance(ENTRIES["keras jax"].on(name, False), Entry) for name in OLD)


@pytest.mark.slow
def test_a_contender_that_cannot_start_ends_the_race(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keras is a file here: the first cannot be found, the second breaks when it is imported."""
    fakes = {"absent": "raise ModuleNotFoundError('no', name='keras')\n", "broken": "raise TypeError('no groups')\n"}
    field = [replace(ENTRIES["graphspec"], options={"workers": "1"})]
    for name, code in fakes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "keras.py").write_text(code, encoding="utf-8")
        path = os.pathsep.join([str(tmp_path / name), *filter(None, sys.path)])
        field.append(replace(ENTRIES["keras tf"], name=name, environment={"PYTHONPATH": path}))
    workload, _ = prepare("tabular-small")
    write(workload, tmp_path)
    for entry, why in zip(field[1:], ("absent: ModuleNotFoundError: no", "broken: TypeError: no groups"), strict=True):
        with pytest.raises(BrokenError, match=rf"(?s){why}\n  Traceback.*Error: no"):
            race(tmp_path, [field[0], entry], {}, 1, 0.01, 60)
        assert capsys.readouterr().err.split() == ["graphspec:", "ready"]
    scores = race(tmp_path, field[:1], {}, 1, 0.01, 60)
    assert [(bool(score.windows), score.note) for score in scores] == [(True, "")]


@pytest.mark.slow
def test_a_race_without_a_framework_fails_by_name() -> None:
    """The status is 1 and the framework is named, unless it is left out on purpose."""
    command = [sys.executable, "-m", "benchmarks", "deep", "--rounds", "1", "--seconds", "0.01", "--workers", "1"]
    absent = ["--only", "jax", "--python", f"jax={sys.executable}"]
    result = subprocess.run([*command, *absent], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert result.returncode == 1
    assert "error: the race of deep ends (`--without torch` and `--only` choose contenders)" in result.stderr
    assert "jax: ModuleNotFoundError: No module named 'jax'" in result.stderr
    result = subprocess.run(
        [*command, *absent, "--without", "jax"], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr
    assert "deep: no peer to compare with" in result.stdout


def test_an_optimizer_has_arguments_of_keras_alone() -> None:
    """`groups` are ours: Keras refused them."""
    assert prepare("tabular-small")[0].optimizer.keys() <= KERAS_ADAM


def test_compiled_kernels_can_be_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ENTRIES["graphspec"].environment["PYTHONPATH"].split(os.pathsep)[0])
    monkeypatch.delitem(sys.modules, "graphspec_kernels", raising=False)
    with pytest.raises(ImportError, match="without them") as caught:
        __import__("graphspec_kernels")
    assert caught.value.name == "graphspec_kernels"
    assert "PYTHONPATH" not in ENTRIES["graphspec fast"].environment


def test_loops_run_until_the_end() -> None:
    with busy(True) as loops:
        assert loops
        assert [loop.poll() for loop in loops] == [None] * len(loops)
    assert None not in [loop.poll() for loop in loops]
    with busy(False) as loops:
        assert loops == []


def test_targets_of_made_up_rows() -> None:
    _, labels = ROWS["speech"](50)
    assert ((labels != 0).sum(1) >= 6).all()
    assert (np.diff((labels != 0).astype(int), axis=1) <= 0).all(), "padding comes last"
    x, y = ROWS["wavenet"](2)
    assert isinstance(x, np.ndarray)
    assert np.array_equal(x[:, 1:], y[:, :-1])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_pytorch_fine_tunes_what_the_spec_says(case: Case) -> None:
    text = case.spec.read_text(encoding="utf-8")
    height, width = case.size
    for part in (
        f"file: pretrained/{case.file}, output: {case.output}",
        f"height: {height}, width: {width}",
        f"{{type: Adam, learning_rate: {case.rate}}}, epochs: {case.epochs}, batch_size: {case.batch}",
        f"{{name: {case.target}, type: Dense, units: {case.classes}, activation: softmax}}",
        f"file: {case.rows}_train.npz",
    ):
        assert part in text
    assert ("trainable: true" in text) == case.trains
    assert (f"type: Dropout, rate: {case.dropout}" in text) == (case.dropout > 0)
    assert ("scale: -" in text) == case.inverted
