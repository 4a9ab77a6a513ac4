"""Plain JAX: one jitted step, its state donated."""

# mypy: ignore-errors, because JAX need not be installed

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.contenders.base import Contender

if TYPE_CHECKING:
    from benchmarks.workload import Node, Workload

BLOCK = 8
"""Steps between two waits: JAX runs ahead of Python."""
ACTIVATIONS = {None: lambda x: x, "relu": jax.nn.relu}
Params = dict[str, jax.Array]


def convolve(x: jax.Array, kernel: jax.Array, node: Node) -> jax.Array:
    a = node.arguments
    dims, padding = ("NHWC", "HWIO", "NHWC"), a.get("padding", "valid").upper()
    return lax.conv_general_dilated(x, kernel, a.get("strides", [1, 1]), padding, dimension_numbers=dims)


def max_pool(x: jax.Array, node: Node) -> jax.Array:
    size = node.arguments.get("pool_size", [2, 2])
    strides, padding = node.arguments.get("strides", size), node.arguments.get("padding", "valid").upper()
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *size, 1), (1, *strides, 1), padding)


def normalize(x: jax.Array, p: Params) -> tuple[jax.Array, Params]:
    mean = x.mean((0, 1, 2))
    var = jnp.square(x).mean((0, 1, 2)) - jnp.square(mean)
    y = (x - mean) * (lax.rsqrt(var + 1e-3) * p["gamma"]) + p["beta"]
    seen = {"moving_mean": mean, "moving_variance": var}
    return y, {k: 0.99 * p[k] + 0.01 * lax.stop_gradient(v) for k, v in seen.items()}


