"""MultiHot and GatherSum: vectors from ids, and their products with a matrix without the vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import allocated, build, check_gradients, feed, run
from lowering import source
from sketching import sketch

import graphspec as gs
from graphspec.base.errors import ShapeError
from graphspec.engine.compiler.objective import add_losses
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.analysis import activations
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type
from graphspec.graph.kernels.context import LocalGroup, Shard
from graphspec.graph.passes.for_export import legalize
from graphspec.graph.passes.for_program import multi_hot_matmul_to_gather_sum
from graphspec.graph.target import Target

pytestmark = pytest.mark.usefixtures("kernels_that_pay")
Array = np.ndarray[Any, Any]
_RANDOM = np.random.default_rng(3)
IDS = np.array([[4, -1, 4, 0], [2, 2, 2, 2], [9, 7, -9, 6], [6, 3, 0, 3]])
"""Ids of 0 … 6, some twice, some out of range."""


def vectors(ids: Array, depth: int, *, count: bool) -> Array:
    found = (ids[..., None] == np.arange(depth)).sum(-2)
    return found.astype(np.float64) if count else np.minimum(found, 1.0)


def spec(mode: str, *, tokens: int = 500, shape: tuple[int | None, ...] = (6,), **more: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "words",
        "inputs": {"x": {"shape": list(shape), "dtype": "int64"}},
        "layers": [
            {"name": "hot", "type": "CategoryEncoding", "num_tokens": tokens, "output_mode": mode},
            {"name": "y", "type": "Dense", "units": 4, **more},
        ],
        "outputs": {"y": {"loss": "mean_squared_error"}},
        "training": {"seed": 3, "optimizer": "sgd", "batch_size": 8, "workers": 1},
    }


def ids_of(shape: tuple[int, ...], tokens: int) -> Array:
    """Return ids with many duplicates, some out of range."""
    few = _RANDOM.integers(-2, 9, shape)
    return np.where(_RANDOM.random(shape) < 0.5, few, _RANDOM.integers(0, tokens + 3, shape))


@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_match_the_definition(count: bool, dtype: Any) -> None:
    for ids in (IDS, IDS[:, :1], IDS[None], IDS[0], IDS[:, :0], IDS.T):
        (Y,) = run("MultiHot", [ids], frozenset(), dtype, depth=7, count=int(count))
        np.testing.assert_array_equal(Y, vectors(ids, 7, count=count))
    (Y,) = run("MultiHot", [IDS, np.full(IDS.shape, 0.5)], frozenset(), dtype, depth=7, count=1)
    np.testing.assert_array_equal(Y, vectors(IDS, 7, count=True) / 2)


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("width", [3, 4])
def test_sums_are_products_with_the_vectors(count: int, width: int) -> None:
    W = _RANDOM.standard_normal((7, width))
    for ids in (IDS, IDS[:, :1], np.stack([IDS, IDS[::-1]]), IDS[0], IDS[:, :0], np.tile(IDS, (300, 200))):
        (Y,) = run("GatherSum", [ids, W], frozenset(), np.float64, count=count)
        np.testing.assert_allclose(Y, vectors(ids, 7, count=bool(count)) @ W, rtol=1e-12, atol=1e-12)


def test_gradients() -> None:
    weights = _RANDOM.standard_normal(IDS.shape)
    check_gradients("MultiHot", [IDS, weights], [1], depth=7, count=1)
    for width in (3, 4):
        W = _RANDOM.standard_normal((7, width))
        for ids in (IDS, IDS[:, :1], np.stack([IDS, IDS[::-1]]), np.tile(IDS, (300, 50))):
            for count in (0, 1):
                check_gradients("GatherSum", [ids, W], [1], count=count)


def test_a_step_allocates_nothing_and_no_rows_are_fine() -> None:
    for ids in (ids_of((300, 50), 1000), ids_of((3000, 1), 1000), np.zeros((0, 5), np.int64)):
        graph, Y = build("GatherSum", [ids, np.ones((1000, 8))])
        g = Builder(graph, "loss")
        loss = g.ReduceSum(Y, keepdims=0)
        shapes = {n: v.shape for n, v in graph.inputs.items()}
        program = build_program(
            graph.with_outputs({"loss": loss}, loss), Parameters(graph), Target(shapes, input_grads=["x1"])
        )
        feed(graph, program, {"x0": ids, "x1": np.ones((1000, 8))})
        assert allocated(program) < 1 << 17
        assert program.grads["x1"].any() == bool(len(ids))


def test_invalid_arguments_are_refused() -> None:
    g = Builder(Graph("net"), "y")
    ids, W = source("ids", ("N", 4), "int64"), source("W", (7, 3))
    for make in (
        lambda: g.MultiHot(source("x", ("N", 4)), depth=7),
        lambda: g.MultiHot(source("x", (), "int64"), depth=7),
        lambda: g.MultiHot(ids, source("w", ("N", 4)), depth=7),
        lambda: g.MultiHot(ids, source("w", ("N", 3)), depth=7, count=1),
        lambda: g.GatherSum(ids, source("W", (7, 3, 2))),
        lambda: g.GatherSum(ids, source("W", (7, 3), "int64")),
        lambda: g.GatherSum(W, W),
    ):
        with pytest.raises(ShapeError):
            make()


CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("multi_hot", {}, (8, 6)),
    ("count", {}, (8, 6)),
    ("one_hot", {}, (8, 6)),
    ("one_hot", {"shape": (1,)}, (8, 1)),
    ("multi_hot", {"use_bias": False, "activation": "relu"}, (8, 6)),
    ("multi_hot", {"shape": (None,)}, (8, 11)),
    ("count", {"shape": (5, 3)}, (8, 5, 3)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("mode", "more", "shape"), CASES)
def test_the_fused_graph_computes_the_same(mode: str, more: dict[str, Any], shape: tuple[int, ...], dtype: Any) -> None:
    model = gs.compile(spec(mode, **more))
    parameters = Parameters(model.graph, dtype)
    parameters.set(model.weights)
    x = ids_of(shape, 500)
    y = _RANDOM.standard_normal(model.run({"x": x})["y"].shape)
    results = []
    for graph in (model.graph, legalize(model.graph, Target(opset=17))):
        objective = add_losses(graph, model.spec)
        gradient = np.full_like(parameters.vectors["trainable"], np.nan)
        program = build_program(
            objective.graph.with_outputs({"y": graph.outputs["y"], "loss": objective.total}, objective.total),
            parameters,
            Target({"x": x.shape, "y": y.shape}),
            gradient=gradient,
            training=True,
        )
        program.feeds["x"][...], program.feeds["y"][...] = x, y
        program.run()
        results.append(
            (program.describe(), [*program.fetches.values(), *parameters.get(gradient, "trainable").values()])
        )
    (fused, got), (plain, expected) = results
    assert ("GatherSum" in fused, "MultiHot" in fused) == (True, False)
    assert "GatherSum" not in plain
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_gradients_of_shards_add_up() -> None:
    model = gs.compile(spec("multi_hot"))
    x, y = ids_of((8, 6), 500), _RANDOM.standard_normal((8, 4))
    objective = add_losses(model.graph, model.spec)
    gradients = []
    for rows in (slice(0, 8), slice(0, 5), slice(5, 8)):
        gradients.append(np.zeros_like(model.parameters.vectors["trainable"]))
        program = build_program(
            objective.graph.with_outputs({}, objective.total),
            model.parameters,
            Target({"x": x[rows].shape, "y": y[rows].shape}, shard=Shard(LocalGroup(), rows, 8)),
            gradient=gradients[-1],
            training=True,
        )
        program.feeds["x"][...], program.feeds["y"][...] = x[rows], y[rows]
        program.run()
    np.testing.assert_allclose(gradients[1] + gradients[2], gradients[0], rtol=1e-5, atol=1e-6)


def fused(document: dict[str, Any]) -> bool:
    graph = gs.compile(document).graph
    made = multi_hot_matmul_to_gather_sum(graph, Target())
    return any(node.op == "GatherSum" for node in made.nodes)


def test_only_unscaled_products_of_much_wider_vectors_are_fused() -> None:
    assert fused(spec("multi_hot", tokens=120))
    assert not fused(spec("multi_hot", tokens=119))
    weighted = spec("count")
    weighted["inputs"]["w"] = {"shape": [6]}
    weighted["layers"][0] |= {"inputs": "x", "count_weights": "w"}
    assert fused(weighted)
    weighted["layers"].insert(0, {"name": "trained", "type": "Dense", "units": 6, "inputs": "w"})
    weighted["layers"][1]["count_weights"] = "trained"
    assert not fused(weighted), "these weights have a gradient"
    between = spec("multi_hot")
    between["layers"].insert(1, {"type": "Dropout", "rate": 0.5})
    assert not fused(between)


def test_another_reader_still_reads_the_vectors() -> None:
    document = spec("multi_hot")
    document["layers"].append({"name": "sum", "type": "Rescaling", "scale": 2.0, "inputs": "hot"})
    document["outputs"]["sum"] = {}
    model = gs.compile(document)
    x = ids_of((8, 6), 500)
    np.testing.assert_array_equal(model.predict(x)["sum"], 2 * vectors(x, 500, count=False))


def test_memory_is_estimated_without_the_vectors() -> None:
    graph = gs.compile(spec("multi_hot", tokens=1_000_000)).graph
    assert activations(graph, {"x": (64, 6)}) < 64 * 1_000_000


def test_it_trains_and_its_file_has_onnx_operators(tmp_path: Path) -> None:
    import onnx

    model = gs.compile(spec("multi_hot"))
    x, y = ids_of((64, 6), 500), _RANDOM.standard_normal((64, 4))
    history = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.export(tmp_path / "words.onnx")
    written = {node.op_type for node in onnx.load(tmp_path / "words.onnx").graph.node}
    assert {"ScatterElements", "Gemm"} <= written


def test_parts_of_joined_parts_have_their_own_rows() -> None:
    """A record's bag of words and runs, joined to its numbers, and these to a hidden layer."""
    inputs = {"ids": Type("int64", ("N", 3)), "w": Type("float32", ("N", 3)), "x": ("N", 2)}
    g, ids, w, x, W = sketch(inputs, {"W": (1004, 5)})
    bag = g.Concat(g.MultiHot(ids, w, depth=500, count=1), g.MultiHot(ids, w, depth=500, count=1), axis=-1)
    joined = g.Concat(g.Concat(x, bag, axis=1), x, axis=1)
    graph = g.graph.with_outputs({"y": g.MatMul(joined, W)})
    changed = multi_hot_matmul_to_gather_sum(graph, Target())
    ops = [node.op for node in changed.needed(changed.roots())]
    assert ops.count("GatherSum") == 2
    assert not {"MultiHot", "Concat"} & set(ops)
    values = {"ids": np.array([[1, 7, -1], [499, 0, 3]]), "w": np.ones((2, 3)), "x": np.full((2, 2), 0.5)}
    results = []
    for each in (graph, changed):
        weights = Parameters(each, np.float64)
        weights.set({"W": np.arange(1004 * 5.0).reshape(1004, 5)})
        program = build_program(each, weights, Target({name: value.shape for name, value in values.items()}))
        feed(each, program, values)
        program.run()
        results.append(program.fetches["y"].copy())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-12)
