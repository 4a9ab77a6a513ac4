"""Attention: compared with onnxruntime, ONNX's reference implementation and graphspec's decomposition."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import build, check_gradients, check_refusal, feed, run, scalar_loss
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx.reference import ReferenceEvaluator
from oracles import ort_run

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.decompositions import attention, band
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels import softmax as attend
from graphspec.graph.ops import attention as attention_op
from graphspec.graph.ops.attention import Attention

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Case = tuple[list[Array | None], dict[str, Any]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Random shapes, ranks, grouped heads and masks; some rows of a mask exclude all keys."""
    number = st.integers(1, 4)
    N, groups, per_group, T, S, size, width = (draw(number) for _ in range(7))
    heads, random = groups * per_group, np.random.default_rng(draw(st.integers(0, 999)))
    attrs: dict[str, Any] = {"is_causal": draw(st.integers(0, 1))}
    attrs |= draw(st.sampled_from([{}, {"scale": 0.3}, {"softcap": 0.7}]))
    shapes: list[tuple[int, ...]] = [(N, heads, T, size), (N, groups, S, size), (N, groups, S, width)]
    if draw(st.booleans()):
        shapes = [(s[0], s[2], s[1] * s[3]) for s in shapes]
        attrs |= {"q_num_heads": heads, "kv_num_heads": groups}
    arrays: list[Array | None] = [random.standard_normal(s).astype(np.float32) for s in shapes]
    full = (N, heads, T, S)
    mask_type = draw(st.sampled_from(["none", "bool", "float", "infinite"]))
    if mask_type != "none":
        rank = draw(st.integers(2, 4))
        shape = (*(draw(st.sampled_from([1, n])) for n in full[4 - rank : -1]), S)
        mask = random.random(shape) < 0.6 if mask_type == "bool" else random.standard_normal(shape).astype(np.float32)
        if mask_type == "infinite":
            mask = np.where(random.random(shape) < 0.4, np.float32(-np.inf), mask)
        arrays.append(mask)
    return arrays, attrs


def reference(arrays: list[Array | None], attrs: dict[str, Any], *, runtime: bool) -> Array:
    """The operator at opset 23, by onnxruntime or ONNX's reference. Both require a mask with one row per query."""
    Q, K, _, mask = (*arrays, None)[:4]
    assert Q is not None
    assert K is not None
    if mask is not None:
        mask = np.ascontiguousarray(np.broadcast_to(mask, (*mask.shape[:-2], Q.shape[-2], K.shape[-2])))
        arrays = [*arrays[:3], mask]
    feeds = {f"x{k}": a for k, a in enumerate(arrays) if a is not None}
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()
    ]
    node = helper.make_node("Attention", list(feeds), ["y"], **attrs)
    graph = helper.make_graph([node], "oracle", inputs, [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    if runtime:
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, feeds)[0])
    with np.errstate(all="ignore"):
        return np.asarray(ReferenceEvaluator(model).run(None, feeds)[0])


def decomposed(arrays: list[Array | None], attrs: dict[str, Any]) -> Graph:
    graph = Graph("test")
    values = [
        Value(f"x{k}", Type("bool" if a.dtype == bool else "float32", a.shape), "input")
        for k, a in enumerate(arrays)
        if a is not None
    ]
    graph.inputs = {v.name: v for v in values}
    with Builder(graph, "node") as g:
        graph.outputs = {"y": attention(g, Attention(**attrs), *values)}
    return graph


@pytest.mark.slow
@settings(max_examples=150)
@given(cases())
def test_random(case: Case) -> None:
    arrays, attrs = case
    (Y,) = run("Attention", arrays, **attrs)
    for runtime in (False, True):
        np.testing.assert_allclose(Y, reference(arrays, attrs, runtime=runtime), 1e-4, 1e-5)
    (other,) = ort_run(decomposed(arrays, attrs), {f"x{k}": a for k, a in enumerate(arrays) if a is not None})
    np.testing.assert_allclose(Y, other, 1e-4, 1e-5)


@pytest.mark.slow
@settings(max_examples=60)
@given(cases())
def test_random_gradients(case: Case) -> None:
    arrays, attrs = case
    mask = arrays[3] if len(arrays) > 3 else None
    wrt = [0, 1, 2, 3] if mask is not None and mask.dtype.kind == "f" and np.isfinite(mask).all() else [0, 1, 2]
    check_gradients("Attention", arrays, wrt, **attrs)
    for k in wrt:
        check_gradients("Attention", arrays, [k], **attrs)


