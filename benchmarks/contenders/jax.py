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
from benchmarks.contenders.jax_network import Params, apply, loss_of

if TYPE_CHECKING:
    from benchmarks.workload import Workload

BLOCK = 8
"""Steps between two waits: JAX runs ahead of Python."""


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
        key = jax.random.fold_in(jax.random.key(0), t.astype(int))
        z, statistics = apply(network.nodes, {n: weights[n] | p for n, p in trained.items()}, x, key)
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
        y = jnp.asarray(w.y[rows])
        if w.nodes[0].type == "CategoryEncoding":
            order = np.sort(w.x[rows], axis=1)
            new = np.diff(order, axis=1, prepend=-1) != 0
            return {"x": (jnp.asarray(order), jnp.asarray(new.astype(np.float32)))}, y
        given = {name: a[rows] for name, a in w.inputs.items()}
        return {k: jnp.asarray(a.astype(np.float32) if a.dtype == bool else a) for k, a in given.items()}, y

    def restore(self) -> None:
        w = self.workload
        self.weights = {
            n.name: p for n in w.nodes if not n.share and (p := {k: jnp.array(a) for k, a in w.of(n).items()})
        }
        trained = {n: {k: a for k, a in p.items() if not k.startswith("moving_")} for n, p in self.weights.items()}
        # SGD and RMSprop have one slot; the other is empty.
        one = w.optimizer["type"] != "Adam"

        def pair(a: jax.Array) -> tuple[jax.Array, jax.Array]:
            return jnp.zeros_like(a), jnp.zeros(0) if one else jnp.zeros_like(a)

        self.slots = {n: {k: pair(a) for k, a in p.items()} for n, p in trained.items()}
        self.count = 0

    def _step(self) -> jax.Array:
        x, y = self.batches[self.count % len(self.batches)]
        self.count += 1
        step = np.float32(self.count)
        self.weights, self.slots, loss = train(self.network, self.weights, self.slots, step, x, y)
        return loss

    def evaluated(self) -> float:
        x, y = self.batches[0]
        return float(loss_of(self.network.loss, apply(self.network.nodes, self.weights, x)[0], y))

    def trained(self, count: int) -> list[float]:
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
