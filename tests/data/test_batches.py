"""Rows are read batch by batch: memory maps and archives larger than memory are never read at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.arrays.memory import map_of
from graphspec.base.arrays.pictures import Pictures
from graphspec.base.arrays.strings import Strings
from graphspec.data import archives
from graphspec.data.batches import Dataset, in_batches
from graphspec.data.source import DataError

Array = np.ndarray[Any, Any]
ROWS, WIDTH = 8192, 512
_FEW = 6 << 20  # bytes: chunks that are checked, batches, the order of the rows

KINDS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "float32": ("<f4", lambda a: a),
    "float64": ("<f8", lambda a: a),
    "uint8": ("u1", lambda a: a),
    "swapped": (">f4", lambda a: a),
    "strided": ("<f8", lambda a: a[:, ::2]),
    "by columns": ("<f8", lambda a: np.memmap(a.filename, a.dtype, "r", a.offset, a.shape, "F")),  # type: ignore[attr-defined]
}


def spec(**more: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "large",
        "inputs": {"x": {"shape": [None]}},
        "layers": [
            {"type": "Reshape", "target_shape": [-1, 1]},
            {"type": "GlobalAveragePooling1D"},
            {"name": "y", "type": "Dense", "units": 1, "activation": "sigmoid"},
        ],
        "outputs": {"y": {"loss": "binary_crossentropy", "class_weight": "balanced"}},
        "training": {"batch_size": 64, "workers": 1},
        **more,
    }


def peak(run: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def sparse(path: Path, dtype: str) -> Array:
    """A memory map of a sparse file of zeros, with random values in its first rows."""
    made = np.lib.format.open_memmap(path, "w+", dtype, (ROWS, WIDTH))
    made[:4] = np.arange(4)[:, None]
    made.flush()
    return np.load(path, mmap_mode="r")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_map_is_copied(kind: str, tmp_path: Path) -> None:
    dtype, view = KINDS[kind]
    x, y = view(sparse(tmp_path / "x.npy", dtype)), np.arange(ROWS) % 2
    model = gs.compile(spec())
    model.predict(x[:4])  # what is imported and bound
    runs: dict[str, Callable[[], Any]] = {
        "fit": lambda: model.fit(x, y, epochs=1, verbose=0),
        "in order": lambda: model.fit(x, y, epochs=1, verbose=0, shuffle=False),
        "split": lambda: model.fit(x, y, epochs=1, verbose=0, validation_split=0.5),
        "evaluate": lambda: model.evaluate(x, y),
        "predict": lambda: model.predict(x),
    }
    for name, run in runs.items():
        assert peak(run) < min(_FEW, x.nbytes), name


def test_a_map_of_integers_is_checked_and_converted_by_batches(tmp_path: Path) -> None:
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "<f8", (1 << 20, 4))
    layers = [
        {"type": "Embedding", "input_dim": 9, "output_dim": 2},
        {"type": "Flatten"},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    inputs = {"x": {"shape": [4], "dtype": "int32"}}
    model = gs.compile(spec(inputs=inputs, layers=layers, outputs={"y": {"loss": "mean_squared_error"}}))
    y = np.zeros((1 << 20, 1), np.float32)
    assert peak(lambda: model.evaluate(x, y, batch_size=1 << 14)) < x.nbytes // 3
    for value, code in ((9.0, "GS506"), (0.5, "GS504"), (np.nan, "GS505")):
        x[1 << 19, 2] = value
        with pytest.raises(gs.SpecError, match=rf"{code}.*\n?.*row at index {1 << 19}"):
            model.evaluate(x, y)


@pytest.mark.slow
def test_a_map_gives_the_bits_of_the_array(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((200, 12))
    y = (x.sum(1) > 0).astype(np.int64)
    np.save(tmp_path / "x.npy", x)
    for view in (lambda a: a, lambda a: a[:, ::3], lambda a: a[::-1]):
        weights = []
        for rows, workers in ((x, 1), (np.load(tmp_path / "x.npy", mmap_mode="r"), 1), (x, 2), ("map", 2)):
            given = np.load(tmp_path / "x.npy", mmap_mode="r") if isinstance(rows, str) else rows
            model = gs.compile(spec(), [f"training.workers={workers}"])
            model.fit(view(given), y, epochs=2, verbose=0, validation_split=0.2)
            weights.append(model.weights["y/kernel"])
        assert np.array_equal(weights[0], weights[1])
        assert np.array_equal(weights[2], weights[3])
        np.testing.assert_allclose(weights[0], weights[2], rtol=1e-5)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("name", ["x", "xx", "xxx", "xxxx.npy"])
def test_large_arrays_of_an_archive_are_mapped(
    save: Callable[..., None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAPPED", 1 << 12)
    x = np.asfortranarray(np.random.default_rng(0).standard_normal((500, 12)))
    y = np.arange(500) % 2
    path = tmp_path / "rows.npz"
    save(path, **{name: x, "y": y, "none": np.zeros(0), "texts": np.full(5000, "a")})
    read = archives.Npz(path).read([name, "y", "none", "texts"])
    np.testing.assert_array_equal(read[name], x)
    assert (map_of(read[name]) is not None) == (save is np.savez)
    assert map_of(read["none"]) is None
    train = {"file": str(path), "inputs": {"x": name}}
    model = gs.compile(spec(data={"train": train, "validation": {"split": 0.25, "stratify": "y"}}))
    other = gs.compile(spec(data={"validation": {"split": 0.25, "stratify": "y"}, "train": train}))
    model.fit(verbose=0)
    monkeypatch.undo()
    other.fit(verbose=0)
    assert np.array_equal(model.weights["y/kernel"], other.weights["y/kernel"])


def test_a_large_archive_is_not_read_as_a_whole(tmp_path: Path) -> None:
    assert ROWS * WIDTH * 16 >= archives.MAPPED
    for rows in (20, ROWS):  # the first training imports modules, which are no rows
        np.savez(tmp_path / "rows.npz", x=np.zeros((rows, WIDTH * 2)), y=np.arange(rows) % 2)
        model = gs.compile(spec(data={"train": {"file": str(tmp_path / "rows.npz")}, "validation": {"split": 0.1}}))
        if rows == 20:
            model.fit(verbose=0)
    # Four or five programs, of sizes of batches, have buffers at a time: on a slow machine one more. None has all rows.
    assert peak(lambda: model.fit(verbose=0)) < ROWS * WIDTH * 16 / 8


def test_objects_in_a_large_array_stay_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAPPED", 1)
    np.savez(tmp_path / "rows.npz", x=np.array([{}, []], object))
    read = archives.Npz(tmp_path / "rows.npz").read(["x"])["x"]
    assert isinstance(read, DataError)
    assert read.code == "GS504"


def test_texts_among_the_arrays_of_a_dataset() -> None:
    texts = Strings.of(np.array([f"é{k}" for k in range(12)], object).reshape(6, 2))
    labels = Strings.of(list("abcabc"))
    arrays: dict[str, Any] = {"p/t": texts, "x": np.arange(6.0)}
    targets: dict[str, Any] = {"y": labels}
    data = Dataset(arrays, targets).select(np.array([5, 0, 3]))
    assert len(data) == 3
    assert data.sample(2)["p/t"].tolist() == [["é10", "é11"], ["é6", "é7"]]
    assert data.sample(2)["p/t"].dtype == object
    named = data.named()
    assert all(isinstance(a, np.ndarray) and a.dtype != object for a in named.values())
    again = Dataset.of(named)
    assert list(again.feeds()) == ["x", "p/t", "y"]
    assert again.inputs["p/t"][:].tolist() == texts[:].tolist()
    assert again.targets["y"][:].tolist() == list("abcabc")
    assert again.chosen is not None
    assert again.chosen.tolist() == [5, 0, 3]


def test_texts_in_batches() -> None:
    feeds: dict[str, Any] = {"t": Strings.of([f"t{k}" for k in range(5)]), "x": np.arange(5)}
    found = in_batches(feeds, 2, lambda batch: {"n": np.array([len(t) for t in batch["t"]]) + batch["x"]})
    assert found["n"].tolist() == [2, 3, 4, 5, 6]


def test_pictures_in_batches_of_one_size() -> None:
    rows = [np.full((2 + k % 3, 4, 1), k, np.uint8) for k in range(8)]
    feeds: dict[str, Any] = {"x": Pictures.of(rows), "n": np.arange(8)}
    shapes: list[tuple[int, ...]] = []

    def run(batch: dict[str, Any]) -> dict[str, Any]:
        shapes.append(batch["x"].shape)
        return {"y": batch["x"].max(axis=(1, 2, 3)) * 10 + batch["n"]}

    assert in_batches(feeds, 2, run)["y"].tolist() == [11 * k for k in range(8)]
    assert sorted(shapes) == [(1, 2, 4, 1), (1, 3, 4, 1), (2, 2, 4, 1), (2, 3, 4, 1), (2, 4, 4, 1)]
