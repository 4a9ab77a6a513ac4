"""Generate the JSON Schema of the language from the classes of layers, losses, …, for editors.

What an editor shows follows from the order and the form of the schemas. The names of classes are alternatives, each with its
own text; one ``enum`` would show all of them for each. The condition that finds the class of a ``type`` is a ``pattern``:
editors show the values of an ``enum`` in a condition, too, and complete a ``const`` to longer names. An alternative without
conditions follows the names, so that one ``pattern`` refuses unknown ones, with one short message.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from graphspec.callbacks.accepted_without_effect import Refused
from graphspec.config import Config, Neutral, Registry
from graphspec.language.column_types import COLUMNS
from graphspec.language.columns import MAX_CROSSED, Cross, RecordKeys
from graphspec.language.data_sources import DataKeys, ValidationKeys
from graphspec.language.explain import REGISTRIES
from graphspec.language.parse import REQUIRED, VERSION
from graphspec.language.schema_values import VARIABLE, VARIABLE_DEFINITION, Schema, arguments, share, shown
from graphspec.language.search_schema import search_schema, space_schema
from graphspec.language.search_section import ObjectiveKeys, SearchKeys
from graphspec.language.sections import HeadKeys, InputKeys, TrainingKeys
from graphspec.layers import CELLS, LAYERS

_NAME: Schema = {"type": "string", "pattern": r"^[^\s/:]+$", "errorMessage": "Expected a name without spaces, / and :."}
_NAMES: Schema = {
    "anyOf": [
        {"type": "string", "title": "name"},
        {"type": "array", "title": "list of names", "items": {"type": "string"}, "minItems": 1},
    ]
}
NODE_KEYS: dict[str, Schema] = {
    "name": {**_NAME, "description": "A unique name; by default the type in snake case with a counter."},
    "inputs": {
        **_NAMES,
        "description": "One name or a list: inputs, nodes, or `node:k` for output k. Default: the node above.",
    },
    "trainable": {
        "type": ["boolean", "string"],
        "pattern": VARIABLE_DEFINITION["pattern"],
        "errorMessage": "Expected true or false.",
        "default": True,
        "description": "`false` freezes the weights. Default: true.",
    },
    "repeat": {
        "type": ["integer", "string"],
        "minimum": 1,
        "pattern": VARIABLE_DEFINITION["pattern"],
        "errorMessage": "Expected an integer.",
        "description": "Number of copies in a row, `name_1` … `name_n`, each with its own weights.",
    },
}
OPTION: Schema = {
    "title": "true or false",
    "type": ["boolean", "string"],
    "pattern": VARIABLE_DEFINITION["pattern"],
    "errorMessage": "Expected true or false.",
    "description": "Keras's call argument. Default: false.",
}
SHARE: Schema = {"type": "string", "description": "The node or block instance whose weights are used."}
BLOCK: Schema = {"type": "string", "description": "The block to instantiate."}
_ANY: Schema = {"description": "", "allOf": [True]}
"""An alternative without conditions, as which an editor offers nothing. The empty text tells it from others when an editor
compares titles and texts."""
_MANY = 5
"""The number of arguments that the text of a class lists."""
_GROUP = 7
"""The number of conditions from which one in front of them saves time."""
_MINOR = re.compile(r"_(regularizer|constraint|initializer)$|^seed$|^dtype$")
"""Arguments that this text leaves out."""


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
        definitions[f"{kind}-name"] = _names(kind, registry)
        definitions[f"{kind}-known"] = _known(registry)
        definitions[f"{kind}-arguments"] = _when(kind, registry)
        for cls in accepted(registry):
            definitions[f"{kind}.{primary_name(registry, cls)}"] = _typed(registry, cls)
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "graphspec",
        "description": "A neural network as data.",
        "type": "object",
        "properties": document_properties(),
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": definitions,
    }
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
    closed |= _neutral({key: value for key, value in cls.neutral.items() if key not in cls.model_fields})
    return closed if not required else {**closed, "required": required}


def _title(cls: type[Config]) -> str:
    """Return the name of a section of the document: ``TrainingKeys`` are of `training`."""
    return {"HeadKeys": "head", "DataKeys": "data source"}.get(cls.__name__, cls.__name__.removesuffix("Keys").lower())


def _neutral(keys: Mapping[str, Neutral]) -> Schema:
    """Return the schema of keys that are accepted without effect. Editors do not offer what stands in a pattern."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for key, neutral in keys.items():
        groups.setdefault(neutral.values, []).append(key)
    patterns = {f"^({'|'.join(names)})$": {"enum": [*values]} if values else {} for values, names in groups.items()}
    return {"patternProperties": patterns} if patterns else {}


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


