"""RowUniform, Recolor and RandomCrop: values and inference; against Keras in layers/test_augmentation.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Array, run

from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.ir.graph import Graph, Type, Value


def normal(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def test_a_crop_in_training_is_cut_out_and_later_a_product() -> None:
    inputs = [normal(2, 3, 5, 6), np.array([[0.7, 0.2]]), normal(3, 5, seed=2), normal(6, 4, seed=3)]
    (cut,) = run("RandomCrop", inputs, {2, 3}, training=True)
    np.testing.assert_array_equal(cut, inputs[0][:, :, 2:5, :4].astype(np.float32))
    expected = inputs[2] @ inputs[0] @ inputs[3]
    np.testing.assert_allclose(run("RandomCrop", inputs, {2, 3})[0], expected, rtol=1e-4, atol=1e-5)


def test_numbers_for_rows_are_between_their_bounds() -> None:
    (Y,) = run("RowUniform", [np.zeros((4000, 1))], training=True, low=(-1.0, 2.0), high=(3.0, 2.5))
    for column, low, high in zip(Y.T, (-1.0, 2.0), (3.0, 2.5), strict=True):
        assert low <= column.min() < column.max() < high
        np.testing.assert_allclose(column.mean(), (low + high) / 2, atol=0.03 * (high - low))


def test_outside_training_images_pass() -> None:
    X, numbers = normal(3, 4, 5, 2).astype(np.float32), normal(3, 1)
    np.testing.assert_array_equal(run("Recolor", [X, numbers, numbers], low=0.0, high=1.0)[0], X)


def tensor(*shape: Any, data: Array | None = None) -> Value:
    return Value("x", Type("float32", shape), "input" if data is None else "constant", data=data)


def test_inference_is_strict() -> None:
    g, images = Builder(Graph("test"), "node"), tensor("N", "h", "w", 3)
    assert g.RowUniform(images, low=(0.0, 1.0), high=(1.0, 2.0)).shape == ("N", 2)
    assert g.RowUniform(images, low=(0.0,), high=(1.0,), same=True).shape == (1, 1)
    rows, columns = (g.constant(np.ones(shape), "float32") for shape in ((3, 8), (9, 4)))
    assert g.RandomCrop(tensor("N", 3, 8, 9), tensor(1, 2), rows, columns).shape == ("N", 3, 3, 4)
    wrong = [
        ("RowUniform", [images], {"low": (0.0,), "high": (1.0, 2.0)}, "as many lower bounds"),
        ("Recolor", [images, tensor("N")], {"low": 0.0, "high": 1.0}, "a number for each row"),
        ("RandomCrop", [tensor("N", 3, 2, 9), tensor(1, 2), rows, columns], {}, "matrices for images of (8, 9)"),
        ("RandomCrop", [tensor("N", 3, 8, 9), tensor(2), rows, columns], {}, "a corner"),
    ]
    for op, inputs, attrs, text in wrong:
        with pytest.raises(ShapeError) as error:
            getattr(g, op)(*inputs, **attrs)
        assert text in error.value.problem.message
