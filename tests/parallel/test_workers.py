"""The parts of a group of processes, in one process: shared memory, signals, sums, and how an update is divided."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optimizer_layouts import LAYOUTS
from signalling import never, spinning, together

from graphspec.arrays.blas import one_thread
from graphspec.arrays.memory_maps import mapped, open_map
from graphspec.arrays.random import Clock
from graphspec.constraints import CONSTRAINTS
from graphspec.initializers import Initializer
from graphspec.ir.graph import Layout, Param, Segment
from graphspec.kernels.group import LocalGroup
from graphspec.optimizers import OPTIMIZERS, Rate, Vectors
from graphspec.parallel import group as replicas
from graphspec.parallel.group import ProcessGroup
from graphspec.parallel.shared_memory import allocate, attach
from graphspec.parallel.sync import Pipes, Signals
from graphspec.runtime.optimizer_state import bind_shard_update, slots_of
from graphspec.runtime.partition import divide

Array = np.ndarray[Any, Any]


def piping(size: int) -> list[Signals]:
    downs, ups = [os.pipe() for _ in range(1, size)], [os.pipe() for _ in range(1, size)]
    first = Pipes([r for r, _ in ups], [w for _, w in downs], 0, never)
    return [first, *(Pipes([down[0]], [up[1]], 1, never) for down, up in zip(downs, ups, strict=True))]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("kind", [spinning, piping])
def test_signals(kind: Callable[[int], list[Signals]], size: int) -> None:
    """Rank 0 begins a step, all meet, the others are done: nobody is ever ahead of the others."""
    signals, place = kind(size), np.zeros(size, int)
    seen: list[list[int]] = [[] for _ in range(size)]

    def work(rank: int) -> None:
        for step in range(1, 30):
            if rank == 0:
                signals[0].notify()
            else:
                signals[rank].wait()
            place[rank] = 10 * step
            signals[rank].barrier()
            seen[rank].append(int(place.min()) - 10 * step)
            signals[rank].barrier()
            place[rank] += 1
            if rank == 0:
                signals[0].wait()
                seen[0].append(int(place[1:].min()) - 10 * step - 1)
            else:
                signals[rank].notify()

    together(size, work)
    assert all(not any(values) for values in seen)


@pytest.mark.parametrize("size", [2, 3])
def test_sums_are_in_the_order_of_ranks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "SCRATCH", 256)
    random = np.random.default_rng(size)
    shapes: list[Any] = [(), (5,), (0, 3), (2, 3), (4, 50), (3, 5)]
    given = [[random.standard_normal(s).astype(np.float32) for s in shapes] for _ in range(size)]
    given = [
        [*arrays[:-1], np.asfortranarray(arrays[-1]).T.T, np.full((3, 100), rank)[:, ::2]]
        for rank, arrays in enumerate(given)
    ]
    expected = []
    for parts in zip(*given, strict=True):
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        expected.append(total)
    signals, scratch = spinning(size), np.zeros((2, size, 256), np.uint8)

    def work(rank: int) -> None:
        group = ProcessGroup(signals[rank], scratch, rank, size)
        for array in given[rank]:
            group.all_reduce(array)

    together(size, work)
    for arrays in given:
        for array, total in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(array, total)


def test_shared_memory_has_no_name_and_is_seen_by_both() -> None:
    memory = allocate({"a": ((2, 3), np.float32), "b": ((), np.int64), "none": ((0, 4), bool)})
    assert all(array.ctypes.data % 64 == 0 and not array.any() for array in memory.arrays.values())
    description = memory.description | {"handle": os.dup(memory.description["handle"])}
    other = attach(description)
    memory.arrays["a"][1, 2], other["b"][...] = 5, 7
    assert other["a"][1, 2] == 5
    assert memory.arrays["b"] == 7
    assert other["none"].shape == (0, 4)
    memory.close()
    other["a"][0, 0] = 3  # it lives as long as it is used
    assert memory.arrays["a"][0, 0] == 3


def test_more_memory_than_there_is_is_an_error() -> None:
    with pytest.raises(OSError, match=r".+"):
        allocate({"a": ((1 << 50,), np.float64)})


def test_memory_maps_are_opened_by_name(tmp_path: Path) -> None:
    rows = np.arange(24, dtype=np.float32).reshape(6, 4)
    np.save(tmp_path / "rows.npy", rows)
    whole = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for part in (whole, whole[2:5], np.asarray(whole)[1:], whole[:, 1], whole[::-2, ::2], whole[:0], whole.T):
        where = mapped(part)
        assert where is not None
        np.testing.assert_array_equal(open_map(where), part)
    for other in (rows, np.array(whole), np.load(tmp_path / "rows.npy", mmap_mode="c")):
        assert mapped(other) is None


def test_blas_threads_are_restored() -> None:
    from graphspec.arrays.blas import openblas

    blas = openblas()
    if blas is None:
        pytest.skip("NumPy has another BLAS than OpenBLAS")
    before = blas.get()
    within = 0
    with pytest.raises(KeyError), one_thread():
        raise KeyError(within := blas.get())
    assert (within, blas.get()) == (1, before)


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
    """The same bits, but where a norm goes over the parts of several."""
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
        slots = slots_of(optimizer, weights, segments)
        shared, signals = [np.zeros(length) for _ in range(ranks)], spinning(ranks)
        scratch = np.zeros((2, ranks, replicas.SCRATCH), np.uint8)

        def work(rank: int) -> None:
            clock, rate = Clock(), Rate(optimizer.learning_rate)
            group = LocalGroup() if ranks == 1 else ProcessGroup(signals[rank], scratch, rank, ranks)
            partition = divide(optimizer, segments, length, ranks)
            vectors = Vectors.of_workers(weights, shared, slots, segments)
            calls = bind_shard_update(optimizer, vectors, clock, rate, group, partition)
            for clock.step, given in enumerate(gradients):
                whole = given[0].copy()
                for more in given[1:]:
                    whole += more
                shared[rank][...] = given[rank] if ranks > 1 else whole
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
