"""Generate the JSON Schema of the language from the classes of layers, losses, …, for editors.

What an editor shows follows from the order and the form of the schemas. The names of classes are alternatives, each with its
own text; one ``enum`` would show all of them for each. The condition that finds the class of a ``type`` is a ``pattern``:
editors show the values of an ``enum`` in a condition, too, and complete a ``const`` to longer names. An alternative without
conditions follows the names, so that one ``pattern`` refuses unknown ones, with one short message.
"""

from __future__ import annotations

import json
from typing import Any

from graphspec.base.config import Config, Neutral, Registry
from graphspec.language.column_types import COLUMNS
from graphspec.language.columns import MAX_CROSSED, Cross, RecordKeys
from graphspec.language.data_sources import DataKeys, ValidationKeys
from graphspec.language.explain import REGISTRIES
from graphspec.language.parse import REQUIRED, VERSION
from graphspec.language.schema_classes import (
    NAMES,
    OPTION,
    arguments_schema,
    common,
    definitions_of,
    known_schema,
    names_schema,
    neutral,
    paragraphs_of,
    reference,
)
from graphspec.language.schema_values import VARIABLE, VARIABLE_DEFINITION, Schema, arguments, share
from graphspec.language.search_schema import search_schema, space_schema
from graphspec.language.search_section import ObjectiveKeys, SearchKeys
from graphspec.language.sections import HeadKeys, InputKeys, TrainingKeys
from graphspec.language.weight_files import SCHEMA as WEIGHT_FILE
from graphspec.vocabulary.layers import LAYERS

_NAME: Schema = {"type": "string", "pattern": r"^[^\s/:]+$", "errorMessage": "Expected a name without spaces, / and :."}
_NUMBER: Schema = {"type": ["number", "string"], "pattern": VARIABLE_DEFINITION["pattern"]}
_INPUTS: Schema = {
    "anyOf": [
        {"type": "string", "title": "name"},
        {
            "type": "array",
            "title": "list of names",
            "items": {
                "anyOf": [{"type": ["string", "number", "null"]}, {"type": "array", "items": _NUMBER, "minItems": 1}]
            },
            "minItems": 1,
        },
    ]
}
NODE_KEYS: dict[str, Schema] = {
    "name": {**_NAME, "description": "A unique name; by default the type in snake case with a counter."},
    "inputs": {
        **_INPUTS,
        "description": "One name or a list: inputs, nodes, or `node:k` for output k. Default: the node above. "
        "Operations take numbers, too.",
    },
    "trainable": {
        "type": ["boolean", "string", "array"],
        "pattern": VARIABLE_DEFINITION["pattern"],
        "errorMessage": "Expected true or false.",
        "default": True,
        "description": "`false` freezes the weights. Default: true. Of an ONNX file it says what trains.",
    },
    "repeat": {
        "type": ["integer", "string"],
        "minimum": 1,
        "pattern": VARIABLE_DEFINITION["pattern"],
        "errorMessage": "Expected an integer.",
        "description": "Number of copies in a row, `name_1` … `name_n`, each with its own weights.",
    },
    "weights": {**WEIGHT_FILE, "description": "A file or a run with the weights to start from."},
}
SHARE: Schema = {"type": "string", "description": "The node or block instance whose weights are used."}
BLOCK: Schema = {"type": "string", "description": "The block to instantiate."}


def schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a spec."""
    definitions: Schema = {
        "variable": VARIABLE_DEFINITION,
        "node": _node(),
        "block": block_schema(),
        "space": space_schema(),
    }
    for kind, registry in {**REGISTRIES, "column": COLUMNS}.items():
        definitions[kind] = _choice(kind, registry)
        definitions[f"{kind}-name"] = names_schema(kind, registry)
        definitions[f"{kind}-known"] = known_schema(registry)
        definitions[f"{kind}-arguments"] = arguments_schema(kind, registry)
        definitions |= definitions_of(kind, registry)
    made: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "graphspec",
        "description": "A neural network as data.",
        "type": "object",
        "properties": document_properties(),
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": definitions,
    }
    made = json.loads(json.dumps(made))  # a tree of its own: `share` changes it in place
    share(made)
    return made


def document_properties() -> dict[str, Schema]:
    """Return the schemas of the keys of the document."""
    return {
        "graphspec": {"const": VERSION, "description": "Version of the language."},
        "name": {**_NAME, "description": "Names the run directory and the ONNX graph."},
        "description": {"type": "string", "description": "What the network is for."},
        "vars": {"type": "object", "description": "Variables: `${x}` anywhere below."},
        "inputs": _mapping(_input_or_record(), "Inputs by name, without the batch axis; or records."),
        "blocks": _mapping({"$ref": "#/$defs/block"}, "Groups of layers that are instantiated with params."),
        "layers": {
            "type": "array",
            "items": {"$ref": "#/$defs/node"},
            "description": "The nodes; each reads the node above it unless it has `inputs`.",
        },
        "outputs": _mapping(
            {**section_schema(HeadKeys), "type": ["object", "null"]},
            "The heads; a head has the name of its node unless it has `layer`.",
        ),
        "training": {**section_schema(TrainingKeys), "description": "How the heads are trained."},
        "data": {
            "type": "object",
            "properties": {
                "train": {**section_schema(DataKeys), "description": "Training rows."},
                "validation": {**section_schema(ValidationKeys), "description": "Rows for validation during training."},
                "test": {**section_schema(DataKeys), "description": "Rows for the final evaluation."},
            },
            "additionalProperties": False,
            "description": "The sources of the rows.",
        },
        "search": search_schema(section_schema(SearchKeys), section_schema(ObjectiveKeys)),
    }


def section_schema(cls: type[Config]) -> Schema:
    """Return the schema of a mapping with the arguments of ``cls`` and no other keys."""
    properties, required = arguments(cls)
    closed: Schema = {"title": _title(cls), "type": "object", "properties": properties, "additionalProperties": False}
    closed |= {"description": paragraphs[0]} if (paragraphs := paragraphs_of(cls))[0] else {}
    closed |= neutral({key: value for key, value in cls.neutral.items() if key not in cls.model_fields})
    return closed if not required else {**closed, "required": required}


def _title(cls: type[Config]) -> str:
    """Return the name of a section of the document: ``TrainingKeys`` are of `training`."""
    return {"HeadKeys": "head", "DataKeys": "data source"}.get(cls.__name__, cls.__name__.removesuffix("Keys").lower())


def _input_or_record() -> Schema:
    """Return the schema of an input, which has a shape unless it is text, or of a record, which has columns."""
    texts: Schema = {"properties": {"dtype": {"anyOf": [{"const": "string"}, VARIABLE]}}, "required": ["dtype"]}
    given = {**section_schema(InputKeys), "if": texts, "else": {"required": ["shape"]}}
    keys = given["properties"]
    both = {**given, "properties": {**keys, "columns": columns_schema()}}
    decided = {"type": "object", "anyOf": [{"required": [key]} for key in keys]}
    return {
        "type": "object",
        "if": _has("columns"),
        "then": record_schema(),
        "else": {"if": decided, "then": given, "else": both},
    }


def columns_schema() -> Schema:
    """Return the schema of the columns of a record."""
    text = arguments(RecordKeys)[0]["columns"]["description"]
    column = {"type": ["string", "object"], "allOf": [{"$ref": "#/$defs/column"}]}
    pattern = {"pattern": VARIABLE_DEFINITION["pattern"], "errorMessage": "Expected a mapping of columns."}
    return {"type": ["object", "string"], "additionalProperties": column, **pattern, "description": text}


def record_schema() -> Schema:
    """Return the schema of a record."""
    record = section_schema(RecordKeys)
    names: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": MAX_CROSSED}
    crosses: Schema = {"type": "array", "items": {"anyOf": [names, section_schema(Cross), VARIABLE]}}
    text = {"description": record["properties"]["crosses"]["description"]}
    return {**record, "properties": {"columns": columns_schema(), "crosses": {"anyOf": [crosses, VARIABLE], **text}}}


def _mapping(value: Schema, description: str) -> Schema:
    """Return the schema of a mapping from any keys to ``value``."""
    return {"type": "object", "additionalProperties": value, "description": description}


def _choice(kind: str, registry: Registry[Any]) -> Schema:
    """Return the schema of an object of a registry: its name, or a mapping with ``type``. Arguments add both types."""
    return {
        "properties": {"type": {"type": "string", "allOf": [reference(f"{kind}-name")]}},
        "required": ["type"],
        **neutral(common(registry)),
        "allOf": [reference(f"{kind}-name")],
        "if": {"type": "object"},  # a condition, since editors offer alternatives as items of a list
        "then": reference(f"{kind}-arguments"),
        "unevaluatedProperties": False,
    }


def _node() -> Schema:
    """Return the schema of an entry of ``layers``: a layer, a block instance, or a share."""
    copies = {key: NODE_KEYS[key] for key in ("trainable", "repeat", "weights")}
    params: Schema = {"type": "object", "description": "Params of the block; missing ones have their defaults."}
    kinds = {"type": "string", "allOf": [reference("layer-name")]}
    layer = {"title": "layer", "properties": {"type": kinds, **copies}, **neutral(_of_nodes())}
    layer["allOf"] = [reference("layer-arguments")]
    undecided = {
        "properties": {"type": kinds, "block": BLOCK, "share": SHARE},
        "allOf": [{"required": ["type"]}],  # apart from the properties: else editors offer a skeleton with `type` alone
        "additionalProperties": True,
    }
    instance = {"title": "block", "properties": {"block": BLOCK, "params": params, **copies}}
    options = {key: dict(OPTION) for cls in LAYERS for key in cls.call_options}
    return {
        "title": "layer",
        "type": "object",
        "properties": {key: NODE_KEYS[key] for key in ("name", "inputs")},
        "if": _has("share"),
        "then": {"title": "share", "properties": {"share": SHARE, **options}},
        "else": {
            "if": _has("block"),
            "then": instance,
            "else": {"if": _has("type"), "then": layer, "else": undecided},
        },
        "unevaluatedProperties": False,
    }


def _has(key: str) -> Schema:
    """Return the condition of a mapping with a key. ``required`` alone accepts the null of a new item."""
    return {"type": "object", "required": [key]}


def _of_nodes() -> dict[str, Neutral]:
    """Return the keys that every layer accepts without effect, and that a node does not define."""
    return {key: neutral for key, neutral in common(LAYERS).items() if key not in NODE_KEYS}


def block_schema() -> Schema:
    """Return the schema of a block definition."""
    return {
        "title": "block",
        "type": "object",
        "properties": {
            "description": {"type": "string", "description": "What the block is for."},
            "params": {"type": "object", "description": "Params with their defaults: `${x}` inside the block."},
            "inputs": {**NAMES, "description": "Names of the block's inputs."},
            "layers": {"type": "array", "items": {"$ref": "#/$defs/node"}, "description": "The block's nodes."},
            "outputs": {
                **NAMES,
                "description": "The output nodes. For an instance `mix`, `mix` is output 0 and `mix:k` output k.",
            },
        },
        "required": ["inputs", "layers", "outputs"],
        "additionalProperties": False,
        "description": "Layers that can be instantiated. They see the block's inputs, params, vars and each other.",
    }
