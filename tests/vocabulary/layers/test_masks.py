"""The masks of layers' outputs."""

from __future__ import annotations

from typing import Any

import pytest
from lowering import TIME, cell, lower, source

from graphspec.vocabulary.layers import LAYERS

MASKED = source("x", TIME, mask=("N", "time"))


@pytest.mark.parametrize(
    ("layer", "kept"),
    [
        ({"type": "LSTM", "units": 2}, False),
        ({"type": "LSTM", "units": 2, "return_sequences": True}, True),
        ({"type": "Bidirectional", "layer": cell("GRU", return_sequences=True)}, True),
        ({"type": "Bidirectional", "layer": cell("GRU")}, False),
        ({"type": "TimeDistributed", "layer": {"type": "Dense", "units": 2}}, True),
        ({"type": "GlobalAveragePooling1D"}, False),
        ({"type": "Masking"}, True),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else str(value),
)
def test_mask_of_layers_that_set_it(layer: dict[str, Any], kept: bool) -> None:
    assert LAYERS.parse(layer).handles_mask
    _, (output, *_) = lower(layer, MASKED)
    assert (output.mask is not None) == kept
    assert output.mask is None or output.mask.shape == ("N", "time")


def test_state_outputs_have_no_mask() -> None:
    _, (output, *states) = lower(cell("LSTM", return_sequences=True, return_state=True), MASKED)
    assert output.mask is not None
    assert [s.mask for s in states] == [None, None]


def test_embedding_masks_zeros_only_with_mask_zero() -> None:
    ids = source("x", ("N", "time"), "int32")
    for flag in (False, True):
        _, (output,) = lower({"type": "Embedding", "input_dim": 4, "output_dim": 2, "mask_zero": flag}, ids)
        assert (output.mask is not None) == flag


@pytest.mark.parametrize("kind", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"])
def test_merge_keeps_a_mask_if_all_have_one(kind: str) -> None:
    other = source("z", TIME, mask=("N", "time"))
    _, (output,) = lower(kind, MASKED, other)
    assert output.mask is not None
    assert output.mask.shape == ("N", "time")
    _, (output,) = lower(kind, MASKED, source("z", TIME))
    assert output.mask is None


def test_concatenation_over_time_concatenates_masks() -> None:
    _, (output,) = lower({"type": "Concatenate", "axis": 1}, MASKED, source("z", ("N", 4, 3)))
    assert output.mask is not None
    assert output.mask.shape == ("N", "time+4")


def test_masked_statistics_only_in_training() -> None:
    for trainable, op in ((True, "MaskedBatchNormalization"), (False, "BatchNormalization")):
        graph, _ = lower("BatchNormalization", MASKED, trainable=trainable)
        assert op in [node.op for node in graph.nodes]
