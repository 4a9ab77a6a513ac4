"""A cross-entropy by a vague name: the head decides which one is meant."""

from __future__ import annotations

import pytest

from graphspec.language.read import read_value
from graphspec.language.sections import loss_hint
from graphspec.vocabulary.losses import LOSSES

NODE = {
    "softmax": "{name: y, type: Dense, units: 3, activation: softmax}",
    "sigmoid": "{name: y, type: Dense, units: 1, activation: sigmoid}",
    "labels": "{name: y, type: Dense, units: 3, activation: {type: sigmoid}}",
    "logit": "{name: y, type: Dense, units: 1}",
    "logits": "{name: y, type: Dense, units: 3, activation: linear}",
    "layer": "{name: y, type: Softmax}",
    "other": "{name: y, type: Flatten}",
}


@pytest.mark.parametrize(
    ("loss", "node", "part"),
    [
        ("crossentropy", "softmax", "did you mean 'sparse_categorical_crossentropy'?"),
        ("CrossEntropyLoss", "layer", "did you mean 'sparse_categorical_crossentropy'?"),
        ("nn.NLLLoss", "softmax", "did you mean 'sparse_categorical_crossentropy'?"),
        ("cross_entropy", "sigmoid", "did you mean 'binary_crossentropy'?"),
        ("log_loss", "labels", "did you mean 'binary_crossentropy'?"),
        ("crossentropy", "logits", "{type: sparse_categorical_crossentropy, from_logits: true}"),
        ("crossentropy", "logit", "{type: binary_crossentropy, from_logits: true}"),
        ("BCEWithLogitsLoss", "logits", "{type: binary_crossentropy, from_logits: true}"),
        ("BCEWithLogitsLoss", "sigmoid", "did you mean 'binary_crossentropy'?"),
        ("crossentropy", "other", "for class ids or labels"),
        ("ce", None, "for class ids or labels"),
    ],
)
def test_hint(loss: str, node: str | None, part: str) -> None:
    tree = None if node is None else read_value(NODE[node], "test")
    assert part in str(loss_hint(loss, tree))
    assert part in str(loss_hint({"type": loss}, tree))


@pytest.mark.parametrize("loss", [*LOSSES.names(), "Flaten", 3, None, {"delta": 1}])
def test_no_hint(loss: object) -> None:
    assert loss_hint(loss, None) is None
