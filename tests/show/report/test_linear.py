"""The linear model beside a network: against scikit-learn (golden values from `golden/make_linear.py`), and its columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import rows_of
from judged import dense, network, numbers, per_step, sequences
from safetensors.numpy import load_file

import graphspec as gs
from graphspec.show.report.baselines import LINEAR, Baseline, _logistic, _ridge, linear
from graphspec.show.report.findings import Findings, find, judge
from graphspec.show.report.kinds import flatten
from graphspec.show.report.scored import score
from graphspec.show.report.verdicts import verdicts

GOLDEN = load_file(Path(__file__).parents[2] / "golden" / "linear.safetensors")
SPARSE = {"loss": "sparse_categorical_crossentropy"}


@pytest.mark.parametrize("name", ["numbers", "two", "three", "apart"])
def test_scikit_learn_answers_the_same(name: str) -> None:
    x, y, asked, answers = (GOLDEN[f"{name}/{key}"] for key in ("x", "y", "asked", "answers"))
    if name == "numbers":
        np.testing.assert_allclose(_ridge(x, y, asked), answers, rtol=1e-12)
    else:
        np.testing.assert_allclose(_logistic(x, np.eye(answers.shape[1])[y], asked), answers, atol=5e-4)


def test_a_class_without_training_rows_is_never_answered() -> None:
    x, y, asked = (GOLDEN[f"two/{key}"] for key in ("x", "y", "asked"))
    whole = _logistic(x, np.eye(4)[2 * y], asked)
    np.testing.assert_array_equal(whole[:, [1, 3]], 0)
    np.testing.assert_allclose(whole[:, [0, 2]], GOLDEN["two/answers"], atol=5e-4)


def fitted(spec: dict[str, Any], x: Any, y: Any, new: Any, true: Any, folds: int = 0) -> dict[str, np.ndarray]:
    """The answers of the linear model by head, as a report compares them: after the head's own form."""
    model = gs.compile(spec)
    judged = score(model, rows_of(model, new, true), "test")
    found = linear(model, judged, rows_of(model, x, y), folds)
    return {n: flatten(replace(judged.heads[n], answers=rules[0].answers)).scores for n, rules in found.items()}


@pytest.mark.parametrize(
    ("layers", "head", "classes"),
    [
        (dense(1), {"loss": "mse"}, 0),
        (dense(1, "sigmoid"), {"loss": "binary_crossentropy"}, 2),
        (dense(1), {"loss": {"type": "binary_crossentropy", "from_logits": True}}, 2),
        (dense(3, "softmax"), SPARSE, 3),
        (dense(3), {"loss": {"type": "sparse_categorical_crossentropy", "from_logits": True}}, 3),
    ],
)
def test_answers_have_the_form_of_the_head(layers: list[dict[str, Any]], head: Any, classes: int) -> None:
    """Columns of other sizes are standardized, and a constant is none."""
    x, new = 100 * numbers(300, 5) + 7, 100 * numbers(40, 5, seed=1) + 7
    y = (x[:, 0] > 7) * 1 + (x[:, 1] > 90) if classes == 3 else (x[:, 0] > 7) * 1 if classes else x[:, :1]
    x[:, 4] = new[:, 4] = 300.1
    scaled, asked = ((a - x.mean(0, np.float64)) / (x.std(0, np.float64) + 1e-9) for a in (x, new))
    true = np.zeros((40, 1)) if classes == 0 else np.zeros(40, int)
    [found] = fitted(network(layers, head), x, y, new, true).values()
    if not classes:
        np.testing.assert_allclose(found, _ridge(scaled, np.float64(y), asked), rtol=1e-5)
        return
    expected = _logistic(scaled, np.eye(classes)[y], asked)
    np.testing.assert_allclose(found, expected[:, 1] if classes == 2 else expected, atol=1e-4)


def test_ids_become_one_hot_and_others_are_left_out() -> None:
    """A category of an embedding has an effect of its own for each value; one with many values is not read."""
    inputs = {"kind": {"shape": [], "dtype": "int32"}, "many": {"shape": [], "dtype": "int32"}}
    layers: list[dict[str, Any]] = [
        {"name": "k", "type": "Embedding", "input_dim": 5, "output_dim": 2, "inputs": "kind"},
        {"name": "m", "type": "Embedding", "input_dim": 500, "output_dim": 2, "inputs": "many"},
        {"name": "both", "type": "Concatenate", "inputs": ["k", "m"]},
        {"name": "h", "type": "Dense", "units": 1},
    ]
    kinds, effects = np.arange(400) % 5, np.array([1.0, -2, 4, 0, 7])
    x, y = {"kind": kinds, "many": np.arange(400)}, effects[kinds][:, None]
    new = {"kind": np.arange(5), "many": np.arange(5) + 400}
    found = fitted(network(layers, {"loss": "mse"}, inputs), x, y, new, np.zeros((5, 1)))
    assert np.abs(found["h"][:, 0] - effects).max() < 0.1
    alone = network(dense(1), {"loss": "mse"}, {"many": inputs["many"]})
    alone["layers"] = [layers[1] | {"inputs": "many"}, *alone["layers"]]
    assert fitted(alone, {"many": x["many"]}, y, {"many": new["many"]}, np.zeros((5, 1))) == {}


