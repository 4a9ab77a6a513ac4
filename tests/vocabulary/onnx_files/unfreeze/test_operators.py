"""ONNX's node tests: a file of one operator that we have gives the expected outputs, or names what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from unfrozen import Trial

from graphspec.base.errors import ShapeError
from graphspec.vocabulary.onnx_files.unfreeze.lowering import supported

pytestmark = pytest.mark.slow

CONSTANTS: dict[str, set[int]] = {
    "AffineGrid": {1},
    "BatchNormalization": {1, 2, 3, 4},
    "ConstantOfShape": {0},
    "CumSum": {1},
    "Dropout": {1, 2},
    "Expand": {1},
    "MaxUnpool": {2},
    "OneHot": {1},
    "Pad": {1, 3},
    "Range": {0, 1, 2},
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
"""Inputs that the cases feed and that files have as constants. Reductions have their axes so."""
REFUSED = """
    test_attention_*with_past* test_attention_*nonpad* test_attention_*padded_kv* test_attention_*qk_matmul*
    test_attention_*window* test_averagepool_*dilations* test_batchnorm_*training_mode test_*dropout*
    test_lstm_with_peepholes test_layer_normalization_* test_maxpool_2d_uint8 test_mod_*
    test_wrap_pad test_resize_* test_scatter* test_spacetodepth_crd_mode_example
"""
"""Cases that may be refused: parts of operators that have no gradient here."""
EXCLUDED = {
    "test_maxunpool_export_with_output_shape": "onnxruntime differs too: indices count in the output",
    "test_reduce_max_empty_set*": "the extremum of no elements",
    "test_reduce_min_empty_set*": "the extremum of no elements",
    "test_scan*": "a body is a graph",
    "test_resize_downsample_scales_*_align_corners": "onnxruntime differs too: it rounds the size down before",
}
_NUMBERS = set("?bhilqBHILQefd")


def try_case(case: Any) -> str:
    """Unfreeze and run a case on its first data; ``passed``, or why it was left out."""
    if any(v.type.WhichOneof("value") != "tensor_type" for v in [*case.model.graph.input, *case.model.graph.output]):
        return "no tensors"
    if reason := next((r for pattern, r in EXCLUDED.items() if fnmatch(case.name, pattern)), None):
        return reason
    given, expected = ([as_array(a) for a in arrays] for arrays in case.data_sets[0])
    if any(a.dtype.char not in _NUMBERS for a in [*given, *expected]):
        return "types of numbers that we do not have, or texts"
    (node,) = case.model.graph.node
    constant = CONSTANTS.get(node.op_type, {1} if node.op_type.startswith("Reduce") else set())
    places = {name: k for k, name in enumerate(node.input)}
    arrays = {
        v.name: as_single(a) if a.dtype.char == "e" else a for v, a in zip(case.model.graph.input, given, strict=True)
    }
    fixed = {name: as_single(a) for name, a in arrays.items() if places.get(name) in constant}
    fed = {name: a for name, a in arrays.items() if name not in fixed}
    kinds = {name: "float32" if a.dtype.kind == "f" else a.dtype.name for name, a in fed.items()}
    try:
        trial = Trial(case.model, {name: a.shape for name, a in fed.items()}, fixed=fixed, dtypes=kinds)
    except ShapeError as error:
        foreseen = any(fnmatch(case.name, pattern) for pattern in REFUSED.split())
        return "refused" if foreseen and f"({node.op_type})" in str(error) else f"refused, not foreseen: {error}"
    half = any(a.dtype.char == "e" for a in [*given, *expected])
    double = any(a.dtype.char == "d" for a in expected)
    rtol, atol = (max(case.rtol, 2e-3), max(case.atol, 2e-3)) if half else (case.rtol, case.atol)
    for mine, reference in zip(trial.run(fed, np.float64 if double else np.float32), expected, strict=True):
        assert mine.shape == reference.shape
        assert (mine.dtype.kind == "f") == (reference.dtype.kind == "f")
        np.testing.assert_allclose(mine.astype(reference.dtype), reference, rtol, atol)
    return "passed"


def as_array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def as_single(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def test_files_of_one_operator(node_cases: Mapping[str, list[Any]]) -> None:
    failures, counts = [], Counter[str]()
    for op in filter(supported, node_cases):
        for case in node_cases[op]:
            try:
                counts[try_case(case)] += 1
            except Exception as error:
                failures.append(f"{case.name}: {type(error).__name__}: {error}")
    assert not failures, "\n".join(failures)
    assert not [reason for reason in counts if "not foreseen" in reason], counts
    assert counts["passed"] >= 770, counts
