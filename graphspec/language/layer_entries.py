"""Read one entry of ``layers``: its kind, its name and its number of copies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from graphspec.base.errors import Code, Problems, did_you_mean
from graphspec.base.synonyms.keys import fold, synonym
from graphspec.language.names import MAX_NAME, EntryKind, check_name
from graphspec.language.tree import Tree, describe, not_allowed, wrong_type
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.layers import LAYERS

BLOCK_KEYS = ("name", "block", "params", "inputs", "repeat", "trainable", "weights")
SHARE_KEYS = ("name", "share", "inputs", "average")
ENTRY_KEYS = ("name", "type", "block", "share", "params", "inputs", "repeat", "trainable", "weights")


def entry_name(entry: Tree, problems: Problems) -> str | None:
    """Return the name of an entry, or None if it has no usable name."""
    name = entry.get("name")
    if name is None or name.unknown:
        return None
    if not isinstance(name.value, str):
        wrong_type(name, "`name` must be text", problems, "put quotes around it")
        return None
    check_name("node name", name.value, partial(problems.value, name))
    return name.value if 0 < len(name.value) <= MAX_NAME else None


def entry_kind(entry: Tree, problems: Problems, options: Sequence[str] = ()) -> EntryKind:
    """Return the kind of an entry. Report keys that do not go together; a share may have the keys ``options``, too."""
    of, name = _of(entry), entry.text("name")
    if "share" in entry.value:
        wrong = [key for key in entry.value if key not in (*SHARE_KEYS, *options)]
        *keys, last = ("`name`", "`inputs`", "`average`", *(f"`{key}`" for key in options))
        for key in wrong:
            message = f"`{key}`{of} cannot be used with `share`, which copies everything from its owner"
            hint = f"beside `share`, only {', '.join(keys)} and {last} are allowed"
            problems.key(entry, key, Code.WRONG_SHARE, message, hint=hint)
        if (mean := entry.get("average")) is not None and not (
            type(mean.value) in (int, float) and 0 <= mean.value <= 1
        ):
            text, hint = f"`average`{of} must be a number from 0 to 1", "such as 0.99, the part that stays in a step"
            not_allowed(mean, text, problems, hint)
            return "failed"
        return "failed" if wrong or not _is_name_of(entry, "share", problems) else "share"
    if "block" in entry.value and "type" in entry.value:
        message = f"`type`{of} cannot be used with `block`"
        problems.key(entry, "type", Code.VALUE_NOT_ALLOWED, message, hint="remove one of them")
        return "failed"
    if "block" in entry.value:
        subject = f"block instance '{name}'" if name else "a block instance"
        for key in (key for key in entry.value if key not in BLOCK_KEYS):
            hint = did_you_mean(key, BLOCK_KEYS) or "write arguments of a block into `params`"
            problems.key(entry, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of {subject}", hint=hint)
        return "block" if _is_name_of(entry, "block", problems) else "failed"
    if "type" in entry.value:
        if "params" in entry.value:
            message = f"unknown key 'params'{of}, which is not a block"
            hint = "write arguments of a layer beside its `type`"
            problems.key(entry, "params", Code.UNKNOWN_KEY, message, hint=hint)
        return "node" if _is_name_of(entry, "type", problems) else "failed"
    before = len(problems.found)
    for key in entry.value:
        if key not in ENTRY_KEYS and (close := did_you_mean(key, ("type", "block", "share"))):
            problems.key(entry, key, Code.UNKNOWN_KEY, f"unknown key '{key}'{of}", hint=close)
    if len(problems.found) == before:
        message = ("a node" if not name else f"node '{name}'") + " needs `type`, `block` or `share`"
        problems.node(entry, Code.MISSING_KEY, message, subject="type", hint="name the layer: `type: Dense`")
    return "failed"


def _is_name_of(entry: Tree, key: str, problems: Problems) -> bool:
    """Return whether the value under ``key`` is text; report it if not."""
    value = entry.value[key]
    if not isinstance(value.value, str) and not value.unknown:
        target = {"type": "a layer", "block": "a block"}.get(key, "the node that owns the weights")
        wrong_type(value, f"`{key}`{_of(entry)} must be a name", problems, f"name {target}")
    return isinstance(value.value, str)


def _of(entry: Tree) -> str:
    """Return ``" of 'name'"`` for a named entry, else an empty text."""
    return f" of '{name}'" if (name := entry.text("name")) else ""


def entry_copies(entry: Tree, problems: Problems) -> int | None:
    """Return the value of ``repeat``, or None if it is missing or wrong."""
    repeat = entry.get("repeat")
    if repeat is None or repeat.unknown or "share" in entry.value:
        return None
    if isinstance(repeat.value, bool) or not isinstance(repeat.value, int):
        message = f"`repeat`{_of(entry)} must be an integer"
        wrong_type(repeat, message, problems, "write the number of copies", "an integer")
        return None
    if repeat.value < 1:
        message = f"`repeat`{_of(entry)} must be at least 1, not {repeat.value}"
        not_allowed(repeat, message, problems, "remove the node, or remove `repeat` for one copy")
        return None
    return int(repeat.value)


# Hints for layers and blocks that do not exist.
def block_names(tree: Tree) -> list[str]:
    """Return the names of the blocks of a document."""
    return list(tree.mapping("blocks"))


def unknown_layer_hint(entry: Tree, name: str, blocks: Sequence[str]) -> str:
    """Return a hint for an entry whose ``type`` is unknown: a block's, an activation's, or one of another framework."""
    block = next((block for block in blocks if fold(block) == fold(name)), None)
    if block is not None:
        params = ", ".join(f"{key}: {_word(child)}" for key, child in entry.value.items() if key not in ENTRY_KEYS)
        written = f", params: {{{params}}}" if params else ""
        return f"'{block}' is a block: write `block: {block}{written}` instead of `type: {name}`"
    if (operation := _operation_hint(name)) is not None:
        return operation
    activation = next(iter(ACTIVATIONS.same(name)), None)
    if activation is not None and synonym("layer", name) is None and not LAYERS.same(name):
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


_ARRAY_MODULES = (  # where others have the functions that are operations here
    *("keras.ops", "keras.backend", "K", "keras.ops.numpy", "np", "numpy", "np.linalg", "numpy.linalg", "jnp"),
    *("jax.numpy", "torch", "torch.linalg", "torch.special", "F", "torch.nn.functional", "tf", "tf.math", "tf.linalg"),
    *("tensorflow", "keras.ops.linalg", "keras.ops.nn", "keras.ops.image", "keras.ops.math", "keras.ops.core"),
    *("ops.numpy", "ops.nn"),
)


def unknown_block_hint(entry: Tree, name: str, blocks: Collection[str]) -> str:
    """Return a hint for an entry whose ``block`` is unknown: a layer's name, or a similar block."""
    if (close := did_you_mean(name, blocks)) is not None:
        return close
    layer = next(iter(LAYERS.same(name)), None)
    if layer is not None:
        beside = " and its arguments beside it, without `params`" if "params" in entry.value else ""
        return f"{layer} is a layer: write `type: {layer}`{beside}"
    return "define it under `blocks`"


def _word(value: Tree) -> str:
    """Return a value in flow style, as a plain word where YAML needs no quotes."""
    return value.value if isinstance(value.value, str) and value.value.isidentifier() else describe(value)
