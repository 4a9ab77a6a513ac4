"""Random arguments for operations of numbers, shapes and axes, so that their values stay finite.

Where an operation needs other values than there are, nodes stand ``before`` it: a logarithm gets positive numbers.
``after`` it nodes join what has no batch axis with the value again. Names in them are written ``@``.
"""

from __future__ import annotations

from typing import Any

from trust.drawn import Args, Drawing, Tensor, draws


def ops(names: str) -> list[str]:
    return [f"ops.{name}" for name in names.split()]


EACH = ops("""
    abs absolute negative square sin cos tanh arctan arcsinh erf deg2rad rad2deg isnan isinf isfinite isposinf isneginf real
    copy zeros_like ones_like full_like fabs erfc sinc nan_to_num stop_gradient cast clip ravel flipud
    relu relu6 leaky_relu elu celu selu hard_tanh soft_shrink tanh_shrink sigmoid hard_sigmoid sparse_sigmoid log_sigmoid
    silu swish hard_silu hard_swish gelu softsign softplus sparse_plus squareplus
""")
NARROW = {
    "positive": ops("sqrt rsqrt reciprocal log log2 log10 cbrt lgamma digamma"),
    "unit": ops("arcsin arccos arctanh tan exp exp2 expm1 sinh cosh log1p"),
    "large": ops("arccosh"),
}
"""Those that are finite, and whose slope is, for some numbers only."""
PAIRS = ops("add subtract multiply maximum minimum fmax fmin logaddexp logaddexp2 heaviside isclose") + ops("""
    equal not_equal greater greater_equal less less_equal logical_and logical_or logical_xor floor_divide mod fmod isin
""")
DIVIDED = ops("divide true_divide divide_no_nan arctan2 hypot power ldexp")
JUMPS = {
    *ops("sign ceil floor trunc round logical_not heaviside isclose isin floor_divide mod fmod hard_shrink threshold"),
    *ops(
        "equal not_equal greater greater_equal less less_equal logical_and logical_or logical_xor any all count_nonzero"
    ),
    *ops("argmax argmin argsort top_k digitize searchsorted take_along_axis in_top_k select where cast"),
    *("onnx.Floor", "onnx.Greater", "onnx.Where"),
}
"""What a rounding error may change by far: they take values that have none."""
EXACT = JUMPS | {
    *ops("abs absolute fabs negative maximum minimum max min amax amin relu copy real zeros_like ones_like full_like"),
    *ops("flip fliplr roll sort repeat concatenate stack swapaxes expand_dims take reshape transpose moveaxis squeeze"),
    *ops("tile pad append hstack broadcast_to split unstack diagonal slice tril triu clip isnan isinf isfinite"),
}
"""Operations without a rounding error of their own."""
REDUCTIONS = ops("""
    sum mean max min amax amin var any all argmax argmin logsumexp count_nonzero prod nansum nanmean nanprod nanvar nanmax
    nanmin ptp moments median quantile percentile trapezoid average
""")
ROOTS = ops("std nanstd norm")
ALONG = ops("""
    flip roll sort argsort cumsum nancumsum repeat concatenate append stack swapaxes expand_dims squeeze take diff softmax
    log_softmax sparsemax normalize layer_normalization rms_normalization top_k tril triu hstack fliplr tile pad
    moveaxis transpose digitize searchsorted take_along_axis select where slice slice_update associative_scan
""")
SIZED = ops("split unstack glu diagonal trace reshape broadcast_to vstack extract_sequences stft")
PRODUCTS = ops("matmul dot inner tensordot einsum cdist cross outer vdot")
MORE: dict[str, Args] = {
    "ops.full_like": {"fill_value": 0.5},
    "ops.cast": {"dtype": "int64"},
    "ops.clip": {"x_min": -1, "x_max": 1.5},
    "ops.round": {"decimals": 1},
    "ops.threshold": {"threshold": 0.1, "default_value": -0.5},
}


def fits(name: str, t: Tensor) -> bool:
    """Whether it is numbers, and exact where the operation jumps."""
    return t.plain and t.dtype != "bool" and (t.exact or name not in JUMPS)


