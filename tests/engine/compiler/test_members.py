"""Heads with `members: mean`: losses, answers and gradients against NumPy, resumed runs, files, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_run import assert_close, run, store_of
from resuming import assert_same_files, interrupt, resume, whole

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.objective import add_losses
from graphspec.graph.kernels.context import LocalGroup, Shard

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(0)
ROWS, K = 6, 4
X: Array = RANDOM.standard_normal((ROWS, 3))
IDS = np.array([0, 2, 1, 1, 0, 2])
NUMBERS: Array = RANDOM.standard_normal((ROWS, 1))


def document(head: dict[str, Any], units: int = 1, activation: str | None = None, **training: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "m",
        "inputs": {"x": {"shape": [3]}},
        "layers": [
            {"type": "Members", "members": K, "initializer": "random_normal"},
            {"type": "Dense", "units": 5, "activation": "tanh", "kernel_regularizer": {"type": "L2", "l2": 0.1}},
            {"name": "y", "type": "MemberDense", "units": units, "activation": activation},
        ],
        "outputs": {"y": {"members": "mean", **head}},
        "training": training,
    }


def softmax(z: Array) -> Array:
    e: Array = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def of_members(w: dict[str, Array], activation: str | None) -> Array:
    """The network in NumPy: (rows, members, units)."""
    by = {name.rpartition("/")[2]: a for name, a in w.items() if not name.startswith("y/")}
    h = np.tanh((X[:, None] * by["scale"]) @ by["kernel"] + by["bias"])
    z = np.einsum("nkd,kdu->nku", h, w["y/kernel"]) + w["y/bias"]
    return softmax(z) if activation == "softmax" else 1 / (1 + np.exp(-z)) if activation == "sigmoid" else z


def penalty(w: dict[str, Array]) -> float:
    (kernel,) = (a for name, a in w.items() if name.endswith("/kernel") and not name.startswith("y/"))
    return 0.1 * float((kernel**2).sum())


def squared(p: Array, y: Array) -> Array:
    return ((p - y) ** 2).mean(-1)


def sparse(p: Array, ids: Array) -> Array:
    ids = np.broadcast_to(ids, p.shape[:-1])
    return -np.log(np.take_along_axis(p, ids[..., None], -1)[..., 0])


def binary(p: Array, y: Array) -> Array:
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(-1)


LOSSES: list[tuple[Any, int, str | None, Callable[[Array, Array], Array], Array]] = [
    ("mse", 1, None, squared, NUMBERS),
    ("mae", 2, None, lambda p, y: np.abs(p - y).mean(-1), RANDOM.standard_normal((ROWS, 2))),
    ("sparse_categorical_crossentropy", 3, "softmax", sparse, IDS),
    ("categorical_crossentropy", 3, "softmax", lambda p, y: -(y * np.log(p)).sum(-1), np.eye(3)[IDS]),
    ("binary_crossentropy", 1, "sigmoid", binary, (NUMBERS > 0) * 1.0),
    (
        {"type": "quantile", "quantiles": [0.2]},
        1,
        None,
        lambda p, y: np.maximum(0.2 * (y - p[..., 0]), 0.8 * (p[..., 0] - y)),
        NUMBERS[:, 0],
    ),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "units", "activation", "formula", "target"), LOSSES, ids=lambda v: str(v)[:20])
def test_each_member_is_trained_and_the_mean_is_evaluated(
    loss: Any, units: int, activation: str | None, formula: Any, target: Array, weighted: bool
) -> None:
    spec, lowered = check(document({"loss": loss}, units, activation)).require()
    objective = add_losses(lowered.graph, spec, weighted={"y": 1} if weighted else None)
    assert lowered.graph.outputs["y"].shape == ("N", units)
    w = {name: RANDOM.standard_normal(p.shape) for name, p in lowered.graph.params.items()}
    factor = RANDOM.uniform(size=ROWS)
    arrays = {"x": X, "y": target, "y_sample_weight": factor}
    fetches = {"total": objective.total, "answers": objective.answers.total, "y": lowered.graph.outputs["y"]}
    found, gradients, _ = run(
        objective.graph, store_of(objective.graph, w), arrays, fetches, loss=objective.total, training=True
    )
    scales: Any = factor if weighted else 1.0

    def trained(w: dict[str, Array]) -> float:
        each = formula(of_members(w, activation), target[:, None])
        return float((each.mean(1) * scales).mean()) + penalty(w)

    p = of_members(w, activation).mean(1)
    expected = {"total": np.array(trained(w)), "answers": np.array((formula(p, target) * scales).mean()), "y": p}
    assert_close(found, expected)
    for name, gradient in gradients.items():
        direction, step = RANDOM.standard_normal(gradient.shape), 1e-6
        up, down = (trained(w | {name: w[name] + sign * step * direction}) for sign in (1, -1))
        assert (gradient * direction).sum() == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-6), name


def test_ignored_classes_count_for_no_member() -> None:
    head = {"loss": {"type": "sparse_categorical_crossentropy", "ignore_class": 1}}
    spec, lowered = check(document(head, 3, "softmax")).require()
    objective = add_losses(lowered.graph, spec)
    w = {name: RANDOM.standard_normal(p.shape) for name, p in lowered.graph.params.items()}
    fetches = {"loss": objective.losses["y"], "answers": objective.answers.losses["y"]}
    found, _, _ = run(objective.graph, store_of(objective.graph, w), {"x": X, "y": IDS}, fetches)
    p, counts = of_members(w, "softmax"), IDS != 1
    each = sparse(p, IDS[:, None])[counts].mean()
    assert_close(found, {"loss": np.array(each), "answers": np.array(sparse(p.mean(1), IDS)[counts].mean())})


def test_shares_of_workers_add_up() -> None:
    spec, lowered = check(document({"loss": "mse"})).require()
    objective = add_losses(lowered.graph, spec)
    w = {name: RANDOM.standard_normal(p.shape) for name, p in lowered.graph.params.items()}
    arrays, results = {"x": X, "y": NUMBERS}, []
    for rows in (slice(0, ROWS), slice(0, 2), slice(2, ROWS)):
        part, shard = {name: a[rows] for name, a in arrays.items()}, Shard(LocalGroup(), rows, ROWS)
        store, fetches = store_of(objective.graph, w), {"loss": objective.total}
        found, gradients, _ = run(
            objective.graph, store, part, fetches, loss=objective.total, training=True, shard=shard
        )
        results.append(found | gradients)
    assert_close({name: results[1][name] + results[2][name] for name in results[0]}, results[0])


@pytest.mark.parametrize("optimizer", ["adam", {"type": "AdamW", "weight_decay": 0.01}])
def test_a_resumed_run_has_the_bits_of_a_whole_one(optimizer: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=X.astype(np.float32), y=IDS)
    head = {"loss": "sparse_categorical_crossentropy", "class_weight": "balanced", "metrics": ["accuracy"]}
    spec = document(head, 3, "softmax", epochs=3, batch_size=2, seed=4, optimizer=optimizer)
    spec["data"] = {"train": {"file": str(tmp_path / "rows.npz")}, "validation": {"split": 0.34}}
    whole(spec, tmp_path / "whole")
    interrupt(spec, tmp_path / "run", 3)
    resume(spec, tmp_path / "run")
    assert_same_files(tmp_path / "whole", tmp_path / "run")


def test_answers_of_a_standardized_target(tmp_path: Path) -> None:
    x, y = X.astype(np.float32), (NUMBERS * 7 + 100).astype(np.float32)
    model = gs.compile(document({"loss": "mse", "scale": "standard", "metrics": ["mae"]}, epochs=2, batch_size=3))
    model.fit(x, y, verbose=0)
    found = model.predict(x)
    w = {name: a.astype(np.float64) for name, a in model.weights.items()}
    raw = of_members(w, None)
    np.testing.assert_allclose(found, raw.mean(1) * y.std() + y.mean(), rtol=1e-5)
    scores = model.evaluate(x, y)
    assert scores["loss"] == pytest.approx((((found - y) / y.std()) ** 2).mean(), rel=1e-4)
    assert scores["mae"] == pytest.approx(np.abs(found - y).mean(), rel=1e-5)
    one = gs.compile(document({"loss": "mse", "scale": "standard"}, optimizer={"type": "SGD", "learning_rate": 0.1}))
    one.fit(x, y, epochs=1, batch_size=ROWS, verbose=0)  # learns the statistics
    w = {name: a.astype(np.float64) for name, a in one.weights.items()}
    trained = one.fit(x, y, epochs=1, batch_size=ROWS, verbose=0)["loss"][0]
    each = (of_members(w, None) - ((y - y.mean()) / y.std())[:, None]) ** 2
    assert trained == pytest.approx(each.mean() + penalty(w), rel=1e-4)
    one.export(tmp_path / "m.onnx")


def test_metrics_see_the_answers() -> None:
    head = {"loss": "binary_crossentropy", "metrics": ["accuracy", "auc"], "labels": ["no", "yes"]}
    model = gs.compile(document(head, 1, "sigmoid"))
    y = (NUMBERS > 0).astype(np.float32)
    assert model.evaluate(X.astype(np.float32), y)["accuracy"] == np.mean((model.predict(X) > 0.5) == y)


@pytest.mark.parametrize(
    ("head", "layers", "message"),
    [
        ({"loss": "mse"}, [{"name": "y", "type": "Dense", "units": 1}], "needs a node (batch, members, …)"),
        ({"loss": "dice"}, None, "with dice, which has no value for each row and member"),
        ({"loss": "circle"}, None, "with circle, which has no value"),
        ({"loss": {"type": "categorical_crossentropy", "axis": 1}}, None, "which has no value for each row"),
        ({"loss": "value"}, None, "cannot have `members`: with Value it is a term of the loss"),
        ({"members": "sum"}, None, "must be 'mean'"),
    ],
)
def test_refused(head: dict[str, Any], layers: Any, message: str) -> None:
    spec = document(head, 2)
    spec["layers"] = layers or spec["layers"]
    assert message in "\n".join(d.message for d in check(spec).errors)


def test_a_mask_hides_steps_which_are_no_members() -> None:
    layers = [{"type": "Masking"}, {"name": "y", "type": "Dense", "units": 1}]
    spec = document({"loss": "mse"}) | {"inputs": {"x": {"shape": [4, 3]}}, "layers": layers}
    assert "its node has a mask, which hides time steps" in check(spec).errors[0].message
