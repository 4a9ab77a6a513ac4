"""Arrays as initial values: in specs, runs, workers, pickles and files."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec

import graphspec as gs
from graphspec.api.model import Model
from graphspec.engine.compiler.check import check

VECTORS = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
IDS = np.random.default_rng(1).integers(0, 7, (12, 4))
Y = IDS.sum(1, keepdims=True) / 10


def spec(initializer: Any, **more: Any) -> dict[str, Any]:
    """A mean of frozen vectors of ids (N, 4), and a head."""
    words = {
        "name": "words",
        "type": "Embedding",
        "input_dim": 7,
        "output_dim": 3,
        "embeddings_initializer": initializer,
    }
    layers = [
        words | {"trainable": False},
        {"type": "GlobalAveragePooling1D"},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    training = {"optimizer": "adam", "epochs": 2, "batch_size": 4, "seed": 3}
    document = {"graphspec": 1, "name": "s", "inputs": {"ids": {"shape": [4], "dtype": "int64"}}, "layers": layers}
    return document | {"outputs": {"y": {"loss": "mse"}}, "training": training} | more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "v.npy", VECTORS)
    np.savez(tmp_path / "rows.npz", ids=IDS, y=Y)
    return tmp_path


def written(folder: Path, initializer: Any, **more: Any) -> Path:
    path = folder / "spec.json"
    path.write_text(json.dumps(spec(initializer, **more)))
    return path


FILE = {"type": "Array", "file": "v.npy"}


def test_values_of_a_file_and_of_the_spec(folder: Path) -> None:
    of_file, given = gs.compile(written(folder, FILE)), gs.compile(spec({"type": "Array", "value": VECTORS}))
    for model in (of_file, given):
        np.testing.assert_array_equal(model.weights["words/embeddings"], VECTORS)
        model.fit(IDS, Y, verbose=0)
        np.testing.assert_array_equal(model.weights["words/embeddings"], VECTORS)
    np.testing.assert_array_equal(of_file.weights["y/kernel"], given.weights["y/kernel"])


@pytest.mark.parametrize(
    ("initializer", "words"),
    [
        ({"type": "Array", "value": VECTORS[:6].tolist()}, "has shape (6, 3), but the weight has (7, 3)"),
        ({"type": "Constant", "value": [1.0, 2.0]}, "has values of shape (2,) for a weight of shape (7, 3)"),
        ({"type": "Constant", "value": [[[1.0]]]}, "has values of shape (1, 1, 1) for a weight"),
        ({"type": "Array", "value": [[True] * 3] * 7}, "must be numbers, not true or false"),
        ({"type": "Array", "value": [[1e39] * 3] * 7}, "must fit float32"),
        ({"type": "Array"}, "needs `value` or `file`"),
        ({**FILE, "value": 1.0}, "cannot have both"),
        ({**FILE, "key": "a"}, "without a `file` .npz or .safetensors"),
        ({"type": "Array", "file": "none.npy"}, "names the file 'none.npy', which cannot be read: no such file"),
        ({"type": "Array", "file": "../v.npy"}, "is neither beside the spec nor below its folder"),
        ({"type": "Array", "file": "rows.npz", "key": "y"}, "has shape (12, 1), but the weight has (7, 3)"),
        ({"type": "Array", "file": "nan.npy"}, "which contains NaN or infinity"),
        ({"type": "Array", "file": "texts.npy"}, "which contains values of dtype <U1"),
    ],
)
def test_wrong_arrays(folder: Path, initializer: Any, words: str) -> None:
    np.save(folder / "nan.npy", np.full((7, 3), np.nan))
    np.save(folder / "texts.npy", np.full((7, 3), "a"))
    found = check(written(folder, initializer)).errors
    assert len(found) == 1
    assert words in found[0].message


def test_a_vector_in_place_of_a_part_of_a_bias() -> None:
    layer = {"name": "h", "type": "LSTM", "units": 2, "bias_initializer": {"type": "Constant", "value": [0.5] * 8}}
    inputs, last = {"x": {"shape": [4, 3]}}, {"name": "y", "type": "Dense", "units": 1}
    document = spec("zeros") | {"inputs": inputs, "layers": [layer, last]}
    (found,) = check(document).errors
    assert found.hint == "set `unit_forget_bias: false`"
    layer["unit_forget_bias"] = False
    assert (gs.compile(document).weights["h/bias"] == 0.5).all()


def test_runs_do_not_need_the_file(folder: Path) -> None:
    model = gs.compile(written(folder, FILE))
    model.fit(IDS, Y, verbose=0)
    model.save(folder / "run")
    model.export(folder / "net.onnx")
    packed = pickle.dumps(model)
    (folder / "v.npy").unlink()
    shutil.move(folder / "run", folder / "moved")
    loaded, unpickled = gs.load(folder / "moved"), pickle.loads(packed)
    expected = model.predict(IDS)
    for other in (loaded, unpickled):
        np.testing.assert_array_equal(other.predict(IDS), expected)
    for each in (model, loaded, unpickled):
        each.fit(IDS, Y, verbose=0)
        np.testing.assert_array_equal(each.weights["y/kernel"], model.weights["y/kernel"])
    assert graphspec("diff", folder / "moved", folder / "moved").exit_code == 0
    assert "not valid" not in graphspec("inspect", folder / "net.onnx").stdout
    for trained in ("net.onnx", "moved"):
        assert graphspec("summary", folder / trained).exit_code == 0
    with pytest.raises(gs.SpecError, match="cannot be read"):  # new weights need it
        gs.compile(loaded.spec)


@pytest.mark.slow
def test_a_resumed_run_does_not_read_the_file(folder: Path) -> None:
    whole = written(folder, FILE, data={"train": {"file": "rows.npz"}})
    options = ("--no-report", "--set", "training.epochs=4")
    assert graphspec("train", whole, "--out", folder / "whole", *options).exit_code == 0
    assert graphspec("train", whole, "--out", folder / "part", "--no-report").exit_code == 0
    np.save(folder / "v.npy", VECTORS[:, :2])
    assert graphspec("train", whole, "--out", folder / "part", "--resume", *options).exit_code == 0
    assert graphspec("train", whole, "--out", folder / "new", *options).exit_code == 1
    for name in ("weights.safetensors", "history.csv"):
        assert (folder / "whole" / name).read_bytes() == (folder / "part" / name).read_bytes()


def test_a_run_without_a_checkpoint_reads_the_file(folder: Path) -> None:
    path = written(folder, FILE, data={"train": {"file": "rows.npz"}})
    assert graphspec("train", path, "--out", folder / "whole", "--no-report").exit_code == 0
    (folder / "started").mkdir()
    for name in ("spec.json", "run.json"):
        shutil.copy(folder / "whole" / name, folder / "started" / name)
    assert graphspec("train", path, "--out", folder / "started", "--resume", "--no-report").exit_code == 0
    assert gs.load(folder / "started").weights["y/kernel"] == pytest.approx(
        gs.load(folder / "whole").weights["y/kernel"]
    )
    np.testing.assert_array_equal(gs.load(folder / "started").weights["words/embeddings"], VECTORS)


@pytest.mark.slow
def test_workers_do_not_need_the_file(folder: Path) -> None:
    weights = []
    for workers in (1, 2):
        np.save(folder / "v.npy", VECTORS)
        sets = [f"training.workers={workers}", "training.shards=2"]
        model = gs.compile(written(folder, FILE), sets)
        (folder / "v.npy").unlink()
        model.fit(IDS, Y, verbose=0)
        weights.append(model.weights)
    for name in weights[0]:
        np.testing.assert_array_equal(weights[0][name], weights[1][name])


def test_a_file_that_changes_between_checking_and_drawing(folder: Path) -> None:
    spec_, lowered = check(written(folder, FILE)).require()
    np.save(folder / "v.npy", VECTORS[:3])
    with pytest.raises(gs.UsageError, match=r"'v\.npy', which has shape"):
        Model(spec_, lowered)


def test_vectors_of_a_learnt_vocabulary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of rows is not known before the training; a pickle of an untrained model finds the file."""
    document = spec(FILE) | {"inputs": {"text": {"shape": [4], "dtype": "string"}}}
    words = {key: value for key, value in document["layers"][0].items() if key != "input_dim"}
    document["layers"] = [{"name": "ids", "type": "StringLookup"}, words, *document["layers"][1:]]
    path = folder / "spec.json"
    path.write_text(json.dumps(document))
    texts = np.array(list("abcdef"))[IDS % 6]
    model = gs.compile(path)
    packed = pickle.dumps(model)
    monkeypatch.chdir(Path(__file__).parent)
    for each in (model, pickle.loads(packed)):
        each.fit(texts, Y, verbose=0)  # 6 words and one for others
        np.testing.assert_array_equal(each.weights["words/embeddings"], VECTORS)
    with pytest.raises(gs.SpecError, match=r"has shape \(7, 3\), but the weight has \(6, 3\)"):
        gs.compile(path).fit(np.array(list("abcde"))[IDS % 5], Y, verbose=0)
