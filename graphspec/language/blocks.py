"""Read the definitions under ``blocks``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphspec.base.codes import Code
from graphspec.base.errors import did_you_mean
from graphspec.language.names import bad_name, is_name
from graphspec.language.tree import Problems, Tree, describe, intended_keys

KEYS = ("description", "params", "inputs", "layers", "outputs")
_MISSING = {
    "inputs": "name its inputs: `inputs: [x]`",
    "layers": "list its nodes, as in `layers` of the document",
    "outputs": "name its output nodes: `outputs: [y]`",
}


@dataclass(slots=True)
class Block:
    """A block definition.

    Attributes:
        wrong: whether it cannot be instantiated because of a reported error.
    """

    name: str
    tree: Tree
    params: dict[str, Tree]
    inputs: dict[str, Tree]
    layers: Tree
    outputs: Tree
    wrong: bool

    def defaults(self, params: Mapping[str, Tree]) -> dict[str, Tree]:
        """Return the defaults of the params that are missing in ``params`` of an instance."""
        return {name: tree for name, tree in self.params.items() if name not in params}


def read_blocks(tree: Tree | None, problems: Problems) -> dict[str, Block]:
    """Return the blocks by name. Errors in unused blocks are reported, too."""
    if tree is None or tree.value is None:
        return {}
    if not isinstance(tree.value, dict):
        message = f"`blocks` must be a mapping of blocks, not {describe(tree)}"
        problems.value(
            tree, Code.WRONG_TYPE, message, hint="for example `name: {inputs: [x], layers: […], outputs: [y]}`"
        )
        return {}
    return {name: _read_block(name, body, tree, problems) for name, body in tree.value.items()}


def _read_block(name: str, body: Tree, blocks: Tree, problems: Problems) -> Block:
    """Read one definition and report its errors."""
    if not is_name(name):
        message, hint = bad_name("block name", name)
        problems.key(blocks, name, Code.VALUE_NOT_ALLOWED, message, hint=hint)
    empty = Tree([], body.mark, path=body.path)
    if not isinstance(body.value, dict):
        message = f"block '{name}' must be a mapping, not {describe(body)}"
        problems.value(body, Code.WRONG_TYPE, message, hint="for example `{inputs: [x], layers: […], outputs: [y]}`")
        return Block(name, body, {}, {}, empty, empty, True)
    for key in body.value:
        if key not in KEYS:
            hint = did_you_mean(key, KEYS) or f"the keys of a block are {', '.join(KEYS)}"
            problems.key(body, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of block '{name}'", hint=hint)
    missing = [key for key in ("inputs", "layers", "outputs") if key not in body.value]
    for key in set(missing) - intended_keys(body, KEYS):
        problems.node(body, Code.MISSING_KEY, f"block '{name}' needs `{key}`", subject=key, hint=_MISSING[key])
    wrong = bool(missing)
    params: dict[str, Tree] = {}
    declared = body.get("params")
    if declared is not None and declared.value is not None:
        if isinstance(declared.value, dict):
            params = declared.value
        else:
            message = f"`params` must be a mapping of defaults, not {describe(declared)}"
            problems.value(declared, Code.WRONG_TYPE, message, hint="for example `{units: 64}`")
    inputs = _input_names(body, name, problems)
    layers, outputs = body.get("layers") or empty, body.get("outputs") or empty
    if not isinstance(layers.value, list):
        message = f"`layers` must be a list of nodes, not {describe(layers)}"
        problems.value(layers, Code.WRONG_TYPE, message, hint="begin every node with `-`")
        wrong = True
    if not isinstance(outputs.value, list | str):
        message = f"`outputs` must be a list of names, not {describe(outputs)}"
        problems.value(outputs, Code.WRONG_TYPE, message, hint=_MISSING["outputs"])
        wrong = True
    return Block(name, body, params, inputs or {}, layers, outputs, wrong or inputs is None)


def _input_names(body: Tree, block: str, problems: Problems) -> dict[str, Tree] | None:
    """Return the names of a block's inputs, or None if they are missing or wrong."""
    declared = body.get("inputs")
    if declared is None:
        return None
    items = declared.value if isinstance(declared.value, list) else [declared]
    names: dict[str, Tree] = {}
    for item in items:
        if not isinstance(item.value, str):
            message = f"`inputs` of block '{block}' must contain names, not {describe(item)}"
            problems.value(item, Code.WRONG_TYPE, message, hint=_MISSING["inputs"])
            return None
        if not is_name(item.value):
            message, hint = bad_name(f"block '{block}': input name", item.value)
            problems.value(item, Code.VALUE_NOT_ALLOWED, message, hint=hint)
        if item.value in names:
            message = f"block '{block}' has two inputs called '{item.value}'"
            problems.value(item, Code.DUPLICATE_NAME, message, hint="rename one of them")
            return None
        names[item.value] = item
    return names
