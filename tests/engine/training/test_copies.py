"""Training several copies of a network: folds, seeds and forms, against trainings of single networks by hand."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shop
from commands import SPEC, graphspec, project
from held_out import held_out_answers

import graphspec as gs
from graphspec.engine.training.copies import CopiesTrainer, folds_of
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.run_directory import start_run
from graphspec.engine.training.trainer import Trainer
from specs import blobs, dense_spec

STOP = {"type": "EarlyStopping", "patience": 1, "restore_best_weights": True}


def several(**training: Any) -> dict[str, Any]:
    spec = dense_spec()
    return spec | {"training": spec["training"] | {"callbacks": [STOP]} | training}


def alone(model: gs.Model, k: int) -> gs.Model:
    """A single network, compiled by itself, with the seed of copy ``k``."""
    return gs.compile(several(epochs=8, seed=model.copies()[k].seed))


def assert_equal(model: gs.Model, prefix: str, single: gs.Model) -> None:
    for name, array in single.weights.items():
        np.testing.assert_array_equal(model.weights[prefix + name], array)


def test_seeds_are_trainings_of_their_own() -> None:
    (x, y), held_out = blobs(), blobs(40, seed=1)
    model = gs.compile(several(epochs=8, seeds=3))
    history = model.fit(x, y, validation_data=held_out, verbose=0)
    histories, answers = [], []
    for k in range(3):
        single = alone(model, k)
        histories.append(single.fit(x, y, validation_data=held_out, verbose=0))
        answers.append(single.predict(held_out[0]))
        assert_equal(model, f"copy_{k + 1}/", single)
    np.testing.assert_allclose(model.predict(held_out[0]), np.mean(answers, axis=0), rtol=1e-6, atol=1e-7)
    lengths = [len(each["loss"]) for each in histories]
    assert history.epochs == max(lengths)
    for epoch in range(max(lengths)):
        own = [each["val_loss"][epoch] for each, length in zip(histories, lengths, strict=True) if epoch < length]
        assert history["val_loss"][epoch] == pytest.approx(np.mean(own))


def test_folds_are_trainings_without_a_part_of_the_rows() -> None:
    x, y = blobs(100)
    model = gs.compile(several(epochs=8, folds=4))
    model.fit(x, y, verbose=0)
    folds = folds_of(model, gs_rows(model, x, y))
    classes = [np.bincount(y[folds == k], minlength=3) for k in range(4)]
    assert np.ptp(classes, axis=0).max() <= 1  # the classes are spread evenly
    assert np.ptp(np.bincount(folds)) == 0
    for k in range(4):
        single, own = alone(model, k), folds == k
        single.fit(x[~own], y[~own], validation_data=(x[own], y[own]), verbose=0)
        assert_equal(model, f"copy_{k + 1}/", single)


def gs_rows(model: gs.Model, x: Any, y: Any) -> Any:
    from graphspec.data.signature import user_arrays

    return user_arrays(model.needed, x, y, None)


def test_folds_are_dealt_by_the_seed() -> None:
    x, y = blobs(41)
    found = [folds_of(m, gs_rows(m, x, y)) for m in (gs.compile(several(folds=4, seed=s)) for s in (1, 1, 2))]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    assert np.ptp(np.bincount(found[0])) == 1
    with pytest.raises(gs.SpecError, match="7 rows are too few for 4 folds"):
        gs.compile(several(folds=4)).fit(x[:7], y[:7], verbose=0)


@pytest.mark.slow
def test_results_out_of_fold(tmp_path: Path) -> None:
    spec = SPEC.replace("  validation: {split: 0.25}\n", "").replace("  seed: 5", "  seed: 5\n  folds: 4")
    path, run = project(tmp_path, spec), tmp_path / "run"
    result = graphspec("train", path, "--out", run, "--export", tmp_path / "x.onnx")
    assert result.exit_code == 0, result.output
    assert "4 copies, each without one fold of about 20 rows" in result.stdout
    assert "copy 4 of 4: epoch" in result.stdout
    assert sorted(p.name for p in (run / "copies").iterdir()) == ["1", "2", "3", "4"]
    model = gs.load(run)
    x, folds = model.part("train").inputs["features"], folds_of(model, model.part("train"))
    expected = np.empty((80, 1), np.float32)
    for k, (prefix, single) in enumerate(zip(model.prefixes, model.copies(), strict=True)):
        single.set_weights({name: model.weights[prefix + name] for name in single.weights})
        expected[folds == k] = single.predict_dict(x[folds == k], batch_size=32)["answer"]
    answers, targets, rows = held_out_answers(model)
    assert len(rows) == 80
    np.testing.assert_allclose(answers["answer"], expected, rtol=1e-5, atol=1e-6)
    accuracy = float(((expected > 0.5) == targets["answer"].reshape(-1, 1)).mean())
    result = graphspec("evaluate", run, "--part", "validation")
    assert f"accuracy  {accuracy:.6g}" in result.stdout
    assert f"{100 * accuracy:.1f} % right" in result.stdout  # the mean of probabilities is one
    graphspec("report", run, "--part", "validation", "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "each answered by the copy that was trained without it" in page
    assert f"{accuracy:.4f}" in page
    assert "have the same inputs as a training row" not in page
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert [each["seed"] for each in record["copies"]] == [copy.seed for copy in model.copies()]
    assert (run / "history.csv").read_text().startswith("epoch,loss,accuracy,val_loss,val_accuracy\n1,")


def test_validation_rows_are_held_out_answers_too(tmp_path: Path) -> None:
    model = gs.compile(project(tmp_path), ["training.seeds=2"])
    model.fit(verbose=0)
    answers, targets, rows = held_out_answers(model)
    x = rows.inputs["features"][rows.chosen]
    np.testing.assert_allclose(answers["answer"], model.predict(x), rtol=1e-5, atol=1e-6)
    assert len(targets["answer"]) == len(rows) == 20


@pytest.mark.slow
def test_what_is_learnt_is_learnt_from_all_rows(tmp_path: Path) -> None:
    path = shop.project(tmp_path)
    sets = ["data.validation=null", "training.folds=3", "training.epochs=2"]
    model = gs.compile(path, sets)
    model.fit(verbose=0)
    assert model.adapted is not None
    assert model.adapted.rows == 48
    assert model.labels == {"mood": ["happy", "none of them", "sad"]}
    model.export(tmp_path / "shop.onnx")
    row = {"town": ["Oslo"], "spent": [3.0], "day": ["2020-01-01"], "remark": ["good"]}
    for other in (pickle.loads(pickle.dumps(model)), saved(model, tmp_path / "run")):
        np.testing.assert_array_equal(other.predict(row), model.predict(row))
        assert other.evaluate(*held_out(model)) == model.evaluate(*held_out(model))
    file = ["evaluate", tmp_path / "shop.onnx", "--data", tmp_path / "shop.csv"]
    assert graphspec(*file).exit_code == 0
    assert "has only the mean of its copies" in graphspec(*file, "--part", "validation").stderr


def saved(model: gs.Model, folder: Path) -> gs.Model:
    model.save(folder)
    return gs.load(folder)


def held_out(model: gs.Model) -> tuple[Any, Any]:
    rows = model.part("train")
    return {n: a[:] for n, a in rows.inputs.items()}, {n: a[:] for n, a in rows.targets.items()}


FORMS = {"slow": {"training.optimizer.learning_rate": 1e-6}, "wide": {"layers.hidden.units": 16}}


@pytest.mark.parametrize("more", [{}, {"seeds": 2}, {"folds": 2}])
def test_the_best_form_is_kept(tmp_path: Path, more: dict[str, int]) -> None:
    spec = several(epochs=8, forms=FORMS, **more)
    model, (x, y) = gs.compile(spec), blobs()
    kernel = "hidden/kernel" if not more else "copy_1/hidden/kernel"
    assert model.weights[kernel].shape == (4, 8)  # the first form, until one is chosen
    rows = {} if "folds" in more else {"validation_data": blobs(40, seed=1)}
    history = model.fit(x, y, verbose=0, **rows)
    assert model.spec.form == "wide"
    assert model.weights[kernel].shape == (4, 16)
    only = gs.compile(several(epochs=8, **more), ["layers.hidden.units=16"])
    assert only.fit(x, y, verbose=0, **rows).history == history.history
    np.testing.assert_array_equal(only.predict(x), model.predict(x))
    for other in (pickle.loads(pickle.dumps(model)), saved(model, tmp_path / "run")):
        assert other.spec.form == "wide"
        np.testing.assert_array_equal(other.predict(x), model.predict(x))
    model.export(tmp_path / "x.onnx")
    data = tmp_path / "rows.npz"
    np.savez(data, x=x, kind=y)
    result = graphspec("evaluate", tmp_path / "x.onnx", "--data", data)
    assert f"{model.evaluate(x, y)['accuracy']:.6g}" in result.stdout


@pytest.mark.slow
def test_by_which_value_forms_are_chosen() -> None:
    """Numbers: by the first metric. `choose` names another one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4)).astype(np.float32)
    y = x[:, :1] * 3 + np.where(rng.random((80, 1)) < 0.1, 40, 0)  # a few outliers
    spec = several(epochs=60, callbacks=[], forms={"mse": {"vars.far": 0}, "zero": {"vars.far": 0.5}})
    spec["vars"], spec["training"]["optimizer"] = {"far": 0}, {"type": "Adam", "learning_rate": 0.05}
    spec["layers"] = [
        {"name": "answer", "type": "Dense", "units": 1, "kernel_regularizer": {"type": "L2", "l2": "${far}"}}
    ]
    spec["outputs"] = {"answer": {"loss": "mse", "metrics": ["mae", "r2_score"]}}
    found = {}
    for choose in (None, "val_mae", "val_loss", "val_r2_score"):
        model = gs.compile({**spec, "training": spec["training"] | ({} if choose is None else {"choose": choose})})
        said: list[str] = []
        trainer = model_trainer(model, x, y, said)
        trainer.run()
        record = {
            name: float(text.split()[3])
            for text in said
            if text.startswith("form")
            for name in [text.split()[1][:-1]]
            if "copy" not in text and "epoch" not in text
        }
        best = max if choose == "val_r2_score" else min
        assert model.spec.form == best(record, key=lambda name: record[name])
        found[choose] = record
    assert found[None] == found["val_mae"] != found["val_loss"]


