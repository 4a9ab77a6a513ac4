"""Tags of tokens: from a table of lists to a file that answers texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from commands import graphspec

import graphspec as gs
from graphspec.data.batches import Dataset
from graphspec.engine.training.prepare import part_rows
from graphspec.export import read

RNG = np.random.default_rng(0)
NOUNS = ["cat", "dog", "tree", "house", "bird", "fish"]
VERBS = ["runs", "sees", "takes", "makes"]


def sentence() -> tuple[list[str], list[str]]:
    """A sentence whose tags follow from the words, their endings and their neighbours."""
    tokens, tags = ["The"], ["DT"]
    for _ in range(RNG.integers(0, 3)):
        tokens.append("".join(RNG.choice(list("abcdefg"), 4)) + "ish")
        tags.append("JJ")
    tokens += [RNG.choice(NOUNS), RNG.choice(VERBS)]
    tags += ["NN", "VB"]
    if RNG.random() < 0.5:
        tokens += ["it", "here"] * int(RNG.integers(1, 6))
        tags += ["PR", "AD"] * ((len(tokens) - len(tags)) // 2)
    return [str(t) for t in tokens], tags


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec of ``init``, its run, its file, and the rows that it learnt from and has not seen."""
    path = tmp_path_factory.mktemp("tags")
    for part, count in (("train", 400), ("test", 60)):
        lines = [json.dumps(dict(zip(("words", "pos"), sentence(), strict=True))) + "\n" for _ in range(count)]
        (path / f"{part}.jsonl").write_text("".join(lines))
    made = graphspec("init", path / "spec.yaml", "--from", path / "train.jsonl", "--target", "pos")
    assert made.exit_code == 0, made.stderr
    assert "400 sentences of train.jsonl" in made.stdout
    trained = graphspec(
        "train", path / "spec.yaml", "--out", path / "run", "--set", "training.epochs=6", "--export", path / "t.onnx"
    )
    assert trained.exit_code == 0, trained.stderr
    assert "warning" not in trained.stderr
    assert "tags: 6 classes: " in trained.stdout  # padding counts as none of them
    return path


@pytest.mark.slow
def test_init_is_a_page_that_names_the_columns(folder: Path) -> None:
    text = (folder / "spec.yaml").read_text()
    assert "inputs: {tokens: words}, targets: {tags: pos}" in text
    assert "name: tags, type: Dense, units: 6," in text
    assert graphspec("validate", folder / "spec.yaml", "--data").exit_code == 0
    assert sum(line.startswith("  - {name: ") for line in text.splitlines()) == 12


def test_the_network_learns_and_evaluate_says_so(folder: Path) -> None:
    found = []
    for source in ("run", "t.onnx"):
        result = graphspec("evaluate", folder / source, "--data", folder / "test.jsonl")
        assert result.exit_code == 0, result.stderr
        [line] = [line for line in result.stdout.splitlines() if line.startswith("accuracy")]
        found.append(float(line.split()[1]))
    assert found[0] == found[1] > 0.97


