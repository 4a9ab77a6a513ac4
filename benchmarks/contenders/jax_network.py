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
}
Params = dict[str, jax.Array]


def convolve(x: jax.Array, kernel: jax.Array, node: Node) -> jax.Array:
    a = node.arguments
    pads, groups = a.get("padding", "valid").upper(), 1
    if node.type == "DepthwiseConv2D":
        kernel, groups = kernel.swapaxes(2, 3), x.shape[-1]
    dims = ("NHWC", "HWIO", "NHWC") if x.ndim == 4 else ("NWC", "WIO", "NWC")
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
        x, kernel, node.arguments["strides"], "VALID", dimension_numbers=dims, transpose_kernel=True
    )


def max_pool(x: jax.Array, node: Node) -> jax.Array:
    size = node.arguments.get("pool_size", [2, 2])
    strides, padding = node.arguments.get("strides", size), node.arguments.get("padding", "valid").upper()
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *size, 1), (1, *strides, 1), padding)


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


def gru(x: jax.Array, p: Params, sequences: bool) -> jax.Array:
    def step(h: jax.Array, given: jax.Array) -> tuple[jax.Array, Any]:
        own = h @ p["recurrent_kernel"] + p["bias"][1]
        (xz, xr, xh), (hz, hr, hh) = jnp.split(given, 3, axis=1), jnp.split(own, 3, axis=1)
        z = jax.nn.sigmoid(xz + hz)
        h = z * h + (1 - z) * jnp.tanh(xh + jax.nn.sigmoid(xr + hr) * hh)
        return h, h if sequences else None

    zeros = jnp.zeros((x.shape[0], p["recurrent_kernel"].shape[0]))
    last, all_ = lax.scan(step, zeros, jnp.swapaxes(x, 0, 1) @ p["kernel"] + p["bias"][0])
    return jnp.swapaxes(all_, 0, 1) if sequences else last


def bidirectional(x: jax.Array, p: Params) -> jax.Array:
    ways = ({k.removeprefix(way): a for k, a in p.items() if k.startswith(way)} for way in ("forward/", "backward/"))
    forward, backward = ways
    return jnp.concatenate([lstm(x, forward, True), lstm(x[:, ::-1], backward, True)[:, ::-1]], -1)


def attend(x: jax.Array, p: Params) -> jax.Array:
    q, k, v = (jnp.einsum("btf,fhd->bthd", x, p[f"{n}/kernel"]) + p[f"{n}/bias"] for n in ("query", "key", "value"))
    y = jax.nn.dot_product_attention(q, k, v)
    return jnp.einsum("bthd,hdf->btf", y, p["attention_output/kernel"]) + p["attention_output/bias"]


def apply(  # noqa: C901 (a case a layer)
    nodes: list[Node], weights: dict[str, Params], inputs: dict[str, Any]
) -> tuple[jax.Array, dict[str, Params]]:
    """The head's logits, and the new moving statistics."""
    values, statistics = dict(inputs), {}
    for node in nodes:
        first, p, a = values[node.inputs[0]], weights.get(node.name, {}), node.arguments
        match node.type:
            case "Dense" if isinstance(first, tuple):  # ids, and 1 where one comes first in its text
                y = jnp.einsum("ntd,nt->nd", p["kernel"][first[0]], first[1]) + p["bias"]
            case "Dense":
                y = first @ p["kernel"] + p.get("bias", 0.0)
            case "Conv1D" | "Conv2D" | "DepthwiseConv2D":
                y = convolve(first, p["kernel"], node) + p.get("bias", 0.0)
            case "Conv2DTranspose":
                y = upsample(first, p["kernel"], node) + p["bias"]
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
            case "MaxPooling2D":
                y = max_pool(first, node)
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
            case "GlobalMaxPooling1D":
                y = first.max(1)
            case "Add":
                y = sum(values[i] for i in node.inputs)
            case "Multiply":
                y = first * values[node.inputs[1]]
            case "Concatenate":
                y = jnp.concatenate([values[i] for i in node.inputs], -1)
            case "Embedding":
                y = p["embeddings"][first]
            case "MultiHeadAttention":
                y = attend(first, p)
            case "LSTM":
                y = lstm(first, p, a.get("return_sequences", False))
            case "GRU":
                y = gru(first, p, a.get("return_sequences", False))
            case "Bidirectional":
                y = bidirectional(first, p)
            case "CategoryEncoding":
                y = first
            case _:
                raise NotImplementedError(node.type)
        if node.type in ("Dense", "Conv1D", "Conv2D"):
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
        case "binary":
            return (jax.nn.softplus(z) - z * (y if y.ndim > 1 else y[:, None])).mean()
        case "ctc":
            return ctc(z, y)
        case _:
            return jnp.square(z - y).mean()
