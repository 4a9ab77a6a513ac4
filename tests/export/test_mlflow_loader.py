"""The module that MLflow loads: it needs nothing of graphspec, and knows each kind of missing value."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.export import mlflow_loader
from graphspec.export.mlflow_loader import Model, _fed


def entry(kind: str, missing: Any = None, rank: int = 2) -> dict[str, Any]:
    return {"name": "a", "dtype": kind, "missing": missing, "shape": ["N", *[1] * (rank - 1)]}


class NAType:
    """Stands for ``pandas.NA``."""


def test_it_imports_nothing_of_graphspec() -> None:
    tree = ast.parse(Path(mlflow_loader.__file__).read_text(encoding="utf-8"))
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names == {"__future__", "typing", "importlib", "json", "os", "numpy", "onnxruntime"}


@pytest.mark.parametrize(
    ("kind", "missing", "values", "wanted"),
    [
        ("string", "", ["a", None, float("nan"), NAType()], [["a"], [""], [""], [""]]),
        ("string", "", [True, np.False_, None], [["true"], ["false"], [""]]),
        ("int64", -(2**63), [2**60 + 1, None], [[2**60 + 1], [-(2**63)]]),
        ("int32", None, [1.0, 2.0], [[1], [2]]),
        ("bool", None, [True, False], [[True], [False]]),
    ],
)
def test_values(kind: str, missing: Any, values: list[Any], wanted: list[Any]) -> None:
    array = _fed(entry(kind, missing), {"a": np.array(values, object)})
    assert array.tolist() == wanted
    assert array.dtype == (object if kind == "string" else kind)


def test_a_column_has_its_name_in_the_table_or_that_of_the_input() -> None:
    named = {**entry("string", ""), "column": "Price (€)"}
    for name in ("a", "Price (€)"):
        assert _fed(named, {name: np.array(["x"], object)}).tolist() == [["x"]]
    with pytest.raises(ValueError, match=re.escape("there is no column 'Price (€)'")):
        _fed(named, {})
    both = {"a": np.array(["another column"], object), "Price (€)": np.array(["x"], object)}
    assert _fed(named, both).tolist() == [["x"]]


def test_floats() -> None:
    array = _fed(entry("float32", "NaN"), {"a": np.array([1, None, 2.5], object)})
    np.testing.assert_array_equal(array, np.array([[1], [np.nan], [2.5]], np.float32))
    with pytest.raises(ValueError, match="missing value, which the model does not accept"):
        _fed(entry("float32"), {"a": np.array([1, None], object)})
    with pytest.raises(ValueError, match="missing value, which the model does not accept"):
        _fed(entry("float32"), {"a": np.array([1.0, np.nan])})


def test_rows_of_lists_and_single_values() -> None:
    cells = np.empty(2, object)
    cells[:] = [[1, 2], [3, 4]]
    assert _fed({**entry("int64"), "shape": ["N", 2]}, {"a": cells}).tolist() == [[1, 2], [3, 4]]
    assert _fed(entry("string", "", rank=1), {"a": np.array([["x"], ["y"]], object)}).tolist() == ["x", "y"]
    with pytest.raises(ValueError, match="does not fit int64"):
        _fed(entry("int64"), {"a": np.array([2**64, 1], object)})


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        ("string", ["a", 3], "column 'a' has a value that is no text: 3"),
        ("float32", [1.5, "old"], "column 'a' has a text in place of a number: 'old'"),
        ("int64", [1.0, 2.5], "column 'a' has a value that is not in int64: 2.5"),
        ("float32", [[1, 2]], "column 'a' has rows of the shape (2,), not (1,)"),
        ("string", np.array([["x", "y"]], object), "column 'a' has rows of the shape (2,), not (1,)"),
        ("uint8", np.array([1, 300]), "column 'a' has a value that is not in uint8: 300"),
    ],
)
def test_what_does_not_fit(kind: str, values: Any, says: str) -> None:
    array = values if isinstance(values, np.ndarray) else np.array(values, object)
    with pytest.raises(ValueError, match=re.escape(says)):
        _fed(entry(kind, ""), {"a": array})


def sums(folder: Path) -> Model:
    """A model of two numbers, beside which others may lie."""
    layers = [
        {"name": "y", "type": "Concatenate", "inputs": ["a", "b"]},
        {"name": "z", "type": "Add", "inputs": ["a", "b"]},
    ]
    inputs = {"a": {"shape": [1]}, "b": {"shape": [1]}}
    document = {"graphspec": 1, "name": "net", "inputs": inputs, "layers": layers, "outputs": {"y": {}, "z": {}}}
    gs.compile(document).export(folder / "model.onnx")
    return mlflow_loader._load_pyfunc(str(folder))


def test_arrays_by_name(tmp_path: Path) -> None:
    found = sums(tmp_path).predict({"a": np.array([1.0, 2.0]), "b": [3, 4.5]})
    assert {name: array.tolist() for name, array in found.items()} == {"y": [[1, 3], [2, 4.5]], "z": [[4], [6.5]]}
    model = mlflow_loader._load_pyfunc(str(tmp_path / "model.onnx"))
    for given, says in (
        (np.ones((2, 2)), "the model has the inputs a, b: give a DataFrame"),
        ({"a": [1]}, "no column 'b'"),
    ):
        with pytest.raises(ValueError, match=says):
            model.predict(given)


def test_frames(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    found = sums(tmp_path).predict(pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.5]}, index=[7, 9]))
    assert found.to_dict() == {"y": {7: [1.0, 3.0], 9: [2.0, 4.5]}, "z": {7: 4.0, 9: 6.5}}


def test_letters_are_one_text(tmp_path: Path) -> None:
    from consumers.apps import FIXTURES

    model = Model(str(FIXTURES / "strokes" / "model.onnx"))
    line = np.array(model.signature["example"]["inputs"]["line"], np.float32)
    (found,) = model.predict(line)["letters_label"]
    assert found == "".join(model.signature["example"]["outputs"]["letters_label"][0])
    assert gs.__version__
