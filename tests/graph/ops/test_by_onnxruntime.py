"""Operators on texts: what ``infer`` says of random inputs against what onnxruntime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS
from onnx import TensorProto, helper
from oracles import session

from graphspec.base.errors import ShapeError
from graphspec.graph.builder import Builder
from graphspec.graph.ir.dims import Shape
from graphspec.graph.ir.graph import ANY, Graph, Type, Value, numpy_dtype
from graphspec.graph.onnx_model import element_type
from graphspec.graph.ops import OPS, operator

Array = np.ndarray[Any, Any]
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["", "a", "B", "a b", "Élan", "don't", "日本語", "\U0001f600 x", "مرحبا", "\x01\x02", "A" * 10_000]
)


@st.composite
def texts(draw: st.DrawFn, *ranks: int) -> Array:
    shape = draw(st.sampled_from(ranks).flatmap(lambda r: st.tuples(*[st.integers(1, 4)] * r)))
    size = int(np.prod(shape))
    return np.array([*draw(st.lists(TEXTS, min_size=size, max_size=size)), None], object)[:-1].reshape(shape)


def computed(op: str, X: Array, constants: dict[str, Array], attrs: dict[str, Any]) -> Array:
    """What onnxruntime makes of one operator; the constants are initializers."""
    node = helper.make_node(op, ["x", *constants], ["y"], name=op, domain=OPS[op].domain, **attrs)
    given_type = TensorProto.STRING if X.dtype == object else helper.np_dtype_to_tensor_dtype(X.dtype)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", given_type, X.shape)],
        [helper.make_empty_tensor_value_info("y")],
        [helper.make_tensor(n, TensorProto.INT64, a.shape, a) for n, a in constants.items()],
    )
    imports = [helper.make_opsetid(*domain) for domain in (("", 17), ("ai.onnx.ml", 2), ("com.microsoft", 1))]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return np.asarray(session(model).run(None, {"x": X})[0])


def value(X: Array) -> Value:
    return Value("x", Type("string" if X.dtype == object else X.dtype.name, X.shape), "input")


def check(op: str, X: Array, constants: dict[str, Array] | None = None, **attrs: Any) -> Array:
    """Assert that our type is the one of onnxruntime's result, which is returned; a size that varies fits every size."""
    g = Builder(Graph("test"), "node")
    (out,) = [getattr(g, op)(value(X), *[g.constant(a) for a in (constants or {}).values()], **attrs)]
    if "to" in attrs:
        attrs["to"] = element_type(attrs["to"])
    result = computed(op, X, constants or {}, attrs)
    assert result.dtype == numpy_dtype(out.dtype)
    assert result.ndim == out.rank
    assert all(isinstance(d, str) or d == n for d, n in zip(out.shape, result.shape, strict=True))
    if out.dtype not in ("string", "float32") and result.size:
        bounds = operator(out.node).bounds(out, [ANY])
        assert bounds.low <= result.min() <= result.max() <= bounds.high
    return result


@pytest.mark.slow
@SETTINGS
@given(texts(0, 1, 2, 3), st.integers(0, 99))
def test_label_encoder_of_texts(X: Array, seed: int) -> None:
    random = np.random.default_rng(seed)
    keys = tuple(sorted({str(t) for t in X.flat if random.random() < 0.6} | {"other"}))
    numbers = tuple(random.integers(-9, 9, len(keys)).tolist())
    found = check("LabelEncoder", X, keys_strings=keys, values_int64s=numbers, default_int64=-7)
    table = dict(zip(keys, numbers, strict=True))
    assert found.reshape(-1).tolist() == [table.get(str(t), -7) for t in X.flat]


@SETTINGS
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6))
def test_label_encoder_of_integers(numbers: list[int]) -> None:
    X = np.array(numbers)[:, None]
    keys = tuple(sorted({-(2**63), *numbers[::2]}))
    values = tuple(range(10, 10 + len(keys)))
    found = check("LabelEncoder", X, keys_int64s=keys, values_int64s=values, default_int64=1)
    table = dict(zip(keys, values, strict=True))
    assert found.reshape(-1).tolist() == [table.get(n, 1) for n in numbers]


@SETTINGS
@given(texts(1), st.booleans())
def test_string_normalizer(X: Array, row: bool) -> None:
    lower = check("StringNormalizer", X[None] if row else X, case_change_action="LOWER", locale="C").reshape(-1)
    folded = [t.encode().lower().decode() for t in X]  # of ASCII alone
    assert lower.tolist() == folded


@SETTINGS
@given(texts(1, 2), st.sampled_from([{"separators": ("",)}, {"tokenexp": r"[\pL\pN]+"}, {"separators": (r"\s+",)}]))
def test_tokenizer(X: Array, how: dict[str, Any]) -> None:
    tokens = check("Tokenizer", X, mark=0, mincharnum=1, pad_value="", **how)
    if "separators" in how and how["separators"] == ("",):
        assert ["".join(row) for row in tokens.reshape(X.size, -1)] == X.reshape(-1).tolist()


def test_tokens_of_nothing() -> None:
    tokens = check("Tokenizer", np.array(["", "!"], object), mark=0, mincharnum=1, pad_value="", tokenexp="[a-z]+")
    assert tokens.shape == (2, 0)
    assert check("LabelEncoder", tokens, keys_strings=("a",), values_int64s=(3,)).shape == (2, 0)


