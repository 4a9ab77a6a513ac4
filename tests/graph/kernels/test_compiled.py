"""Tests of compiled kernels: every kernel gives the bits of its twin, and the choice between the two."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import combinations
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bits import FOUND, Memory, assert_same_bits, needs_kernels, numbers, run
from commands import graphspec, project
from compiled_kernels import ALONE, OF_ONE_CALL, OF_SOFTMAX, OF_WINDOWS, TESTED_APART
from graphs import Array, build
from layouts import normal
from lowering import lower

from graphspec.base.arrays.calls import Calls
from graphspec.base.errors import UsageError
from graphspec.engine.runtime.bind import NodeCalls, build_program, interleave_blocks
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.kernels import compiled
from graphspec.graph.kernels.compiled import TWINS, join, load
from graphspec.graph.target import Target

for package in map(import_module, ("graphspec.graph.kernels", "graphspec.graph.ops", "graphspec.graph.optimizers")):
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)  # which registers its twins

GLOROT, ONES = (INITIALIZERS.parse(name) for name in ("glorot_uniform", "ones"))


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LIBRARY", None)


def positive(random: np.random.Generator, shape: Any, dtype: Any) -> Array:
    return np.abs(numbers(random, shape, dtype))


def nonnegative(random: np.random.Generator, shape: Any, dtype: Any) -> Array:
    """What ReLU returns, and NaN."""
    return np.maximum(numbers(random, shape, dtype), np.array(0, dtype))


@dataclass(frozen=True)
class Case:
    """Operands of a kernel by name, each a function of a generator, a size and a dtype; those not there are None."""

    kernel: str
    operands: dict[str, Callable[..., Array]]
    overwritten: tuple[str, ...] = ()
    """What NumPy's calls overwrite and the kernel does not: nobody reads it afterwards."""
    scratch: tuple[str, ...] = ()
    sizes: tuple[Any, ...] = (0, 1, 7, 33, 1024, 1025, 5000)
    id: str = field(default="")


def scalar(value: float) -> Callable[..., Array]:
    return lambda random, shape, dtype: np.array(value, dtype)


def weights(kernel: str, label: str = "", **operands: Any) -> Iterator[Case]:
    """Cases of an optimizer: alone, and with the gradient of another worker and weight decay."""
    before = {"other": numbers, "shrink": scalar(0.99)}
    for extra in ({}, {"other": numbers}, before):
        name = "-".join([kernel, *label.split(), *extra])
        given = {"p": numbers, "g": numbers, **extra, **operands}
        yield Case(kernel, given, overwritten=("g",), scratch=("t",), id=name)


def vector(random: np.random.Generator, shape: Any, dtype: Any) -> Array:
    """A number for each channel: for a matrix of its width, else (channels, 1)."""
    return numbers(random, shape[1:] if len(shape) == 2 else (shape[1], 1), dtype)


def of_channels(
    kernel: str, operands: dict[str, Any], optional: tuple[str, ...], scratch: tuple[str, ...] = ()
) -> Iterator[Case]:
    """Cases of a kernel on blocks, matrices and (outer, channels, inner), with every choice of optional operands."""
    sizes = ((0, 4), (1, 1), (3, 50), (70, 33), (2, 3, 5), (4, 1, 17), (3, 8, 100))
    for count in range(len(optional) + 1):
        for chosen in combinations(optional, count):
            extra = {name: vector if name == "factors" else numbers for name in chosen}
            yield Case(kernel, {"x": numbers, **operands, **extra}, (), scratch, sizes, "-".join([kernel, *chosen]))


def of_columns(kernel: str, operands: dict[str, Any], **optional: Any) -> Iterator[Case]:
    """Cases of sums of columns of a matrix, with every choice of optional operands."""
    sizes = ((0, 4), (1, 1), (1, 40), (2, 33), (3, 50), (70, 33), (9, 1024), (8, 1280))
    for count in range(len(optional) + 1):
        for chosen in combinations(optional, count):
            extra = {name: optional[name] for name in chosen}
            yield Case(kernel, {"x": numbers, **operands, **extra}, (), (), sizes, "-".join([kernel, *chosen]))


