"""Every layer's export under onnxruntime, at several batch sizes and lengths of variable axes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapting import adapted as fitted
from golden_cases import Case, load, load_layers, load_texts, mentions
from golden_run import adapted
from preparing import layer_of, learnt, texts

import graphspec as gs
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.graph.onnx_session import session
from graphspec.vocabulary.layers import LAYERS

QUICK_PER_LAYER, PER_LAYER = 2, 4


def varies(case: Case) -> bool:
    return any(not isinstance(d, int) for item in case.spec["inputs"].values() for d in item["shape"])


def chosen() -> tuple[list[Case], list[Case]]:
    """Return two cases of every layer, cases with variable axes first, and two more."""
    seen: Counter[str] = Counter()
    first: list[Case] = []
    more: list[Case] = []
    for case in sorted(load_layers(), key=lambda case: not varies(case)):
        names = {cls.__name__ for name, _ in mentions(case.spec) if (cls := LAYERS.get(name)) is not None}
        if any("." in name for name in names) and not varies(case):
            continue  # `layers/test_golden.py` runs the exports of all operations
        if any(seen[name] < PER_LAYER for name in names):
            (first if any(seen[name] < QUICK_PER_LAYER for name in names) else more).append(case)
            seen.update(names)
    return first, more


def crop() -> Case:
    """Keras's RandomCrop behaves differently in inference, so there is no golden case."""
    layers = [{"name": "y", "type": "RandomCrop", "height": 4, "width": 3}]
    spec = {
        "graphspec": 1,
        "name": "crop",
        "inputs": {"x": {"shape": [6, 5, 2]}},
        "layers": layers,
        "outputs": {"y": {}},
    }
    return Case("RandomCrop", {"spec": spec})


def formula() -> Case:
    """Keras has no formulas."""
    layers = [{"name": "y", "type": "Formula", "value": "where(x > 0.5, -log(abs(x)) * (1 - x)**2, x)"}]
    spec = {"graphspec": 1, "name": "formula", "inputs": {"x": {"shape": [2]}}, "layers": layers, "outputs": {"y": {}}}
    return Case("Formula", {"spec": spec})


def position() -> Case:
    """Keras has no PositionEmbedding: KerasHub has."""
    layers = [{"name": "y", "type": "PositionEmbedding", "sequence_length": 40}]
    spec = {"graphspec": 1, "name": "position", "inputs": {"x": {"shape": [None, 3]}}, "layers": layers}
    return Case("PositionEmbedding", {"spec": spec | {"outputs": {"y": {}}}})


def tensors() -> Case:
    """Keras has no Parameter and no Constant: tensors without a batch axis."""
    layers = [
        {"name": "query", "type": "Parameter", "shape": [4, 3]},
        {"name": "scale", "type": "Constant", "value": [0.5, 2, -1]},
        {"name": "y", "type": "Multiply", "inputs": ["query", "scale", "x"]},
    ]
    spec = {"graphspec": 1, "name": "tensors", "inputs": {"x": {"shape": [4, 3]}}, "layers": layers}
    return Case("tensors", {"spec": spec | {"outputs": {"y": {}}}})


def network(name: str, inputs: dict[str, Any], layers: list[dict[str, Any]], heads: list[str]) -> Case:
    """A network of layers that Keras lacks."""
    spec = {"graphspec": 1, "name": name, "inputs": inputs, "layers": layers, "outputs": {head: {} for head in heads}}
    return Case(name, {"spec": spec, "weights": {}})


