"""Layers and blocks that do not exist."""

from __future__ import annotations

import pytest

from graphspec.language.layer_entries import block_names, unknown_block_hint, unknown_layer_hint
from graphspec.language.read import read_value


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("{type: Encoder}", "'Encoder' is a block: write `block: Encoder` instead of `type: Encoder`"),
        ("{type: encoder}", "'Encoder' is a block: write `block: Encoder` instead of `type: encoder`"),
        (
            "{name: a, type: Encoder, heads: 2, mode: fast, inputs: x}",
            "'Encoder' is a block: write `block: Encoder, params: {heads: 2, mode: fast}` instead of `type: Encoder`",
        ),
        ("{type: Encodr}", "did you mean 'Encoder'?"),
        (
            "{type: Sigmoid}",
            (
                "it is an activation: write `{type: Activation, activation: sigmoid}`, "
                "or `activation: sigmoid` in the layer before"
            ),
        ),
        ("{type: Linear}", "did you mean 'Dense'?"),
        ("{type: Quux}", "docs/vocabulary.md and `graphspec schema` list the layers"),
    ],
)
def test_unknown_layer(entry: str, hint: str) -> None:
    tree = read_value(entry, "test")
    assert unknown_layer_hint(tree, tree.value["type"].value, ["Encoder"]) == hint


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("{block: Encodr}", "did you mean 'Encoder'?"),
        ("{block: dense}", "Dense is a layer: write `type: Dense`"),
        (
            "{block: Dense, params: {units: 3}}",
            "Dense is a layer: write `type: Dense` and its arguments beside it, without `params`",
        ),
        ("{block: Quux}", "define it under `blocks`"),
    ],
)
def test_unknown_block(entry: str, hint: str) -> None:
    tree = read_value(entry, "test")
    assert unknown_block_hint(tree, tree.value["block"].value, ["Encoder"]) == hint


def test_block_names() -> None:
    assert block_names(read_value("{blocks: {a: {}, b: {}}}", "test")) == ["a", "b"]
    assert block_names(read_value("{blocks: 3}", "test")) == block_names(read_value("{}", "test")) == []
