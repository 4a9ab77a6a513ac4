"""The folder for MLflow. It is read without MLflow here, and with it where it is installed."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shop
from commands import graphspec
from quantizing import convolution, recurrent, text
from ruamel.yaml import YAML

import graphspec as gs
from graphspec.export.folders import write_mlflow

FILES = {
    *("MLmodel", "model.onnx", "code/graphspec_pyfunc_1.py", "input_example.json", "serving_input_example.json"),
    *("requirements.txt", "conda.yaml", "python_env.yaml"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a table of texts, gaps and dates, exported for MLflow."""
    folder = tmp_path_factory.mktemp("mlflow")
    assert graphspec("train", shop.project(folder), "--out", folder / "run").exit_code == 0
    result = graphspec("export", folder / "run", "--mlflow", folder / "model")
    assert result.exit_code == 0, result.stderr
    assert "proved on rows of the training data" in result.stdout
    return folder


def model_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load((folder / "MLmodel").read_text(encoding="utf-8"))
    return found


def loader_of(folder: Path) -> Any:
    """What MLflow loads: the module that the flavor names, from the folder that it names."""
    flavor = model_of(folder)["flavors"]["python_function"]
    place = folder / flavor["code"] / f"{flavor['loader_module']}.py"
    described = importlib.util.spec_from_file_location(place.stem, place)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module._load_pyfunc(str(folder / flavor["data"]))


def exported(make: Any, folder: Path) -> tuple[gs.Model, dict[str, Any]]:
    spec, x, y = make()
    model = gs.compile(spec)
    model.fit(x, y, epochs=1, verbose=0)
    model.export(folder / "a.onnx", rows=x)
    write_mlflow(folder / "model", folder / "a.onnx")
    return model, x


