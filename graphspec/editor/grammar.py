"""What may stand at a place of a spec: the keys of a mapping, the values of a key, and what each means.

The answers are schemas of arguments (``language/schema_values.py``). Which keys a layer has follows from its ``type``, and
so on: :func:`fields` looks at the values that are written, where a JSON Schema has conditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from graphspec.base.config import Config, Registry
from graphspec.editor.nodes import Entry, Node
from graphspec.language.column_types import COLUMNS
from graphspec.language.explain import REGISTRIES
from graphspec.language.layer_entries import ENTRY_KEYS
from graphspec.language.parse import REQUIRED
from graphspec.language.schema import (
    BLOCK,
    NODE_KEYS,
    SHARE,
    block_schema,
    document_properties,
    record_schema,
    section_schema,
)
from graphspec.language.schema_classes import (
    OPTION,
    accepted,
    describe_class,
    first_sentence,
    paragraphs_of,
    primary_name,
)
from graphspec.language.schema_values import Schema, arguments
from graphspec.language.sections import InputKeys
from graphspec.vocabulary.layers import CELLS, LAYERS

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
