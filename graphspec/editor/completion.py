"""What may be written at a place of a spec: the keys of a mapping, the values of a key, and what each means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple

from graphspec.base.config import Config, Registry
from graphspec.editor.analysis import Analysis, Cursor, locate
from graphspec.editor.document import Edit, Entry, Node, Span
from graphspec.editor.names import Scope, scope_of, scopes
from graphspec.language.columns import COLUMNS
from graphspec.language.explain import REGISTRIES
from graphspec.language.layer_entries import ENTRY_KEYS
from graphspec.language.parse import REQUIRED
from graphspec.language.schema import (
    BLOCK,
    NODE_KEYS,
    OPTION,
    SHARE,
    Schema,
    accepted,
    arguments,
    block_schema,
    describe_class,
    document_properties,
    first_sentence,
    paragraphs_of,
    primary_name,
    record_schema,
    section_schema,
    shown,
)
from graphspec.language.sections import InputKeys
from graphspec.vocabulary.layers import CELLS, LAYERS

# What may stand at a place of a spec: the keys of a mapping, the values of a key, and what each means.
KINDS: dict[str, Registry[Any]] = {**REGISTRIES, "column": COLUMNS}
"""The registries by the names that schemas have for them."""
_PARAMS: Schema = {"type": "object", "description": "Params of the block; missing ones have their defaults."}
_TYPE: Schema = {"title": "layer", "type": "string", "allOf": [{"$ref": "#/$defs/layer"}], "description": "The layer."}
_CALLS: Schema = {"title": "name or list of names", "description": "Nodes for Keras's call argument.", "x-names": True}


class Field(NamedTuple):
    """A key of a mapping: its schema, and whether it must be written."""

    schema: Schema
    required: bool = False


@cache
def document() -> dict[str, Field]:
    """Return the keys of a document."""
    found = document_properties()
    found["inputs"] = {**found["inputs"], "additionalProperties": {"x-place": "input"}}
    found["layers"] = {**found["layers"], "title": "list of layers"}
    return {key: Field(value, key in REQUIRED) for key, value in found.items()}


@cache
def block() -> dict[str, Field]:
    """Return the keys of the definition of a block."""
    found = block_schema()
    return {key: Field(value, key in found["required"]) for key, value in found["properties"].items()}


def members(schema: Schema) -> Iterator[Schema]:
    """Yield the alternatives of a schema."""
    if "anyOf" in schema:
        for member in schema["anyOf"]:
            yield from members(member)
        if "type" not in schema and "allOf" not in schema:
            return
    yield schema


def kind_of(schema: Schema) -> str | None:
    """Return the kind of the objects that a schema accepts, such as ``initializer``, or None."""
    for member in members(schema):
        for reference in (member, *member.get("allOf", ())):
            name = str(reference.get("$ref", "")).rpartition("/")[2] if isinstance(reference, dict) else ""
            if name in KINDS:
                return name
    return None


def fields(schema: Schema | None, node: Node | None) -> dict[str, Field]:
    """Return the keys that a mapping may have. ``node`` is the mapping, if it is written already."""
    if schema is None:
        return {}
    place = schema.get("x-place") or str(schema.get("$ref", "")).rpartition("/")[2]
    if place == "document":
        return document()
    if place == "node":
        return _node(node)
    if place == "block":
        return block()
    if place == "input":
        return _input(node)
    if (kind := kind_of(schema)) is not None:
        return _object(kind, schema, node)
    found: dict[str, Field] = {}
    for member in members(schema):
        required = member.get("required", ())
        found |= {key: Field(value, key in required) for key, value in member.get("properties", {}).items()}
    return found


def child(schema: Schema | None, entry: Entry) -> Schema | None:
    """Return the schema of the value of an entry, whose mapping or list has ``schema``."""
    if schema is None:
        return None
    if entry.key is None:
        return next((member["items"] for member in members(schema) if isinstance(member.get("items"), dict)), None)
    if (field := fields(schema, entry.parent).get(entry.key)) is not None:
        return field.schema
    free = (member.get("additionalProperties") for member in members(schema))
    return next((value for value in free if isinstance(value, dict)), None)


def schema_at(node: Node) -> Schema | None:
    """Return the schema of a value; None if anything may stand there or nothing is known."""
    schema: Schema | None = {"x-place": "document"}
    for entry in node.steps():
        schema = child(schema, entry)
    return schema


def _node(node: Node | None) -> dict[str, Field]:
    """Return the keys of an entry of ``layers``."""
    keys = {key: Field(value) for key, value in NODE_KEYS.items()}
    common = {"name": keys["name"], "inputs": keys["inputs"]}
    if node is not None and node.find("share") is not None:
        return {"share": Field(SHARE, True), **common}
    if node is not None and node.find("block") is not None:
        copies = {key: keys[key] for key in ("repeat", "trainable", "weights")}
        return {"block": Field(BLOCK, True), "params": Field(_PARAMS), **common, **copies}
    if node is None or node.find("type") is None:
        return {"type": Field(_TYPE, True), "block": Field(BLOCK), "share": Field(SHARE), **common}
    cls = named_class(LAYERS, node.scalar("type"))
    own = {} if cls is None else {key: value for key, value in class_fields(cls).items() if key not in ENTRY_KEYS}
    return {"type": Field(_TYPE, True), **own, **keys}


def _object(kind: str, schema: Schema, node: Node | None) -> dict[str, Field]:
    """Return the keys of a mapping that stands for an object of a registry."""
    names: Schema = {"title": kind, "type": "string", "allOf": [{"$ref": f"#/$defs/{kind}"}]}
    if text := schema.get("description"):
        names["description"] = text
    found = {"type": Field(names, True)}
    cls = None if node is None else named_class(KINDS[kind], node.scalar("type"))
    return found if cls is None else found | class_fields(cls)


def _input(node: Node | None) -> dict[str, Field]:
    """Return the keys of an input or of a record."""
    record = {key: Field(value, key == "columns") for key, value in record_schema()["properties"].items()}
    if node is not None and node.find("columns") is not None:
        return record
    found = {key: Field(value) for key, value in section_schema(InputKeys)["properties"].items()}
    if node is None or node.scalar("dtype") != "string":
        found["shape"] = Field(found["shape"].schema, True)
    if node is None or not any(node.find(key) is not None for key in found):
        found["columns"] = record["columns"]
    return found


@cache
def class_fields(cls: type[Config]) -> dict[str, Field]:
    """Return the arguments of a class, the required ones first."""
    found, required = arguments(cls)
    own = {key: Field(value, key in required) for key, value in found.items()}
    calls = {key: Field(_CALLS) for key in getattr(cls, "call_arguments", ())}
    calls |= {key: Field(OPTION) for key in getattr(cls, "call_options", ())}
    return dict(sorted(own.items(), key=lambda item: not item[1].required)) | calls


def named_class(registry: Registry[Any], name: str | None) -> type[Config] | None:
    """Return the class of a name, or of the name that it probably stands for."""
    if not name:
        return None
    found: type[Config] | None = registry.get(name)
    if found is None and (
        near := re.search(r"did you mean '([\w.]+)'|^write `([\w.]+)`", registry.suggest(name) or "")
    ):
        found = registry.get(near[1] or near[2])
    return found


@cache
def names_of(kind: str) -> dict[str, str]:
    """Return the names of a registry with what each of them means, in Markdown."""
    registry = KINDS[kind]
    found: dict[str, str] = {}
    for cls in accepted(registry):
        primary = primary_name(registry, cls)
        for name in registry.names():
            if registry.get(name) is cls:
                alias = name != primary and registry in (LAYERS, CELLS, COLUMNS)
                found[name] = f"Another name of {primary}." if alias else text_of(kind, cls)
    return found


def text_of(kind: str, cls: type[Config]) -> str:
    """Return what a class does. The text of a layer, a cell or a column lists its shapes and arguments, too."""
    if KINDS[kind] in (LAYERS, CELLS, COLUMNS):
        return describe_class(cls)
    return first_sentence(paragraphs_of(cls)[0])


def choices(schema: Schema) -> list[str]:
    """Return the words that a schema accepts: those of a list, true and false, null."""
    found: list[str] = []
    for member in members(schema):
        types = member.get("type", ())
        types = [types] if isinstance(types, str) else types
        found += [str(word) for word in member.get("enum", ()) if isinstance(word, str)]
        if "const" in member and not isinstance(member["const"], str):
            found.append(str(member["const"]).lower())
        elif "boolean" in types:
            found += ["true", "false"]
        if "null" in types:
            found.append("null")
    return list(dict.fromkeys(found))


# What may be written at the cursor: keys, names, words. It works in lines that are half written, too.
ItemKind = Literal["key", "class", "word", "name", "variable"]


@dataclass(frozen=True)
class Item:
    """Something to write."""

    label: str
    kind: ItemKind
    edit: Edit  # what is replaced, and by what
    detail: str = ""  # a type, or what is special about it
    text: str = ""  # a description in Markdown
    rank: int = 1  # items of a lower rank come first


def complete(analysis: Analysis, offset: int) -> list[Item]:
    """Return what may be written at an offset."""
    at = locate(analysis, offset)
    if at is None or not (analysis.is_spec or analysis.root.kind == "empty"):
        return []
    line = analysis.text.line_of(offset)  # an editor replaces a part of one line
    start, end = max(at.token.start, analysis.text.starts[line]), min(at.token.end, analysis.text.ends[line])
    at = at._replace(token=Span(start, max(end, offset)))
    items = [*(_keys(analysis, at) if at.role == "key" else _values(analysis, at))]
    return [*{item.label: item for item in reversed(items)}.values()][::-1]


# Keys


def _keys(analysis: Analysis, at: Cursor) -> Iterator[Item]:
    container = at.container
    schema = schema_at(container)
    found = fields(schema, container)
    written = {entry.key for entry in container.entries if entry is not at.entry}
    yield from _fields(analysis, at, {key: field for key, field in found.items() if key not in written})
    for name, detail in _free_names(analysis, container):
        if name not in written:
            yield Item(name, "name", _key_edit(analysis, at, name), detail)


def _fields(analysis: Analysis, at: Cursor, found: dict[str, Field]) -> Iterator[Item]:
    for key, (schema, required) in found.items():
        if schema.get("doNotSuggest"):
            continue
        detail = str(schema.get("title", "")) + (", required" if required else "")
        edit = _key_edit(analysis, at, key)
        yield Item(
            key, "key", edit, detail.removeprefix(", "), str(schema.get("description", "")), 0 if required else 1
        )


def _key_edit(analysis: Analysis, at: Cursor, key: str) -> Edit:
    """Return the edit that writes a key, with its colon if there is none yet."""
    source = analysis.text.text
    has_quotes = source[at.token.start : at.token.start + 1] in ('"', "'")
    word = f'"{key}"' if analysis.is_json or has_quotes else key
    has_colon = at.role == "key" and at.entry is not None and at.entry.colon is not None
    return Edit(*at.token, word if has_colon else f"{word}: ")


def _free_names(analysis: Analysis, container: Node) -> Iterator[tuple[str, str]]:
    """Yield the names that may be keys of a mapping whose keys are free."""
    path = [entry.key or "" for entry in container.steps()]
    top = scopes(analysis)[0]
    if path == ["outputs"]:
        yield from ((name, _shape_of(analysis, name)) for name in top.nodes)
    elif path[:1] == ["data"] and path[2:] == ["inputs"]:
        yield from ((name, "input") for name in top.inputs)
    elif path[:1] == ["data"] and path[2:] == ["targets"]:
        yield from ((name, "head") for name in _keys_of(analysis, "outputs"))
    elif path[-1:] == ["params"] and (instance := container.parent) is not None:
        definition = _blocks(analysis).get(instance.scalar("block") or "")
        params = None if definition is None else definition.get("params")
        yield from ((str(entry.key), "param") for entry in (params.entries if params is not None else ()))


# Values


def _values(analysis: Analysis, at: Cursor) -> Iterator[Item]:
    container, entry = at.container, at.entry
    schema = schema_at(container)
    if entry is not None:
        inside = child(schema, entry)
    else:
        inside = next((m["items"] for m in members(schema or {}) if isinstance(m.get("items"), dict)), None)
    yield from _names(analysis, at)
    if inside is None:
        return
    if at.as_mapping:
        node = entry.node if entry is not None and entry.node.kind == "mapping" else None
        block = replace_role(at)
        yield from _fields(analysis, block, fields(inside, node))
        if entry is not None and entry.node.kind in ("empty", "scalar"):
            yield from _free_keys_below(analysis, block)
    if _begins_line(analysis, at):
        return
    kind = kind_of(inside)
    if kind is not None:
        items = (
            Item(name, "class", _value_edit(analysis, at, name), text=text, rank=2)
            for name, text in names_of(kind).items()
        )
        yield from _fitting(analysis, at, items) if kind == "loss" else items
    words = choices(inside)
    texts = _texts_of_words(inside)
    for word in words:
        edit = _value_edit(analysis, at, word, literal=word in ("true", "false", "null"))
        yield Item(word, "word", edit, "default" if word == _default(inside) else "", texts.get(word, ""))
    if not words and kind is None and (default := _default(inside)) is not None:
        yield Item(default, "word", _value_edit(analysis, at, default, literal=True), "default")


def replace_role(at: Cursor) -> Cursor:
    """Return a place for a value as the place of the first key of a mapping, which is the value."""
    return at._replace(role="key", entry=None)


def _free_keys_below(analysis: Analysis, at: Cursor) -> Iterator[Item]:
    if at.container.entry is None and analysis.text.text[: at.token.start].rstrip().endswith("outputs:"):
        for name in scopes(analysis)[0].nodes:
            yield Item(name, "name", _key_edit(analysis, at, name), _shape_of(analysis, name))


def _begins_line(analysis: Analysis, at: Cursor) -> bool:
    """Return whether the place is in a line of its own below a key, where a list or a mapping begins, not a word."""
    entry, text = at.entry, analysis.text
    return (
        at.as_mapping
        and entry is not None
        and entry.key is not None
        and entry.colon is not None
        and text.line_of(entry.colon) != text.line_of(at.token.start)
    )


def _value_edit(analysis: Analysis, at: Cursor, word: str, *, literal: bool = False) -> Edit:
    """Return the edit that writes a value. In JSON, a text gets quotes, unless they are there."""
    source, token = analysis.text.text, at.token
    bare = source[token.start - 1 : token.start] not in ('"', "'")
    space = "" if source[token.start - 1 : token.start] != ":" else " "
    return Edit(*token, space + (f'"{word}"' if analysis.is_json and bare and not literal else word))


def _default(schema: Schema) -> str | None:
    default = schema.get("default")
    return shown(default) if isinstance(default, bool | int | float | str) and default != "" else None


def _texts_of_words(schema: Schema) -> dict[str, str]:
    """Return the meaning of each word as far as the description says it: ``valid: none; same: …``."""
    text = str(schema.get("description", ""))
    return {word: text for word in choices(schema) if word not in ("true", "false", "null")}


def _names(analysis: Analysis, at: Cursor) -> Iterator[Item]:
    """Yield the names of nodes, blocks, heads or variables that the value may be."""
    source = analysis.text.text
    scope = scope_of(analysis, at.container)
    if source[at.token.start : at.token.end].startswith("$"):
        for name, origin in scope.variables.items():
            yield Item(f"${{{name}}}", "variable", Edit(*at.token, f"${{{name}}}"), origin)
        return
    for name, detail in _referable(analysis, at, scope):
        yield Item(name, "name", _value_edit(analysis, at, name), detail, rank=0)


def _referable(analysis: Analysis, at: Cursor, scope: Scope) -> Iterable[tuple[str, str]]:
    """Return the names that a value may be, and what each of them is."""
    holder, key = at.container, at.entry.key if at.entry is not None else None
    if holder.kind == "list" and holder.entry is not None:
        key, holder = holder.entry.key, holder.entry.parent
    path = [entry.key or "" for entry in holder.steps()]
    own = holder.scalar("name")
    is_node = path[-2:-1] == ["layers"]
    if key == "block" and is_node:
        return [(name, "block") for name in _blocks(analysis)]
    if key == "share" and is_node:
        return [(name, _shape_of(analysis, name)) for name in scope.nodes if name != own]
    calls = getattr(named_class(LAYERS, holder.scalar("type")), "call_arguments", ()) if is_node else ()
    if (is_node and (key == "inputs" or key in calls)) or (path[:1] == ["blocks"] and key == "outputs"):
        names = [*scope.inputs, *scope.nodes]
        return [(name, _shape_of(analysis, name, scope)) for name in names if name != own or not is_node]
    if path[:1] == ["outputs"] and key == "layer":
        return [(name, _shape_of(analysis, name)) for name in scope.nodes]
    if path[:1] == ["outputs"] and key == "target":
        return [(name, _shape_of(analysis, name)) for name in (*scope.inputs, *scope.nodes)]
    if path[:1] == ["data"] and key == "stratify":
        return [(name, "head") for name in _keys_of(analysis, "outputs")]
    return ()


def _fitting(analysis: Analysis, at: Cursor, items: Iterable[Item]) -> Iterator[Item]:
    """Yield losses, first those that fit the head."""
    from graphspec.vocabulary.losses import LOSSES

    path = [entry.key or "" for entry in (*at.container.steps(), *([at.entry] if at.entry else []))]
    lowered = analysis.lowered
    head = path[1] if path[:1] == ["outputs"] and len(path) > 2 else ""
    layer = analysis.root.get("outputs")
    below = None if layer is None else layer.get(head)
    node = (below.scalar("layer") if below is not None else None) or head
    outputs = None if lowered is None else lowered.outputs.get(node.partition(":")[0])
    for item in items:
        cls = LOSSES.get(item.label)
        try:
            problems = cls().check(outputs[0]) if outputs and cls is not None else []
        except Exception:  # a loss with required arguments
            problems = []
        wrong = problems[0].message if problems else None
        yield replace(item, rank=2 if wrong is None else 3, detail=f"does not fit: {wrong}" if wrong else item.detail)


def _blocks(analysis: Analysis) -> dict[str, Node]:
    found = analysis.root.get("blocks")
    return {str(entry.key): entry.node for entry in (found.entries if found is not None else ())}


def _keys_of(analysis: Analysis, section: str) -> list[str]:
    found = analysis.root.get(section)
    return [entry.key for entry in found.entries if entry.key is not None] if found is not None else []


def _shape_of(analysis: Analysis, name: str, scope: Scope | None = None) -> str:
    """Return the output shape of a node of the document, as far as it is known."""
    from graphspec.graph.ir.dims import show

    lowered = analysis.lowered
    values = lowered.outputs.get(name) if lowered is not None and (scope is None or scope.is_top) else None
    return show(values[0].shape) if values else ""
