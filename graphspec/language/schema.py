"""Generate the JSON Schema of the language from the classes of layers, losses, …, for editors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from graphspec.config import Config, Registry
from graphspec.language.column_types import COLUMNS
from graphspec.language.columns import MAX_CROSSED, Cross, RecordKeys
from graphspec.language.data_sources import DataKeys, ValidationKeys
from graphspec.language.explain import REGISTRIES
from graphspec.language.parse import REQUIRED, VERSION
from graphspec.language.sections import HeadKeys, InputKeys, TrainingKeys
from graphspec.layers import LAYERS, Layer

Schema = dict[str, Any]

_VARIABLE: Schema = {"$ref": "#/$defs/variable"}
_NAME: Schema = {"type": "string", "pattern": r"^[^\s/:]+$"}
_NAMES: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_NODE_KEYS: dict[str, Schema] = {
    "name": {**_NAME, "description": "A unique name; by default the type in snake case with a counter."},
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
        "description": "Number of copies in a row, `name_1` … `name_n`, each with its own weights.",
    },
}
_SHARE: Schema = {"type": "string", "description": "The node or block instance whose weights are used."}
_BLOCK: Schema = {"type": "string", "description": "The block to instantiate."}


def schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a spec."""
    definitions: Schema = {
        "variable": {"type": "string", "pattern": r"\$\{", "description": "A variable, `${x}`."},
        "node": _node(),
        "block": _block(),
    }
    for kind, registry in REGISTRIES.items():
        definitions[kind] = _choice(kind, registry)
        for cls in registry:
            definitions[f"{kind}.{_primary(registry, cls)}"] = _typed(registry, cls)
    definitions["column"] = _choice("column", COLUMNS)
    for column in COLUMNS:
        definitions[f"column.{_primary(COLUMNS, column)}"] = _typed(COLUMNS, column)
    for cls in LAYERS:
        definitions[f"node.{_primary(LAYERS, cls)}"] = _layer_node(cls)
    properties: Schema = {
        "graphspec": {"const": VERSION, "description": "Version of the language."},
        "name": {**_NAME, "description": "Names the run directory and the ONNX graph."},
        "description": {"type": "string", "description": "What the network is for."},
        "vars": {"type": "object", "description": "Variables: `${x}` anywhere below."},
        "inputs": _mapping({"anyOf": [_input(), _record()]}, "Inputs by name, without the batch axis; or records."),
        "blocks": _mapping({"$ref": "#/$defs/block"}, "Groups of layers that are instantiated with params."),
        "layers": {
            "type": "array",
            "items": {"$ref": "#/$defs/node"},
            "description": "The nodes; each reads the node above it unless it has `inputs`.",
        },
        "outputs": _mapping(
            {"anyOf": [_closed(HeadKeys), {"type": "null"}]},
            "The heads; a head has the name of its node unless it has `layer`.",
        ),
        "training": {**_closed(TrainingKeys), "description": "How the heads are trained."},
        "data": {
            "type": "object",
            "properties": {
                "train": {**_closed(DataKeys), "description": "Training rows."},
                "validation": {**_closed(ValidationKeys), "description": "Rows for validation during training."},
                "test": {**_closed(DataKeys), "description": "Rows for the final evaluation."},
            },
            "additionalProperties": False,
            "description": "The sources of the rows.",
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
    """Return the arguments of ``cls`` and the names of the required ones. Each argument may be a variable."""
    generated = cls.model_json_schema()
    arguments = {key: _allow_variables(value) for key, value in generated.get("properties", {}).items()}
    return arguments, generated.get("required", [])


def _allow_variables(value: Schema) -> Schema:
    """Return ``value`` with a variable as an alternative at every level. Pydantic does not know variables."""
    annotations: Schema = {key: value[key] for key in ("description", "default") if key in value}
    core = {key: child for key, child in value.items() if key not in ("description", "default", "title")}
    core = _inside(core)
    if not core or "$ref" in core or (core.get("type") == "string" and "enum" not in core and "const" not in core):
        return {**core, **annotations}
    members = core["anyOf"] if list(core) == ["anyOf"] else [core]
    if not any(member == {"type": "string"} for member in members) and not any("$ref" in member for member in members):
        members = [*members, _VARIABLE]
    return {"anyOf": members, **annotations}


def _inside(value: Schema) -> Schema:
    """Return ``value`` with variables allowed in its parts. A list with one item per axis may also be a single item."""
    value = {key: child for key, child in value.items() if key != "title"}
    if "x-kind" in value:
        return {"$ref": f"#/$defs/{value['x-kind']}"}
    if "anyOf" in value:
        members: list[Schema] = []
        for member in map(_inside, value["anyOf"]):
            members += member["anyOf"] if list(member) == ["anyOf"] else [member]
        value["anyOf"] = members
    if isinstance(value.get("properties"), dict):
        value["properties"] = {key: _allow_variables(child) for key, child in value["properties"].items()}
    if isinstance(value.get("items"), dict):
        value["items"] = _allow_variables(value["items"])
    if isinstance(value.get("additionalProperties"), dict):
        value["additionalProperties"] = _allow_variables(value["additionalProperties"])
    if "prefixItems" in value:
        item, count = value["prefixItems"][0], len(value["prefixItems"])
        return {
            "anyOf": [item, {"type": "array", "items": _allow_variables(item), "minItems": count, "maxItems": count}]
        }
    return value


def _closed(cls: type[Config]) -> Schema:
    """Return the schema of a mapping with the arguments of ``cls`` and no other keys."""
    arguments, required = _arguments(cls)
    closed: Schema = {"type": "object", "properties": arguments, "additionalProperties": False, **_description(cls)}
    if neutral := [key for key in cls.neutral if key not in cls.model_fields]:
        closed["patternProperties"] = {f"^({'|'.join(neutral)})$": {}}  # accepted, but editors must not propose them
    return closed if not required else {**closed, "required": required}


def _input() -> Schema:
    """Return the schema of an input, which has a shape unless it is text."""
    texts: Schema = {"properties": {"dtype": {"anyOf": [{"const": "string"}, _VARIABLE]}}, "required": ["dtype"]}
    return {**_closed(InputKeys), "if": texts, "else": {"required": ["shape"]}}


def _record() -> Schema:
    """Return the schema of a record."""
    record = _closed(RecordKeys)
    names: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": MAX_CROSSED}
    crosses: Schema = {"type": "array", "items": {"anyOf": [names, _closed(Cross), _VARIABLE]}}
    parts: Schema = {
        "columns": {"type": "object", "additionalProperties": {"$ref": "#/$defs/column"}},
        "crosses": crosses,
    }
    described = {
        key: {"anyOf": [part, _VARIABLE], "description": record["properties"][key]["description"]}
        for key, part in parts.items()
    }
    return {**record, "properties": described}


def _mapping(value: Schema, description: str) -> Schema:
    """Return the schema of a mapping from any keys to ``value``."""
    return {"type": "object", "additionalProperties": value, "description": description}


def _description(cls: type) -> Schema:
    """Return the description of ``cls``: its docstring as Markdown."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.getdoc(cls) or "")
    text = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", text)
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return {"description": "\n\n".join(paragraphs)} if text else {}


def _aliases(registry: Registry[Any], cls: type) -> list[str]:
    """Return all names of ``cls``, the primary one first."""
    return [name for name in registry.names() if registry.get(name) is cls]


def _primary(registry: Registry[Any], cls: type) -> str:
    """Return the primary name of ``cls``."""
    return _aliases(registry, cls)[0]


def _type(registry: Registry[Any], names: Sequence[str]) -> Schema:
    """Return the schema of the key ``type``: one of ``names``, each with the first line of its description."""
    lines = []
    for name in names:
        cls = registry.get(name)
        assert cls is not None
        lines.append(_description(cls).get("description", "").split("\n")[0])
    return {"enum": list(names), "enumDescriptions": lines}


def _when(registry: Registry[Any], prefix: str) -> list[Schema]:
    """Return one condition per class of ``registry``: the ``type`` of a mapping determines its arguments."""
    return [
        {
            "if": {"properties": {"type": {"enum": _aliases(registry, cls)}}, "required": ["type"]},
            "then": {"$ref": f"#/$defs/{prefix}.{_primary(registry, cls)}"},
        }
        for cls in registry
    ]


def _choice(kind: str, registry: Registry[Any]) -> Schema:
    """Return the schema of an object of a registry: its name, or a mapping with its ``type``."""
    names = _type(registry, registry.names())
    mapping = {
        "type": "object",
        "properties": {"type": {"anyOf": [names, _VARIABLE], "description": f"Name of the {registry.kind}."}},
        "required": ["type"],
        "allOf": _when(registry, kind),
    }
    return {"anyOf": [names, mapping, _VARIABLE]}


def _typed(registry: Registry[Any], cls: type[Config]) -> Schema:
    """Return the schema of a mapping with ``type`` and the arguments of ``cls``."""
    closed = _closed(cls)
    properties = {"type": {"enum": _aliases(registry, cls)}, **closed["properties"]}
    return {**closed, "properties": properties, "required": ["type", *closed.get("required", [])]}


def _layer_node(cls: type[Layer]) -> Schema:
    """Return the schema of a node: the arguments of ``cls``, Keras's call arguments, and the keys of every node."""
    typed = _typed(LAYERS, cls)
    base = f"#/$defs/layer.{_primary(LAYERS, cls)}/properties/"
    calls = {key: {**_NAMES, "description": "Nodes for Keras's call argument."} for key in cls.call_arguments}
    arguments: Mapping[str, Schema] = {key: {"$ref": base + key} for key in typed["properties"]}
    common: Mapping[str, Schema] = {key: {"$ref": f"#/$defs/node/properties/{key}"} for key in _NODE_KEYS}
    return {**typed, "properties": {**common, **arguments, **calls}}


def _node() -> Schema:
    """Return the schema of an entry of ``layers``: a layer, a block instance, or a share."""
    kinds = {"anyOf": [_type(LAYERS, LAYERS.names()), _VARIABLE], "description": "Name of the layer."}
    shared: Schema = {
        "properties": {"name": _NODE_KEYS["name"], "share": _SHARE, "inputs": _NODE_KEYS["inputs"]},
        "additionalProperties": False,
    }
    params: Schema = {"type": "object", "description": "Params of the block; missing ones have their defaults."}
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
    """Return the schema of a block definition."""
    return {
        "type": "object",
        "properties": {
            "description": {"type": "string", "description": "What the block is for."},
            "params": {"type": "object", "description": "Params with their defaults: `${x}` inside the block."},
            "inputs": {**_NAMES, "description": "Names of the block's inputs."},
            "layers": {"type": "array", "items": {"$ref": "#/$defs/node"}, "description": "The block's nodes."},
            "outputs": {
                **_NAMES,
                "description": "The output nodes. For an instance `mix`, `mix` is output 0 and `mix:k` output k.",
            },
        },
        "required": ["inputs", "layers", "outputs"],
        "additionalProperties": False,
        "description": "Layers that can be instantiated. They see the block's inputs, params, vars and each other.",
    }