ADAM = {
    "u": numbers,
    "v": positive,
    "rate": scalar(1e-3),
    "beta_1": scalar(0.9),
    "beta_2": scalar(0.999),
    "epsilon": scalar(3e-6),
}
RMS = {"v": positive, "rate": scalar(1e-3), "rho": scalar(0.9), "epsilon": scalar(1e-6)}
CENTERED = {"mean": numbers, "share": scalar(0.1)}
ACCUMULATED = {"u": numbers, "momentum": scalar(0.9)}
CASES = [
    *weights("adam", **ADAM),
    *weights("adam", "amsgrad", **ADAM, largest=positive),
    *weights("sgd", rate=scalar(0.01)),
    *weights("sgd", "momentum", rate=scalar(0.01), v=numbers, momentum=scalar(0.9)),
    *weights("sgd", "nesterov", rate=scalar(0.01), v=numbers, momentum=scalar(0.9), nesterov=scalar(1)),
    *weights("rmsprop", **RMS),
    *weights("rmsprop", "centered", **RMS, **CENTERED),
    *weights("rmsprop", "momentum", **RMS, **ACCUMULATED),
    *weights("rmsprop", "centered momentum", **RMS, **CENTERED, **ACCUMULATED),
    Case("relu", {"x": numbers, "y": numbers}, scratch=("ctx",), id="relu"),
    Case("relu_gradient", {"y": nonnegative, "dy": numbers}, scratch=("mask",), id="relu_gradient"),
    *of_channels("scale_shift", {"shifts": vector, "y": numbers}, ("factors", "added", "relu")),
    *of_channels(
        "norm_gradient", {"dy": numbers, "slopes": vector, "offsets": vector, "factors": vector}, ("weights",), ("t",)
    ),
    *of_columns("square_sums", {"sums": vector, "squares": vector}),
    *of_columns("gradient_sums", {"dy": numbers, "products": vector}, sums=vector, active=nonnegative, scale=vector),
    Case(
        "clip_gradient", {"y": numbers, "low": scalar(-0.5), "dy": numbers}, scratch=("masks",), id="clip_gradient-low"
    ),
    Case(
        "clip_gradient", {"y": numbers, "high": scalar(0.5), "dy": numbers}, scratch=("masks",), id="clip_gradient-high"
    ),
    Case(
        "clip_gradient",
        {"y": numbers, "low": scalar(-0.5), "high": scalar(0.5), "dy": numbers},
        scratch=("masks",),
        id="clip_gradient",
    ),
    *weights("adagrad", squares=positive, rate=scalar(0.01), epsilon=scalar(1e-7)),
]


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_a_kernel_gives_the_bits_of_its_twin(case: Case, dtype: Any, library: Any) -> None:
    twin, random = TWINS[case.kernel], np.random.default_rng(7)
    assert {*case.operands} <= {*twin.operands}
    for size in case.sizes:
        one = {name: make(random, size, dtype) for name, make in case.operands.items()}
        two = {name: array.copy() for name, array in one.items()}
        kind = f"u{np.dtype(dtype).itemsize}" if "mask" in case.scratch else dtype
        scratch: dict[str, Any] = {name: np.zeros(size, kind) for name in case.scratch if name not in ("ctx", "masks")}
        if "ctx" in case.scratch:
            scratch["ctx"] = Memory(dtype)
        if "masks" in case.scratch:
            scratch["masks"] = np.zeros((2, size), np.bool_)
        (call,) = twin(*(one.get(name) for name in twin.operands), **scratch)
        assert isinstance(call[0], library.Call), f"{case.kernel} is not compiled for {size}"
        run([call])
        run(twin.numpy(*(two.get(name) for name in twin.operands), **scratch))
        for name in {*case.operands} - {*case.overwritten}:
            assert_same_bits(one[name], two[name], f"{case.kernel}, {name} of {size}")


