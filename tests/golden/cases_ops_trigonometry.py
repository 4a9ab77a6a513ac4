"""The golden cases of trigonometric and hyperbolic functions, of infinity and of triangles."""

from __future__ import annotations

from cases import Case
from cases_ops import BOOL, INT, op


def layer_cases() -> list[Case]:
    cases = []
    bounds = {"tan": 1.4, "arcsin": 0.9, "arccos": 0.9, "arctanh": 0.9}
    for name in ("tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "arcsinh", "arctanh"):
        high = bounds.get(name, 2.0)
        cases += [op(name, "one", [3], between=(-high, high)), op(name, "two", [None, 2], between=(-high, high))]
    cases += [op("arccosh", "one", [3], between=(1.1, 3)), op("arccosh", "two", [2, 2], between=(1.1, 9))]
    cases += [op("arctan", "int", {"shape": [3], **INT})]
    cases += [
        op("arctan2", "both", [12], [12]),
        op("arctan2", "axis", [4, 3], -1.5),
        op("arctan2", "zero", (0.0, -1.0), [2]),
    ]
    for name in ("isinf", "isposinf", "isneginf"):
        cases += [op(name, "none", [3]), op(name, "int", {"shape": [3], **INT})]
    for name in ("logaddexp", "logaddexp2"):
        cases += [op(name, "both", [3, 4], [1, 4]), op(name, "far", [3], (-90.0, 0.5, 90.0))]
    for name in ("tril", "triu"):
        cases += [
            op(name, "one", [3, 4]),
            op(name, "above", [2, 3, 3], k=1),
            op(name, "below", {"shape": [3, 2], **INT}, k=-1),
            op(name, "bool", {"shape": [3, 3], **BOOL}),
        ]
    return cases
