"""Layers of graphs against loops, and a network of messages on padded graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lowering import lower, source

import graphspec as gs
from graphspec.base.errors import ShapeError

RANDOM = np.random.default_rng(0)
NODES = RANDOM.standard_normal((3, 4, 2)).astype(np.float32)
EDGES = RANDOM.integers(0, 4, (3, 5, 2))
VALUES = RANDOM.standard_normal((3, 5, 2)).astype(np.float32)
INPUTS = {"nodes": {"shape": ["n", 2]}, "edges": {"shape": ["e", 2], "dtype": "int64"}, "values": {"shape": ["e", 2]}}


def computed(layer: dict[str, Any], *before: dict[str, Any]) -> Any:
    used = {name: kind for name, kind in INPUTS.items() if any(name in node["inputs"] for node in (layer, *before))}
    layers = [*before, {"name": "y", **layer}]
    document = {"graphspec": 1, "name": "g", "inputs": used, "layers": layers, "outputs": {"y": {}}}
    rows = {"nodes": NODES, "edges": EDGES, "values": VALUES}
    return gs.compile(document).run({name: rows[name] for name in used})["y"]


def test_nodes_of_edges() -> None:
    ends = computed({"type": "GatherNodes", "inputs": ["nodes", "edges"]})
    assert ends.shape == (3, 5, 2, 2)
    expected = np.stack([NODES[b][EDGES[b]] for b in range(3)])
    np.testing.assert_array_equal(ends, expected)
    first = computed({"type": "GatherNodes", "column": 0, "inputs": ["nodes", "edges"]})
    np.testing.assert_array_equal(first, expected[:, :, 0])


@pytest.mark.parametrize(("kind", "join"), [("SegmentSum", np.sum), ("SegmentMean", np.mean), ("SegmentMax", np.max)])
@pytest.mark.parametrize("third", [True, False])
def test_segments(kind: str, join: Any, third: bool) -> None:
    """Also a segment without values, which is 0."""
    count = 4 if third else 6
    expected = np.zeros((3, count, 2))
    for b in range(3):
        for s in range(count):
            if (chosen := VALUES[b][EDGES[b, :, 1] == s]).size:
                expected[b, s] = join(chosen, axis=0)
    named = {"inputs": ["values", "edges", "nodes"]} if third else {"inputs": ["values", "edges"], "num_segments": 6}
    np.testing.assert_allclose(computed({"type": kind, "column": 1, **named}), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("third", [True, False])
def test_the_softmax_of_a_segment_sums_to_1(third: bool) -> None:
    """Also for large values; what belongs to no segment, or is masked, is 0."""
    count, values = (4, VALUES * 300) if third else (2, VALUES)
    expected = np.zeros((3, 5, 2))
    for b in range(3):
        for s in range(count):
            if (at := EDGES[b, :, 1] == s).any():
                parts = np.exp(values[b][at] - values[b][at].max(0))
                expected[b][at] = parts / parts.sum(0)
    named = {"inputs": ["v", "edges", "nodes"]} if third else {"inputs": ["v", "edges"], "num_segments": 2}
    scaled = {"name": "v", "type": "ops.multiply", "inputs": ["values", 300.0 if third else 1.0]}
    found = computed({"type": "SegmentSoftmax", "column": 1, **named}, scaled)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["SegmentSum", "SegmentMean", "SegmentMax"])
def test_messages_of_padded_graphs_train_and_are_exported(kind: str, tmp_path: Path) -> None:
    """Masked edges count for nothing: longer padding changes no answer."""
    layers = [
        {"name": "known", "type": "Masking", "mask_value": -9.0, "inputs": "values"},
        {"name": "start", "type": "GatherNodes", "column": 0, "inputs": ["nodes", "edges"]},
        {"name": "both", "type": "Add", "inputs": ["start", "known"]},
        {"name": "message", "type": "Dense", "units": 3, "activation": "tanh", "inputs": "known"},
        {"name": "sums", "type": kind, "column": 1, "inputs": ["message", "edges", "nodes"]},
        {"name": "y", "type": "GlobalAveragePooling1D"},
        {"name": "z", "type": "GlobalMaxPooling1D", "inputs": "both"},
    ]
    document = {
        "graphspec": 1,
        "name": "g",
        "inputs": INPUTS,
        "layers": layers,
        "outputs": {"y": {"loss": "mse"}, "z": {}},
    }
    model = gs.compile(document)
    rows = {"nodes": NODES, "edges": EDGES, "values": VALUES}
    before = model.run(rows)["y"]
    more = ((0, 0), (0, 3), (0, 0))
    longer = {"edges": np.pad(EDGES, more), "values": np.pad(VALUES, more, constant_values=-9)}
    np.testing.assert_allclose(model.run(rows | longer)["y"], before, rtol=1e-5, atol=1e-6)
    losses = model.fit(rows, {"y": np.ones((3, 3))}, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.export(tmp_path / "g.onnx").batches


def test_rows_of_an_export_have_edges_of_their_nodes_however_many_these_are(tmp_path: Path) -> None:
    layers = [
        {"name": "start", "type": "GatherNodes", "column": 0, "inputs": ["nodes", "edges"]},
        {"name": "sums", "type": "SegmentSum", "column": 1, "inputs": ["start", "edges", "nodes"]},
        {"name": "y", "type": "GlobalAveragePooling1D"},
    ]
    inputs = {name: kind for name, kind in INPUTS.items() if name != "values"}
    model = gs.compile({"graphspec": 1, "name": "g", "inputs": inputs, "layers": layers, "outputs": {"y": {}}})
    assert len(model.export(tmp_path / "random.onnx").lengths) == 3
    many = {"nodes": RANDOM.standard_normal((4, 30, 2)).astype(np.float32), "edges": np.full((4, 30, 2), 29)}
    assert len(model.export(tmp_path / "rows.onnx", rows=many).lengths) == 3


@pytest.mark.parametrize(
    ("layer", "inputs", "words"),
    [
        ("GatherNodes", [source("x", ("N", 4, 2)), source("i", ("N", 5))], "needs integer indices"),
        (
            {"type": "GatherNodes", "column": 2},
            [source("x", ("N", 4, 2)), source("i", ("N", 5, 2), "int64")],
            "column 2",
        ),
        ("SegmentSum", [source("x", ("N", 5, 2)), source("i", ("N", 5), "int64")], "needs `num_segments` or a third"),
        (
            {"type": "SegmentSum", "num_segments": 3},
            [source("x", ("N", 5, 2)), source("i", ("N", 4), "int64")],
            "indices",
        ),
        (
            {"type": "SegmentSum", "num_segments": 3},
            [source("x", ("N", 5, 2)), source("i", ("N", 5), "int64"), source("n", ("N", 3, 2))],
            "cannot have `num_segments`",
        ),
    ],
)
def test_what_is_refused(layer: Any, inputs: list[Any], words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        lower(layer, *inputs)


def test_an_index_that_does_not_exist() -> None:
    document = {
        "graphspec": 1,
        "name": "g",
        "inputs": {"nodes": {"shape": [4, 2]}, "i": {"shape": [5], "dtype": "int64"}},
    }
    layers = [{"name": "y", "type": "GatherNodes", "inputs": ["nodes", "i"]}]
    model = gs.compile(document | {"layers": layers, "outputs": {"y": {}}})
    with pytest.raises(gs.SpecError, match="4"):
        model.run({"nodes": NODES, "i": np.full((3, 5), 4)})
