"""What trains: the places of weights, patterns, tied tensors, names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper
from unfrozen import Trial, model_of, node

from graphspec.base.errors import ShapeError

RANDOM = np.random.default_rng(4)


def weights(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


def test_biases_and_scales_of_channels_train_and_other_constants_do_not() -> None:
    nodes = [
        node("Sub", "x mean", "centred"),
        node("Div", "centred spread", "scaled"),
        node("Conv", "scaled w", "c"),
        node("Add", "c bias", "d"),
        node("Mul", "d gain", "e"),
        node("Add", "e three", "f"),
        node("Mul", "f grid", "h"),
        node("Transpose", "h", "t", perm=[0, 2, 1]),
        node("MatMul", "t k", "m"),
        node("Add", "b2 m", "n"),
        node("Mul", "n five", "y"),
    ]
    tensors = {
        "mean": weights(1, 3, 1),
        "spread": np.abs(weights(1, 3, 1)) + 1,
        "w": weights(4, 3, 1),
        "bias": weights(1, 4, 1),
        "gain": weights(4, 1),
        "three": np.array(3, np.float32),
        "grid": weights(5),
        "k": weights(4, 2),
        "b2": weights(2),
        "five": weights(5, 1),
    }
    trial = Trial(model_of(nodes, {"x": ["n", 3, 5]}, ["y"], tensors), {"x": ("N", 3, 5)})
    assert trial.trained == ["net/w", "net/bias", "net/gain", "net/k", "net/b2"]
    assert [w.name for w in trial.found.weights if not w.trains] == ["mean", "spread", "grid", "five"]
    assert trial.found.weights[0].reader == "'the_c' (Conv)"
    trial.check({"x": weights(2, 3, 5)})


def test_a_normalization_by_parts_trains_its_scale_and_shift() -> None:
    nodes = [
        node("MatMul", "x w", "a"),
        node("ReduceMean", "a", "m", axes=[-1]),
        node("Sub", "a m", "c"),
        node("Pow", "c two", "p"),
        node("ReduceMean", "p", "v", axes=[-1]),
        node("Add", "v small", "ve"),
        node("Sqrt", "ve", "s"),
        node("Reciprocal", "s", "r"),
        node("Mul", "r gamma", "rg"),
        node("Mul", "c rg", "n"),
        node("Add", "n beta", "y"),
    ]
    tensors = {"w": weights(3, 4), "two": np.float32(2), "small": np.float32(1e-5)}
    tensors |= {"gamma": weights(1, 4), "beta": weights(4)}
    trial = Trial(model_of(nodes, {"x": ["n", 3]}, ["y"], tensors), {"x": ("N", 3)})
    assert trial.trained == ["net/w", "net/gamma", "net/beta"]
    trial.check({"x": weights(2, 3)})
    trial.check_gradient({"x": RANDOM.standard_normal((2, 3))})


def test_a_tensor_with_two_readers_is_one_weight() -> None:
    """A table of vectors that is also the matrix of the last product, transposed."""
    nodes = [
        node("Gather", "table ids", "e"),
        node("Transpose", "table", "back", perm=[1, 0]),
        node("MatMul", "e back", "y"),
    ]
    model = model_of(nodes, {"ids": ["n", 3]}, ["y"], {"table": weights(6, 4)}, dtypes={"ids": 7})
    trial = Trial(model, {"ids": ("N", 3)}, dtypes={"ids": "int64"})
    assert trial.trained == ["net/table"]
    trial.check({"ids": np.array([[0, 5, 2], [1, 1, 3]])})
    trial.check_gradient({"ids": np.array([[0, 5, 2], [1, 1, 3]])})


def test_a_tensor_with_one_reader_is_stored_as_it_is_read() -> None:
    nodes = [node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t", "y")]
    trial = Trial(model_of(nodes, {"x": ["n", 3]}, ["y"], {"w": weights(2, 3)}), {"x": ("N", 3)})
    assert trial.operators == ["MatMul"]
    assert trial.graph.params["net/w"].shape == (3, 2)
    trial.check({"x": weights(2, 3)})


def chain() -> Any:
    nodes = [
        node("MatMul", "x body.w", "a"),
        node("Mul", "head.scale half", "s"),
        node("Mul", "a s", "b"),
        node("MatMul", "b head.w", "y"),
    ]
    tensors = {"body.w": weights(3, 4), "head.scale": weights(4), "half": np.float32(0.5), "head.w": weights(4, 2)}
    return model_of(nodes, {"x": ["n", 3]}, ["y"], tensors)


@pytest.mark.parametrize(
    ("patterns", "trained"),
    [
        (None, ["net/body.w", "net/head.w"]),
        (["head.*"], ["net/head.scale", "net/head.w"]),
        (["body.w", "*.scale"], ["net/body.w", "net/head.scale"]),
    ],
)
def test_patterns_choose_what_trains(patterns: list[str] | None, trained: list[str]) -> None:
    trial = Trial(chain(), {"x": ("N", 3)}, patterns)
    assert trial.trained == trained
    trial.check({"x": weights(2, 3)})
    trial.check_gradient({"x": RANDOM.standard_normal((2, 3))})


def test_a_pattern_that_names_no_weight_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"pattern 'tail\.\*' in `trainable`, but its file has no weight") as caught:
        Trial(chain(), {"x": ("N", 3)}, ["head.*", "tail.*"])
    assert "'body.w'" in str(caught.value.problem.hint)


def test_names_of_weights_are_valid_and_differ() -> None:
    names = ["/a::w/1", "a w 1", "_", "é.w"]
    nodes = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(weights(2, 2))) for name in names]
    last = "x"
    for k, name in enumerate(names):
        nodes.append(helper.make_node("MatMul", [last, name], [f"y{k}"]))
        last = f"y{k}"
    trial = Trial(model_of(nodes, {"x": ["n", 2]}, [last]), {"x": ("N", 2)})
    assert trial.trained == ["net/a_w_1", "net/a_w_1_2", "net/weight", "net/é.w"]
    assert [w.name for w in trial.found.weights] == names
    trial.check({"x": weights(2, 2)})


def test_kernels_of_convolutions_have_the_layout_of_keras() -> None:
    nodes = [node("Conv", "x w", "c", group=2), node("ConvTranspose", "c v", "y")]
    tensors = {"w": weights(6, 2, 3, 2), "v": weights(6, 5, 2, 2)}
    trial = Trial(model_of(nodes, {"x": ["n", 4, 8, 9]}, ["y"], tensors), {"x": ("N", 4, 8, 9)})
    assert {name: p.shape for name, p in trial.graph.params.items()} == {"net/w": (3, 2, 2, 6), "net/v": (2, 2, 5, 6)}
    np.testing.assert_array_equal(trial.parameters().get()["net/w"], tensors["w"].transpose(2, 3, 1, 0))
    trial.check({"x": weights(2, 4, 8, 9)})


def test_what_a_matrix_is_a_product_of_trains() -> None:
    """As weight_norm and a folded normalization write it: not the variance below a root, nor numbers of the exporter."""
    nodes = [
        node("ReduceL2", "v", "length", axes=[1], keepdims=1),
        node("Div", "v length", "direction"),
        node("Mul", "direction g", "w"),
        node("Add", "var small", "ve"),
        node("Sqrt", "ve", "root"),
        node("Div", "w root", "folded"),
        node("Transpose", "folded", "turned", perm=[1, 0]),
        node("MatMul", "x turned", "a"),
        node("Mul", "table gain", "scaled"),
        node("MatMul", "a scaled", "y"),
    ]
    tensors = {"v": weights(4, 3), "g": weights(4, 1), "var": np.abs(weights(4, 1)) + 1, "small": np.float32(0.1)}
    tensors |= {"table": weights(4, 1), "gain": np.float32(3)}
    trial = Trial(model_of(nodes, {"x": ["n", 3]}, ["y"], tensors), {"x": ("N", 3)})
    assert trial.trained == ["net/v", "net/g", "net/table"]
    assert [w.name for w in trial.found.weights if w.trains] == ["v", "g", "table"]
    trial.check({"x": weights(2, 3)})
    trial.check_gradient({"x": RANDOM.standard_normal((2, 3))})


def test_a_state_of_zeros_is_no_weight_and_one_channel_has_a_bias() -> None:
    zeros = helper.make_node(
        "Constant", [], ["/Constant_output_0"], value=numpy_helper.from_array(np.zeros((1, 4), "f4"))
    )
    nodes = [
        zeros,
        node("Gemm", "/Constant_output_0 u b", "h"),
        node("MatMul", "x w", "a"),
        node("Add", "a bias", "c"),
        node("Add", "c shift", "d"),
        node("Mul", "d h", "y"),
    ]
    tensors = {"u": weights(4, 2), "b": weights(2), "w": weights(3, 1), "bias": weights(1), "shift": weights(1)}
    trial = Trial(model_of(nodes, {"x": ["n", 3]}, ["y"], tensors), {"x": ("N", 3)})
    assert trial.trained == ["net/u", "net/b", "net/w", "net/bias"]
    trial.check({"x": weights(2, 3)})
