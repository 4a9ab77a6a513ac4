"""Every opset: the operators have the forms of its schemas, and files for it are proved."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import defs

import graphspec as gs
from graphspec.engine.runtime.bind import build_program
from graphspec.export.targets import TARGETS, newest_opset
from graphspec.graph.builder import Target
from graphspec.graph.onnx_model import IR_OF_OPSET
from graphspec.graph.ops import OPS
from graphspec.graph.ops.op import declared_attributes
from graphspec.graph.passes.for_export import BASE, drop_training, is_newer, legalize, since

WITH_A_BODY = {"Scan"}  # its attributes are written from a graph
EXPORTED = sorted(name for name, cls in OPS.items() if cls.exported and cls.domain == "" and name not in WITH_A_BODY)
OPSETS = range(BASE, max(TARGETS.values()) + 1)


def schema(op: str, opset: int) -> Any:
    return defs.get_schema(op, opset)


@pytest.mark.parametrize("op", EXPORTED)
def test_forms(op: str) -> None:
    """Our arguments are attributes or inputs of the schema; others are optional; defaults are equal."""
    first = since(op)
    assert first is not None
    base = schema(op, max(first, BASE))
    ours = declared_attributes(OPS[op])
    for opset in OPSETS:
        if opset < first:
            continue
        there = schema(op, opset)
        assert not there.deprecated
        input_names = [formal.name for formal in there.inputs]
        assert input_names[: len(base.inputs)] == [formal.name for formal in base.inputs]
        assert [formal.name for formal in there.outputs][: len(base.outputs)] == [f.name for f in base.outputs]
        assert all(name in there.attributes or name in input_names for name in ours), f"opset {opset}"
        for name, attribute in there.attributes.items():
            assert name in ours or not attribute.required, f"{name} at opset {opset}"
            if name in base.attributes:
                assert attribute.default_value == base.attributes[name].default_value, f"{name} at opset {opset}"


def spec() -> dict[str, Any]:
    """Return a spec with operators that are newer than opset 17, or have changed since."""
    layers: list[dict[str, Any]] = [
        {"name": "pad", "type": "ZeroPadding2D", "padding": 1, "inputs": "image"},
        {"name": "conv", "type": "Conv2D", "filters": 4, "kernel_size": 3, "activation": "gelu"},
        {"name": "group", "type": "GroupNormalization", "groups": 2},
        {"name": "batch", "type": "BatchNormalization"},
        {"name": "large", "type": "UpSampling2D", "interpolation": "bilinear"},
        {"name": "mish", "type": "Activation", "activation": "mish"},
        {"name": "prelu", "type": "PReLU", "shared_axes": [1, 2], "alpha_initializer": "ones"},
        {"name": "pool", "type": "AveragePooling2D", "pool_size": 3, "strides": 2, "padding": "same"},
        {"name": "rms", "type": "RMSNormalization"},
        {"name": "silu", "type": "Activation", "activation": "silu"},
        {"name": "spread", "type": "Softmax", "axis": [1, 2]},
        {"name": "mean", "type": "GlobalAveragePooling2D"},
        {"name": "celu", "type": "Dense", "units": 4, "activation": {"type": "celu", "alpha": 0.5}},
        {"name": "hard", "type": "Dense", "units": 4, "activation": "hard_silu"},
        {"name": "tanh", "type": "Dense", "units": 4, "activation": {"type": "gelu", "approximate": True}},
        {"name": "sparse", "type": "Dense", "units": 4, "activation": "sparsemax"},
        {"name": "embed", "type": "Embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True, "inputs": "words"},
        {"name": "lstm", "type": "Bidirectional", "layer": {"type": "LSTM", "units": 3, "return_sequences": True}},
        {"name": "gru", "type": "GRU", "units": 4},
        {"name": "rnn", "type": "SimpleRNN", "units": 4, "activation": "sparse_sigmoid", "inputs": "lstm"},
        {"name": "join", "type": "Concatenate", "inputs": ["sparse", "gru", "rnn"]},
        {"name": "norm", "type": "LayerNormalization"},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
    ]
    return {
        "graphspec": 1,
        "name": "levels",
        "inputs": {"image": {"shape": [6, 6, 3]}, "words": {"shape": [None], "dtype": "int64"}},
        "layers": layers,
        "outputs": {"kind": {"labels": ["a", "b", "c"]}},
        "training": {"seed": 3},
    }


def exported(path: Path, **level: Any) -> Any:
    proof = gs.compile(spec()).export(path, **level)
    assert proof.batches == [1, 2, 5]
    assert len(proof.lengths) == 3
    assert proof.differences["kind"] < 1e-5
    return onnx.load(path)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.slow
def test_levels(tmp_path: Path, opset: int) -> None:
    if opset > newest_opset(onnxruntime.__version__):
        pytest.skip(f"onnxruntime {onnxruntime.__version__} may not have it")
    file = exported(tmp_path / "net.onnx", opset=opset)
    assert (file.ir_version, file.opset_import[0].version) == (IR_OF_OPSET[opset], opset)
    ops = Counter(node.op_type for node in file.graph.node)
    whole = {"Gelu": 20, "Mish": 18, "HardSwish": 14, "GroupNormalization": 21, "RMSNormalization": 23}
    assert {op: ops[op] > 0 for op in whole} == {op: first <= opset for op, first in whole.items()}
    assert not ops["Swish"]
    assert len({node.name for node in file.graph.node}) == len(file.graph.node)
    owners = {layer["name"] for layer in spec()["layers"]}
    assert all(node.name.split("/")[0] in owners for node in file.graph.node)


@pytest.mark.parametrize("target", ["ort-1.14", "ort-1.20", "ort-1.30"])
@pytest.mark.slow
def test_targets(tmp_path: Path, target: str) -> None:
    assert exported(tmp_path / "net.onnx", target=target).opset_import[0].version == TARGETS[target]


def test_a_decomposition_keeps_sizes_and_has_unique_names() -> None:
    model = gs.compile(spec())
    graph = legalize(drop_training(model.graph, Target()), Target(opset=17))
    (gelu,) = (n for n in model.graph.nodes if n.op == "Gelu" and n.owner == "conv")
    parts = [n for n in graph.nodes if n.name.startswith(f"{gelu.name}/")]
    assert [n.name for n in parts] == [f"conv/Gelu/{op}" for op in ("Mul", "Erf", "Mul_2", "Add", "Mul_3")]
    assert {n.owner for n in parts} == {"conv"}
    assert parts[-1].outputs[0].type == gelu.outputs[0].type
    assert graph.outputs["kind"].type == model.graph.outputs["kind"].type
    assert not [n for n in graph.needed(graph.outputs.values()) if is_newer(n, 17)]


def test_decompositions_compute_the_same() -> None:
    model = gs.compile(spec())
    random = np.random.default_rng(0)
    feeds = {"image": random.normal(size=(2, 6, 6, 3)).astype(np.float32), "words": random.integers(0, 9, (2, 5))}
    graph = legalize(model.graph, Target(opset=17))
    program = build_program(graph, model.parameters, Target({n: a.shape for n, a in feeds.items()}))
    for name, array in feeds.items():
        program.feeds[name][...] = array
    program.run()
    np.testing.assert_allclose(program.fetches["kind"], model.run(feeds)["kind"], rtol=1e-4, atol=1e-6)


def test_an_opset_that_the_installed_runtime_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", "1.30.2")
    assert (newest_opset("1.30.2"), newest_opset("1.31.0"), newest_opset("2.0.0")) == (26, 26, 28)
    with pytest.raises(gs.UsageError, match=r"opset 28 cannot be proved: onnxruntime 1\.30\.2 supports at most 26"):
        gs.compile(spec()).export(tmp_path / "net.onnx", opset=28)
    assert not list(tmp_path.iterdir())
