"""ScatterElements: against onnxruntime, and its gradients."""

from __future__ import annotations

import numpy as np
from graphs import build, check_gradients
from hypothesis import given
from hypothesis import strategies as st
from layouts import SETTINGS, same

from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.graph.builder import Target


@SETTINGS
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 5), st.sampled_from(["none", "add"]), st.booleans())
def test_scatter_elements(seed: int, n: int, size: int, reduction: str, last: bool) -> None:
    random = np.random.default_rng(seed)
    data, axis = random.standard_normal((n, size) if last else (size, n)).astype(np.float32), 1 if last else 0
    count = size if reduction == "none" else size + 2
    ids = np.stack(
        [random.permutation(size) if reduction == "none" else random.integers(0, size, count) for _ in range(n)]
    )
    ids = np.where(random.random(ids.shape) < 0.3, ids - size, ids)[:, : max(1, count - 1)]
    ids = ids if last else np.ascontiguousarray(ids.T)
    updates = random.standard_normal(ids.shape).astype(np.float32)
    same("ScatterElements", [data, ids, updates], axis=axis, reduction=reduction)
    check_gradients("ScatterElements", [data, ids, updates], [0, 2], axis=axis, reduction=reduction)


def test_scatter_elements_without_rows() -> None:
    none = np.zeros((0, 3), np.float32)
    graph, _ = build("ScatterElements", [none, np.zeros((0, 2), np.int64), none[:, :2]], axis=1)
    build_program(graph, Parameters(graph), Target({n: v.shape for n, v in graph.inputs.items()})).run()
