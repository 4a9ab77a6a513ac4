"""What Keras stored beside the configuration: weights in every layout, statistics, vocabularies, and what is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trust.hostile_files.hdf5 import Array, Group, file_of
from trust.hostile_files.keras_models import Config, functional, keras, layer, parts, start, tensor, weights, whole_h5
from trust.hostile_files.zips import archive

from graphspec.base.errors import SpecError, UsageError
from graphspec.foreign.keras_files.convert import Imported, convert


def numbers(*shape: int, of: float = 0.0) -> Array:
    return Array(np.full(shape, of, np.float32))


def variables(*arrays: Array, name: str | None = None) -> Group:
    return Group({str(k): array for k, array in enumerate(arrays)}, {} if name is None else {"name": name})


def stored(kind: str, *arrays: Array, **below: Group) -> Group:
    """The groups of a model whose only layer is `one`: its variables, and the groups below it."""
    return Group({"layers": Group({kind: Group({**below, "vars": variables(*arrays, name="one")})})})


def only(kind: str, shape: Any = (None, 4), dtype: str = "float32", **config: Any) -> Config:
    return functional(start(shape, dtype=dtype), layer(kind, "one", "x", **config))


def inside(kind: str, **config: Any) -> Config:
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def converted(folder: Path, content: bytes, name: str = "net.keras") -> Imported:
    (folder / name).write_bytes(content)
    return convert(folder / name)


WORDS = only("StringLookup", (None, 1), "string", vocabulary=None, output_mode="one_hot")
IDS = only("IntegerLookup", (None, 1), "int64", vocabulary=None, output_mode="one_hot")
NORM = only("Normalization", axis=-1)


def lookup(model: Config, kind: str, words: bytes | None) -> bytes:
    more = {} if words is None else {f"assets/layers/{kind}/vocabulary.txt": words}
    return archive(parts(model, stored(kind), **more))


def sharded() -> bytes:
    return archive({("net_0.weights.h5" if "weights" in name else name): part for name, part in parts().items()})


@pytest.mark.parametrize(
    ("content", "code", "place", "said"),
    [
        (sharded(), "GS802", "model.weights.h5", "the weights are in several files"),
        (lookup(WORDS, "string_lookup", b"\xff"), "GS801", "vocabulary.txt", "no text in UTF-8"),
        (lookup(IDS, "integer_lookup", b"3\nb\n"), "GS801", "layers[1] 'one'", "not of integers"),
        (keras(None, weights(**{"1": numbers(4)})), "GS801", "'dense'", "needs the shape (3,), model.weights.h5/layers/"),
        (keras(only("Dense", units=3), stored("dense", numbers(4, 3))), "GS801", "'one'", "has 1 weight in the file"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_said(content: bytes, code: str, place: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        converted(tmp_path, content)
    (found,) = caught.value.diagnostics
    assert (found.code, place in found.path, said in found.message) == (code, True, True), found


def test_statistics_of_a_million_columns_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.foreign.keras_files.saved_files._MAX_STATISTICS", 2)
    with pytest.raises(SpecError, match=r"'one' has statistics of shape \(3,\)"):
        converted(tmp_path, keras(NORM, stored("normalization", numbers(3), numbers(3))))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        convert(tmp_path)
    with pytest.raises(UsageError, match="cannot read"):
        convert(tmp_path / "none.keras")
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(SpecError, match="a SavedModel is a graph of TensorFlow"):
        convert(tmp_path)


@pytest.mark.parametrize(
    ("content", "arguments", "note"),
    [
        (lookup(WORDS, "string_lookup", b"a\nb\n"), {"vocabulary": ["a", "b"]}, ""),
        (lookup(IDS, "integer_lookup", b"3\n5\n"), {"vocabulary": [3, 5]}, ""),
        (lookup(WORDS, "string_lookup", None), {"vocabulary": None}, "no vocabulary in the file: it learns one"),
        (keras(NORM, stored("normalization", numbers(1, of=0.1), numbers(1, of=2))), {"mean": [0.1], "variance": [2]}, ""),
        (keras(NORM, stored("normalization")), {"mean": None}, "no statistics in the file: it learns them"),
    ],
)  # fmt: skip
def test_what_layers_have_learnt(content: bytes, arguments: dict[str, Any], note: str, tmp_path: Path) -> None:
    found = converted(tmp_path, content)
    assert {key: found.data["layers"][0].get(key) for key in arguments} == arguments
    assert note in " ".join(found.notes)
    assert found.weights == {}


BFLOAT16 = Array(np.full((4, 3), 0x4049, np.uint16), attributes={"dtype": "bfloat16"})
CELLS = inside("StackedRNNCells", cells=[inside("SimpleRNNCell", units=2), inside("SimpleRNNCell", units=3)])
CELL_GROUPS = Group(
    {
        "simple_rnn_cell": Group({"vars": variables(numbers(4, 2, of=1), numbers(2, 2, of=2), numbers(2))}),
        "simple_rnn_cell_1": Group({"vars": variables(numbers(2, 3, of=3), numbers(3, 3, of=4), numbers(3))}),
    }
)
SPECTRAL = stored(  # the kernel is there twice
    "spectral_normalization",
    numbers(4, 3, of=7),
    numbers(1, 3, of=5),
    layer=Group({"vars": variables(numbers(4, 3, of=1), numbers(3))}),
)


def pieces() -> Group:
    """An `.h5` file whose list of weights is cut, as that of a layer with thousands of them."""
    found = whole_h5()
    dense = found.members["model_weights"].members["dense"]
    dense.attributes = {
        f"weight_names{k}": np.array([f"dense/{name}:0".encode()]) for k, name in enumerate(("kernel", "bias"))
    }
    return found  # fmt: skip


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (
            keras(only("RNN", (None, 5, 4), cell=CELLS), stored("rnn", cell=Group({"cells": CELL_GROUPS}))),
            {"0/kernel": 1, "0/recurrent_kernel": 2, "0/bias": 0, "1/kernel": 3, "1/recurrent_kernel": 4, "1/bias": 0},
        ),
        (
            keras(only("SpectralNormalization", layer=inside("Dense", name="d", units=3)), SPECTRAL),
            {"kernel": 1, "bias": 0, "vector_u": 5},
        ),
        (
            keras(
                only("Dense", units=3), stored("dense", own=Group({"vars": variables(numbers(4, 3, of=6), numbers(3))}))
            ),
            {"kernel": 6, "bias": 0},
        ),
        (
            keras(only("Dense", units=3), stored("dense", BFLOAT16, numbers(3))),
            {"kernel": 3.140625, "bias": 0},
        ),
    ],
    ids=["stacked cells", "spectral", "another part", "bfloat16"],
)
def test_weights_in_groups(content: bytes, first: dict[str, float], tmp_path: Path) -> None:
    found = converted(tmp_path, content).weights
    assert {name: float(array.flat[0]) for name, array in found.items()} == {f"one/{k}": v for k, v in first.items()}


def test_weights_of_a_model_inside_are_told_by_the_names_of_its_layers(tmp_path: Path) -> None:
    one, two = layer("Dense", "one", "a", units=4), layer("Dense", "two", "one", units=4)
    calls = {"name": "look", "inbound_nodes": [{"args": [tensor("x")], "kwargs": {}}]}
    root = whole_h5(functional(start(), functional(start(name="a"), one, two, name="look") | calls))
    arrays = {"kernel:0": numbers(4, 4, of=1), "bias:0": numbers(4, of=2)}
    others = {"kernel:0": numbers(4, 4, of=3), "bias:0": numbers(4, of=4)}
    names = np.array([f"{name}/{role}".encode() for name in ("two", "one") for role in arrays])
    group = Group({"one": Group(arrays), "two": Group(others)}, {"weight_names": names})
    root.members["model_weights"].members = {"look": group}
    found = converted(tmp_path, file_of(root), "net.h5").weights
    first = {name: float(array.flat[0]) for name, array in found.items()}
    assert first == {"look/one/kernel": 1, "look/one/bias": 2, "look/two/kernel": 3, "look/two/bias": 4}


def test_a_list_of_weights_in_pieces(tmp_path: Path) -> None:
    found = converted(tmp_path, file_of(pieces()), "net.h5").weights
    assert {name: array.shape for name, array in found.items()} == {"dense/kernel": (4, 3), "dense/bias": (3,)}
