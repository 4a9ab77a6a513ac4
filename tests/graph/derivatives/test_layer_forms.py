"""Forms in training: equal to the operators where nothing is random, good noise where something is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from derivatives import check_derivatives
from graphs import feed

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.derivatives import in_primitives
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.onnx_model import model_of
from graphspec.graph.onnx_session import session

random = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return random.standard_normal(shape)


# Normalizations.
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (3, 2, 4, 5)])
@pytest.mark.parametrize("training_mode", [0, 1])
def test_batch_normalization(shape: tuple[int, ...], training_mode: int) -> None:
    vectors = [numbers(shape[1]), numbers(shape[1]), numbers(shape[1]), np.abs(numbers(shape[1])) + 0.5]
    check_derivatives(
        "BatchNormalization", [numbers(*shape) + 2, *vectors], [0, 1, 2], training_mode=training_mode, outputs=[0]
    )


@pytest.mark.parametrize("axis", [-1, 1])
def test_normalization_within_rows(axis: int) -> None:
    X, scale = numbers(4, 3, 5) + 2, numbers(*((5,) if axis == -1 else (3, 5)))
    check_derivatives("LayerNormalization", [X, scale, numbers(*scale.shape)], [0, 1, 2], axis=axis)
    check_derivatives("LayerNormalization", [X, scale], [0, 1], axis=axis)
    check_derivatives("RMSNormalization", [X, scale], [0, 1], axis=axis)


def test_groups_and_unit_vectors() -> None:
    check_derivatives("GroupNormalization", [numbers(3, 4, 5), numbers(4), numbers(4)], [0, 1, 2], num_groups=2)
    X = numbers(4, 3, 5)
    X[0, :, 0] = 0
    for p in (1, 2):
        check_derivatives("LpNormalization", [X], [0], axis=1, p=p)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5)])
def test_masked_batch_normalization(shape: tuple[int, ...]) -> None:
    vectors = [numbers(shape[1]), numbers(shape[1]), numbers(shape[1]), np.abs(numbers(shape[1])) + 0.5]
    mask = np.ones((shape[0], 1, *shape[2:]))
    mask.ravel()[[1, -1]] = 0
    check_derivatives("MaskedBatchNormalization", [numbers(*shape) + 2, mask, *vectors], [0, 2, 3])


# Random pictures: given the random numbers, the operators and their forms are equal.
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize(
    ("mode", "value"), [("constant", 0.0), ("constant", 0.7), ("nearest", 0), ("reflect", 0), ("wrap", 0)]
)
def test_warps(interpolation: str, mode: str, value: float) -> None:
    maps = np.tile([1, 0, 0, 0, 1, 0], (3, 1)) + random.uniform(-0.6, 0.6, (3, 6))
    attrs = {"interpolation": interpolation, "fill_mode": mode, "fill_value": value}
    check_derivatives("AffineWarp", [numbers(3, 5, 4, 2), maps.astype(np.float32)], [0], **attrs)


def test_colours_and_crops() -> None:
    scale, shift = random.uniform(0.5, 1.5, (4, 1)), numbers(4, 1)
    check_derivatives("Recolor", [numbers(4, 3, 5, 2), scale, shift], [0], low=-0.5, high=0.7)
    check_derivatives("Recolor", [numbers(4, 3, 5, 2), None, shift], [0], low=-0.5, high=0.7, axes=(2, 3))
    matrices = [numbers(3, 6).astype(np.float32), numbers(7, 4).astype(np.float32)]
    check_derivatives("RandomCrop", [numbers(2, 3, 6, 7), np.array([[0.3, 0.9]]), *matrices], [0], {2, 3})


@pytest.mark.parametrize("same", [False, True])
def test_random_columns(same: bool) -> None:
    found = noise("RowUniform", 400, 5, 2, low=(0.0, -3.0), high=(1.0, 5.0), same=same)
    assert (found >= [0, -3]).all()
    assert (found < [1, 5]).all()
    assert (found[:, 0, 0] == found[:, 0, -1]).all() == same
    if not same:
        np.testing.assert_allclose(found.mean(axis=(0, 1, 2)), [0.5, 1], atol=0.3)


# Noise.
def noise(op: str, rows: int, steps: int, *shape: int, count: int = 1, X: float = 1.0, **attrs: Any) -> np.ndarray:
    """The outputs of ``count`` nodes for constant X at each of some steps, by onnxruntime; NumPy's runtime has the same."""
    graph = Graph("test", {"x": Value("x", Type("float32", ("N", *shape)), "input")})
    for k in range(count):
        with Builder(graph, f"node_{k}") as g:
            inputs = [graph.inputs["x"]]
            if op == "Dropout":
                inputs += [g.constant(attrs["rate"], "float32"), g.constant(True)]
            inputs *= 2 if op == "Sample" else 1
            graph.outputs[f"y{k}"] = g.emit(op, inputs, {} if op == "Dropout" else attrs)
    written = in_primitives(graph, Target())
    assert set(written.inputs) == {"x", "seed", "step"}
    arrays: dict[str, Any] = {"x": np.full((rows, *shape), X, np.float32), "seed": np.array(-7)}
    model = session(model_of(written).SerializeToString())
    program = build_program(
        written, Parameters(written), Target({"x": (rows, *shape), "seed": (), "step": ()}), training=True
    )
    results = []
    for step in range(steps):
        found = model.run(list(written.outputs), arrays | {"step": np.array(step)})
        feed(written, program, arrays | {"step": np.array(step)})
        program.run()
        for mine, theirs in zip(program.fetches.values(), found, strict=True):
            tolerance = 0 if "Dropout" in op and "Gaussian" not in op else 1e-5
            np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
        results.append(found)
    return np.array(results)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_keeps_its_share_everywhere(rate: float) -> None:
    kept = noise("Dropout", 128, 20, 64, count=2, rate=rate)
    assert np.allclose(np.unique(kept), [0, 1 / (1 - rate)])
    n, deviation = kept.size, np.sqrt(rate / (1 - rate))
    assert abs(kept.mean() - 1) < 4 * deviation / np.sqrt(n)
    for axes in ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)):  # by step, node, row, column
        means = kept.mean(axis=axes)
        each = deviation * np.sqrt(means.size / n)
        assert np.abs(means - 1).max() < 5 * each
        assert means.size < 60 or 0.6 * each < means.std() < 1.4 * each  # neither more nor less than by chance


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """The correlation in deviations of what chance gives."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1] * np.sqrt(a.size))


def test_noise_has_no_pattern() -> None:
    kept = noise("Dropout", 64, 20, 48, count=3, rate=0.5)
    assert abs(correlation(kept[1:], kept[:-1])) < 4  # steps
    assert abs(correlation(kept[:, 1:], kept[:, :-1])) < 4  # nodes
    for shift in (1, 2, 7):
        assert abs(correlation(kept[:, :, shift:], kept[:, :, :-shift])) < 4  # rows
        assert abs(correlation(kept[..., shift:], kept[..., :-shift])) < 4  # columns
    signs = kept - 1
    squares = signs[:, :, 1:, 1:] * signs[:, :, 1:, :-1] * signs[:, :, :-1, 1:] * signs[:, :, :-1, :-1]
    assert abs(squares.mean() * np.sqrt(squares.size)) < 4  # a sum of rows' and columns' numbers alone would show here
    spectrum = np.abs(np.fft.fft2(signs[0, 0])) ** 2 / signs[0, 0].size
    assert spectrum.max() < 20
    words = np.packbits(kept[..., :48].reshape(-1, 8) > 0, axis=1)
    assert np.abs(np.bincount(words.ravel(), minlength=256) / (words.size / 256) - 1).max() < 0.5


def test_rows_do_not_depend_on_the_batch() -> None:
    many, few = (noise("Dropout", rows, 2, 3, 4, rate=0.4) for rows in (9, 5))
    np.testing.assert_array_equal(many[:, :, :5], few)


def test_shared_and_alpha_dropout() -> None:
    shared = noise("SharedDropout", 40, 3, 7, 5, rate=0.5, shared=[1])
    assert (shared == shared[:, :, :, :1]).all()
    assert 0.8 < shared.mean() < 1.2
    assert (noise("SharedDropout", 5, 1, 7, rate=0.5, shared=[0, 1]).std(axis=(2, 3)) == 0).all()
    alpha = noise("AlphaDropout", 500, 4, 50, rate=0.3, X=0.0)
    assert len(np.unique(alpha)) == 2
    assert abs(alpha.mean()) < 0.02
    assert abs(alpha.std() - 0.6936) < 0.01  # √(v / (1 + v)) with v = rate · α²: X of variance 1 gets variance 1


@pytest.mark.parametrize("op", ["GaussianNoise", "GaussianDropout", "UniformNoise", "GumbelNoise", "Sample"])
def test_other_noise(op: str) -> None:
    attrs = {"UniformNoise": {"width": 0.7}, "GumbelNoise": {}, "Sample": {}}.get(op, {"deviation": 0.5})
    X = 1.0 if op in ("GaussianDropout", "Sample") else 0.0  # of a Sample: its mean, and the logarithm of its variance
    found = np.sort((noise(op, 100, 4, 50, X=X, **attrs) - X).ravel())
    mean, deviation = {
        "UniformNoise": (0, 1.4 / np.sqrt(12)),
        "GumbelNoise": (0.5772, np.pi / np.sqrt(6)),
        "Sample": (0, np.exp(0.5)),
    }.get(op, (0, 0.5))
    assert abs(found.mean() - mean) < 4 * deviation / np.sqrt(found.size)
    assert abs(found.std() / deviation - 1) < 0.02
    assert np.isfinite(found).all()
