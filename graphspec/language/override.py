"""Override one value of a spec, before substitution: ``--set key.path=VALUE``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphspec.errors import Mark, SpecError, UsageError, did_you_mean, shorten
from graphspec.language.column_types import COLUMNS
from graphspec.language.tree import MAX_DEPTH, MAX_KEY, MAX_VALUES, Tree, describe, item_name

FILE = "--set"
_SECTIONS = ("description", "vars", "blocks", "training", "data")
"""Optional sections of a document. An override creates them if they are missing."""


def override(tree: Tree, text: str, read_value: Callable[[str, str], Tree]) -> Tree:
    """Return ``tree`` with one value replaced or added. Shared parts stay unchanged elsewhere.

    Args:
        text: ``key.path=VALUE``.
        read_value: parses the value.

    Raises:
        UsageError: the override is malformed, or a part of its path does not exist.
    """
    path, equals, written = text.partition("=")
    path = path.strip()
    if not equals or not path or "" in path.split("."):
        raise UsageError(f"--set takes key.path=VALUE, not {shorten(text)!r}")
    if len(path) > MAX_KEY:
        raise UsageError(f"--set {shorten(path)}: there is no key of {len(path):,} characters")
    try:
        value = read_value(written.strip(), FILE)
    except SpecError as error:
        raise UsageError(f"--set {shorten(text)}: {error.diagnostics[0].message}") from None
    changed = _replace(tree, path.split("."), 0, value)
    if changed.depth > MAX_DEPTH or changed.size > MAX_VALUES:
        excess = (
            f"deeper than {MAX_DEPTH} levels" if changed.depth > MAX_DEPTH else f"larger than {MAX_VALUES:,} values"
        )
        raise UsageError(f"--set {shorten(text)}: it makes the spec {excess}")
    return changed


def _replace(tree: Tree, steps: Sequence[str], at: int, value: Tree) -> Tree:
    """Return ``tree`` with ``value`` at the path ``steps[at:]`` below it."""
    where = ".".join(steps[:at]) or "the spec"
    if isinstance(tree.value, str) and steps[0] == "inputs" and "columns" in steps[:at] and COLUMNS.get(tree.value):
        tree = Tree({"type": tree}, tree.mark, {"type": tree.mark})  # a column's short form
    if not isinstance(tree.value, dict | list):
        raise UsageError(f"--set {'.'.join(steps)}: '{where}' is {describe(tree)}, which has no keys")
    keys = _keys(tree)
    # Names may contain dots: try the longest name first.
    for end in range(len(steps), at, -1):
        found = keys.get(".".join(steps[at:end]))
        if found is not None:
            child: Tree = tree.find([found])[0] or value
            return _with(tree, found, value if end == len(steps) else _replace(child, steps, end, value))
    step = steps[at]
    if isinstance(tree.value, dict):
        if at == len(steps) - 1:
            return _with(tree, step, value)
        if at == 0 and step in _SECTIONS:
            return _with(tree, step, _replace(Tree({}, Mark(FILE)), steps, 1, value))
    hint = did_you_mean(step, keys) or did_you_mean(".".join(steps[at : at + 2]), keys)
    inside = "" if at == 0 else f" in '{where}'"
    raise UsageError(f"--set {'.'.join(steps)}: there is no '{step}'{inside}" + (f"; {hint}" if hint else ""))


def _keys(tree: Tree) -> dict[str, str | int]:
    """Return the names of the parts of ``tree`` with their keys or indices."""
    if isinstance(tree.value, dict):
        return {key: key for key in tree.value}
    keys: dict[str, str | int] = {str(index): index for index in range(len(tree.value))}
    for index in reversed(range(len(tree.value))):
        if name := item_name(tree.value[index]):
            keys[name] = index
    return keys


def _with(tree: Tree, key: str | int, child: Tree) -> Tree:
    """Return ``tree`` with ``child`` at ``key``."""
    if isinstance(key, int):
        items = list(tree.value)
        items[key] = child
        return Tree(items, tree.mark)
    marks = tree.key_marks if key in tree.key_marks else {**tree.key_marks, key: child.mark}
    return Tree({**tree.value, key: child}, tree.mark, marks)
