"""Every layer against Keras 3 (golden values from `golden/make_keras.py`), and its export under onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load_layers
from golden_run import assert_close, assert_golden, compiled, cotangent_loss, onnx_outputs, run, store_of

from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.divided_batches import mixing
from graphspec.graph.kernels.context import LocalGroup, Shard

CASES = load_layers()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_outputs_masks_gradients_and_statistics_are_those_of_keras(case: Case, dtype: Any) -> None:
    assert_golden(case, dtype)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_exported_graph_gives_the_same_outputs(case: Case) -> None:
    _, graph = compiled(case)
    expected = case["outputs"]
    if case.args["training"]:  # an export is always in inference mode
        expected, _, _ = run(graph, store_of(graph, case["weights"]), case["inputs"], graph.outputs)
    assert_close(onnx_outputs(graph, case["weights"], case["inputs"]), expected)


ALONE = [
    case
    for case in CASES
    if not case.args.get("mixes")
    and not (case.args["training"] and any(f"{kind}Normalization" in str(case.spec) for kind in ("Batch", "Spectral")))
]


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.id)
def test_outputs_and_gradients_of_workers_are_parts_and_sums(case: Case) -> None:
    """Workers have separate rows, one of them none: concatenated outputs and summed gradients are those of the batch.

    They are allowed to have them.
    """
    record, graph = compiled(case)
    assert mixing(record, graph) is None
    parameters = store_of(graph, case["weights"])
    loss = cotangent_loss(graph)
    arrays = case["inputs"] | {f"{name}/cotangent": a for name, a in case["cotangents"].items()}
    total = len(next(iter(arrays.values())))
    outputs, sums = [], {name: np.zeros(a.shape) for name, a in case["gradients"].items()}
    for rows in (slice(0, 1), slice(1, total), slice(total, total)):
        part = {name: a[rows] for name, a in arrays.items()}
        training = case.args["training"]
        found, gradients, _ = run(
            graph, parameters, part, graph.outputs, loss=loss, training=training, shard=Shard(LocalGroup(), rows, total)
        )
        outputs.append(found)
        sums = {name: a + gradients[name] for name, a in sums.items()}
    assert_close({name: np.concatenate([found[name] for found in outputs]) for name in graph.outputs}, case["outputs"])
    assert_close(sums, case["gradients"])


VECTORS = {"ops.ravel-all", "ops.ravel-ints", "ops.repeat-all"}
"""Their rows are parts of one vector, in their order: not mixed, but of no use in a test of parts."""


def test_what_mixes_rows_is_found_and_normalization_is_allowed() -> None:
    others = [case for case in CASES if case not in ALONE and case.id not in VECTORS]
    wrong = [case.id for case in others if (mixing(*compiled(case)) is not None) != bool(case.args.get("mixes"))]
    assert not wrong
    assert any(case.args.get("mixes") for case in others)


def test_a_mask_without_effect_because_of_initial_state_is_a_warning() -> None:
    case = next(case for case in CASES if case.id == "mask-LSTM-initial_state")
    (warning,) = (d for d in check(case.spec).diagnostics if d.code == "GS308")
    assert "LSTM 'y' ignores the mask of its input" in warning.message