def paragraphs_of(cls: type) -> list[str]:
    """Return the docstring of ``cls`` as Markdown, by paragraphs: one at least, empty if Python drops docstrings."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.getdoc(cls) or "")
    text = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", text)
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, without sources in brackets."""
    text = re.sub(r" \([^()]*\b(19|20)\d\d\)", "", text)
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", text, maxsplit=1)[0]


def describe_class(cls: type[Config]) -> str:
    """Return what an editor says about a class: what it does, its shapes, and its main arguments."""
    paragraphs = paragraphs_of(cls)
    shapes = [first_sentence(paragraph) for paragraph in paragraphs if paragraph.startswith("Shapes: ")]
    found, required = arguments(cls)
    main = [
        f"{key} = {shown(argument['default'])}" if "default" in argument else key
        for key, argument in sorted(found.items(), key=lambda item: item[0] not in required)
        if not argument.get("doNotSuggest") and not _MINOR.search(key)
    ]
    main = main[:_MANY] + ["…"] * (len(main) > _MANY or len(main) < len(found))
    takes = f"Arguments: {', '.join(main)}" if main not in ([], ["…"]) else ""
    return "\n\n".join(part for part in (first_sentence(paragraphs[0]), *shapes, takes) if part)


def accepted(registry: Registry[Any]) -> list[type[Config]]:
    """Return the classes of a registry without those that the compiler refuses."""
    return [cls for cls in registry if not issubclass(cls, Refused)]


def _reference(name: str) -> Schema:
    """Return a reference to a definition."""
    return {"$ref": f"#/$defs/{name}"}


def _aliases(registry: Registry[Any], cls: type) -> list[str]:
    """Return all names of ``cls``, the primary one first."""
    return [name for name in registry.names() if registry.get(name) is cls]


def primary_name(registry: Registry[Any], cls: type) -> str:
    """Return the primary name of ``cls``."""
    return _aliases(registry, cls)[0]


def _exactly(names: Sequence[str]) -> str:
    """Return the pattern of some names."""
    return f"^({'|'.join(names)})$" if len(names) > 1 else f"^{names[0]}$"


def _names(kind: str, registry: Registry[Any]) -> Schema:
    """Return the schema of a text: the name of a class, with what an editor says about it, or a variable.

    The text of a layer, a cell or a column is all that is shown, thus it lists the arguments. An activation, a loss or
    another object is often the value of an argument that has a text of its own: a list of one value adds a line to it.
    """
    names: list[Schema] = []
    for cls in accepted(registry):
        primary, *others = _aliases(registry, cls)
        text = first_sentence(paragraphs_of(cls)[0])
        if registry in (LAYERS, CELLS, COLUMNS):
            names.append({"const": primary, "title": primary, "description": describe_class(cls)})
            names += [{"const": name, "title": name, "description": f"Another name of {primary}."} for name in others]
        else:
            names += [{"enum": [name], "title": name, "enumDescriptions": [text]} for name in (primary, *others)]
    variable = {"pattern": VARIABLE_DEFINITION["pattern"]}
    return {"if": variable, "else": _reference(f"{kind}-known"), "anyOf": [*names, _ANY]}


