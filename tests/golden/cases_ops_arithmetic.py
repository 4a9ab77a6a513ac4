"""The golden cases of operations of two inputs that broadcast."""

from __future__ import annotations

from cases import Case
from cases_ops import BOOL, INT, op


def layer_cases() -> list[Case]:
    cases = []
    positive = (0.4, 3.0)
    some = {"shape": [3, 4], **INT, "between": (1, 7)}
    for name in ("add", "subtract", "multiply", "divide", "true_divide", "maximum", "minimum", "divide_no_nan"):
        cases += [op(name, "two", [3, 4], [1, 4]), op(name, "number", [3], 1.5), op(name, "vector", [3], (0.5, -1, 2))]
        cases += [op(name, "ints", some, some), op(name, "int_float", some, [3, 4])]
    for name in ("floor_divide", "mod"):
        cases += [op(name, "two", [3, 4], {"shape": [1, 4], "between": positive}), op(name, "number", [3], -1.5)]
        cases += [op(name, "ints", {"shape": [3, 4], **INT, "between": (-9, 9)}, some), op(name, "int", some, -3)]
    cases.append(op("divide_no_nan", "zero", [3], (0.0, 1.0, 2.0)))
    base = {"shape": [3, 4], "between": positive}
    cases += [op("power", "two", base, [1, 4]), op("power", "square", [3], 2), op("power", "ints", some, 2)]
    cases += [op(name, "bools", *[{"shape": [4], **BOOL}] * 2) for name in ("add", "multiply", "maximum", "minimum")]
    cases.append(op("add", "reversed", 1, some))
    return cases
