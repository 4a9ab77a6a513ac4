"""Intervals around numbers and temperatures of probabilities, against NumPy, and in files, runs and reports."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from commands import graphspec
from held_out import held_out_answers
from resuming import assert_same_files, interrupt, resume, whole

import graphspec as gs
from graphspec.data.batches import Dataset, Times
from graphspec.engine.training.uncertainty import _counted, _interval, _width
from graphspec.graph.ir.graph import Array
from graphspec.show.report.kinds import score
from graphspec.show.report.verdicts import coverage

WIDTHS, LEVELS, TEMPERATURE = "y/y_interval/widths", "y/y_interval/levels", "c/c_calibration/temperature"


def rows(n: int, seed: int, *, growing: bool = False) -> tuple[Array, dict[str, Array]]:
    """Numbers with normal noise, which grows with the number, and classes by chance."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    y = 5 + x @ [1, 2, 3]
    y += rng.normal(size=n) * (np.exp(y / 5) if growing else 1)
    return x, {"y": y[:, None].astype(np.float32), "c": (rng.random(n) < 1 / (1 + np.exp(-x[:, 0]))).astype(np.int64)}


def document(interval: float | None = 0.9, calibrate: str | None = "temperature", **training: Any) -> dict[str, Any]:
    y = {"loss": "mse", "scale": "standard", "metrics": ["mae"]} | ({} if interval is None else {"interval": interval})
    c = {"loss": "sparse_categorical_crossentropy"} | ({} if calibrate is None else {"calibrate": calibrate})
    return {
        "graphspec": 1,
        "name": "sure",
        "inputs": {"x": {"shape": [3]}},
        "layers": [
            {"name": "hidden", "type": "Dense", "units": 8, "activation": "relu"},
            {"name": "y", "type": "Dense", "units": 1},
            {"name": "c", "type": "Dense", "units": 2, "activation": "softmax", "inputs": "hidden"},
        ],
        "outputs": {"y": y, "c": c},
        "training": {"optimizer": {"type": "Adam", "learning_rate": 0.02}, "epochs": 3, **training},
    }


def inside(answers: dict[str, Array], true: Array) -> float:
    return float(np.mean((answers["y_low"] <= true) & (true <= answers["y_high"])))


@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.slow
def test_an_interval_contains_the_share_of_new_rows(growing: bool) -> None:
    """Whatever the network has learnt; the mean over trainings, each with other rows."""
    shares = []
    for seed in range(12):
        model = gs.compile(document(calibrate=None, seed=seed, epochs=1))
        x, y = rows(300, seed, growing=growing)
        model.fit(x, y, validation_split=0.5, verbose=0)
        new, true = rows(1000, 1000 + seed, growing=growing)
        shares.append(inside(model.predict(new), true["y"]))
    assert 0.88 < np.mean(shares) < 0.925


@pytest.mark.parametrize("training", [{}, {"folds": 3}, {"seeds": 2}])
def test_the_width_is_a_quantile_of_the_errors_of_held_out_rows(training: dict[str, Any], tmp_path: Path) -> None:
    x, y = rows(90, 0)
    np.savez(tmp_path / "rows.npz", x=x, **y)
    data = {"train": {"file": str(tmp_path / "rows.npz")}} | (
        {} if "folds" in training else {"validation": {"split": 0.4}}
    )
    model = gs.compile(document(0.8, **training) | {"data": data})
    model.fit(verbose=0)
    answers, targets, held_out = held_out_answers(model)
    errors = np.abs(answers["y"].astype(np.float64) - targets["y"]).ravel()
    widths, levels = model.weights[WIDTHS].ravel(), model.weights[LEVELS].ravel()
    assert len(held_out) == (90 if "folds" in training else 36)
    group = (answers["y"] >= levels).sum(axis=1)
    for k in range(5):
        own = np.sort(errors[group == k] if levels.any() else errors)
        assert widths[k] == pytest.approx(own[math.ceil((len(own) + 1) * 0.8) - 1], rel=1e-6)
    found = model.predict(x)
    half = widths[(found["y"] >= levels).sum(axis=1)][:, None]
    np.testing.assert_allclose(found["y_low"], found["y"] - half, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["y_high"], found["y"] + half, rtol=1e-5, atol=1e-5)


