"""Heads with `clip: true`: answers stay within the range of the training targets, which training does not see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from resuming import assert_same_files, interrupt, resume, whole

import graphspec as gs
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.compiler.check import check

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((40, 3)).astype(np.float32)
Y = np.concatenate([X[:, :1] * 5 + 10, -X[:, 1:2]], axis=1)
FAR = X * 100
KERNEL = RANDOM.standard_normal((3, 2)).astype(np.float32)


def document(members: int = 0, loss: Any = "mse", **training: Any) -> dict[str, Any]:
    last: list[dict[str, Any]] = [{"name": "y", "type": "Dense", "units": 2}]
    if members:
        last = [{"type": "Members", "members": members}, {"name": "y", "type": "MemberDense", "units": 2}]
    head = {"loss": loss, "scale": "standard", "clip": True, "metrics": ["mae"]}
    return {
        "graphspec": 1,
        "name": "c",
        "inputs": {"x": {"shape": [3]}},
        "layers": last,
        "outputs": {"y": head | ({"members": "mean"} if members else {})},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 0.1}, **training},
    }


@pytest.mark.parametrize("members", [0, 3])
def test_answers_stay_within_the_range_of_the_training_targets(members: int, tmp_path: Path) -> None:
    model = gs.compile(document(members))
    model.fit(X, Y, verbose=0)
    answers = model.predict(FAR)
    assert answers.min() == Y.min()
    assert answers.max() == Y.max()
    model.export(tmp_path / "c.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "c.onnx")
    np.testing.assert_allclose(session.run(["y"], {"x": FAR})[0], answers, rtol=1e-6)
    far = Y * 3
    scores = model.evaluate(FAR, far)
    assert scores["mae"] == pytest.approx(np.abs(answers - far).mean(), rel=1e-5)
    assert scores["loss"] == pytest.approx((((answers - far) / Y.std()) ** 2).mean(), rel=1e-4)
    within = model.predict(X).astype(np.float64)
    assert len(np.unique(within)) > 2
    assert model.evaluate(X, Y)["loss"] == pytest.approx((((within - Y) / Y.std()) ** 2).mean(), rel=1e-4)


def test_training_sees_the_answers_before_they_are_clipped() -> None:
    model = gs.compile(document(epochs=1, batch_size=len(X)))
    model.fit(X, Y, verbose=0)  # learns the range
    model.set_weights({"y/kernel": KERNEL * 9, "y/bias": np.zeros(2, np.float32)})
    target = (Y - Y.mean()) / Y.std()
    raw = X @ KERNEL * 9
    assert model.fit(X, Y, verbose=0)["loss"][0] == pytest.approx(((raw - target) ** 2).mean(), rel=1e-4)
    step = 2 / Y.size * X.T @ (raw - target)  # also of rows whose answers are outside
    np.testing.assert_allclose(model.weights["y/kernel"], KERNEL * 9 - 0.1 * step, rtol=1e-3)


@pytest.mark.parametrize("members", [0, 3])
def test_a_resumed_run_has_the_bits_of_a_whole_one(members: int, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=X, y=Y)
    data = {"train": {"file": str(tmp_path / "rows.npz")}, "validation": {"split": 0.2}}
    spec = document(members, "huber", epochs=3, batch_size=8) | {"data": data}
    whole(spec, tmp_path / "whole")
    interrupt(spec, tmp_path / "run", 5)
    run = resume(spec, tmp_path / "run")
    assert_same_files(tmp_path / "whole", tmp_path / "run")
    state = run.model.adapted.heads["y"]
    assert state.keys() == {"mean", "deviation", "min", "max"}
    assert Y.min() <= state["min"] < state["mean"] < state["max"] <= Y.max()


def test_what_was_learnt_without_a_range() -> None:
    """It fits heads without `clip`, as before, and no others."""
    old = Adapted(heads={"y": {"mean": 1.0, "deviation": 2.0}})
    spec = document()
    with pytest.raises(ValueError, match="range of 'y', which `clip` needs"):
        check(spec, adapted=old)
    del spec["outputs"]["y"]["clip"]
    found, lowered = check(spec, adapted=old).require()
    assert found.heads["y"].statistics == (1.0, 2.0)
    assert not any(node.op == "Clip" for node in lowered.graph.nodes)


def test_clip_needs_a_scale() -> None:
    spec = document()
    del spec["outputs"]["y"]["scale"]
    (problem,) = check(spec).errors
    assert "cannot have `clip`, which needs `scale: standard`" in problem.message
    assert problem.path == "outputs.y.clip"


# A range that the spec has.
def counts(clip: Any, **head: Any) -> dict[str, Any]:
    return document() | {"outputs": {"y": {"loss": "mse", "clip": clip, **head}}}


@pytest.mark.parametrize(
    ("clip", "low", "high"), [({"min": 0}, 0, None), ({"max": 2.5}, None, 2.5), ({"min": -1, "max": 1}, -1, 1)]
)
@pytest.mark.parametrize("scale", [None, "standard"])
def test_answers_stay_within_a_range_that_is_written(
    clip: Any, low: Any, high: Any, scale: Any, tmp_path: Path
) -> None:
    model, free = (gs.compile(counts(c, scale=scale)) for c in (clip, False))
    for network in (model, free):
        network.fit(X, Y, verbose=0)
    np.testing.assert_allclose(model.predict(FAR), np.clip(free.predict(FAR), low, high), rtol=1e-5, atol=1e-5)
    losses = [network.fit(X, Y, verbose=0)["loss"][0] for network in (model, free)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # it trains what is not clipped
    model.export(tmp_path / "c.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "c.onnx")
    np.testing.assert_allclose(session.run(["y"], {"x": FAR})[0], model.predict(FAR), rtol=1e-6, atol=1e-6)


def test_an_interval_stays_within_it(tmp_path: Path) -> None:
    model = gs.compile(counts({"min": 0}, interval=0.8))
    model.fit(X, Y, validation_split=0.3, verbose=0)
    found = model.predict(X)
    assert found["y_low"].min() == 0 < found["y_high"].min()


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (counts({"min": 1, "max": 1}), "has `clip` from 1 to 1, which leaves no range"),
        (counts({}), "`clip`"),
        (counts({"low": 1}), "`clip`"),
        (counts(True), "or write the range, such as `{min: 0}`"),
        (counts({"min": 0}, loss="binary_crossentropy"), "is for heads that answer numbers"),
    ],
)
def test_ranges_that_make_no_sense(head: dict[str, Any], says: str) -> None:
    found = check(head).diagnostics
    assert says in "\n".join(map(str, found))
