"""Files as graphs: constants, branches, batch sizes, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from unfrozen import Trial, model_of, node

from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError

RANDOM = np.random.default_rng(3)


def weights(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


def test_a_network_of_many_operators_has_the_outputs_and_gradients_of_its_file() -> None:
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", "c1 scale shift mean var", "n1"),
        node("Sigmoid", "n1", "s1"),
        node("Mul", "n1 s1", "a1"),
        node("ConvTranspose", "a1 w2", "c2", output_shape=[7, 9], strides=[2, 2]),
        node("InstanceNormalization", "c2 scale shift", "n2"),
        node("MaxPool", "n2", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", "p", "sizes"),
        node("Slice", "sizes zero one", "rows"),
        node("Concat", "rows flat", "wanted", axis=0),
        node("Reshape", "p wanted", "f"),
        node("Gemm", "f w3 b3", "d", transB=1),
        node("LayerNormalization", "d gamma beta", "l"),
        node("Softmax", "l", "y", axis=-1),
    ]
    tensors = {
        "w1": weights(4, 3, 3, 3),
        "b1": weights(4),
        "scale": weights(4),
        "shift": weights(4),
        "mean": weights(4),
        "var": np.abs(weights(4)) + 1,
        "w2": weights(4, 4, 3, 3),
        "w3": weights(5, 48),
        "b3": weights(5),
        "gamma": weights(5),
        "beta": weights(5),
        "zero": np.array([0]),
        "one": np.array([1]),
        "flat": np.array([-1]),
    }
    trial = Trial(model_of(nodes, {"x": ["n", 3, 8, 10]}, ["y", "l"], tensors), {"x": ("N", 3, 8, 10)})
    assert trial.trained == [
        f"net/{name}" for name in ("w1", "b1", "scale", "shift", "w2", "w3", "b3", "gamma", "beta")
    ]
    assert [w.name for w in trial.found.weights if not w.trains] == ["mean", "var"]
    for rows in (1, 3):
        trial.check({"x": weights(rows, 3, 8, 10)})
    trial.check_gradient({"x": RANDOM.standard_normal((2, 3, 8, 10))})


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_a_recurrent_network_saved_for_one_row_takes_any_number(op: str) -> None:
    """PyTorch's form: time first, states of one row, the steps flattened for the last product."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    states = "h h" if op == "LSTM" else "h"
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node(op, f"t w r b _ {states}", "s", hidden_size=3, direction="bidirectional"),
        node("Transpose", "s", "u", perm=[0, 2, 1, 3]),
        node("Reshape", "u joined", "j"),
        node("Reshape", "j rows", "m"),
        node("Gemm", "m k c", "g", transB=1),
        node("Relu", "g", "e"),
        node("Reshape", "e back", "y"),
    ]
    tensors = {
        "w": weights(2, gates * 3, 4),
        "r": weights(2, gates * 3, 3),
        "b": weights(2, gates * 6),
        "h": weights(2, 1, 3),
        "joined": np.array([0, 0, -1]),
        "rows": np.array([-1, 6]),
        "k": weights(7, 6),
        "c": weights(7),
        "back": np.array([5, 1, 7]),
    }
    model = model_of(nodes, {"x": [1, 5, 4]}, ["y"], tensors)
    trial = Trial(model, {"x": ("N", 5, 4)})
    assert trial.found.outputs[0].shape == (5, "N", 7)
    x = weights(3, 5, 4)
    (whole,) = trial.run({"x": x})
    for row in range(3):
        (alone,) = trial.check({"x": x[row : row + 1]})
        np.testing.assert_allclose(whole[:, row : row + 1], alone, rtol=1e-5, atol=1e-6)
    trial.check_gradient({"x": RANDOM.standard_normal((2, 5, 4))})


