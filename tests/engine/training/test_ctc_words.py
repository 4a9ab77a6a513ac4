"""Words as targets of CTC, from pictures of several widths: trained, resumed, predicted and exported."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec as command

import graphspec as gs

Image = pytest.importorskip("PIL.Image")
SPEC = """\
graphspec: 1
name: words
inputs:
  word: {shape: [4, null, 1], column: picture}
layers:
  - {type: Rescaling, scale: 0.00392156862745098}
  - {type: Permute, dims: [2, 1, 3]}
  - {type: Reshape, target_shape: [-1, 4]}
  - {type: Masking}
  - {type: LSTM, units: 16, return_sequences: true}
  - {name: letters, type: Dense, units: 4}
outputs:
  letters: {loss: ctc, metrics: [edit_distance]}
training: {optimizer: {type: Adam, learning_rate: 0.03}, epochs: 12, batch_size: 8, seed: 1}
data:
  train: {file: train.csv, targets: {letters: text}}
  test: {file: test.csv, targets: {letters: text}}
"""
LETTERS = {"a": [1, 0, 0, 1], "b": [0, 1, 1, 0], "c": [1, 1, 0, 0]}


def draw(folder: Path, part: str, words: list[str]) -> None:
    """Write a picture for each word, 3 columns a letter, the last of them blank, and the table of their names."""
    for k, word in enumerate(words):
        columns = [c for letter in word for c in (LETTERS.get(letter, [1, 1, 1, 1]),) * 2 + ([0, 0, 0, 1],)]
        Image.fromarray(np.array(columns, np.uint8).T * np.uint8(255)).save(folder / f"{part}{k}.png")
    with (folder / f"{part}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["picture", "text"], *((f"{part}{k}.png", w) for k, w in enumerate(words))])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    words = ["".join(random.choice([*"abc"], random.integers(1, 6))) for _ in range(80)]
    draw(tmp_path, "train", words)
    draw(tmp_path, "test", ["abc", "a", "cabba", "bb", "cc"])
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path


def ran(*arguments: Any) -> str:
    result = command(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def predicted(*arguments: Any) -> list[str]:
    return [row["letters_label"] for row in csv.DictReader(io.StringIO(ran("predict", *arguments)))]


@pytest.mark.slow
def test_words_are_learnt_resumed_predicted_and_exported(project: Path) -> None:
    run, spec = project / "run", project / "spec.yaml"
    ran("train", spec, "--out", run, "--set", "training.epochs=1")
    learnt = json.loads((run / "adapted.json").read_text())["heads"]["letters"]
    assert learnt == {"labels": ["", "a", "b", "c"]}
    whole = project / "whole"
    ran("train", spec, "--out", whole, "--export", project / "words.onnx")
    shutil.rmtree(run)
    ran("train", spec, "--out", run, "--set", "training.epochs=5")
    ran("train", spec, "--out", run, "--resume", "--set", "training.epochs=12")
    model, resumed = gs.load(whole), gs.load(run)
    for name, weights in model.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], weights)
    texts = predicted(whole, project / "test.csv")
    assert texts == predicted(project / "words.onnx", project / "test.csv")
    assert model.evaluate()["edit_distance"] < 0.5
    assert len(texts) == 5
    assert sum(text == word for text, word in zip(texts, ["abc", "a", "cabba", "bb", "cc"], strict=True)) >= 2
    alone = [predicted(whole, row(project, k))[0] for k in range(5)]
    assert alone == texts, "a picture alone has the text that it has beside wider ones"
    assert ran("predict", whole, project / "test.csv", "--labels").splitlines() == texts


def row(folder: Path, k: int) -> Path:
    file = folder / f"row{k}.csv"
    file.write_text(f"picture\ntest{k}.png\n")
    return file


def test_steps_are_counted_from_each_pictures_width(project: Path) -> None:
    model = gs.compile(project / "spec.yaml")
    data = model.part("test")
    assert data.inputs["word"].shape == (5, 4, 15, 1)
    assert data.lengths["letters_input_length"].tolist() == [9, 3, 15, 6, 6]


def test_a_word_that_does_not_fit_its_own_picture_is_refused(project: Path) -> None:
    rows = (project / "test.csv").read_text().replace("test1.png,a", "test1.png,abca")
    (project / "test.csv").write_text(rows)
    found = [d for d in gs.validate(project / "spec.yaml", data=True) if d.is_error]
    assert [d.code for d in found] == ["GS509"]
    assert "4 labels with 0 repeats in 3 time steps" in found[0].message


def test_too_few_units_for_the_letters_of_the_training_rows(project: Path) -> None:
    (project / "spec.yaml").write_text(SPEC.replace("units: 4}", "units: 3}"))
    result = command("train", project / "spec.yaml", "--out", project / "run")
    assert result.exit_code == 1
    assert "has 3 labels and the blank for 3 classes" in result.stderr
    assert "give it 4 units: one for the blank, and one for each of a b c" in result.stderr
    assert [d.code for d in gs.validate(project / "spec.yaml", data=True)] == ["GS405"]


def test_a_letter_that_no_training_row_has(project: Path) -> None:
    draw(project, "test", ["abc", "axc"])
    result = command("train", project / "spec.yaml", "--out", project / "run")
    assert result.exit_code == 1
    assert "GS511" in result.stderr
    assert "has the character 'x' in line 3, which no text of the training rows has" in result.stderr


def test_given_labels_begin_with_the_blank(project: Path) -> None:
    for labels, message in (
        ('["", a, b, c]', None),
        ("[a, b, c]", "has 3 labels for 4 classes, the first of which is the blank"),
    ):
        (project / "spec.yaml").write_text(SPEC.replace("[edit_distance]}", f"[edit_distance], labels: {labels}}}"))
        found = [d.message for d in gs.validate(project / "spec.yaml", data=True)]
        assert found == [] if message is None else message in found[0]


def test_rows_in_memory_maps_are_the_same(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, stored = gs.compile(project / "spec.yaml"), gs.compile(project / "spec.yaml")
    direct = model.part("train")
    monkeypatch.setattr("graphspec.data.stored.SHARE", 0.0)
    stored.cache = project / "cache"
    kept = stored.part("train")
    assert list((project / "cache").glob("rows-*/index.json"))
    np.testing.assert_array_equal(kept.inputs["word"], direct.inputs["word"])
    assert kept.targets["letters"][:].tolist() == direct.targets["letters"][:].tolist()
    np.testing.assert_array_equal(kept.lengths["letters_input_length"], direct.lengths["letters_input_length"])
    Image.fromarray(np.zeros((4, 30), np.uint8)).save(project / "train0.png")  # the table stays as it is
    assert stored.part("train").inputs["word"].shape[2] == 30
