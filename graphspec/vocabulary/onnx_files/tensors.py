"""The bytes of tensors in an ONNX model."""

from __future__ import annotations

import math
from typing import Any

_STORED = {"float_data": 4, "int64_data": 8, "double_data": 8}
"""The fields with one number per element, and the bytes of a number."""


def is_known(kind: int) -> bool:
    """Return whether ONNX has an element type."""
    from onnx import TensorProto

    return kind in TensorProto.DataType.values() and kind != TensorProto.UNDEFINED


def nbytes_of(tensor: Any) -> int | None:
    """Return the bytes that a tensor's shape needs; None for texts, and for types of less than a byte."""
    from onnx import helper

    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, TypeError, ValueError):
        return None
    if dtype.hasobject or _is_packed(tensor.data_type):
        return None
    return int(math.prod(tensor.dims) * dtype.itemsize)


def stored_bytes(tensor: Any) -> int | None:
    """Return the bytes that a tensor has, counted as :func:`nbytes_of` counts; None if this cannot be said."""
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    for name, size in _STORED.items():
        if (count := len(getattr(tensor, name))) and tensor.data_type not in (14, 15):
            return count * size
    return None if tensor.int32_data or tensor.uint64_data or tensor.string_data or tensor.data_type in (14, 15) else 0


def _is_packed(kind: int) -> bool:
    """Return whether several elements share a byte: 4 bits and fewer."""
    from onnx import TensorProto

    names = ("UINT4", "INT4", "FLOAT4E2M1", "UINT2", "INT2", "FLOAT6E2M3FN", "FLOAT6E3M2FN")
    return kind in {getattr(TensorProto, name) for name in names if hasattr(TensorProto, name)}
