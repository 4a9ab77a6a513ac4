"""A loop over any number of steps, against onnxruntime and a loop of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from graph.ops.cases.scan import body
from graphs import build, run

from graphspec.graph.onnx_model import model_of
from graphspec.graph.onnx_session import session


@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("steps", [1, 5])
def test_a_loop_is_that_of_onnxruntime_and_of_numpy(reverse: int, swap: bool, steps: int) -> None:
    random = np.random.default_rng(steps)
    shapes = (2, 3), (2, 3), (steps, 2, 3), (3, 3)
    arrays = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    attributes = {"body": body(swap), "states": 2, "sequences": 1, "reverse": reverse}
    found = run("Scan", arrays, **attributes)
    h, c, x, w = (array.astype(np.float64) for array in arrays)
    every = [np.zeros_like(x) for _ in range(3)]
    for t in range(steps)[:: -1 if reverse else 1]:
        every[2][t] = h * c
        h, c = (c, h) if swap else (np.tanh(h @ w + x[t]), c + h)
        every[0][t], every[1][t] = h, c
    graph, _ = build("Scan", list(arrays), **attributes)
    model = model_of(graph, {}, opset=17)
    by_file = session(model.SerializeToString()).run(None, {f"x{k}": array for k, array in enumerate(arrays)})
    for mine, expected, theirs in zip(found, [h, c, *every], by_file, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