@pytest.mark.slow
def test_forms_of_few_rows_are_compared_by_all_copies_and_their_medians(tmp_path: Path) -> None:
    """A free form's best epoch is partly luck: what counts is the median from the kept epoch on."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 4))
    table = np.column_stack([x, x @ [1, -1, 2, 0] + 2 * rng.normal(size=60)])
    np.savetxt(tmp_path / "rows.csv", table, delimiter=",", header="a,b,c,d,y", comments="")
    stop = {"type": "EarlyStopping", "monitor": "val_mae", "patience": 6, "restore_best_weights": True}
    forms = {"line": {"vars.units": 1}, "free": {"vars.units": 64}}
    training = {"epochs": 60, "seed": 1, "folds": 3, "forms": forms, "callbacks": [stop]}
    spec = {
        "graphspec": 1,
        "name": "few",
        "vars": {"units": 1},
        "inputs": {"x": {"shape": [4]}},
        "layers": [
            {"name": "hidden", "type": "Dense", "units": "${units}", "activation": "tanh"},
            {"name": "answer", "type": "Dense", "units": 1},
        ],
        "outputs": {"answer": {"loss": "mse", "metrics": ["mae"]}},
        "training": training | {"optimizer": {"type": "Adam", "learning_rate": 0.05}},
        "data": {"train": {"file": "rows.csv", "inputs": {"x": [*"abcd"]}, "targets": {"answer": "y"}}},
    }
    (tmp_path / "few.json").write_text(json.dumps(spec), encoding="utf-8")
    train(tmp_path / "few.json", tmp_path / "run", resume=False)
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    copies = record["copies"]
    assert [copy["form"] for copy in copies] == ["line"] * 3 + ["free"] * 3
    medians: dict[str, list[float]] = {"line": [], "free": []}
    for k, copy in enumerate(copies, 1):
        with (tmp_path / f"run/copies/{k}/history.csv").open(encoding="utf-8", newline="") as file:
            values = [float(row["val_mae"]) for row in csv.DictReader(file)]
        assert min(values) == values[copy["epoch"] - 1] < np.median(values[copy["epoch"] - 1 :])
        medians[copy["form"]].append(float(np.median(values[copy["epoch"] - 1 :])))
    expected = {form: {"val_mae": pytest.approx(np.mean(own))} for form, own in medians.items()}
    assert record["forms"] == expected
    best = min(medians, key=lambda form: np.mean(medians[form]))
    assert gs.load(tmp_path / "run").spec.form == best


def model_trainer(model: gs.Model, x: Any, y: Any, said: list[str]) -> Trainer:

    observer = Silent()
    observer.say = said.append  # type: ignore[method-assign]
    return prepare_fit(model, FitData(x, y, validation_data=(x, y)), observer=observer)


def test_errors_of_fit() -> None:
    x, y = blobs(40)
    with pytest.raises(gs.UsageError, match="`forms` needs rows to choose by"):
        gs.compile(several(forms=FORMS)).fit(x, y, verbose=0)
    for given in ({"validation_data": (x, y)}, {"validation_split": 0.2}):
        with pytest.raises(gs.UsageError, match="`folds`"):
            gs.compile(several(folds=2)).fit(x, y, verbose=0, **given)  # type: ignore[arg-type]


def test_a_second_fit_trains_the_same_copies_again() -> None:
    x, y = blobs(40)
    model = gs.compile(several(folds=2))
    model.fit(x, y, verbose=0)
    before = model.weights
    model.fit(x, y, verbose=0)
    for name, array in model.weights.items():
        np.testing.assert_array_equal(array, before[name])


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("forms", [False, True])
@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_its_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forms: bool
) -> None:
    spec = SPEC.replace("  validation: {split: 0.25}\n", "").replace("  seed: 5", "  seed: 5\n  folds: 3")
    if forms:
        spec = spec.replace(
            "  seed: 5", "  seed: 5\n  forms: {a: {layers.hidden.units: 2}, b: {layers.hidden.units: 6}}"
        )
    path = project(tmp_path, spec)
    with monkeypatch.context() as patched:
        patched.setattr("graphspec.engine.training.copies.FEW", 0)
        whole = train(path, tmp_path / "whole", resume=False)
    steps, step = 0, Trainer.step

    def dies(self: Trainer) -> None:
        nonlocal steps
        steps += 1
        if steps == 25:  # 4 steps an epoch, 12 a copy
            raise _KilledError
        step(self)

    monkeypatch.setattr(Trainer, "step", dies)
    monkeypatch.setattr("graphspec.engine.training.copies.SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr("graphspec.engine.training.copies.FEW", 0)
    train(path, tmp_path / "killed", resume=False, code=70)
    done = (tmp_path / "killed/copies/1/checkpoint.safetensors").stat().st_mtime_ns
    third = 4 if forms else 3  # of the first form, two copies are tried
    assert (tmp_path / f"killed/copies/{third}").is_dir()
    assert not (tmp_path / f"killed/copies/{third + 1}").exists()
    monkeypatch.setattr(Trainer, "step", step)
    resumed = train(path, tmp_path / "killed", resume=True)
    assert (tmp_path / "killed/copies/1/checkpoint.safetensors").stat().st_mtime_ns == done
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array)
    for name in ("history.csv", "weights.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


def train(path: Path, run: Path, *, resume: bool, code: int = 0) -> dict[str, Any]:
    result = graphspec("train", path, "--out", run, "--no-report", *(["--resume"] if resume else []))
    assert result.exit_code == code, result.output
    return {} if code else gs.load(run).weights


@pytest.mark.slow
def test_overwriting_removes_the_copies(tmp_path: Path) -> None:
    path, run = project(tmp_path), tmp_path / "run"
    train_it = ["train", path, "--out", run, "--no-report"]
    assert graphspec(*train_it, "--set", "training.seeds=2").exit_code == 0
    again = graphspec(*train_it, "--set", "training.seeds=2", "--resume", "--set", "training.seed=6")
    assert "resuming allows only more `epochs`" in again.stderr
    longer = graphspec(*train_it, "--set", "training.seeds=2", "--resume", "--set", "training.epochs=4")
    assert "copy 2 of 2: epoch" in longer.stdout
    result = graphspec(*train_it, "--overwrite")
    assert result.exit_code == 0
    assert "keeps files" not in result.output
    assert not (run / "copies").exists()
    assert "hidden/kernel" in gs.load(run).weights


@pytest.mark.slow
def test_processes_compute_the_same_bits(tmp_path: Path) -> None:
    spec = SPEC.replace("  validation: {split: 0.25}\n", "").replace("  seed: 5", "  seed: 5\n  folds: 3\n  workers: W")
    found = [train(project(tmp_path, spec.replace("W", n)), tmp_path / n, resume=False) for n in ("1", "2")]
    for workers in ("1", "3"):  # without a folder of their own
        model = gs.compile(project(tmp_path, spec.replace("W", workers)))
        model.fit(verbose=0)
        found.append(model.weights)
    for other in found[1:]:
        for name, array in found[0].items():
            np.testing.assert_array_equal(other[name], array)


@pytest.mark.slow
def test_an_error_in_a_process_is_reported(tmp_path: Path) -> None:
    spec = SPEC.replace("optimizer: adam", "optimizer: {type: SGD, learning_rate: 1.0e+30}\n  seeds: 2\n  workers: 2")
    result = graphspec(
        "train", project(tmp_path, spec.replace("activation: relu", "activation: linear")), "--out", tmp_path / "run"
    )
    assert result.exit_code == 3, result.output
    assert "GS601" in result.stderr


def test_a_trainer_of_copies_is_one_of_a_run(tmp_path: Path) -> None:
    model = gs.compile(project(tmp_path), ["training.seeds=2"])
    trainer = model.trainer(Silent(), tmp_path / "run")
    assert isinstance(trainer, CopiesTrainer)
    start_run(model, tmp_path / "run")
    trainer.run()
    assert trainer.running.rows == 20
    assert trainer.epoch == 3
