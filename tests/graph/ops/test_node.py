"""ONNX's own node tests: every case of a single operator with the semantics of opset 17."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from typing import Any

import numpy as np
import pytest
from graphs import dtype_name, run
from onnx import TensorProto
from oracles import imported_attributes, to_array

from graphspec.graph.ops import OPS

Array = np.ndarray[Any, Any]

EXPORTED = sorted(name for name, cls in OPS.items() if cls.exported and cls.has_kernel)

DTYPES = {
    getattr(TensorProto, name)
    for name in ["FLOAT", "DOUBLE", "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
}

CONSTANTS: dict[str, set[int]] = {
    "CumSum": {1},
    "Dropout": {1, 2},
    "Expand": {1},
    "OneHot": {1},
    "Pad": {1},
    "Range": {0, 1, 2},
    "ReduceSum": {1},
    "Reshape": {1},
    "Resize": {1, 2, 3},
    "Slice": {1, 2, 3, 4},
    "Split": {1},
    "Squeeze": {1},
    "Tile": {1},
    "TopK": {1},
    "Trilu": {1},
    "Unsqueeze": {1},
}
"""Inputs that the cases feed and that must be constants here, since shapes are checked when building."""

# (operator, attribute) → the reason why it is refused
REFUSED: dict[tuple[str, str], str] = {
    ("Attention", "left_window_size"): "attribute of opset 25: Attention left_window_size",
    ("Attention", "qk_matmul_output_mode"): "refused: Attention with the products as an output",
    ("Attention", "right_window_size"): "attribute of opset 25: Attention right_window_size",
    ("Attention", "softmax_precision"): "attribute refused: Attention softmax_precision",
    ("AveragePool", "dilations"): "attribute of opset 19: AveragePool dilations",
    ("ConvTranspose", "auto_pad"): "attribute refused: ConvTranspose auto_pad (pads say it)",
    ("ConvTranspose", "output_shape"): "attribute refused: ConvTranspose output_shape (pads and output_padding say it)",
    ("Dropout", "ratio"): "attribute of opset 7: Dropout ratio",
    ("Resize", "antialias"): "attribute of opset 18: Resize antialias",
    ("Resize", "axes"): "attribute of opset 18: Resize axes",
    ("Resize", "extrapolation_value"): "refused: Resize tf_crop_and_resize",
    ("SpaceToDepth", "mode"): "attribute of opset 28: SpaceToDepth mode",
    ("MaxPool", "storage_order"): "attribute refused: MaxPool storage_order (column-major indices)",
}

# pattern of case names → reason
EXCLUDED: dict[str, str] = {
    "test_attention_*with_past*": "refused: Attention with a cache of past keys",
    "test_attention_*nonpad*": "opset 24: Attention with a cache of past keys",
    "test_attention_*padded_kv*": "opset 24: Attention with a cache of past keys",
    "test_attention_*qk_matmul*": "refused: Attention with the products as an output",
    "test_attention_local_window_ext_cache*": "opset 24: Attention with a cache of past keys",
    "test_reduce_max_empty_set*": "opset 20: extremum of an empty axis",
    "test_reduce_min_empty_set*": "opset 20: extremum of an empty axis",
    "test_training_dropout": "random numbers are not the reference's",
    "test_training_dropout_default*": "random numbers are not the reference's",
    "test_training_dropout_mask": "random numbers are not the reference's",
    "test_resize_downsample_scales_*_align_corners": "onnxruntime differs too: it rounds the size down before",
    "test_eyelike_with_dtype": "dtype refused: EyeLike of float64",
    "test_resize_tf_crop*": "refused: Resize tf_crop_and_resize",
    "test_resize_*half_pixel_symmetric": "opset 19: Resize half_pixel_symmetric",
    "test_constant_pad_*axes": "opset 18: Pad axes",
    "test_wrap_pad": "opset 19: Pad mode wrap",
    "test_mod_float*_fmod_0*": "opset 17 has no Mod of floats with fmod=0",
    "test_range_float*": "dtype refused: Range of floats",
    "test_*_batchwise": "attribute refused: layout 1, which onnxruntime has not either",
    "test_lstm_with_peepholes": "refused: LSTM peepholes",
    "test_scatter_elements_with_reduction_m*": "refused: ScatterElements with reduction mul, max, min",
    "test_scatternd_m*": "refused: ScatterND with reduction mul, max, min",
    "test_scan*": "a body is a graph: tests/graph/ops/test_scan.py",
    "test_maxpool_2d_uint8": "dtype refused: MaxPool of integers",
}

AXES_AS_ATTRIBUTE = {name for name in OPS if name.startswith("Reduce")} - {"ReduceSum"}
"""Reductions whose ``axes`` became an input at opset 18."""


def reason_to_exclude(case: Any) -> str | None:
    node = case.model.graph.node[0]
    for value in [*case.model.graph.input, *case.model.graph.output]:
        if value.type.WhichOneof("value") != "tensor_type":
            return "type: sequences and optionals"
    kinds = element_types(case)
    if not kinds <= DTYPES or {TensorProto.FLOAT, TensorProto.DOUBLE} <= kinds:
        return "dtype refused: float16, bfloat16, float8, mixed float32 and float64, 4- and 2-bit numbers, strings"
    for pattern, reason in EXCLUDED.items():
        if fnmatch(case.name, pattern):
            return reason
    return next((r for a in imported_attributes(node) if (r := REFUSED.get((node.op_type, a)))), None)


def element_types(case: Any) -> set[int]:
    return {v.type.tensor_type.elem_type for v in [*case.model.graph.input, *case.model.graph.output]}


def adapt(op: str, inputs: list[Array | None], outputs: list[Array | None], attrs: dict[str, Any]) -> None:
    """Convert a case of a newer opset to opset 17, in place."""
    if op in AXES_AS_ATTRIBUTE:
        attrs.pop("noop_with_empty_axes", None)
        axes = inputs.pop() if len(inputs) > 1 else None
        if axes is not None:
            attrs["axes"] = tuple(axes.tolist())
    if op == "Split" and len(inputs) == 1:  # as many equal pieces as there are outputs
        attrs.pop("num_outputs", None)
        inputs.append(np.array([y.shape[attrs.get("axis", 0)] for y in outputs if y is not None]))


def run_case(case: Any) -> None:
    """Run our operator on every data set of a case and compare. Cases in float64 use a float64 program."""
    node = case.model.graph.node[0]
    op = node.op_type
    dtype = np.float64 if TensorProto.DOUBLE in element_types(case) else np.float32
    for given, expected in case.data_sets:
        arrays, results = (iter(as_array(a) for a in tensors) for tensors in (given, expected))
        inputs: list[Array | None] = [next(arrays) if name else None for name in node.input]
        outputs = [next(results) if name else None for name in node.output]
        attrs = imported_attributes(node)
        adapt(op, inputs, outputs, attrs)
        for mine, reference in zip(run(op, inputs, CONSTANTS.get(op, set()), dtype, **attrs), outputs, strict=False):
            if reference is not None:
                assert dtype_name(mine) == dtype_name(reference), f"{mine.dtype} for {reference.dtype}"
                assert mine.shape == reference.shape, f"{mine.shape} for {reference.shape}"
                np.testing.assert_allclose(mine, reference, case.rtol, case.atol)


def as_array(value: Any) -> Array:
    return value if isinstance(value, np.ndarray) else np.asarray(value) if np.isscalar(value) else to_array(value)


@pytest.mark.parametrize("op", EXPORTED)
def test_node_tests(
    op: str, node_cases: Mapping[str, list[Any]], record_property: Callable[[str, object], None]
) -> None:
    failures, counts = [], Counter[str]()
    for case in node_cases.get(op, []):
        if reason := reason_to_exclude(case):
            counts[reason] += 1
            continue
        try:
            run_case(case)
            counts["passed"] += 1
        except Exception as error:
            failures.append(f"{case.name}: {type(error).__name__}: {error}")
    record_property("node tests", dict(counts))
    assert not failures, "\n".join(failures)


def test_every_exported_operator_has_cases(node_cases: Mapping[str, list[Any]]) -> None:
    assert not [op for op in EXPORTED if op not in node_cases]
