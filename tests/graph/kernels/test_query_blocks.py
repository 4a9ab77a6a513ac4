"""Attention by blocks of queries: compared with whole scores and with finite differences; what it never computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bits import FOUND, needs_kernels
from graphs import Array, build, check_gradients, feed, run, scalar_loss

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Program
from graphspec.graph.builder import Target
from graphspec.graph.kernels import compiled as choice
from graphspec.graph.kernels import query_blocks
from graphspec.graph.kernels.context import LocalGroup, Shard
from graphspec.graph.kernels.one_call import has_products

Case = tuple[list[Array], dict[str, Any]]


def bound(arrays: list[Array], attrs: dict[str, Any], dtype: Any = np.float32, rows: slice | None = None) -> Program:
    """A training program of one node with the gradients of Q, K and V, fed with the rows of a batch, or with all."""
    own = rows or slice(0, len(arrays[0]))
    parts = [a[own] if len(a) == len(arrays[0]) else a for a in arrays]
    graph, _ = build("DropoutAttention" if "ratio" in attrs else "Attention", list(parts), **attrs)
    cotangent = np.random.default_rng(9).standard_normal((len(arrays[0]), *graph.outputs["y0"].shape[1:]))[own]
    trained = graph.with_outputs(graph.outputs, scalar_loss(graph, {"y0": cotangent}))
    shapes, shard = {n: v.shape for n, v in graph.inputs.items()}, Shard(LocalGroup(), own, len(arrays[0]))
    target = Target(shapes, input_grads=["x0", "x1", "x2"], shard=shard)
    program = build_program(trained, Parameters(graph, dtype), target, training=True)
    feed(trained, program, {f"x{k}": a for k, a in enumerate(parts)})
    return program


def results(program: Program) -> list[Array]:
    program.run()
    return [a.copy() for a in (*program.fetches.values(), *(program.grads[f"x{k}"] for k in range(3)))]


def case(kind: str, T: int, S: int, *, N: int = 3, heads: int = 2, groups: int = 2, rank: int = 3) -> Case:
    """Random arrays and attributes; masks of several forms, some of whose queries attend to nothing."""
    random = np.random.default_rng(len(kind) + T)
    shapes = [(N, T, heads * 5), (N, S, groups * 5), (N, S, groups * 7)]
    arrays = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
    attrs: dict[str, Any] = {"q_num_heads": heads, "kv_num_heads": groups}
    if rank == 4:  # in another order of memory than the axes'
        arrays = [
            np.ascontiguousarray(a.reshape(*a.shape[:2], n, -1).transpose(2, 0, 3, 1)).transpose(1, 0, 3, 2)
            for a, n in zip(arrays, (heads, groups, groups), strict=True)
        ]
        attrs = {}
    lengths = random.integers(1, S, (N, 1))
    kept = np.arange(S) < lengths
    near = np.abs(np.arange(T)[:, None] - np.arange(S)) < 9
    low = np.float32(-0.7 * 3.38953e38)
    masks = {
        "padding": kept[:, None, None],
        "padding in front": kept[:, None, None, ::-1],
        "near": near,
        "added": np.where(kept[:, None, None] & near, np.float32(0), low),
        "added to all": np.where(kept[:, None, None], np.float32(0), low),
        "biases": random.standard_normal((N, heads, T, S)).astype(np.float32),
        "infinite": np.where(near, np.float32(0), np.float32(-np.inf)),
        "nothing": np.zeros((N, 1, T, S), bool),
    }
    if kind in masks:
        arrays.append(masks[kind])
    if kind == "causal":
        attrs["is_causal"] = 1
    return arrays, attrs


KINDS = (
    "plain",
    "causal",
    "padding",
    "padding in front",
    "near",
    "added",
    "added to all",
    "biases",
    "infinite",
    "nothing",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("T", "S"), [(70, 70), (150, 97), (33, 300)])
def test_as_whole_scores(kind: str, T: int, S: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Single heads, some heads and several samples at once give the results and gradients of whole scores."""
    for more in ({}, {"heads": 6}, {"rank": 4, "groups": 1}):
        arrays, attrs = case(kind, T, S, **more)
        monkeypatch.setattr(choice, "FAST", False)
        whole = results(bound(arrays, attrs))
        monkeypatch.setattr(choice, "FAST", True)
        for elements in (1, 1 << 14, 1 << 17):
            monkeypatch.setattr(query_blocks, "CACHE_ELEMENTS", elements)
            found, again = (results(bound(arrays, attrs)) for _ in range(2))
            for own, expected in zip(found, whole, strict=True):
                np.testing.assert_allclose(own, expected, 2e-4, 2e-5)
            assert all(np.array_equal(a, b) for a, b in zip(again, found, strict=True))


