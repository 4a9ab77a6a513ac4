"""Initializers: Keras's distributions, fans, streams."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load

from graphspec.base.arrays.layout import COSINES, spectral_window
from graphspec.base.errors import ShapeError
from graphspec.graph.initializers import INITIALIZERS, STFT, Initializer, fans


def draw(initializer: Any, shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    made: Initializer = INITIALIZERS.parse(initializer)
    return made(shape, np.random.Generator(np.random.Philox(seed)))


@pytest.mark.parametrize("case", [c for c in load("initializers") if "array" in c.args], ids=lambda case: case.id)
def test_an_array_is_broadcast_as_in_keras(case: Case) -> None:
    value, shape, drawn = case.args["array"], tuple(case.args["shape"]), np.array(case.args["drawn"], np.float32)
    np.testing.assert_array_equal(draw({"type": "Constant", "value": value}, shape), drawn)
    np.testing.assert_array_equal(draw({"type": "Array", "value": drawn.tolist()}, shape), drawn)


@pytest.mark.parametrize("case", [c for c in load("initializers") if "array" not in c.args], ids=lambda case: case.id)
def test_moments_match_keras(case: Case) -> None:
    """Keras's figures are those of 200,000 draws; here are fewer, whose error is 1/√50,000, a third of what is allowed."""
    config, shape = case.args["initializer"], tuple(case.args["shape"])
    repeats = -(-50_000 // math.prod(shape))
    x = np.stack([draw(config, shape, seed) for seed in range(repeats)]).astype(np.float64)
    mean, std = case.args["mean"], case.args["std"]
    assert x.mean() == pytest.approx(mean, abs=1e-7 + 0.015 * std)
    if config["type"] == "Orthogonal":
        return
    assert x.std() == pytest.approx(std, rel=0.02, abs=1e-7)
    kind = config["type"] if "distribution" not in config else config["distribution"]
    if "niform" in kind or kind in ("Zeros", "Ones", "Constant", "Identity", "STFT"):
        assert x.min() == pytest.approx(case.args["min"], abs=1e-6 + 0.01 * std)
        assert x.max() == pytest.approx(case.args["max"], abs=1e-6 + 0.01 * std)
    elif kind not in ("RandomNormal", "untruncated_normal"):
        # Keras's torch backend lets a few values per million pass beyond two standard deviations.
        limit = 2 * std / 0.87962566103423978
        assert np.abs(x - mean).max() == pytest.approx(limit, rel=0.02)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (2, 2, 3, 5)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    w = draw({"type": "Orthogonal", "gain": 2.0}, shape).reshape(-1, shape[-1]).astype(np.float64)
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(gram, 4.0 * np.eye(len(gram)), atol=1e-5)


def test_fans_match_keras() -> None:
    assert fans(()) == (1, 1)
    assert fans((7,)) == (7, 7)
    assert fans((3, 4)) == (3, 4)
    assert fans((3, 5, 16, 24)) == (240, 360)
    assert fans((2, 3, 4), (0,), (1, 2)) == (2, 12)


@pytest.mark.parametrize("name", [n for n in INITIALIZERS.names() if n not in ("Vectors", "vectors")])  # needs words
def test_values_are_float32_of_the_shape(name: str) -> None:
    shape = (4, 1, 3) if INITIALIZERS.get(name) is STFT else (4, 3)
    x = draw({"type": name, "value": [[1, 2, 3]] * 4} if name in ("Array", "array") else name, shape)
    assert x.dtype == np.float32
    assert x.shape == shape


@pytest.mark.parametrize("window", [*COSINES, None])
@pytest.mark.parametrize("periodic", [False, True])
def test_stft_is_the_transform_of_a_windowed_frame(window: str | None, periodic: bool) -> None:
    frame, curve = np.random.default_rng(0).standard_normal(12), spectral_window(window, 12, periodic)
    parts = [
        np.einsum(
            "t,tcf->f", frame, draw({"type": "STFT", "side": side, "window": window, "periodic": periodic}, (12, 1, 9))
        )
        for side in ("real", "imag")
    ]
    scale = 1 if window is None else np.sqrt(np.square(curve).sum())
    np.testing.assert_allclose(parts[0] + 1j * parts[1], np.fft.rfft(frame * curve, 16) / scale, atol=1e-5)


def test_stft_refuses_other_kernels() -> None:
    for code, shape, more in (
        ("GS301", (4, 3), {}),
        ("GS301", (4, 2, 3), {}),
        ("GS304", (4, 1, 3), {"window": [1.0, 2.0]}),
        ("GS105", (2, 1, 2), {}),
    ):
        with pytest.raises(ShapeError) as raised:
            INITIALIZERS.parse({"type": "STFT", **more}).check(shape)
        assert raised.value.code == code


def test_names() -> None:
    assert INITIALIZERS.get("uniform") is INITIALIZERS.get("RandomUniform")
    assert INITIALIZERS.get("he_normal") is INITIALIZERS.get("HeNormal")
    assert INITIALIZERS.get("zeros") is INITIALIZERS.get("Zeros")


def test_an_own_seed_does_not_depend_on_the_run() -> None:
    own = {"type": "GlorotUniform", "seed": 3}
    np.testing.assert_array_equal(draw(own, (4, 3), 0), draw(own, (4, 3), 1))
    assert not np.array_equal(draw(own, (4, 3)), draw({**own, "seed": 4}, (4, 3)))
    assert not np.array_equal(draw("glorot_uniform", (4, 3), 0), draw("glorot_uniform", (4, 3), 1))
    draw({**own, "seed": -1}, (4, 3))


def test_truncated_normal_stays_within_two_deviations() -> None:
    x = draw({"type": "TruncatedNormal", "mean": 1.0, "stddev": 0.5}, (100, 100))
    assert np.abs(x - 1.0).max() <= 1.0 + 1e-6


@pytest.mark.parametrize(("name", "shape"), [("identity", (3,)), ("identity", (3, 3, 3)), ("orthogonal", (3,))])
def test_unsupported_shapes_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as error:
        INITIALIZERS.parse(name).check(shape)
    assert error.value.code == "GS301"
