"""The initializer Vectors: an Embedding begins with the vectors of words from a file."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec
from safetensors.numpy import save_file

import graphspec as gs
from graphspec.engine.compiler.check import check

WORDS = ["The", "cat", "Dog", "dog", "mouse"]
VECTORS = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
TEXTS = np.array(["The cat sat", "a DOG sat", "the cat", "no dog"], object)[:, None]
Y = np.arange(4, dtype=np.float32)[:, None]
START = {"type": "Vectors", "file": "v.safetensors", "key": "vectors", "vocabulary": "words.txt"}
LEARNT = ["the", "sat", "dog", "cat", "no", "a"]  # the ids from 2 on


def document(start: Any = START, **more: Any) -> dict[str, Any]:
    """A mean of frozen vectors of words, and a head."""
    words = {"type": "Embedding", "output_dim": 2, "embeddings_initializer": start, "mask_zero": True}
    return {
        "graphspec": 1,
        "name": "v",
        "inputs": {"text": {"shape": [1], "dtype": "string"}},
        "layers": [
            {"name": "ids", "type": "TextVectorization", **more},
            {"name": "words", "trainable": False, **words},
            {"name": "mean", "type": "GlobalAveragePooling1D"},
            {"name": "y", "type": "Dense", "units": 1},
        ],
        "outputs": {"y": {"loss": "mse"}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 0.01}, "epochs": 2, "batch_size": 2, "seed": 1},
        "data": {"train": {"file": "train.csv"}},
    }


def written(folder: Path, found: dict[str, Any]) -> Path:
    path = folder / "v.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"vectors": VECTORS, "other": np.ones(3, np.float32)}, tmp_path / "v.safetensors")
    (tmp_path / "words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    rows = [f"{text},{y}" for text, y in zip(TEXTS[:, 0], Y[:, 0], strict=True)]
    (tmp_path / "train.csv").write_text("\n".join(["text,y", *rows]) + "\n", encoding="utf-8")
    return tmp_path


def test_words_of_a_learnt_vocabulary_have_their_vectors(folder: Path) -> None:
    model = gs.compile(written(folder, document()))
    model.fit(TEXTS, Y, verbose=0)
    found = model.weights["words/embeddings"]
    rows = {"the": 0, "dog": 3, "cat": 1}  # `The` in lower case; of `dog` and `Dog`, the same spelling
    for number, word in enumerate(LEARNT, 2):
        if word in rows:
            np.testing.assert_array_equal(found[number], VECTORS[rows[word]])
    others = found[[0, 1, 3, 6, 7]]
    half = np.sqrt(3) * VECTORS[[0, 3, 1]].std()
    assert (np.abs(others) < half).all()
    assert np.abs(others).max() > half / 3
    again = gs.compile(written(folder, document()))
    again.fit(TEXTS, Y, verbose=0)
    np.testing.assert_array_equal(again.weights["words/embeddings"], found)


def test_a_given_vocabulary_and_capitals(folder: Path) -> None:
    given = document(vocabulary=["DOG", "Dog", "bird", "The", "THE"], standardize=None)
    found = gs.compile(written(folder, given)).weights["words/embeddings"]
    np.testing.assert_array_equal(found[[2, 3, 5, 6]], VECTORS[[3, 2, 0, 0]])


def test_a_lookup_of_a_record(folder: Path) -> None:
    whole = document()
    whole["layers"][0] = {"name": "ids", "type": "StringLookup", "vocabulary": ["cat", "mouse"]}
    whole["layers"][1].pop("mask_zero")
    whole["inputs"]["text"]["shape"] = [2]
    found = gs.compile(written(folder, whole)).weights["words/embeddings"]
    np.testing.assert_array_equal(found[1:], VECTORS[[1, 4]])


def test_runs_and_files_do_not_need_the_vectors(folder: Path) -> None:
    model = gs.compile(written(folder, document()))
    model.fit(TEXTS, Y, verbose=0)
    model.save(folder / "run")
    model.export(folder / "net.onnx")
    packed = pickle.dumps(model)
    for name in ("v.safetensors", "words.txt"):
        (folder / name).unlink()
    expected = model.predict(TEXTS)
    for other in (gs.load(folder / "run"), pickle.loads(packed)):
        np.testing.assert_array_equal(other.predict(TEXTS), expected)
        other.fit(TEXTS, Y, verbose=0)
    assert graphspec("summary", folder / "net.onnx").exit_code == 0


def test_the_training_says_how_many_and_resumes(folder: Path) -> None:
    path = written(folder, document())
    done = graphspec("train", path, "--out", folder / "whole", "--no-report", "--set", "training.epochs=4")
    assert "words/embeddings: vectors of 3 of 6 words from v.safetensors" in done.stdout
    graphspec("train", path, "--out", folder / "run", "--no-report")
    (folder / "words.txt").unlink()
    more = graphspec("train", path, "--out", folder / "run", "--no-report", "--resume", "--set", "training.epochs=4")
    assert more.exit_code == 0, more.stderr
    pair = [gs.load(folder / name).weights for name in ("whole", "run")]
    for name, values in pair[0].items():
        np.testing.assert_array_equal(pair[1][name], values)


def test_copies_have_the_same_vectors(folder: Path) -> None:
    whole = document() | {"training": document()["training"] | {"seeds": 2}}
    done = graphspec("train", written(folder, whole), "--out", folder / "run", "--no-report")
    assert done.exit_code == 0, done.stderr
    found = [v for name, v in gs.load(folder / "run").weights.items() if name.endswith("embeddings")]
    assert len(found) == 2
    np.testing.assert_array_equal(found[0][[2, 4, 5]], VECTORS[[0, 3, 1]])
    np.testing.assert_array_equal(found[1][[2, 4, 5]], VECTORS[[0, 3, 1]])
    assert not np.array_equal(found[0][3], found[1][3])


@pytest.mark.parametrize(
    ("change", "words", "hint"),
    [
        ({"file": "none.npy", "key": None}, "names the file 'none.npy', which cannot be read: no such file", "beside"),
        ({"vocabulary": "no.txt"}, "names the file 'no.txt', which cannot be read: no such file", "one token per line"),
        ({"vocabulary": "../words.txt"}, "is neither beside the spec nor below its folder", "copy the file"),
        (
            {"vocabulary": "four.txt"},
            "has 4 words in 'four.txt', but a matrix of shape (5, 2)",
            "one word for each row",
        ),
        ({"key": "other"}, "has 5 words in 'words.txt', but a matrix of shape (3,)", "another array"),
        ({"key": None}, "which has 2 arrays", "name one with `key`"),
        (
            {"file": "wide.npy", "key": None},
            "has a matrix of shape (5, 3) in 'wide.npy', not (words, 2)",
            "output_dim: 3",
        ),
        ({"file": "wide.npy"}, "must not be set without a `file` .npz or .safetensors", "remove it"),
        ({"file": "nan.npy", "key": None}, "which contains NaN or infinity", "replace"),
    ],
)
def test_wrong_files(folder: Path, change: dict[str, Any], words: str, hint: str) -> None:
    (folder / "four.txt").write_text("a\nb\nc\nd\n")
    np.save(folder / "wide.npy", np.ones((5, 3), np.float32))
    np.save(folder / "nan.npy", np.full((5, 2), np.nan))
    start = {key: value for key, value in (START | change).items() if value is not None}
    (found,) = check(written(folder, document(start))).errors
    assert words in found.message
    assert hint in str(found.hint)
    assert "embeddings_initializer" in found.path


def test_no_word_is_found(folder: Path) -> None:
    (found,) = check(written(folder, document(vocabulary=["der", "die"]))).errors
    assert "finds none of the 2 words in 'words.txt'" in found.message
    model = gs.compile(written(folder, document()))
    with pytest.raises(gs.SpecError, match="finds none of the 2 words"):
        model.fit(np.array(["der die"] * 4, object)[:, None], Y, verbose=0)


def test_ids_that_are_no_words(folder: Path) -> None:
    whole = document()
    whole["inputs"]["text"] = {"shape": [2], "dtype": "int64"}
    whole["layers"][0] = {"name": "ids", "type": "IntegerLookup"}
    (found,) = check(written(folder, whole)).errors
    assert "needs ids of words" in found.message
    (other,) = check(
        written(
            folder,
            document(start="zeros")
            | {
                "layers": [
                    {"name": "ids", "type": "TextVectorization", "output_mode": "count"},
                    {"name": "y", "type": "Dense", "units": 1, "kernel_initializer": START},
                ]
            },
        )
    ).errors
    assert "needs ids of words" in other.message