def test_a_file_is_evaluated_part_by_part(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []

    def spy(exported: read.Exported, rows: Dataset, size: int) -> dict[str, np.ndarray]:
        parts.append(len(rows))
        return answers_of(exported, rows, size)

    answers_of = read.answers_of
    monkeypatch.setattr(read, "answers_of", spy)
    monkeypatch.setattr(read, "_PART", 1)
    found = read.read_exported(folder / "t.onnx")
    model = gs.load(folder / "run")
    rows = part_rows(model, "train")
    running, *_ = read.evaluate_exported(found, found.spec, rows)
    size = model.spec.training.batch_size
    assert sum(parts) == len(rows)
    assert {*parts[:-1]} == {size}
    assert model.evaluation(model.prepared(rows), size).loader.form(0)[1] >= 12  # the longest ones first
    assert running.logs() == pytest.approx(model.evaluate_arrays(rows, size).logs(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("source", ["run", "t.onnx"])
def test_predict_writes_a_tag_for_each_token(folder: Path, source: str) -> None:
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    result = graphspec("predict", folder / source, folder / "test.jsonl", "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [len(row["tags_label"]) for row in found] == [len(row["words"]) for row in rows]
    assert list(found[0]) == ["tags_label"]
    right = [
        a == b
        for row, said in zip(rows, found, strict=True)
        for a, b in zip(row["pos"], said["tags_label"], strict=True)
    ]
    assert np.mean(right) > 0.97
    plain = graphspec("predict", folder / source, folder / "test.jsonl", "--labels").stdout.splitlines()
    assert plain[0].split() == found[0]["tags_label"]


def test_answers_do_not_depend_on_the_padding(folder: Path) -> None:
    session = onnxruntime.InferenceSession(folder / "t.onnx", providers=["CPUExecutionProvider"])
    tokens = np.array([["The", "cat", "runs", "", "", ""], ["The", "abcdish", "dog", "sees", "it", "here"]], object)
    both = session.run(["tags", "tags_label"], {"tokens": tokens})
    [alone, label] = session.run(["tags", "tags_label"], {"tokens": tokens[:1, :3]})
    np.testing.assert_allclose(both[0][:1, :3], alone, atol=1e-5)
    assert label.tolist() == [["DT", "NN", "VB"]]
    assert both[1].tolist()[0] == ["DT", "NN", "VB", "", "", ""]


def test_a_model_in_python_takes_lists(folder: Path) -> None:
    model = gs.load(folder / "run")
    found = model.predict({"tokens": [["The", "cat", "runs"], ["The", "dog"]]})
    assert found.shape == (2, 3, 6)


@pytest.mark.slow
def test_resuming_and_workers_change_no_bit_and_little(folder: Path) -> None:
    def run(name: str, *more: str) -> dict[str, np.ndarray]:
        result = graphspec("train", folder / "spec.yaml", "--out", folder / name, "--no-report", *more)
        assert result.exit_code == 0, result.stderr
        return gs.load(folder / name).weights

    whole = run("whole", "--set", "training.epochs=2")
    run("parts", "--set", "training.epochs=1")
    parts = run("parts", "--resume", "--set", "training.epochs=2")
    assert all((whole[name] == parts[name]).all() for name in whole)
    two = run("two", "--set", "training.epochs=2", "--set", "training.workers=2")
    assert all(np.allclose(whole[name], two[name], atol=2e-2) for name in whole)


@pytest.mark.slow
def test_copies_and_folds_train(folder: Path) -> None:
    for name in ("seeds", "folds"):
        more = ("--set", f"training.{name}=2", "--set", "training.epochs=1", "--set", "data.validation=null")
        result = graphspec("train", folder / "spec.yaml", "--out", folder / name, "--no-report", *more)
        assert result.exit_code == 0, result.stderr


def test_a_head_without_a_mask_is_refused_where_rows_are_padded() -> None:
    spec = {
        "graphspec": 1,
        "name": "unmasked",
        "inputs": {"tokens": {"shape": [None], "dtype": "string"}},
        "layers": [
            {"name": "ids", "type": "StringLookup", "mask_token": ""},
            {"name": "word", "type": "Embedding", "output_dim": 4},
            {"name": "tags", "type": "Dense", "units": 2, "activation": "softmax"},
        ],
        "outputs": {"tags": {"loss": "sparse_categorical_crossentropy"}},
    }
    model = gs.compile(spec)
    model.fit({"tokens": [["a", "b"], ["b", "a"]]}, {"tags": [["X", "Y"], ["Y", "X"]]}, epochs=1, verbose=0)
    with pytest.raises(gs.SpecError, match="the padding of short rows would count as 'X'"):
        gs.compile(spec).fit({"tokens": [["a", "b"], ["b"]]}, {"tags": [["X", "Y"], ["Y"]]}, epochs=1, verbose=0)
