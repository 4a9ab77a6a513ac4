"""Augmentation: "RowUniform", "Recolor", "AffineWarp", "RandomCrop". layers/test_augmentation.py compares with Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import Array, allocated, build, check_gradients, feed, run, scalar_loss

from graphspec.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.target import Target
from graphspec.ir.graph import Graph, Type, Value
from graphspec.ops import warp
from graphspec.runtime.build import build_program
from graphspec.runtime.parameters import Parameters


def normal(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def maps(rows: int) -> Array:
    """Affine maps that scale, rotate and shift, also far beyond the image."""
    return np.array([1.0, 0, 0, 0, 1.0, 0]) + normal(rows, 6, seed=rows) * [0.7, 0.7, 0.5, 0.7, 0.7, 0.5]


@pytest.mark.parametrize("block", [1, 70, 1 << 15])
@pytest.mark.parametrize("fill_mode", warp.FILLS)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_gradients_of_warped_images(
    interpolation: str, fill_mode: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warp, "_BLOCK", block)
    how: dict[str, Any] = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": 0.3}
    check_gradients("AffineWarp", [normal(5, 4, 6, 2), maps(5)], [0], training=True, **how)


@pytest.mark.parametrize("block", [1, 70])
def test_blocks_and_layouts_do_not_change_the_images(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def warped(X: Array, **how: Any) -> Array:
        return trained("AffineWarp", [X, maps(5)], **how)

    X = normal(5, 4, 6, 2)
    for fill_mode in warp.FILLS:
        whole = warped(X, fill_mode=fill_mode, fill_value=2.0)
        monkeypatch.setattr(warp, "_BLOCK", block)
        np.testing.assert_array_equal(warped(X, fill_mode=fill_mode, fill_value=2.0), whole)
        monkeypatch.undo()


def trained(op: str, inputs: list[Array | None], constants: set[int] = frozenset(), **attrs: Any) -> Array:
    """The output of the operator in training."""
    graph, _ = build(op, inputs, constants, **attrs)
    arrays = {f"x{k}": a for k, a in enumerate(inputs) if a is not None}
    shapes = {n: arrays[n].shape for n in graph.inputs}
    program = build_program(graph, Parameters(graph), Target(shapes), training=True)
    feed(graph, program, arrays)
    program.run()
    return program.fetches["y0"].copy()


def test_a_rotated_image_and_images_of_one_pixel() -> None:
    rotation = np.array([[0.0, -1, 0, 1, 0, 0]])
    X = normal(1, 5, 5, 1).astype(np.float32)
    np.testing.assert_allclose(trained("AffineWarp", [X, rotation]), np.rot90(X, axes=(1, 2)), atol=1e-6)
    for fill_mode in ("nearest", "reflect", "wrap"):
        X = normal(3, 1, 1, 2).astype(np.float32)
        np.testing.assert_allclose(trained("AffineWarp", [X, maps(3)], fill_mode=fill_mode), X, rtol=1e-6)


@pytest.mark.parametrize("axes", [(1, 2), (2, 3)])
@pytest.mark.parametrize("inputs", [{1}, {2}, {1, 2}], ids=["scale", "shift", "both"])
def test_gradients_of_recolored_images(inputs: set[int], axes: tuple[int, ...]) -> None:
    arrays = [normal(3, 4, 3, 2), *(normal(3, 1, seed=k) if k in inputs else None for k in (1, 2))]
    check_gradients("Recolor", arrays, [0], training=True, low=-1.0, high=0.8, axes=axes)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_crops(training: bool) -> None:
    inputs = [normal(2, 3, 5, 6), np.array([[0.7, 0.2]]), normal(3, 5, seed=2), normal(6, 4, seed=3)]
    check_gradients("RandomCrop", inputs, [0], {2, 3}, training=training)
    if training:
        np.testing.assert_array_equal(
            trained("RandomCrop", inputs, {2, 3}), inputs[0][:, :, 2:5, :4].astype(np.float32)
        )
    else:
        expected = inputs[2] @ inputs[0] @ inputs[3]
        np.testing.assert_allclose(run("RandomCrop", inputs, {2, 3})[0], expected, rtol=1e-4, atol=1e-5)


def test_images_are_unchanged_outside_training() -> None:
    X, numbers = normal(3, 4, 5, 2).astype(np.float32), normal(3, 1)
    np.testing.assert_array_equal(run("AffineWarp", [X, maps(3)])[0], X)
    np.testing.assert_array_equal(run("Recolor", [X, numbers, numbers], low=0.0, high=1.0)[0], X)


X = normal(20, 64, 48, 3).astype(np.float32)
PLANES = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
LARGE: list[tuple[str, list[Any], set[int], dict[str, Any]]] = [
    *(("AffineWarp", [X, maps(20)], set(), {"fill_mode": mode, "fill_value": 1.0}) for mode in warp.FILLS),
    ("AffineWarp", [X, maps(20)], set(), {"interpolation": "nearest", "fill_mode": "constant"}),
    ("Recolor", [X, normal(20, 1), normal(20, 1)], set(), {"low": -1.0, "high": 1.0}),
    ("Recolor", [PLANES, normal(20, 1)], set(), {"low": -1.0, "high": 1.0, "axes": (2, 3)}),
    ("RandomCrop", [PLANES, np.array([[0.3, 0.9]]), normal(40, 64), normal(48, 24)], {2, 3}, {}),
]


@pytest.mark.parametrize(("op", "inputs", "constants", "attrs"), LARGE, ids=[case[0] for case in LARGE])
def test_a_step_allocates_nothing(op: str, inputs: list[Any], constants: set[int], attrs: dict[str, Any]) -> None:
    graph, _ = build(op, inputs, constants, **attrs)
    loss = scalar_loss(graph, {"y0": np.ones((), np.float32)})
    shapes = {n: v.shape for n, v in graph.inputs.items()}
    program = build_program(
        graph.with_outputs({"loss": loss}, loss), Parameters(graph), Target(shapes, input_grads=["x0"]), training=True
    )
    feed(graph, program, {f"x{k}": a for k, a in enumerate(inputs)})
    assert allocated(program) < 128 * 1024


def tensor(*shape: Any, data: Array | None = None) -> Value:
    return Value("x", Type("float32", shape), "input" if data is None else "constant", data=data)


def test_inference_is_strict() -> None:
    g, images = Builder(Graph("test"), "node"), tensor("N", "h", "w", 3)
    assert g.RowUniform(images, low=(0.0, 1.0), high=(1.0, 2.0)).shape == ("N", 2)
    assert g.RowUniform(images, low=(0.0,), high=(1.0,), same=True).shape == (1, 1)
    assert g.AffineWarp(images, tensor("N", 6)).shape == images.shape
    rows, columns = (g.constant(np.ones(shape), "float32") for shape in ((3, 8), (9, 4)))
    assert g.RandomCrop(tensor("N", 3, 8, 9), tensor(1, 2), rows, columns).shape == ("N", 3, 3, 4)
    wrong = [
        ("RowUniform", [images], {"low": (0.0,), "high": (1.0, 2.0)}, "as many lower bounds"),
        ("AffineWarp", [tensor("N", 4, 3), tensor("N", 6)], {}, "needs images"),
        ("AffineWarp", [images, tensor("N", 8)], {}, "six numbers"),
        ("AffineWarp", [images, tensor("N", 6)], {"fill_mode": "mirror"}, "no fill_mode 'mirror'"),
        ("AffineWarp", [images, tensor("N", 6)], {"interpolation": "bicubic"}, "no interpolation 'bicubic'"),
        ("Recolor", [images, tensor("N")], {"low": 0.0, "high": 1.0}, "a number for each row"),
        ("RandomCrop", [tensor("N", 3, 2, 9), tensor(1, 2), rows, columns], {}, "matrices for images of (8, 9)"),
        ("RandomCrop", [tensor("N", 3, 8, 9), tensor(2), rows, columns], {}, "a corner"),
    ]
    for op, inputs, attrs, text in wrong:
        with pytest.raises(ShapeError) as error:
            getattr(g, op)(*inputs, **attrs)
        assert text in error.value.problem.message
