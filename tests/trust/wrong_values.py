"""Wrong arguments for the Python API, and a model that is to withstand them."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Make = Callable[[random.Random, "Setting"], Any]


class Liar:
    """Says that it is an array."""

    shape, ndim, dtype = (8, 4), 2, np.dtype("float32")

    def __len__(self) -> int:
        return 8

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise ValueError("there are no numbers here")


class Setting:
    """A model, rows for it, and a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        numbers = np.random.default_rng(0)
        self.x = numbers.normal(size=(8, 4)).astype(np.float32)
        self.ids = numbers.integers(0, 5, (8, 3))
        self.y = numbers.integers(0, 3, 8)
        self.several = False

    def document(self) -> dict[str, Any]:
        if not self.several:
            return {
                "graphspec": 1,
                "name": "one",
                "inputs": {"x": {"shape": [4]}},
                "layers": [{"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"}],
                "outputs": {"kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}},
                "training": {"optimizer": "adam", "batch_size": 4},
            }
        return {
            "graphspec": 1,
            "name": "two",
            "inputs": {"x": {"shape": [4]}, "ids": {"shape": ["time"], "dtype": "int64"}},
            "layers": [
                {"name": "e", "type": "Embedding", "input_dim": 5, "output_dim": 2, "inputs": "ids"},
                {"name": "m", "type": "GlobalAveragePooling1D"},
                {"name": "both", "type": "Concatenate", "inputs": ["m", "x"]},
                {"name": "kind", "type": "Dense", "units": 3, "activation": "softmax"},
                {"name": "gap", "type": "Dense", "units": 1, "inputs": "both"},
            ],
            "outputs": {"kind": {"loss": "sparse_categorical_crossentropy"}, "gap": {"loss": "mse"}},
            "training": {"optimizer": "sgd", "batch_size": 4},
        }

    def right(self) -> tuple[Any, Any]:
        if not self.several:
            return self.x, self.y
        return {"x": self.x, "ids": self.ids}, {"kind": self.y, "gap": self.x[:, :1]}


def arrays(r: random.Random, s: Setting) -> Any:
    """What is no fit array, or hardly one."""
    whole = s.x
    with np.errstate(all="ignore"):
        return r.choice(
            [
                *(
                    "text",
                    b"",
                    "",
                    3,
                    3.5,
                    True,
                    [],
                    [[]],
                    {},
                    set(),
                    range(8),
                    object(),
                    Liar(),
                    [None] * 8,
                    np.float32(2),
                ),
                *(
                    np.zeros((0, 4)),
                    np.zeros(8),
                    np.zeros((8, 4, 1)),
                    np.zeros((8, 5)),
                    np.zeros((8, 0)),
                    np.array(3.0),
                ),
                *(whole * np.nan, whole * np.inf, whole.astype("float64") * 1e300, whole.astype(complex), -whole[::-1]),
                *(
                    whole.astype(object),
                    whole.astype(str),
                    whole.astype("float16"),
                    whole.astype(">f4"),
                    whole[:, ::-1],
                ),
                np.array([[1, 2], [3]], object),
                np.zeros((8, 4), "datetime64[s]"),
                np.zeros(8, [("a", "f4"), ("b", "i4")]),
                np.ma.masked_greater(whole, 0),
                np.asfortranarray(whole),
                np.full((8, 4), 2**63, "uint64"),
                np.full((8, 4), b"\xff"),
                (row for row in whole),
                iter([1, 2]),
                lambda: whole,
                [[1, 2], [3]],
                [["a"] * 4] * 8,
                [[10**400] * 4] * 8,
                whole.tolist(),
                memoryview(whole.tobytes()),
                {"x": whole},
                {"x": None},
                {"X": whole},
                {3: whole},
                {None: whole},
                {("x",): whole},
                {"x": whole, "y": whole},
                {"x": whole[:3], "ids": s.ids},
                {"x": whole, "ids": s.ids - 2},
                {"x": whole, "ids": s.ids + 0.5},
                {"x": whole, "ids": s.ids[:, 0]},
                {"x": whole, "ids": np.zeros((8, 0), int)},
                {"kind": s.y, "gap": None},
                {"kind": s.y + 7, "gap": whole[:, :1]},
                {"kind": s.y.astype(str), "gap": whole},
                s.y + 7,
                s.y - 5,
                s.y[:3],
                s.y + 0.5,
                s.y.astype(str),
                ["a"] * 8,
                np.eye(3)[s.y],
            ]
        )


def whole(r: random.Random, s: Setting) -> Any:
    return r.choice(
        [
            0,
            -1,
            1,
            1.5,
            "3",
            True,
            False,
            float("nan"),
            [1],
            (),
            np.int64(1),
            np.float64(1),
            np.array(1),
            2**200,
            {},
            b"2",
            "1",
        ]
    )


def epochs(r: random.Random, s: Setting) -> Any:
    value = whole(r, s)
    return 2 if value == 2**200 else value  # endless, and right


def share(r: random.Random, s: Setting) -> Any:
    return r.choice(
        [0, 1, -0.5, 2.0, float("nan"), float("inf"), "0.5", True, [0.5], 1e-300, np.float32(0.5), np.array([0.5]), {}]
    )


def pairs(r: random.Random, s: Setting) -> Any:
    x, y = s.right()
    return r.choice(
        [
            (),
            (x,),
            [x, y],
            (x, y, None),
            (x, y, s.x, s.y),
            x,
            "ab",
            (None, None),
            (y, x),
            3,
            (x, None),
            (v for v in (x, y)),
            {},
        ]
    )


def class_weights(r: random.Random, s: Setting) -> Any:
    inner = r.choice(
        [
            {9: 1.0},
            {0: float("nan")},
            {0: -1.0},
            {0: "a"},
            {0: None},
            {None: 1},
            {"zero": 1.0},
            {},
            {0: 2.0},
            {1.5: 1.0},
        ]
    )
    return r.choice(
        [
            "balanced",
            "even",
            [1, 2, 3],
            3,
            inner,
            {"kind": inner},
            {"gap": inner},
            {"other": inner},
            {0: float("inf")},
            {0: 1e300},
            np.ones(3),
        ]
    )


def callbacks(r: random.Random, s: Setting) -> Any:
    one: Any = r.choice([3, None, "EarlyStopping", {"type": "EarlyStopping"}, object, lambda: None, [], "Nothing"])
    return r.choice([one, [one], (one,), [one, one], (c for c in [one])])


def verbose(r: random.Random, s: Setting) -> Any:
    return r.choice([0, "auto", "loud", None, -1, 2.5, [], True, float("nan")])


def truth(r: random.Random, s: Setting) -> Any:
    return r.choice(["yes", 2, None, [], "", np.bool_(True), np.array([True, False]), float("nan")])


def paths(r: random.Random, s: Setting) -> Any:
    folder = s.folder
    (folder / "file").write_text("not a run")
    return r.choice(
        [
            *("", None, 3, 2.5, b"a", [], {}, object(), True, "a\0b", "\ud800", ".", "..", "a" * 300),
            *(
                folder,
                str(folder),
                folder / "missing" / "deep" / "m",
                folder / "file",
                folder / "file" / "below",
                "/dev/full",
            ),
            *(folder / "new", str(folder / "new.onnx"), folder / "ü\n\x1b[31m.onnx", lambda: 3),
        ]
    )


def opsets(r: random.Random, s: Setting) -> Any:
    return r.choice([0, -1, 12, 13, 99, 2**70, "17", 17.0, 17.5, True, None, [17], {}, float("nan"), b"17"])


def targets(r: random.Random, s: Setting) -> Any:
    return r.choice(["ort-9", "", "ort-1.20", 3, None, [], {}, b"ort-1.20", "\ud800", True])


def weights(r: random.Random, s: Setting) -> Any:
    kernel = np.ones((4 if not s.several else 6, 3), np.float32)
    values = [
        kernel,
        kernel.T,
        kernel[0],
        None,
        "text",
        [[1, 2], [3]],
        kernel * np.nan,
        kernel.astype(complex),
        3,
        [],
        {},
    ]
    values += [kernel.astype(str), kernel.astype(object), Liar(), kernel.tolist(), object(), np.full((4, 3), 1e300)]
    one = r.choice(values)
    return r.choice(
        [
            None,
            [],
            {},
            "text",
            3,
            kernel,
            [one],
            {"kind/kernel": one},
            {"kind/kernel": kernel, "kind/bias": one},
            {"Kind/kernel": one},
            {3: one},
            {None: one},
            {"kind/bias": one},
            {("a",): one},
            iter(()),
            {"": kernel},
        ]
    )


def documents(r: random.Random, s: Setting) -> Any:
    right = s.document()
    looped: dict[str, Any] = dict(right)
    looped["vars"] = looped
    deep: Any = []
    for _ in range(3000):
        deep = [deep]
    value = r.choice(
        [
            None,
            3,
            float("nan"),
            float("inf"),
            {1, 2},
            object(),
            np.int64(3),
            np.float32(2),
            np.ones(3),
            b"a",
            deep,
            10**5000,
        ]
    )
    value = r.choice(
        [value, "\ud800", (1, 2), range(3), {}, [], "${x}", {3: 4}, {None: 1}, True, lambda: 3, 2**63, "a\0b", -0.0]
    )
    key = r.choice([*right, "vars", "blocks", "data", "description", 3, None, ("a",), "\ud800"])
    inner = copy.deepcopy(right)
    inner["layers"][0][
        r.choice(["units", "activation", "inputs", "name", "type", "trainable", "kernel_initializer", 3])
    ] = value
    return r.choice(
        [
            *(None, 3, [], {}, "missing.yaml", "", "a\0b", Path(), s.folder, s.folder / "file", b"x", 2.5, object()),
            *(
                looped,
                {**right, key: value},
                inner,
                {**right, "inputs": {"x": {"shape": value}}},
                {**right, "training": {key: value}},
            ),
            *(
                {**right, "outputs": {"kind": {"loss": value}}},
                {**right, "data": {"train": {"file": value}}},
                tuple(right),
            ),
        ]
    )


def sets(r: random.Random, s: Setting) -> Any:
    return r.choice(
        [
            (),
            "a=b",
            ["x"],
            [3],
            None,
            ["=1"],
            ["a="],
            ["training.epochs=5"],
            (v for v in ["a=1"]),
            [None],
            [""],
            {"a": 1},
            3,
            ["\ud800=1"],
            ["name=\ud800"],
            ["layers.kind.units=" + "9" * 5000],
            ["layers.0=3"],
            ["layers=" + "[" * 3000],
            ["a" * 10000 + "=1"],
        ]
    )
