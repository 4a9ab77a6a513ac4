"""The inputs of a file: their types, and the batch size that the file fixes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.graph.ir.graph import Value
from graphspec.vocabulary.onnx_files.unfreeze.constants import our_dtype

if TYPE_CHECKING:
    from graphspec.graph.builder import Builder


def batch_size(model_inputs: Mapping[str, Any], inputs: Mapping[str, Value]) -> int | None:
    """Return the number of rows that a file fixes for a batch; None if it leaves it open.

    Args:
        model_inputs: the ``ValueInfoProto`` of the file's inputs, by name.
    """
    for name, X in inputs.items():
        dims = model_inputs[name].type.tensor_type.shape.dim
        if "N" in X.shape and len(dims) == X.rank and (size := dims[X.shape.index("N")].dim_value) > 0:
            return int(size)
    return None


def as_declared(g: Builder, info: Any, X: Value) -> Value:
    """Return an input in our dtype for that of the file."""
    from onnx import helper

    kind = info.type.tensor_type.elem_type
    dtype = our_dtype(np.dtype(helper.tensor_dtype_to_np_dtype(kind)).name) if kind else X.dtype
    return X if X.dtype == dtype else g.Cast(X, to=dtype)
