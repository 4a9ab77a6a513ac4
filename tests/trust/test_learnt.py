"""Hostile files of what a network has learnt: records, vocabularies, prepared rows. Errors are clear, memory is bounded."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec.engine.runtime import session as sessions
from graphspec.export.read import read_exported

POSIX = pytest.mark.skipif(os.name == "nt", reason="links, pipes and devices are POSIX's")
SPEC: dict[str, Any] = {
    "graphspec": 1,
    "name": "learning",
    "inputs": {"kind": {"shape": [1], "dtype": "string"}, "size": {"shape": [2]}},
    "layers": [
        {"name": "scaled", "type": "Normalization", "inputs": "size"},
        {"name": "known", "type": "StringLookup", "output_mode": "one_hot", "inputs": "kind"},
        {"name": "both", "type": "Concatenate", "inputs": ["scaled", "known"]},
        {"name": "y", "type": "Dense", "units": 1},
    ],
    "outputs": {"y": {"loss": "mean_squared_error"}},
    "training": {"seed": 1, "batch_size": 8, "workers": 1},
}
X = {"kind": np.array([["red"], ["Bär"], ["red"], ["日本"]] * 4, object), "size": np.arange(32.0).reshape(16, 2)}
MOST = 200 << 20  # bytes that Python may allocate for any of these files: the largest record that is read has 64 MiB


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that has learnt, and the file of its export."""
    folder = tmp_path_factory.mktemp("right")
    model = gs.compile(SPEC)
    model.fit(X, np.ones((16, 1)), verbose=0)
    model.save(folder / "run")
    model.export(folder / "model.onnx")
    return folder


def changed(path: tuple[str, ...], value: Any) -> Callable[[dict[str, Any]], Any]:
    """A record in which one entry has another value."""

    def change(record: dict[str, Any]) -> Any:
        inner = record
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return record

    return change


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda record: [record],
    "null": lambda record: None,
    "another format": changed(("format",), 10**9),
    "rows that are a text": changed(("rows",), "16"),
    "rows below 0": changed(("rows",), -1),
    "layers that are a list": changed(("layers",), ["scaled"]),
    "a state that is a number": changed(("layers", "scaled"), 3),
    "NaN": changed(("layers", "scaled", "mean"), [float("nan"), 0.0]),
    "an infinite variance": changed(("layers", "scaled", "variance"), [float("inf"), 1.0]),
    "a variance below 0": changed(("layers", "scaled", "variance"), [-1.0, 1.0]),
    "other sizes": changed(("layers", "scaled"), {"mean": [0.0] * 5, "variance": [1.0] * 5}),
    "a number of 10000 digits": changed(("layers", "scaled", "mean"), [10**4000, 0.0]),
    "no vocabulary": changed(("layers", "known"), {}),
    "a vocabulary of numbers": changed(("layers", "known", "vocabulary"), [1, 2]),
    "a token twice": changed(("layers", "known", "vocabulary"), ["a", "a"]),
    "an argument that is not learnt": changed(("layers", "known", "output_mode"), "int"),
    "a layer that the spec lacks": changed(("layers", "other"), {"mean": 0.0}),
    "a layer that does not learn": changed(("layers", "y"), {"units": 10**9}),
    "a head that the spec lacks": changed(("heads",), {"z": {"labels": ["a"]}}),
    "statistics of a head that are NaN": changed(("heads",), {"y": {"mean": float("nan"), "deviation": 1.0}}),
}
RAW: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"vocabulary: [a]",
    "no UTF-8": b'{"format": "\xff"}',
    "deep": b"[" * 200_000,
    "deep and closed": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "a key twice": b'{"format": 1, "format": 1}',
}


def refused_run(folder: Path) -> str:
    """The message that refuses a run, for which little memory was needed."""
    tracemalloc.start()
    try:
        with pytest.raises(gs.GraphspecError) as caught:
            gs.load(folder)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MOST
    message = str(caught.value)
    assert "adapted" in message
    assert len(message) < 2000
    return message


