"""Read one entry of ``layers``: its kind, its name and its number of copies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from graphspec.base.codes import Code
from graphspec.base.errors import Problems, did_you_mean
from graphspec.base.synonyms.names import fold, synonym
from graphspec.language.names import MAX_NAME, EntryKind, bad_name, is_name
from graphspec.language.tree import Tree, describe, item_name, type_hint
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers import LAYERS

if TYPE_CHECKING:
    from collections.abc import Mapping

NODE_KEYS = ("name", "type", "inputs", "trainable", "repeat", "weights")
BLOCK_KEYS = ("name", "block", "params", "inputs", "repeat", "trainable", "weights")
SHARE_KEYS = ("name", "share", "inputs")
ENTRY_KEYS = ("name", "type", "block", "share", "params", "inputs", "repeat", "trainable", "weights")


def entry_name(entry: Tree, problems: Problems) -> str | None:
    """Return the name of an entry, or None if it has no usable name."""
    name = entry.get("name")
    if name is None or name.unknown:
        return None
    if not isinstance(name.value, str):
        message = f"`name` must be text, not {describe(name)}"
        problems.value(name, Code.WRONG_TYPE, message, hint="put quotes around it")
        return None
    if not is_name(name.value):
        message, hint = bad_name("node name", name.value)
        problems.value(name, Code.VALUE_NOT_ALLOWED, message, hint=hint)
    return name.value if 0 < len(name.value) <= MAX_NAME else None


def entry_kind(entry: Tree, problems: Problems, options: Sequence[str] = ()) -> EntryKind:
    """Return the kind of an entry. Report keys that do not go together.

    Args:
        options: further keys of a share, call arguments of its layer.
    """
    if "share" in entry.value:
        wrong = [key for key in entry.value if key not in (*SHARE_KEYS, *options)]
        for key in wrong:
            message = f"`{key}`{_of(entry)} cannot be used with `share`, which copies everything from its owner"
            problems.key(entry, key, Code.WRONG_SHARE, message, hint=_beside_share(options))
        return "failed" if wrong or not _is_name_of(entry, "share", problems) else "share"
    if "block" in entry.value:
        if "type" in entry.value:
            message = f"`type`{_of(entry)} cannot be used with `block`"
            problems.key(entry, "type", Code.VALUE_NOT_ALLOWED, message, hint="remove one of them")
            return "failed"
        for key in entry.value:
            if key not in BLOCK_KEYS:
                hint = did_you_mean(key, BLOCK_KEYS) or "write arguments of a block into `params`"
                name = item_name(entry)
                subject = f"block instance '{name}'" if name else "a block instance"
                problems.key(entry, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of {subject}", hint=hint)
        return "block" if _is_name_of(entry, "block", problems) else "failed"
    if "type" in entry.value:
        if "params" in entry.value:
            hint = "write arguments of a layer beside its `type`"
            problems.key(
                entry, "params", Code.UNKNOWN_KEY, f"unknown key 'params'{_of(entry)}, which is not a block", hint=hint
            )
        return "node" if _is_name_of(entry, "type", problems) else "failed"
    problems_before = len(problems.found)
    for key in entry.value:
        if key not in ENTRY_KEYS and (close := did_you_mean(key, ("type", "block", "share"))):
            problems.key(entry, key, Code.UNKNOWN_KEY, f"unknown key '{key}'{_of(entry)}", hint=close)
    if len(problems.found) == problems_before:
        name = item_name(entry)
        subject = f"node '{name}'" if name else "a node"
        hint = "name the layer: `type: Dense`"
        problems.node(entry, Code.MISSING_KEY, f"{subject} needs `type`, `block` or `share`", subject="type", hint=hint)
    return "failed"


def _beside_share(options: Sequence[str]) -> str:
    keys = ["`name`", "`inputs`", *(f"`{key}`" for key in options)]
    return f"beside `share`, only {', '.join(keys[:-1])} and {keys[-1]} are allowed"


def _is_name_of(entry: Tree, key: str, problems: Problems) -> bool:
    """Return whether the value under ``key`` is text; report it if not."""
    value = entry.value[key]
    if not isinstance(value.value, str) and not value.unknown:
        message = f"`{key}`{_of(entry)} must be a name, not {describe(value)}"
        target = {"type": "a layer", "block": "a block"}.get(key, "the node that owns the weights")
        problems.value(value, Code.WRONG_TYPE, message, hint=f"name {target}")
    return isinstance(value.value, str)


def _of(entry: Tree) -> str:
    """Return ``" of 'name'"`` for a named entry, else an empty text."""
    name = item_name(entry)
    return f" of '{name}'" if name else ""


def count_copies(entry: Tree) -> int:
    """Return the value of ``repeat``; 0 if it is missing or not usable."""
    repeat = entry.get("repeat")
    is_usable = repeat is not None and isinstance(repeat.value, int) and "share" not in entry.value
    return int(repeat.value) if repeat is not None and is_usable else 0


def entry_copies(entry: Tree, problems: Problems) -> int | None:
    """Return the value of ``repeat``, or None if it is missing or wrong."""
    repeat = entry.get("repeat")
    if repeat is None or repeat.unknown or "share" in entry.value:
        return None
    if isinstance(repeat.value, bool) or not isinstance(repeat.value, int):
        message = f"`repeat`{_of(entry)} must be an integer, not {describe(repeat)}"
        problems.value(
            repeat, Code.WRONG_TYPE, message, hint=type_hint(repeat, "an integer") or "write the number of copies"
        )
        return None
    if repeat.value < 1:
        message = f"`repeat`{_of(entry)} must be at least 1, not {repeat.value}"
        problems.value(repeat, Code.VALUE_NOT_ALLOWED, message, hint="remove the node, or remove `repeat` for one copy")
        return None
    return int(repeat.value)


# Hints for layers and blocks that do not exist.
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