def test_wide_rows_sequences_and_training_rows_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, sequence = np.zeros((40, 6), int), sequences()
    inputs = {"s": {"shape": [None], "dtype": "int32"}}
    assert fitted(network(per_step(3, "softmax"), SPARSE, inputs), sequence, steps, sequence, steps) == {}
    model = gs.compile(network(dense(1), {"loss": "mse"}))
    rows = rows_of(model, numbers(60, 5), numbers(60, 1))
    assert linear(model, score(model, rows, "train"), rows) == {}
    judged = score(model, rows, "test")
    assert linear(model, judged, None) == {}
    monkeypatch.setattr("graphspec.show.report.baselines._WIDTH", 4)
    assert linear(model, judged, rows) == {}


def test_of_many_rows_some_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.show.report.baselines._ROWS", 3)
    x = numbers(201, 5)
    y = np.where(np.isin(np.arange(201), [0, 100, 200]), 2.0, np.inf)[:, None]
    y[np.isinf(y)] = 1e6
    found = fitted(network(dense(1), {"loss": "mse"}), x, y, x[:5], y[:5])
    np.testing.assert_allclose(found["h"], 2)


def test_out_of_fold_rows_are_answered_by_a_model_that_has_not_seen_them() -> None:
    """Noise, and as many columns as rows: a model that knows a row nearly answers it, and one that does not cannot."""
    x, y = numbers(60, 5), numbers(60, 1, seed=9)
    spec = network(dense(1), {"loss": "mse"})
    [found] = fitted(spec, x, y, x, y, folds=5).values()
    scaled = (x - x.mean(0, np.float64)) / x.std(0, dtype=np.float64)
    for k in range(5):
        other = np.arange(60) % 5 != k
        np.testing.assert_allclose(found[k::5], _ridge(scaled[other], np.float64(y[other]), scaled[k::5]), rtol=1e-4)


def test_a_run_is_compared_with_a_linear_model_of_its_record(tmp_path: Path) -> None:
    """The network has not been trained; a column that gives away the target leaves the same doubts as without the model."""
    rng = np.random.default_rng(0)
    rows = [(rng.normal(), "abc"[k % 3]) for k in range(200)]
    lines = ["a,kind,y", *(f"{a:.4f},{kind},{3 * a + 5 * (kind == 'b') + 10:.4f}" for a, kind in rows)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    spec = {
        "graphspec": 1,
        "name": "t",
        "inputs": {"row": {"columns": {"a": "number", "kind": "category"}}},
        "layers": [{"type": "Dense", "units": 2, "activation": "relu"}, {"name": "y", "type": "Dense", "units": 1}],
        "outputs": {"y": {"loss": "mae", "scale": "standard", "metrics": ["mae"]}},
        "training": {"seed": 1},
        "data": {"train": {"file": str(tmp_path / "t.csv")}, "validation": {"split": 0.2}},
    }
    model = gs.compile(spec)
    model.fit(epochs=1, verbose=0)
    found = find(model, tmp_path)
    assert [rule.name for rule in found.baselines["y"]][2:] == [LINEAR]
    [verdict] = found.verdicts
    assert verdict.baseline == LINEAR
    assert verdict.other < 0.1 < verdict.score
    assert verdict.left == pytest.approx(verdict.score / verdict.blind[0])
    hint = "The network is no better than a linear model: try more epochs, less Dropout and L2, or more units."
    assert str(verdict).endswith(hint)
    again = find(model, tmp_path)
    np.testing.assert_array_equal(again.baselines["y"][2].answers, found.baselines["y"][2].answers)


def test_a_rare_class_that_is_never_recognized_is_named() -> None:
    """With 90 % of one class, answering it always is 90 % right."""
    model = gs.compile(network(dense(2, "softmax"), {**SPARSE, "labels": ["No", "Yes"]}))
    ids = np.repeat([0, 1], [180, 20])
    found = judge(Findings(model, Path(), {}), rows_of(model, numbers(200, 5), ids), "test")
    assert found.judged is not None
    never = replace(found.judged.heads["h"], answers=np.tile(np.float32([0.9, 0.1]), (200, 1)))
    rule = [Baseline(LINEAR, np.where(ids[:, None] == [0, 1], 0.9, 0.1)), *found.baselines["h"]]
    [first, *_] = verdicts(replace(found.judged, heads={"h": never}), {"h": rule})
    assert str(first).startswith(
        "90.0 % right; a linear model: 100 %; always 'No': 90.0 %. The network is no better than"
    )
    some = replace(never, answers=np.where(np.arange(200)[:, None] == 199, never.answers[:, ::-1], never.answers))
    texts = [str(verdicts(replace(found.judged, heads={"h": head}), found.baselines)[0]) for head in (never, some)]
    assert "None of the 20 rows of 'Yes' is recognized: try `class_weight: balanced`." in texts[0]
    assert "recognized" not in texts[1]


def test_members_of_a_network_read_the_same_vector() -> None:
    x, new, true = numbers(60, 5), numbers(20, 5, seed=1), np.zeros((20, 1))
    members = [{"type": "Members", "members": 3}, {"name": "y", "type": "MemberDense", "units": 1}]
    joined = network(dense(1), {"loss": "mse"})
    apart = {**joined, "layers": members, "outputs": {"y": {"loss": "mse", "members": "mean"}}}
    expected, found = (fitted(spec, x, x[:, :1] ** 2, new, true) for spec in (joined, apart))
    np.testing.assert_allclose([*found.values()], [*expected.values()], rtol=1e-6)
