"""Tests of metrics in runs: several values, tables, heads without a loss."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import SPEC, graphspec, project

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.engine.runtime.records import Sums
from graphspec.engine.runtime.running_metrics import RunningMetrics
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


def test_several_figures_are_logged_one_by_one() -> None:
    model = gs.compile(blobs_spec())
    history = model.fit(*blobs(), validation_split=0.2, verbose=0).history
    assert list(history) == ["loss", *FIGURES, "val_loss", *(f"val_{key}" for key in FIGURES)]
    assert history["val_crossentropy"] == pytest.approx(history["val_loss"], rel=1e-5)
    assert history["val_mean"] == pytest.approx([1 / 3] * 3)


def test_evaluate_gives_figures_and_the_confusion_matrix() -> None:
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


def test_callbacks_watch_one_of_several_figures() -> None:
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


@pytest.mark.slow
def test_tables_are_printed_with_labels(tmp_path: Path) -> None:
    spec = project(tmp_path, TABLES)
    trained = graphspec("train", spec, "--out", tmp_path / "run")
    assert trained.exit_code == 0, trained.stderr
    with (tmp_path / "run" / "history.csv").open() as file:
        assert next(csv.reader(file))[:4] == ["epoch", "loss", "precision_0", "precision_1"]
    evaluated = graphspec("evaluate", tmp_path / "run").stdout
    values, _, tables = evaluated.partition("\n\n")
    assert values in trained.stdout
    lines = [line.split("  ") for line in values.splitlines()]
    found = gs.load(tmp_path / "run").evaluate()
    assert lines[1] == ["precision_0", f"{found['precision_0']:.6g}".ljust(8), "above 0.3"]
    assert [line.split() for line in tables.splitlines()[1:4]] == [
        ["no", "yes"],
        *([label, *map(str, row)] for label, row in zip(("no", "yes"), found["confusion_matrix"], strict=True)),
    ]
    end = trained.stdout.splitlines()
    start = next(k for k, line in enumerate(end) if line.startswith("confusion_matrix:"))
    end = end[start : start + 4]
    (title, head, first, second) = (line.split() for line in end)
    assert title[0] == "confusion_matrix:"
    assert head == ["no", "yes", "recall", "precision"]
    matrix = found["confusion_matrix"]
    recalls, precisions = (matrix.diagonal() / matrix.sum(axis) for axis in (1, 0))
    for line, label, counts, recall, precision in zip(
        (first, second), ("no", "yes"), matrix, recalls, precisions, strict=True
    ):
        assert line == [label, *map(str, counts), f"{recall:.3f}", f"{precision:.3f}"]


def test_a_table_of_the_validation_rows_where_there_are_no_others(tmp_path: Path) -> None:
    spec = project(tmp_path, TABLES.replace("  test: {file: test.npz}\n", ""))
    trained = graphspec("train", spec, "--out", tmp_path / "run").stdout
    counts = [line.split() for line in trained.splitlines() if line.startswith(("no ", "yes "))]
    assert "validation data:" in trained
    assert sum(int(count) for _, *row, _, _ in counts for count in row) == 20


def test_which_values_are_better() -> None:
    running = RunningMetrics(gs.compile(blobs_spec()))
    found = running.directions()
    assert list(found) == list(running.logs())
    assert found["loss"] == "down"
    assert {found[key] for key in ("f1_score_0", "f1_score_2", "recall_1", "auc")} == {"up"}
    assert (found["crossentropy"], found["mean"]) == ("down", None)
