"""Files with weights that exist already: ``training.initial_weights``, and ``weights`` of a node or a block instance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import Config
from graphspec.language.declarations import WeightFile
from graphspec.language.explain import validate
from graphspec.language.names import Item, Scope
from graphspec.language.tree import Problems, Tree, describe, type_hint

EXAMPLE = "name a file, `weights.safetensors`, or write `{file: weights.safetensors, allow_missing: [head/*]}`"


class WeightKeys(Config):
    """Weights that exist already."""

    file: str = Field(description="A file .safetensors or .npz, or a run directory; relative to the spec.")
    map: dict[str, str] = Field(
        {},
        description="Our names to the file's, by patterns: `encoder/*: bert.encoder.*`. `*` is any text; the first match "
        "wins.",
    )
    layout: Literal["keras", "torch"] = Field(
        "keras", description="How the file names and stores weights: as graphspec and Keras, or as PyTorch."
    )
    allow_missing: list[str] = Field(
        [],
        description="Patterns of weights that start new if the file lacks them, or has them in another shape.",
    )


_PATTERNS: dict[str, Any] = {
    "file": {"type": "string"},
    "map": {"type": "object", "additionalProperties": {"type": "string"}},
    "layout": {"enum": ["keras", "torch"]},
    "allow_missing": {"type": "array", "items": {"type": "string"}},
}
_DESCRIBED = {k: {**v, "description": WeightKeys.model_fields[k].description} for k, v in _PATTERNS.items()}
_MAPPING = {"type": "object", "properties": _DESCRIBED, "required": ["file"], "additionalProperties": False}
SCHEMA: dict[str, Any] = {"anyOf": [{"type": "string"}, _MAPPING]}
"""The JSON Schema of a file of weights: its name, or a mapping."""


def parse_weight_file(tree: Tree, node: str, subject: str, problems: Problems) -> WeightFile | None:
    """Return the file of weights that a value names; None if the value is wrong, which is reported.

    Args:
        node: the node or block instance whose weights they are; empty for the whole network.
        subject: the value in messages.
    """
    if tree.unknown or tree.value is None:
        return None
    if isinstance(tree.value, str):
        return WeightFile(tree.value, node, tree=tree)
    if not isinstance(tree.value, dict):
        if isinstance(tree.value, list):
            hint = (
                "name a file with them, or write them as initial values: `kernel_initializer: {type: Array, value: …}`"
            )
            problems.value(tree, Code.VALUE_NOT_ALLOWED, f"{subject} cannot be arrays: it names a file", hint=hint)
            return None
        text = f"{subject} must be a name or a mapping, not {describe(tree)}"
        problems.value(tree, Code.WRONG_TYPE, text, hint=type_hint(tree, "text") or EXAMPLE)
        return None
    keys = validate(WeightKeys, tree, subject, problems)
    if keys is None or not _patterns_fit(keys.map, tree, subject, problems):
        return None
    return WeightFile(keys.file, node, tuple(keys.map.items()), keys.layout, tuple(keys.allow_missing), tree=tree)


def _patterns_fit(given: dict[str, str], tree: Tree, subject: str, problems: Problems) -> bool:
    """Report patterns with fewer stars than their replacements."""
    fits = True
    for ours, theirs in given.items():
        if theirs.count("*") > ours.count("*"):
            fits = False
            text = f"`map` of {subject} has '{theirs}' for '{ours}', with more `*` than that"
            hint = "each `*` of the file's name stands for the text of one in ours"
            problems.value(tree.value["map"].value[ours], Code.VALUE_NOT_ALLOWED, text, hint=hint)
    return fits


def of_items(top: Scope, unused: Sequence[Scope], problems: Problems) -> list[WeightFile]:
    """Return the files that nodes and block instances name; those of unused blocks are only checked."""
    parsed: dict[int, WeightFile | None] = {}

    def read(item: Item, tree: Tree) -> WeightFile | None:
        if id(tree) not in parsed:  # all copies of an entry share one tree
            parsed[id(tree)] = parse_weight_file(tree, item.full, f"`weights` of '{item.full}'", problems)
        found = parsed[id(tree)]
        return None if found is None else found.of(item.full)

    used = [found for item, tree in _named(top) if (found := read(item, tree)) is not None]
    for scope in unused:
        for item, tree in _named(scope):
            read(item, tree)
    return used


def _named(scope: Scope) -> Iterator[tuple[Item, Tree]]:
    """Yield the items with ``weights`` of their own; those of shared instances are of their owners."""
    for item in scope.items:
        if "share" in (item.tree.value if isinstance(item.tree.value, dict) else ()):
            continue
        if item.kind != "input" and (tree := item.tree.get("weights")) is not None:
            yield item, tree
        if item.inner is not None:
            yield from _named(item.inner)
