"""Training with gradients of embeddings that are kept by rows: the bits of whole gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resuming import assert_same_weights, interrupt, resume, whole
from signalling import spinning, together

import graphspec as gs
from graphspec.base.arrays.layout import sum_into_first
from graphspec.base.arrays.random import Clock
from graphspec.engine.parallel import machine as replicas
from graphspec.engine.parallel.machine import Place, ProcessGroup
from graphspec.engine.runtime import buffers as lookups
from graphspec.engine.runtime.buffers import lookups_of
from graphspec.engine.runtime.parameters import divide, initial_slots
from graphspec.graph.initializers import Initializer
from graphspec.graph.ir.graph import Param, Segment
from graphspec.graph.kernels import compiled as fast
from graphspec.graph.optimizers import OPTIMIZERS, Rate, Vectors
from graphspec.graph.optimizers.vectors import Lookup

Array = np.ndarray[Any, Any]
IDS, STEPS = 300, 5
HEADS = {"y": {"loss": "mse"}}


def spec_of(layers: list[dict[str, Any]], optimizer: Any = "adam", **training: Any) -> dict[str, Any]:
    """Trained in one process: others would not have what a test changes."""
    inputs = {name: {"shape": [STEPS], "dtype": "int64"} for name in ("a", "b")}
    training = {"optimizer": optimizer, "epochs": 3, "batch_size": 8, "seed": 5, "workers": 1} | training
    return {"graphspec": 1, "name": "l", "inputs": inputs, "layers": layers, "outputs": HEADS, "training": training}


def network(*, shared: bool = False, lstm: bool = False, **arguments: Any) -> list[dict[str, Any]]:
    """Two embeddings, or one that is looked up twice; means of their vectors, or an LSTM that skips padding."""
    first = {"name": "one", "type": "Embedding", "input_dim": IDS, "output_dim": 4, "inputs": "a", **arguments}
    second = {"name": "two", "share": "one", "inputs": "b"} if shared else first | {"name": "two", "inputs": "b"}
    read = {"type": "LSTM", "units": 3} if lstm else {"type": "GlobalAveragePooling1D"}
    return [
        first,
        second,
        {"name": "p", **read, "inputs": "one"},
        {"name": "q", **read, "inputs": "two"},
        {"type": "Concatenate", "inputs": ["p", "q"]},
        {"name": "y", "type": "Dense", "units": 1},
    ]


def rows(count: int = 37) -> tuple[dict[str, Array], Array]:
    """Ids with many repeats; not a multiple of the batch."""
    random = np.random.default_rng(2)
    ids = {name: np.minimum(random.geometric(0.05, (count, STEPS)), IDS) - 1 for name in ("a", "b")}
    return ids, random.normal(size=(count, 1)).astype(np.float32)


def trained(spec: dict[str, Any]) -> gs.Model:
    model = gs.compile(spec)
    model.fit(*rows(), verbose=0)
    return model


def state(model: gs.Model) -> dict[str, Array]:
    return model.weights | model.optimizer_state.arrays()


def same_bits(a: dict[str, Array], b: dict[str, Array]) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert array.tobytes() == b[name].tobytes(), name


def keep(monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    monkeypatch.setattr(lookups, "use_fast_kernel", lambda pays: kept)


CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "plain": ({}, "adam"),
    "masks": ({"mask_zero": True, "lstm": True}, "adam"),
    "frozen": ({"trainable": False}, "adam"),
    "constraint": ({"embeddings_constraint": {"type": "MaxNorm", "max_value": 0.05, "axis": 1}}, "adam"),
    "momentum": ({}, {"type": "SGD", "momentum": 0.9}),
    "adagrad": ({}, {"type": "Adagrad", "learning_rate": 0.1}),
    "averages": ({}, {"type": "RMSprop", "use_ema": True}),
    "penalty": ({"embeddings_regularizer": "l2"}, "adam"),
    "two lookups": ({"shared": True}, "adam"),
    "norm": ({}, {"type": "Adam", "clipnorm": 0.01}),
}


@pytest.mark.parametrize("case", CASES)
def test_rows_give_the_bits_of_whole_gradients(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, optimizer = CASES[case]
    spec = spec_of(network(**arguments), optimizer)
    found = []
    for kept in (True, False):
        keep(monkeypatch, kept)
        model = trained(spec)
        assert bool(model.optimizer_state.lookups) == (kept and case not in ("frozen", "norm"))
        found.append(state(model))
    same_bits(*found)


@pytest.mark.parametrize("case", ["penalty", "two lookups"])
def test_a_gradient_with_other_terms_is_not_kept_by_rows(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, True)
    model = trained(spec_of(network(**CASES[case][0])))
    assert all(lookup.touched.count is None for lookup in model.optimizer_state.lookups)


def test_small_weights_and_long_batches_have_whole_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "FAST", None)  # the choice by size
    spec = spec_of(network())
    assert not trained(spec).optimizer_state.lookups
    monkeypatch.setattr(lookups, "MIN_ELEMENTS", 1)
    for rows_per_id, kept in ((300 // 40, True), (300 // 40 + 1, False)):
        monkeypatch.setattr(lookups, "ROWS_PER_ID", rows_per_id)
        model = gs.compile(spec)
        model.fit({name: ids[:8] for name, ids in rows()[0].items()}, rows()[1][:8], epochs=1, verbose=0)
        assert all((lookup.touched.count == 40) == kept for lookup in model.optimizer_state.lookups)


@pytest.mark.parametrize("arguments", [{}, {"shared": True}, {"mask_zero": True, "lstm": True}])
def test_a_sparse_embedding_changes_only_looked_up_rows(arguments: dict[str, Any]) -> None:
    model = gs.compile(spec_of(network(sparse=True, **arguments), epochs=1))
    before, ids = model.weights, rows()[0]
    model.fit(*rows(), epochs=1, verbose=0)
    seen = {"one": ids["a"], "two": ids["b"]}
    if arguments.get("shared"):
        seen = {"one": np.concatenate([ids["a"], ids["b"]])}
    for node, looked_up in seen.items():
        name = f"{node}/embeddings"
        changed = np.flatnonzero((model.weights[name] != before[name]).any(axis=1))
        assert set(changed) <= set(looked_up.ravel())
        assert len(changed) > 20
        moments = model.optimizer_state.arrays()[f"slot/velocity/{name}"]
        np.testing.assert_array_equal(np.flatnonzero(moments.any(axis=1)), changed)


def test_a_sparse_embedding_with_every_row_in_each_batch_is_a_plain_one() -> None:
    ids = np.stack([np.random.default_rng(k).permutation(40).reshape(8, 5) for k in range(4)]).reshape(32, 5)
    y = rows()[1][:32]
    found = []
    for sparse in (True, False):
        layers = network(sparse=sparse)
        for layer in layers[:2]:
            layer["input_dim"] = 40
        model = gs.compile(spec_of(layers, shuffle=False))
        model.fit({"a": ids, "b": ids[:, ::-1]}, y, verbose=0)
        found.append(state(model))
    same_bits(*found)


def test_an_id_out_of_range_leaves_the_next_fit_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of the failed step are cleared by the next one."""
    keep(monkeypatch, True)
    spec = spec_of(network(), shuffle=False, epochs=1)
    (ids, y), found = rows(), []
    wrong = {name: array.copy() for name, array in ids.items()}
    wrong["b"][20, 0] = IDS
    for fail in (True, False):
        model = gs.compile(spec)
        model.fit({name: array[:16] for name, array in ids.items()}, y[:16], verbose=0)
        if fail:
            with pytest.raises(gs.SpecError, match=str(IDS)):
                model.fit(wrong, y, verbose=0)
        model.fit({name: array[16:24] for name, array in ids.items()}, y[16:24], verbose=0)
        found.append(state(model))
    same_bits(*found)


