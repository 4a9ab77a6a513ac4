"""Evaluation in several threads: the bits, the errors and the settings of one thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from paths import ROOT

import graphspec as gs
from graphspec.base.arrays.blas import openblas
from graphspec.base.arrays.cores import usable_cores
from graphspec.data.signature import user_arrays
from graphspec.engine.runtime import running_metrics as batches_in_threads
from graphspec.engine.runtime.program import Program, ProgramCache
from graphspec.engine.runtime.running_metrics import Evaluation

Array = np.ndarray[Any, Any]

SPEC: dict[str, Any] = {
    "graphspec": 1,
    "name": "t",
    "inputs": {"ids": {"shape": [6], "dtype": "int64"}},
    "layers": [
        {"type": "Embedding", "input_dim": 50, "output_dim": 8, "mask_zero": True},
        {"type": "LSTM", "units": 8, "dropout": 0.5},
        {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
        {"name": "size", "type": "Dense", "units": 1, "inputs": "lstm_1"},
    ],
    "outputs": {
        "kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy", "confusion_matrix", "f1_score"]},
        "size": {"loss": "mse", "metrics": ["mae", "r2_score"]},
    },
    "training": {"batch_size": 8},
}


def rows(count: int = 100) -> tuple[Array, dict[str, Array]]:
    random = np.random.default_rng(1)
    y = {"kind": random.integers(0, 3, count), "size": random.normal(size=(count, 1)).astype(np.float32)}
    return random.integers(0, 50, (count, 6)), y


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that sets the number of threads, which are used for quick batches too."""
    if openblas() is None:
        pytest.skip("this BLAS has threads that cannot be limited")
    monkeypatch.setattr(batches_in_threads, "MIN_SECONDS", 0.0)
    return lambda count: monkeypatch.setattr(batches_in_threads, "usable_cores", lambda: count)


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert np.asarray(value).tobytes() == np.asarray(other[key]).tobytes(), key


def test_the_bits_are_those_of_one_thread(threads: Any) -> None:
    model, (x, y) = gs.compile(SPEC), rows()
    threads(1)
    expected = model.evaluate(x, y)
    for count in (2, 3, 20):
        threads(count)
        same(expected, model.evaluate(x, y))
    assert expected["loss"] > 0
    assert expected["kind_confusion_matrix"].sum() == 100


def test_threads_are_used_for_slow_batches_only(threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y), used = gs.compile(SPEC), rows(), []
    run = batches_in_threads._InOrder.run
    monkeypatch.setattr(batches_in_threads._InOrder, "run", lambda self, n: used.append(n) or run(self, n))
    threads(2)
    model.evaluate(x, y)
    model.evaluate(x[:24], {head: a[:24] for head, a in y.items()})  # three batches
    assert used == [2]
    monkeypatch.setattr(batches_in_threads, "MIN_SECONDS", 1e9)
    model.evaluate(x, y)
    threads(1)
    monkeypatch.setattr(batches_in_threads, "MIN_SECONDS", 0.0)
    model.evaluate(x, y)
    assert used == [2]


@pytest.mark.parametrize("count", [2, 5])
def test_the_first_batch_that_fails_is_reported(count: int, threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y), add = gs.compile(SPEC), rows(), Evaluation.add
    threads(count)
    expected, before = model.evaluate(x, y), openblas().get()  # type: ignore[union-attr]

    def fail(self: Evaluation, batch: int, *rest: Any) -> None:
        if batch in (7, 8):
            raise OSError(f"batch {batch}")
        add(self, batch, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "add", fail)
        with pytest.raises(OSError, match="batch 7"):
            model.evaluate(x, y)
    assert openblas().get() == before  # type: ignore[union-attr]
    same(expected, model.evaluate(x, y))  # all programs and turns were given back


def test_what_is_asked_between_batches_ends_it(threads: Any) -> None:
    model, (x, y), asked = gs.compile(SPEC), rows(), []

    def between() -> None:
        asked.append(None)
        if len(asked) == 7:
            raise KeyboardInterrupt

    threads(3)
    arrays = model.prepared(user_arrays(model.needed, x, y))
    with pytest.raises(KeyboardInterrupt):
        model.evaluate_prepared(arrays, 8, between=between)
    assert len(asked) == 7


def test_the_programs_that_were_used_last_are_kept() -> None:
    model, (x, _) = gs.compile(SPEC), rows(9)
    whole = model.predict({"ids": x})
    sizes = dict[int, int]()
    for count in (2, 3, 4):
        model.programs = ProgramCache(max_bytes=0)
        model.predict({"ids": x[:count]})
        sizes[count] = model.programs.nbytes()  # the last one is kept
    model.programs = ProgramCache(max_bytes=sizes[3] + sizes[4])
    for count in (2, 3, 4, 2, 4, 3):
        for name, array in model.predict({"ids": x[:count]}).items():
            np.testing.assert_allclose(array, whole[name][:count], rtol=1e-5, atol=1e-6)
    assert model.programs.nbytes() == sizes[4] + sizes[3]


def test_a_program_that_cannot_be_made_ends_its_turn() -> None:
    def fail() -> Program:
        raise MemoryError

    programs = ProgramCache()
    for _ in range(usable_cores() + 1):  # one more than there are turns: it would wait for ever
        with pytest.raises(MemoryError), programs.borrow("key", fail):
            pass


def test_several_evaluations_at_once_do_not_wait_for_each_other(threads: Any) -> None:
    """There are as many programs as cores: a thread that has one must not need another's."""
    model, (x, y) = gs.compile(SPEC), rows(800)
    threads(3)
    expected, before = model.evaluate(x, y), openblas().get()  # type: ignore[union-attr]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: model.evaluate(x, y), range(8)):
            same(expected, found)
    assert openblas().get() == before  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["housing", "bikes"])
def test_shipped_specs(name: str, threads: Any) -> None:
    model = gs.compile(ROOT / f"specs/{name}.yaml", ["training.epochs=1"])
    model.fit(verbose=0)
    threads(1)
    expected = model.evaluate(batch_size=10)
    threads(2)
    same(expected, model.evaluate(batch_size=10))
