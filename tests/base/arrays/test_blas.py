"""Tests of the number of BLAS threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.arrays import blas as blas_module
from graphspec.base.arrays.blas import OpenBlas, computing, one_thread
from graphspec.engine.runtime import program as program_module
from graphspec.engine.runtime.bind import Binder
from graphspec.graph.kernels.one_call import runner


def test_blas_threads_are_restored() -> None:
    from graphspec.base.arrays.blas import openblas

    blas = openblas()
    if blas is None:
        pytest.skip("NumPy does not use OpenBLAS")
    before = blas.get()
    inside = 0
    with pytest.raises(KeyError), one_thread():
        raise KeyError(inside := blas.get())
    assert (inside, blas.get()) == (1, before)


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (1, 2, 0), (0, 2, 1), (2, 1, 0)])
def test_overlapping_blocks_restore_what_was_before_the_first(
    order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of evaluations in several threads, of which any may end first."""
    threads = [4]
    fake = OpenBlas(lambda: threads[-1], threads.append, "a processor")
    monkeypatch.setattr(blas_module, "openblas", lambda: fake)
    blocks = [one_thread() for _ in order]
    for block in blocks:
        block.__enter__()
    for left, k in enumerate(order, 1):
        assert threads[-1] == 1
        blocks[k].__exit__(None, None, None)
        assert threads[-1] == (4 if left == len(order) else 1)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A BLAS with four threads, in a process whose user has set no number: all numbers that it has had."""
    numbers = [4]
    fake = OpenBlas(lambda: numbers[-1], numbers.append, "a processor")
    monkeypatch.setattr(blas_module, "openblas", lambda: fake)
    monkeypatch.setattr(blas_module, "THREADS_SET", None)
    return numbers


def test_computing_takes_one_thread_and_restores_the_others(threads: list[int]) -> None:
    with computing(), computing():
        assert threads[-1] == 1
    assert threads[-1] == 4
    assert computing()(lambda: threads[-1])() == 1
    assert threads[-1] == 4


def test_computing_keeps_the_number_of_the_user(threads: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas_module, "THREADS_SET", 4)
    with computing():
        assert threads == [4]
    with one_thread():  # workers have one, whatever the user sets
        assert threads[-1] == 1


def test_a_forked_process_does_not_wait_for_threads_that_it_does_not_have(threads: list[int]) -> None:
    with one_thread._changing:  # another thread of the parent is about to open a block
        before = one_thread._changing
        one_thread.new_lock()  # what runs in the child
        try:
            with one_thread():
                assert threads[-1] == 1
        finally:
            one_thread._changing = before


def test_every_entry_point_computes_with_one_thread(threads: list[int], tmp_path: Path) -> None:
    """What runs a program, and what decides between kernels, sees one thread; after each call there are four again."""
    x, y = np.random.default_rng(1).random((40, 8), np.float32), np.arange(40)[:, None] % 2
    layers = [
        {"type": "Dense", "units": 8, "kernel_initializer": "Orthogonal"},
        {"name": "y", "type": "Dense", "units": 1, "activation": "sigmoid"},
    ]
    head = {"loss": "binary_crossentropy", "metrics": ["accuracy", "auc"]}
    seen: list[int] = []

    def watched(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen.append(threads[-1])
            return function(*args, **kwargs)

        return call

    spec = {"graphspec": 1, "name": "net", "inputs": {"x": {"shape": [8]}}, "layers": layers, "outputs": {"y": head}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Binder, "_begin", watched(Binder._begin))
        patch.setattr(np.linalg, "qr", watched(np.linalg.qr))
        patch.setattr(program_module, "runner", lambda calls: watched(runner(calls)))
        calls: list[Callable[[], Any]] = [
            lambda: made.append(gs.compile(spec)),
            lambda: model.fit(x, y, epochs=1, validation_split=0.5, batch_size=4, verbose=0),
            lambda: model.evaluate(x, y, batch_size=4),
            lambda: model.predict(x),
            lambda: model.predict(x[:1]),
            lambda: model.run({"x": x}),
            lambda: model.explain(x[:2]),
            lambda: model.export(tmp_path / "net.onnx"),
            lambda: model.report(tmp_path / "report.html", x, y),
        ]
        made: list[gs.Model] = []
        for number, call in enumerate(calls):
            seen.clear()
            if number:
                model = made[0]
            call()
            assert seen, number
            assert set(seen) == {1}, number
            assert threads[-1] == 4, number
