"""Hints for layers and blocks that do not exist."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from graphspec.base.errors import did_you_mean
from graphspec.base.synonyms.names import fold, synonym
from graphspec.language.layer_entries import ENTRY_KEYS
from graphspec.language.tree import Tree, describe
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers import LAYERS

if TYPE_CHECKING:
    from collections.abc import Mapping


def block_names(tree: Tree) -> list[str]:
    """Return the names of the blocks of a document."""
    blocks = tree.get("blocks")
    return list(blocks.value) if blocks is not None and isinstance(blocks.value, dict) else []


def unknown_layer_hint(entry: Tree, name: str, blocks: Sequence[str]) -> str:
    """Return a hint for an entry whose ``type`` is unknown: a block's, an activation's, or one of another framework."""
    block = next((block for block in blocks if fold(block) == fold(name)), None)
    if block is not None:
        params = {key: child for key, child in entry.value.items() if key not in ENTRY_KEYS}
        written = f", params: {_flow(params)}" if params else ""
        return f"'{block}' is a block: write `block: {block}{written}` instead of `type: {name}`"
    if (operation := _operation_hint(name)) is not None:
        return operation
    if synonym("layer", name) is None and not LAYERS.same(name):
        activation = next(iter(ACTIVATIONS.same(name)), None)
        if activation is not None:
            node = f"`{{type: Activation, activation: {activation}}}`"
            return f"it is an activation: write {node}, or `activation: {activation}` in the layer before"
    close = LAYERS.suggest(name) or did_you_mean(name, blocks)
    return close or "docs/vocabulary.md and `graphspec schema` list the layers"


def _operation_hint(name: str) -> str | None:
    """Return a hint for an operation that is written otherwise: ``keras.ops.sum``, ``np.sum``, ``torch.sum``, ``sum``."""
    module, _, last = name.removesuffix("()").rpartition(".")
    known = f"ops.{last}"
    if known in LAYERS.refused and module in _ARRAY_MODULES:
        return "; ".join(LAYERS.refused[known])
    if known not in LAYERS.names() or module not in ("", *_ARRAY_MODULES):
        return None
    if module or not LAYERS.same(last):
        layer = None if module else synonym("layer", last)
        return f"write `{known}`" + (f"; for a layer, {layer}" if layer else "")
    return None


_ARRAY_MODULES = (
    *(
        "keras.ops",
        "keras.backend",
        "K",
        "keras.ops.numpy",
        "np",
        "numpy",
        "np.linalg",
        "numpy.linalg",
        "jnp",
        "jax.numpy",
    ),
    *("torch", "torch.linalg", "torch.special", "F", "torch.nn.functional", "tf", "tf.math", "tf.linalg", "tensorflow"),
    *("keras.ops.linalg", "keras.ops.nn", "keras.ops.image", "keras.ops.math", "keras.ops.core", "ops.numpy", "ops.nn"),
)
"""Where others have the functions that are operations here."""


def unknown_block_hint(entry: Tree, name: str, blocks: Collection[str]) -> str:
    """Return a hint for an entry whose ``block`` is unknown: a layer's name, or a similar block."""
    if (close := did_you_mean(name, blocks)) is not None:
        return close
    layer = next(iter(LAYERS.same(name)), None)
    if layer is not None:
        beside = " and its arguments beside it, without `params`" if "params" in entry.value else ""
        return f"{layer} is a layer: write `type: {layer}`{beside}"
    return "define it under `blocks`"


def _flow(values: Mapping[str, Tree]) -> str:
    """Return a mapping in flow style, with plain words where YAML needs no quotes."""
    parts = (
        f"{key}: {child.value if isinstance(child.value, str) and child.value.isidentifier() else describe(child)}"
        for key, child in values.items()
    )
    return f"{{{', '.join(parts)}}}"
