"""AffineWarp: gradients, blocks and images of one pixel; against Keras in layers/test_augmentation.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Array, check_gradients, run

from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.ops import images as warp


def normal(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def maps(rows: int) -> Array:
    """Affine maps that stretch, turn and shift, also far out of the image."""
    return np.array([1.0, 0, 0, 0, 1.0, 0]) + normal(rows, 6, seed=rows) * [0.7, 0.7, 0.5, 0.7, 0.7, 0.5]


@pytest.mark.parametrize("block", [1, 70, 1 << 15])
@pytest.mark.parametrize("fill_mode", warp.FILL_MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_gradients_of_warped_images(
    interpolation: str, fill_mode: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warp, "_PIXELS", block)
    how: dict[str, Any] = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": 0.3}
    check_gradients("AffineWarp", [normal(5, 4, 6, 2), maps(5)], [0], training=True, **how)


@pytest.mark.parametrize("block", [1, 70])
def test_blocks_and_layouts_do_not_change_the_images(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def warped(X: Array, **how: Any) -> Array:
        return run("AffineWarp", [X, maps(5)], training=True, **how)[0]

    X = normal(5, 4, 6, 2)
    for fill_mode in warp.FILL_MODES:
        whole = warped(X, fill_mode=fill_mode, fill_value=2.0)
        monkeypatch.setattr(warp, "_PIXELS", block)
        np.testing.assert_array_equal(warped(X, fill_mode=fill_mode, fill_value=2.0), whole)
        monkeypatch.undo()


def test_an_image_of_one_pixel_and_one_that_is_only_turned() -> None:
    turn = np.array([[0.0, -1, 0, 1, 0, 0]])
    X = normal(1, 5, 5, 1).astype(np.float32)
    np.testing.assert_allclose(run("AffineWarp", [X, turn], training=True)[0], np.rot90(X, axes=(1, 2)), atol=1e-6)
    for fill_mode in ("nearest", "reflect", "wrap"):
        X = normal(3, 1, 1, 2).astype(np.float32)
        (Y,) = run("AffineWarp", [X, maps(3)], training=True, fill_mode=fill_mode)
        np.testing.assert_allclose(Y, X, rtol=1e-6)


def test_constant_filling_is_0_unless_set() -> None:
    away = np.array([[1.0, 0, 2, 0, 1, 0]])  # by the width of the image
    (Y,) = run("AffineWarp", [normal(1, 3, 3, 1), away], training=True, fill_mode="constant")
    assert not Y.any()


def test_outside_training_images_pass() -> None:
    X = normal(3, 4, 5, 2).astype(np.float32)
    np.testing.assert_array_equal(run("AffineWarp", [X, maps(3)])[0], X)


def test_inference_is_strict() -> None:
    g, images = Builder(Graph("test"), "node"), Value("x", Type("float32", ("N", "h", "w", 3)), "input")
    numbers = Value("m", Type("float32", ("N", 6)), "input")
    assert g.AffineWarp(images, numbers).shape == images.shape
    for X, M, attrs, text in (
        (numbers, numbers, {}, "needs images"),
        (images, images, {}, "(N, 6)"),
        (images, numbers, {"fill_mode": "mirror"}, "no fill_mode 'mirror'"),
        (images, numbers, {"interpolation": "bicubic"}, "no interpolation 'bicubic'"),
    ):
        with pytest.raises(ShapeError, match=text):
            g.AffineWarp(X, M, **attrs)
