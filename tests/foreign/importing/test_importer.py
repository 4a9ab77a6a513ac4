"""An import writes a spec and its weights, both or none, and only what is the network of the file."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_json import DENSE, LAST, layer, sequential
from safetensors.numpy import load_file

import graphspec as gs
from graphspec.foreign.importing import importer
from graphspec.foreign.keras_files import convert as converting
from graphspec.foreign.keras_files.convert import Imported

PLAIN: dict[str, Any] = {
    "graphspec": 1,
    "name": "sequential",
    "inputs": {"x": {"shape": [8]}},
    "layers": [
        {
            "name": f"dense_{k}",
            "type": "Dense",
            "units": 8,
            "activation": "relu",
            "inputs": [f"dense_{k - 1}" if k else "x"],
        }
        for k in range(3)
    ]
    + [{"name": "y", "type": "Dense", "units": 1, "inputs": ["dense_2"]}],
    "outputs": {"y": {"loss": "mse"}},
    "training": {"optimizer": "adam"},
}
SHAPES = {"dense_0": (8, 8), "dense_1": (8, 8), "dense_2": (8, 8), "y": (8, 1)}


def weights() -> dict[str, Any]:
    draw = np.random.default_rng(1)
    kernels = {f"{name}/kernel": draw.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    return kernels | {f"{name}/bias": draw.normal(size=shape[1:]).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is converted to ``PLAIN`` with its weights."""
    path = tmp_path / "net.keras"
    path.write_bytes(b"")
    monkeypatch.setattr(converting, "convert", lambda _: Imported(PLAIN, weights(), ["a note"]))
    return path


def test_a_spec_and_its_weights_are_written(file: Path, tmp_path: Path) -> None:
    found = gs.import_file(file, tmp_path / "mine.yaml")
    assert (found.path, found.weights_path) == (tmp_path / "mine.yaml", tmp_path / "mine.safetensors")
    text = found.path.read_text(encoding="utf-8")
    assert text.startswith("# a note\ngraphspec: 1\nname: mine\n")
    assert "  - {name: dense, type: Dense, units: 8, activation: relu, repeat: 3}\n" in text
    assert "training: {initial_weights: mine.safetensors, optimizer: adam}\n" in text
    stored, given = load_file(tmp_path / "mine.safetensors"), weights()
    names = {"dense_0": "dense_1", "dense_1": "dense_2", "dense_2": "dense_3", "y": "y"}  # as `repeat` counts
    assert stored.keys() == {f"{names[node]}/{role}" for node, role in (name.split("/") for name in given)}
    np.testing.assert_array_equal(stored["dense_3/kernel"], given["dense_2/kernel"])
    assert repr(found).splitlines() == [
        f"{tmp_path / 'mine.yaml'}: 4 layers, 225 parameters",
        f"{tmp_path / 'mine.safetensors'}: 8 arrays, the initial weights",
        "input x: float32 (N, 8)",
        "output y: float32 (N, 1)",
        "note: a note",
    ]


def test_the_model_starts_from_the_weights(file: Path, tmp_path: Path) -> None:
    model = gs.compile(gs.import_file(file, tmp_path / "mine.yaml").path)
    x, given = np.random.default_rng(2).normal(size=(5, 8)).astype(np.float32), weights()
    y = x
    for k in range(3):
        y = np.maximum(y @ given[f"dense_{k}/kernel"] + given[f"dense_{k}/bias"], 0)
    np.testing.assert_allclose(model.predict(x), y @ given["y/kernel"] + given["y/bias"], rtol=1e-4, atol=1e-5)


def test_nothing_is_replaced_unless_asked(file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"mine")
    with pytest.raises(gs.UsageError, match=r"mine\.safetensors exists; `--overwrite`"):
        gs.import_file(file, tmp_path / "mine.yaml")
    assert not (tmp_path / "mine.yaml").exists()
    gs.import_file(file, tmp_path / "mine.yaml", overwrite=True)
    assert (tmp_path / "mine.safetensors").read_bytes() != b"mine"


def test_neither_file_is_written_if_one_fails(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr("safetensors.numpy.save", full)
    with pytest.raises(OSError, match="full"):
        gs.import_file(file, tmp_path / "mine.yaml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.keras"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y/kernel": None}, r"has no weights 'y/kernel' \(8, 1\)"),
        ({"y/kernel": np.zeros((4, 2))}, r"weights 'y/kernel' have the shape \(4, 2\), not \(8, 1\)"),
        ({"z/kernel": np.zeros(2)}, "weights 'z/kernel' belong to no layer"),
    ],
)
def test_other_weights_are_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    wrong = {name: array for name, array in (weights() | change).items() if array is not None}
    monkeypatch.setattr(converting, "convert", lambda _: Imported(PLAIN, wrong, []))
    with pytest.raises(gs.SpecError, match=message) as error:
        gs.import_file(file, tmp_path / "mine.yaml")
    assert [d.code for d in error.value.diagnostics] == ["GS801"]


def test_a_spec_that_became_another_network_is_not_written(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain form is written then."""
    monkeypatch.setattr(importer, "difference", lambda *_: "other weights")
    text = gs.import_file(file, tmp_path / "mine.yaml").path.read_text(encoding="utf-8")
    assert "  - {name: dense_2, type: Dense, units: 8, activation: relu, inputs: [dense_1]}\n" in text


def test_a_wrong_network_is_reported_with_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = PLAIN | {
        "layers": [*PLAIN["layers"][:-1], {"name": "y", "type": "Dense", "units": 0, "inputs": ["dense_2"]}]
    }
    monkeypatch.setattr(converting, "convert", lambda _: Imported(wrong, {}, []))
    with pytest.raises(gs.SpecError) as error:
        gs.import_file(file, file.with_suffix(".yaml"))
    assert [(d.file, d.code) for d in error.value.diagnostics] == [(str(file), "GS105")]


def test_a_configuration_has_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(sequential(DENSE, layer("drop", "Dropout", rate=0.5, seed=None), LAST), encoding="utf-8")
    found = gs.import_file(path, tmp_path / "net.yaml")
    assert found.weights_path is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "net.yaml"]
    assert [d.code for d in gs.validate(tmp_path / "net.yaml")] == ["GS404"]  # it has no loss yet
