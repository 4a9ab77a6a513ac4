"""The golden cases of products and norms."""

from __future__ import annotations

from cases import Case
from cases_ops import INT, op


def layer_cases() -> list[Case]:
    return [
        op("matmul", "matrices", [3, 4], [4, 2]),
        op("matmul", "broadcast", [2, 3, 4], [1, 4, 2]),
        op("matmul", "time", [None, 4], [4, 2]),
        op("dot", "vector", [3, 4], (0.5, -1.0, 2.0, 1.0)),
        op("dot", "rows", [3], (1.0, 2.0, -1.0)),
        op("inner", "all", [3], [3], mixes=True),
        op("inner", "vector", [2, 3], (1.0, 2.0, -1.0)),
        op("outer", "all", [3], [2], mixes=True),
        op("outer", "ints", {"shape": [3], **INT}, {"shape": [2], **INT}, mixes=True),
        op("tensordot", "one", [3, 4], [4, 2], axes=[[2], [1]], mixes=True),
        op("tensordot", "count", [3], (1.0, 2.0, -1.0), axes=1),
        op("einsum", "batch", [3, 4], [4, 2], subscripts="bij,bjk->bik"),
        op("einsum", "trace", [3, 3], subscripts="bii->b"),
        op("cross", "last", [4, 3], [4, 3]),
        op("cross", "vectors", [3], [3]),
        op("norm", "last", [3, 4], axis=-1),
        op("norm", "one", [3, 4], axis=1, ord=1, keepdims=True),
        op("norm", "matrix", [3, 4], axis=[1, 2]),
    ]
