"""Metrics in runs: several results, tables, heads without a loss; and against definitions that are not Keras's."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import SPEC, graphspec, project
from heads import loss, value

import graphspec as gs
from graphspec.compiler.check import check
from graphspec.metrics import METRICS, Metric
from graphspec.metrics.thresholds import confusion
from graphspec.runtime.compute import Compute
from graphspec.runtime.records import Sums
from graphspec.runtime.running_metrics import RunningMetrics
from specs import blobs, dense_spec, pairs, two_heads_spec

METRICS_OF_BLOBS: list[Any] = [
    "f1_score",
    {"type": "Recall", "class_id": 1, "thresholds": [0.2, 0.6]},
    {"type": "AUC", "multi_label": True},
    "crossentropy",
    "mean",
    "confusion_matrix",
]
FIGURES = ["f1_score_0", "f1_score_1", "f1_score_2", "recall_0", "recall_1", "auc", "crossentropy", "mean"]


def blobs_spec(**training: Any) -> dict[str, Any]:
    spec = dense_spec()
    spec["outputs"]["kind"] |= {"metrics": METRICS_OF_BLOBS, "labels": ["red", "green", "blue"]}
    spec["training"] |= training
    return spec


def test_several_results_are_logged_one_by_one() -> None:
    model = gs.compile(blobs_spec())
    history = model.fit(*blobs(), validation_split=0.2, verbose=0).history
    assert list(history) == ["loss", *FIGURES, "val_loss", *(f"val_{key}" for key in FIGURES)]
    assert history["val_crossentropy"] == pytest.approx(history["val_loss"], rel=1e-5)
    assert history["val_mean"] == pytest.approx([1 / 3] * 3)


def test_evaluate_returns_results_and_the_confusion_matrix() -> None:
    model = gs.compile(blobs_spec())
    x, y = blobs(50)
    found = model.evaluate(x, y, batch_size=7)
    matrix = found.pop("confusion_matrix")
    assert list(found) == ["loss", *FIGURES]
    answers = model.predict(x).argmax(1)
    assert matrix.tolist() == [[int(np.sum((y == t) & (answers == p))) for p in range(3)] for t in range(3)]
    f1 = [2 * matrix[k, k] / (matrix[k].sum() + matrix[:, k].sum()) for k in range(3)]
    assert [found[f"f1_score_{k}"] for k in range(3)] == pytest.approx(f1, abs=1e-6)
    assert model.evaluate(x, y, batch_size=50)["auc"] == found["auc"]


def test_callbacks_monitor_one_of_several_results() -> None:
    stop = {"type": "EarlyStopping", "monitor": "val_f1_score_2", "min_delta": 2.0}
    save = {"type": "ModelCheckpoint", "filepath": "{epoch}-{val_recall_1:.2f}", "save_best_only": True}
    assert check(blobs_spec(callbacks=[stop, save], epochs=9)).diagnostics == []
    history = gs.compile(blobs_spec(callbacks=[stop], epochs=9)).fit(*blobs(), validation_split=0.2, verbose=0)
    assert len(history.history["loss"]) == 2


def test_totals_go_into_a_checkpoint_and_back() -> None:
    model = gs.compile(blobs_spec())
    x, y = blobs(40)
    rows = model.evaluate_arrays(_arrays(model, x, y), 8)
    other = RunningMetrics(model)
    other.load(Sums.model_validate_json(json.dumps(rows.state())))
    assert other.logs() == rows.logs()
    assert other.tables()[0].counts.sum() == 40
    other.reset()
    assert set(other.logs().values()) == {0.0}


def _arrays(model: Any, x: Any, y: Any) -> Any:
    from graphspec.data.signature import user_arrays

    return user_arrays(model.needed, x, y)


def test_a_head_without_a_loss_has_a_mean() -> None:
    spec = two_heads_spec()
    spec["outputs"]["mean_right"] = {"metrics": ["mean", "sum"]}
    model = gs.compile(spec)
    x, y = pairs()
    found = model.evaluate(x, y)
    values = model.predict(x)["mean_right"]
    assert found["mean_right_mean"] == pytest.approx(float(values.mean()), rel=1e-5)
    assert found["mean_right_sum"] == pytest.approx(float(values.sum()), rel=1e-5)


# The command line.

TABLES = SPEC.replace("metrics: [accuracy]", "metrics: [confusion_matrix, {type: Precision, thresholds: [0.3, 0.7]}]")


def test_tables_are_printed_with_labels(tmp_path: Path) -> None:
    spec = project(tmp_path, TABLES)
    trained = graphspec("train", spec, "--out", tmp_path / "run")
    assert trained.exit_code == 0, trained.stderr
    with (tmp_path / "run" / "history.csv").open() as file:
        assert next(csv.reader(file))[:4] == ["epoch", "loss", "precision_0", "precision_1"]
    evaluated = graphspec("evaluate", tmp_path / "run").stdout
    assert evaluated in trained.stdout
    lines = [line.split("  ") for line in evaluated.splitlines()]
    found = gs.load(tmp_path / "run").evaluate()
    assert lines[1] == ["precision_0", f"{found['precision_0']:.6g}".ljust(8), "above 0.3"]
    (head, first, second, last) = (line.split() for line in evaluated.splitlines()[-4:])
    assert head == ["confusion_matrix:", "true", "\\", "answer", "no", "yes", "recall"]
    matrix = found["confusion_matrix"]
    assert [first[:3], second[:3]] == [["no", *map(str, matrix[0])], ["yes", *map(str, matrix[1])]]
    assert last == ["precision", *(f"{p:.4f}" for p in matrix.diagonal() / matrix.sum(0))]


def test_a_table_of_the_validation_rows_where_there_are_no_others(tmp_path: Path) -> None:
    spec = project(tmp_path, TABLES.replace("  test: {file: test.npz}\n", ""))
    trained = graphspec("train", spec, "--out", tmp_path / "run").stdout
    counts = [line.split() for line in trained.splitlines() if line.startswith(("no ", "yes "))]
    assert "validation data:" in trained
    assert sum(int(count) for _, *row, _ in counts for count in row) == 20


# Definitions.


def result(metric: Any, y_true: Any, y_pred: Any, given: str | None = None, **more: Any) -> Any:
    y_pred = np.asarray(y_pred, np.float32)
    head = value("N", *y_pred.shape[1:])
    parsed: Metric = METRICS.parse(metric).resolve(loss(given), head, more.pop("labels", None))
    state = parsed.start(head, Compute())
    state.update(np.asarray(y_true), y_pred, **more)
    return state.result()


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(4)
    y_true, y_pred = rng.integers(0, 2, 60), np.round(rng.random(60), 1)
    ahead, behind = y_pred[y_true == 1, None], y_pred[None, y_true == 0]
    expected = np.mean((ahead > behind) + 0.5 * (ahead == behind))
    limits = [round(0.05 + k / 10, 2) for k in range(10)]
    assert result({"type": "AUC", "thresholds": limits}, y_true, y_pred[:, None]) == pytest.approx(expected)


def test_a_threshold_is_exceeded_by_larger_values_alone() -> None:
    y_pred = [[0.3], [0.30000001192092896], [np.nan], [1.0]]
    metric = {"type": "TruePositives", "thresholds": [1.0, 0.0, 0.3]}
    assert result(metric, np.ones((4, 1)), y_pred).tolist() == [0, 3, 1]


def test_top_k_takes_the_first_of_equals() -> None:
    y_true = np.array([[0, 1, 0], [1, 0, 0]])
    assert result({"type": "Precision", "top_k": 1}, y_true, np.full((2, 3), 0.5)) == 0.5


def test_confusion_matrix_of_one_unit_and_of_one_hot_rows() -> None:
    assert result("confusion_matrix", [0, 1, 1], [[0.2], [0.5], [0.7]]).tolist() == [[1, 0], [1, 1]]
    metric = {"type": "ConfusionMatrix", "threshold": 0.0}
    assert result(metric, [[0], [1], [1]], [[-0.2], [0.5], [0.7]]).tolist() == [[1, 0], [0, 2]]
    rows = result("confusion_matrix", np.eye(3)[[2, 2, 0]], np.eye(3)[[1, 2, 0]])
    assert rows.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 1]]
    mask = np.array([[True, False], [True, True]])
    steps = result("confusion_matrix", [[0, 1], [1, 1]], np.eye(2)[[[0, 0], [1, 0]]], mask=mask)
    assert steps.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("given", "shape", "resolved"),
    [
        ({"type": "bce"}, ("N", 1), {"from_logits": False}),
        ({"type": "bce", "from_logits": True}, ("N", 3), {"from_logits": True}),
        ({"type": "CategoricalCrossentropy"}, ("N", 3), {"axis": -1}),
        ({"type": "CategoricalCrossentropy", "axis": 1}, ("N", 3, 2), {"axis": -2}),
        ({"type": "SparseCategoricalCrossentropy", "ignore_class": 0}, ("N", 3), {"ignore_class": 0}),
        ({"type": "mse"}, ("N", 1), {"from_logits": False}),
    ],
)
def test_crossentropy_follows_the_loss(given: Any, shape: Any, resolved: dict[str, Any]) -> None:
    head = value(*shape)
    metric = METRICS.parse("ce").resolve(loss(given.pop("type"), **given), head)
    assert metric.key == "ce"
    assert type(metric).__name__.endswith("Crossentropy")
    assert {key: getattr(metric, key) for key in resolved} == resolved


def test_an_axis_that_the_mask_hides_is_refused() -> None:
    metric = METRICS.parse({"type": "CosineSimilarity", "axis": 1})
    assert [problem.code for problem in metric.check(value("N", 3, 4, mask=2), loss("mse"))] == ["GS403"]
    assert metric.check(value("N", 3, 4), loss("mse")) == []


def test_an_axis_from_the_front_holds_under_a_mask() -> None:
    y = np.random.default_rng(5).normal(size=(2, 3, 4))
    mask = np.array([[True, False, True], [True, True, False]])
    for name in ("CosineSimilarity", "PearsonCorrelation", "CategoricalCrossentropy"):
        front, back = (result({"type": name, "axis": axis}, y**2, y[..., ::-1] ** 2, mask=mask) for axis in (2, -1))
        assert front == back


@pytest.mark.parametrize("name", ["mse", "bce", "CosineSimilarity", "SparseCategoricalCrossentropy"])
def test_the_mean_of_a_loss_over_batches_of_any_length(name: str) -> None:
    rng = np.random.default_rng(7)
    y_pred = rng.random((6, 4, 3)).astype(np.float32)
    y_true = rng.integers(0, 3, (6, 4)) if name.startswith("Sparse") else rng.random((6, 4, 3)).round()
    mask = rng.random((6, 4)) > 0.4
    state = METRICS.parse(name).start(value("N", "time", 3), Compute())
    each: list[float] = []
    for row, step in np.argwhere(mask):
        state.reset()
        state.update(y_true[row, [step]], y_pred[row, [step]])
        each.append(float(state.result()))
    y_true[~mask], y_pred[~mask] = 99, np.nan  # what is hidden is never looked at
    state.reset()
    state.update(y_true[:0], y_pred[:0], mask[:0])
    assert state.result() == 0
    state.update(y_true[:2], y_pred[:2], mask[:2])
    state.update(y_true[2:], y_pred[2:], mask[2:])
    state.update(y_true, y_pred, np.zeros_like(mask))
    assert state.result() == pytest.approx(np.mean(each), rel=1e-12)


def test_a_class_that_does_not_count_under_a_mask() -> None:
    y_pred = np.array([[[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]])
    metric = {"type": "SparseCategoricalCrossentropy", "ignore_class": 0}
    mask = np.array([[True, True, False]])
    assert result(metric, np.array([[0, 1, 1]]), y_pred, mask=mask) == pytest.approx(-np.log(0.75))


# Label sequences.

SPOKEN = "ab|c|ba"
WANTED = ["ab|c|bb", "a|c"]
LABELS = ["blank", "a", "b", "c", "|"]


def spoken(text: str) -> Any:
    """Values whose greedy decoding is ``text``, a blank after each label."""
    return np.eye(5)[[k for letter in text for k in (LABELS.index(letter), 0)]]


def padded(texts: list[str]) -> Any:
    return np.array(
        [[LABELS.index(c) for c in text.ljust(7, "~").replace("~", "")] + [0] * (7 - len(text)) for text in texts]
    )


@pytest.mark.parametrize("separator", [4, "|"])
def test_word_error_rate_counts_words(separator: int | str) -> None:
    y_pred = np.stack([spoken(SPOKEN), spoken("|a||b|a")])
    metric = {"type": "WordErrorRate", "separator": separator}
    # ab c ba for ab c bb is one word wrong; a b a for a c is one wrong and one too many; 5 words were said.
    assert result(metric, padded(WANTED), y_pred, "ctc", labels=LABELS) == 3 / 5
    assert result("wer", padded(WANTED), y_pred, "ctc", labels=[*LABELS[:4], " "]) == 3 / 5


def test_character_error_rate_is_the_edit_distance() -> None:
    y_pred = np.stack([spoken(SPOKEN), spoken("|a||b|a")])
    rates = [result(name, padded(WANTED), y_pred, "ctc") for name in ("cer", "edit_distance", "wer")]
    assert rates == [(1 + 5) / 10] * 3  # without a separator every label is a word
    assert result("wer", padded(["", "|"]), np.stack([spoken("|||")] * 2), "ctc", labels=[*LABELS[:4], " "]) == 0


@pytest.mark.parametrize("even", [True, False])
def test_counts_above_many_thresholds_are_those_of_comparisons(even: bool) -> None:
    rng = np.random.default_rng(6)
    limits = np.linspace(0, 1, 50, dtype=np.float32) if even else np.sort(rng.random(50, np.float32))
    near = np.concatenate([np.nextafter(limits, d, dtype=np.float32) for d in (-9, 9)])
    y_pred = np.concatenate(
        [limits, near, rng.random(100, np.float32), np.array([-3, 7, np.inf, -np.inf, np.nan], np.float32)]
    )
    y_true = rng.integers(0, 2, len(y_pred)) > 0
    tp, fp, tn, fn = confusion(y_true[:, None], y_pred[:, None], limits)[:, 0]
    above = y_pred[:, None] > limits
    assert tp.tolist() == (above & y_true[:, None]).sum(0).tolist()
    assert fp.tolist() == (above & ~y_true[:, None]).sum(0).tolist()
    assert fn.tolist() == (~above & y_true[:, None]).sum(0).tolist()
    assert tn.tolist() == (~above & ~y_true[:, None]).sum(0).tolist()


@pytest.mark.parametrize("metric", ["F1Score", {"type": "R2Score", "class_aggregation": None}], ids=str)
def test_one_result_for_each_of_too_many_units_is_refused_before_any_is_named(metric: Any) -> None:
    head = value("N", 10**9)
    parsed: Metric = METRICS.parse(metric)
    assert "one result for each of 1,000,000,000 units" in parsed.check_shape(head)[0].message
    assert len(parsed.keys(head)) == 1
