"""The layers of the networks, and their losses, as functions of JAX's arrays."""

# mypy: ignore-errors, because JAX need not be installed

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from benchmarks.workload import Node

ACTIVATIONS = {
    None: lambda x: x,
    "relu": jax.nn.relu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "softmax": jax.nn.softmax,
}
Params = dict[str, jax.Array]


def convolve(x: jax.Array, kernel: jax.Array, node: Node) -> jax.Array:
    a = node.arguments
    pads, groups = a.get("padding", "valid").upper(), 1
    if node.type == "DepthwiseConv2D":
        kernel, groups = kernel.swapaxes(2, 3), x.shape[-1]
    axes = {3: "W", 4: "HW", 5: "DHW"}[x.ndim]
    dims = f"N{axes}C", f"{axes}IO", f"N{axes}C"
    dilation = a.get("dilation_rate", [1] * (x.ndim - 2))
    if pads == "CAUSAL":
        pads = [((kernel.shape[0] - 1) * dilation[0], 0)]
    return lax.conv_general_dilated(
        x,
        kernel,
        a.get("strides", [1] * (x.ndim - 2)),
        pads,
        rhs_dilation=dilation,
        dimension_numbers=dims,
        feature_group_count=groups,
    )


def upsample(x: jax.Array, kernel: jax.Array, node: Node) -> jax.Array:
    """A transposed convolution; the kernel's last axis is the input's channels."""
    dims = ("NHWC", "HWIO", "NHWC")
    return lax.conv_transpose(
        x,
        kernel,
        node.arguments["strides"],
        node.arguments.get("padding", "valid").upper(),
        dimension_numbers=dims,
        transpose_kernel=True,
    )


def pool(x: jax.Array, node: Node) -> jax.Array:
    """The largest of each window, or the mean of those that do not overlap."""
    size = node.arguments.get("pool_size", [2] * (x.ndim - 2))
    strides, padding = node.arguments.get("strides", size), node.arguments.get("padding", "valid").upper()
    window = (1, *size, 1), (1, *strides, 1), padding
    if node.type == "AveragePooling2D":
        return lax.reduce_window(x, 0.0, lax.add, *window) / (size[0] * size[1])
    return lax.reduce_window(x, -jnp.inf, lax.max, *window)


def normalize(x: jax.Array, p: Params) -> tuple[jax.Array, Params]:
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    var = jnp.square(x).mean(axes) - jnp.square(mean)
    y = (x - mean) * (lax.rsqrt(var + 1e-3) * p["gamma"]) + p["beta"]
    seen = {"moving_mean": mean, "moving_variance": var}
    return y, {k: 0.99 * p[k] + 0.01 * lax.stop_gradient(v) for k, v in seen.items()}


def normalize_rows(x: jax.Array, p: Params, epsilon: float) -> jax.Array:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(var + epsilon) * p["gamma"] + p["beta"]


