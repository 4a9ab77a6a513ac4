"""Random arguments for operations of networks, images and segments, and for some operators of ONNX."""

from __future__ import annotations

from trust.drawn import Args, Drawing, Tensor, draws
from trust.drawn_operations import JUMPS, fits, joins, narrow, ops, weights

POOLS = ops("max_pool average_pool adaptive_max_pool adaptive_average_pool")
CONVOLUTIONS = ops("conv depthwise_conv separable_conv conv_transpose")
IMAGES = ops("image.resize image.rgb_to_grayscale image.pad_images image.crop_images image.extract_patches")
BLOCKS = ops("depth_to_space space_to_depth")
IDS = ops("one_hot multi_hot in_top_k sparse_categorical_crossentropy")
PROBABILITIES = ops("binary_crossentropy categorical_crossentropy")
SEGMENTS = ops("segment_sum segment_max segment_min")


@draws(*POOLS)
def pool(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.plain or not t.is_float or not 2 <= t.rank <= 4 or t.features is None:
        return None
    if "adaptive" in name:
        return {"output_size": d.int(1, 2)} if t.fixed else None
    return {"pool_size": 2, "padding": "same", **d.some(strides=1)}


@draws(*CONVOLUTIONS)
def convolution(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.plain or not t.is_float or not 2 <= t.rank <= 4 or t.features is None:
        return None
    size, into, out = [d.int(1, 2)] * (t.rank - 1), t.features, d.int(1, 3)
    into_last = {"ops.conv": [into, out], "ops.conv_transpose": [out, into]}.get(name, [into, d.int(1, 2)])
    kernels = [weights("@w", [*size, *into_last])]
    if name == "ops.separable_conv":
        kernels.append(weights("@v", [*([1] * len(size)), into * into_last[1], out]))
    return {"before": kernels, "inputs": [t.ref, *(k["name"] for k in kernels)], "padding": "same", **d.some(strides=2)}


@draws(*IMAGES)
def image(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.plain or not t.is_float or t.rank != 3 or not t.fixed or t.size > 200:
        return None
    height, width = (int(n) for n in t.shape[:2])
    if name == "ops.image.rgb_to_grayscale":
        colours = {"name": "@p", "type": "ops.take", "inputs": [t.ref, [0, 0, 0]], "axis": -1}
        return {"before": [colours], "inputs": "@p"}
    top, less = d.int(0, height - 1), d.int(0, width - 1)
    padded = {"top_padding": 1, "bottom_padding": d.int(0, 2), "left_padding": 0, "target_width": width + 1}
    cropped = {"top_cropping": top, "bottom_cropping": 0, "left_cropping": 0, "target_width": width - less}
    more: dict[str, Args] = {
        "ops.image.resize": {"size": [d.int(1, 6), d.int(1, 6)], **d.some(antialias=True)},
        "ops.image.pad_images": padded,
        "ops.image.crop_images": cropped,
        "ops.image.extract_patches": {"size": [d.int(1, height), d.int(1, width)], **d.some(padding="same", strides=1)},
    }
    return more[name]


@draws(*BLOCKS)
def blocks(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.plain or t.dtype == "bool" or t.rank != 3 or not t.fixed:
        return None
    height, width, channels = (int(n) for n in t.shape)
    fit = channels % 4 == 0 if name == "ops.depth_to_space" else height % 2 == width % 2 == 0
    return {"block_size": 2 if fit else 1}


@draws(*IDS)
def ids(d: Drawing, t: Tensor, name: str) -> Args | None:
    if name in ("ops.one_hot", "ops.multi_hot"):
        if t.ids is None or not t.plain or t.dtype == "bool" or (name == "ops.multi_hot" and t.rank != 1):
            return None
        return {"num_classes": t.ids + d.int(-1, 2)} if t.rank <= 2 else None
    if not t.is_float or t.features is None or not t.exact or (t.rank != 1 and name == "ops.in_top_k"):
        return None
    target = {"name": "@a", "type": "ops.argmax", "inputs": t.ref, "axis": -1}
    if name == "ops.in_top_k":
        return {"before": [target], "inputs": ["@a", t.ref], "k": d.int(1, t.features)}
    logits = {"name": "@l", "type": "Dense", "units": t.features, "inputs": t.ref}
    return {"before": [target, logits], "inputs": ["@a", "@l"], "from_logits": True}


@draws(*PROBABILITIES)
def probabilities(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not t.plain or not t.is_float or t.features is None:
        return None
    activation = "ops.sigmoid" if name == "ops.binary_crossentropy" else "ops.softmax"
    bounded = narrow("unit", t.ref)
    made = [*bounded, {"name": "@a", "type": activation, "inputs": "@n"}]
    return {"before": made, **d.one({"inputs": ["@a", "@a"]}, {"inputs": ["@a", "@n"], "from_logits": True})}


@draws("ops.batch_normalization")
def normalization(d: Drawing, t: Tensor) -> Args | None:
    if not t.plain or not t.is_float or t.features is None:
        return None
    mean, variance = [d.number(-1, 1) for _ in range(t.features)], [d.number(0.5, 2) for _ in range(t.features)]
    return {
        "before": [weights("@w", [t.features])],
        "inputs": [t.ref, mean, variance, d.one("@w", None), "@w"],
        "axis": -1,
    }


@draws("ops.dot_product_attention")
def attention(d: Drawing, t: Tensor) -> Args | None:
    if not t.plain or not t.is_float or t.rank != 2 or t.features is None:
        return None
    heads = {"name": "@h", "type": "ops.expand_dims", "inputs": t.ref, "axis": 2}
    return {"before": [heads], "inputs": ["@h", "@h", "@h"], **d.some(is_causal=True, scale=0.5)}


@draws(*SEGMENTS)
def segments(d: Drawing, t: Tensor) -> Args | None:
    """Of values without a batch axis: sums over rows of the batch are none of a row."""
    if not t.plain or not t.is_float:
        return None
    return {"before": [weights("@w", [4, 2])], "inputs": ["@w", [1, 0, 1, 2]], "num_segments": 3, "after": joins(t.ref)}


# Operators of ONNX

ALIKE = ("Abs", "Neg", "Tanh", "Sigmoid", "Relu", "Erf", "Floor", "Softsign")
TWO = ("Add", "Sub", "Mul", "Max", "Min", "Greater")
REDUCED = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSumSquare")
OTHERS = ("Transpose", "Concat", "Gather", "Softmax", "LogSoftmax", "Where", "Clip", "Exp", "Unsqueeze")
OPERATORS = [f"onnx.{name}" for name in (*ALIKE, *TWO, *REDUCED, *OTHERS)]


@draws(*OPERATORS)
def operator(d: Drawing, t: Tensor, name: str) -> Args | None:
    if not fits(name, t) or not t.is_float or not t.rank:
        return None
    kind, axis = name.removeprefix("onnx."), d.int(1, t.rank)
    if kind in ALIKE:
        return {}
    if kind in TWO:
        others = d.others(lambda o: o.shape == t.shape and o.is_float and (o.exact or name not in JUMPS))
        return {"inputs": [t.ref, d.among(others).ref if others and d.chance(0.5) else 0.5]}
    if kind in REDUCED:
        axes: Args = {"inputs": [t.ref, [axis]]} if kind == "ReduceSum" else {"axes": [axis]}
        return axes | d.some(keepdims=0)
    greater = {"name": "@c", "type": "onnx.Greater", "inputs": [t.ref, 0.0]}
    more: dict[str, Args] = {
        "Transpose": {"perm": [0, *d.random.sample(range(1, t.rank + 1), t.rank)]},
        "Concat": {"inputs": [t.ref, t.ref], "axis": axis},
        "Gather": {"inputs": [t.ref, d.one(0, [0, 0])], "axis": axis},
        "Softmax": {"axis": axis},
        "LogSoftmax": {"axis": axis},
        "Where": {"before": [greater], "inputs": ["@c", t.ref, 0.5]},
        "Clip": {"inputs": d.one([t.ref, -1.0, 1.0], [t.ref, None, 0.5])},
        "Exp": {"before": narrow("unit", t.ref), "inputs": "@n"},
        "Unsqueeze": {"inputs": [t.ref, [axis]]},
    }
    return more[kind]
