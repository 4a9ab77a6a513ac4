"""The threshold of a head of two classes: the best F1 of the rarer one, in labels, files, runs, reports and specs."""

from __future__ import annotations

import csv
import io
import json
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from commands import graphspec
from findings import rows_of
from held_out import held_out_answers
from resuming import assert_same_files, interrupt, resume, whole

import graphspec as gs
from graphspec.engine.training.uncertainty import _threshold
from graphspec.export.onnx import with_labels
from graphspec.graph.ir.graph import Array
from graphspec.show.report.findings import Findings, judge
from graphspec.show.report.verdicts import coverage, verdicts

NAME = "y/y_threshold"


def rows(n: int, seed: int, rare: float = -2.5) -> tuple[Array, Array]:
    """Numbers, and classes by chance of which about one in ten is 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, (rng.random(n) < 1 / (1 + np.exp(-1.5 * x[:, 0] - rare))).astype(np.int64)


def document(head: dict[str, Any] | None = None, *, logits: bool = False, **training: Any) -> dict[str, Any]:
    loss = {"type": "binary_crossentropy", "from_logits": logits}
    last = {"name": "y", "type": "Dense", "units": 1} | ({} if logits else {"activation": "sigmoid"})
    return {
        "graphspec": 1,
        "name": "rare",
        "inputs": {"x": {"shape": [3]}},
        "layers": [{"name": "hidden", "type": "Dense", "units": 8, "activation": "relu"}, last],
        "outputs": {"y": {"loss": loss, "labels": ["No", "Yes"], "threshold": "f1"} | (head or {})},
        "training": {"optimizer": {"type": "Adam", "learning_rate": 0.02}, "epochs": 3, **training},
    }


def f1_of(said: Array, true: Array) -> float:
    """The F1 of the rarer class, class 1 if both are as frequent."""
    k = 2 * true.sum() <= len(true)
    both, either = np.sum((said == k) & (true == k)), np.sum(said == k) + np.sum(true == k)
    return float(2 * both / either)


def searched(answers: Array, true: Array, middle: float) -> float:
    """The threshold by trying the middle between each two neighbours."""
    flat, true = answers.ravel(), true.ravel() > 0
    values = sorted(set(flat.tolist()))
    cuts = [(a + b) / 2 for a, b in pairwise(values)]
    scores = [f1_of(flat > cut, true) for cut in cuts]
    return min((cut for cut, f1 in zip(cuts, scores, strict=True) if f1 == max(scores)), key=lambda c: abs(c - middle))


@pytest.mark.parametrize("seed", range(40))
def test_the_f1_of_the_rarer_class_is_largest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, middle = int(rng.integers(5, 80)), float(rng.choice([0.0, 0.5]))
    answers = rng.integers(0, 33, (n, 1)).astype(np.float32) / 32 + np.float32(middle - 0.5)  # with ties
    true = (rng.random(n) < rng.uniform(0.1, 0.9)).astype(np.float32)
    true[:2] = 0, 1
    assert _threshold(answers.astype(np.float64), true, middle) == pytest.approx(searched(answers, true, middle))


def test_a_threshold_divides_neighbours_in_float32_and_needs_two_classes() -> None:
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    found = np.float32(_threshold(np.array([[low], [high]], np.float64), np.array([0, 1]), 0.5))
    assert low <= found < high
    assert _threshold(np.array([[0.1], [0.2]]), np.array([0, 0]), 0.5) == 0.5
    assert _threshold(np.array([[0.1], [0.1]]), np.array([0, 1]), 0.5) == 0.5


@pytest.mark.parametrize(
    "kind", ["plain", "folds", "seeds", "logits", "tempered", "tempered logits", "members", "upper"]
)
def test_labels_follow_the_threshold_of_held_out_rows(kind: str, tmp_path: Path) -> None:
    x, true = rows(240, 0, 2.5 if kind == "upper" else -2.5)
    np.savez(tmp_path / "rows.npz", x=x, y=true)
    logits = "logits" in kind
    head = {"calibrate": "temperature"} if "tempered" in kind else {}
    training: dict[str, Any] = {"folds": 3} if kind == "folds" else {"seeds": 2} if kind == "seeds" else {}
    spec = document(head, logits=logits, **training)
    if kind == "members":
        spec["layers"][0:0] = [{"type": "Members", "members": 4}]
        spec["outputs"]["y"]["members"] = "mean"
    data = {"train": {"file": str(tmp_path / "rows.npz")}}
    model = gs.compile(spec | {"data": data if kind == "folds" else data | {"validation": {"split": 0.5}}})
    assert model.weights[NAME] == (0 if logits else 0.5)
    model.fit(verbose=0)
    cutoff = model.weights[NAME]
    answers, targets, _ = held_out_answers(model)
    assert cutoff == pytest.approx(searched(answers["y"], targets["y"], 0 if logits else 0.5), rel=1e-5, abs=1e-6)
    default, best = (f1_of(answers["y"].ravel() > cut, targets["y"].ravel()) for cut in (0 if logits else 0.5, cutoff))
    assert best > default

    new, _ = rows(100, 1)
    found = model.predict(new)
    by_hand = np.where(found.ravel() > cutoff, "Yes", "No")
    assert (by_hand != np.where(found.ravel() > (0 if logits else 0.5), "Yes", "No")).any()
    np.testing.assert_array_equal(with_labels({"y": found}, model, {})["y_label"], by_hand)
    file = tmp_path / "rare.onnx"
    model.export(file)
    np.testing.assert_array_equal(onnxruntime.InferenceSession(file).run(["y_label"], {"x": new})[0], by_hand)
    assert f"above {cutoff:g} it means 'Yes', else 'No'" in onnx.load(file).graph.output[0].doc_string
    model.save(tmp_path / "run")
    for other in (gs.load(tmp_path / "run"), pickle.loads(pickle.dumps(model))):
        assert other.cutoffs == model.cutoffs == {"y": float(cutoff)}


@pytest.mark.parametrize("logits", [False, True])
def test_a_number_is_a_probability(logits: bool, tmp_path: Path) -> None:
    model = gs.compile(document({"threshold": 0.2}, logits=logits))
    assert NAME not in model.weights
    new, _ = rows(200, 1)
    model.set_weights({"hidden/kernel": model.weights["hidden/kernel"] * 4})
    found = model.predict(new).ravel().astype(np.float64)
    p = 1 / (1 + np.exp(-found)) if logits else found
    assert 0 < (p > 0.2).sum() < 200
    model.export(tmp_path / "rare.onnx")
    (labels,) = onnxruntime.InferenceSession(tmp_path / "rare.onnx").run(["y_label"], {"x": new})
    assert labels.tolist() == np.where(p > 0.2, "Yes", "No").tolist()


def test_a_head_of_logits_answers_the_second_class_above_0(tmp_path: Path) -> None:
    model = gs.compile(document({"threshold": None}, logits=True))
    new, _ = rows(200, 1)
    model.export(tmp_path / "y.onnx")
    value, labels = onnxruntime.InferenceSession(tmp_path / "y.onnx").run(["y", "y_label"], {"x": new})
    assert labels.tolist() == np.where(value.ravel() > 0, "Yes", "No").tolist()


def test_training_does_not_notice_and_forgets() -> None:
    x, y = rows(200, 0)
    models = [gs.compile(document({"threshold": threshold})) for threshold in ("f1", None)]
    for model in models:
        for _ in range(2):  # again, from what the first one has left
            model.fit(x, y, validation_split=0.5, verbose=0)
    for name, array in models[1].weights.items():
        np.testing.assert_array_equal(models[0].weights[name], array)
    with pytest.raises(
        gs.UsageError, match="'y' has `interval`, `calibrate` or `threshold`, which are learnt from held"
    ):
        gs.compile(document()).fit(x, y, verbose=0)


@pytest.mark.parametrize("after", [3, 11])
def test_a_resumed_run_has_the_bits_of_a_whole_one(tmp_path: Path, after: int) -> None:
    x, y = rows(80, 0, -1)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    data = {"train": {"file": str(tmp_path / "rows.npz")}, "validation": {"split": 0.5}}
    spec = document(batch_size=8) | {"data": data}
    trainer = whole(spec, tmp_path / "whole")
    interrupt(spec, tmp_path / "run", after)
    run = resume(spec, tmp_path / "run")
    assert_same_files(tmp_path / "whole", tmp_path / "run")
    assert run.model.weights[NAME] == trainer.model.weights[NAME] != 0.5


@pytest.mark.slow
def test_commands_and_the_report_count_the_labels(tmp_path: Path) -> None:
    for name, seed in (("train", 0), ("test", 1)):
        x, y = rows(300, seed)
        table = np.column_stack([x, y])
        np.savetxt(tmp_path / f"{name}.csv", table, delimiter=",", header="a,b,c,y", comments="", fmt="%.5g")
    spec = document(folds=3) | {"data": {"train": {"file": "train.csv"}, "test": {"file": "test.csv"}}}
    spec["inputs"] = {"x": {"columns": {"a": "number", "b": "number", "c": "number"}}}
    path, run, file = tmp_path / "s.json", tmp_path / "run", tmp_path / "s.onnx"
    path.write_text(json.dumps(spec))
    trained = graphspec("train", path, "--out", run, "--export", file)
    assert trained.exit_code == 0, trained.stderr
    by_file, by_run = (graphspec("predict", of, tmp_path / "test.csv").stdout for of in (file, run))
    labels, again = ([row["y_label"] for row in csv.DictReader(io.StringIO(text))] for text in (by_file, by_run))
    assert labels == again
    said = np.array(labels) == "Yes"
    hits, precision, recall = np.sum(said & (y > 0)), np.mean(y[said]), np.mean(said[y > 0])
    text = f"finds {100 * recall:.0f} % of its rows, {100 * precision:.0f} % of these answers are right (test rows)."
    cutoff = gs.load(run).cutoffs["y"]
    sentence = f"y: 'Yes' is answered from {cutoff:.2g} on: {text}"
    assert sentence in " ".join(trained.stdout.split())
    evaluated = graphspec("evaluate", run).stdout
    assert sentence in " ".join(evaluated.split())
    row = f"Yes {int(y.sum())} {precision:.3f} {recall:.3f}"
    assert row in " ".join(evaluated.split())
    of_file = graphspec("evaluate", file, "--data", tmp_path / "test.csv")
    assert row in " ".join(of_file.stdout.split()), of_file.stderr
    assert "(out-of-fold rows, which have set the threshold)" in " ".join(
        graphspec("evaluate", run, "--part", "validation").stdout.split()
    )
    page = (run / "report.html").read_text(encoding="utf-8")
    assert text in page
    assert f"is predicted where its probability is above {cutoff:g}" in page
    assert f">{hits}<" in page
    assert sentence in " ".join(graphspec("card", run).stdout.split())
    model = onnx.load(file)  # a file with a wrong threshold is refused
    for entry in model.metadata_props:
        entry.value = '{"y": 1e99}' if entry.key == "thresholds" else entry.value
    onnx.save(model, file)
    refused = graphspec("evaluate", file, "--data", tmp_path / "test.csv")
    assert refused.exit_code == 2
    assert "contains a wrong record of what the network has learnt" in refused.stderr


def test_a_verdict_names_the_threshold_to_a_head_that_never_finds_a_class() -> None:
    x, y = rows(300, 0, -3)
    texts = []
    for threshold in (None, 0.001):
        model = gs.compile(document({"threshold": threshold}))
        model.set_weights({"y/bias": np.float32([-4])})
        found = judge(Findings(model, Path(), {}), rows_of(model, x, y), "test")
        assert found.judged is not None
        texts.append([str(verdicts(found.judged, found.baselines)[0]), *coverage(found.judged)])
    assert f"None of the {y.sum()} rows of 'Yes' is recognized: try `threshold: f1`." in texts[0][0]
    assert len(texts[0]) == 1
    assert "recognized" not in texts[1][0]
    assert "'Yes' is answered from 0.001 on: finds" in texts[1][1]
    assert texts[1][1].endswith("(test rows).")


@pytest.mark.slow
def test_init_gives_a_rare_class_a_threshold(tmp_path: Path) -> None:
    for few, rare in ((9, True), (10, False)):
        lines = [f"{k % 10 / 8},{'Yes' if k < few else 'No'}" for k in range(100)]
        (tmp_path / "t.csv").write_text("\n".join(["a,y", *lines]) + "\n")
        path = tmp_path / f"{few}.yaml"
        made = graphspec("init", path, "--from", tmp_path / "t.csv", "--target", "y")
        assert made.exit_code == 0, made.stderr
        text = path.read_text()
        assert ("threshold: f1" in text) == rare
        note = f"'Yes' has {few} % of the rows: it is the answer from a lower probability on, at which F1 is best"
        assert (note in " ".join(text.replace("#", "").split())) == rare
        assert graphspec("validate", path).exit_code == 0