def narrow(kind: str, ref: str) -> list[Args]:
    """Nodes that make finite numbers of any: in (-0.9, 0.9), in (0.5, 1.5) or in (1.2, 2.2)."""
    nodes: list[Args] = [{"name": "@t", "type": "ops.tanh", "inputs": ref}]
    if kind == "unit":
        return [*nodes, {"name": "@n", "type": "ops.multiply", "inputs": ["@t", 0.9]}]
    least = 0.5 if kind == "positive" else 1.2
    square = {"name": "@s", "type": "ops.square", "inputs": "@t"}
    return [*nodes, square, {"name": "@n", "type": "ops.add", "inputs": ["@s", least]}]


def weights(name: str, shape: list[int]) -> Args:
    return {"name": name, "type": "Parameter", "shape": shape, "initializer": "GlorotUniform", "inputs": []}


def joins(ref: str) -> list[Args]:
    """Nodes that bring a value without a batch axis into ``ref``."""
    mean = {"name": "@m", "type": "ops.mean", "inputs": "@"}
    return [mean, {"name": "@j", "type": "ops.add", "inputs": [ref, "@m"]}]


@draws(*EACH, *ops("sign ceil floor trunc round logical_not hard_shrink threshold"))
def each(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.plain or (t.dtype == "bool" and name in ("ops.ravel", "ops.flipud")) or (name in JUMPS and not t.exact):
        return None
    if name in ("ops.ravel", "ops.flipud"):  # they know no rows
        return {"before": [weights("@w", [2, 3])], "inputs": "@w", "after": joins(t.ref)} if t.is_float else None
    return MORE.get(name, {})


@draws(*(name for names in NARROW.values() for name in names))
def narrowed(d: Drawing, t: Tensor, name: str) -> Args | None:
    kind = next(kind for kind, names in NARROW.items() if name in names)
    return {"before": narrow(kind, t.ref), "inputs": "@n"} if fits(name, t) else None


@draws(*PAIRS)
def pair(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not fits(name, t):
        return None
    whole = 2 if not t.is_float else 0.5
    if name in ("ops.floor_divide", "ops.mod", "ops.fmod"):
        return {"inputs": [t.ref, d.one(whole, 4 * whole)]}
    if name == "ops.isin":
        return {"inputs": [t.ref, [1, 2, 0]]}
    others = d.others(lambda o: o.shape == t.shape and o.dtype == t.dtype and fits(name, o))
    second = d.among(others).ref if others and d.chance(0.6) else d.one(0.5, -1, 2)
    return {"inputs": d.one([t.ref, second], [second, t.ref])}


@draws(*DIVIDED)
def divided(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not fits(name, t):
        return None
    base, exponent = [t.ref, "@n"], d.one(0.5, 2, -1, 1.5)
    inputs = {"ops.power": ["@n", exponent], "ops.hypot": d.one(base, ["@n", 0.5])}.get(name, base)
    return {"before": narrow("unit" if name == "ops.ldexp" else "positive", t.ref), "inputs": inputs}


@draws(*REDUCTIONS, *ROOTS)
def reduction(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not fits(name, t) or not t.rank:
        return None
    axis = d.int(1, t.rank)
    size = t.shape[axis - 1]
    args: Args = {"axes" if name == "ops.moments" else "axis": axis}
    if name not in ("ops.count_nonzero", "ops.trapezoid", "ops.average"):
        args |= d.some(keepdims=True)
    if name in ROOTS:  # a root has no slope at 0, which equal numbers give
        if not (t.fresh and t.exact and t.is_float) or not isinstance(size, int) or size < 3:
            return None
        order = {"ord": d.one(1, 2)} if name == "ops.norm" and d.chance(0.5) else {}
        scale = {"name": "@w", "type": "Parameter", "shape": [1], "initializer": "ones", "inputs": []}
        scaled = {"name": "@s", "type": "ops.multiply", "inputs": [t.ref, "@w"]}
        return {"before": [scale, scaled], "inputs": "@s", **args, **order}
    if name in ("ops.prod", "ops.nanprod") and not t.is_float:
        return None
    if name in ("ops.median", "ops.quantile", "ops.percentile"):
        if not isinstance(size, int):
            return None
        whole = 1 if name == "ops.quantile" else 100
        part = {} if name == "ops.median" else {"q": d.one(0.5, 0.25, 0.9) * whole}
        return args | part | ({"method": d.one("linear", "lower", "midpoint")} if part else {})
    if name == "ops.average" and isinstance(size, int) and d.chance(0.5):
        args["inputs"] = [t.ref, [d.number(0.5, 2) for _ in range(size)]]
    return args


@draws(*ALONG)
def along(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not fits(name, t) or not t.rank:
        return None
    axis, size = d.int(1, t.rank), 1
    if isinstance(t.shape[axis - 1], int):
        size = int(t.shape[axis - 1])
    elif name in ("ops.diff", "ops.top_k", "ops.hstack", "ops.slice_update"):
        return None
    last = t.shape[-1] if isinstance(t.shape[-1], int) else 1
    if (name in ("ops.tril", "ops.triu") and t.rank < 2) or (name == "ops.diff" and size < 2):
        return None
    order = d.random.sample(range(1, t.rank + 1), t.rank)
    ones, place = [0] * t.rank, [0] * (t.rank + 1)
    place[axis] = d.int(0, size - 1)
    sizes = [-1] * (t.rank + 1)
    sizes[axis] = 1
    piece = {"name": "@p", "type": "ops.take", "inputs": [t.ref, [0]], "axis": axis}
    more: dict[str, Args] = {
        "ops.roll": {"shift": d.int(-2, 2), "axis": axis},
        "ops.repeat": {"repeats": d.int(1, 2), "axis": axis},
        "ops.concatenate": {"inputs": [t.ref, t.ref], "axis": axis},
        "ops.append": {"inputs": [t.ref, t.ref], "axis": axis},
        "ops.hstack": {"inputs": [t.ref, t.ref]},
        "ops.fliplr": {},
        "ops.stack": {"inputs": [t.ref, t.ref], "axis": axis},
        "ops.swapaxes": {"axis1": axis, "axis2": d.int(1, t.rank)},
        "ops.moveaxis": {"source": axis, "destination": d.int(1, t.rank)},
        "ops.transpose": {"axes": [0, *order]},
        "ops.take": {"inputs": [t.ref, d.one(0, [0, 0])], "axis": axis},
        "ops.squeeze": {"before": [{**piece, "name": "@s"}], "inputs": "@s", "axis": axis},
        "ops.diff": {"axis": axis},
        "ops.top_k": {"k": d.int(1, last)},
        "ops.tril": {"k": d.int(-1, 1)},
        "ops.triu": {"k": d.int(-1, 1)},
        "ops.tile": {"repeats": [1, *(d.int(1, 2) for _ in ones)]},
        "ops.pad": {"pad_width": [[0, 0], *([d.int(0, 1), d.int(0, 1)] for _ in ones)], **d.some(mode="edge")},
        "ops.digitize": {"bins": [-1, 0.5, 2]},
        "ops.searchsorted": {"inputs": [[-1, 0.5, 2], t.ref], **d.some(side="right")},
        "ops.take_along_axis": {
            "before": [{"name": "@a", "type": "ops.argsort", "inputs": t.ref, "axis": axis}],
            "inputs": [t.ref, "@a"],
            "axis": axis,
        },
        "ops.associative_scan": {
            "before": [{"name": "@a", "type": "ops.tanh", "inputs": t.ref}],  # no larger than 1, else it grows
            "inputs": ["@a", t.ref],
            "axis": axis,
            **d.some(reverse=True),
        },
        "ops.where": {"before": [_positive(t)], "inputs": ["@c", t.ref, d.one(0.5, 2)]},
        "ops.select": {"before": [_positive(t)], "inputs": ["@c", "@c", t.ref, d.one(0.5, 2)]},
        "ops.slice": {"start_indices": place, "shape": sizes},
        "ops.slice_update": {"before": [piece], "inputs": [t.ref, "@p"], "start_indices": place},
    }
    if name == "ops.normalize":
        return {"axis": axis, **d.some(order=1)} if t.fresh else None
    return more.get(name, {"axis": axis})


def _positive(t: Tensor) -> Args:
    return {"name": "@c", "type": "ops.greater", "inputs": [t.ref, 0]}


@draws(*SIZED)
def sized(d: Drawing, t: Tensor, name: str) -> Args | None:
    last = t.features
    if not fits(name, t) or last is None:
        return None
    if name == "ops.vstack":  # it knows no rows
        return (
            {"before": [weights("@w", [2, 3])], "inputs": ["@w", "@w"], "after": joins(t.ref)} if t.is_float else None
        )
    if name in ("ops.diagonal", "ops.trace"):
        matrix = t.rank >= 2 and isinstance(t.shape[-2], int)
        return {"axis1": -2, "axis2": -1} if matrix else None
    if name == "ops.broadcast_to":
        wide = [{"name": "@e", "type": "ops.expand_dims", "inputs": t.ref, "axis": 1}]
        return {"before": wide, "inputs": "@e", "shape": [-1, d.int(1, 3), *([-1] * t.rank)]}
    if name == "ops.stft":
        if last < 3:
            return None
        length = d.int(2, last - 1)
        window = {"sequence_length": length, "sequence_stride": d.int(1, 2), "fft_length": length}
        return window | d.some(window="hamming", center=False)
    if name == "ops.glu" and (last % 2 or not t.is_float):
        return None
    if name == "ops.reshape" and not t.fixed:
        return None
    halves = {"indices_or_sections": 2 if last % 2 == 0 and d.chance(0.5) else [d.int(0, last)], "axis": -1}
    more: dict[str, Args] = {
        "ops.split": halves,
        "ops.unstack": {"axis": -1},
        "ops.glu": {},
        "ops.reshape": {"newshape": d.one([-1, t.size], [-1, 1, *t.shape], [-1, *reversed(t.shape)])},
        "ops.extract_sequences": {"sequence_length": d.int(1, last), "sequence_stride": d.int(1, 2)},
    }
    if name == "ops.split" and halves["indices_or_sections"] in ([0], [last]):  # no part is empty
        return None
    return more[name]


@draws(*PRODUCTS)
def product(d: Drawing, t: Tensor, name: str) -> Args | None:
    size = t.features
    if not t.plain or not t.is_float or size is None:
        return None
    wide, tall = weights("@w", [size, d.int(1, 3)]), weights("@w", [d.int(1, 3), size])
    letters = "abcdef"[: t.rank]
    if name in ("ops.outer", "ops.vdot"):  # they know no rows
        return {"before": [weights("@w", [2, 3])], "inputs": ["@w", "@w"], "after": joins(t.ref)}
    if name == "ops.cross":
        three = [{"name": "@p", "type": "ops.take", "inputs": [t.ref, [0, 0, 0]], "axis": -1}]
        return {"before": three, "inputs": ["@p", [d.number(-1, 1) for _ in range(3)]]}
    more: dict[str, Any] = {
        "ops.inner": {"before": [tall]},
        "ops.cdist": {"before": [tall]},
        "ops.tensordot": {"before": [wide], "axes": d.one(1, [[-1], [0]])},
        "ops.einsum": {"before": [wide], "subscripts": f"n{letters}, {letters[-1]}z -> n{letters[:-1]}z"},
    }
    if name == "ops.cdist" and t.rank < 2:
        return None
    return {"inputs": [t.ref, "@w"], **more.get(name, {"before": [wide]})}


@draws("GetItem")
def item(d: Drawing, t: Tensor) -> Args | None:
    last = t.features
    if last is None:
        return None
    parts = ["None", "::2", f"{-last}:", f"-1:{-last - 1}:-1", *(["0", str(-last)] if t.rank > 1 else [])]
    return {"key": f"[..., {d.one(*parts)}]"}
