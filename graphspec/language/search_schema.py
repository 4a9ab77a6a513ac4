"""The JSON Schema of the section ``search`` and of spaces."""

from __future__ import annotations

from graphspec.language.schema_values import Schema


def search_schema(keys: Schema, objective: Schema) -> Schema:
    """Return the schema of the section ``search``, from those of its keys and of its objective's."""
    paths = {"type": "object", "additionalProperties": {"$ref": "#/$defs/space"}, "minProperties": 1}
    changed = {"space": paths, "objective": objective}
    texts = {key: {"description": keys["properties"][key]["description"]} for key in changed}
    return {**keys, "properties": keys["properties"] | {key: changed[key] | texts[key] for key in changed}}


def space_schema() -> Schema:
    """Return the schema of a space of values."""
    log = {"type": "boolean", "description": "Whether equal ratios are equally likely, not equal differences."}

    def numbers(kind: str) -> Schema:
        bounds = {"type": "array", "items": {"type": kind}, "minItems": 2, "maxItems": 2}
        text = "The lowest and the highest value; both are included."
        key = "int" if kind == "integer" else "float"
        step = {"type": kind, "exclusiveMinimum": 0, "description": "The distance of neighbours."}
        keys = {key: {**bounds, "description": text}, "log": log, "step": step}
        return {"title": key, "type": "object", "properties": keys, "required": [key], "additionalProperties": False}

    text = "The values. A mapping in it may contain spaces, which only exist if it is chosen."
    values = {"choice": {"type": "array", "minItems": 1, "description": text}}
    choice = {"title": "choice", "type": "object", "properties": values, "required": ["choice"]}
    return {"anyOf": [numbers("number"), numbers("integer"), {**choice, "additionalProperties": False}]}