def _known(registry: Registry[Any]) -> Schema:
    """Return the condition of a known name. Editors cannot suggest one, and all names would make a long message."""
    names = [name for cls in accepted(registry) for name in _aliases(registry, cls)]
    return {
        "pattern": _exactly(names),
        "errorMessage": f"There is no {registry.kind} of this name; `graphspec validate` suggests one.",
    }


def _when(kind: str, registry: Registry[Any]) -> Schema:
    """Return one condition per class of ``registry``: the ``type`` of a mapping determines its arguments.

    Without a known type, any arguments are allowed: the type is the problem, or a variable. Conditions of many classes are
    grouped by the first letter of their names, since an editor tries all of a group.
    """
    groups: dict[str, list[Schema]] = {}
    for cls in accepted(registry):
        names = _aliases(registry, cls)
        condition = {"if": _of_type(_exactly(names)), "then": _reference(f"{kind}.{names[0]}")}
        letters = {name[0] for name in names}
        groups.setdefault(letters.pop() if len(letters) == 1 else "", []).append(condition)
    conditions = groups.pop("", [])
    for letter, group in groups.items():
        conditions += group if len(group) < _GROUP else [{"if": _of_type(f"^{letter}"), "then": {"allOf": group}}]
    known = {"type": "string", "allOf": [_reference(f"{kind}-known")]}
    named = {"type": "object", "properties": {"type": known}, "required": ["type"]}
    return {"if": named, "then": {"allOf": conditions}, "else": {"additionalProperties": True}}


def _of_type(pattern: str) -> Schema:
    """Return the condition of a mapping whose ``type`` has a pattern."""
    return {"properties": {"type": {"pattern": pattern}}}


def _choice(kind: str, registry: Registry[Any]) -> Schema:
    """Return the schema of an object of a registry: its name, or a mapping with ``type``. Arguments add both types."""
    return {
        "properties": {"type": {"type": "string", "allOf": [_reference(f"{kind}-name")]}},
        "required": ["type"],
        **_neutral(_common(registry)),
        "allOf": [_reference(f"{kind}-name")],
        "if": {"type": "object"},  # a condition, since editors offer alternatives as items of a list
        "then": _reference(f"{kind}-arguments"),
        "unevaluatedProperties": False,
    }


def _common(registry: Registry[Any]) -> dict[str, Neutral]:
    """Return the keys that all classes of a registry accept without effect."""
    first, *others = accepted(registry)
    return {
        key: neutral
        for key, neutral in first.neutral.items()
        if all(cls.neutral.get(key) == neutral for cls in others)
        and all(key not in cls.model_fields for cls in (first, *others))
    }


def _typed(registry: Registry[Any], cls: type[Config]) -> Schema:
    """Return the schema of the arguments of ``cls``; the mapping around them forbids all other keys."""
    properties, required = arguments(cls)
    calls = {
        key: {**_NAMES, "title": "name or list of names", "description": "Nodes for Keras's call argument."}
        for key in getattr(cls, "call_arguments", ())
    }
    calls |= {key: dict(OPTION) for key in getattr(cls, "call_options", ())}  # `share` changes each on its own
    common = _common(registry)
    own = {key: value for key, value in cls.neutral.items() if key not in cls.model_fields and key not in common}
    typed: Schema = {"title": primary_name(registry, cls), "properties": {**properties, **calls}, **_neutral(own)}
    return {**typed, "required": required} if required else typed


def _node() -> Schema:
    """Return the schema of an entry of ``layers``: a layer, a block instance, or a share."""
    copies = {key: NODE_KEYS[key] for key in ("trainable", "repeat")}
    params: Schema = {"type": "object", "description": "Params of the block; missing ones have their defaults."}
    kinds = {"type": "string", "allOf": [_reference("layer-name")]}
    layer = {"title": "layer", "properties": {"type": kinds, **copies}, **_neutral(_of_nodes())}
    layer["allOf"] = [_reference("layer-arguments")]
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
    return {key: neutral for key, neutral in _common(LAYERS).items() if key not in NODE_KEYS}


def block_schema() -> Schema:
    """Return the schema of a block definition."""
    return {
        "title": "block",
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
