"""Parse a document to a :class:`~graphspec.language.declarations.Spec`, and find all of its problems in one run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, SpecError, did_you_mean
from graphspec.base.synonyms.keys import DOCUMENT, found
from graphspec.language.data_sources import parse_data
from graphspec.language.declarations import NodeDecl, Ref, Spec
from graphspec.language.expand import Expanded, expand
from graphspec.language.explain import validate
from graphspec.language.layer_entries import ENTRY_KEYS
from graphspec.language.layer_hints import block_names, unknown_layer_hint
from graphspec.language.names import InputRef, Item, bad_name, is_name, resolve
from graphspec.language.read import read
from graphspec.language.search_section import parse_search
from graphspec.language.sections import parse_heads, parse_inputs, parse_training
from graphspec.language.tree import Problems, Tree, describe, intended_keys, item_name, type_hint
from graphspec.language.weight_files import of_items
from graphspec.language.written_inputs import check_written
from graphspec.vocabulary.layers import LAYERS, Layer

VERSION = 1
REQUIRED = ("graphspec", "name", "inputs", "layers", "outputs")
_MISSING = {
    "graphspec": f"begin with `graphspec: {VERSION}`",
    "name": "write a name for the run directory and the ONNX graph",
    "inputs": "for example `inputs: {x: {shape: [13]}}`",
    "layers": "for example `layers: [{name: y, type: Dense, units: 1}]`",
    "outputs": "name a node as a head: `outputs: {y: {loss: mean_squared_error}}`",
}
KEYS = (*REQUIRED[:2], "description", "vars", "inputs", "blocks", *REQUIRED[3:], "training", "data", "search")


def parse(
    source: str | os.PathLike[str] | Mapping[str, Any], sets: Sequence[str] = ()
) -> tuple[Spec | None, list[Diagnostic]]:
    """Read, expand and parse a spec.

    Args:
        source: a file's path, or a dict.
        sets: overrides ``key.path=VALUE``.

    Returns:
        The spec with everything that is valid, and all problems sorted by position. The spec is None if the document
        cannot be read or is too large.

    Raises:
        UsageError: an override is malformed or leads nowhere.
    """
    problems = Problems()
    try:
        tree = read(source, sets=sets, problems=problems)
    except SpecError as error:
        return None, error.diagnostics
    return parse_tree(tree, None if isinstance(source, Mapping) else Path(source).parent, problems)


def parse_tree(tree: Tree, base: Path | None, problems: Problems | None = None) -> tuple[Spec | None, list[Diagnostic]]:
    """Expand and parse a document that has been read, see :func:`parse`.

    Args:
        base: the folder of the spec; None for a dict.
        problems: those of reading.
    """
    problems = problems or Problems()
    _check_document(tree, problems)
    expanded = expand(tree, problems)
    spec = None if expanded.overflow else _spec(tree, expanded, base, problems)
    return spec, sorted(problems.found, key=Diagnostic.sort_key)


def _check_document(tree: Tree, problems: Problems) -> None:
    """Report unknown and missing keys of the document."""
    missing = [key for key in REQUIRED if key not in tree.value]
    meant: set[str] = set()
    for key in tree.value:
        if key not in KEYS:
            hint = found(key, DOCUMENT, missing) or found(key, DOCUMENT, KEYS) or did_you_mean(key, KEYS)
            hint = hint or f"the keys are {', '.join(KEYS)}"
            meant |= {known for known in missing if f"did you mean '{known}'?" in hint}
            problems.key(tree, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of the document", hint=hint)
    meant |= intended_keys(tree, KEYS) if missing else set()
    for key in (key for key in missing if key not in meant):
        problems.node(tree, Code.MISSING_KEY, f"the document needs `{key}`", hint=_MISSING[key], subject=key)


def _spec(tree: Tree, expanded: Expanded, base: Path | None, problems: Problems) -> Spec:
    """Return the spec with everything that is valid in the document."""
    empty = Tree({}, tree.mark)
    sections = expanded.sections
    _check_version(sections.get("graphspec"), problems)
    name = _text(sections.get("name"), "name", problems)
    if name and not is_name(name):
        message, hint = bad_name("`name`", name)
        problems.value(sections["name"], Code.VALUE_NOT_ALLOWED, message, hint=hint)
    inputs = parse_inputs(sections["inputs"], problems) if "inputs" in sections else {}
    entries = {item.full: (item.owner or item).tree for item in expanded.nodes}
    heads = parse_heads(sections["outputs"], expanded.heads, problems, entries) if "outputs" in sections else {}
    declared = sections.get("inputs", empty).value
    return Spec(
        name=name or "spec",
        description=_text(sections.get("description"), "description", problems) or "",
        inputs=inputs,
        nodes=_parse_nodes(expanded, problems, block_names(tree)),
        heads={name: head for name, head in heads.items() if not head.only_trained},
        training=parse_training(sections.get("training"), problems),
        data=parse_data(
            sections.get("data"),
            base,
            list(declared) if isinstance(declared, dict) else [],
            [h.name for h in heads.values() if h.loss is None or h.needs_data],
            problems,
        ),
        document={key: child.plain() for key, child in tree.value.items() if key != "search"},
        tree=tree,
        base=base,
        terms={name: head for name, head in heads.items() if head.only_trained},
        search=None if (search := tree.get("search")) is None else parse_search(search, problems),
        weights=of_items(expanded.top, expanded.scopes, problems),
    )


def _check_version(tree: Tree | None, problems: Problems) -> None:
    if tree is None or tree.unknown:
        return
    if isinstance(tree.value, bool) or not isinstance(tree.value, int):
        message = f"`graphspec` must be an integer, not {describe(tree)}"
        problems.value(tree, Code.WRONG_TYPE, message, hint=f"write `graphspec: {VERSION}`")
    elif tree.value != VERSION:
        hint = f"write `graphspec: {VERSION}`, or use a newer graphspec"
        problems.value(tree, Code.UNKNOWN_VERSION, f"language version {tree.value} is not known", hint=hint)


def _text(tree: Tree | None, key: str, problems: Problems) -> str | None:
    if tree is None or tree.unknown:
        return None
    if not isinstance(tree.value, str):
        message = f"`{key}` must be text, not {describe(tree)}"
        problems.value(tree, Code.WRONG_TYPE, message, hint=type_hint(tree, "text") or "write text")
        return None
    return tree.value


# Nodes


def _parse_nodes(expanded: Expanded, problems: Problems, blocks: Sequence[str]) -> list[NodeDecl]:
    layers: dict[int, Layer | None] = {}
    for item in (*expanded.nodes, *expanded.unused):
        if id(item.tree) not in layers:  # all copies of an entry share one tree
            layers[id(item.tree)] = None if item.owner is not None else _parse_layer(item, problems, blocks)
    for item in expanded.unused:
        _calls(item, problems)
        check_written(item, LAYERS.get(_type((item.owner or item).tree) or ""), problems)
    nodes = []
    for item in expanded.nodes:
        owner = item.owner or item
        layer = None if item.failed else layers.get(id(owner.tree))
        written = check_written(item, LAYERS.get(_type(owner.tree) or ""), problems)
        nodes.append(
            NodeDecl(
                name=item.full,
                type=_type(owner.tree),
                layer=layer,
                inputs=expanded.refs[item.full] if written is not None else [None],
                share=None if item.owner is None else item.owner.full,
                trainable=owner.trainable,
                call=_calls(item, problems),
                tree=item.tree,
                within=item.scope.outermost,
                options=_options(item, problems),
                written=written or {},
            )
        )
    return nodes


def _type(tree: Tree) -> str | None:
    kind = tree.get("type")
    return kind.value if kind is not None and isinstance(kind.value, str) else None


def _parse_layer(item: Item, problems: Problems, blocks: Sequence[str]) -> Layer | None:
    """Return the layer of a node, or None if it is wrong. ``blocks`` are the names of the document's blocks."""
    tree = item.tree
    kind = _type(tree)
    own = () if (known := LAYERS.get(kind or "")) is None else known.own_keys
    trainable = tree.get("trainable") if "trainable" not in own else None
    if trainable is not None and not isinstance(trainable.value, bool) and not trainable.unknown:
        message = f"`trainable` of '{item.full}' must be true or false, not {describe(trainable)}"
        problems.value(
            trainable,
            Code.WRONG_TYPE,
            message,
            hint=type_hint(trainable, "true or false") or "write false to freeze it",
        )
    if item.failed or kind is None:
        return None
    if kind in LAYERS.refused:
        reason, hint = LAYERS.refused[kind]
        problems.value(
            tree.value["type"], Code.VALUE_NOT_ALLOWED, f"{kind} '{item.full}' is refused: {reason}", hint=hint
        )
        return None
    cls = LAYERS.get(kind)
    if cls is None:
        hint = unknown_layer_hint(tree, kind, blocks)
        problems.value(tree.value["type"], Code.UNKNOWN_CLASS, f"unknown layer '{kind}'", hint=hint)
        return None
    without = (*(k for k in ENTRY_KEYS if k not in own), *cls.call_arguments, *cls.call_options)
    copied = item_name(tree) if tree.get("repeat") is not None else None  # an error concerns all copies
    name = item.full if copied is None else item.scope.prefix + copied
    return validate(cls, tree, f"{kind} '{name}'", problems, without=without)


