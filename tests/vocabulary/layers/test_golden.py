"""Every layer against Keras 3 (golden values from `golden/make_keras.py`), and its export under onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from golden_cases import Case, load_layers
from golden_run import assert_close, assert_golden, compiled, cotangent_loss, onnx_outputs, run, store_of

from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.training_checks import mixing
from graphspec.graph.ir.graph import Graph, Value
from graphspec.graph.kernels.compiled import FORCED
from graphspec.graph.kernels.context import LocalGroup, Shard
from graphspec.vocabulary.layers import sound
from graphspec.vocabulary.layers.sound import hertz_to_mel

Array = np.ndarray[Any, Any]

CASES = load_layers()


ALONE = {
    case.id
    for case in CASES
    if not case.args.get("mixes")
    and not (case.args["training"] and any(f"{kind}Normalization" in str(case.spec) for kind in ("Batch", "Spectral")))
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_layer_is_that_of_keras(case: Case) -> None:
    """Its outputs, masks, gradients and statistics, in both precisions; its exported graph; its parts in workers."""
    record, graph = compiled(case)
    loss = cotangent_loss(graph)
    slack = slack_of_mels(case) if "MelSpectrogram" in str(case.spec) else None
    for dtype in (np.float64, np.float32):
        with part(dtype.__name__):
            assert_golden(case, dtype, graph, loss, slack)
    if not FORCED or case.args["training"]:  # the file is the same with any kernels
        with part("exported"):
            assert_exported(case, graph)
    if case.id in ALONE:
        with part("workers"):
            assert mixing(record, graph) is None
            assert_parts(case, graph, loss)


def slack_of_mels(case: Case) -> dict[str, Array]:
    """How far gradients of inputs move if the mels of frequencies, one by one, are the next numbers of float32.

    The logarithm's last bit differs between processors, and Keras's numbers are of one of them. Slopes of bands are
    differences of mels, so where a band begins few digits are left.
    """

    def gradients(moved: int | None) -> dict[str, Array]:
        def mels(hertz: Any) -> Array:
            mel = hertz_to_mel(hertz)
            if mel.ndim and moved is not None:
                mel[moved] = np.nextafter(mel[moved], np.float32(np.inf))
            return mel

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sound, "hertz_to_mel", mels)
            _, graph = compiled(case)
        loss = cotangent_loss(graph)
        arrays = case["inputs"] | {f"{name}/cotangent": a for name, a in case["cotangents"].items()}
        names = list(case["input_gradients"])
        return run(graph, store_of(graph, {}), arrays, graph.outputs, loss=loss, input_grads=names)[2]

    (args,) = (layer for layer in case.spec["layers"] if layer["type"] == "MelSpectrogram")
    here = gradients(None)
    others = [gradients(k) for k in range(args["fft_length"] // 2 + 1)]
    return {name: sum(np.abs(there[name] - a) for there in others) for name, a in here.items()}


@contextmanager
def part(name: str) -> Iterator[None]:
    """What fails is said to be of this part; 7,000 reports of subtests would take a sixth of the tests' time."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the part '{name}'")
        raise


def assert_exported(case: Case, graph: Graph) -> None:
    expected = case["outputs"]
    if case.args["training"]:  # an export is always in inference mode
        expected, _, _ = run(graph, store_of(graph, case["weights"]), case["inputs"], graph.outputs)
    assert_close(onnx_outputs(graph, case["weights"], case["inputs"]), expected)


def assert_parts(case: Case, graph: Graph, loss: Value | None) -> None:
    """Workers have separate rows, one of them none: concatenated outputs and summed gradients are those of the batch."""
    parameters = store_of(graph, case["weights"])
    arrays = case["inputs"] | {f"{name}/cotangent": a for name, a in case["cotangents"].items()}
    total = len(next(iter(arrays.values())))
    outputs, sums = [], {name: np.zeros(a.shape) for name, a in case["gradients"].items()}
    none = [] if FORCED else [slice(total, total)]  # `graph/ops/test_no_rows.py` tries each operator with any kernels
    for rows in (slice(0, 1), slice(1, total), *none):
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
    others = [case for case in CASES if case.id not in ALONE and case.id not in VECTORS]
    wrong = [case.id for case in others if (mixing(*compiled(case)) is not None) != bool(case.args.get("mixes"))]
    assert not wrong
    assert any(case.args.get("mixes") for case in others)


def test_a_mask_without_effect_because_of_initial_state_is_a_warning() -> None:
    case = next(case for case in CASES if case.id == "mask-LSTM-initial_state")
    (warning,) = (d for d in check(case.spec).diagnostics if d.code == "GS308")
    assert "LSTM 'y' ignores the mask of its input" in warning.message