@needs_kernels
def test_every_kernel_has_a_twin_and_cases(library: Any) -> None:
    twins = {name: twin.operands for name, twin in TWINS.items()}
    others = OF_ONE_CALL | ALONE
    assert twins == {name: operands for name, operands in library.operands().items() if name not in others}
    assert {case.kernel for case in CASES} == {*TWINS} - OF_WINDOWS - OF_SOFTMAX - TESTED_APART


def test_without_kernels_twins_are_numpy(without: None) -> None:
    x = np.ones(4, np.float32)
    calls = TWINS["sgd"](x, x.copy(), None, None, None, np.array(0.5, np.float32), None, None, t=np.empty_like(x))
    assert [call[0] for call in calls] == [np.multiply, np.subtract]
    assert join(calls) is calls


@needs_kernels
def test_a_kernel_refuses_what_it_does_not_serve(library: Any) -> None:
    x, rate = np.ones(8, np.float32), np.array(0.5, np.float32)
    other = [(x, x[::2]), (x.astype(np.float16), x.astype(np.float16)), (x, x.astype(np.float64)), (x[1:], x[:-1])]
    for p, g in [*other, (x, x.astype(">f4")), (x[::2], x[1::2])]:
        if p.shape == g.shape:
            assert library.bind("sgd", p, g, None, None, None, rate, None, None) is None
    with pytest.raises(TypeError, match="is missing"):
        library.bind("sgd", x, None, None, None, None, rate, None, None)
    with pytest.raises(TypeError, match="has other operands: p"):
        library.bind("sgd", x, x.copy())
    with pytest.raises(TypeError, match="has other operands: p"):
        library.bind("sgd", x, x.copy(), None, None, None, rate, None, None, None)
    with pytest.raises(ValueError, match="must have one element, has 8"):
        library.bind("sgd", x, x.copy(), None, None, None, x, None, None)
    with pytest.raises(ValueError, match="read-only"):
        library.bind("sgd", np.broadcast_to(rate, 8), x, None, None, None, rate, None, None)
    with pytest.raises(KeyError, match="nothing"):
        library.bind("nothing", x)


@needs_kernels
def test_a_call_tells_what_it_uses_and_keeps_it(library: Any) -> None:
    p, g, rate = np.ones(8, np.float32), np.ones(8, np.float32), np.array(0.5, np.float32)
    call = library.bind("sgd", p, g, None, None, None, rate, None, None)
    assert call.__name__ == "sgd"
    assert call.operands[0] is p
    assert call.operands[2:5] == (None, None, None)
    assert call.uses() == [(x.ctypes.data, x.ctypes.data + x.nbytes, x is p) for x in (p, g, rate)]
    with pytest.raises(TypeError, match="no arguments"):
        call(p)
    view, values = p[:], g.copy()
    del p, g
    call()
    np.testing.assert_array_equal(view, 1 - 0.5 * values)
    with pytest.raises(TypeError):
        type(call)()


@needs_kernels
def test_kernels_are_interleaved_by_what_they_use(library: Any) -> None:
    size = 1 << 15
    p, g, other = (np.ones((3, size), np.float32) for _ in range(3))
    rate = np.array(0.5, np.float32)
    first = NodeCalls(("forward", "first"), [(np.add, a, b, a) for a, b in zip(g, other, strict=True)], True)
    updates = [(library.bind("sgd", a, b, None, None, None, rate, None, None),) for a, b in zip(p, g, strict=True)]
    second = NodeCalls(("forward", "second"), updates, True)
    assert [name for (_, name), _ in interleave_blocks([first, second])] == ["first", "second"] * 3
    assert [name for (_, name), _ in interleave_blocks([second, first])] == ["second", "first"] * 3


