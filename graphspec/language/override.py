"""Override one value of a spec, before substitution: ``--set key.path=VALUE``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from graphspec.base.errors import SpecError, UsageError, did_you_mean, shorten
from graphspec.base.text import shell
from graphspec.language.set_paths import FILE, corrected, created, is_optional, is_removed, long_form
from graphspec.language.tree import MAX_DEPTH, MAX_KEY, MAX_VALUES, Tree, describe, format_names, item_name

_DOCUMENT = (
    "graphspec",
    "name",
    "description",
    "vars",
    "inputs",
    "blocks",
    "layers",
    "outputs",
    "training",
    "data",
    "search",
)


def override(tree: Tree, text: str, read_value: Callable[[str, str], Tree]) -> Tree:
    """Return ``tree`` with one value replaced, added or removed. Shared parts stay unchanged elsewhere.

    Args:
        text: ``key.path=VALUE``. ``null`` removes a part of ``data`` or a key of ``training``, which may be left out.
        read_value: parses the value.

    Raises:
        UsageError: the override is malformed, or a part of its path does not exist.
    """
    path, equals, written = text.partition("=")
    path = path.strip()
    if not equals or not path or "" in path.split("."):
        colon = re.fullmatch(r"([\w.]+) *[: ] *(.+)", text)
        meant = f": write --set {shell(f'{colon[1]}={colon[2]}')}" if colon and not equals else ""
        raise UsageError(f"--set takes key.path=VALUE, not {shorten(text)!r}{shorten(meant, 200)}")
    if len(path) > MAX_KEY:
        raise UsageError(f"--set {shorten(path)}: there is no key of {len(path):,} characters")
    try:
        value = read_value(written.strip(), FILE)
    except SpecError as error:
        raise UsageError(f"--set {shorten(text)}: {error.diagnostics[0].message}") from None
    return replaced(tree, path, value, written.strip())


def replaced(tree: Tree, path: str, value: Tree, written: str) -> Tree:
    """Return ``tree`` with ``value`` at a dotted path, see :func:`override`.

    Args:
        written: the value as messages quote it.
    """
    text = f"{path}={written}"
    steps = path.split(".")
    if len(steps) == 1 or (len(steps) == 2 and steps[0] == "training"):
        _refuse_short_path(tree, steps, written)
    try:
        changed = _replace(tree, steps, 0, value)
    except UsageError as error:
        meant_elsewhere = None if steps[0] in _DOCUMENT else corrected(tree, steps, written.strip())
        if meant_elsewhere is None:
            raise
        raise UsageError(f"--set {path}: there is no '{steps[0]}' in the spec; {meant_elsewhere}") from error
    if changed.depth > MAX_DEPTH or changed.size > MAX_VALUES:
        excess = (
            f"deeper than {MAX_DEPTH} levels" if changed.depth > MAX_DEPTH else f"larger than {MAX_VALUES:,} values"
        )
        raise UsageError(f"--set {shorten(text)}: it makes the spec {excess}")
    return changed


def _refuse_short_path(tree: Tree, steps: Sequence[str], written: str) -> None:
    """Raise UsageError for a key that has another place, such as ``epochs`` or ``training.learning_rate``."""
    parent = tree if len(steps) == 1 else tree.get("training")
    if (len(steps) == 1 and steps[0] in _DOCUMENT) or (parent is not None and parent.get(steps[-1]) is not None):
        return
    meant = corrected(tree, steps[-1:], written.strip())
    if meant is None or (len(steps) > 1 and "training.optimizer." not in meant):
        return  # a key of this section: the check names a misspelt one
    inside = "the spec" if len(steps) == 1 else "'training'"
    raise UsageError(f"--set {'.'.join(steps)}: there is no '{steps[-1]}' in {inside}; {meant}")


def _replace(tree: Tree, steps: Sequence[str], at: int, value: Tree) -> Tree:
    """Return ``tree`` with ``value`` at the path ``steps[at:]`` below it."""
    where = ".".join(steps[:at]) or "the spec"
    if at:
        tree = long_form(tree, steps[:at]) or tree
    if tree.value is None and steps[:at] in (["training"], ["data"]):
        tree = Tree({}, tree.mark)  # the section is empty
    if not isinstance(tree.value, dict | list):
        raise UsageError(f"--set {'.'.join(steps)}: '{where}' is {describe(tree)}, which has no keys")
    keys = _keys(tree)
    # Names may contain dots: try the longest name first.
    for end in range(len(steps), at, -1):
        found = keys.get(".".join(steps[at:end]))
        if found is not None:
            is_null = end == len(steps) and value.value is None and isinstance(tree.value, dict)
            if is_null and is_removed([*steps[:at], str(found)]):
                return _without(tree, str(found))
            child: Tree = tree.find([found])[0] or value
            return _with(tree, found, value if end == len(steps) else _replace(child, steps, end, value))
    step = steps[at]
    if isinstance(tree.value, dict):
        if at == len(steps) - 1:
            is_absent = value.value is None and is_removed(steps) and is_optional(steps)
            return tree if is_absent else _with(tree, step, value)
        new = created(tree, steps[:at], step, steps[at + 1 :])
        if new is not None:
            return _with(tree, step, _replace(new, steps, at + 1, value))
    hint = did_you_mean(step, keys) or did_you_mean(".".join(steps[at : at + 2]), keys)
    if hint is None and isinstance(tree.value, list) and (names := _names(keys)):
        hint = f"there are {format_names(names)}"
    if steps[: at + 1] == ["training", "callbacks"]:
        hint = "write --set 'training.callbacks=[{type: EarlyStopping, patience: 3}]'"
    inside = "" if at == 0 else f" in '{where}'"
    raise UsageError(f"--set {'.'.join(steps)}: there is no '{step}'{inside}" + (f"; {hint}" if hint else ""))


def _keys(tree: Tree) -> dict[str, str | int]:
    """Return the names of the parts of ``tree`` with their keys or indices."""
    if isinstance(tree.value, dict):
        return {key: key for key in tree.value}
    keys: dict[str, str | int] = {str(index): index for index in range(len(tree.value))}
    kinds = [item if isinstance(item.value, str) else item.get("type") for item in tree.value]
    types = [kind.value if kind is not None else None for kind in kinds]
    for index, (item, kind) in enumerate(zip(tree.value, types, strict=True)):
        if isinstance(kind, str) and types.count(kind) == 1 and item_name(item) is None:  # a callback, a metric
            keys[kind] = index
    for index in reversed(range(len(tree.value))):
        if name := item_name(tree.value[index]):
            keys[name] = index
    return keys


def _names(keys: Mapping[str, str | int]) -> list[str]:
    """Return the names of the parts of a list, in its order."""
    return sorted((name for name in keys if not name.isdecimal()), key=lambda name: keys[name])


def _without(tree: Tree, key: str) -> Tree:
    """Return ``tree``, a mapping, without ``key``."""
    return Tree({k: child for k, child in tree.value.items() if k != key}, tree.mark, tree.key_marks)


def _with(tree: Tree, key: str | int, child: Tree) -> Tree:
    """Return ``tree`` with ``child`` at ``key``."""
    if isinstance(key, int):
        items = list(tree.value)
        items[key] = child
        return Tree(items, tree.mark)
    marks = tree.key_marks if key in tree.key_marks else {**tree.key_marks, key: child.mark}
    return Tree({**tree.value, key: child}, tree.mark, marks)
