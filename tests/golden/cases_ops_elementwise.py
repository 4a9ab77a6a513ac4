"""The golden cases of operations of one input, element by element."""

from __future__ import annotations

from cases import Case
from cases_ops import BOOL, INT, op

POSITIVE = ("sqrt", "rsqrt", "reciprocal", "log", "log2", "log10", "log1p")
ANY = (
    "abs",
    "absolute",
    "negative",
    "sign",
    "square",
    "exp",
    "exp2",
    "expm1",
    "sin",
    "cos",
    "tanh",
    "deg2rad",
    "rad2deg",
)
JUMPS = ("ceil", "floor", "trunc", "round", "isnan", "isfinite", "isinf", "logical_not")
ANGLES = {
    "tan": 1.2,
    "arcsin": 0.9,
    "arccos": 0.9,
    "arctan": 3,
    "sinh": 2,
    "cosh": 2,
    "arcsinh": 3,
    "arctanh": 0.9,
    "erf": 2,
}


def layer_cases() -> list[Case]:
    cases = []
    for name in POSITIVE:
        cases.append(op(name, "float", [3, 4], between=(0.2, 3)))
        cases.append(op(name, "int", {"shape": [3], **INT, "between": (1, 5)}))
    for name in (*ANY, "real", "copy"):
        cases += [op(name, "float", [3, 4]), op(name, "int", {"shape": [3], **INT})]
    for name in JUMPS:
        cases += [op(name, "float", [3, 4]), op(name, "vector", [7])]
    for name, bound in ANGLES.items():
        cases += [op(name, "float", [3, 4], between=(-bound, bound)), op(name, "vector", [5], between=(-bound, bound))]
    cases += [op("arccosh", label, shape, between=(1.1, 4)) for label, shape in (("float", [3, 4]), ("vector", [5]))]
    cases += [op("trunc", "int", {"shape": [3], **INT}), op("round", "decimals", [9], decimals=1)]
    cases += [op("logical_not", "bool", {"shape": [3], **BOOL}), op("abs", "bool", {"shape": [3], **BOOL})]
    cases += [
        op("clip", "float", [3, 4], x_min=-0.5, x_max=1.0),
        op("clip", "int", {"shape": [9], **INT}, x_min=-1, x_max=1),
    ]
    cases += [op("nan_to_num", "default", [3]), op("nan_to_num", "given", [4], nan=1.0, posinf=2.0, neginf=-2.0)]
    for name in ("zeros_like", "ones_like"):
        cases += [op(name, "float", [3]), op(name, "bool", {"shape": [None], **INT}, dtype="bool")]
    cases += [
        op("full_like", "float", [3], fill_value=0.5),
        op("full_like", "int", {"shape": [2], **INT}, fill_value=3),
    ]
    return cases
