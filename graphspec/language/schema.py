"""The JSON Schema of the language, for editors: every layer, loss, … with its arguments, made from their classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from graphspec.config import Config, Registry
from graphspec.language.explain import REGISTRIES
from graphspec.language.parse import REQUIRED, VERSION
from graphspec.language.sections import DataKeys, HeadKeys, InputKeys, TrainingKeys, ValidationKeys
from graphspec.layers import LAYERS, Layer

Schema = dict[str, Any]

_VARIABLE: Schema = {"$ref": "#/$defs/variable"}
_NAME: Schema = {"type": "string", "pattern": r"^[^\s/:]+$"}
_NAMES: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_NODE_KEYS: dict[str, Schema] = {
    "name": {**_NAME, "description": "Unique; by default the type in snake case with a counter."},
    "inputs": {
        **_NAMES,
        "description": "One name or a list: inputs, nodes, or `node:k` for output k. Default: the node above.",
    },
    "trainable": {
        "anyOf": [{"type": "boolean"}, _VARIABLE],
        "default": True,
        "description": "`false` freezes the weights.",
    },
    "repeat": {
        "anyOf": [{"type": "integer", "minimum": 1}, _VARIABLE],
        "description": "So many copies in a row, `name_1` … `name_n`, each with weights of its own.",
    },
}
_SHARE: Schema = {"type": "string", "description": "The node or block instance whose weights are used."}
_BLOCK: Schema = {"type": "string", "description": "The block to instantiate."}


def schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a spec."""
    definitions: Schema = {
        "variable": {"type": "string", "pattern": r"\$\{", "description": "A variable, `${x}`."},
        "node": _node(),
        "block": _block(),
    }
    for kind, registry in REGISTRIES.items():
        definitions[kind] = _choice(kind, registry)
        for cls in registry:
            definitions[f"{kind}.{_primary(registry, cls)}"] = _typed(registry, cls)
    for cls in LAYERS:
        definitions[f"node.{_primary(LAYERS, cls)}"] = _layer_node(cls)
    properties: Schema = {
        "graphspec": {"const": VERSION, "description": "Version of the language."},
        "name": {**_NAME, "description": "Names the run directory and the ONNX graph."},
        "description": {"type": "string", "description": "What the network is for."},
        "vars": {"type": "object", "description": "Variables: `${x}` anywhere below."},
        "inputs": _mapping(_closed(InputKeys), "Inputs by name; the batch axis is never written."),
        "blocks": _mapping({"$ref": "#/$defs/block"}, "Groups of layers, to be instantiated with params."),
        "layers": {
            "type": "array",
            "items": {"$ref": "#/$defs/node"},
            "description": "The nodes; each takes the one above it unless `inputs` says otherwise.",
        },
        "outputs": _mapping(
            {"anyOf": [_closed(HeadKeys), {"type": "null"}]},
            "The heads; a head is named after its layer unless it says `layer`.",
        ),
        "training": {**_closed(TrainingKeys), "description": "How the heads are trained."},
        "data": {
            "type": "object",
            "properties": {
                "train": {**_closed(DataKeys), "description": "Training rows."},
                "validation": {**_closed(ValidationKeys), "description": "Rows to watch training with."},
                "test": {**_closed(DataKeys), "description": "Rows to judge by."},
            },
            "additionalProperties": False,
            "description": "Where the rows come from.",
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "graphspec",
        "description": "A neural network as data.",
        "type": "object",
        "properties": properties,
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": definitions,
    }


def _arguments(cls: type[Config]) -> tuple[dict[str, Schema], list[str]]:
    """The arguments of ``cls`` and which of them are required; each may be a variable instead."""
    made = cls.model_json_schema()
    arguments = {key: _open(value) for key, value in made.get("properties", {}).items()}
    return arguments, made.get("required", [])


def _open(value: Schema) -> Schema:
    """``value`` where a variable may stand at every level, as pydantic does not know."""
    about: Schema = {key: value[key] for key in ("description", "default") if key in value}
    core = {key: child for key, child in value.items() if key not in ("description", "default", "title")}
    core = _inside(core)
    if not core or "$ref" in core or (core.get("type") == "string" and "enum" not in core and "const" not in core):
        return {**core, **about}
    members = core["anyOf"] if list(core) == ["anyOf"] else [core]
    if not any(member == {"type": "string"} for member in members) and not any("$ref" in member for member in members):
        members = [*members, _VARIABLE]
    return {"anyOf": members, **about}


def _inside(value: Schema) -> Schema:
    """``value`` with its parts opened; a list with one item for each axis may be that item alone."""
    value = {key: child for key, child in value.items() if key != "title"}
    if "x-kind" in value:
        return {"$ref": f"#/$defs/{value['x-kind']}"}
    if "anyOf" in value:
        members: list[Schema] = []
        for member in map(_inside, value["anyOf"]):
            members += member["anyOf"] if list(member) == ["anyOf"] else [member]
        value["anyOf"] = members
    if isinstance(value.get("items"), dict):
        value["items"] = _open(value["items"])
    if isinstance(value.get("additionalProperties"), dict):
        value["additionalProperties"] = _open(value["additionalProperties"])
    if "prefixItems" in value:
        item, count = value["prefixItems"][0], len(value["prefixItems"])
        return {"anyOf": [item, {"type": "array", "items": _open(item), "minItems": count, "maxItems": count}]}
    return value


def _closed(cls: type[Config]) -> Schema:
    """A mapping with the arguments of ``cls`` and no other."""
    arguments, required = _arguments(cls)
    closed: Schema = {"type": "object", "properties": arguments, "additionalProperties": False, **_about(cls)}
    if neutral := [key for key in cls.neutral if key not in cls.model_fields]:
        closed["patternProperties"] = {f"^({'|'.join(neutral)})$": {}}  # accepted, but no editor proposes them
    return closed if not required else {**closed, "required": required}


def _mapping(value: Schema, description: str) -> Schema:
    return {"type": "object", "additionalProperties": value, "description": description}


def _about(cls: type) -> Schema:
    """The description of ``cls``: its docstring as an editor shows it."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.getdoc(cls) or "")
    text = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", text)
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return {"description": "\n\n".join(paragraphs)} if text else {}


def _aliases(registry: Registry[Any], cls: type) -> list[str]:
    return [name for name in registry.names() if registry.get(name) is cls]


def _primary(registry: Registry[Any], cls: type) -> str:
    return _aliases(registry, cls)[0]


def _type(registry: Registry[Any], names: Sequence[str]) -> Schema:
    """The key ``type``, one of ``names``, each with the first line of what it is."""
    lines = []
    for name in names:
        cls = registry.get(name)
        assert cls is not None
        lines.append(_about(cls).get("description", "").split("\n")[0])
    return {"enum": list(names), "enumDescriptions": lines}


def _when(registry: Registry[Any], prefix: str) -> list[Schema]:
    """For each class of ``registry``: whoever names it has its arguments."""
    return [
        {
            "if": {"properties": {"type": {"enum": _aliases(registry, cls)}}, "required": ["type"]},
            "then": {"$ref": f"#/$defs/{prefix}.{_primary(registry, cls)}"},
        }
        for cls in registry
    ]


def _choice(kind: str, registry: Registry[Any]) -> Schema:
    """An object of a registry: its name, or a mapping with its ``type``."""
    names = _type(registry, registry.names())
    mapping = {
        "type": "object",
        "properties": {"type": {"anyOf": [names, _VARIABLE], "description": f"Which {kind}."}},
        "required": ["type"],
        "allOf": _when(registry, kind),
    }
    return {"anyOf": [names, mapping, _VARIABLE]}


def _typed(registry: Registry[Any], cls: type[Config]) -> Schema:
    """A mapping with ``type`` and the arguments of ``cls``."""
    closed = _closed(cls)
    properties = {"type": {"enum": _aliases(registry, cls)}, **closed["properties"]}
    return {**closed, "properties": properties, "required": ["type", *closed.get("required", [])]}


def _layer_node(cls: type[Layer]) -> Schema:
    """A node of type ``cls``: its arguments, Keras's call arguments and the keys that every node has."""
    typed = _typed(LAYERS, cls)
    base = f"#/$defs/layer.{_primary(LAYERS, cls)}/properties/"
    calls = {key: {**_NAMES, "description": "Nodes, as Keras's call argument."} for key in cls.call_arguments}
    arguments: Mapping[str, Schema] = {key: {"$ref": base + key} for key in typed["properties"]}
    common: Mapping[str, Schema] = {key: {"$ref": f"#/$defs/node/properties/{key}"} for key in _NODE_KEYS}
    return {**typed, "properties": {**common, **arguments, **calls}}


def _node() -> Schema:
    """An entry of ``layers``: a layer, an instance of a block, or a share."""
    kinds = {"anyOf": [_type(LAYERS, LAYERS.names()), _VARIABLE], "description": "Which layer."}
    shared: Schema = {
        "properties": {"name": _NODE_KEYS["name"], "share": _SHARE, "inputs": _NODE_KEYS["inputs"]},
        "additionalProperties": False,
    }
    params: Schema = {"type": "object", "description": "Params of the block; its defaults where they are not given."}
    instance: Schema = {
        "properties": {"block": _BLOCK, "params": params, **_NODE_KEYS},
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {**_NODE_KEYS, "type": kinds, "block": _BLOCK, "share": _SHARE},
        "oneOf": [{"required": ["type"]}, {"required": ["block"]}, {"required": ["share"]}],
        "allOf": [
            {"if": {"required": ["share"]}, "then": shared},
            {"if": {"required": ["block"]}, "then": instance},
            *_when(LAYERS, "node"),
        ],
    }


def _block() -> Schema:
    return {
        "type": "object",
        "properties": {
            "description": {"type": "string", "description": "What the block is for."},
            "params": {"type": "object", "description": "Params with their defaults: `${x}` inside the block."},
            "inputs": {**_NAMES, "description": "What the block takes."},
            "layers": {"type": "array", "items": {"$ref": "#/$defs/node"}, "description": "The block's nodes."},
            "outputs": {
                **_NAMES,
                "description": "The nodes that the block gives: `mix` is output 0, `mix:k` output k.",
            },
        },
        "required": ["inputs", "layers", "outputs"],
        "additionalProperties": False,
        "description": "Layers to be instantiated; they see the block's inputs, params, vars and each other.",
    }
