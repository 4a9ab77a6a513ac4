"""Every layer against Keras 3 (golden values made by `golden/make_keras.py`), and its export under onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load
from golden_run import assert_close, compiled, cotangent_loss, onnx_outputs, run, store_of

CASES = load("layers")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_outputs_masks_gradients_and_statistics_are_those_of_keras(case: Case, dtype: Any) -> None:
    _, graph = compiled(case)
    store = store_of(graph, case["weights"], dtype)
    masks = {name: v.mask for name, v in graph.outputs.items() if v.mask is not None}
    loss = cotangent_loss(graph)
    arrays = case["inputs"] | {f"{name}/cotangent": a for name, a in case["cotangents"].items()}
    found, gradients, input_gradients = run(
        graph,
        store,
        arrays,
        graph.outputs | {f"{name}/mask": v for name, v in masks.items()},
        loss=loss,
        training=case.args["training"],
        input_grads=list(case["input_gradients"]),
    )
    assert_close({name: found[name] for name in graph.outputs}, case["outputs"])
    hidden = {name: mask for name, mask in case["masks"].items() if name in masks or not mask.all()}
    assert_close({name: found[f"{name}/mask"] for name in masks}, hidden)  # no mask may say that nothing is masked
    assert_close(gradients, case["gradients"])
    assert_close(input_gradients, case["input_gradients"])
    if case.args["training"]:
        assert_close(store.get(group="state"), case["state"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_exported_graph_gives_the_same_outputs(case: Case) -> None:
    _, graph = compiled(case)
    expected = case["outputs"]
    if case.args["training"]:  # an export is always in inference mode
        expected, _, _ = run(graph, store_of(graph, case["weights"]), case["inputs"], graph.outputs)
    assert_close(onnx_outputs(graph, case["weights"], case["inputs"]), expected)