def test_a_fixed_batch_in_a_reshape_stands_for_all_rows_if_each_keeps_its_elements() -> None:
    nodes = [
        node("Reshape", "x a", "r"),
        node("Concat", "token r", "t", axis=1),
        node("Transpose", "t", "p", perm=[1, 0, 2]),
        node("Reshape", "p b", "q"),
        node("Add", "q place", "y"),
    ]
    tensors = {"a": np.array([2, 3, 4]), "b": np.array([4, 2, 2, 2])}
    tensors |= {"token": weights(2, 1, 4), "place": weights(4, 1, 2, 2)}
    with pytest.raises(ShapeError, match=r"'the_t' \(Concat\)"):  # two rows of a constant are not all rows
        Trial(model_of(nodes, {"x": [2, 12]}, ["y"], tensors), {"x": ("N", 12)})
    tensors |= {"a": np.array([1, 3, 4]), "b": np.array([4, 1, 2, 2]), "token": weights(1, 1, 4)}
    trial = Trial(model_of(nodes, {"x": [1, 12]}, ["y"], tensors), {"x": ("N", 12)})
    x = weights(3, 12)
    (whole,) = trial.run({"x": x})
    assert trial.found.outputs[0].shape == (4, "N", 2, 2)
    for row in range(3):
        np.testing.assert_array_equal(whole[:, row : row + 1], trial.check({"x": x[row : row + 1]})[0])


@pytest.mark.parametrize(
    ("sizes", "declared", "text"),
    [
        ([4, -1], 1, "mixes the rows of a batch"),
        ([3, 1, 4], 1, "numbers of elements differ"),
        ([3, -1], "n", "mixes the rows of a batch"),
        ([1, -1], 1, None),
        ([2, 12], 2, None),
        ([-1, 4], 1, None),
    ],
)
def test_reshapes_that_mix_rows_are_refused_by_name(sizes: list[int], declared: Any, text: str | None) -> None:
    model = model_of([node("Reshape", "x s", "y")], {"x": [declared, 3, 4]}, ["y"], {"s": np.array(sizes)})
    if text is None:
        assert Trial(model, {"x": ("N", 3, 4)}).found.outputs
        return
    with pytest.raises(ShapeError, match=text) as caught:
        Trial(model, {"x": ("N", 3, 4)})
    assert "'the_y' (Reshape)" in str(caught.value)


def test_rows_of_random_rearrangements_are_apart_or_refused() -> None:
    """Axes in any order, split and joined; a softmax along any; a batch that is open or fixed at one row."""
    kept = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        at, shape, tensors, nodes, last = int(random.integers(3)), [4, 6], {}, [], "x"
        shape.insert(at, 1)
        axes = list(shape)
        for k in range(4):
            kind, y = random.choice(["Transpose", "Reshape", "Softmax"]), f"v{k}"
            if kind == "Transpose":
                perm = random.permutation(len(axes))
                axes = [axes[i] for i in perm]
                nodes.append(node(kind, last, y, perm=perm))
            elif kind == "Softmax":
                nodes.append(node(kind, last, y, axis=random.integers(len(axes))))
            else:
                axes = [[4, 6], [24], [2, 2, 6], [4, 3, 2], [6, 4], [2, 12]][random.integers(6)]
                axes.insert(random.integers(len(axes) + 1), 1)
                tensors[f"s{k}"] = np.array(axes)
                tensors[f"s{k}"][random.integers(len(axes))] = -1
                nodes.append(node(kind, f"{last} s{k}", y))
            last = y
        model = model_of(nodes, {"x": shape if seed % 2 else [*shape[:at], "n", *shape[at + 1 :]]}, [last], tensors)
        try:
            trial = Trial(model, {"x": [*shape[:at], "N", *shape[at + 1 :]]})
        except ShapeError:
            continue
        if "N" not in (out := trial.found.outputs[0].shape):
            continue  # a factor of an axis
        x, kept = random.standard_normal([*shape[:at], 3, *shape[at + 1 :]]).astype(np.float32), kept + 1
        whole = trial.run({"x": x})[0]
        for row in range(3):
            (alone,) = trial.check({"x": x.take([row], at)})
            np.testing.assert_allclose(whole.take([row], out.index("N")), alone, rtol=1e-5, atol=1e-6)
    assert kept > 5