@pytest.mark.parametrize("kind", [*KINDS, "dropout"])
def test_gradients(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finite differences in float64: the difference sees the weights that the gradient drops."""
    monkeypatch.setattr(choice, "FAST", True)
    arrays, attrs = case(kind, 70, 75, heads=4)
    op = "DropoutAttention" if kind == "dropout" else "Attention"
    attrs |= {"ratio": 0.3, "is_causal": 1} if kind == "dropout" else {}
    masks = [[0, 1, 2, 3], [3]] if kind in ("biases", "added", "added to all") else []
    for wrt in ([0, 1, 2], [0], [1], [2], *masks):
        check_gradients(op, list(arrays), wrt, training=True, **attrs)


@needs_kernels
def test_a_kernel_makes_a_whole_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """For float32 without dropout; it gives what NumPy's blocks give, whatever the gradients that are wanted."""
    monkeypatch.setattr(choice, "FAST", True)
    for kind in KINDS:
        arrays, attrs = case(kind, 150, 200, heads=4)
        found = {}
        for library in (FOUND, None):
            monkeypatch.setattr(choice, "LIBRARY", library)
            program = bound(arrays, attrs)
            own = {f.__name__ for f, *_ in program.calls if hasattr(f, "uses")}
            assert {"attention", "attention_gradient"} <= own if library else not own
            found[library] = results(program)
        for own, expected in zip(found[FOUND], found[None], strict=True):
            np.testing.assert_allclose(own, expected, 1e-4, 1e-5)
    monkeypatch.setattr(choice, "LIBRARY", FOUND)
    for dtype, more in ((np.float64, {}), (np.float32, {"ratio": 0.1})):
        program = bound(arrays, attrs | more, dtype)
        assert not any(getattr(f, "__name__", "").startswith("attention") for f, *_ in program.calls)


@needs_kernels
def test_the_kernel_refuses_what_does_not_fit() -> None:
    assert has_products()
    q, k, v = (np.zeros(shape, np.float32) for shape in ((2, 3, 1, 9, 4), (2, 3, 8, 4), (2, 3, 8, 5)))
    y, saved, scratch = np.zeros((2, 3, 1, 9, 5), np.float32), np.zeros(54, np.float32), np.zeros(1 << 15, np.float32)
    mask, causal, scale = np.zeros((2, 1, 8, 1, 9), bool), np.zeros(1, np.intc), np.ones(1, np.float32)

    def bind(q: Array = q, v: Array = v, mask: Array = mask, saved: Array = saved, scratch: Array = scratch) -> Any:
        return FOUND.bind("attention", q, k, v, y, mask, None, causal, scale, saved, saved.copy(), scratch)

    assert bind() is not None
    assert bind(v=np.zeros((2, 3, 5, 8), np.float32).swapaxes(2, 3)) is None
    for message, operands in {
        "do not belong together": {"v": v[:, :2]},
        "sizes of heads": {"v": np.zeros((2, 3, 8, 6), np.float32)},
        "does not fit the scores": {"mask": mask[:, :, :5]},
        "for each query": {"saved": saved[:9].copy()},
        "more scratch": {"scratch": scratch[:16000].copy()},
    }.items():
        with pytest.raises(ValueError, match=message):
            bind(**operands)


@pytest.mark.parametrize("tile", [16, 64])
def test_tiles_and_sums_in_parts(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", True)
    monkeypatch.setattr(query_blocks, "small_kernels", lambda: True)
    monkeypatch.setattr(query_blocks, "TILE", tile)
    for kind in ("causal", "added"):
        arrays, attrs = case(kind, 150, 270)
        check_gradients("Attention", list(arrays), [0, 1, 2], **attrs)


def test_what_is_hidden_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN in keys and values would reach every query whose scores were computed and masked."""
    monkeypatch.setattr(choice, "FAST", True)
    arrays, attrs = case("causal", 200, 200, N=1)
    for a in arrays:
        a[:, 192:] = np.nan
    Y, dQ, *_ = results(bound(arrays, attrs))  # later queries are NaN, and attend to all keys
    for a in (Y, dQ):
        assert np.isfinite(a[:, :192]).all()
    for kind in ("padding", "padding in front", "added to all"):
        arrays, attrs = case(kind, 70, 100, N=1)
        hidden = ~(arrays[3] > -1e30 if kind == "added to all" else arrays[3])[0, 0, 0]
        assert hidden.any()
        for a in arrays[1:3]:
            a[:, hidden] = np.nan
        Y, dQ, dK, dV = results(bound(arrays, attrs))
        assert all(np.isfinite(a).all() for a in (Y, dQ, dK, dV))
        assert not dK[:, hidden].any()
        assert not dV[:, hidden].any()


def test_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """With unit vectors as values, the output is the weights: in training 0, or theirs by 1 / (1 - ratio)."""
    monkeypatch.setattr(choice, "FAST", True)
    random = np.random.default_rng(6)
    Q, K = (random.standard_normal((4, 3, t, 5)).astype(np.float32) for t in (100, 80))
    V = np.broadcast_to(np.eye(80, dtype=np.float32), (4, 3, 80, 80)).copy()
    (whole,) = run("Attention", [Q, K, V], is_causal=1)
    options = {"is_causal": 1, "ratio": 0.25, "seed": 2}
    (same,) = run("DropoutAttention", [Q, K, V], **options)
    np.testing.assert_array_equal(same, whole)
    dropped, *_ = results(bound([Q, K, V], options))
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], whole[kept] / 0.75, rtol=1e-5)
    assert abs(kept[whole > 0].mean() - 0.75) < 0.01
    heads = kept.reshape(12, 100, 80)[:, -1]
    assert len({h.tobytes() for h in heads}) == 12
    assert len({h.tobytes() for h in kept[0, 0, -20:, :80]}) == 20
    other, *_ = results(bound([Q, K, V], options | {"seed": 3}))
    assert not np.array_equal(other, dropped)


@pytest.mark.parametrize("elements", [1, 1 << 17])
def test_workers_draw_what_one_draws(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", True)
    whole: list[Array] = []
    for kind in ("causal", "padding in front"):  # a sample that begins later may be processed with others
        arrays, attrs = case(kind, 90, 80, N=5)
        attrs["ratio"] = 0.4
        monkeypatch.setattr(query_blocks, "CACHE_ELEMENTS", 1 << 17)
        whole = results(bound(arrays, attrs))
        monkeypatch.setattr(query_blocks, "CACHE_ELEMENTS", elements)
        parts = [results(bound(arrays, attrs, rows=rows)) for rows in (slice(0, 2), slice(2, 5))]
        for k, expected in enumerate(whole):
            np.testing.assert_allclose(np.concatenate([p[k] for p in parts]), expected, 1e-4, 1e-5)


@pytest.mark.slow
def test_memory_grows_with_the_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", None)
    by_kernel = [bound(*case("causal", T, T)).nbytes for T in (2048, 4096)] if FOUND else []
    monkeypatch.setattr(choice, "LIBRARY", None)
    sizes = [bound(*case("causal", T, T)).nbytes for T in (2048, 4096)]
    assert sizes[1] < 2.2 * sizes[0]
    assert all(n < size for n, size in zip(by_kernel, sizes, strict=False))
    arrays, attrs = case("causal", 4096, 4096)
    assert bound(arrays, attrs | {"ratio": 0.1}).nbytes < 1.6 * sizes[1]
    assert sizes[1] < 4096 * 4096 * 4  # the scores of one of six


@pytest.mark.parametrize(
    ("T", "S", "hides", "masked", "expected"),
    [
        (1024, 1024, False, False, True),
        (512, 512, False, False, False),
        (512, 512, False, True, True),
        (256, 256, True, True, True),
        (128, 128, True, False, False),
        (1024, 0, True, True, False),
    ],
)
def test_where_it_pays(
    T: int, S: int, hides: bool, masked: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "FAST", None)
    assert query_blocks.pays(T, S, hides=hides, masked=masked) is expected


@pytest.mark.parametrize("facts", [{"hides": True, "masked": False}, {"hides": False, "masked": False}])
def test_where_a_kernel_pays(facts: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "FAST", None)
    least = 128 if facts["hides"] else 256
    assert query_blocks.pays(least, least, compiled=True, **facts)
    assert not query_blocks.pays(least, least, **facts)
    assert not query_blocks.pays(least // 2, least, compiled=True, **facts)