@needs_kernels
def test_the_calls_before_an_update_are_joined_with_it(library: Any) -> None:
    random = np.random.default_rng(1)
    p, g, other, third = (random.normal(size=100).astype(np.float32) for _ in range(4))
    rate, shrink = np.array(0.5, np.float32), np.array(0.9, np.float32)

    def calls(p: Array, g: Array) -> Calls:
        before: Calls = [(np.add, g, other, g), (np.add, g, third, g), (np.multiply, p, shrink, p)]
        return before + TWINS["sgd"](p, g, None, None, None, rate, None, None, t=np.empty_like(p))

    p_joined, g_joined = p.copy(), g.copy()
    joined = join(calls(p_joined, g_joined))
    assert [getattr(call[0], "__name__", "") for call in joined] == ["add", "sgd"]
    assert np.shares_memory(joined[1][0].operands[2], third)
    p_apart, g_apart = p.copy(), g.copy()
    run(joined)
    run(calls(p_apart, g_apart))
    assert_same_bits(p_joined, p_apart)
    # What belongs to other memory, or comes in another order, stays.
    update = TWINS["sgd"](p, g, None, None, None, rate, None, None, t=np.empty_like(p))
    for call in (
        (np.add, p, other, p),
        (np.subtract, g, other, g),
        (np.add, other, g, g),
        (np.add, g[:50], other[:50], g[:50]),
    ):
        assert join([call, *update]) == [call, *update]


NORMALIZATION = {"gradient_sums", "norm_gradient", "relu_gradient", "scale_shift", "square_sums", "tanh_gradient"}


def residual(g: Builder, x: Value) -> Value:
    """A loss after blocks of batch normalization, ReLU and an addition, all in place."""

    def normalized(name: str, X: Value) -> Value:
        X = g.Conv(X, g.param(f"{name}/kernel", (8, 8, 3, 3), GLOROT), None, pads=(1, 1, 1, 1))
        scale, shift = (g.param(f"{name}/{k}", (8,), ONES) for k in ("scale", "shift"))
        mean, var = (g.param(f"{name}/{k}", (8,), ONES, state=True) for k in ("mean", "var"))
        result: Value = g.BatchNormalization(X, scale, shift, mean, var, training_mode=1)
        return result

    first = g.Relu(normalized("a", x))
    total = g.Relu(g.Add(normalized("b", first), first))
    loss: Value = g.ReduceMean(g.Mul(total, g.Tanh(total)), axes=None, keepdims=0)
    return loss


@needs_kernels
@pytest.mark.parametrize("size", [3, 48])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1)])
def test_joined_operators_give_the_bits_of_numpy(
    size: int, order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).standard_normal((8, 8, size, size)).astype(np.float32)
    results = []
    for kernels in (None, FOUND):
        monkeypatch.setattr(compiled, "LIBRARY", kernels)
        graph = Graph("test")
        graph.inputs["x"] = Value("x", Type("float32", tuple(("N", 8, size, size)[k] for k in order)), "input")
        builder = Builder(graph, "node")
        loss = residual(builder, builder.Transpose(graph.inputs["x"], perm=list(np.argsort(order))))
        parameters = Parameters(graph)
        parameters.initialize(1)
        gradient = np.zeros_like(parameters.vectors["trainable"])
        target = Target({"x": tuple(x.shape[k] for k in order)})
        program = build_program(graph.with_outputs({}, loss), parameters, target, gradient=gradient, training=True)
        program.feeds["x"][...] = x.transpose(order)
        program.run()
        results.append((gradient, parameters.vectors["state"].copy()))
        found = [call[0] for call in program.calls if hasattr(call[0], "uses")]
        names = {call.__name__ for call in found if not call.__name__.startswith("winograd")}  # where all are forced
        assert names == (set() if kernels is None else NORMALIZATION)
        masked = {c.operands[4] is not None for c in found if c.__name__ == "gradient_sums"}
        assert masked == (set() if kernels is None else {False, True})
        taken = {tuple(x is not None for x in c.operands[4:]) for c in found if c.__name__ == "scale_shift"}
        assert taken == (set() if kernels is None else {(False, True), (True, True)})
    assert np.any(results[0][0])
    for a, b in zip(*results, strict=True):
        assert_same_bits(a, b)