def test_levels_have_widths_of_their_own_where_that_is_better() -> None:
    rng = np.random.default_rng(0)
    answers = rng.random((1000, 1)) * 10
    alike, levels = _interval(answers, np.abs(rng.normal(size=(1000, 1))), 0.9)
    assert np.unique(alike).size == 1
    assert not levels.any()
    errors = np.abs(rng.normal(size=(1000, 1))) * answers
    widths, levels = _interval(answers, errors, 0.9)
    np.testing.assert_allclose(levels, np.quantile(answers, [0.2, 0.4, 0.6, 0.8], axis=0), rtol=1e-6)
    for k, (low, high) in enumerate(zip([-1, *levels.ravel()], [*levels.ravel(), 11], strict=True)):
        own = errors[(answers >= low) & (answers < high)]
        np.testing.assert_allclose(widths[k], _width(own, 0.9), rtol=1e-6)
        assert np.mean(own <= widths[k]) >= 0.9


def test_windows_that_overlap_count_as_those_that_begin_as_far_apart_as_they_look_ahead() -> None:
    def counted(starts: Sequence[int], values: tuple[int, ...] = (4,), future: int = 4) -> list[float]:
        steps = np.arange(30)
        times = Times(steps, steps, steps, 30, None, 6, future, steps)  # type: ignore[arg-type]
        rows = Dataset({"x": steps}, chosen=np.array(starts), times=times)
        found = _counted(rows, np.zeros((len(starts), *values)))
        assert not isinstance(found, int)
        return found.tolist()

    assert counted(range(9)) == [9.0, 6.0, 4.0, 3.0]  # nine windows, 12 steps
    assert counted([0, 4, 8]) == counted([0, 8, 20]) == [3.0] * 4  # none overlap
    assert counted([29]) == [1.0] * 4
    assert counted([0, 1, 2, 20, 21], (2, 2), future=2) == [5.0, 5.0, 3.5, 3.5]
    assert counted(range(9), (2,)) == [3.0, 3.0]  # which steps these are is not known
    assert _counted(Dataset({"x": np.arange(7)}), np.zeros((7, 4))) == 7


def test_few_windows_that_overlap_have_wider_intervals() -> None:
    """Of n errors of which m count, the quantile of ``(m + 1) / m`` times the share; of too few, the largest one."""
    errors = np.repeat(np.arange(1.0, 101.0)[:, None], 4, axis=1)
    widths, levels = _interval(np.zeros((100, 4)), errors, 0.9, np.array([np.inf, 30, 10, 5]))
    assert np.round(widths[0]).tolist() == [91, 93, 99, 100]
    assert not levels.any()