def copied(right: Path, tmp_path: Path) -> Path:
    shutil.copytree(right / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_record_that_was_changed(right: Path, tmp_path: Path, change: Any) -> None:
    run = copied(right, tmp_path)
    record = change(json.loads((run / "adapted.json").read_text(encoding="utf-8")))
    (run / "adapted.json").write_text(json.dumps(record))
    assert "GS603" in refused_run(run)


@pytest.mark.parametrize("content", RAW.values(), ids=RAW)
def test_a_record_that_is_none(right: Path, tmp_path: Path, content: bytes) -> None:
    run = copied(right, tmp_path)
    (run / "adapted.json").write_bytes(content)
    assert "GS603" in refused_run(run)


def test_a_record_without_end(right: Path, tmp_path: Path) -> None:
    """As large as a vocabulary of a hundred million tokens, without taking the space."""
    run = copied(right, tmp_path)
    with (run / "adapted.json").open("r+b") as file:
        file.truncate(1 << 30)
    assert "is larger than 64 MiB" in refused_run(run)


@POSIX
@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_a_record_that_is_no_file(right: Path, tmp_path: Path, kind: str) -> None:
    run = copied(right, tmp_path)
    (run / "adapted.json").unlink()
    if kind == "folder":
        (run / "adapted.json").mkdir()
    elif kind == "pipe":
        os.mkfifo(run / "adapted.json")
    else:
        (run / "adapted.json").symlink_to("/dev/zero")
    assert "is not a regular file" in refused_run(run)


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_an_exported_file_with_a_record_that_was_changed(right: Path, tmp_path: Path, change: Any) -> None:
    model = onnx.load(right / "model.onnx")
    for entry in model.metadata_props:
        if entry.key == "adapted":
            entry.value = json.dumps(change(json.loads(entry.value)))
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(gs.GraphspecError) as caught:
        read_exported(tmp_path / "a.onnx")
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("content", ["", "[" * 200_000, '{"a":' * 5_000, "x", "[]"], ids=range(5))
def test_an_exported_file_with_another_record(right: Path, tmp_path: Path, content: str) -> None:
    model = onnx.load(right / "model.onnx")
    for entry in model.metadata_props:
        if entry.key == "adapted":
            entry.value = content
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(gs.UsageError, match="record of what the network has learnt"):
        read_exported(tmp_path / "a.onnx")


# Files with a vocabulary.


def with_vocabulary(folder: Path) -> str:
    """What is said of a spec whose vocabulary is ``words.txt`` in this folder."""
    layers = [dict(layer) for layer in SPEC["layers"]]
    layers[1]["vocabulary"] = "words.txt"
    (folder / "spec.json").write_text(json.dumps({**SPEC, "layers": layers}))
    with pytest.raises(gs.SpecError) as caught:
        gs.compile(folder / "spec.json")
    [error] = [d for d in caught.value.diagnostics if d.is_error]
    assert "words.txt" in error.message
    return f"{error.code} {error.message}"


@POSIX
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "link to a device", "circle"])
def test_a_vocabulary_that_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "words.txt"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "circle":
        path.symlink_to("words.txt")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        (tmp_path / "inner").symlink_to("/dev/tty")
        path.symlink_to("inner")
    assert with_vocabulary(tmp_path).startswith("GS501")


@pytest.mark.slow
def test_a_vocabulary_without_end(tmp_path: Path) -> None:
    with (tmp_path / "words.txt").open("wb") as file:
        file.truncate(1 << 30)
    assert "has more than 256 MiB" in with_vocabulary(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "GS105"), (b"a\n\nb\n", "GS105"), (b"a\na\n", "GS105"), (b"\xff\xfea\0", "UTF-8"), (b"a\n\xc3\n", "line 2")],
)
def test_a_vocabulary_that_is_wrong(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "words.txt").write_bytes(content)
    assert said in with_vocabulary(tmp_path)


# The cache of prepared rows.


def cached(folder: Path) -> tuple[np.ndarray, Path]:
    """Predictions after a training with this cache, and the only entry that it has."""
    model = gs.compile(SPEC)
    model.cache = folder
    model.fit(X, np.ones((16, 1)), verbose=0)
    [entry] = [p for p in folder.iterdir() if p.is_dir()]
    answers: np.ndarray = model.predict(X)
    return answers, entry


HUGE = {"dtype": "|u1", "shape": [1 << 60]}


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[" * 200_000,
        b"\xff",
        b"[]",
        b'{"arrays": 3}',
        lambda a: dict.fromkeys(a, HUGE),
        lambda a: {k: {**v, "shape": [1e400]} for k, v in a.items()},
        lambda a: {k: {**v, "shape": [-1, -v["shape"][0] * (v["shape"] + [1])[1]]} for k, v in a.items()},
        lambda a: {k: {**v, "shape": [*v["shape"][::-1], 1]} for k, v in a.items()},
        lambda a: {k: {**v, "dtype": "|O"} for k, v in a.items()},
        lambda a: {k: {**v, "dtype": "|V1"} for k, v in a.items()},
        lambda a: {k: {**v, "dtype": "S1"} for k, v in a.items()},
        lambda a: {k: {**v, "dtype": [["a", "|u1"]]} for k, v in a.items()},
        lambda a: {},
    ],
    ids=range(14),
)
def test_an_index_of_the_cache_that_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: Any) -> None:
    """The entry is made anew."""
    monkeypatch.setattr(sessions, "CACHED_BYTES", 1)
    expected, entry = cached(tmp_path)
    right = (entry / "index.json").read_bytes()
    wrong = index if isinstance(index, bytes) else json.dumps({"arrays": index(json.loads(right)["arrays"])}).encode()
    (entry / "index.json").write_bytes(wrong)
    again, entry = cached(tmp_path)
    assert np.array_equal(again, expected)
    assert (entry / "index.json").read_bytes() == right


@POSIX
@pytest.mark.parametrize("whole", [False, True], ids=["a file", "the entry"])
def test_links_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    """A link to another file is not written through, nor is what it leads to removed."""
    monkeypatch.setattr(sessions, "CACHED_BYTES", 1)
    expected, entry = cached(tmp_path / "cache")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.bin").write_bytes(b"mine")
    if whole:
        shutil.rmtree(entry)
        entry.symlink_to(outside)
    else:
        for path in entry.glob("*.bin"):
            path.unlink()
            path.symlink_to(outside / "mine.bin")
    again, _ = cached(tmp_path / "cache")
    assert np.array_equal(again, expected)
    assert [p.name for p in outside.iterdir()] == ["mine.bin"]
    assert (outside / "mine.bin").read_bytes() == b"mine"
