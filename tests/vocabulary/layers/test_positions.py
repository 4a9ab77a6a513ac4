"""Layers of positions, which are in KerasHub: their formulas, trained and exported, with lengths that vary and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lowering import SEQUENCE, TIME, lower, weights

import graphspec as gs
from graphspec.base.errors import ShapeError, SpecError

WORDS = {"name": "words", "type": "Embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True}


def network(length: int | str, longest: int) -> dict[str, Any]:
    """Words with positions, and the sum of the words that are no padding."""
    place = {"name": "place", "type": "PositionEmbedding", "sequence_length": longest, "inputs": "words"}
    layers = [
        WORDS,
        place,
        {"name": "placed", "type": "Add", "inputs": ["words", "place"]},
        {"name": "mean", "type": "GlobalAveragePooling1D", "inputs": "place"},
        {"name": "y", "type": "Dense", "units": 1, "use_bias": False},
    ]
    return {
        "graphspec": 1,
        "name": "positions",
        "inputs": {"x": {"shape": [length], "dtype": "int64"}},
        "layers": layers,
        "outputs": {"y": {"loss": "mse"}, "placed": {}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 1.0}},
    }


@pytest.mark.parametrize("shape", [SEQUENCE, TIME, ("N", 2, 7, 3), ("N", 2, "time", 3)])
def test_shape_and_weight(shape: tuple[Any, ...]) -> None:
    graph, (Y,) = lower({"type": "PositionEmbedding", "sequence_length": 9}, shape)
    assert Y.shape == shape
    assert weights(graph) == {"embeddings": (9, 3)}


@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 5, 4)])
@pytest.mark.parametrize("longest", [5, 8])
def test_only_the_shape_of_the_input_counts(shape: tuple[int, ...], longest: int) -> None:
    layer = {"name": "y", "type": "PositionEmbedding", "sequence_length": longest}
    spec = {"graphspec": 1, "name": "one", "inputs": {"x": {"shape": list(shape[1:])}}, "layers": [layer]}
    model = gs.compile({**spec, "outputs": {"y": {}}})
    (table,) = model.weights.values()
    assert table.shape == (longest, 4)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(model.run({"x": x})["y"], np.broadcast_to(table[:5], shape))


@pytest.mark.parametrize("length", [5, "time"])
def test_trained_and_exported(length: int | str, tmp_path: Path) -> None:
    """A step by hand; then the file agrees, also at other lengths."""
    model = gs.compile(network(length, 7))
    x = np.array([[1, 2, 0, 0, 0], [3, 1, 4, 1, 5]])
    before = model.weights
    table, kernel = before["place/embeddings"], before["y/kernel"]
    keep = (x > 0) / (x > 0).sum(1, keepdims=True)  # the mask of the words passes through
    y = keep @ table[:5] @ kernel
    np.testing.assert_allclose(model.run({"x": x})["y"], y, rtol=1e-5, atol=1e-6)
    model.fit({"x": x}, {"y": np.zeros((2, 1))}, epochs=1, batch_size=2, verbose=0)
    expected = table.copy()
    expected[:5] -= keep.T @ y @ kernel.T  # d mse / dy = 2 y / 2
    np.testing.assert_allclose(model.weights["place/embeddings"], expected, rtol=1e-4, atol=1e-6)
    assert model.export(tmp_path / "positions.onnx").batches
    if length == "time":
        np.testing.assert_allclose(
            model.run({"x": x[:, :2]})["placed"][0, 1], model.weights["words/embeddings"][2] + expected[1], rtol=1e-5
        )


def test_sequences_that_are_too_long() -> None:
    with pytest.raises(ShapeError, match="6 positions for sequences of length 7") as caught:
        lower({"type": "PositionEmbedding", "sequence_length": 6}, SEQUENCE)
    assert (caught.value.code, caught.value.problem.key) == ("GS304", "sequence_length")
    model = gs.compile(network("time", 3))
    with pytest.raises(SpecError, match="outside 0 … 2") as found:
        model.run({"x": np.ones((2, 4), np.int64)})
    assert "`sequence_length` of 'place'" in str(found.value)


def test_ids_are_no_vectors() -> None:
    with pytest.raises(ShapeError, match="rank-3") as caught:
        lower({"type": "PositionEmbedding", "sequence_length": 6}, ("N", 6), dtype="int64")
    assert caught.value.code == "GS301"


def computed(layer: dict[str, Any], *arrays: Any, varies: bool = False, **weights: Any) -> Any:
    """The output of one layer; with ``varies`` the axis of time has no fixed size."""
    names = [f"x{k}" for k in range(len(arrays))]
    kinds = {n: "int64" if a.dtype.kind == "i" else "float32" for n, a in zip(names, arrays, strict=True)}
    time = layer.get("sequence_axis", 1) - 1
    shapes = [[f"t{j}" if varies and k == time else n for k, n in enumerate(a.shape[1:])] for j, a in enumerate(arrays)]
    inputs = {n: {"shape": s, "dtype": kinds[n]} for n, s in zip(names, shapes, strict=True)}
    rest = [{"name": "one", "type": "Rescaling", "scale": 1.0, "inputs": "x0"}]
    layers = [{"name": "y", **layer, "inputs": names}, *rest]
    heads = {"y": {}}
    if layer["type"] == "RelativePositionBias":  # no batch axis: join it with one
        zeros = [{"name": "z", "type": "Reshape", "target_shape": [1, 1, 1], "inputs": "none"}]
        inputs["none"] = {"shape": [1], "dtype": "float32"}
        layers += [*zeros, {"name": "out", "type": "Add", "inputs": ["z", "y"]}]
        heads = {"out": {}}
    document = {"graphspec": 1, "name": "one", "inputs": inputs, "layers": layers, "outputs": heads}
    model = gs.compile(document)
    model.set_weights({f"y/{name}": value for name, value in weights.items()})
    feeds = dict(zip(names, arrays, strict=True)) | (
        {"none": np.zeros((len(arrays[0]), 1))} if "none" in inputs else {}
    )
    return next(iter(model.run(feeds).values()))


def drawn(*shape: int) -> Any:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("varies", [False, True])
def test_sines(varies: bool) -> None:
    x = drawn(2, 5, 6)
    expected = np.empty((5, 6))
    for p in range(5):
        for k in range(3):
            angle = p * 100.0 ** (-2 * k / 6)
            expected[p, 2 * k : 2 * k + 2] = np.sin(angle), np.cos(angle)
    layer = {"type": "SinePositionEncoding", "max_wavelength": 100.0}
    np.testing.assert_allclose(computed(layer, x, varies=varies), np.broadcast_to(expected, x.shape), atol=1e-6)
    np.testing.assert_allclose(computed(layer | {"add": True}, x, varies=varies), x + expected, atol=1e-6)


@pytest.mark.parametrize("varies", [False, True])
@pytest.mark.parametrize(
    ("shape", "axes"), [((2, 5, 4), {}), ((2, 5, 3, 4), {}), ((2, 4, 5), {"sequence_axis": 2, "feature_axis": 1})]
)
def test_rotation(shape: tuple[int, ...], axes: dict[str, int], varies: bool) -> None:
    """Pairs of features as complex numbers, times e^(iφ)."""
    x = drawn(*shape)
    moved = np.moveaxis(x, (axes.get("sequence_axis", 1), axes.get("feature_axis", -1)), (1, -1))
    phase = np.arange(5)[:, None] / 2.0 * 50.0 ** (-np.arange(0, 4, 2) / 4)
    phase = phase.reshape(1, 5, *(1,) * (moved.ndim - 3), 2)
    turned = (moved[..., :2] + 1j * moved[..., 2:]) * np.exp(1j * phase)
    expected = np.concatenate([turned.real, turned.imag], -1)
    expected = np.moveaxis(expected, (1, -1), (axes.get("sequence_axis", 1), axes.get("feature_axis", -1)))
    layer = {"type": "RotaryEmbedding", "max_wavelength": 50.0, "scaling_factor": 2.0, **axes}
    np.testing.assert_allclose(computed(layer, x, varies=varies), expected, rtol=1e-5, atol=1e-6)


def test_a_token_in_front_is_not_masked() -> None:
    words = {"name": "words", "type": "Embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True}
    layers = [words, {"name": "t", "type": "ClassToken"}, {"name": "y", "type": "GlobalAveragePooling1D"}]
    document = {"graphspec": 1, "name": "t", "inputs": {"x": {"shape": [None], "dtype": "int64"}}, "layers": layers}
    model = gs.compile(document | {"outputs": {"y": {}}})
    token = drawn(1, 1, 4)
    model.set_weights({"t/token": token})
    ids = np.array([[3, 0, 5], [0, 0, 0]])
    table = model.weights["words/embeddings"]
    expected = [(token[0, 0] + table[3] + table[5]) / 3, token[0, 0]]
    np.testing.assert_allclose(model.run({"x": ids})["y"], expected, rtol=1e-5)


def test_tokens_with_positions_and_the_way_back() -> None:
    layers = [
        {
            "name": "e",
            "type": "TokenAndPositionEmbedding",
            "vocabulary_size": 9,
            "sequence_length": 6,
            "embedding_dim": 4,
        },
        {"name": "y", "share": "e", "reverse": True},
    ]
    document = {"graphspec": 1, "name": "t", "inputs": {"x": {"shape": [None], "dtype": "int64"}}, "layers": layers}
    model = gs.compile(document | {"outputs": {"y": {}, "e": {}}})
    tokens, places = model.weights["e/token_embedding/embeddings"], model.weights["e/position_embedding/embeddings"]
    assert (tokens.shape, places.shape) == ((9, 4), (6, 4))
    ids = np.array([[3, 0, 5], [8, 1, 1]])
    found = model.run({"x": ids})
    np.testing.assert_allclose(found["e"], tokens[ids] + places[:3], rtol=1e-6)
    np.testing.assert_allclose(found["y"], (tokens[ids] + places[:3]) @ tokens.T, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("lengths", [(5, 5), (3, 6)])
@pytest.mark.parametrize("varies", [False, True])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_of_distances(lengths: tuple[int, int], varies: bool, bidirectional: bool) -> None:
    """T5's: a bucket for each short distance, then buckets that grow in equal ratios; here 4 of each sign, or 8."""
    table = drawn(8, 2)
    if bidirectional:  # 2 of each sign are exact
        bucket = {0: 0, -1: 1, -2: 2, -3: 3, -4: 3, 1: 5, 2: 6, 3: 7, 4: 7, 5: 7}
    else:
        bucket = {0: 0, -1: 1, -2: 2, -3: 3, -4: 4, **dict.fromkeys(range(1, 6), 0)}
    queries, keys = lengths
    index = np.array([[bucket[k - q] for k in range(keys)] for q in range(queries)])
    layer = {"type": "RelativePositionBias", "num_heads": 2, "num_buckets": 8, "bidirectional": bidirectional}
    layer["max_distance"] = 4 if bidirectional else 5
    arrays = [drawn(2, queries, 3)] + ([] if queries == keys else [drawn(2, keys, 3)])
    found = computed(layer, *arrays, varies=varies, embeddings=table)
    np.testing.assert_allclose(found, np.broadcast_to(table[index].transpose(2, 0, 1), (2, 2, queries, keys)))


