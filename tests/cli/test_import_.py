"""`graphspec import`: the spec of a file that Keras saved, and what else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import graphspec
from keras_json import DENSE, LAST, layer, sequential

import graphspec as gs


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.json"
    path.write_text(sequential(DENSE, LAST), encoding="utf-8")
    return path


def test_a_file_becomes_a_spec(model: Path, tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "graphspec.schema.json").write_text("{}", encoding="utf-8")
    done = graphspec("import", model, "-o", tmp_path / "net.yaml")
    assert done.exit_code == 0
    assert f"graphspec export {tmp_path / 'net.yaml'} -o {tmp_path / 'net.onnx'}" in done.stdout
    text = (tmp_path / "net.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schemas/graphspec.schema.json\n")
    assert "  - {name: dense, type: Dense, units: 4, activation: relu}\n" in text
    assert graphspec("validate", tmp_path / "net.yaml").exit_code == 0
    again = graphspec("import", model, "-o", tmp_path / "net.yaml")
    assert (again.exit_code, "--overwrite" in again.stderr) == (2, True)
    assert graphspec("import", model, "-o", tmp_path / "net.yaml", "--overwrite").exit_code == 0


def test_a_spec_says_where_data_go(model: Path, tmp_path: Path) -> None:
    done = graphspec("import", model, "-o", tmp_path / "net.yaml")
    assert f"graphspec train {tmp_path / 'net.yaml'} --data train.npz" in done.stdout
    text = (tmp_path / "net.yaml").read_text(encoding="utf-8")
    head, _, comment = text.partition("\n# To train, name the rows: ")
    assert "an archive of the arrays 'features' (N, 8), and of the targets 'answer'" in comment
    spec = gs.compile(tmp_path / "net.yaml").spec
    (tmp_path / "net.yaml").write_text(head + "\n# " + comment.replace("\n# ", "\n"), encoding="utf-8")
    found = gs.compile(tmp_path / "net.yaml").spec
    assert (set(spec.data), set(found.data)) == (set(), {"train", "validation"})
    assert found.data["train"].file == tmp_path / "train.npz"


def test_all_that_a_spec_cannot_have_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    code = [layer(f"code_{k}", "Lambda", function={"class_name": "__lambda__"}) for k in range(2)]
    path.write_text(sequential(DENSE, *code, LAST), encoding="utf-8")
    done = graphspec("import", path, "-o", tmp_path / "net.yaml")
    assert done.exit_code == 1
    assert done.stderr.count("error[GS802]") == 2
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("model.pt", "safetensors.torch.save_file"),
        ("model.tflite", "TensorFlow Lite"),
        ("model.safetensors", "initial_weights"),
        ("model.pkl", "a pickle"),
        ("model.txt", "import reads .keras, .h5, .hdf5, .json, .onnx, not .txt"),
        ("folder.keras", "is a folder"),
        ("missing.keras", "there is no file"),
    ],
)
def test_other_files_are_refused_with_what_to_do(tmp_path: Path, name: str, found: str) -> None:
    path = tmp_path / name
    if name.startswith("folder"):
        path.mkdir()
    elif not name.startswith("missing"):
        path.write_bytes(b"x")
    done = graphspec("import", path, "-o", tmp_path / "net.yaml")
    assert done.exit_code == 2
    assert found in " ".join(done.stderr.split())


def test_the_spec_has_a_name_of_a_spec(model: Path, tmp_path: Path) -> None:
    done = graphspec("import", model, "-o", tmp_path / "net.json")
    assert (done.exit_code, "use a name that ends in .yaml" in done.stderr) == (2, True)
