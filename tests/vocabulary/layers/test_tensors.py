"""Parameter and Constant: their values, their files, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lowering import lower, weights

import graphspec as gs
from graphspec.engine.compiler import spec_files as array_files
from graphspec.engine.compiler.check import check
from graphspec.export.inspection import contained_spec

X = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)


def spec(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The layers, then Add of the last one and the input x, (N, 3), and a head."""
    last = [
        {"name": "sum", "type": "Add", "inputs": ["x", layers[-1]["name"]]},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    training = {"optimizer": "sgd", "epochs": 1, "batch_size": 4}
    document = {"graphspec": 1, "name": "s", "inputs": {"x": {"shape": [3]}}, "layers": [*layers, *last]}
    return document | {"outputs": {"y": {"loss": "mean_squared_error"}}, "training": training} | more


def said(document: Any) -> str:
    return "\n".join(f"{d.code} {d.message} | {d.hint}" for d in check(document).diagnostics)


def test_a_parameter_is_one_weight() -> None:
    given = {"type": "Parameter", "shape": [4, 8], "initializer": "ones", "regularizer": "l2", "constraint": "non_neg"}
    graph, (value,) = lower(given)
    assert weights(graph) == {"value": (4, 8)}
    assert value.shape == (4, 8)
    param = graph.params["y/value"]
    assert param.trainable
    assert param.regularizer is not None
    assert param.constraint is not None
    assert (param.initializer((4, 8), np.random.default_rng(0)) == 1).all()
    frozen, _ = lower(given, trainable=False)
    assert not frozen.params["y/value"].trainable


def test_a_parameter_of_no_axes_scales_everything() -> None:
    penalty = {"type": "L2", "l2": 0.5}
    model = gs.compile(
        spec({"name": "p", "type": "Parameter", "shape": [], "initializer": "ones", "regularizer": penalty})
    )
    assert model.weights["p/value"].shape == ()
    before = model.evaluate(X, Y)["loss"]
    model.set_weights({"p/value": np.float32(3)})
    model.set_weights({"y/kernel": np.zeros((3, 1), np.float32)})
    error = float((Y**2).mean())
    assert model.evaluate(X, Y)["loss"] == pytest.approx(error, rel=1e-5)
    assert before != model.evaluate(X, Y)["loss"]
    trained = model.fit(X, Y, batch_size=len(X), verbose=0)["loss"][0]
    assert trained == pytest.approx(error + 0.5 * 9, rel=1e-5)
    assert model.weights["p/value"] != 3


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (2, None, np.int64(2)),
        (2, "float32", np.float32(2)),
        ([1.5, 2], None, np.array([1.5, 2], np.float32)),
        ([[True], [False]], None, np.array([[True], [False]])),
        ([1, 0], "bool", np.array([True, False])),
        ([1.0, 2.0], "int64", np.array([1, 2])),
    ],
)
def test_a_constant_has_the_dtype_of_its_values(value: Any, dtype: str | None, expected: Any) -> None:
    _, (found,) = lower({"type": "Constant", "value": value} | ({} if dtype is None else {"dtype": dtype}))
    assert found.data is not None
    assert (found.dtype, found.shape) == (str(expected.dtype), expected.shape)
    np.testing.assert_array_equal(found.data, expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "needs `value` or `file`"),
        ({"value": 1, "file": "a.npy"}, "cannot have both"),
        ({"value": [[1, 2], [3]]}, "lists of equal lengths"),
        ({"value": [1, [2]]}, "lists of equal lengths"),
        ({"value": [[1], 2]}, "lists of equal lengths"),
        ({"value": []}, "none of them empty"),
        ({"value": ["a"]}, "must be a number"),
        ({"value": [True, 2]}, "must not mix"),
        ({"value": [1, 2**63]}, "must fit 64 bits"),
        ({"value": [1e39]}, "float32"),
        ({"value": [1.5], "dtype": "int64"}, "int64 cannot represent"),
        ({"value": [2], "dtype": "bool"}, "bool cannot represent"),
        ({"value": 1.0, "key": "a"}, "without a `file` .npz"),
        ({"value": 1.0, "inputs": "x"}, "takes 0 inputs, got 1 | remove `inputs`"),
    ],
)
def test_wrong_constants(arguments: dict[str, Any], words: str) -> None:
    assert words in said(spec({"name": "c", "type": "Constant", **arguments}))


