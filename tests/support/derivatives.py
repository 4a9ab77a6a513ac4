"""Compare the gradients that are nodes with the runtime's, in float64 and by onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
from graphs import build, feed, scalar_loss

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Builder, Target
from graphspec.graph.derivatives import gradients, in_primitives, without_rule
from graphspec.graph.ir.graph import Array, Type, Value
from graphspec.graph.onnx_model import model_of
from graphspec.graph.onnx_session import session


def check_derivatives(  # noqa: PLR0913 (options of a comparison)
    op: str,
    inputs: list[Array | None],
    wrt: list[int],
    constants: set[int] = frozenset(),
    *,
    outputs: list[int] | None = None,
    training: bool = True,
    by_numpy: bool = True,
    symbols: tuple[int | str, ...] = (),
    opset: int = 17,
    rtol: float = 1e-6,  # constants of a graph are float32
    **attrs: Any,
) -> None:
    """The gradients of ``Σ output · cotangent`` as nodes equal the runtime's own: in float64, and in onnxruntime's float32.

    Without ``by_numpy`` only onnxruntime runs the nodes: the runtime's pooling has no second output. ``symbols`` are the
    sizes of the first input where they vary; the loss is then the sum of squares.
    Inputs are called ``x0``, …, as in :func:`graphs.build`; gradients are those of the inputs ``wrt``.
    """
    random = np.random.default_rng(0)
    graph, _ = build(op, inputs, constants, **attrs)
    if symbols:
        graph.inputs["x0"] = Value("x0", Type("float32", symbols), "input")
        others = [v for n, v in graph.inputs.items() if n != "x0"]
        with Builder(graph, "symbolic") as g:
            graph.outputs = {"y0": g.emit(op, [graph.inputs["x0"], *others], attrs)}
    chosen = [
        n
        for k, n in enumerate(graph.outputs)
        if (k in outputs if outputs is not None else graph.outputs[n].type.is_float)
    ]
    if symbols:
        with Builder(graph, "loss") as g:
            loss = g.ReduceSumSquare(graph.outputs["y0"], keepdims=0)
    else:
        loss = scalar_loss(graph, {n: random.standard_normal(graph.outputs[n].shape) for n in chosen})
    asked = [f"x{k}" for k in wrt]
    arrays = {
        f"x{k}": np.asarray(a, np.float64 if a.dtype.kind == "f" else a.dtype)
        for k, a in enumerate(inputs)
        if a is not None and k not in constants
    }
    shapes = {n: a.shape for n, a in arrays.items()}

    def program(asking: Any, **more: Any) -> Any:
        target = Target(shapes, **more)
        bound = build_program(asking, Parameters(graph, np.float64), target, training=training)
        feed(graph, bound, arrays)
        bound.run()
        return bound

    expected = program(graph.with_outputs({"loss": loss}, loss), input_grads=asked).grads
    written = in_primitives(graph.with_outputs({"loss": loss}), Target(opset=opset))
    assert not (missing := without_rule(written, written.outputs["loss"], asked)), [n.op for n in missing]
    found = gradients(written, written.outputs["loss"], asked)
    assert sorted(found) == sorted(asked)
    written = written.with_outputs({f"d {name}": value for name, value in found.items()})
    written.nodes = written.needed(written.roots())
    fetches = program(written).fetches if by_numpy else {}
    for name in asked if by_numpy else []:
        scale = float(np.abs(expected[name]).max(initial=0.0)) + 1e-12
        np.testing.assert_allclose(
            fetches[f"d {name}"], expected[name], rtol=rtol, atol=rtol * scale, err_msg=f"{op}: d{name} in float64"
        )
    written.inputs = {
        n: v for n, v in written.inputs.items() if any(n == s.name for m in written.nodes for s in m.sources)
    }
    model = model_of(written, opset=opset).SerializeToString()
    feeds = {n: arrays[n].astype(np.float32) if arrays[n].dtype.kind == "f" else arrays[n] for n in written.inputs}
    for name, array in zip(found, session(model).run(list(written.outputs), feeds), strict=True):
        scale = float(np.abs(expected[name]).max(initial=0.0)) + 1e-6
        np.testing.assert_allclose(
            array, expected[name], rtol=1e-3, atol=1e-5 * scale, err_msg=f"{op}: d{name} in onnxruntime"
        )