@pytest.mark.parametrize("per_group", [1, 2])
def test_a_query_without_keys_returns_zeros(per_group: int) -> None:
    random = np.random.default_rng(1)
    Q, K, V = (random.standard_normal((2, n, 3, 4)).astype(np.float32) for n in (2 * per_group, 2, 2))
    mask = np.array([[True, True, False], [False] * 3, [True] * 3])
    for variant in (mask, np.where(mask, np.float32(0), np.float32(-np.inf))):
        arrays: list[Array | None] = [Q, K, V, variant]
        (Y,) = run("Attention", arrays)
        (other,) = ort_run(decomposed(arrays, {}), {f"x{k}": a for k, a in enumerate(arrays) if a is not None})
        for found in (Y, other):
            assert not found[:, :, 1].any()
            assert np.isfinite(found).all()
            assert found[:, :, 0].any()


@pytest.mark.parametrize(("T", "S"), [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("limits", [{"after": 0}, {"before": 1, "after": 1}, {"before": 1, "after": 0}, {"before": 2}])
def test_band(T: int, S: int, limits: dict[str, int]) -> None:
    """Fixed and symbolic lengths produce the same mask."""
    i, j = np.arange(T)[:, None], np.arange(S)
    expected = (j >= i - limits.get("before", T)) & (j <= i + limits.get("after", S))
    with Builder(Graph("test"), "node") as g:
        known = band(g, T, S, **limits)
    np.testing.assert_array_equal(known.data, expected)
    graph = Graph("test")
    g = Builder(graph, "node")
    X = Value("x", Type("float32", ("time", "other")), "input")
    with g:
        graph.inputs["x"], graph.outputs["y"] = X, band(g, g.size(X, 0), g.size(X, 1), **limits)
    assert graph.outputs["y"].shape == ("time", "other")
    np.testing.assert_array_equal(ort_run(graph, {"x": np.zeros((T, S), np.float32)})[0], expected)


def test_symbolic_sizes() -> None:
    g = Builder(Graph("test"), "node")
    Q, K, V = (
        Value(n, Type("float32", ("N", t, d)), "input") for n, t, d in (("q", "T", 8), ("k", "S", 4), ("v", "S", 6))
    )
    heads = {"q_num_heads": 4, "kv_num_heads": 2}
    assert g.Attention(Q, K, V, **heads).shape == ("N", "T", 12)
    with g:
        assert attention(g, Attention(is_causal=1, **heads), Q, K, V).shape == ("N", "T", 12)


@pytest.mark.parametrize(
    ("shapes", "attrs", "code", "text"),
    [
        ([(2, 3), (2, 3), (2, 3)], {}, "GS301", "rank 3 or 4"),
        ([(2, 3, 4), (2, 1, 3, 4), (2, 3, 4)], {}, "GS301", "ranks differ"),
        ([(2, 3, 4)] * 3, {}, "GS105", "q_num_heads"),
        ([(2, 1, 3, 4)] * 3, {"q_num_heads": 1}, "GS105", "only for data of rank 3"),
        ([(2, 3, 4)] * 3, {"q_num_heads": 3, "kv_num_heads": 3}, "GS304", "3 heads of equal size"),
        ([(2, 3, 3, 4), (2, 2, 3, 4), (2, 2, 3, 4)], {}, "GS304", "3 heads of Q"),
        ([(2, 2, 3, 4), (2, 2, 3, 5), (2, 2, 3, 4)], {}, "GS304", "size: 4 and 5"),
        ([(2, 2, 3, 4), (2, 2, 3, 4), (2, 2, 4, 4)], {}, "GS302", "differ in length"),
        ([(2, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4)], {}, "GS302", "batches"),
        ([(2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4), (3, 4)], {}, "GS302", "that does not broadcast to"),
        ([(2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4), (3, 1)], {}, "GS302", "that does not broadcast to"),
        ([(2, 2, 3, 4)] * 3, {"softcap": -1.0}, "GS105", "negative"),
    ],
)
def test_refused(shapes: list[tuple[int, ...]], attrs: dict[str, Any], code: str, text: str) -> None:
    check_refusal("Attention", shapes, attrs, code, text)


def test_scores_absorbed_by_a_mask_have_no_gradient() -> None:
    """If all mask elements of a row are very low, adding them absorbs the scores: all weights become equal."""
    random = np.random.default_rng(2)
    mask = np.where([[True, False], [False, False], [True, True]], 0.0, -2e38)
    arrays: list[Array | None] = [*(random.standard_normal((2, 2, n, 3)) for n in (3, 2, 2)), mask]
    (Y,) = run("Attention", arrays)
    assert arrays[2] is not None
    np.testing.assert_allclose(Y[:, :, 1], arrays[2].mean(2), 1e-5, 1e-6)
    check_gradients("Attention", arrays, [0, 1, 2, 3])


def _with_gradients(arrays: list[Array], attrs: dict[str, Any]) -> list[Array]:
    """The output in training, and the gradients of the first three inputs and of a float mask."""
    graph, _ = build("DropoutAttention" if "ratio" in attrs else "Attention", list(arrays), **attrs)
    names = list(graph.inputs)
    cotangent = np.random.default_rng(9).standard_normal(graph.outputs["y0"].shape)
    trained = graph.with_outputs(graph.outputs, scalar_loss(graph, {"y0": cotangent}))
    wrt = names[:3] + [n for n in names[3:] if graph.inputs[n].type.is_float]
    shapes = {n: a.shape for n, a in zip(names, arrays, strict=True)}
    program = build_program(trained, Parameters(graph), Target(shapes, input_grads=wrt), training=True)
    feed(trained, program, dict(zip(names, arrays, strict=True)))
    program.run()
    return [*(a.copy() for a in program.fetches.values()), *(program.grads[n].copy() for n in wrt)]


@pytest.mark.parametrize("groups", [2, 4])
def test_dropout_of_the_weights(groups: int) -> None:
    """With unit vectors as values, the output is the weights: in training 0, or theirs by 1 / (1 - ratio)."""
    random = np.random.default_rng(6)
    Q, K = (random.standard_normal((8, n, t, 5)).astype(np.float32) for n, t in ((4, 16), (groups, 24)))
    V = np.broadcast_to(np.eye(24, dtype=np.float32), (8, groups, 24, 24))
    mask = np.arange(24) < np.arange(8, 16)[:, None]
    arrays: list[Array | None] = [Q, K, V, mask[:, None, None]]
    (whole,) = run("Attention", arrays, is_causal=1)
    options = {"is_causal": 1, "ratio": 0.25, "seed": 2}
    for training, ratio in ((False, 0.25), (True, 0.0)):
        (same,) = run("DropoutAttention", arrays, training=training, **options | {"ratio": ratio})
        np.testing.assert_array_equal(same, whole)
    (dropped,) = run("DropoutAttention", arrays, training=True, **options)
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], whole[kept] / 0.75, rtol=1e-6)
    assert 0.7 < kept[whole > 0].mean() < 0.8
    assert not np.array_equal(kept[0, 0], kept[0, 1])
    (again,) = run("DropoutAttention", arrays, training=True, **options)
    np.testing.assert_array_equal(again, dropped)
    (other,) = run("DropoutAttention", arrays, training=True, **options | {"seed": 3})
    assert not np.array_equal(other, dropped)