def without_keras() -> list[Case]:
    """Layers that Keras lacks, or that compute something else at inference."""
    noise = [
        {"type": "RandomNormal"},
        {"type": "RandomUniform"},
        {"type": "StopGradient"},
        {"type": "StochasticDepth", "rate": 0.2},
        {"type": "Sampling", "inputs": ["x", "x"]},
        {"type": "GumbelSoftmax", "hard": True},
        {"type": "GumbelSoftmax"},
    ]
    steps = [
        {
            "name": "words",
            "type": "TokenAndPositionEmbedding",
            "vocabulary_size": 9,
            "sequence_length": 50,
            "embedding_dim": 4,
        },
        {"name": "places", "type": "SinePositionEncoding", "add": True},
        {"name": "first", "type": "ClassToken"},
        {"name": "turned", "type": "RotaryEmbedding"},
        {"name": "scores", "type": "Dot", "axes": [2, 2], "inputs": ["turned", "turned"]},
        {"name": "bias", "type": "RelativePositionBias", "num_heads": 1, "inputs": "turned"},
        {"name": "y", "type": "ops.add", "inputs": ["scores", "bias"]},
    ]
    patches = [
        {"type": "SpaceToDepth", "block_size": 2},
        {"type": "LayerScale"},
        {"type": "DepthToSpace", "block_size": 2},
        {"type": "Patches", "patch_size": 2},
        {"name": "y", "type": "DotInteraction"},
    ]
    members = [
        {"type": "Members"},
        {"type": "MemberDense", "units": 3},
        {"name": "y", "type": "MemberDense", "units": 1},
    ]
    mirrored = [
        {"name": "found", "type": "Conv2D", "filters": 2, "kernel_size": 2},
        {"name": "pooled", "type": "GlobalAveragePooling2D"},
        {"name": "y", "type": "FlipMean", "inputs": ["pooled", "x"]},
    ]
    mixed = [
        {"name": "mix", "type": "MixUp", "inputs": ["x", "t"]},
        {"name": "cut", "type": "CutMix", "inputs": ["mix", "mix:1"]},
        {"name": "y", "type": "GlobalAveragePooling2D"},
        {"name": "z", "type": "Identity", "inputs": "cut:1"},
    ]
    kinds = ("SegmentSum", "SegmentMean", "SegmentMax", "SegmentSoftmax")
    messages = [{"name": kind, "type": kind, "column": 1, "inputs": ["start", "edges", "nodes"]} for kind in kinds]
    edges = {"nodes": {"shape": ["nodes", 3]}, "edges": {"shape": ["edges", 2], "dtype": "int64"}}
    return [
        network("noise", {"x": {"shape": [4]}}, [*noise[:-1], noise[-1] | {"name": "y"}], ["y"]),
        network("steps", {"ids": {"shape": [None], "dtype": "int64"}}, steps, ["y"]),
        network("members", {"x": {"shape": [4]}}, members, ["y"]),
        network("angles", {"x": {"shape": [4]}}, [{"name": "y", "type": "ArcFace", "units": 5}], ["y"]),
        network("sequences", {"x": {"shape": [None, 3]}}, [{"name": "y", "type": "CRF"}], ["y"]),
        network("patches", {"x": {"shape": [4, 4, 3]}}, patches, ["y"]),
        network("mixed", {"x": {"shape": [4, 5, 3]}, "t": {"shape": [2]}}, mixed, ["y", "z"]),
        network("mirrored", {"x": {"shape": [None, 4, 3]}}, mirrored, ["y"]),
        network(
            "messages",
            edges,
            [{"name": "start", "type": "GatherNodes", "column": 0, "inputs": ["nodes", "edges"]}, *messages],
            list(kinds),
        ),
    ]


FIRST, MORE = chosen()
CASES = [*FIRST, crop(), formula(), position(), tensors(), *without_keras()]


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in MORE)], ids=lambda case: case.id
)
def test_equal_at_several_batch_sizes_and_lengths(case: Case, tmp_path: Path) -> None:
    model = gs.compile(adapted(case.spec))
    known = model.weights
    model.set_weights({name: array for name, array in case["weights"].items() if name in known})
    proof = model.export(tmp_path / "layer.onnx")
    assert proof.batches == [1, 2, 5]
    assert len(proof.lengths) >= 2 or not varies(case)


# Layers that learn, and layers of texts.

TEXTS = load_texts()
DATES = [
    "2024-02-29",
    "1999-12-31 23:59:59.5",
    "",
    "2023-02-29",
    "on 2024-12-31",
    "\u0662024-01-01",
    "0001-01-01",
    "\0",
]
WORDS = ["", "a", "A", "日本語", "e\u0301", "\0", "a" * 5000]
NUMBERS = np.array([[0.0], [-1.5], [1e30], [-3e-9]], np.float32)
INTEGERS = np.array([[0], [-1], [2**62], [-(2**63)]])
OTHERS: list[tuple[dict[str, Any], list[Any]]] = [
    ({"type": "DateParts"}, [texts(DATES)[:, None]]),
    ({"type": "DateParts", "format": "%d/%m/%y", "cyclic": False}, [texts(["1/2/69", "31/12/68", "30/2/20"])[:, None]]),
    ({"type": "Hashing", "num_bins": 5, "mask_value": "", "salt": [3, 9]}, [texts(WORDS)[:, None]]),
    ({"type": "Hashing", "num_bins": 4, "output_mode": "one_hot"}, [INTEGERS]),
    ({"type": "HashedCrossing", "num_bins": 7}, [texts(WORDS)[:4, None], INTEGERS]),
    ({"type": "HashedCrossing", "num_bins": 3, "output_mode": "one_hot"}, [texts(WORDS)[:4, None]] * 2),
    ({"type": "Log1p"}, [NUMBERS]),
    ({"type": "Impute", "strategy": "zero", "indicator": True}, [np.where(NUMBERS < 0, np.float32("nan"), NUMBERS)]),
    ({"type": "Impute", "strategy": "constant", "fill_value": 2.0}, [INTEGERS]),
    ({"type": "MinMaxScaling", "minimum": -2.0, "maximum": 3.0}, [NUMBERS]),
    ({"type": "QuantileSteps"}, [np.hstack([NUMBERS, -NUMBERS, NUMBERS])]),
    ({"type": "SmoothClip", "limit": 2.0}, [NUMBERS]),
    ({"type": "WindowScaling", "by": "mean"}, [NUMBERS]),
    ({"type": "RobustScaling", "quantiles": [-2.0, 0.0, 0.5, 1.0, 3.0]}, [NUMBERS]),
    (
        {"type": "Whitening", "kernel_size": 1, "filters": [[0.5, -1.0], [0.5, 1.0]]},
        [np.stack([NUMBERS, -NUMBERS], -1)[:, None]],
    ),
    ({"type": "PiecewiseLinear", "num_bins": 3, "quantiles": [-2.0, 0.0, 0.0, 3.0]}, [NUMBERS]),
]
"""Layers with all their arguments, and rows for them."""