def test_a_run_with_other_kernels_is_refused_if_they_round_in_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: None
) -> None:
    spec = project(tmp_path)
    out = tmp_path / "run"
    assert graphspec("train", spec, "--out", out, "--no-report", "--set", "training.epochs=1").exit_code == 0
    path = out / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["plan"]["compiled"] is None
    record["plan"]["compiled"] = "0.1.0"
    path.write_text(json.dumps(record), encoding="utf-8")
    more = ["train", spec, "--out", out, "--no-report", "--resume", "--set"]
    assert graphspec(*more, "training.epochs=2").exit_code == 0  # these give NumPy's bits
    assert json.loads(path.read_text(encoding="utf-8"))["plan"]["compiled"] is None
    path.write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr(compiled, "rounds_otherwise", lambda nodes: True)
    refused = graphspec(*more, "training.epochs=3")
    assert refused.exit_code == 2
    said = (
        "was started with graphspec-onnx-kernels 0.1.0, but there is no graphspec-onnx-kernels here: build it (`pip install "
        "./kernels` in graphspec's source), or start again"
    )
    assert said in " ".join(refused.stderr.split())


def test_what_may_round_in_another_way() -> None:
    graph, _ = lower({"type": "Dense", "units": 3, "activation": "gelu"}, ("N", 4))
    assert compiled.rounds_otherwise(graph.nodes)
    for layer, expected in (("Conv2D", False), ("DepthwiseConv2D", True), ("SeparableConv2D", True)):
        arguments = {"kernel_size": 3} | ({} if layer == "DepthwiseConv2D" else {"filters": 4})
        graph, _ = lower({"type": layer, **arguments}, ("N", 6, 6, 2))
        assert compiled.rounds_otherwise(graph.nodes) is expected, layer
    for filters, channels, kernel, expected in (
        (16, 3, 3, True),
        (16, 4, 3, False),
        (8, 3, 3, False),
        (16, 2, 2, True),
    ):
        x, W = (normal(1, *shape) for shape in ((2, channels, 8, 8), (filters, channels, kernel, kernel)))
        graph, Y = build("Conv", [x, W])
        assert not compiled.rounds_otherwise(graph.nodes)
        with Builder(graph, "pool") as g:
            g.MaxPool(Y, kernel_shape=(2, 2), strides=(2, 2))
        assert compiled.rounds_otherwise(graph.nodes) is expected
    for filters, stride, expected in ((8, 2, True), (8, 1, False), (128, 2, False)):
        graph, _ = build(
            "ConvTranspose", [normal(1, 2, 16, 5, 5), normal(2, 16, filters, 3, 3)], strides=(stride, stride)
        )
        assert compiled.rounds_otherwise(graph.nodes) is expected
    graph, _ = build("Attention", [normal(k, 1, 2, 3, 4) for k in range(3)])
    assert compiled.rounds_otherwise(graph.nodes)


@needs_kernels
def test_forced_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load("reference") is None
    assert load("fast") is None
    assert load("compiled") is FOUND
    monkeypatch.setattr(compiled, "LIBRARY", FOUND)
    assert compiled.version() == FOUND.__version__
    monkeypatch.setattr(compiled, "LIBRARY", None)
    assert compiled.version() is None


def test_kernels_of_another_abi_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimpleNamespace(ABI=compiled.ABI + 1, __version__="9.9")
    monkeypatch.setitem(__import__("sys").modules, "graphspec_kernels", other)
    says = rf"graphspec-onnx-kernels 9\.9 has the ABI {other.ABI}, not {compiled.ABI}"
    with pytest.warns(UserWarning, match=rf"{says}: .*; `pip install \./kernels`"):
        assert load("") is None
    with pytest.raises(UsageError, match=f"GRAPHSPEC_KERNELS=compiled: {says}"):
        load("compiled")


def test_missing_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "graphspec_kernels", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load("reference") is None
    with pytest.raises(UsageError, match="GRAPHSPEC_KERNELS=compiled: graphspec-onnx-kernels cannot be loaded"):
        load("compiled")
