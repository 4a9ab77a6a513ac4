"""Independent implementations of the operators: onnxruntime, and ONNX's own node tests."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when onnxruntime is imported

import numpy as np
import onnxruntime as ort
from graphs import dtype_name, run
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from graphspec.graph.ir.graph import Graph
from graphspec.graph.onnx_model import IR_OF_OPSET, OPSET, operator
from graphspec.graph.passes.for_export import since

Array = np.ndarray[Any, Any]


def onnx_type(dtype: str) -> int:
    """``"float32"`` → TensorProto.FLOAT."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def onnx_attributes(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Our attributes as ONNX has them: no absent ones, dtypes as enumeration, arrays as tensors."""
    out: dict[str, Any] = {}
    for key, value in attrs.items():
        if value is None:
            continue
        if key in ("to", "dtype"):
            value = onnx_type(value)
        elif isinstance(value, np.ndarray):
            value = numpy_helper.from_array(value)
        out[key] = value
    return out


def make_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Array],
    outputs: Sequence[str],
    constants: Mapping[str, Array] | None = None,
    opset: int = OPSET,
) -> ModelProto:
    """A model whose inputs have the types of these arrays."""
    feeds = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in inputs.items()
    ]
    tensors = [numpy_helper.from_array(np.asarray(a, order="C"), n) for n, a in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "oracle", feeds, [ValueInfoProto(name=n) for n in outputs], tensors)
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_OF_OPSET[opset])


def opset_for(*ops: str) -> int:
    """17, or the opset that came with the newest of the operators."""
    return max([OPSET, *(since(op) or OPSET for op in ops)])


def session(model: ModelProto | bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def ort_run(
    op: str | Graph,
    inputs: Sequence[Array | None] | Mapping[str, Array],
    attrs: Mapping[str, Any] | None = None,
    *,
    constants: set[int] | frozenset[int] = frozenset(),
    outputs: int = 1,
    params: Mapping[str, Array] | None = None,
) -> list[Array]:
    """What onnxruntime computes for one operator, or for a graph of ours.

    Args:
        op: an operator's name with its ``inputs`` in order (None: absent), or a Graph with its inputs by name.
        attrs: attributes as our operators take them.
        constants: the indices of inputs that are initializers.
        outputs: how many outputs the operator has.
        params: a graph's weights by name, in the graph's layout.
    """
    if isinstance(op, Graph):
        assert isinstance(inputs, Mapping)
        return _run_graph(op, inputs, params or {})
    assert not isinstance(inputs, Mapping)
    inputs = [None if a is None else np.asarray(a) for a in inputs]
    names = ["" if a is None else f"x{k}" for k, a in enumerate(inputs)]
    arrays = {n: a for n, a in zip(names, inputs, strict=True) if a is not None}
    held = {f"x{k}" for k in constants}
    results = [f"y{k}" for k in range(outputs)]
    node = helper.make_node(op, names, results, name=op, **onnx_attributes(attrs or {}))
    model = make_model(
        [node],
        {n: a for n, a in arrays.items() if n not in held},
        results,
        {n: a for n, a in arrays.items() if n in held},
        opset_for(op),
    )
    return list(session(model).run(None, {n: a for n, a in arrays.items() if n not in held}))


def _run_graph(graph: Graph, inputs: Mapping[str, Array], params: Mapping[str, Array]) -> list[Array]:
    nodes, constants = [], {n: np.asarray(a, np.float32) for n, a in params.items()}
    needed = graph.needed(graph.outputs.values())
    opset = opset_for(*(node.op for node in needed))
    for node in needed:
        for value in node.inputs:
            if value is not None and value.data is not None:
                constants[value.name] = value.data
        names = ["" if v is None else v.name for v in node.inputs]
        made, more = operator(node, names, [v.name for v in node.outputs], opset)
        nodes.append(made)
        constants |= {t.name: numpy_helper.to_array(t) for t in more}
    used = {n for node in nodes for n in node.input}
    model = make_model(
        nodes,
        {n: a for n, a in inputs.items() if n in used},
        [v.name for v in graph.outputs.values()],
        {n: a for n, a in constants.items() if n in used},
        opset,
    )
    return list(session(model).run(None, {n: a for n, a in inputs.items() if n in used}))


def compare(
    op: str,
    inputs: Sequence[Array | None],
    attrs: Mapping[str, Any] | None = None,
    *,
    constants: set[int] | frozenset[int] = frozenset(),
    outputs: int = 1,
    rtol: float = 1e-4,
    atol: float = 1e-5,
) -> None:
    """Assert that our operator and onnxruntime agree: dtypes, shapes and values of the first ``outputs`` outputs."""
    inputs = [None if a is None else np.asarray(a) for a in inputs]
    ours = run(op, inputs, set(constants), **(attrs or {}))
    theirs = ort_run(op, inputs, attrs, constants=constants, outputs=outputs)
    for k, (mine, reference) in enumerate(zip(ours, theirs, strict=False)):
        assert dtype_name(mine) == dtype_name(reference), f"{op} output {k}: {mine.dtype}, expected {reference.dtype}"
        assert mine.shape == reference.shape, f"{op} output {k}: shape {mine.shape}, expected {reference.shape}"
        np.testing.assert_allclose(mine, reference, rtol, atol, err_msg=f"{op} output {k}, attributes {attrs}")


def imported_attributes(node: NodeProto) -> dict[str, Any]:
    """A NodeProto's attributes as our operators take them."""
    out: dict[str, Any] = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if attribute.name in ("to", "dtype"):
            value = helper.tensor_dtype_to_np_dtype(value).name
        elif attribute.type == AttributeProto.TENSOR:
            value = numpy_helper.to_array(value)
        elif attribute.type == AttributeProto.STRING:
            value = value.decode()
        elif attribute.type == AttributeProto.STRINGS:
            value = tuple(v.decode() for v in value)
        elif attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS):
            value = tuple(value)
        out[attribute.name] = value
    return out


def to_array(tensor: TensorProto) -> Array:
    return numpy_helper.to_array(tensor)


def load_node_cases() -> dict[str, list[Any]]:
    """ONNX's node tests whose model is a single node, by operator."""
    import onnx.backend.test.case.node as of_one_node
    from onnx.backend.test.case import base
    from onnx.backend.test.loader import load_model_tests

    base.process_snippet = lambda *_: ("", "")  # texts of the documentation, a sixth of the time
    sys.modules[f"{of_one_node.__name__}.lppool"] = ModuleType("lppool")  # no operator of ours, a fifth
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    found: dict[str, list[Any]] = {}
    for case in cases:
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].domain in ("", "ai.onnx"):
            found.setdefault(nodes[0].op_type, []).append(case)
    return found