def test_nan_is_refused() -> None:
    assert "must not contain NaN" in said(spec({"name": "c", "type": "Constant", "value": [float("nan")]}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = np.arange(3, dtype=np.float64) / 4
    np.save(tmp_path / "a.npy", rows)
    np.savez(tmp_path / "one.npz", a=rows)
    np.savez_compressed(tmp_path / "two.npz", a=rows, b=np.asfortranarray([[1, 2, 3]]))
    np.save(tmp_path / "nan.npy", np.array([1.0, np.nan, 0]))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "object.npy", np.array([None, {}], object), allow_pickle=True)
    (tmp_path / "not.npy").write_bytes(b"no array")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-8])
    (tmp_path / "not.npz").write_bytes(b"no archive")
    (tmp_path / "folder.npy").mkdir()
    return tmp_path


def in_file(folder: Path, **constant: Any) -> Path:
    path = folder / "spec.json"
    path.write_text(json.dumps(spec({"name": "c", "type": "Constant", **constant})))
    return path


@pytest.mark.parametrize("named", [{"file": "a.npy"}, {"file": "one.npz"}, {"file": "two.npz", "key": "a"}])
def test_a_constant_of_a_file(folder: Path, named: dict[str, str]) -> None:
    lowered = check(in_file(folder, **named)).require()[1]
    (value,) = lowered.outputs["c"] or ()
    assert value.data is not None
    assert (value.dtype, value.data.tolist()) == ("float32", [0, 0.25, 0.5])


def test_a_file_of_integers_in_another_memory_order(folder: Path) -> None:
    lowered = check(in_file(folder, file="two.npz", key="b", dtype="float32")).require()[1]
    (value,) = lowered.outputs["c"] or ()
    assert value.data is not None
    assert value.data.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"file": "none.npy"}, "GS501"),
        ({"file": "folder.npy"}, "is not a file"),
        ({"file": "../a.npy"}, "GS513"),
        ({"file": "/etc/hosts"}, "GS513"),
        ({"file": "a\0.npy"}, "GS513"),
        ({"file": "not.npy"}, "is not an array of NumPy"),
        ({"file": "cut.npy"}, "its shape and its size differ"),
        ({"file": "not.npz"}, "is not an array of NumPy"),
        ({"file": "two.npz"}, "has 2 arrays | name one with `key`: 'a', 'b'"),
        ({"file": "two.npz", "key": "c"}, "has no array 'c' | it has 'a', 'b'"),
        ({"file": "a.npy", "key": "a"}, "without a `file` .npz"),
        ({"file": "nan.npy"}, "contains NaN or infinity"),
        ({"file": "text.npy"}, "contains values of dtype <U1"),
        ({"file": "object.npy"}, "never read"),
        ({"file": "a.npy", "dtype": "int64"}, "int64 cannot represent"),
    ],
)
def test_wrong_files(folder: Path, named: dict[str, str], words: str) -> None:
    assert words in said(in_file(folder, **named))


def test_large_files_and_headers_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "LARGEST", 100)
    np.save(folder / "large.npy", np.zeros(20000))
    assert "larger than" in said(in_file(folder, file="large.npy"))
    content = (folder / "a.npy").read_bytes().replace(b"(3,), }          ", b"(30000000000,), }")
    (folder / "huge.npy").write_bytes(content)
    assert "its shape and its size differ" in said(in_file(folder, file="huge.npy"))


def test_a_run_that_moved_has_the_values_of_the_file(folder: Path) -> None:
    path = in_file(folder / "..", file=f"{folder.name}/a.npy")
    model = gs.compile(path)
    model.fit(X, Y, verbose=0)
    model.save(folder / "run")
    model.export(folder / "net.onnx")
    expected = model.predict(X)
    moved = folder / "deep" / "er"
    shutil.copytree(folder / "run", moved)
    (folder / "a.npy").unlink()
    np.testing.assert_array_equal(gs.load(moved).predict(X), expected)
    resumed = gs.load(moved)
    resumed.fit(X, Y, verbose=0)
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(resumed.weights["y/kernel"], model.weights["y/kernel"])
    assert "a.npy" in gs.load(moved).spec.document["layers"][0]["file"]
    document, adapted = contained_spec(folder / "net.onnx") or ({}, None)
    (value,) = check(document, adapted=adapted).require()[1].outputs["c"] or ()
    assert value.data is not None
    assert value.data.tolist() == [0, 0.25, 0.5]


def test_what_a_run_contains_must_fit(folder: Path) -> None:
    model = gs.compile(in_file(folder, file="a.npy"))
    model.save(folder / "run")
    record = json.loads((folder / "run" / "adapted.json").read_text())
    for change in ({"dtype": "object"}, {"shape": [4]}, {"shape": [-3]}, {"base64": "?"}):
        array = record["layers"]["c"]["array"] | change
        text = json.dumps(record | {"layers": {"c": {"array": array}}})
        (folder / "run" / "adapted.json").write_text(text)
        with pytest.raises(gs.RunError, match="GS603"):
            gs.load(folder / "run")