def table(folder: Path) -> dict[str, list[Any]]:
    """The rows as pandas would read them: numbers, and None for gaps."""
    with (folder / "shop.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns: dict[str, list[Any]] = {name: [row[name] or None for row in rows] for name in rows[0]}
    columns["spent"] = [None if value is None else float(value) for value in columns["spent"]]
    return columns


def predicted(folder: Path) -> list[dict[str, str]]:
    result = graphspec("predict", folder / "run", folder / "shop.csv", "-o", folder / "predicted.csv")
    assert result.exit_code == 0, result.stderr
    return list(csv.DictReader(io.StringIO((folder / "predicted.csv").read_text(encoding="utf-8"))))


@pytest.mark.slow
def test_the_files_and_what_they_say(home: Path) -> None:
    folder = home / "model"
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == FILES
    found = model_of(folder)
    content = (folder / "model.onnx").read_bytes()
    assert set(found["flavors"]) == {"onnx", "python_function"}
    assert (found["model_size_bytes"], found["model_uuid"]) == (len(content), hashlib.sha256(content).hexdigest()[:32])
    assert json.loads(found["signature"]["inputs"]) == [
        {"type": "string", "name": "town", "required": True},
        {"type": "any", "name": "spent", "required": True},  # MLflow has no gaps in a column of numbers
        {"type": "string", "name": "day", "required": True},
        {"type": "string", "name": "remark", "required": True},
    ]
    assert json.loads(found["signature"]["outputs"]) == [
        {"type": "array", "items": {"type": "float"}, "name": "mood", "required": True},
        {"type": "string", "name": "mood_label", "required": True},
    ]
    example = json.loads((folder / "input_example.json").read_text(encoding="utf-8"))
    assert example["columns"] == ["town", "spent", "day", "remark"]
    assert [len(row) for row in example["data"]] == [4]
    request = json.loads((folder / "serving_input_example.json").read_text(encoding="utf-8"))
    assert request == {"dataframe_split": example}
    import onnxruntime

    assert f"onnxruntime=={onnxruntime.__version__}\n" in (folder / "requirements.txt").read_text()
    conda = YAML(typ="safe").load((folder / "conda.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == (folder / "requirements.txt").read_text().splitlines()


@pytest.mark.slow
def test_the_loader_gives_what_predict_gives(home: Path) -> None:
    found = loader_of(home / "model").predict({name: np.array(v, object) for name, v in table(home).items()})
    wanted = predicted(home)
    assert found["mood_label"].tolist() == [row["mood_label"] for row in wanted]
    for k, label in enumerate(gs.load(home / "run").labels["mood"]):
        np.testing.assert_allclose(found["mood"][:, k], [float(row[f"mood_{label}"]) for row in wanted], atol=1e-5)


def test_a_data_frame(home: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(home / "shop.csv", keep_default_na=True)
    assert frame["spent"].isna().any()
    frame.index = frame.index + 100
    found = loader_of(home / "model").predict(frame)
    wanted = predicted(home)
    assert list(found.columns) == ["mood", "mood_label"]
    assert found.index.tolist() == frame.index.tolist()
    assert found["mood_label"].tolist() == [row["mood_label"] for row in wanted]
    row = [float(wanted[5][f"mood_{label}"]) for label in gs.load(home / "run").labels["mood"]]
    np.testing.assert_allclose(found["mood"].iloc[5], row, atol=1e-5)


def test_what_the_loader_refuses(home: Path) -> None:
    loaded, good = loader_of(home / "model"), {name: np.array(v[:2], object) for name, v in table(home).items()}
    for name, values, message in (
        ("town", [1, 2], "'town' has a value that is no text: 1"),
        ("spent", ["a", 2.0], "'spent' has a text in place of a number: 'a'"),
    ):
        with pytest.raises(ValueError, match=message):
            loaded.predict({**good, name: np.array(values, object)})
    with pytest.raises(ValueError, match="there is no column 'day'"):
        loaded.predict({name: v for name, v in good.items() if name != "day"})
    with pytest.raises(ValueError, match="the model has the inputs town, spent, day, remark"):
        loaded.predict(np.zeros((2, 4)))


def test_arrays(tmp_path: Path) -> None:
    model, x = exported(convolution, tmp_path)
    found = model_of(tmp_path / "model")
    assert json.loads(found["signature"]["inputs"]) == [
        {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 10, 10, 3]}, "name": "image"}
    ]
    assert found["saved_input_example_info"]["type"] == "ndarray"
    loaded = loader_of(tmp_path / "model")
    for given in (x, x["image"]):
        np.testing.assert_allclose(loaded.predict(given)["kind"], model.predict(x), atol=1e-5)
    example = json.loads((tmp_path / "model" / "input_example.json").read_text())
    assert np.shape(example["image"]) == (1, 10, 10, 3)


def test_columns_have_their_names_in_the_table(tmp_path: Path) -> None:
    """Two inputs read one of them."""
    columns = {
        "price": {"type": "number", "column": "Price (€)"},
        "code": {"type": "category", "column": "Price (€)"},
        "b": "number",
    }
    layers = [{"name": "y", "type": "Dense", "units": 1}]
    head = {"y": {"loss": "mse"}}
    spec = {"graphspec": 1, "name": "n", "inputs": {"row": {"columns": columns}}, "layers": layers, "outputs": head}
    x = {"price": np.arange(8.0), "code": np.array(["1", "2"] * 4, object), "b": np.ones(8)}
    exported(lambda: (spec, x, np.ones(8)), tmp_path)
    found = model_of(tmp_path / "model")
    assert [column["name"] for column in json.loads(found["signature"]["inputs"])] == ["Price (€)", "b"]
    assert json.loads((tmp_path / "model" / "input_example.json").read_text("utf-8"))["columns"] == ["Price (€)", "b"]


def test_whole_numbers_and_texts(tmp_path: Path) -> None:
    model, x = exported(recurrent, tmp_path)
    loaded = loader_of(tmp_path / "model")
    np.testing.assert_allclose(loaded.predict(x)["high"], model.predict(x), atol=1e-5)
    np.testing.assert_allclose(loaded.predict({"ids": x["ids"].astype(float)})["high"], model.predict(x), atol=1e-5)
    with pytest.raises(ValueError, match=r"'ids' has a value that is not in int64: .*\.5"):
        loaded.predict({"ids": x["ids"] + 0.5})
    (tmp_path / "text").mkdir()
    model, x = exported(text, tmp_path / "text")
    loaded = loader_of(tmp_path / "text" / "model")
    np.testing.assert_allclose(loaded.predict(x["line"][:, 0])["good"], model.predict(x), atol=1e-5)


@pytest.mark.slow
def test_the_same_bits_and_only_our_own_folder_is_replaced(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    result = graphspec("export", home / "run", "--mlflow", folder, "-o", tmp_path / "a.onnx")
    assert result.exit_code == 0, result.stderr
    assert f"{folder}: the same model" in " ".join(result.stdout.split())
    for name in FILES:
        assert (folder / name).read_bytes() == (home / "model" / name).read_bytes(), name
    assert (tmp_path / "a.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    assert graphspec("export", home / "run", "--mlflow", folder).exit_code == 0
    (folder / "notes.md").write_text("mine")
    result = graphspec("export", home / "run", "--mlflow", folder, "-o", tmp_path / "b.onnx")
    assert result.exit_code == 2
    assert "it has notes.md" in " ".join(result.stderr.split())
    assert not (tmp_path / "b.onnx").exists()


@pytest.mark.filterwarnings("ignore:::mlflow")  # its own annotations, as it is imported
def test_mlflow_itself(home: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(home / "shop.csv")
    found = mlflow.pyfunc.load_model(str(home / "model")).predict(frame)
    assert found["mood_label"].tolist() == [row["mood_label"] for row in predicted(home)]
