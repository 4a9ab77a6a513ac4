"""Tests of updates that several workers share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optimizer_layouts import LAYOUTS
from signalling import spinning, together

from graphspec.base.arrays.layout import sum_into_first
from graphspec.base.arrays.random import Clock
from graphspec.engine.parallel import machine as replicas
from graphspec.engine.parallel.machine import Place, ProcessGroup
from graphspec.engine.runtime.parameters import divide, initial_slots
from graphspec.graph.constraints import CONSTRAINTS
from graphspec.graph.initializers import Initializer
from graphspec.graph.ir.graph import Layout, Param, Segment
from graphspec.graph.kernels.context import LocalGroup
from graphspec.graph.optimizers import OPTIMIZERS, Rate, Vectors

Array = np.ndarray[Any, Any]


EXTRA: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "clipvalue": 0.5},
    "RMSprop": {"centered": True, "global_clipnorm": 1.0},
    "Adam": {"amsgrad": True, "clipnorm": 0.5, "gradient_accumulation_steps": 2},
    "AdamW": {"use_ema": True, "ema_overwrite_frequency": 2},
    "Lamb": {"global_clipnorm": 0.7, "gradient_accumulation_steps": 2},
    "Muon": {"exclude_layers": ["^bias"]},
}


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("name", OPTIMIZERS.primary())
def test_an_update_is_that_of_one_worker(name: str, size: int, constrained: bool) -> None:
    """Several workers compute the same bits as one, except after a norm over the parts of all workers."""
    optimizer = OPTIMIZERS.parse({"type": name, "learning_rate": 0.1, **EXTRA.get(name, {})})
    segments, length = list[Segment](), 0
    shapes = {"kernel": (3, 4), "filters": (2, 2, 3, 5), "bias": (4,), "last": (70,), "wide": (9, 13)}
    for key, shape in shapes.items():
        constraint = (
            CONSTRAINTS.parse({"type": "MaxNorm", "max_value": 0.7}) if constrained and key == "kernel" else None
        )
        param = Param(key, shape, Initializer(), LAYOUTS.get(key, Layout()), constraint=constraint)
        segments.append(Segment(param, length, length + param.size))
        length += param.size + (-param.size % 16)
    random = np.random.default_rng(7)
    start, used = random.standard_normal(length), np.zeros(length)
    for s in segments:
        used[s.start : s.stop] = 1
    start *= used
    gradients = random.standard_normal((4, size, length)) * used

    def run(ranks: int) -> tuple[Array, dict[str, Array]]:
        weights, slots = start.copy(), {}
        slots = initial_slots(optimizer, weights, segments)
        shared, signals = [np.zeros(length) for _ in range(ranks)], spinning(ranks)
        scratch = np.zeros((2, ranks, replicas.SCRATCH), np.uint8)

        def work(rank: int) -> None:
            clock, rate = Clock(), Rate(optimizer.learning_rate)
            group = LocalGroup() if ranks == 1 else ProcessGroup(signals[rank], scratch, Place(rank, ranks))
            partition = divide(optimizer, segments, length, ranks)
            vectors = Vectors.of_workers(weights, shared, slots, segments)
            part = vectors.part(partition.parts[rank], list(partition.summed(rank)))
            calls = optimizer.bind(part, clock, rate, group)
            for clock.step, parts in enumerate(gradients):
                total, *_ = copies = [part.copy() for part in parts]
                for f, *a in sum_into_first(copies):
                    f(*a)
                shared[rank][...] = parts[rank] if ranks > 1 else total
                if ranks > 1:
                    signals[rank].barrier()
                for f, *a in calls:
                    f(*a)
                if ranks > 1:
                    signals[rank].barrier()

        together(ranks, work)
        return weights, slots

    (one, slots), (several, others) = run(1), run(size)
    exact = optimizer.global_clipnorm is None
    for a, b in [(one, several), *((slots[key], others[key]) for key in slots)]:
        np.testing.assert_allclose(a, b, rtol=0 if exact else 1e-12, atol=0 if exact else 1e-12)