def test_pixels_of_a_window() -> None:
    table = drawn(3 * 5, 2)
    expected = np.empty((2, 6, 6))
    for i, (y, x) in enumerate(np.ndindex(2, 3)):
        for j, (v, u) in enumerate(np.ndindex(2, 3)):
            expected[:, i, j] = table[(y - v + 1) * 5 + x - u + 2]
    layer = {"type": "RelativePositionBias", "num_heads": 2, "window_size": [2, 3]}
    np.testing.assert_allclose(computed(layer, drawn(2, 6, 4), embeddings=table)[1], expected)


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        ({"type": "PositionEmbedding"}, TIME, "needs `sequence_length`"),
        ({"type": "RotaryEmbedding"}, SEQUENCE, "an even number of features, got 3"),
        ({"type": "RotaryEmbedding", "feature_axis": 1}, SEQUENCE, "two different axes"),
        ({"type": "RotaryEmbedding", "sequence_axis": 0}, SEQUENCE, "cannot use axis 0"),
        ({"type": "RelativePositionBias", "num_heads": 2, "window_size": 3}, SEQUENCE, "needs 9 steps for a window"),
        ({"type": "RelativePositionBias", "num_heads": 2, "window_size": 3}, TIME, "a length that varies"),
        ({"type": "ReversibleEmbedding", "input_dim": 4, "output_dim": 3}, SEQUENCE, "needs integer ids"),
    ],
)
def test_what_is_refused(layer: dict[str, Any], shape: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        lower(layer, shape)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ({"reverse": 1}, "must be true or false"),
        ({"units": 2}, "only `name`, `inputs`, `average` and `reverse` are allowed"),
    ],
)
def test_wrong_ways_back(share: dict[str, Any], words: str) -> None:
    layers = [
        {"name": "e", "type": "ReversibleEmbedding", "input_dim": 4, "output_dim": 3},
        {"name": "y", "share": "e", **share},
    ]
    document = {"graphspec": 1, "name": "t", "inputs": {"x": {"shape": [3], "dtype": "int64"}}, "layers": layers}
    with pytest.raises(SpecError, match=words):
        gs.compile(document | {"outputs": {"y": {}}})
