"""Attributions belong to the raw values: columns, words, steps, pixels; and say which answer they explain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import ROOT

import graphspec as gs
from specs import blobs, dense_spec, pairs, two_heads_spec

VOCABULARY = ["good", "bad", "film", "plot"]


def texts(*layers: dict[str, Any], **arguments: Any) -> gs.Model:
    words = {"name": "words", "type": "TextVectorization", "vocabulary": VOCABULARY, **arguments}
    head = {"name": "y", "type": "Dense", "units": 1, "activation": "sigmoid"}
    heads = {"y": {"loss": "binary_crossentropy", "labels": ["bad", "good"]}}
    inputs = {"text": {"dtype": "string"}}
    return gs.compile(
        {"graphspec": 1, "name": "net", "inputs": inputs, "layers": [words, *layers, head], "outputs": heads}
    )


EMBED = {"name": "embed", "type": "Embedding", "input_dim": 6, "output_dim": 3}
MEAN = {"name": "mean", "type": "GlobalAveragePooling1D"}
TEXTS = np.array(["A good film!", "bad"])


@pytest.mark.parametrize("mask", [False, True])
def test_words_in_order(mask: bool) -> None:
    model = texts({**EMBED, "mask_zero": mask}, MEAN)
    found = model.explain(TEXTS)
    assert found.attributions["text"].shape == (2, 3)
    said = [[(c.raw, c.name) for c in found.parts[0].contributions(row)] for row in range(2)]
    assert said == [[("a", "text[0]"), ("good", "text[1]"), ("film", "text[2]")], [("bad", "text[0]")]]
    assert [c.raw for c in found.contributions(1)] == ["bad"]
    difference = found.values - found.baselines
    np.testing.assert_allclose(found.attributions["text"].sum(axis=1), difference, rtol=0.01)


def test_padding_is_the_baseline_of_words() -> None:
    model = texts(EMBED, MEAN)
    zero = model.weights["embed/embeddings"][0]
    hidden = model.weights["y/kernel"][:, 0] @ zero + model.weights["y/bias"][0]
    probability = 1 / (1 + np.exp(-hidden))
    found = model.explain(TEXTS, label="good")
    np.testing.assert_allclose(found.baselines, probability, rtol=1e-5)


@pytest.mark.parametrize("mode", ["multi_hot", "count"])
def test_words_of_a_vocabulary(mode: str) -> None:
    model = texts(output_mode=mode)
    found = model.explain(["good bad bad nonsense"], label="good")
    said = {c.raw: c.value for c in found.contributions(0)}
    assert said.keys() == {"good", "bad", "[unseen]"}
    assert {c.name for c in found.contributions(0)} == {"text"}
    stored = json.loads(found.encode(".jsonl"))["attributions"]["text"]
    assert {word["word"]: word["value"] for word in stored} == said
    kernel = model.weights["y/kernel"][:, 0]
    twice = kernel[2] * (2 if mode == "count" else 1)
    assert said["bad"] / said["good"] == pytest.approx(twice / kernel[1], rel=1e-5)


def test_both_labels_of_a_head_with_one_unit() -> None:
    model = texts(output_mode="count")
    good, bad = (model.explain(TEXTS, label=label) for label in ("good", "bad"))
    np.testing.assert_allclose(good.values + bad.values, 1)
    np.testing.assert_allclose(good.attributions["text"], -bad.attributions["text"])
    assert good.explained == ["good", "good"]
    said = model.explain(TEXTS)
    assert said.explained == ["good" if value > 0.5 else "bad" for value in good.values]
    assert (said.values >= 0.5).all(), "the probability of the predicted class"


def test_columns_of_a_record_with_gaps_and_crosses() -> None:
    columns = {
        "age": {"type": "number", "missing": 40.0, "scale": "none"},
        "job": {"type": "category", "vocabulary": ["cook", "smith"]},
        "town": {"type": "category", "vocabulary": ["Ulm", "Bonn"], "embed": 2},
    }
    record = {"row": {"columns": columns, "crosses": [["job", "town"]]}}
    head = {"name": "y", "type": "Dense", "units": 1}
    model = gs.compile(
        {"graphspec": 1, "name": "net", "inputs": record, "layers": [head], "outputs": {"y": {"loss": "mse"}}}
    )
    rows = {"age": [30.0, np.nan], "job": ["cook", ""], "town": ["Ulm", "Rome"]}
    found = model.explain({name: np.array(column).reshape(2, 1) for name, column in rows.items()})
    assert list(found.attributions) == ["age", "job", "town", "job + town"]
    assert [c.raw for c in sorted(found.contributions(0), key=lambda c: c.name)] == [30.0, "cook", None, "Ulm"]
    assert np.isfinite(found.attributions["age"]).all()
    weight = model.weights["y/kernel"][0, 0]
    np.testing.assert_allclose(found.attributions["age"], [30 * weight, 40 * weight], rtol=1e-6)
    assert np.isnan(next(c.raw for c in found.contributions(1) if c.name == "age"))


def test_the_mean_of_training_rows_is_the_neutral_number() -> None:
    model = gs.compile(ROOT / "specs" / "housing.yaml", ["training.workers=1"])
    model.fit(epochs=1, verbose=0)
    test, train = model.part("test").inputs, model.part("train").inputs
    neutral, mean = model.explain(test, rows=2), model.explain(test, rows=2, baseline=train)
    np.testing.assert_allclose(mean.baselines, neutral.baselines, rtol=0.02)
    far = model.explain(test, rows=2, baseline={name: column[:1] for name, column in test.items()})
    np.testing.assert_allclose(far.values[0], far.baselines[0], rtol=1e-6)


@pytest.mark.slow
def test_series_have_the_names_of_their_columns() -> None:
    model = gs.compile(ROOT / "specs" / "bikes.yaml", ["training.workers=1", "training.callbacks=[]"])
    model.fit(epochs=1, verbose=0)
    found = model.explain(model.part("test").inputs, rows=1)
    shapes = {name: array.shape for name, array in found.attributions.items()}
    assert shapes == {"past": (1, 168), "now": (1,), "ahead": (1, 24, 2)}
    names = {c.name for c in found.contributions(0)}
    assert {"past[0]", "past[167]", "now", "ahead[0, holiday]", "ahead[23, workingday]"} <= names
    assert next(c.raw for c in found.contributions(0) if c.input == "now") == "2011-11-03 23:00:00"
    assert found.explained == ["the sum of its values"]
    one = model.explain(model.part("test").inputs, rows=1, label=3)
    assert one.explained == ["3"]
    first = {n: c[:1] for n, c in model.part("test").inputs.items()}
    assert one.values[0] == pytest.approx(model.predict(first)["hires"][0, 3], rel=1e-4)


def test_pictures_and_two_inputs() -> None:
    picture = {"shape": [6, 5, 3], "dtype": "uint8"}
    layers = [
        {"name": "conv", "type": "Conv2D", "filters": 2, "kernel_size": 3, "inputs": "left"},
        {"name": "other", "share": "conv", "inputs": "right"},
        {"name": "gap", "type": "Subtract", "inputs": ["conv", "other"]},
        {"name": "flat", "type": "Flatten"},
        {"name": "y", "type": "Dense", "units": 4, "activation": "softmax"},
    ]
    model = gs.compile(
        {
            "graphspec": 1,
            "name": "net",
            "inputs": {"left": picture, "right": picture},
            "layers": layers,
            "outputs": {"y": {"loss": "sparse_categorical_crossentropy"}},
        }
    )
    model.set_weights({n: w / 300 for n, w in model.weights.items()})
    random = np.random.default_rng(0)
    x = {name: random.integers(0, 256, (2, 6, 5, 3), np.uint8) for name in ("left", "right")}
    found = model.explain(x)
    assert {name: a.shape for name, a in found.attributions.items()} == {"left": (2, 6, 5), "right": (2, 6, 5)}
    assert found.baselines == pytest.approx([0.25, 0.25], abs=0.01)
    assert found.explained == [str(k) for k in model.predict(x).argmax(-1)]
    assert found.parts[0].picture


def test_heads_and_classes_that_there_are_not() -> None:
    model, (x, _) = gs.compile(two_heads_spec()), pairs(4)
    assert model.explain(x, head=next(iter(model.spec.heads))).head == next(iter(model.spec.heads))
    with pytest.raises(gs.UsageError, match="name the one to explain"):
        model.explain(x)
    with pytest.raises(gs.UsageError, match="there is no head 'nothing'"):
        model.explain(x, head="nothing")
    simple, (rows, _) = gs.compile(dense_spec()), blobs(300)
    with pytest.raises(gs.UsageError, match="300 rows are too many: at most 256"):
        simple.explain(rows)
    assert len(simple.explain(rows, rows=256)) == 256
    with pytest.raises(gs.UsageError, match="has no class '9'; the classes are 0 to 2"):
        simple.explain(rows, rows=1, label=9)
    assert repr(simple.explain(rows, rows=1, label="2")).startswith("<graphspec.Explanation of kind = 2 ")
    with pytest.raises(gs.UsageError, match="head 'gap' has one value and no classes: leave the class out"):
        model.explain(x, head="gap", label=1)
    with pytest.raises(gs.SpecError, match="has no rows"):
        simple.explain(rows[:0])
    with pytest.raises(gs.UsageError, match="needs `x`"):
        simple.explain(None)
    with pytest.raises(gs.UsageError, match="`head` must be the name of a head, got 3"):
        simple.explain(rows, head=3)  # type: ignore[arg-type]
    with pytest.raises(gs.UsageError, match="write `label`"):
        simple.explain(rows, target=1)  # type: ignore[call-arg]


def test_a_head_without_a_single_value_is_refused() -> None:
    labels = ", ".join(["''", *"abcdefghijklmnopqrstuvwxyz"])
    model = gs.compile(ROOT / "specs" / "handwriting.yaml", [f"outputs.letters.labels=[{labels}]"])
    with pytest.raises(gs.UsageError, match=r"writes a text by CTC: .*; explain another head"):
        model.explain(np.zeros((1, 16, 20, 1), np.float32))


def test_a_model_that_must_learn_first() -> None:
    with pytest.raises(gs.UsageError, match="has not learnt from training rows yet"):
        gs.compile(ROOT / "specs" / "penguins.yaml").explain({})


def test_nothing_to_attribute() -> None:
    rounded = {"name": "ids", "type": "Discretization", "bin_boundaries": [0.0]}
    spec = {
        "graphspec": 1,
        "name": "net",
        "inputs": {"x": {"shape": [2]}},
        "layers": [rounded, {"name": "y", "type": "CategoryEncoding", "num_tokens": 2, "output_mode": "multi_hot"}],
        "outputs": {"y": {}},
    }
    model = gs.compile(spec)
    found = model.explain(np.zeros((1, 2), np.float32))
    assert found.attributions["x"].shape[0] == 1


def test_what_a_saved_run_explains_is_the_same(tmp_path: Path) -> None:
    model, (x, y) = gs.compile(dense_spec()), blobs(30)
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "run")
    again = gs.load(tmp_path / "run")
    np.testing.assert_array_equal(again.explain(x).values, model.explain(x).values)
