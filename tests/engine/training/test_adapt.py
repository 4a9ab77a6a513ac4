"""Tests of what a network learns before its first step: from which rows, how often, and what has it afterwards."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec
from shop import project

import graphspec as gs
from graphspec.base.errors import RunError, SpecError, UsageError
from graphspec.data.batches import split
from graphspec.engine.training import prepare

LAYERS = {
    "visit/town/ids",
    "visit/spent/filled",
    "visit/spent/scaled",
    "visit/day/filled",
    "visit/day",
    "visit/remark",
}
NEW = {
    "town": ["Rome", "unseen", ""],
    "spent": [1.0, np.nan, 5.0],
    "day": ["2020-01-01", "", "x"],
    "remark": ["good", "", "?"],
}


def new() -> dict[str, Any]:
    """New rows, as columns."""
    return {name: np.array(v, object if isinstance(v[0], str) else np.float32)[:, None] for name, v in NEW.items()}


def fitted(folder: Path, **arguments: Any) -> gs.Model:
    model = gs.compile(project(folder))
    model.fit(epochs=1, verbose=0, **arguments)
    return model


@pytest.fixture
def no_adapting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adapts fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("it adapts")

    monkeypatch.setattr(prepare, "adapt", refuse)


def test_what_is_learnt_comes_from_the_training_rows_alone(tmp_path: Path) -> None:
    adapted = fitted(tmp_path).adapted
    assert adapted is not None
    assert adapted.rows == 36
    assert set(adapted.layers) == LAYERS
    assert adapted.heads == {"mood": {"labels": ["happy", "none of them", "sad"]}}
    lines = (tmp_path / "shop.csv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split(",") for line in lines]
    every = np.median([np.float32(row[1]) for row in rows if row[1]])
    moods = np.unique([row[-1] for row in rows], return_inverse=True)[1]
    training, _ = split(len(rows), 0.25, 5, moods)
    seen = [np.float32(rows[k][1]) for k in training if rows[k][1]]
    assert adapted.layers["visit/spent/filled"]["fill_value"] == [pytest.approx(np.median(seen), rel=1e-6)]
    assert np.median(seen) != every


def test_before_fit_nothing_is_answered(tmp_path: Path) -> None:
    model = gs.compile(project(tmp_path))
    for call in (
        lambda: model.predict(new()),
        lambda: model.run(new()),
        lambda: model.evaluate(new(), {"mood": np.array(["sad"] * 3, object)}),
        lambda: model.export(tmp_path / "x.onnx"),
        lambda: model.save(tmp_path / "saved"),
    ):
        with pytest.raises(UsageError, match=r"has not learnt from training rows yet .*: call `fit`"):
            call()
    assert not (tmp_path / "x.onnx").exists()
    assert not (tmp_path / "saved").exists()


def test_a_second_fit_does_not_adapt_again(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    model = fitted(tmp_path)
    before = model.adapted
    request.getfixturevalue("no_adapting")
    model.fit(epochs=1, verbose=0)
    assert model.adapted is before


def test_a_class_that_training_rows_lack_is_refused(tmp_path: Path) -> None:
    model = gs.compile(project(tmp_path))
    part = model.part("train")
    x = {name: array[:] for name, array in part.inputs.items()}
    y = part.targets["mood"][:]
    wrong = np.array(["happy", "cross", "sad"], object)
    with pytest.raises(SpecError) as caught:
        model.fit(x, y, validation_data=(new(), wrong), epochs=1, verbose=0)
    assert [d.code for d in caught.value.diagnostics] == ["GS511"]
    assert "'cross' in the row at index 1" in str(caught.value)


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_have_what_was_learnt(
    tmp_path: Path, twin: Any, no_adapting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as allowed:
        from graphspec.engine.training.adapt import adapt

        allowed.setattr(prepare, "adapt", adapt)
        model = fitted(tmp_path)
    other = twin(model)
    assert other.adapted.to_json() == model.adapted.to_json()
    assert other.labels == model.labels
    before = model.predict(new())
    np.testing.assert_array_equal(other.predict(new()), before)
    other.fit(epochs=1, verbose=0)
    assert not np.array_equal(other.predict(new()), before)
    np.testing.assert_array_equal(model.predict(new()), before)
    model.fit(epochs=1, verbose=0)
    np.testing.assert_array_equal(other.predict(new()), model.predict(new()))


def test_an_unadapted_model_is_pickled(tmp_path: Path) -> None:
    model = pickle.loads(pickle.dumps(gs.compile(project(tmp_path))))
    model.fit(epochs=1, verbose=0)
    np.testing.assert_array_equal(model.predict(new()), fitted(tmp_path).predict(new()))


def test_a_saved_model_is_loaded_without_the_rows(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    model = fitted(tmp_path)
    model.save(tmp_path / "saved")
    (tmp_path / "shop.csv").unlink()
    request.getfixturevalue("no_adapting")
    loaded = gs.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict(new()), model.predict(new()))
    assert loaded.labels == model.labels


@pytest.mark.slow
def test_a_resumed_run_adapts_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    spec = project(tmp_path)
    assert graphspec("train", spec, "--out", tmp_path / "whole").exit_code == 0
    assert graphspec("train", spec, "--out", tmp_path / "run", "--set", "training.epochs=1").exit_code == 0
    request.getfixturevalue("no_adapting")
    (tmp_path / "run" / "adapted.json").unlink()  # the checkpoint has it too
    result = graphspec("train", spec, "--out", tmp_path / "run", "--resume")
    assert result.exit_code == 0, result.stderr
    for name in ("weights.safetensors", "history.csv", "checkpoint.safetensors", "adapted.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.slow
def test_other_rows_are_not_resumed(tmp_path: Path) -> None:
    spec = project(tmp_path)
    assert graphspec("train", spec, "--out", tmp_path / "run", "--set", "training.epochs=1").exit_code == 0
    table = tmp_path / "shop.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("Oslo", "Bonn"), encoding="utf-8")
    result = graphspec("train", spec, "--out", tmp_path / "run", "--resume")
    assert result.exit_code == 2
    assert "the data files have changed" in result.stderr


@pytest.mark.slow
def test_another_spec_is_not_resumed_whatever_was_learnt(tmp_path: Path) -> None:
    spec = project(tmp_path)
    assert graphspec("train", spec, "--out", tmp_path / "run", "--set", "training.epochs=1").exit_code == 0
    spec.write_text(spec.read_text(encoding="utf-8").replace("town: category", "town: text"), encoding="utf-8")
    result = graphspec("train", spec, "--out", tmp_path / "run", "--resume")
    assert result.exit_code == 2
    assert "the spec differs from the one in" in result.stderr


@pytest.mark.slow
def test_a_run_that_ends_before_its_first_checkpoint_learns_again(tmp_path: Path) -> None:
    spec = project(tmp_path)
    assert graphspec("train", spec, "--out", tmp_path / "whole").exit_code == 0
    run = tmp_path / "run"
    run.mkdir()
    (run / "spec.json").write_bytes((tmp_path / "whole" / "spec.json").read_bytes())
    (run / "adapted.json").write_bytes(b'{"format": 1')
    result = graphspec("train", spec, "--out", run, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "has no checkpoint: starting again" in result.stderr
    assert (run / "adapted.json").read_bytes() == (tmp_path / "whole" / "adapted.json").read_bytes()
    assert (run / "weights.safetensors").read_bytes() == (tmp_path / "whole" / "weights.safetensors").read_bytes()


@pytest.mark.slow
def test_a_record_that_was_altered_is_refused(tmp_path: Path) -> None:
    spec, run = project(tmp_path), tmp_path / "run"
    assert graphspec("train", spec, "--out", run, "--set", "training.epochs=1").exit_code == 0
    whole = json.loads((run / "adapted.json").read_text(encoding="utf-8"))
    mean = copy.deepcopy(whole)
    mean["layers"]["visit/spent/scaled"]["mean"][0] += 1.0
    labels = copy.deepcopy(whole)
    labels["heads"]["mood"]["labels"].reverse()
    towns = copy.deepcopy(whole)
    towns["layers"]["visit/town/ids"]["vocabulary"].append("Bonn")
    foreign = copy.deepcopy(whole)
    foreign["layers"]["other"] = {"vocabulary": ["a"]}
    kinds = copy.deepcopy(whole)
    kinds["layers"]["visit/town/ids"]["vocabulary"] = 3
    less = copy.deepcopy(whole)
    del less["layers"]["visit/remark"]
    for altered in (mean, labels, towns, foreign, kinds, less, [], {"format": 2}):
        (run / "adapted.json").write_text(json.dumps(altered), encoding="utf-8")
        with pytest.raises(RunError) as caught:
            gs.load(run)
        assert caught.value.code == "GS603", altered
        result = graphspec("train", spec, "--out", run, "--resume")
        assert result.exit_code == 3, (altered, result.stderr)
        assert "GS603" in result.stderr, (altered, result.stderr)
    (run / "adapted.json").write_text(json.dumps(whole), encoding="utf-8")
    gs.load(run)


def test_a_vocabulary_that_no_run_can_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.engine.training.adapt._LARGEST", 1000)
    layers = [
        {"name": "bins", "type": "StringLookup", "output_mode": "one_hot"},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    spec = {
        "graphspec": 1,
        "name": "long",
        "inputs": {"text": {"shape": [1], "dtype": "string"}},
        "layers": layers,
        "outputs": {"y": {"loss": "mean_squared_error"}},
    }
    texts = np.array([[f"a long text {k}"] for k in range(100)], object)
    with pytest.raises(gs.SpecError, match=r"GS105.*'bins' has learnt 100 entries, and a run stores at most"):
        gs.compile(spec).fit(texts, np.zeros((100, 1)), verbose=0)


@pytest.mark.parametrize(
    ("units", "kinds", "message", "hint"),
    [
        (3, "abab", "head 'kind' has 3 units, but the training rows have 2 classes: 'a', 'b'", "name all classes in"),
        (
            3,
            "abcd",
            "but the training rows have 4 classes: 'a', 'b', 'c', 'd'",
            "give it 4 units, or correct the column",
        ),
        (1, "abca", "head 'kind' has 1 unit, for 2 classes, but the training rows have 3 classes", "3 units, softmax"),
        (1, "aaaa", "but the training rows have 1 class: 'a'", "name all classes in `labels`"),
        (9, "abcdefgh", "8 classes: 'a', 'b', 'c', 'd', 'e', 'f', …", "name all classes"),
    ],
)
def test_classes_of_the_rows_that_do_not_fit_the_head(
    units: int, kinds: str, message: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("x,kind\n" + "".join(f"{k},{kind}\n" for k, kind in enumerate(kinds)))
    loss = "binary" if units == 1 else "sparse_categorical"
    layer = {"name": "kind", "type": "Dense", "units": units, "activation": "sigmoid" if units == 1 else "softmax"}
    document = {
        "graphspec": 1,
        "name": "kinds",
        "inputs": {"x": {"shape": [1]}},
        "layers": [layer],
        "outputs": {"kind": {"loss": f"{loss}_crossentropy"}},
        "data": {"train": {"file": str(tmp_path / "t.csv")}},
    }
    with pytest.raises(SpecError) as caught:
        gs.compile(document).fit(verbose=0)
    [found] = caught.value.diagnostics
    assert found.code == "GS405"
    assert message in found.message
    assert hint in str(found.hint)


def test_a_vocabulary_is_learnt_even_if_no_shape_depends_on_it() -> None:
    spec = {
        "graphspec": 1,
        "name": "padded",
        "inputs": {"text": {"dtype": "string"}},
        "layers": [
            {"type": "TextVectorization", "split": "character", "max_tokens": 9, "pad_to_max_tokens": True},
            {"type": "Embedding", "input_dim": 9, "output_dim": 2},
            {"type": "GlobalAveragePooling1D"},
            {"name": "y", "type": "Dense", "units": 1},
        ],
        "outputs": {"y": {"loss": "mean_squared_error"}},
    }
    model = gs.compile(spec)
    with pytest.raises(UsageError, match="has not learnt"):
        model.predict(np.array(["ab"], object))
    model.fit(np.array(["ab", "aba"], object), np.zeros(2, np.float32), verbose=0)
    assert model.adapted is not None
    assert model.adapted.layers["text_vectorization_1"] == {"vocabulary": ["a", "b"]}
