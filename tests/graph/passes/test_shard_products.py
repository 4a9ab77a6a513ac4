"""Wide products that workers shard by columns: the choice of kernels, and the same results as in one process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from signalling import spinning, together

import graphspec as gs
from graphspec.base.arrays.random import Clock
from graphspec.data.batches import BatchLoader
from graphspec.engine.compiler.objective import TOTAL
from graphspec.engine.parallel import processes
from graphspec.engine.parallel.machine import Member, Place, layout
from graphspec.engine.runtime.parameters import Parameters, Partition, divide, initial_slots
from graphspec.engine.training import choose_workers as choose
from graphspec.engine.training.prepare import FitData, prepare_fit
from graphspec.engine.training.reporting import Silent
from graphspec.engine.training.trainer import Trainer
from graphspec.graph.builder import Target
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels.context import LocalGroup, Shard
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.graph.passes.for_program import shard_products, wide_kernels

Array = np.ndarray[Any, Any]
Layers = list[dict[str, Any]]


def dense(name: str, units: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "Dense", "units": units, **more}


def model_of(layers: Layers, width: int, heads: tuple[str, ...] = ("y",), **training: Any) -> gs.Model:
    head = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    training = {"optimizer": "adam", "epochs": 2, "batch_size": 8, "seed": 4} | training
    layers = [*layers, dense("y", 3, activation="softmax")]
    outputs = {name: head if name == "y" else {"loss": "mse"} for name in heads}
    inputs = {"x": {"shape": [width]}}
    spec = {"graphspec": 1, "name": "wide", "inputs": inputs, "layers": layers, "outputs": outputs}
    return gs.compile(spec | {"training": training})


def rows_of(model: gs.Model, count: int) -> tuple[Array, dict[str, Array]]:
    random = np.random.default_rng(count)
    x = random.standard_normal((count, *model.spec.inputs["x"].shape)).astype(np.float32)
    shapes = {name: (count, int(v.shape[-1])) for name, v in model.graph.outputs.items()}
    return x, {n: random.integers(0, 3, count) if n == "y" else random.random(s) for n, s in shapes.items()}


def trainer_of(model: gs.Model, count: int) -> Trainer:
    return prepare_fit(model, FitData(*rows_of(model, count)), observer=Silent())


# The choice of kernels.


def sharded(layers: Layers, width: int = 512, rows: int = 16, workers: int = 2, **training: Any) -> set[str]:
    model = model_of(layers, width, batch_size=rows, **training)
    trainer = trainer_of(model, rows)
    found = trainer.steps.common.divide(trainer.optimizer_state.optimizer, workers).matrices
    return {name.removesuffix("/kernel") for name in found}


@pytest.mark.usefixtures("kernels_that_pay")
def test_wide_kernels_are_sharded() -> None:
    two = [dense("a", 512, activation="relu"), dense("b", 512, use_bias=False)]
    assert sharded(two) == {"a", "b"}
    assert sharded(two, rows=170) == {"a", "b"}
    assert sharded(two, rows=171) == set()
    assert sharded(two, workers=3) == set()
    assert sharded([dense("a", 1024), dense("b", 400)], width=256) == {
        "a"
    }  # 400 are 12.5 lines for each of two workers
    assert sharded([dense("a", 512)], width=511) == set()


@pytest.mark.usefixtures("kernels_that_pay")
def test_only_kernels_with_one_reader_and_partial_updates_are_sharded() -> None:
    assert sharded([dense("a", 512, kernel_regularizer="l2")]) == set()
    assert sharded([dense("a", 512, trainable=False)]) == set()
    assert sharded([dense("a", 512), {"name": "again", "share": "a"}, dense("b", 512)]) == {"b"}
    assert sharded([dense("a", 512, kernel_constraint="non_neg"), dense("b", 512)]) == set()
    assert sharded([dense("a", 512)], optimizer="Lamb") == set()
    assert sharded([dense("a", 512)], optimizer={"type": "SGD", "clipnorm": 1.0}) == set()
    assert sharded([dense("a", 512)], optimizer={"type": "SGD", "global_clipnorm": 1.0}) == {"a"}
    steps: Layers = [{"type": "Reshape", "target_shape": [2, 512]}, dense("a", 512), {"type": "Flatten"}]
    assert sharded(steps, width=1024) == set()


def test_forced_kernels_shard_everything_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", False)
    assert sharded([dense("a", 512)]) == set()
    monkeypatch.setattr(choice, "FAST", True)
    assert sharded([dense("a", 5)], width=4) == {"a", "y"}
    assert sharded([dense("a", 2)], width=4, workers=3) == set()


def layouts_of(layers: Layers, **more: Any) -> dict[str, str]:
    """Return how each sharded product reads and writes its values: by rows or by columns."""
    model = model_of(layers, 6, **more)
    objective = trainer_of(model, 8).objective
    heads = {name: objective.graph.outputs[name] for name in more.get("heads", ())}
    kernels = wide_kernels(objective.graph.with_outputs({}, objective.total), 8, 2)
    shard = Shard(LocalGroup(), slice(0, 8), 8, dict.fromkeys(kernels))  # type: ignore[arg-type]
    made = shard_products(objective.graph.with_outputs(heads, objective.total), Target(shard=shard))
    nodes = [node for node in made.nodes if node.op == "ShardedGemm"]
    return {node.owner: f"{node.attrs['input_partition']} {node.attrs['output_partition']}" for node in nodes}


def test_values_stay_sharded_only_through_elementwise_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", True)
    a, b = dense("a", 8, activation="relu"), dense("b", 8, activation="tanh")
    first, inner, last = "rows columns", "columns columns", "columns rows"
    assert layouts_of([a, b]) == {"a": first, "b": inner, "y": last}
    assert layouts_of([a, {"type": "Activation", "activation": "gelu"}, b]) == {"a": first, "b": inner, "y": last}
    assert layouts_of([a, {"type": "Dropout", "rate": 0.5}, b]) == {"a": "rows rows", "b": first, "y": last}
    assert layouts_of([a, {"type": "LayerNormalization"}]) == {"a": "rows rows", "y": "rows rows"}
    assert layouts_of([a, b], heads=("a", "y")) == {"a": "rows rows", "b": first, "y": last}
    assert layouts_of([a, {**b, "inputs": "a"}, {"type": "Add", "inputs": ["a", "b"]}])["a"] == "rows rows"


# Results.

NETWORKS: dict[str, tuple[Layers, tuple[str, ...]]] = {
    "chain": (
        [dense("a", 12, activation="relu"), dense("b", 10, activation="tanh"), dense("c", 9, use_bias=False)],
        ("y",),
    ),
    "alone": (
        [dense("a", 8), {"type": "LayerNormalization"}, dense("b", 7, activation="relu"), {"type": "Softmax"}],
        ("y",),
    ),
    "dropout": (
        [dense("a", 8, activation="relu"), {"type": "Dropout", "rate": 0.4}, dense("b", 9, activation="sigmoid")],
        ("y",),
    ),
    "heads": (
        [
            dense("a", 8, activation="relu"),
            dense("b", 8, activation="tanh"),
            dense("side", 6, inputs="a"),
            {"name": "both", "type": "Concatenate", "inputs": ["b", "side", "x"]},
        ],
        ("a", "side", "y"),
    ),
    "others": (
        [
            dense("a", 8, kernel_regularizer="l2", activation="relu"),
            dense("b", 8, activation="elu"),
            {"name": "again", "share": "b"},
            dense("c", 8, trainable=False),
            {"type": "BatchNormalization"},
        ],
        ("y",),
    ),
}


def steps_of(trainer: Trainer, workers: int) -> tuple[list[float], Array, dict[str, Array]]:
    """Train an epoch with threads as workers, in float64; return losses, then weights and slots."""
    step, network, optimizer = trainer.steps.common, trainer.model, trainer.model.spec.training.optimizer
    parameters = Parameters(step.objective.graph, np.float64)
    parameters.set(network.weights)
    step = replace(step, parameters=parameters, loader=feeder_of(trainer))
    partition, segments = step.divide(optimizer, workers), parameters.segments["trainable"]
    assert bool(partition.matrices) == choice.FAST
    slots = initial_slots(optimizer, parameters.vectors["trainable"], segments)
    shapes = {name: (array.shape, array.dtype) for name, array in slots.items()}
    wanted = layout(step, trainer.running, shapes, partition, Place(0, workers))
    arrays = {name: np.zeros(shape, dtype) for name, (shape, dtype) in wanted.items()}
    signals, losses = spinning(workers), list[float]()

    def work(rank: int) -> None:
        clock = Clock()
        mine = replace(step, loader=feeder_of(trainer), clock=clock)
        member = Member(mine, arrays, signals[rank], Place(rank, workers), partition)
        member.slots = slots
        update = member.update(optimizer.rate())
        for clock.step in range(mine.loader.batches):
            program = member.bind(mine.loader.form(clock.step))
            signals[rank].barrier()
            program.load(clock.step)
            program.run()
            if rank == 0:
                losses.append(float(program.fetches[TOTAL]))
            for f, *operands in update:
                f(*operands)
            signals[rank].barrier()

    together(workers, work)
    return losses, parameters.vectors["trainable"], slots


def feeder_of(trainer: Trainer) -> BatchLoader:
    return BatchLoader(trainer.loader.dataset, 8, shuffle=False, seed=0)


OPTIMIZERS_TRIED = {
    "sgd": {"type": "SGD", "learning_rate": 0.5},
    "adam": {"type": "Adam", "global_clipnorm": 0.5, "gradient_accumulation_steps": 2, "use_ema": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("optimizer", OPTIMIZERS_TRIED.values(), ids=OPTIMIZERS_TRIED)
@pytest.mark.parametrize("network", NETWORKS)
def test_steps_match_unsharded_products(
    network: str, optimizer: dict[str, Any], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches have 8 rows, the last has 2, fewer than there are workers."""
    layers, heads = NETWORKS[network]
    results = list[Any]()
    for fast in (False, True, True):
        monkeypatch.setattr(choice, "FAST", fast)
        results.append(steps_of(trainer_of(model_of(layers, 6, heads, optimizer=optimizer), 26), workers))
    (losses, weights, slots), *others = results
    assert len(losses) == 4
    for of_divided, divided_weights, divided_slots in others:
        np.testing.assert_allclose(of_divided, losses, rtol=1e-10)
        np.testing.assert_allclose(divided_weights, weights, rtol=1e-9, atol=1e-12)
        for name, slot in slots.items():
            np.testing.assert_allclose(divided_slots[name], slot, rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(others[0][1], others[1][1])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_runs_match_one_process_and_repeat_bit_for_bit(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", True)
    monkeypatch.setattr(choose, "usable_cores", lambda: workers)

    def run(count: int) -> gs.Model:
        model = model_of(NETWORKS["dropout"][0], 6, workers=count)
        x, y = rows_of(model, 21)
        model.fit(x, y, verbose=0)
        assert model.workers == count
        return model

    one, several, again = run(1), run(workers), run(workers)
    monkeypatch.setattr(processes, "spins_safely", lambda: False)
    piped = run(workers)
    for name, weight in one.weights.items():
        np.testing.assert_allclose(several.weights[name], weight, rtol=1e-4, atol=1e-6, err_msg=name)
        np.testing.assert_array_equal(again.weights[name], several.weights[name], err_msg=name)
        np.testing.assert_array_equal(piped.weights[name], several.weights[name], err_msg=name)


# The rows that each worker updates.


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_parts_end_between_rows_of_a_matrix(workers: int) -> None:
    model = model_of([dense("a", 50), dense("b", 7), dense("c", 24)], 30)
    segments = model.parameters.segments["trainable"]
    size, rule = model.parameters.vectors["trainable"].size, OPTIMIZERS.parse("adam")
    matrices = {s.param.name: s for s in segments if s.param.name in ("a/kernel", "c/kernel")}
    partition = divide(rule, segments, size, workers, matrices, 8)
    assert [part.start for part in partition.parts] == [0, *(part.stop for part in partition.parts[:-1])]
    assert partition.parts[-1].stop == size
    owners, sums = np.zeros(size, int), np.zeros(size, int)
    arrays = {name: np.zeros(shape) for name, (shape, _) in partition.layout(np.float64).items()}
    arrays["gradients"] = np.zeros((workers, size))
    for rank, part in enumerate(partition.parts):
        for matrix in partition.views(arrays, rank).values():
            matrix.gradient[matrix.own] += 1
        for stretch in partition.summed(rank):
            sums[part][stretch] += 1
            assert stretch.stop <= part.stop - part.start
        owners[part] += 1
    inside = np.zeros(size, int)
    for segment in matrices.values():
        inside[segment.start : segment.stop] = 1
    np.testing.assert_array_equal(owners, 1)
    np.testing.assert_array_equal(arrays["gradients"][0], inside)
    np.testing.assert_array_equal(sums, 1 - inside)


def test_shared_memory_is_only_for_sharded_kernels() -> None:
    assert Partition([slice(0, 4)]).layout(np.float32) == {}