def test_files_runs_and_pickles_have_it(tmp_path: Path) -> None:
    (x, y), (new, _) = rows(400, 0, growing=True), rows(50, 1)
    model = gs.compile(document())
    model.fit(x, y, validation_split=0.5, verbose=0)
    assert np.unique(model.weights[WIDTHS]).size == 5
    answers = model.predict(new)
    assert list(answers) == ["y", "y_low", "y_high", "c"]
    group = (answers["y"] >= model.weights[LEVELS].ravel()).sum(axis=1)
    np.testing.assert_allclose(answers["y_high"] - answers["y"], model.weights[WIDTHS][group], rtol=1e-4)
    model.export(tmp_path / "sure.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "sure.onnx")
    assert [output.name for output in session.get_outputs()] == list(answers)
    for name, array in zip(answers, session.run(None, {"x": new}), strict=True):
        np.testing.assert_allclose(array, answers[name], rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "run")
    for other in (gs.load(tmp_path / "run"), pickle.loads(pickle.dumps(model))):
        for name, array in other.predict(new).items():
            np.testing.assert_array_equal(array, answers[name])
    model.fit(x, y, validation_split=0.5, verbose=0, epochs=1)  # learns again
    spec = document()
    del spec["outputs"]["y"]["scale"]  # it is learnt, too
    again = gs.compile(spec | {"training": {"initial_weights": str(tmp_path / "run" / "weights.safetensors")}})
    with pytest.raises(gs.UsageError, match="'y' has no interval yet"):
        again.predict(new)


@pytest.mark.parametrize("training", [{}, {"folds": 2}, {"seeds": 2}, {"members": True}])
def test_training_does_not_notice(training: dict[str, Any]) -> None:
    x, y = rows(120, 0)
    held_out = {} if "folds" in training else {"validation_split": 0.3}
    models = []
    for keys in ((0.9, "temperature"), (None, None)):
        spec = document(*keys, **{key: value for key, value in training.items() if key != "members"})
        if "members" in training:
            spec["layers"][0:0] = [{"type": "Members", "members": 4}]
            spec["outputs"]["y"]["members"] = spec["outputs"]["c"]["members"] = "mean"
        models.append(gs.compile(spec))
        models[-1].fit(x, y, verbose=0, **held_out)
        models[-1].fit(x, y, verbose=0, **held_out)  # again, from what the first one has left
    for name, array in models[1].weights.items():
        np.testing.assert_array_equal(models[0].weights[name], array)
    np.testing.assert_array_equal(models[0].predict(x)["y"], models[1].predict(x)["y"])


@pytest.mark.parametrize("after", [3, 11])
def test_a_resumed_run_has_the_bits_of_a_whole_one(tmp_path: Path, after: int) -> None:
    x, y = rows(80, 0)
    np.savez(tmp_path / "rows.npz", x=x, **y)
    data = {"train": {"file": str(tmp_path / "rows.npz")}, "validation": {"split": 0.5}}
    spec = document(batch_size=8) | {"data": data}
    trainer = whole(spec, tmp_path / "whole")
    interrupt(spec, tmp_path / "run", after)
    run = resume(spec, tmp_path / "run")
    assert_same_files(tmp_path / "whole", tmp_path / "run")
    for name, array in run.model.weights.items():
        np.testing.assert_array_equal(trainer.model.weights[name], array)
    assert (run.model.weights[WIDTHS] > 0).all()


@pytest.mark.parametrize("kind", ["ids", "one_hot", "binary", "logits", "binary logits", "steps"])
def test_the_temperature_has_the_lowest_log_loss(kind: str) -> None:
    """A network that is trained too long on few rows is too sure; the best of many temperatures is searched for."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)).astype(np.float32)
    units, logits, binary = (1 if "binary" in kind else 3), "logits" in kind, "binary" in kind
    true = rng.integers(0, 2 if binary else 3, 300)
    true = np.where(rng.random(300) < 0.6, (x[:, 0] > 0) + 0, true)
    loss = "binary_crossentropy" if binary else ("" if kind == "one_hot" else "sparse_") + "categorical_crossentropy"
    last = {"type": "Dense", "units": units} | ({} if logits else {"activation": "sigmoid" if binary else "softmax"})
    spec = document() | {"outputs": {"c": {"loss": {"type": loss, "from_logits": logits}, "calibrate": "temperature"}}}
    spec["layers"] = [{"type": "Dense", "units": 64, "activation": "relu"}, {"name": "c", **last}]
    target: Array = np.eye(3, dtype=np.float32)[true] if kind == "one_hot" else true
    if kind == "steps":
        spec["inputs"] = {"x": {"shape": [5, 3]}}
        x, target = x.reshape(60, 5, 3), true.reshape(60, 5)
    half = len(x) // 2
    model = gs.compile(spec)
    model.fit(x[:half], target[:half], validation_data=(x[half:], target[half:]), epochs=60, verbose=0)
    (found,) = (array for name, array in model.weights.items() if name.endswith("temperature"))
    assert found > 1.2
    held_out = x[half:]
    given = model.predict(held_out).reshape(-1, units).astype(np.float64)
    model.set_weights({TEMPERATURE: np.float32(1)})
    p = model.predict(held_out).reshape(-1, units).astype(np.float64)
    scores = p if logits else np.log(p) - np.log(1 - p) if binary else np.log(p)
    scores = np.concatenate([np.zeros_like(scores), scores], axis=1) if binary else scores
    answer = true[-len(scores) :]

    def log_loss(t: float) -> float:
        z = scores / t
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), answer]))

    tried = np.exp(np.linspace(-3, 3, 3001))
    assert float(found) == pytest.approx(tried[np.argmin([log_loss(t) for t in tried])], rel=4e-3)
    z = scores / float(found)
    q = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = z[:, -units:] if logits else q[:, -units:]
    np.testing.assert_allclose(given, expected, rtol=2e-4, atol=1e-5)
    model.set_weights({TEMPERATURE: found})
    assert model.evaluate(held_out, target[half:])["loss"] == pytest.approx(log_loss(float(found)), rel=1e-4)


def test_a_temperature_that_does_not_help_is_1() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(200, 3)).astype(np.float32), rng.integers(0, 2, 200)
    spec = document(None, epochs=1, optimizer={"type": "SGD", "learning_rate": 1e-6})
    del spec["outputs"]["y"], spec["layers"][1]
    spec["layers"][1]["kernel_initializer"] = "zeros"  # every class is as likely, at every temperature
    model = gs.compile(spec)
    model.fit(x, y, validation_split=0.5, verbose=0)
    assert model.weights[TEMPERATURE] == 1


def test_several_values_in_a_row_and_clipped_ends(tmp_path: Path) -> None:
    x, y = rows(200, 0)
    far = np.concatenate([y["y"], y["y"] * 0 + np.random.default_rng(0).normal(size=(200, 1)) * 50], axis=1)
    spec = document(0.5, None)
    spec["layers"][1]["units"] = 2
    spec["outputs"] = {"y": spec["outputs"]["y"] | {"clip": True}}
    del spec["layers"][2]
    model = gs.compile(spec)
    model.fit(x, far, validation_split=0.5, verbose=0)
    widths, found = model.weights[WIDTHS], model.predict(x * 100)
    assert widths.shape == (5, 2)
    assert (widths[:, 0] < widths[:, 1]).all()
    assert found["y_low"].min() == found["y"].min()
    assert found["y_high"].max() == found["y"].max()
    model.export(tmp_path / "wide.onnx")


def test_what_cannot_be_learnt_is_said_before_the_training() -> None:
    x, y = rows(40, 0)
    with pytest.raises(
        gs.UsageError, match="'y' has `interval`, `calibrate` or `threshold`, which are learnt from held"
    ):
        gs.compile(document()).fit(x, y, verbose=0)
    with pytest.raises(gs.SpecError, match=r"8 held-out rows are too few for `interval: 0\.9` of head 'y'"):
        gs.compile(document()).fit(x, y, validation_split=0.2, verbose=0)
    model = gs.compile(document())
    model.fit(x, y, validation_data=(x[:9], {name: array[:9] for name, array in y.items()}), verbose=0)
    assert (model.weights[WIDTHS] > 0).all()


@pytest.mark.slow
def test_commands_and_the_report_say_how_wide_and_how_often(tmp_path: Path) -> None:
    for name, seed in (("train", 0), ("test", 1)):
        x, y = rows(200, seed)
        table = np.column_stack([x, y["y"], y["c"]])
        np.savetxt(tmp_path / f"{name}.csv", table, delimiter=",", header="a,b,c0,y,c", comments="", fmt="%.5g")
    spec = document() | {"data": {"train": {"file": "train.csv"}, "test": {"file": "test.csv"}}}
    spec["inputs"] = {"x": {"columns": {"a": "number", "b": "number", "c0": "number"}}}
    spec["training"] |= {"folds": 3}
    path = tmp_path / "s.json"
    path.write_text(json.dumps(spec))
    run, file = tmp_path / "run", tmp_path / "s.onnx"
    trained = graphspec("train", path, "--out", run, "--export", file)
    assert trained.exit_code == 0, trained.stderr
    model = gs.load(run)
    judged = score(model, model.part("test"), "test")
    (said,) = coverage(judged)
    own = model.predict({name: array[:] for name, array in model.part("test").inputs.items()})
    share = 100 * inside(own, model.part("test").targets["y"])
    half = float((own["y_high"] - own["y_low"]).mean() / 2)
    assert said.startswith(f"y: 90 % interval ±{half:.4f}"[:22])
    assert f"{share:.1f} % of 200 test rows lie within (" in said
    text = said.split(";")[0]
    assert text in trained.stdout
    assert text in graphspec("evaluate", run).stdout
    assert text in (run / "report.html").read_text(encoding="utf-8")
    assert text in graphspec("card", run).stdout
    of_folds = graphspec("evaluate", run, "--part", "validation").stdout
    assert "out-of-fold rows lie within" in of_folds
    assert "which have set its width" in " ".join(of_folds.split())
    predicted = graphspec("predict", file, tmp_path / "test.csv").stdout.splitlines()
    assert predicted[0].startswith("y,y_low,y_high,c")
    np.testing.assert_allclose(
        [float(v) for v in predicted[1].split(",")][:3], [own[n][0, 0] for n in list(own)[:3]], rtol=1e-4
    )
    assert "lower end of the 90 % interval of 'y'" in graphspec("inspect", file, "--json").stdout
