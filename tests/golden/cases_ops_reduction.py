"""The golden cases of operations that reduce axes."""

from __future__ import annotations

from cases import Case
from cases_ops import BOOL, INT, op


def layer_cases() -> list[Case]:
    cases = []
    for name in ("sum", "mean", "prod", "max", "min", "amax", "amin", "var", "std"):
        cases += [
            op(name, "last", [3, 4], axis=-1),
            op(name, "kept", [3, 4], axis=[1, 2], keepdims=True),
            op(name, "all", [3, 4], beside=True),
        ]
    cases += [op("sum", "batch", [3, 4], axis=0, beside=True), op("mean", "time", [None, 4], axis=1)]
    for name in ("sum", "mean", "prod", "max", "min", "var"):
        cases.append(op(name, "int", {"shape": [3, 4], **INT}, axis=1))
    cases += [op(name, "bool", {"shape": [3, 4], **BOOL}, axis=1) for name in ("sum", "mean", "max", "min")]
    for name in ("any", "all"):
        cases += [
            op(name, "bool", {"shape": [2, 2], **BOOL}, axis=-1),
            op(name, "float", [3], keepdims=True, beside=True),
        ]
    cases += [op("count_nonzero", "int", {"shape": [3, 4], **INT}, axis=[1, 2])]
    cases += [op("count_nonzero", "bool", {"shape": [3, 4], **BOOL}, beside=True)]
    for name in ("argmax", "argmin"):
        cases += [
            op(name, "axis", [3, 4], axis=1),
            op(name, "kept", [3, 4], axis=-1, keepdims=True),
            op(name, "all", [3, 4], beside=True),
            op(name, "all_kept", [3, 4], keepdims=True, beside=True),
        ]
    return cases