def _calls(item: Item, problems: Problems) -> dict[str, list[Ref | None]]:
    """Return Keras's call arguments of a node as lists of references."""
    cls = LAYERS.get(_type(item.tree) or "")
    calls: dict[str, list[Ref | None]] = {}
    for key in cls.call_arguments if cls is not None else ():
        argument = item.tree.get(key)
        if argument is None or (argument.value is None and not argument.unknown):
            continue
        refs: list[Ref | None] = []
        for value in argument.value if isinstance(argument.value, list) else [argument]:
            if isinstance(value.value, str):
                refs.append(resolve(InputRef.named(item.scope, value), problems))
                continue
            refs.append(None)
            if not value.unknown:
                message = f"`{key}` of '{item.full}' must contain names of nodes, not {describe(value)}"
                hint = "write a node's name, or `name:k` for its output k"
                problems.value(value, Code.WRONG_TYPE, message, hint=hint)
        calls[key] = refs
    return calls


def _options(item: Item, problems: Problems) -> dict[str, bool]:
    """Return Keras's call arguments of a node that are true or false."""
    cls = LAYERS.get(_type((item.owner or item).tree) or "")
    options: dict[str, bool] = {}
    for key in cls.call_options if cls is not None else ():
        value = item.tree.get(key)
        if value is None or value.unknown:
            continue
        if not isinstance(value.value, bool):
            message = f"`{key}` of '{item.full}' must be true or false, not {describe(value)}"
            problems.value(value, Code.WRONG_TYPE, message, hint=type_hint(value, "true or false") or "write true")
            continue
        options[key] = value.value
    return options
