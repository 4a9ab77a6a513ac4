"""The golden cases of operations that compare and choose."""

from __future__ import annotations

from cases import Case
from cases_ops import BOOL, INT, op


def layer_cases() -> list[Case]:
    cases = []
    whole = {"shape": [3, 4], **INT}
    for name in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"):
        cases += [op(name, "floats", [3, 4], [1, 4]), op(name, "ints", whole, whole), op(name, "number", whole, 0.5)]
    for name in ("logical_and", "logical_or", "logical_xor"):
        cases += [op(name, "bools", *[{"shape": [6], **BOOL}] * 2), op(name, "ints", whole, whole)]
    cases += [
        op("where", "floats", {"shape": [3, 4], **BOOL}, [3, 4], [1, 4]),
        op("where", "number", {"shape": [3, 4], **BOOL}, [3, 4], 0.0),
        op("where", "mixed", {"shape": [3], **BOOL}, {"shape": [3], **INT}, [3]),
        op("isclose", "default", [3], [3]),
        op("isclose", "wide", [3, 4], [3, 4], rtol=0.5, atol=0.2),
    ]
    return cases