def test_sizes_that_expand_asks_for_are_chosen() -> None:
    """PyTorch's `expand`: -1 among the sizes stands for 1, and no size of a tensor is -1."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "rows"),
        node("Concat", "rows five", "wanted", axis=0),
        node("Shape", "wanted", "rank"),
        node("ConstantOfShape", "rank", "ones", value=numpy_helper.from_array(np.array([1]))),
        node("Mul", "ones minus", "unset"),
        node("Equal", "wanted unset", "is_unset"),
        node("Where", "is_unset ones wanted", "sizes"),
        node("Expand", "one sizes", "wide"),
        node("MatMul", "wide w", "m"),
        node("Add", "x m", "y"),
    ]
    tensors = {
        "zero": np.array([0]),
        "five": np.array([5]),
        "minus": np.array(-1),
        "one": weights(1, 5),
        "w": weights(5, 4),
    }
    trial = Trial(model_of(nodes, {"x": ["n", 4]}, ["y"], tensors), {"x": ("N", 4)})
    assert {"Equal", "Where"}.isdisjoint(trial.operators)
    trial.check({"x": weights(3, 4)})


def test_branches_of_constant_conditions_are_chosen() -> None:
    """The rank of a value, and an input that the spec fixes, decide; what is not chosen may be anything."""

    def branch(name: str, *nodes: Any) -> Any:
        return helper.make_graph(list(nodes), name, [], [helper.make_empty_tensor_value_info(nodes[-1].output[0])])

    odd = branch("odd", node("Bernoulli", "x", "out_odd"))
    inner = helper.make_node(
        "If", ["deep"], ["out_deep"], "inner",
        then_branch=branch("then", node("MatMul", "x w", "m"), node("Add", "m b", "out_then")), else_branch=odd,
    )  # fmt: skip
    nodes = [
        node("Equal", "rate wanted", "same"),
        node("Shape", "x", "s"),
        node("Size", "s", "rank"),
        node("Equal", "rank two", "deep"),
        helper.make_node(
            "If", ["same"], ["y"], "outer",
            then_branch=branch("yes", inner), else_branch=branch("no", node("Bernoulli", "x", "out_no")),
        ),
    ]  # fmt: skip
    tensors = {"wanted": np.array(16000), "two": np.array(2), "w": weights(4, 3), "b": weights(3)}
    model = model_of(nodes, {"x": ["n", 4], "rate": []}, ["y"], tensors, dtypes={"rate": TensorProto.INT64})
    trial = Trial(model, {"x": ("N", 4)}, fixed={"rate": np.array(16000)})
    assert trial.trained == ["net/w", "net/b"]
    trial.check({"x": weights(2, 4)})
    with pytest.raises(ShapeError, match=r"operators without a gradient here: Bernoulli \('the_out_no'\)"):
        Trial(model, {"x": ("N", 4)}, fixed={"rate": np.array(8000)})
    with pytest.raises(ShapeError, match=r"If \('outer'\)"):
        Trial(model, {"x": ("N", 4), "rate": ()}, dtypes={"rate": "int64"})


def test_all_operators_without_a_gradient_are_named_at_once() -> None:
    nodes = [
        node("DynamicQuantizeLinear", "x", "q qs qz"),
        node("DynamicQuantizeLinear", "x", "p ps pz"),
        node("Relu", "qs", "r"),
        helper.make_node("FusedMatMul", ["r", "ps"], ["y"], "fused", domain="com.microsoft"),
    ]
    with pytest.raises(ShapeError) as caught:
        Trial(model_of(nodes, {"x": ["n", 4]}, ["y"]), {"x": ("N", 4)})
    assert caught.value.code == Code.UNSUPPORTED_FILE
    assert "DynamicQuantizeLinear ('the_q', 'the_p'), com.microsoft.FusedMatMul ('fused')" in str(caught.value)


def test_an_error_of_an_operator_names_the_node_of_the_file() -> None:
    model = model_of([node("Gemm", "x w", "y")], {"x": ["n", 4]}, ["y"], {"w": weights(3, 5)})
    with pytest.raises(ShapeError, match=r"has node 'the_y' \(Gemm\) in its file, which has inner sizes that differ"):
        Trial(model, {"x": ("N", 4)})


def test_halves_and_doubles_are_floats() -> None:
    nodes = [
        node("Cast", "x", "h", to=TensorProto.FLOAT16),
        node("MatMul", "h w", "m"),
        node("Cast", "m", "d", to=TensorProto.DOUBLE),
        node("Mul", "d two", "e"),
        node("Cast", "e", "y", to=TensorProto.FLOAT),
    ]
    tensors = {"w": weights(4, 3).astype(np.float16), "two": np.array(2.0)}
    trial = Trial(model_of(nodes, {"x": ["n", 4]}, ["y"], tensors), {"x": ("N", 4)})
    assert trial.operators == ["MatMul", "Mul"]
    trial.check({"x": weights(2, 4)}, rtol=5e-3)


def test_a_moving_statistic_is_kept_or_moves() -> None:
    tensors = {"s": weights(3), "b": weights(3), "m": weights(3), "v": np.abs(weights(3)) + 1}
    model = model_of([node("BatchNormalization", "x s b m v", "y")], {"x": ["n", 3, 4]}, ["y"], tensors)
    frozen = Trial(model, {"x": ("N", 3, 4)})
    assert list(frozen.graph.params) == ["net/s", "net/b"]
    moving = Trial(model, {"x": ("N", 3, 4)}, batch_statistics=True)
    assert {name for name, p in moving.graph.params.items() if p.state} == {"net/m", "net/v"}
    assert moving.trained == frozen.trained
    x = weights(5, 3, 4)
    np.testing.assert_array_equal(frozen.check({"x": x})[0], moving.run({"x": x})[0])


def test_constant_nodes_of_all_kinds() -> None:
    nodes = [
        helper.make_node("Constant", [], ["f"], value_float=2.0),
        helper.make_node("Constant", [], ["fs"], value_floats=[1.0, 2.0, 3.0]),
        helper.make_node("Constant", [], ["i"], value_int=1),
        helper.make_node("Constant", [], ["s"], value_ints=[-1, 3]),
        helper.make_node("Constant", [], ["t"], value=numpy_helper.from_array(weights(3))),
        node("Reshape", "x s", "r"),
        node("Mul", "r f", "a"),
        node("Add", "a fs", "b"),
        node("Sub", "b t", "c"),
        node("Gather", "c i", "g", axis=1),
        node("ConstantOfShape", "none", "k", value=numpy_helper.from_array(np.array([3], np.float32))),
        node("Add", "g k", "y"),
    ]
    model = model_of(nodes, {"x": ["n", 3]}, ["y"], {"none": np.zeros(0, np.int64)})
    Trial(model, {"x": ("N", 3)}).check({"x": weights(4, 3)})


def test_pictures_at_computed_places_and_pooling_undone_train() -> None:
    nodes = [
        node("Conv", "x w1", "c", pads=[1, 1, 1, 1]),
        node("MaxPool", "c", "p at", kernel_shape=[2, 2], strides=[2, 2]),
        node("MaxUnpool", "p at", "u", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "x", "f"),
        node("Gemm", "f w2 b2", "d"),
        node("Reshape", "d form", "theta"),
        node("Shape", "x", "sizes"),
        node("AffineGrid", "theta sizes", "grid", align_corners=1),
        node("GridSample", "u grid", "y", align_corners=1, padding_mode="border"),
    ]
    b2, form = np.array([1, 0, 0, 0, 1, 0], np.float32), np.array([-1, 2, 3])
    tensors = {"w1": weights(2, 3, 3, 3), "w2": weights(72, 6) * 0.1, "b2": b2, "form": form}
    model = model_of(nodes, {"x": ["n", 3, 4, 6]}, ["y"], tensors, opset=20)
    trial = Trial(model, {"x": ("N", 3, 4, 6)})
    assert trial.trained == ["net/w1", "net/w2", "net/b2"]
    for rows in (1, 3):
        trial.check({"x": weights(rows, 3, 4, 6)})
    trial.check_gradient({"x": weights(1, 3, 4, 6)})
