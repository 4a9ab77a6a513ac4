"""Records whose numbers are scaled, clipped and embedded: what is computed once, trained, exported, explained, repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphspec as gs

Array = np.ndarray[Any, Any]
ROWS = 96
R = np.random.default_rng(3)


def model_of(columns: dict[str, Any], units: int = 4) -> Any:
    return gs.compile(
        {
            "graphspec": 1,
            "name": "numbers",
            "inputs": {"row": {"columns": columns}},
            "layers": [
                {"name": "hidden", "type": "Dense", "units": units, "activation": "relu"},
                {"name": "y", "type": "Dense", "units": 1},
            ],
            "outputs": {"y": {"loss": "mse", "scale": "standard"}},
            "training": {
                "optimizer": {"type": "Adam", "learning_rate": 0.01},
                "epochs": 2,
                "batch_size": 32,
                "seed": 1,
            },
        }
    )


def rows_of(names: list[str]) -> dict[str, Array]:
    """Skewed columns, one constant, one with two values and one of whole numbers, all but the first with gaps."""
    rows = {name: np.exp(R.normal(0, 2, (ROWS, 1))).astype(np.float32) for name in names}
    for name, values in zip(
        names[1:], (np.full(ROWS, 7.0), R.integers(0, 2, ROWS), R.integers(-3, 4, ROWS)), strict=False
    ):
        rows[name][:, 0] = values
    for name in names[1:]:
        rows[name][R.random(ROWS) < 0.1] = np.nan
    return rows


def fitted(columns: dict[str, Any], units: int = 4) -> tuple[Any, dict[str, Array]]:
    rows = rows_of(list(columns))
    model = model_of(columns, units)
    y = np.sin(rows[next(iter(columns))])
    model.fit(rows, y, verbose=0)
    return model, rows


FORMS: dict[str, dict[str, Any]] = {
    "robust": {"scale": "robust", "clip": "smooth"},
    "standard": {"clip": "smooth", "indicator": True},
    "pieces": {"scale": "robust", "clip": "smooth", "indicator": True, "embed": {"pieces": 8}},
    "both": {"embed": {"pieces": 3}},
}


@pytest.mark.parametrize("form", FORMS)
def test_trained_exported_and_repeated(form: str, tmp_path: Path) -> None:
    columns = {name: {"type": "number", **FORMS[form]} for name in "abcd"}
    if form == "both":
        columns["a"] = {"type": "number", "embed": {"pieces": 5}}
    model, rows = fitted(columns)
    proof = model.export(tmp_path / "m.onnx")
    assert proof.batches == [1, 2, 5]
    far = {name: np.float32([[1e30], [-1e30], [np.nan], [0.5]]) for name in columns}
    assert np.isfinite(model.predict(far)[2:]).all()
    if "clip" in FORMS[form]:
        assert np.isfinite(model.predict(far)).all()
    other = model_of(columns)
    other.fit(rows, np.sin(rows["a"]), verbose=0)
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(weight, other.weights[name], err_msg=name)


@pytest.mark.parametrize("count", [2, 50])
@pytest.mark.slow
def test_pieces_are_computed_once(count: int, tmp_path: Path) -> None:
    """A step multiplies one vector, as if the columns were plain; the file has a few nodes for all pieces together."""
    embedded = FORMS["pieces"]
    names = [f"c{k}" for k in range(count)]
    model, _ = fitted({name: {"type": "number", **embedded} for name in names})
    assert list(model.graph.inputs) == ["row/Concat"]
    plain = model_of({name: {"type": "number", "missing": "error", "scale": "none"} for name in names})
    assert [n.op for n in model.graph.nodes] == [n.op for n in plain.graph.nodes if n.owner.startswith(("hidden", "y"))]
    model.export(tmp_path / "m.onnx")
    nodes = len(onnx.load(tmp_path / "m.onnx").graph.node)
    without, _ = fitted(
        {name: {"type": "number", **{k: v for k, v in embedded.items() if k != "embed"}} for name in names}
    )
    without.export(tmp_path / "p.onnx")
    assert nodes <= len(onnx.load(tmp_path / "p.onnx").graph.node) + 7


def test_widths_are_learnt() -> None:
    model, rows = fitted({name: {"type": "number", "missing": "median", "embed": {"pieces": 8}} for name in "abc"})
    layer = next(node.layer for node in model.spec.nodes if node.type == "PiecewiseLinear")
    edges = [len(np.unique(column)) - 1 for column in layer.quantiles]
    assert edges[0] == 8
    assert edges[1] == 0  # constant: one bin
    assert model.weights["hidden/kernel"].shape[0] == 3 + sum(max(n, 1) for n in edges)
    scaled = {node.name: node.layer for node in model.spec.nodes}["row/a"]
    a = (rows["a"].astype(np.float64) - scaled.mean[0]) / np.sqrt(scaled.variance[0])
    np.testing.assert_allclose(layer.quantiles[0], np.quantile(a, np.arange(9) / 8), rtol=1e-4, atol=1e-6)


def test_explanations_name_the_columns() -> None:
    model, rows = fitted({name: {"type": "number", **FORMS["pieces"]} for name in "ab"})
    found = model.explain({name: column[:4] for name, column in rows.items()})
    assert set(found.attributions) == {"a", "b"}
    total = sum(values.reshape(4, -1).sum(1) for values in found.attributions.values())
    np.testing.assert_allclose(total, np.subtract(found.values, found.baselines), rtol=0.02, atol=1e-3)


def test_pieces_of_a_vector() -> None:
    """The layer reads an input that is a vector, too, and is computed once for each row."""
    model = gs.compile(
        {
            "graphspec": 1,
            "name": "vector",
            "inputs": {"x": {"shape": [13]}},
            "layers": [
                {"name": "pieces", "type": "PiecewiseLinear", "num_bins": 4},
                {"name": "row", "type": "Concatenate", "inputs": ["x", "pieces"]},
                {"name": "y", "type": "Dense", "units": 1},
            ],
            "outputs": {"y": {"loss": "mse"}},
            "training": {"optimizer": "adam", "epochs": 1},
        }
    )
    x = R.normal(size=(50, 13)).astype(np.float32)
    model.fit({"x": x}, x[:, :1], verbose=0)
    assert model.weights["y/kernel"].shape == (13 + 52, 1)
    assert {n.owner for n in model.graph.nodes} == {"y"}


def test_inputs_have_a_rate_of_their_own() -> None:
    """LayerScale and a group of the optimizer: RealMLP's scale in front."""
    model = gs.compile(
        {
            "graphspec": 1,
            "name": "front",
            "inputs": {"row": {"columns": {"a": "number", "b": {"type": "number", "embed": {"pieces": 4}}}}},
            "layers": [
                {"name": "front", "type": "LayerScale", "init_values": 1.0},
                {"name": "y", "type": "Dense", "units": 1},
            ],
            "outputs": {"y": {"loss": "mse"}},
            "training": {
                "optimizer": {
                    "type": "SGD",
                    "learning_rate": 0.01,
                    "groups": [{"weights": "front/*", "learning_rate": 0.0}],
                },
                "epochs": 1,
            },
        }
    )
    rows = rows_of(["a", "b"])
    model.fit(rows, rows["a"], verbose=0)
    assert model.weights["front/gamma"].shape == (6,) or model.weights["front/gamma"].ndim == 1