@pytest.mark.parametrize("sparse", [True, False])
def test_resumed_runs_are_exact(sparse: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(monkeypatch, True)
    ids, y = rows()
    np.savez(tmp_path / "rows.npz", **ids, y=y)
    spec = spec_of(network(sparse=sparse)) | {"data": {"train": {"file": str(tmp_path / "rows.npz")}}}
    one = whole(spec, tmp_path / "whole")
    for after in (3, 7):
        interrupt(spec, tmp_path / f"run_{after}", after)
        other = resume(spec, tmp_path / f"run_{after}")
        assert_same_weights(one, other)
        same_bits(one.optimizer_state.arrays(), other.optimizer_state.arrays())


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad"])
def test_workers_update_their_parts_of_the_rows(
    name: str, size: int, sparse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bits of one worker with the sum of all gradients; a boundary between workers is between two rows."""
    keep(monkeypatch, True)
    optimizer = OPTIMIZERS.parse({"type": name, "learning_rate": 0.1})
    shapes, segments, at = {"k": (5, 7), "e": (53, 6), "b": (9,), "f": (20, 3)}, list[Segment](), 0
    for key, shape in shapes.items():
        param = Param(key, shape, Initializer(), looked_up=key in "ef", sparse=sparse and key == "e")
        segments.append(Segment(param, at, at + param.size))
        at += param.size + (-param.size % 16)
    random = np.random.default_rng(1)
    start = random.normal(size=at)
    for s, following in zip(segments, [*(s.start for s in segments[1:]), at], strict=True):
        start[s.stop : following] = 0
    looked_up = {key: random.integers(0, shapes[key][0], (4, size, 6)) for key in "ef"}
    values = random.normal(size=(4, size, at)) * (start != 0)

    def of_shard(own: list[Lookup], step: int, k: int) -> Array:
        """The gradient of one shard, whose ids are noted."""
        gradient = values[step, k].copy()
        for lookup in own:
            ids, terms, table = looked_up[lookup.touched.name][step, k], values[step, k], lookup.view(gradient)
            table.fill(0)
            np.add.at(table, ids, lookup.view(terms)[: len(ids)])
            lookup.touched.add(ids)
        return gradient

    def total(gradients: list[Array]) -> Array:
        for f, *a in sum_into_first(gradients):
            f(*a)
        return gradients[0]

    def run(ranks: int) -> tuple[Array, dict[str, Array]]:
        weights, slots, shared = start.copy(), dict[str, Array](), [np.zeros(at) for _ in range(ranks)]
        slots = initial_slots(optimizer, weights, segments)
        scratch, signals = np.zeros((2, ranks, replicas.SCRATCH), np.uint8), spinning(ranks)

        def work(rank: int) -> None:
            own, clock = lookups_of(optimizer, segments), Clock()
            group = ProcessGroup(signals[rank], scratch, Place(rank, ranks))
            vectors = Vectors.of_workers(weights, shared, slots, segments, own)
            partition = divide(optimizer, segments, at, ranks)
            part = vectors.part(partition.parts[rank], list(partition.summed(rank)))
            calls = optimizer.bind(part, clock, Rate(0.1), group)
            assert len(own) == 2
            mine = range(size) if ranks == 1 else (rank,)
            for clock.step in range(4):
                for lookup in own:
                    lookup.touched.reserve(6 * size)
                    lookup.touched.begin(lookup.view(shared[rank]))
                shared[rank][...] = total([of_shard(own, clock.step, k) for k in mine])
                signals[rank].barrier()
                for f, *a in calls:
                    f(*a)
                signals[rank].barrier()

        together(ranks, work)
        return weights, slots

    (one, slots), (several, others) = run(1), run(size)
    same_bits({"weights": one, **slots}, {"weights": several, **others})


def test_slots_that_are_loaded_into_a_used_state_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without moments before may have some then: they move without a gradient."""
    keep(monkeypatch, True)
    used = trained(spec_of(network()))
    loaded, later = used.optimizer_state.arrays(), slice(250, 260)
    for moment in ("momentum", "velocity"):
        assert not loaded[f"slot/{moment}/one/embeddings"][later].any()
        loaded[f"slot/{moment}/one/embeddings"][later] = 0.5
    used.optimizer_state.load(loaded)
    before = used.weights["one/embeddings"]
    used.fit({name: ids[:1] * 0 for name, ids in rows()[0].items()}, rows()[1][:1], epochs=1, verbose=0)
    assert (used.weights["one/embeddings"] != before)[later].all()
