"""Tests of complete training steps: memory does not grow, little is allocated, and equal states give equal bits."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.arrays import calls
from graphspec.engine.compiler.objective import TOTAL
from graphspec.engine.training.prepare import FitData, FitSettings, prepare_fit
from graphspec.engine.training.reporting import Silent
from specs import blobs, dense_spec

IMAGES: list[dict[str, Any]] = [
    {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same"},
    {"type": "BatchNormalization"},
    {"type": "ReLU"},
    {"type": "MaxPooling2D"},
    {"type": "Dropout", "rate": 0.3},
    {"type": "Flatten"},
]
TEXT: list[dict[str, Any]] = [
    {"type": "Embedding", "input_dim": 30, "output_dim": 5, "mask_zero": True},
    {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 4}},
]
FILM: list[dict[str, Any]] = [
    {"type": "ConvLSTM1D", "filters": 2, "kernel_size": 2, "dropout": 0.2, "recurrent_dropout": 0.2},
    {"type": "Flatten"},
]
DROPPED: list[dict[str, Any]] = [
    {"type": "GRU", "units": 4, "dropout": 0.2, "recurrent_dropout": 0.2, "return_sequences": True},
    {"type": "RNN", "cell": [{"type": "LSTMCell", "units": 3, "activation": "gelu", "recurrent_dropout": 0.2}]},
]
CASES: dict[str, tuple[dict[str, Any], list[dict[str, Any]], tuple[int, ...]]] = {
    "dense": ({"shape": [4]}, [{"type": "Dense", "units": 8, "activation": "relu"}], (4,)),
    "images": ({"shape": [8, 8, 2]}, IMAGES, (8, 8, 2)),
    "film": ({"shape": [4, 5, 2]}, FILM, (4, 5, 2)),
    "dropped": ({"shape": [5, 3]}, DROPPED, (5, 3)),
    "text": ({"shape": [None], "dtype": "int64"}, TEXT, (9,)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_thousand_steps_do_not_grow(name: str) -> None:
    source, layers, shape = CASES[name]
    spec = dense_spec(inputs={"x": source}, layers=[*layers, dense_spec()["layers"][-1]])
    random = np.random.default_rng(0)
    x = random.integers(0, 30, (16, *shape)) if name == "text" else random.standard_normal((16, *shape))
    trainer = prepare_fit(
        gs.compile(spec), FitData(x, random.integers(0, 3, 16)), FitSettings(batch_size=16), observer=Silent()
    )
    trainer.loader.start(0)

    def steps(count: int) -> None:
        for _ in range(count):
            trainer.batch = 0
            trainer.step()

    steps(20)
    tracemalloc.start()
    try:
        steps(5)
        gc.collect()  # also empties the interpreter's lists of freed tuples, which would count as growth
        before, _ = tracemalloc.get_traced_memory()
        peaks = []
        for _ in range(4):
            tracemalloc.reset_peak()
            steps(250)
            peaks.append(tracemalloc.get_traced_memory()[1])
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 8192
    assert min(peaks) - before < 128 * 1024  # of all threads: one that another test left may allocate in one of them


def test_dropout_differs_by_step_and_agrees_on_a_rerun() -> None:
    x, y = blobs(16)
    losses = []
    for _ in range(2):
        spec = dense_spec()
        spec["training"]["optimizer"] = {"type": "SGD", "learning_rate": 0.0}
        trainer = prepare_fit(
            gs.compile(spec), FitData(x, y), FitSettings(batch_size=16, shuffle=False), observer=Silent()
        )
        trainer.loader.start(0)
        run = []
        for _ in range(4):
            trainer.batch = 0
            trainer.step()
            run.append(float(next(iter(trainer.steps.programs.values())).fetches[TOTAL]))
        losses.append(run)
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 4


def test_settings_of_numpy_are_restored() -> None:
    class Look(Silent):
        found: tuple[int, str] | None = None

        def step(self, *_: Any) -> None:
            self.found = np.getbufsize(), np.geterr()["divide"]

    before, look = (np.getbufsize(), np.geterr()), Look()
    model = gs.compile(dense_spec())
    x, y = blobs(16)
    prepare_fit(model, FitData(x, y), FitSettings(epochs=1), observer=look).run()
    model.predict(x)
    assert look.found == (calls._BUFFER, "ignore")
    assert (np.getbufsize(), np.geterr()) == before


def test_a_loss_that_is_not_finite_has_its_hint_beside_callbacks() -> None:
    spec = dense_spec()
    spec["training"]["optimizer"] = {"type": "SGD", "learning_rate": 1e30}
    with pytest.raises(gs.RunError) as caught, np.errstate(all="ignore"):
        gs.compile(spec).fit(*blobs(), epochs=5, verbose=0, callbacks=["EarlyStopping"])
    fixes = "lower `learning_rate`, set `clipnorm`, or scale the inputs"
    assert caught.value.hint == f"{fixes}; this step has not changed the weights"