def test_dropout_needs_a_ratio_below_one() -> None:
    check_refusal("DropoutAttention", [(2, 2, 3, 4)] * 3, {"ratio": 1.0}, "GS105", "ratio in [0, 1)")


@pytest.mark.parametrize(("fast", "kept"), [(True, (2, 4, 64, 2)), (False, (2, 4, 64, 32))])
def test_blocks_of_queries_keep_two_numbers_of_each(fast: bool, kept: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", fast)
    assert Attention().hidden_shape([(2, 4, 64, 8), (2, 4, 32, 8), (2, 4, 32, 8)]) == kept


@pytest.mark.parametrize("case", ["plain", "padding", "grouped", "capped", "dropout"])
def test_blocks_change_no_bit(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one group of one sample, of several samples, and one block of all have equal results and gradients."""
    random = np.random.default_rng(4)
    N, T, S, heads, groups = 5, 6, 7, 4, 2 if case == "grouped" else 4
    shapes = [(N, T, heads * 3), (N, S, groups * 3), (N, S, groups * 2)]
    arrays = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
    attrs: dict[str, Any] = {"q_num_heads": heads, "kv_num_heads": groups}
    if case == "padding":
        arrays.append((np.arange(S) < random.integers(1, S, (N, 1)))[:, None, None])
    if case == "capped":
        arrays.append(random.standard_normal((N, heads, T, S)).astype(np.float32))
        attrs |= {"softcap": 0.7, "is_causal": 1}
    if case == "dropout":
        attrs |= {"ratio": 0.3}
    monkeypatch.setattr(choice, "FAST", False)
    whole = _with_gradients(arrays, attrs)
    monkeypatch.setattr(choice, "FAST", True)
    monkeypatch.setattr(attention_op, "pays", lambda *_, **__: False)
    per_sample = groups * (heads // groups) * T * S
    for elements in (1, per_sample // 2, 2 * per_sample):
        monkeypatch.setattr(attend, "CACHE_ELEMENTS", elements)
        for found, expected in zip(_with_gradients(arrays, attrs), whole, strict=True):
            np.testing.assert_array_equal(found, expected)
