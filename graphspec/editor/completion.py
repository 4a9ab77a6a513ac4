"""What may be written at a place of a spec: the keys of a mapping, the values of a key, and what each means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple

from graphspec.base.config import Config, Registry
from graphspec.editor.analysis import Analysis, Cursor, locate
from graphspec.editor.document import Edit, Entry, Node, Span
from graphspec.editor.names import Scope, scope_of, scopes
from graphspec.graph.ir.dims import show
from graphspec.language import schema as of_schema
from graphspec.language.columns import COLUMNS
from graphspec.language.explain import REGISTRIES
from graphspec.language.layer_entries import ENTRY_KEYS
from graphspec.language.schema import Schema
from graphspec.language.sections import REQUIRED, InputKeys
from graphspec.vocabulary.layers import CELLS, LAYERS
from graphspec.vocabulary.losses import LOSSES

KINDS: dict[str, Registry[Any]] = {**REGISTRIES, "column": COLUMNS}  # by the names that schemas have for them
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
    found = of_schema.document_properties()
    found["inputs"] = {**found["inputs"], "additionalProperties": {"x-place": "input"}}
    found["layers"] = {**found["layers"], "title": "list of layers"}
    return {key: Field(value, key in REQUIRED) for key, value in found.items()}


def _with_required(schema: Schema) -> dict[str, Field]:
    required = schema.get("required", ())
    return {key: Field(value, key in required) for key, value in schema.get("properties", {}).items()}


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
    match schema.get("x-place") or str(schema.get("$ref", "")).rpartition("/")[2]:
        case "document":
            return document()
        case "node":
            return _node(node)
        case "block":
            return _with_required(of_schema.block_schema())
        case "input":
            return _input(node)
    if (kind := kind_of(schema)) is not None:
        return _object(kind, schema, node)
    found: dict[str, Field] = {}
    for member in members(schema):
        found |= _with_required(member)
    return found


def _items(schema: Schema) -> Schema | None:
    return next((member["items"] for member in members(schema) if isinstance(member.get("items"), dict)), None)


def child(schema: Schema | None, entry: Entry) -> Schema | None:
    """Return the schema of the value of an entry, whose mapping or list has ``schema``."""
    if schema is None:
        return None
    if entry.key is None:
        return _items(schema)
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
    keys = {key: Field(value) for key, value in of_schema.NODE_KEYS.items()}
    common = {"name": keys["name"], "inputs": keys["inputs"]}
    if node is not None and node.find("share") is not None:
        return {"share": Field(of_schema.SHARE, True), "average": Field(of_schema.AVERAGE), **common}
    if node is not None and node.find("block") is not None:
        copies = {key: keys[key] for key in ("repeat", "trainable", "weights")}
        return {"block": Field(of_schema.BLOCK, True), "params": Field(_PARAMS), **common, **copies}
    if node is None or node.find("type") is None:
        return {"type": Field(_TYPE, True), "block": Field(of_schema.BLOCK), "share": Field(of_schema.SHARE), **common}
    cls = named_class(LAYERS, node.scalar("type"))
    own = {} if cls is None else {key: value for key, value in class_fields(cls).items() if key not in ENTRY_KEYS}
    return {"type": Field(_TYPE, True), **own, **keys}


def _object(kind: str, schema: Schema, node: Node | None) -> dict[str, Field]:
    """Return the keys of a mapping that stands for an object of a registry."""
    names: Schema = {"title": kind, "type": "string", "allOf": [{"$ref": f"#/$defs/{kind}"}]}
    if text := schema.get("description"):
        names["description"] = text
    cls = None if node is None else named_class(KINDS[kind], node.scalar("type"))
    return {"type": Field(names, True)} | ({} if cls is None else class_fields(cls))


def _input(node: Node | None) -> dict[str, Field]:
    record = {key: Field(value, key == "columns") for key, value in of_schema.record_schema()["properties"].items()}
    if node is not None and node.find("columns") is not None:
        return record
    found = {key: Field(value) for key, value in of_schema.section_schema(InputKeys)["properties"].items()}
    if node is None or node.scalar("dtype") != "string":
        found["shape"] = Field(found["shape"].schema, True)
    if node is None or not any(node.find(key) is not None for key in found):
        found["columns"] = record["columns"]
    return found


@cache
def class_fields(cls: type[Config]) -> dict[str, Field]:
    """Return the arguments of a class, the required ones first."""
    found, required = of_schema.arguments(cls)
    own = {key: Field(value, key in required) for key, value in found.items()}
    calls = {key: Field(_CALLS) for key in getattr(cls, "call_arguments", ())}
    calls |= {key: Field(of_schema.OPTION) for key in getattr(cls, "call_options", ())}
    return dict(sorted(own.items(), key=lambda item: not item[1].required)) | calls


def named_class(registry: Registry[Any], name: str | None) -> type[Config] | None:
    """Return the class of a name, or of the name that it probably stands for."""
    if not name:
        return None
    found: type[Config] | None = registry.get(name)
    near = re.search(r"did you mean '([\w.]+)'|^write `([\w.]+)`", "" if found else registry.suggest(name) or "")
    return registry.get(near[1] or near[2]) if near else found


@cache
def names_of(kind: str) -> dict[str, str]:
    """Return the names of a registry with their meanings in Markdown; those of layers, cells, columns are detailed."""
    registry = KINDS[kind]
    is_detailed = registry in (LAYERS, CELLS, COLUMNS)
    found: dict[str, str] = {}
    for cls in of_schema.accepted(registry):
        primary = of_schema.primary_name(registry, cls)
        text = (
            of_schema.describe_class(cls) if is_detailed else of_schema.first_sentence(of_schema.paragraphs_of(cls)[0])
        )
        for name in registry.names():
            if registry.get(name) is cls:
                found[name] = f"Another name of {primary}." if is_detailed and name != primary else text
    return found


def types_of(schema: Schema) -> Sequence[str]:
    """Return the types that one alternative of a schema names."""
    types: str | Sequence[str] = schema.get("type", ())
    return [types] if isinstance(types, str) else types


def choices(schema: Schema) -> list[str]:
    """Return the words that a schema accepts: those of a list, true and false, null."""
    found: list[str] = []
    for member in members(schema):
        types = types_of(member)
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
    if at is None or (not analysis.is_spec and analysis.root.entries):
        return []
    line = analysis.text.line_of(offset)  # an editor replaces a part of one line
    start, end = max(at.token.start, analysis.text.starts[line]), min(at.token.end, analysis.text.ends[line])
    if at.entry is not None and at.entry.key == "value" and at.container.scalar("type") == "Formula":
        return _in_formula(analysis, at, offset)
    at = at._replace(token=Span(start, max(end, offset)))
    items = [*(_keys(analysis, at) if at.role == "key" else values(analysis, at))]
    return [*{item.label: item for item in reversed(items)}.values()][::-1]


def _in_formula(analysis: Analysis, at: Cursor, offset: int) -> list[Item]:
    """Return the names of nodes, variables and operations that the word at an offset may be."""
    source, scope = analysis.text.text, scope_of(analysis, at.container)
    word = Span(offset - len(re.findall(r"[\w.]*$", source[:offset])[0]), offset)
    own = at.container.scalar("name")
    known = {name: _shape_of(analysis, name, scope) for name in (*scope.inputs, *scope.nodes) if name != own}
    known |= {name: origin for name, origin in scope.variables.items() if name not in known}
    names = {name if name.isidentifier() else f"`{name}`": detail for name, detail in known.items()}
    found = [Item(name, "name", Edit(*word, name), detail, rank=0) for name, detail in names.items()]
    operations = (name.removeprefix("ops.") for name in LAYERS.names() if name.startswith("ops."))
    return found + [Item(name, "word", Edit(*word, name), "operation", rank=2) for name in operations]


# Keys


def _keys(analysis: Analysis, at: Cursor) -> Iterator[Item]:
    container = at.container
    written = {entry.key for entry in container.entries if entry is not at.entry}
    found = fields(schema_at(container), container)
    yield from _fields(analysis, at, {key: field for key, field in found.items() if key not in written})
    for name, detail in _free_names(analysis, container):
        if name not in written:
            yield Item(name, "name", _key_edit(analysis, at, name), detail)


def _fields(analysis: Analysis, at: Cursor, found: dict[str, Field]) -> Iterator[Item]:
    for key, (schema, required) in found.items():
        if not schema.get("doNotSuggest"):
            detail = f"{schema.get('title', '')}{', required' if required else ''}".removeprefix(", ")
            text = str(schema.get("description", ""))
            yield Item(key, "key", _key_edit(analysis, at, key), detail, text, 0 if required else 1)


def _key_edit(analysis: Analysis, at: Cursor, key: str) -> Edit:
    """Return the edit that writes a key, with its colon if there is none yet."""
    has_quotes = analysis.text.text[at.token.start : at.token.start + 1] in ('"', "'")
    word = f'"{key}"' if analysis.is_json or has_quotes else key
    has_colon = at.role == "key" and at.entry is not None and at.entry.colon is not None
    return Edit(*at.token, word if has_colon else f"{word}: ")


def _free_names(analysis: Analysis, container: Node) -> Iterator[tuple[str, str]]:
    """Yield the names that may be keys of a mapping whose keys are free."""
    path = container.keys()
    top = scopes(analysis)[0]
    if path == ["outputs"]:
        yield from ((name, _shape_of(analysis, name)) for name in top.nodes)
    elif path[:1] == ["data"] and path[2:] == ["inputs"]:
        yield from ((name, "input") for name in top.inputs)
    elif path[:1] == ["data"] and path[2:] == ["targets"]:
        yield from _heads(analysis)
    elif path[-1:] == ["params"] and (instance := container.parent) is not None:
        blocks = analysis.root.get("blocks")
        block = None if blocks is None else blocks.get(instance.scalar("block") or "")
        yield from ((str(entry.key), "param") for entry in (() if block is None else block.below("params")))


# Values


def values(analysis: Analysis, at: Cursor) -> Iterator[Item]:
    """Yield what the value at a place may be."""
    entry, schema = at.entry, schema_at(at.container)
    inside = child(schema, entry) if entry is not None else _items(schema or {})
    yield from _names(analysis, at)
    if inside is None:
        return
    if at.as_mapping and entry is not None:  # the first key of a mapping, which is the value
        first = at._replace(role="key", entry=None)
        yield from _fields(analysis, first, fields(inside, entry.node if entry.node.kind == "mapping" else None))
        of_outputs = analysis.text.text[: at.token.start].rstrip().endswith("outputs:")
        if entry.node.kind in ("empty", "scalar") and at.container.entry is None and of_outputs:
            for name in scopes(analysis)[0].nodes:
                yield Item(name, "name", _key_edit(analysis, first, name), _shape_of(analysis, name))
        line_of = analysis.text.line_of
        if entry.key is not None and entry.colon is not None and line_of(entry.colon) != line_of(at.token.start):
            return  # in a line of its own below a key, a list or a mapping begins, not a word
    kind, words, default = kind_of(inside), choices(inside), _default(inside)
    if kind is not None:
        known = names_of(kind).items()
        items = [Item(name, "class", _value_edit(analysis, at, name), text=text, rank=2) for name, text in known]
        yield from _fitting(analysis, at, items) if kind == "loss" else items
    for word in words:
        literal = word in ("true", "false", "null")
        edit, text = _value_edit(analysis, at, word, literal=literal), str(inside.get("description", ""))
        yield Item(word, "word", edit, "default" if word == default else "", "" if literal else text)
    if not words and kind is None and default is not None:
        yield Item(default, "word", _value_edit(analysis, at, default, literal=True), "default")


def _value_edit(analysis: Analysis, at: Cursor, word: str, *, literal: bool = False) -> Edit:
    """Return the edit that writes a value. In JSON, a text gets quotes, unless they are there."""
    before = analysis.text.text[at.token.start - 1 : at.token.start]
    quotes = analysis.is_json and before not in ('"', "'") and not literal
    return Edit(*at.token, (" " if before == ":" else "") + (f'"{word}"' if quotes else word))


def _default(schema: Schema) -> str | None:
    default = schema.get("default")
    return of_schema.shown(default) if isinstance(default, bool | int | float | str) and default != "" else None


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
    path, own = holder.keys(), holder.scalar("name")
    is_node = path[-2:-1] == ["layers"]
    if key == "block" and is_node:
        return [(str(entry.key), "block") for entry in analysis.root.below("blocks")]
    if key == "share" and is_node:
        return [(name, _shape_of(analysis, name)) for name in scope.nodes if name != own]
    calls = getattr(named_class(LAYERS, holder.scalar("type")), "call_arguments", ()) if is_node else ()
    if (is_node and (key == "inputs" or key in calls)) or (path[:1] == ["blocks"] and key == "outputs"):
        names = [*scope.inputs, *scope.nodes]
        return [(name, _shape_of(analysis, name, scope)) for name in names if name != own or not is_node]
    if path[:1] == ["outputs"] and key in ("layer", "target"):
        inputs = scope.inputs if key == "target" else ()
        return [(name, _shape_of(analysis, name)) for name in (*inputs, *scope.nodes)]
    if path[:1] == ["outputs"] and path[2:] == ["scale"] and key == "window":
        found = [name for name, symbol in scope.nodes.items() if symbol.node.scalar("type") == "WindowScaling"]
        return [(name, _shape_of(analysis, name)) for name in found]
    if path[:1] == ["data"] and path[2:] == ["windows"] and key in ("future", "static"):
        return [(name, "input") for name in scope.inputs]
    return _heads(analysis) if path[:1] == ["data"] and key == "stratify" else ()


def _fitting(analysis: Analysis, at: Cursor, items: Iterable[Item]) -> Iterator[Item]:
    """Yield losses, first those that fit the head."""
    path = [*at.container.keys(), *([at.entry.key or ""] if at.entry else [])]
    head = path[1] if path[:1] == ["outputs"] and len(path) > 2 else ""
    heads, lowered = analysis.root.get("outputs"), analysis.lowered
    below = None if heads is None else heads.get(head)
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


def _heads(analysis: Analysis) -> list[tuple[str, str]]:
    return [(entry.key, "head") for entry in analysis.root.below("outputs") if entry.key is not None]


def _shape_of(analysis: Analysis, name: str, scope: Scope | None = None) -> str:
    """Return the output shape of a node of the document, as far as it is known."""
    lowered = analysis.lowered
    values = lowered.outputs.get(name) if lowered is not None and (scope is None or scope.is_top) else None
    return show(values[0].shape) if values else ""