def lstm(x: jax.Array, p: Params, sequences: bool) -> jax.Array:
    units = p["recurrent_kernel"].shape[0]

    def step(state: tuple[jax.Array, jax.Array], given: jax.Array) -> tuple[tuple[jax.Array, jax.Array], Any]:
        h, c = state
        i, f, g, o = jnp.split(given + h @ p["recurrent_kernel"], 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h if sequences else None

    zeros = jnp.zeros((x.shape[0], units))
    given = jnp.swapaxes(x, 0, 1) @ p["kernel"] + p["bias"]
    (last, _), all_ = lax.scan(step, (zeros, zeros), given)
    return jnp.swapaxes(all_, 0, 1) if sequences else last


def conv_lstm(x: jax.Array, p: Params) -> jax.Array:
    """The last state: one convolution of all pictures, and one of the state in each step."""
    dims, filters = ("NHWC", "HWIO", "NHWC"), p["recurrent_kernel"].shape[2]

    def convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=dims)

    def step(state: tuple[jax.Array, jax.Array], given: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        h, c = state
        i, f, g, o = jnp.split(given + convolved(h, p["recurrent_kernel"]), 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    given = (convolved(x.reshape(-1, *x.shape[2:]), p["kernel"]) + p["bias"]).reshape(*x.shape[:4], -1)
    zeros = jnp.zeros((len(x), *x.shape[2:4], filters))
    return lax.scan(step, (zeros, zeros), jnp.swapaxes(given, 0, 1))[0][0]


def gru(x: jax.Array, p: Params, sequences: bool, there: jax.Array | None = None) -> jax.Array:
    """``there``: which steps of a row count; the state stays in the others."""

    def step(h: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, Any]:
        given, counts = now
        own = h @ p["recurrent_kernel"] + p["bias"][1]
        (xz, xr, xh), (hz, hr, hh) = jnp.split(given, 3, axis=1), jnp.split(own, 3, axis=1)
        z = jax.nn.sigmoid(xz + hz)
        new = z * h + (1 - z) * jnp.tanh(xh + jax.nn.sigmoid(xr + hr) * hh)
        h = new if there is None else jnp.where(counts[:, None], new, h)
        return h, h if sequences else None

    zeros = jnp.zeros((x.shape[0], p["recurrent_kernel"].shape[0]))
    counts = jnp.zeros(x.shape[1]) if there is None else there.T
    last, all_ = lax.scan(step, zeros, (jnp.swapaxes(x, 0, 1) @ p["kernel"] + p["bias"][0], counts))
    return jnp.swapaxes(all_, 0, 1) if sequences else last


def bidirectional(x: jax.Array, p: Params, kind: str, there: jax.Array | None) -> jax.Array:
    ways = ({k.removeprefix(way): a for k, a in p.items() if k.startswith(way)} for way in ("forward/", "backward/"))
    forward, backward = ways
    if kind == "GRU":
        back = None if there is None else there[:, ::-1]
        return jnp.concatenate([gru(x, forward, True, there), gru(x[:, ::-1], backward, True, back)[:, ::-1]], -1)
    return jnp.concatenate([lstm(x, forward, True), lstm(x[:, ::-1], backward, True)[:, ::-1]], -1)


def attend(x: jax.Array, memory: jax.Array, p: Params, causal: bool) -> jax.Array:
    given = {"query": x, "key": memory, "value": memory}
    q, k, v = (jnp.einsum("btf,fhd->bthd", a, p[f"{n}/kernel"]) + p[f"{n}/bias"] for n, a in given.items())
    y = jax.nn.dot_product_attention(q, k, v, is_causal=causal)
    return jnp.einsum("bthd,hdf->btf", y, p["attention_output/kernel"]) + p["attention_output/bias"]


def apply(  # noqa: C901 (a case a layer)
    nodes: list[Node], weights: dict[str, Params], inputs: dict[str, Any], key: jax.Array | None = None
) -> tuple[jax.Array, dict[str, Params]]:
    """The head's logits, and the new moving statistics. Without a key there is no dropout."""
    values, statistics, there = dict(inputs), {}, {}
    for k, node in enumerate(nodes):
        first, p, a = values[node.inputs[0]], weights.get(node.share or node.name, {}), node.arguments
        match node.type:
            case "Dense" if isinstance(first, tuple):  # ids, and 1 where one comes first in its text
                y = jnp.einsum("ntd,nt->nd", p["kernel"][first[0]], first[1]) + p["bias"]
            case "Dense":
                y = first @ p["kernel"] + p.get("bias", 0.0)
            case "Conv1D" | "Conv2D" | "Conv3D" | "DepthwiseConv2D":
                y = convolve(first, p["kernel"], node) + p.get("bias", 0.0)
            case "Conv2DTranspose":
                y = upsample(first, p["kernel"], node) + p.get("bias", 0.0)
            case "ZeroPadding2D":
                y = jnp.pad(first, ((0, 0), *a["padding"], (0, 0)))
            case "BatchNormalization":
                y, statistics[node.name] = normalize(first, p)
            case "LayerNormalization":
                y = normalize_rows(first, p, a["epsilon"])
            case "ReLU":
                y = jnp.clip(first, 0, a["max_value"]) if "max_value" in a else jax.nn.relu(first)
            case "Activation":
                y = ACTIVATIONS[a["activation"]](first)
            case "MaxPooling1D" | "MaxPooling2D" | "MaxPooling3D" | "AveragePooling2D":
                y = pool(first, node)
            case "Dropout":
                kept = 1 - a["rate"]
                drawn = None if key is None else jax.random.bernoulli(jax.random.fold_in(key, k), kept, first.shape)
                y = first if drawn is None else jnp.where(drawn, first / kept, 0)
            case "UpSampling2D":
                y = first.repeat(2, axis=1).repeat(2, axis=2)
            case "Flatten":
                y = first.reshape(len(first), -1)
            case "Reshape":
                y = first.reshape(len(first), *a["target_shape"])
            case "Permute":
                y = first.swapaxes(1, 2)
            case "GlobalAveragePooling2D":
                y = first.mean((1, 2), keepdims=a.get("keepdims", False))
            case "GlobalAveragePooling1D":
                y = first.mean(1)
            case "GlobalAveragePooling3D":
                y = first.mean((1, 2, 3))
            case "GlobalMaxPooling1D":
                y = first.max(1)
            case "Add":
                y = sum(values[i] for i in node.inputs)
            case "Subtract":
                y = first - values[node.inputs[1]]
            case "Multiply":
                y = first * values[node.inputs[1]]
            case "Dot":  # a factor for each row of a matrix
                y = jnp.einsum("nr,nrd->nd", first, values[node.inputs[1]])
            case "Concatenate":
                y = jnp.concatenate([values[i] for i in node.inputs], a.get("axis", -1))
            case "Embedding":
                y = p["embeddings"][first]
                if a.get("mask_zero"):
                    there[node.name] = first != 0
            case "MultiHeadAttention":
                y = attend(first, values[node.inputs[1]], p, a.get("use_causal_mask", False))
            case "ConvLSTM2D":
                y = conv_lstm(first, p)
            case "LSTM":
                y = lstm(first, p, a.get("return_sequences", False))
            case "GRU":
                y = gru(first, p, a.get("return_sequences", False))
            case "Bidirectional":
                y = bidirectional(first, p, a["layer"]["type"], there.get(node.inputs[0]))
            case "CategoryEncoding":
                y = first
            case _:
                raise NotImplementedError(node.type)
        if node.type in ("Dense", "Conv1D", "Conv2D", "Conv3D"):
            y = ACTIVATIONS[a.get("activation")](y)
        values[node.name] = y
    return y, statistics


def ctc(z: jax.Array, y: jax.Array) -> jax.Array:
    """Over the labels with blanks between them, in the log domain (Graves et al., 2006): one scan over the steps."""
    logs, size = jax.nn.log_softmax(z), (y != 0).sum(1)
    wide = jnp.zeros((y.shape[0], 2 * y.shape[1] + 1), y.dtype).at[:, 1::2].set(y)
    skips = (wide != 0) & (wide != jnp.pad(wide, ((0, 0), (2, 0)))[:, :-2])
    seen = jnp.take_along_axis(logs, jnp.broadcast_to(wide[:, None], (*logs.shape[:2], wide.shape[1])), 2)
    none = -1e30
    alpha = jnp.full(wide.shape, none).at[:, :2].set(seen[:, 0, :2])

    def step(alpha: jax.Array, emitted: jax.Array) -> tuple[jax.Array, None]:
        one = jnp.pad(alpha, ((0, 0), (1, 0)), constant_values=none)[:, :-1]
        two = jnp.where(skips, jnp.pad(alpha, ((0, 0), (2, 0)), constant_values=none)[:, :-2], none)
        return jnp.logaddexp(jnp.logaddexp(alpha, one), two) + emitted, None

    alpha, _ = lax.scan(step, alpha, seen[:, 1:].swapaxes(0, 1))
    ends = jnp.take_along_axis(alpha, jnp.stack([2 * size - 1, 2 * size], 1), 1)
    return -jnp.logaddexp(ends[:, 0], ends[:, 1]).mean()


def loss_of(kind: str, z: jax.Array, y: jax.Array) -> jax.Array:
    match kind:
        case "sparse":
            return -jnp.take_along_axis(jax.nn.log_softmax(z), y[..., None], -1).mean()
        case "masked":
            logs = jnp.take_along_axis(jax.nn.log_softmax(z), y[..., None], -1)[..., 0]
            return -(logs * (y != 0)).sum() / (y != 0).sum()
        case "binary":
            return (jax.nn.softplus(z) - z * (y if y.ndim > 1 else y[:, None])).mean()
        case "ctc":
            return ctc(z, y)
        case _:
            return jnp.square(z - y).mean()
