"""Random arguments for operations whose values stay finite, by what they do with axes."""

from __future__ import annotations

from typing import Any

from trust.drawn import Args, Drawing, Tensor, draws

EACH = (
    *("abs", "absolute", "negative", "sign", "square", "sin", "cos", "tanh", "arctan", "arcsinh", "erf", "deg2rad"),
    *(
        "ceil",
        "floor",
        "trunc",
        "round",
        "isnan",
        "isinf",
        "isfinite",
        "logical_not",
        "real",
        "copy",
        "zeros_like",
        "ones_like",
    ),
)
PAIRS = (
    *("add", "subtract", "multiply", "maximum", "minimum", "equal", "not_equal", "greater", "greater_equal", "less"),
    *("less_equal", "logical_and", "logical_or", "logical_xor", "divide_no_nan", "isclose"),
)
REDUCTIONS = (
    *(
        "sum",
        "mean",
        "max",
        "min",
        "amax",
        "amin",
        "var",
        "any",
        "all",
        "argmax",
        "argmin",
        "logsumexp",
        "count_nonzero",
    ),
)
ALONG = (
    "flip",
    "roll",
    "sort",
    "argsort",
    "cumsum",
    "repeat",
    "concatenate",
    "stack",
    "swapaxes",
    "expand_dims",
    "take",
)


@draws(*(f"ops.{name}" for name in EACH))
def each(d: Drawing, t: Tensor) -> Args | None:
    return {} if t.plain else None


@draws(*(f"ops.{name}" for name in PAIRS))
def pair(d: Drawing, t: Tensor) -> Args | None:
    if not t.plain or t.dtype == "bool":
        return None
    others = d.others(lambda o: o.shape == t.shape and o.dtype == t.dtype)
    second = d.among(others).ref if others and d.chance(0.6) else d.one(0.5, -1, 2)
    return {"inputs": d.one([t.ref, second], [second, t.ref])}


@draws(*(f"ops.{name}" for name in REDUCTIONS))
def reduction(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.plain or not t.rank or t.dtype == "bool":
        return None
    args: Args = {"axis": d.int(1, t.rank)}
    return args | (d.some(keepdims=True) if name != "ops.count_nonzero" else {})


@draws(*(f"ops.{name}" for name in ALONG))
def along(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.plain or not t.rank or t.dtype == "bool":
        return None
    axis = d.int(1, t.rank)
    more: dict[str, Any] = {
        "ops.roll": {"shift": d.int(-2, 2), "axis": axis},
        "ops.repeat": {"repeats": d.int(1, 2), "axis": axis},
        "ops.concatenate": {"inputs": [t.ref, t.ref], "axis": axis},
        "ops.stack": {"inputs": [t.ref, t.ref], "axis": axis},
        "ops.swapaxes": {"axis1": axis, "axis2": d.int(1, t.rank)},
        "ops.take": {"inputs": [t.ref, d.one(0, [0, 0])], "axis": axis},
    }
    return more.get(name, {"axis": axis})
