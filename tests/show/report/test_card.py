"""Model cards: the front matter is that of model repositories, the values are those of `evaluate`, the calls work."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

import graphspec as gs
from graphspec.base.text import significant
from graphspec.show.report.card import MARK, card, pipeline_tag
from graphspec.show.report.findings import find

HEAD = {"type": "Dense", "units": 3, "activation": "softmax", "name": "kind"}
CLASSES = {"kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}}
NUMBER = ({"type": "Dense", "units": 1, "name": "price"}, {"price": {"loss": "mse", "metrics": ["mae"]}})


def made(inputs: dict[str, Any], layers: list[Any], outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"graphspec": 1, "name": "made", "inputs": inputs, "layers": layers, "outputs": outputs, **more}


SERIES = {"file": "t.csv", "windows": {"length": 4, "horizon": 1}, "inputs": {"x": "a"}}


@pytest.mark.parametrize(
    ("spec", "tag"),
    [
        (made({"x": {"shape": [4]}}, [HEAD], CLASSES), "tabular-classification"),
        (made({"x": {"shape": [4]}}, [NUMBER[0]], NUMBER[1]), "tabular-regression"),
        (
            made({"x": {"shape": [8, 8, 3]}}, [{"type": "Flatten", "name": "flat"}, HEAD], CLASSES),
            "image-classification",
        ),
        (made({"x": {"shape": [8, 8, 3]}}, [{"type": "Flatten", "name": "flat"}, NUMBER[0]], NUMBER[1]), None),
        (
            made(
                {"x": {"shape": [6], "dtype": "int32"}},
                [
                    {"type": "Embedding", "input_dim": 9, "output_dim": 2, "name": "e"},
                    {"type": "Flatten", "name": "flat"},
                    HEAD,
                ],
                CLASSES,
            ),
            "text-classification",
        ),
        (made({"x": {"shape": [4]}}, [HEAD], {"kind": {}}), None),
        (made({"x": {"shape": [4]}}, [NUMBER[0]], NUMBER[1], data={"train": SERIES}), "time-series-forecasting"),
    ],
    ids=["table", "number", "picture", "number of a picture", "tokens", "no loss", "series"],
)
def test_the_task_has_the_name_of_model_repositories(spec: dict[str, Any], tag: str | None) -> None:
    assert pipeline_tag(gs.compile(spec)) == tag


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run on a table with a name that Markdown and YAML would read as something else."""
    rng = np.random.default_rng(0)
    rows = ["size,town,kind"]
    for k in range(120):
        size = "" if k % 11 == 0 else f"{rng.normal(k % 3, 0.1):.3f}"
        rows.append(f"{size},{'AB'[k % 2]}`{'c'},{['low', 'mid', 'high'][k % 3]}")
    (tmp_path / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    spec = made(
        {"row": {"columns": {"size": "number", "town": "category"}}},
        [HEAD],
        CLASSES,
        training={"epochs": 30, "batch_size": 8, "seed": 1, "optimizer": {"type": "Adam", "learning_rate": 0.02}},
        data={"train": {"file": "rows.csv"}, "test": {"file": "rows.csv"}},
        description="Which | *kind* # it is: `a` <b>",
    )
    (tmp_path / "made.json").write_text(json.dumps(spec), encoding="utf-8")
    model = gs.compile(tmp_path / "made.json")
    model.fit(verbose=0)
    model.save(tmp_path / "run")
    return tmp_path / "run"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def test_a_card_has_the_values_of_evaluate(run: Path) -> None:
    model = gs.load(run)
    text = card(find(model, run), "made.onnx", "mit")
    results = model.evaluate()
    front = YAML(typ="safe").load(text.split("---\n")[1])
    assert front["license"] == "mit"
    assert front["library_name"] == "onnx"
    assert front["pipeline_tag"] == "tabular-classification"
    assert front["metrics"] == ["accuracy"]
    [result] = front["model-index"][0]["results"]
    assert result["dataset"] == {"name": "rows.csv", "type": "made", "split": "test"}
    assert result["metrics"] == [{"type": "accuracy", "value": results["accuracy"], "name": "accuracy"}]
    assert MARK in text
    for key, value in results.items():
        assert f"| {key} | {significant(value)} |" in text
    assert "Which \\| \\*kind\\* \\# it is: \\`a\\` \\<b\\>" in text
    assert "| low | 40 | " in text
    assert "sha256 of the test data" in text


def test_a_field_that_gives_away_the_target_is_on_the_card(run: Path) -> None:
    found = replace(find(gs.load(run), run), given={"size": "gives away the target by its gaps"})
    assert "'size' gives away the target by its gaps; would you know it when you ask?" in card(found, "made.onnx")


def test_the_call_in_python_works(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = gs.load(run)
    text = card(find(model, run), "made.onnx")
    assert "license" not in text
    monkeypatch.chdir(tmp_path)
    model.export("made.onnx")
    [program] = blocks(text, "python")
    said: list[Any] = []
    exec(program, {"print": lambda *values: said.append(values)})  # noqa: S102 (our own text)
    answers = dict(said)
    first = {"size": np.array([[np.nan]], np.float32), "town": np.array([["A`c"]], object)}  # the first row has a gap
    np.testing.assert_allclose(answers["kind"], model.predict(first), rtol=1e-4, atol=1e-6)
    assert answers["kind_label"].tolist() == [model.labels["kind"][int(answers["kind"].argmax())]]


def test_large_inputs_are_zeros_of_the_right_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "p.npz", x=rng.integers(0, 255, (20, 9, 9, 1)).astype(np.uint8), kind=rng.integers(0, 3, 20))
    source = {"file": "p.npz"}
    layers = [{"type": "Rescaling", "scale": 0.01, "name": "s"}, {"type": "Flatten", "name": "flat"}, HEAD]
    spec = made({"x": {"shape": [9, 9, 1], "dtype": "uint8"}}, layers, CLASSES, data={"train": source, "test": source})
    model = gs.compile(spec)
    model.fit(epochs=1, verbose=0)
    model.save("run")
    model.export("made.onnx")
    text = card(find(model, Path("run")), "made.onnx")
    said: list[Any] = []
    exec(blocks(text, "python")[0], {"print": lambda *values: said.append(values)})  # noqa: S102 (our own text)
    np.testing.assert_allclose(said[0][1], model.predict(np.zeros((1, 9, 9, 1), np.uint8)), rtol=1e-4)
    assert "new Uint8Array(9 * 9 * 1), [1, 9, 9, 1])" in text


def test_a_run_without_data_says_so(tmp_path: Path) -> None:
    model = gs.compile(made({"x": {"shape": [2]}}, [HEAD], CLASSES))
    model.save(tmp_path / "run")
    text = card(find(model, tmp_path / "run"), "made.onnx")
    assert "The spec names no data." in text
    assert "metrics:" not in text
    assert "It was not measured on rows that had no part in the training." in text


@pytest.mark.parametrize(
    "evil", ["<img src=x onerror=alert(3)>", "a|b `c` &lt;b&gt;", "\x1b[31m \x7f\u202e red", "[x](https://y.z)"]
)
def test_texts_of_specs_are_shown_and_do_nothing(tmp_path: Path, evil: str) -> None:
    """Not in a sentence, a cell or a program, and no character reaches the terminal that steers it."""
    rng = np.random.default_rng(0)
    rows = [json.dumps({"town": evil, "kind": [evil, "b", "c"][k % 3], "size": float(rng.normal())}) for k in range(30)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    spec = made(
        {"row": {"columns": {"size": "number", "town": "category"}}},
        [HEAD],
        {"kind": {**CLASSES["kind"], "labels": [evil, "b", "c"], "description": evil}},
        data={"train": {"file": "rows.jsonl"}, "test": {"file": "rows.jsonl"}},
        description=evil,
    )
    (tmp_path / "made.json").write_text(json.dumps(spec), encoding="utf-8")
    model = gs.compile(tmp_path / "made.json")
    model.fit(epochs=1, verbose=0)
    model.save(tmp_path / "run")
    text = card(find(model, tmp_path / "run"), "made.onnx")
    assert all(character.isprintable() or character == "\n" for character in text)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S).replace(MARK, "")
    assert not re.search(r"(?<!\\)(\\\\)*[<>\[\]&]", prose)
    for line in prose.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5), line
