"""No number is clipped, wrapped round or lost in silence: what Python gives, what a spec says, what layers compute."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.base.errors import GraphspecError, RunError, UsageError
from graphspec.graph.onnx_session import session
from trust import attack_values

CASES = 80


def test_values_of_all_kinds() -> None:
    found = [p for seed in range(CASES) for p in attack_values.attack(random.Random(seed))]
    assert found == []


def of(layer: dict[str, Any], *, shape: tuple[int, ...] = (3,), dtype: str = "float32", count: int = 1) -> gs.Model:
    """One layer on as many inputs."""
    names = [f"i{k}" for k in range(count)]
    return gs.compile(
        {
            "graphspec": 1,
            "name": "one",
            "inputs": {n: {"shape": list(shape), "dtype": dtype} for n in names},
            "layers": [{"name": "o", "inputs": names, **layer}],
            "outputs": {"o": {}},
        }
    )


IDENTITY = {"type": "Identity"}
REFUSED: list[tuple[str, Any, str]] = [
    ("float32", np.ma.array([[1.0, 2.0, 3.0]], mask=[[0, 1, 0]]), "GS505.*masked value in 1 of 1 rows"),
    ("int64", np.array([[1, 2, 2**63 + 1]], np.uint64), "GS504.*does not fit int64"),
    (
        "int64",
        np.array([[1.0, 2.0, 2.0**53]]),
        "GS504.*too large to identify the integer: the row at index 0 has 9007199254740992",
    ),
    ("int64", np.array([[1, 2, 2048]], np.float16), "GS504.*too large to identify the integer"),
    ("int32", np.array([[1, 2, 2**31]]), "GS504.*does not fit int32"),
    ("uint8", np.array([[1, 2, -1]]), "GS504.*does not fit uint8"),
    ("float32", np.array([[1.0, 2.0, 1e300]]), "GS504.*too large for float32"),
    ("float32", np.array([[1, 2, 3 + 1j]]), "GS504.*complex128"),
    ("float32", np.array([[1, 2, 3]], "m8[s]"), "GS504.*timedelta64"),
    ("float32", np.array([["1_000", "2", "3"]]), "GS504.*contains text.*'1_000'"),
    ("float32", [[None, 2, 3]], "GS505.*no value in "),
    ("int64", np.array([[2**70, 2, 3]], object), "GS504.*(neither numbers nor text|does not fit int64)"),
]


@pytest.mark.parametrize(("dtype", "value", "answer"), REFUSED)
def test_what_would_be_changed_is_refused(dtype: str, value: Any, answer: str) -> None:
    model = of(IDENTITY, dtype=dtype)
    for call in (lambda: model.predict({"i0": value}), lambda: model.run({"i0": value})):
        with pytest.raises(gs.SpecError, match=answer):
            call()


@pytest.mark.parametrize("value", [None, 5, "text", {"a": 1}, np.ones(3), np.ones((2, 4)), np.ones((2, 3, 1))])
def test_run_takes_arrays_of_the_inputs_shape_alone(value: Any) -> None:
    with pytest.raises(gs.SpecError, match=r"GS50[345]"):
        of(IDENTITY).run({"i0": value})


def test_a_mask_that_hides_nothing_is_none() -> None:
    assert of(IDENTITY).predict(np.ma.array([[1.0, 2.0, 3.0]])).tolist() == [[1, 2, 3]]


def test_masked_weights_are_refused() -> None:
    model = of({"type": "Dense", "units": 2})
    with pytest.raises(UsageError, match="masked"):
        model.set_weights({"o/kernel": np.ma.array(np.ones((3, 2)), mask=np.eye(3, 2, dtype=bool))})


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "Dense", "units": 2, "kernel_initializer": {"type": "Constant", "value": 1e39}},
        {"type": "LeakyReLU", "negative_slope": 1e39},
        {"type": "LayerNormalization", "epsilon": 1e39},
        {"type": "Rescaling", "scale": [1.0, 1.0, -1e39]},
        {"type": "Dense", "units": 2, "kernel_regularizer": {"type": "L2", "l2": 10**39}},
    ],
)
def test_numbers_of_a_spec_fit_float32(layer: dict[str, Any]) -> None:
    with pytest.raises(gs.SpecError, match=r"GS105.*must fit float32"):
        of(layer)


def test_numbers_of_a_spec_are_all_looked_at() -> None:
    wide = {"type": "Normalization", "mean": [0.0] * 80 + [1e39] + [0.0] * 9, "variance": [1.0] * 90}
    with pytest.raises(gs.SpecError, match=r"GS105.*`mean` of Normalization 'o' must fit float32"):
        of(wide, shape=(90,))


def test_a_fit_does_not_end_with_infinite_weights() -> None:
    spec = {
        "graphspec": 1,
        "name": "huge",
        "inputs": {"x": {"shape": [3]}},
        "layers": [{"name": "o", "type": "Dense", "units": 1}],
        "outputs": {"o": {"loss": "mse"}},
        "training": {"optimizer": {"type": "SGD", "learning_rate": 1e38}},
    }
    model = gs.compile(spec)
    with pytest.raises(RunError, match=r"GS601: the weight 'o/kernel' is not finite at the end of epoch 1"):
        model.fit(np.full((2, 3), 1e3, np.float32), np.ones((2, 1), np.float32), epochs=1, verbose=0)


# What the operators do, as onnxruntime does it.

WRAPS = [
    ("Add", "uint8", 255, 3, 2),
    ("Subtract", "uint8", 3, 5, 254),
    ("Multiply", "uint8", 16, 17, 16),
    ("Add", "int32", 2**31 - 1, 1, -(2**31)),
    ("Multiply", "int32", 2**16, 2**16, 0),
    ("Add", "int64", 2**63 - 1, 1, -(2**63)),
    ("Maximum", "uint8", 255, 3, 255),
    ("Average", "uint8", 255, 255, 255),
    ("Average", "int32", 2**31 - 2, 2**31 - 2, 2**31),
]


@pytest.mark.parametrize(("kind", "dtype", "a", "b", "result"), WRAPS)
def test_integers_wrap_round_as_in_the_file(kind: str, dtype: str, a: int, b: int, result: int, tmp_path: Path) -> None:
    model = of({"type": kind}, dtype=dtype, count=2)
    x = {name: np.full((2, 3), value, dtype) for name, value in (("i0", a), ("i1", b))}
    assert set(model.predict(x).reshape(-1).tolist()) == {result}
    assert same(model, x, tmp_path)


ODD = np.array([[np.nan, 1.7, -0.5], [1e30, np.inf, -np.inf], [3.99, -1.0, 4.0]], np.float32)


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_a_float_that_is_no_id_counts_nowhere(mode: str, tmp_path: Path) -> None:
    model = of({"type": "CategoryEncoding", "num_tokens": 4, "output_mode": mode})
    got = model.run({"i0": ODD})["o"].reshape(3, -1, 4).sum(1)
    assert got.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert same(model, {"i0": ODD}, tmp_path)


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "Discretization", "bin_boundaries": [0.0, 1.0]},
        {"type": "Normalization", "mean": 0.0, "variance": 0.0},
        {"type": "Rescaling", "scale": 1e37},
        {"type": "UnitNormalization"},
    ],
)
def test_odd_floats_as_in_the_file(layer: dict[str, Any], tmp_path: Path) -> None:
    assert same(of(layer), {"i0": ODD}, tmp_path)


def same(model: gs.Model, x: dict[str, Any], folder: Path) -> bool:
    """Whether onnxruntime gives the same numbers, NaN included."""
    model.export(folder / "one.onnx")
    (got,) = session(folder / "one.onnx", threads=1).run(["o"], x)
    wanted = model.run(x)["o"]
    return got.dtype == wanted.dtype and np.allclose(got, wanted, rtol=1e-5, equal_nan=True)


def test_every_refusal_is_one_of_graphspecs() -> None:
    model = of(IDENTITY, dtype="int64")
    for value in (object(), iter([1]), {1, 2}, np.zeros((1, 3), "V4"), np.zeros((1, 3), [("a", "f4")])):
        for call in (model.predict, lambda v: model.run({"i0": v})):
            with pytest.raises(GraphspecError):
                call(value)