def lstm(x: jax.Array, p: Params) -> jax.Array:
    units = p["recurrent_kernel"].shape[0]

    def step(state: tuple[jax.Array, jax.Array], given: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        h, c = state
        i, f, g, o = jnp.split(given + h @ p["recurrent_kernel"], 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((x.shape[0], units))
    given = jnp.swapaxes(x, 0, 1) @ p["kernel"] + p["bias"]
    return lax.scan(step, (zeros, zeros), given)[0][0]


def apply(  # noqa: C901 (a case a layer)
    nodes: list[Node], weights: dict[str, Params], x: Any
) -> tuple[jax.Array, dict[str, Params]]:
    """The head's logits, and the new moving statistics."""
    values, statistics = {"x": x}, {}
    for node in nodes:
        first, p = values[node.inputs[0]], weights.get(node.name, {})
        match node.type:
            case "Dense" if isinstance(first, tuple):  # ids, and 1 where one comes first in its text
                y = jnp.einsum("ntd,nt->nd", p["kernel"][first[0]], first[1]) + p["bias"]
            case "Dense":
                y = first @ p["kernel"] + p["bias"]
            case "Conv2D":
                y = convolve(first, p["kernel"], node) + p.get("bias", 0.0)
            case "BatchNormalization":
                y, statistics[node.name] = normalize(first, p)
            case "ReLU":
                y = jax.nn.relu(first)
            case "MaxPooling2D":
                y = max_pool(first, node)
            case "Flatten":
                y = first.reshape(len(first), -1)
            case "GlobalAveragePooling2D":
                y = first.mean((1, 2))
            case "Add":
                y = sum(values[i] for i in node.inputs)
            case "Concatenate":
                y = jnp.concatenate([values[i] for i in node.inputs], -1)
            case "Embedding":
                y = p["embeddings"][first]
            case "LSTM":
                y = lstm(first, p)
            case "CategoryEncoding":
                y = first
            case _:
                raise NotImplementedError(node.type)
        if node.type in ("Dense", "Conv2D"):
            y = ACTIVATIONS[node.arguments.get("activation")](y)
        values[node.name] = y
    return y, statistics


def loss_of(kind: str, z: jax.Array, y: jax.Array) -> jax.Array:
    match kind:
        case "sparse":
            return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1).mean()
        case "binary":
            return (jax.nn.softplus(z) - z * y[:, None]).mean()
        case _:
            return jnp.square(z - y).mean()


def update(about: dict[str, Any], t: jax.Array, w: jax.Array, g: jax.Array, slots: tuple[jax.Array, ...]) -> Any:
    """One weight after a step, and its slots."""
    lr = about["learning_rate"]
    match about["type"]:
        case "RMSprop":
            v = about["rho"] * slots[0] + (1 - about["rho"]) * g * g
            return w - lr * g * lax.rsqrt(v + about["epsilon"]), (v, slots[1])
        case "Adam":
            b1, b2 = about["beta_1"], about["beta_2"]
            m, v = b1 * slots[0] + (1 - b1) * g, b2 * slots[1] + (1 - b2) * g * g
            rate = lr * jnp.sqrt(1 - b2**t) / (1 - b1**t)
            return w - rate * m / (jnp.sqrt(v) + about["epsilon"]), (m, v)
        case _:
            m = about["momentum"] * slots[0] - lr * g
            return w + m, (m, slots[1])


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def train(network: Network, weights: dict[str, Params], slots: Any, t: jax.Array, x: Any, y: jax.Array) -> Any:
    def objective(trained: dict[str, Params]) -> Any:
        z, statistics = apply(network.nodes, {n: weights[n] | p for n, p in trained.items()}, x)
        return loss_of(network.loss, z, y), statistics

    trained = {n: {k: w for k, w in p.items() if not k.startswith("moving_")} for n, p in weights.items()}
    (loss, statistics), gradients = jax.value_and_grad(objective, has_aux=True)(trained)
    new = {
        n: {k: update(network.optimizer, t, w, gradients[n][k], slots[n][k]) for k, w in p.items()}
        for n, p in trained.items()
    }
    weights = {n: {k: w for k, (w, _) in p.items()} | statistics.get(n, {}) for n, p in new.items()}
    return weights, {n: {k: s for k, (_, s) in p.items()} for n, p in new.items()}, loss


class Network:
    """What the step is compiled for; equal only to itself."""

    def __init__(self, workload: Workload) -> None:
        self.nodes, self.loss, self.optimizer = workload.nodes, workload.loss, workload.optimizer


class Loop(Contender):
    """Steps over batches that are JAX's arrays already."""

    version = jax.__version__

    def __init__(self, workload: Workload) -> None:
        self.workload, self.network = workload, Network(workload)
        self.batches = [self._batch(workload.rows(k)) for k in range(workload.batches)]
        self.restore()

    def _batch(self, rows: slice) -> Any:
        w = self.workload
        x, y = w.x[rows], jnp.asarray(w.y[rows])
        if w.nodes[0].type == "CategoryEncoding":
            order = np.sort(x, axis=1)
            new = np.diff(order, axis=1, prepend=-1) != 0
            return (jnp.asarray(order), jnp.asarray(new.astype(np.float32))), y
        return jnp.asarray(x.astype(np.float32) if x.dtype == bool else x), y

    def restore(self) -> None:
        w = self.workload
        self.weights = {n.name: p for n in w.nodes if (p := {k: jnp.array(a) for k, a in w.of(n).items()})}
        trained = {n: {k: a for k, a in p.items() if not k.startswith("moving_")} for n, p in self.weights.items()}
        # SGD and RMSprop have one slot; the other is empty.
        one = w.optimizer["type"] != "Adam"
        pair = lambda a: (jnp.zeros_like(a), jnp.zeros(0) if one else jnp.zeros_like(a))  # noqa: E731
        self.slots = {n: {k: pair(a) for k, a in p.items()} for n, p in trained.items()}
        self.count = 0

    def _step(self) -> jax.Array:
        x, y = self.batches[self.count % len(self.batches)]
        self.count += 1
        step = np.float32(self.count)
        self.weights, self.slots, loss = train(self.network, self.weights, self.slots, step, x, y)
        return loss

    def losses(self, count: int) -> list[float]:
        return [float(self._step()) for _ in range(count)]

    def steps(self, warm: int, count: int) -> list[float]:
        times, before = [], -(-warm // BLOCK)
        for _ in range(before + -(-count // BLOCK)):
            start = time.perf_counter()
            for _ in range(BLOCK):
                loss = self._step()
            loss.block_until_ready()
            times.append((time.perf_counter() - start) / BLOCK)
        return times[before:]


def start(workload: Workload) -> Loop:
    return Loop(workload)