def test_each_tokenizer_has_a_size_of_its_own() -> None:
    g = Builder(Graph("test"), "node")
    x, y = (Value(name, Type("string", ("N",)), "input") for name in "xy")

    def shape(X: Value, **how: Any) -> Shape:
        made: Value = g.Tokenizer(X, mark=0, mincharnum=1, pad_value="", **how)
        return made.shape

    assert shape(x, tokenexp="a") == shape(x, tokenexp="a")
    assert (
        len({shape(x, tokenexp="a"), shape(y, tokenexp="a"), shape(x, tokenexp="b"), shape(x, separators=("",))}) == 4
    )


@SETTINGS
@given(texts(0, 1, 2, 3), st.integers(0, 2**31 - 1), st.integers(0, 1))
def test_murmur_hash(X: Array, seed: int, positive: int) -> None:
    check("MurmurHash3", X, positive=positive, seed=seed)


@pytest.mark.parametrize(
    ("text", "number"), [("", 0), ("hello", 0x248BFA47), ("hello, world", 0x149BBB7F), ("foo", 4138058784)]
)
def test_published_hashes(text: str, number: int) -> None:
    """MurmurHash3_x86_32 with seed 0, as its authors and others publish it."""
    assert check("MurmurHash3", np.array([text], object), positive=1).tolist() == [number]


def test_hashes_of_numbers() -> None:
    for dtype in ("int32", "int64", "uint32", "uint64", "float32"):
        check("MurmurHash3", np.array([[1, 2, 3]], dtype), positive=1)


def test_casts() -> None:
    assert check("Cast", np.array(["5", "-3", "007"], object), to="int64").tolist() == [5, -3, 7]
    assert check("Cast", np.array(["5", "-3.5", "1e3"], object), to="float32").tolist() == [5, -3.5, 1000]
    assert check("Cast", np.array([5, -(2**63)]), to="string").tolist() == ["5", "-9223372036854775808"]


def test_other_operators_take_texts() -> None:
    X = np.array([["a", "b", "c"], ["d", "", "日本"]], object)
    ints = {name: np.array(v) for name, v in {"one": [1], "two": [2], "shape": [3, -1]}.items()}
    assert check("Identity", X).tolist() == X.tolist()
    assert check("Reshape", X, {"shape": ints["shape"]}).tolist() == X.reshape(3, 2).tolist()
    assert check("Unsqueeze", X, {"axes": ints["one"]}).shape == (2, 1, 3)
    assert check("Squeeze", X[:, :1], {"axes": ints["one"]}).shape == (2,)
    assert check("Gather", X, {"indices": np.array([2, 0])}, axis=1).tolist() == X[:, [2, 0]].tolist()
    assert check("Transpose", X, perm=(1, 0)).tolist() == X.T.tolist()
    found = check("Slice", X, {"starts": ints["one"], "ends": ints["two"], "axes": ints["one"]})
    assert found.tolist() == X[:, 1:2].tolist()
    assert check("Concat", X, axis=0).tolist() == X.tolist()
    assert check("Flatten", X[None]).tolist() == X.reshape(1, 6).tolist()
    assert check("Expand", X[:, :1], {"shape": np.array([2, 3])}).tolist() == X[:, [0, 0, 0]].tolist()


def test_what_does_not_take_texts() -> None:
    g = Builder(Graph("test"), "node")
    x, ids, number = (Value("x", Type(dtype, ("N", 3)), "input") for dtype in ("string", "int64", "float32"))
    two = Value("x", Type("string", (2, 3)), "input")
    tokens = {"mark": 0, "mincharnum": 1, "pad_value": ""}

    def refused(code: str, name: str, *inputs: Value, **attrs: Any) -> None:
        with pytest.raises(ShapeError) as caught:
            getattr(g, name)(*inputs, **attrs)
        assert caught.value.code == code

    for name in (
        "Add",
        "Equal",
        "Greater",
        "Relu",
        "Softmax",
        "ReduceSum",
        "MultiHot",
        "Not",
        "Exp",
        "MatMul",
        "Neg",
        "Clip",
        "ArgMax",
        "Max",
    ):
        inputs = (x, x) if name in ("Add", "Equal", "Greater", "MatMul") else (x,)
        refused("GS306", name, *inputs, **({"depth": 3} if name == "MultiHot" else {}))
    refused("GS306", "Add", x, number)
    refused("GS306", "Concat", x, number, axis=0)
    refused("GS306", "Cast", x, to="bool")
    refused("GS306", "Cast", number, to="string")
    refused("GS306", "Tokenizer", ids, tokenexp="a", **tokens)
    refused("GS301", "Tokenizer", Value("x", Type("string", (1, 2, 3)), "input"), tokenexp="a", **tokens)
    refused("GS105", "Tokenizer", x, **tokens)
    refused("GS105", "Tokenizer", x, tokenexp="a", separators=("b",), **tokens)
    refused("GS306", "StringNormalizer", ids)
    refused("GS301", "StringNormalizer", two)
    refused("GS306", "LabelEncoder", number, keys_int64s=(1,), values_int64s=(1,))
    refused("GS306", "LabelEncoder", x, keys_int64s=(1,), values_int64s=(1,))
    refused("GS306", "LabelEncoder", x)
    refused("GS304", "LabelEncoder", x, keys_strings=("a", "b"), values_int64s=(1,))
    refused("GS105", "LabelEncoder", x, keys_strings=("a", "a"), values_int64s=(1, 2))
    refused("GS306", "MurmurHash3", Value("x", Type("bool", (3,)), "input"))
