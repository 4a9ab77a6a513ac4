"""Read one entry of ``layers``: its kind, its name and its number of copies."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.base.codes import Code
from graphspec.base.errors import did_you_mean
from graphspec.language.names import MAX_NAME, EntryKind, bad_name, is_name
from graphspec.language.tree import Problems, Tree, describe, item_name, type_hint

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
