"""Workloads made of the specs, and the least time that a step's matrix products take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.networks import ROWS, Rows, spec
from benchmarks.workload import Node, Workload

if TYPE_CHECKING:
    from graphspec.api.model import Model
    from graphspec.language.declarations import NodeDecl

LOSSES = {
    "SparseCategoricalCrossentropy": "sparse",
    "BinaryCrossentropy": "binary",
    "MeanSquaredError": "squared",
    "CTC": "ctc",
}
BYTES = 40_000_000
"""Rows of about so many bytes, so that contenders do not meet one batch for ever: its gradients would vanish."""


def rows_of(name: str, batch: int) -> Rows:
    """Rows of 16 to 64 batches, a multiple of 8: Keras runs 8 in one go."""
    x, y = ROWS[name](batch)
    size = y.nbytes + sum(a.nbytes for a in (x.values() if isinstance(x, dict) else [x]))
    return ROWS[name](batch * max(16, min(64, BYTES // size // 8 * 8)))


def prepare(name: str) -> tuple[Workload, int]:
    """A workload, and the multiply-adds of one of its training steps."""
    import graphspec as gs

    source = spec(name)
    model = gs.compile(source)
    training, head = model.spec.training, model.spec.heads["y"]
    x, y = rows_of(name, training.batch_size)
    nodes = [node_of(declared) for declared in model.spec.nodes]
    optimizer = {"type": type(training.optimizer).__name__} | training.optimizer.model_dump(
        mode="json", exclude={"groups"}
    )
    loss = LOSSES[type(head.loss).__name__]
    if loss == "sparse" and any(node.arguments.get("mask_zero") for node in nodes):
        loss = "masked"
    given, size = source if isinstance(source, dict) else str(source), training.batch_size
    inputs = x if isinstance(x, dict) else {"x": x}
    workload = Workload(name, given, nodes, loss, optimizer, size, inputs, y, model.weights)
    return workload, multiply_adds(model, workload)


def node_of(declared: NodeDecl) -> Node:
    assert declared.layer is not None
    arguments = declared.layer.model_dump(mode="json", exclude_unset=True)
    # An activation by its name, a wrapped layer with its arguments.
    arguments |= {k: v for k, v in declared.tree.plain().items() if k in ("activation", "layer")}
    kind = type(declared.layer).__name__  # of a shared node too
    return Node(declared.name, kind, [r.name for r in declared.inputs if r], arguments, declared.share)


def multiply_adds(model: Model, workload: Workload) -> int:
    """Of a step: forward, the gradient of the weights, and that of the inputs where it is wanted."""
    from graphspec.engine.compiler.check import check
    from graphspec.engine.compiler.lowered_network import cost

    _, lowered = check(workload.spec).require()
    costs = cost(model.spec, lowered, workload.batch).nodes
    total, fixed = 0, set(workload.inputs)  # values that nothing is trained for
    for node in workload.nodes:
        once, weights = costs[node.name].multiply_adds, workload.of(node)
        first = set(node.inputs) <= fixed
        if first and not weights:
            fixed.add(node.name)
        kernels = {role: w.size for role, w in weights.items() if role.endswith("kernel")}
        # A recurrent layer's state wants a gradient even where its input does not.
        spared = sum(size for role, size in kernels.items() if not role.endswith("recurrent_kernel")) if first else 0
        total += 3 * once - (once * spared // sum(kernels.values()) if spared else 0)
    return total


def rate(seconds: float = 0.5) -> float:
    """Multiply-adds a second of large float32 matrix products, the best seen."""
    n = 1536
    a = np.random.default_rng(0).random((n, n), dtype=np.float32)
    c = np.empty_like(a)
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        np.dot(a, a, out=c)
        best = min(best, time.perf_counter() - before)
    return float(n**3 / best)
