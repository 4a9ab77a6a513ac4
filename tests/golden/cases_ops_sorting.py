"""The golden cases of operations that choose, order and count along an axis."""

from __future__ import annotations

from cases import Case
from cases_ops import INT, op


def layer_cases() -> list[Case]:
    whole = {"shape": [3, 4], **INT, "between": (0, 2)}
    return [
        op("sort", "last", [3, 4]),
        op("sort", "axis", [3, 4], axis=1),
        op("sort", "time", [None, 2], axis=1),
        op("sort", "ints", {"shape": [5], **INT}),
        op("argsort", "last", [3, 4]),
        op("argsort", "axis", [3, 4], axis=1),
        op("median", "odd", [5], axis=1),
        op("median", "even", [3, 4], axis=-1, keepdims=True),
        op("take", "number", [3, 4], 1, axis=1),
        op("take", "vector", [3, 4], (0, 2, -1), axis=-1),
        op("take", "rows", {"shape": [5], "between": (-2, 2)}, {"shape": [2], **INT, "between": (0, 9)}, mixes=True),
        op("take_along_axis", "axis", [3, 4], whole, axis=1),
        op("take_along_axis", "last", [3, 4], whole, axis=-1),
        op("take_along_axis", "one", [3, 4], {"shape": [1, 1], **INT, "between": (0, 2)}, axis=1),
        op("take_along_axis", "each", [1, 4], {"shape": [2, 3], **INT, "between": (0, 3)}, axis=-1),
        op("cumsum", "axis", [3, 4], axis=1),
        op("cumsum", "all", [3], mixes=True),
        op("cumsum", "ints", {"shape": [5], **INT}, axis=-1),
        op("diff", "last", [3, 4]),
        op("diff", "twice", [5, 2], n=2, axis=1),
        op("digitize", "floats", [3, 4], bins=[-1.0, 0.0, 0.5]),
        op("digitize", "one", [6], bins=[0.0]),
        op("average", "axis", [3, 4], axis=1),
        op("average", "vector", [3, 4], (1.0, 2.0, 3.0, 4.0), axis=-1),
        op("top_k", "two", [3, 4], k=2),
        op("top_k", "all", [3], k=3),
        op("logsumexp", "axis", [3, 4], axis=1),
        op("logsumexp", "kept", [3, 4], axis=[1, 2], keepdims=True),
        op("logaddexp", "two", [3], [3]),
        op("logaddexp", "broadcast", [3, 4], [1, 4]),
    ]
