"""One entry of ``layers``: what it is, its name and how often it is repeated."""

from __future__ import annotations

from graphspec.codes import Code
from graphspec.errors import did_you_mean
from graphspec.language.names import MAX_NAME, Kind, bad_name, is_name
from graphspec.language.tree import Problems, Tree, describe, item_name, wrong_type

NODE_KEYS = ("name", "type", "inputs", "trainable", "repeat")
BLOCK_KEYS = ("name", "block", "params", "inputs", "repeat", "trainable")
SHARE_KEYS = ("name", "share", "inputs")
ENTRY_KEYS = ("name", "type", "block", "share", "params", "inputs", "repeat", "trainable")


def entry_name(entry: Tree, problems: Problems) -> str | None:
    """The name that an entry gives itself."""
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


def entry_kind(entry: Tree, problems: Problems) -> Kind:
    """What an entry is; checks which keys stand together."""
    if "share" in entry.value:
        wrong = [key for key in entry.value if key not in SHARE_KEYS]
        for key in wrong:
            message = f"`{key}`{_of(entry)} cannot stand beside `share`, which takes everything from its owner"
            problems.key(
                entry, key, Code.WRONG_SHARE, message, hint="only `name` and `inputs` may stand beside `share`"
            )
        return "failed" if wrong or not _is_name_of(entry, "share", problems) else "share"
    if "block" in entry.value:
        if "type" in entry.value:
            message = f"`type`{_of(entry)} cannot stand beside `block`"
            problems.key(entry, "type", Code.VALUE_NOT_ALLOWED, message, hint="remove one of them")
            return "failed"
        for key in entry.value:
            if key not in BLOCK_KEYS:
                hint = did_you_mean(key, BLOCK_KEYS) or "arguments of a block go into `params`"
                called = item_name(entry)
                what = f"block instance '{called}'" if called else "a block instance"
                problems.key(entry, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of {what}", hint=hint)
        return "block" if _is_name_of(entry, "block", problems) else "failed"
    if "type" in entry.value:
        if "params" in entry.value:
            hint = "arguments of a layer stand beside its `type`"
            problems.key(
                entry, "params", Code.UNKNOWN_KEY, f"unknown key 'params'{_of(entry)}, which is no block", hint=hint
            )
        return "node" if _is_name_of(entry, "type", problems) else "failed"
    problems_before = len(problems.found)
    for key in entry.value:
        if key not in ENTRY_KEYS and (close := did_you_mean(key, ("type", "block", "share"))):
            problems.key(entry, key, Code.UNKNOWN_KEY, f"unknown key '{key}'{_of(entry)}", hint=close)
    if len(problems.found) == problems_before:
        called = item_name(entry)
        what = f"node '{called}'" if called else "a node"
        hint = "say which layer it is: `type: Dense`"
        problems.node(entry, Code.MISSING_KEY, f"{what} needs `type`, `block` or `share`", subject="type", hint=hint)
    return "failed"


def _is_name_of(entry: Tree, key: str, problems: Problems) -> bool:
    value = entry.value[key]
    if not isinstance(value.value, str) and not value.unknown:
        message = f"`{key}`{_of(entry)} must be a name, not {describe(value)}"
        what = {"type": "a layer", "block": "a block"}.get(key, "the node whose weights it takes")
        problems.value(value, Code.WRONG_TYPE, message, hint=f"name {what}")
    return isinstance(value.value, str)


def _of(entry: Tree) -> str:
    name = item_name(entry)
    return f" of '{name}'" if name else ""


def entry_copies(entry: Tree, problems: Problems) -> int | None:
    """``repeat``, or None."""
    repeat = entry.get("repeat")
    if repeat is None or repeat.unknown or "share" in entry.value:
        return None
    if isinstance(repeat.value, bool) or not isinstance(repeat.value, int):
        message = f"`repeat`{_of(entry)} must be an integer, not {describe(repeat)}"
        problems.value(
            repeat, Code.WRONG_TYPE, message, hint=wrong_type(repeat, "an integer") or "the number of copies in a row"
        )
        return None
    if repeat.value < 1:
        message = f"`repeat`{_of(entry)} must be at least 1, not {repeat.value}"
        problems.value(repeat, Code.VALUE_NOT_ALLOWED, message, hint="remove the node, or `repeat` for one copy")
        return None
    return int(repeat.value)