def learnt_by(layer: dict[str, Any], rows: Any) -> dict[str, Any]:
    """The arguments that a layer learns from rows, as plain values; none if it learns nothing."""
    parsed = LAYERS.parse(layer)
    if not parsed.learns:
        return {}
    found = fitted(layer, rows)
    state = {key: getattr(found, key) for key in found.learnt_arguments}
    return {
        key: np.asarray(v).tolist() if key != "vocabulary" else list(v) for key, v in state.items() if v is not None
    }


def of_texts() -> list[tuple[dict[str, Any], dict[str, Any], list[Any], list[Any]]]:
    """Golden cases of texts, a few of every layer and mode: the layer, what it learns, rows and outputs."""
    seen, found = Counter[Any](), []
    for case in TEXTS["cases"]:
        kind = case["layer"], case["arguments"].get("output_mode"), case["arguments"].get("ngrams") is None
        make = texts if case["layer"] != "IntegerLookup" else np.array
        given = make(case["given"])
        given = given[:, None] if given.ndim == 1 else given  # an input of texts has an axis
        seen[kind] += 1
        if seen[kind] > 2 or given.size == 0:
            continue
        layer = {"type": case["layer"], **case["arguments"]}
        state = {} if case["learnt"] is None else tokens_learnt(layer, make(TEXTS["data"][case["learnt"]]))
        found.append((layer, state, [given], [np.asarray(case["output"]).reshape(case["shape"])]))
    return found


def tokens_learnt(layer: dict[str, Any], rows: Any) -> dict[str, Any]:
    """The arguments that a layer learns from texts or integers."""
    found = learnt(layer_of(layer), rows)
    return {key: list(v) for key in found.learnt_arguments if (v := getattr(found, key)) is not None}


def of_numbers() -> list[tuple[dict[str, Any], dict[str, Any], list[Any], list[Any]]]:
    """Golden cases of layers that learn from numbers."""
    return [
        (case.args["layer"], learnt_by(case.args["layer"], case["rows"]), [case["rows"]], [case["outputs"]["0"]])
        for case in load("adapted")
    ]


LEARNING = [*of_texts(), *of_numbers(), *((layer, {}, rows, []) for layer, rows in OTHERS)]


@pytest.mark.parametrize(
    ("layer", "state", "rows", "outputs"), LEARNING, ids=[f"{k}-{case[0]['type']}" for k, case in enumerate(LEARNING)]
)
def test_layers_of_the_prelude(
    layer: dict[str, Any], state: dict[str, Any], rows: list[Any], outputs: list[Any], tmp_path: Path
) -> None:
    """Proved on the rows of the golden case; the file gives its values."""
    x = {f"x{k}": array for k, array in enumerate(rows)}
    inputs = {
        name: {"shape": list(array.shape[1:]), "dtype": "string" if array.dtype == object else array.dtype.name}
        for name, array in x.items()
    }
    node = {"name": "y", "inputs": list(x) if len(x) > 1 else "x0", **layer}
    spec = {"graphspec": 1, "name": "layer", "inputs": inputs, "layers": [node], "outputs": {"y": {}}}
    model = gs.compile(spec)
    assert model.learns == bool(state)
    if state:
        model.install(Adapted({"y": state}, rows=len(rows[0])))
    proof = model.export(tmp_path / "layer.onnx", rows=x)
    assert proof.batches == [1, 2, 5]
    (answer,) = session((tmp_path / "layer.onnx").read_bytes(), threads=1).run(None, x)
    np.testing.assert_allclose(answer, model.predict(x), rtol=1e-5, atol=1e-6)
    for output in outputs:
        np.testing.assert_allclose(answer.reshape(output.shape), output, rtol=1e-4, atol=1e-5)


def test_every_layer_is_exported() -> None:
    """Files of others are exported in tests/onnx_files."""
    exported = {LAYERS.get(name) for case in [*CASES, *MORE] for name, _ in mentions(case.spec)}
    exported |= {LAYERS.get(layer["type"]) for layer, *_ in LEARNING} | {LAYERS.get("Onnx")}
    assert not [cls.__name__ for cls in LAYERS if cls not in exported and "." not in cls.__name__]
