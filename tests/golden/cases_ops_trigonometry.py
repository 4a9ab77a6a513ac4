"""The golden cases of angles, of infinity, of sums of powers and of triangles."""

from __future__ import annotations

from cases import Case
from cases_ops import BOOL, INT, op


def layer_cases() -> list[Case]:
    cases = [
        op("arctan2", "both", [12], [12]),
        op("arctan2", "axis", [4, 3], -1.5),
        op("arctan2", "zero", (0.0, -1.0), [2]),
    ]
    for name in ("isposinf", "isneginf"):
        cases += [op(name, "none", [3]), op(name, "int", {"shape": [3], **INT})]
    cases += [op("logaddexp2", "both", [3, 4], [1, 4]), op("logaddexp2", "far", [3], (-90.0, 0.5, 90.0))]
    for name in ("tril", "triu"):
        cases += [
            op(name, "one", [3, 4]),
            op(name, "above", [2, 3, 3], k=1),
            op(name, "below", {"shape": [3, 2], **INT}, k=-1),
            op(name, "bool", {"shape": [3, 3], **BOOL}),
        ]
    return cases
