"""Sparse bool inputs: training on the indices of the ones is the same as training on dense rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.data.batches import Dataset, as_indices, indices_of_ones
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.engine.training.reporting import Silent
from graphspec.graph.builder import Target
from graphspec.graph.passes.for_program import only_multiplied, sparsify_bool_inputs

pytestmark = pytest.mark.usefixtures("kernels_that_pay")
Array = np.ndarray[Any, Any]
WIDTH = 200


def spec(layers: list[dict[str, Any]] | None = None, **training: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "hot",
        "inputs": {"x": {"shape": [WIDTH]}},
        "layers": layers or [{"name": "a", "type": "Dense", "units": 6, "activation": "tanh"}, LAST],
        "outputs": {"y": {"loss": "mean_squared_error", "metrics": ["mean_absolute_error"]}},
        "training": {"seed": 3, "optimizer": "rmsprop", "batch_size": 8, "workers": 1, "shuffle": True} | training,
    }


LAST = {"name": "y", "type": "Dense", "units": 2}


def hot(rows: int = 30, ones: int = 9) -> Array:
    """Return rows with up to ``ones`` ones; the first row has none."""
    x = np.zeros((rows, WIDTH), bool)
    random = np.random.default_rng(0)
    for row in range(1, rows):
        x[row, random.integers(0, WIDTH, ones)] = True
    return x


Y = np.random.default_rng(1).standard_normal((30, 2))


def test_indices() -> None:
    x = hot()
    indices = indices_of_ones(x)
    assert indices is not None
    assert indices.shape == (30, x.sum(1).max())
    again = np.zeros((30, WIDTH + 1), bool)
    again[np.arange(30)[:, None], indices] = True
    np.testing.assert_array_equal(again[:, :WIDTH], x)
    assert (indices[0] == WIDTH).all()
    assert indices_of_ones(hot(ones=60)) is None
    assert indices_of_ones(np.zeros((4, WIDTH), bool)) is None


def test_indices_by_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = indices_of_ones(hot())
    monkeypatch.setattr("graphspec.data.batches._SEARCH_BYTES", 7 * WIDTH)
    np.testing.assert_array_equal(indices_of_ones(hot()), whole)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_training_matches_training_on_dense_rows(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.engine.training.choose_workers.usable_cores", lambda: 2)
    x, histories, weights = hot(), [], []
    for rows in (x, x.astype(np.float32), x):
        model = gs.compile(spec(workers=workers))
        histories.append(model.fit(rows, Y, epochs=3, validation_data=(rows, Y), verbose=0).history)
        weights.append(model.weights)
    for key, values in histories[1].items():
        np.testing.assert_allclose(histories[0][key], values, rtol=1e-5)
    for name, weight in weights[1].items():
        np.testing.assert_allclose(weights[0][name], weight, rtol=1e-4, atol=1e-6)
    assert histories[0] == histories[2]


def test_training_sums_weight_rows() -> None:
    trainer = prepare_fit(gs.compile(spec()), FitData(hot(), Y), observer=Silent())
    trainer.loader.start(0)
    trainer.step()
    (program,) = trainer.steps.programs.values()
    assert program.feeds["x"].shape == (8, 9)
    assert program.feeds["x"].dtype == np.int64
    assert "GatherSum" in program.describe()


@pytest.mark.parametrize(
    ("layers", "sparse"),
    [
        ([LAST], True),
        ([{"type": "Dense", "units": 3, "use_bias": False}, LAST], True),
        ([{"type": "Rescaling", "scale": 2.0}, LAST], False),
        ([{"type": "GaussianNoise", "stddev": 0.1}, LAST], False),
        ([{"name": "a", "type": "Dense", "units": 3, "inputs": ["x"]}, {**LAST, "inputs": ["x"]}], True),
        (
            [
                {"name": "a", "type": "Dense", "units": WIDTH, "inputs": ["x"]},
                {"name": "s", "type": "Add", "inputs": ["x", "a"]},
                {**LAST, "inputs": ["s"]},
            ],
            False,
        ),
    ],
)
def test_inputs_that_only_products_read(layers: list[dict[str, Any]], sparse: bool) -> None:
    document = spec(layers)
    if "inputs" in layers[0] and len(layers) == 2:
        document["outputs"]["a"] = {"loss": "mean_squared_error"}
    graph = gs.compile(document).graph
    assert only_multiplied(graph) == ({"x": WIDTH} if sparse else {})


def test_only_inputs_that_are_fed_with_another_width_are_indices() -> None:
    graph = gs.compile(spec()).graph
    assert sparsify_bool_inputs(graph, Target({"x": (8, WIDTH)})) is graph
    sparse = sparsify_bool_inputs(graph, Target({"x": (8, 9)}))
    assert (str(graph.inputs["x"].type), str(sparse.inputs["x"].type)) == (f"float32(N, {WIDTH})", "int64(N, 9)")
    assert {node.attrs["depth"] for node in sparse.nodes if node.op == "MultiHot"} == {WIDTH}


def test_other_inputs_stay_dense(tmp_path: Path) -> None:
    graph, x = gs.compile(spec()).graph, hot()
    np.save(tmp_path / "x.npy", x)
    for rows in (x.astype(np.uint8), hot(ones=60), np.load(tmp_path / "x.npy", mmap_mode="r")):
        arrays = Dataset({"x": rows})
        assert as_indices(graph, arrays) is arrays
