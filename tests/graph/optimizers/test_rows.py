"""The update of few rows of a weight: the bits of an update of all rows, or, if it is sparse, of these rows alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from paths import TESTS
from safetensors.numpy import load_file

from graphspec.base.arrays.random import Clock
from graphspec.engine.runtime.parameters import initial_slots
from graphspec.graph.initializers import Initializer
from graphspec.graph.ir.graph import Param, Segment
from graphspec.graph.kernels.touched_rows import TouchedRows
from graphspec.graph.optimizers import OPTIMIZERS, Optimizer, Rate, Vectors
from graphspec.graph.optimizers import vectors as by_rows
from graphspec.graph.optimizers.vectors import Lookup

Array = np.ndarray[Any, Any]
ROWS, WIDTH, BEFORE = 150, 6, 32
SKIPPING: dict[str, dict[str, Any]] = {
    "SGD": {},
    "SGD with momentum": {"momentum": 0.9},
    "SGD with Nesterov's momentum": {"momentum": 0.9, "nesterov": True},
    "Adagrad": {},
    "Adadelta": {},
    "RMSprop": {},
    "Adam": {},
    "Adam with AMSGrad": {"amsgrad": True},
    "Adam with averages": {"use_ema": True, "ema_overwrite_frequency": 3},
    "Adamax": {},
    "AdamW without decay": {"weight_decay": 0.0},
}
WHOLE: dict[str, dict[str, Any]] = {
    "Adam with decay": {"weight_decay": 0.01},
    "Adam with accumulation": {"gradient_accumulation_steps": 2},
    "Adam with a norm": {"clipnorm": 1.0},
    "Adam with all norms": {"global_clipnorm": 1.0},
    "Adam with a limit": {"clipvalue": 1.0},
    "Adam that forgets": {"beta_1": 0.3},
    "AdamW": {},
    "Nadam": {},
    "RAdam": {},
    "Lookahead": {"k": 3},
    "Lion": {},
    "Ftrl": {},
    "RMSprop with momentum": {"momentum": 0.9},
    "RMSprop, centered": {"centered": True},
    "ScheduleFreeAdamW": {},
    "Lamb": {},
    "Adafactor": {},
    "Muon": {},
}


def optimizer_of(name: str, arguments: dict[str, Any]) -> Optimizer:
    kind = name.split(" ")[0].rstrip(",")
    return OPTIMIZERS.parse({"type": kind, "learning_rate": 0.1, **arguments})


def batches(steps: int, dtype: Any) -> list[tuple[Array, Array]]:
    """Ids with repeats and a gradient for each: first few rows, then many, then none."""
    random = np.random.default_rng(3)
    counts = [7, 1, 40, 90, 130, 0, 20, 5][:steps]
    return [
        (random.integers(0, ROWS, n), random.normal(size=(n, WIDTH)).astype(dtype) * random.integers(0, 2, (n, 1)))
        for n in counts
    ]


class Run:
    """A weight before, the looked-up weight, and one after it, updated together."""

    def __init__(self, optimizer: Optimizer, dtype: Any, *, rows: bool, sparse: bool = False) -> None:
        sizes = {"before": BEFORE, "table": ROWS * WIDTH, "after": 16}
        self.segments, at = [], 0
        for name, size in sizes.items():
            shape = (ROWS, WIDTH) if name == "table" else (size,)
            self.segments.append(Segment(Param(name, shape, Initializer()), at, at + size))
            at += size + (-size % 16)
        random = np.random.default_rng(0)
        self.P, self.G = np.zeros(at, dtype), np.zeros(at, dtype)
        for s in self.segments:
            self.P[s.start : s.stop] = random.normal(size=s.stop - s.start)
        self.table = slice(self.segments[1].start, self.segments[1].stop)
        self.slots = initial_slots(optimizer, self.P, self.segments)
        self.touched = TouchedRows("table", ROWS, WIDTH, sparse=sparse, kept=not optimizer.clips())
        self.touched.reserve(200)
        lookups = [Lookup(self.touched, self.table.start, self.table.stop)] if rows else []
        self.clock, self.rows = Clock(), rows
        vectors = Vectors(self.P, self.G, self.slots, self.segments, lookups=lookups)
        self.calls = optimizer.bind(vectors, self.clock, Rate(optimizer.learning_rate))

    def step(self, ids: Array, values: Array, *, whole: bool = False) -> None:
        table = self.G[self.table].reshape(ROWS, WIDTH)
        self.G[:BEFORE] = 0.25
        self.G[self.table.stop + (-self.table.stop % 16) :] = -1.5
        if self.rows and not whole:
            self.touched.begin(table)
            self.touched.add(ids)
        else:
            self.touched.touch_all()
            table.fill(0)
        np.add.at(table, ids, values)
        for f, *a in self.calls:
            f(*a)
        self.clock.step += 1

    def arrays(self) -> dict[str, Array]:
        return {"weights": self.P, **self.slots}


def same_bits(a: dict[str, Array], b: dict[str, Array]) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert array.tobytes() == b[name].tobytes(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gathered", [12, 60, 1 << 14])
@pytest.mark.parametrize("name", SKIPPING)
def test_few_rows_get_the_bits_of_all(name: str, gathered: int, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_rows, "_GATHERED", gathered)
    optimizer = optimizer_of(name, SKIPPING[name])
    assert optimizer.skips_rows()
    few, every = Run(optimizer, dtype, rows=True), Run(optimizer, dtype, rows=False)
    for ids, values in batches(8, dtype):
        few.step(ids, values)
        every.step(ids, values)
        same_bits(few.arrays(), every.arrays())


@pytest.mark.parametrize("name", SKIPPING)
def test_a_step_may_write_all_rows(name: str) -> None:
    """A program for another batch may not keep the gradient by rows."""
    optimizer = optimizer_of(name, SKIPPING[name])
    few, every = Run(optimizer, np.float32, rows=True), Run(optimizer, np.float32, rows=False)
    for k, (ids, values) in enumerate(batches(8, np.float32)):
        few.step(ids, values, whole=k in (0, 3))
        every.step(ids, values)
        same_bits(few.arrays(), every.arrays())


@pytest.mark.parametrize("name", WHOLE)
def test_other_updates_need_the_whole_gradient(name: str) -> None:
    assert not optimizer_of(name, WHOLE[name]).skips_rows()


def test_rows_with_moments_are_found_when_a_run_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_rows, "_GATHERED", 60)
    optimizer = optimizer_of("Adam", {})
    one, resumed = Run(optimizer, np.float32, rows=True), Run(optimizer, np.float32, rows=True)
    steps = batches(8, np.float32)
    for ids, values in steps[:3]:
        one.step(ids, values)
    for name, array in resumed.arrays().items():
        array[...] = one.arrays()[name]
    resumed.clock.step = one.clock.step
    for ids, values in steps[3:]:
        one.step(ids, values)
        resumed.step(ids, values)
    same_bits(one.arrays(), resumed.arrays())


SPARSE = SKIPPING | {name: WHOLE[name] for name in ("Nadam", "Lion", "Ftrl", "RMSprop, centered", "Adam with a norm")}
del SPARSE["Adam with averages"]  # these replace all weights


@pytest.mark.parametrize("name", SPARSE)
def test_a_sparse_update_changes_the_rows_of_the_batch_alone(name: str) -> None:
    """These rows change as in an update of all rows from the same state."""
    optimizer = optimizer_of(name, SPARSE[name])
    assert optimizer.updates_rows()
    sparse = Run(optimizer, np.float32, rows=True, sparse=True)
    for ids, values in batches(8, np.float32):
        before = {key: array.copy() for key, array in sparse.arrays().items()}
        every = Run(optimizer, np.float32, rows=False)
        for key, array in every.arrays().items():
            array[...] = before[key]
        every.clock.step = sparse.clock.step
        every.step(ids, values)
        sparse.step(ids, values)
        rest = np.setdiff1d(np.arange(ROWS), ids)
        for key, array in sparse.arrays().items():
            if key == "average":
                continue  # of all weights
            old, new, found = (x[sparse.table].reshape(ROWS, WIDTH) for x in (before[key], every.arrays()[key], array))
            np.testing.assert_array_equal(found[rest], old[rest], err_msg=key)
            np.testing.assert_array_equal(found[ids], new[ids], err_msg=key)
            for part in (slice(0, BEFORE), slice(sparse.table.stop, None)):
                np.testing.assert_array_equal(array[part], every.arrays()[key][part], err_msg=key)


GOLDEN = json.loads((TESTS / "golden" / "sparse_adam.json").read_text())


@pytest.mark.parametrize("case", GOLDEN)
def test_a_sparse_update_by_adam_is_that_of_pytorch(case: str) -> None:
    arrays, arguments = load_file(TESTS / "golden" / "sparse_adam.safetensors"), dict(GOLDEN[case]["arguments"])
    beta_1, beta_2 = arguments.get("betas", (0.9, 0.999))
    optimizer = OPTIMIZERS.parse(
        {
            "type": "Adam",
            "learning_rate": arguments.get("lr", 0.001),
            "beta_1": beta_1,
            "beta_2": beta_2,
            "epsilon": arguments["eps"],
        }
    )
    start = arrays[f"{case}/start"]
    P, G = start.reshape(-1).copy(), np.zeros(start.size)
    segments = [Segment(Param("e", start.shape, Initializer()), 0, start.size)]
    slots, touched, clock = initial_slots(optimizer, P, segments), TouchedRows("e", *start.shape, sparse=True), Clock()
    touched.reserve(10)
    vectors = Vectors(P, G, slots, segments, lookups=[Lookup(touched, 0, start.size)])
    calls = optimizer.bind(vectors, clock, Rate(optimizer.learning_rate))
    table = P.reshape(start.shape)
    for clock.step, ids in enumerate(GOLDEN[case]["steps"]):
        gradient = G.reshape(start.shape)
        touched.begin(gradient)
        touched.add(np.array(ids, np.int64))
        np.add.at(gradient, np.array(ids, np.int64), table[ids] - arrays[f"{case}/{clock.step}/target"])
        for f, *a in calls:
            f(*a)
        expected = {key: arrays[f"{case}/{clock.step}/{key}"] for key in ("weight", "momentum", "velocity")}
        np.testing.assert_allclose(table, expected["weight"], rtol=1e-12)
        # Moments are stored divided by 1 − β.
        for key, beta in (("momentum", beta_1), ("velocity", beta_2)):
            np.testing.assert_allclose(slots[key].reshape(start.shape) * (1 - beta), expected[key], rtol=1e-11)


@pytest.mark.parametrize("name", ["Lookahead", "ScheduleFreeAdamW", "Lamb", "Adafactor", "Muon"])
def test_optimizers_without_an_update_of_single_rows(name: str) -> None:
    assert not optimizer_of(name, {}).updates_rows()


@pytest.mark.parametrize("part", [slice(0, 16), slice(0, 64), slice(64, 400), slice(400, 1000)])
def test_a_lookup_within_a_part(part: slice) -> None:
    lookup = Lookup(TouchedRows("e", 20, 16), 32, 352)
    within = lookup.within(part)
    numbers = np.arange(1000)
    expected = [row for row in numbers[32:352].reshape(20, 16) if part.start <= row[0] < part.stop]
    found = within.view(numbers[part])
    np.testing.assert_array_equal(found, np.array(expected).reshape(-1, 16))
    if expected:
        assert within.first == (expected[0][0] - 32) // 16
