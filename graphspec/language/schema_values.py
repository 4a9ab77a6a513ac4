"""Schemas of arguments: what pydantic generates, with variables, few repeats, and the titles and texts that editors show.

Keywords of JSON Schema apply to values of one type each: ``minimum`` to numbers, ``pattern`` to texts. Thus "a number or a
variable" needs no ``anyOf``, only two types and the pattern of a variable. Editors say more about a wrong value then.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from graphspec.base.config import MAX_SIZE, Config, Only

Schema = dict[str, Any]

VARIABLE: Schema = {"$ref": "#/$defs/variable"}
VARIABLE_DEFINITION: Schema = {"type": "string", "pattern": r"\$\{", "title": "variable"}
HIDDEN: Schema = {"doNotSuggest": True}
"""Accepted, but not offered: a keyword of yaml-language-server and of VS Code."""
_SCALARS = {"integer": "integer", "number": "number", "boolean": "true or false", "null": "null", "string": "text"}
_ANNOTATIONS = ("title", "description", "default")
_SHORTEST = 50
"""The number of characters from which a repeated schema is worth a definition of its own."""


def arguments(cls: type[Config]) -> tuple[dict[str, Schema], list[str]]:
    """Return the arguments of ``cls`` by name, and the names of the required ones. Each may be a variable."""
    generated = cls.model_json_schema()
    required = generated.get("required", [])
    only = {field.alias or name: _only(field.metadata) for name, field in cls.model_fields.items()}
    found = {}
    for key, value in generated.get("properties", {}).items():
        core = compact(value) if only[key] is None else _constant(only[key])
        found[key] = {**core, **_text(value, key in required)}
    return found, required


def _only(metadata: Sequence[Any]) -> Only | None:
    """Return the validator of an argument with one allowed value, or None."""
    return next((found for item in metadata if isinstance(found := getattr(item, "func", None), Only)), None)


def _constant(only: Only | None) -> Schema:
    """Return the schema of an argument with one allowed value. An editor does not offer it."""
    assert only is not None
    return {"title": f"only {shown(only.allowed)}", "const": only.allowed, "errorMessage": only.message, **HIDDEN}


def _text(value: Schema, required: bool) -> Schema:
    """Return the description of an argument, with its default, as a sentence and for programs.

    Null is for people only: as a default, an editor would write it where a value is about to be chosen.
    """
    parts = [value["description"]] if value.get("description") else []
    if required:
        parts.append("Required.")
    elif "default" in value and len(default := shown(value["default"])) <= 40:
        parts.append(f"Default: {default}.")
    texts: Schema = {"description": " ".join(parts)} if parts else {}
    return {**texts, "default": value["default"]} if value.get("default") is not None else texts


def shown(value: Any) -> str:
    """Return a value as a spec contains it."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def compact(value: Schema) -> Schema:
    """Return pydantic's schema with a variable as an alternative at every level, in few words, with a title.

    A list with one item per axis may also be a single item. An argument without a type is hidden: it has no effect.
    """
    members = _members(value)
    if not members:
        return {"title": "any value", **HIDDEN}
    title = " or ".join(dict.fromkeys(map(_words, members)))
    scalars = [member for member in members if member.get("type") in _SCALARS and "enum" not in member]
    if {"integer", "number"} <= {member["type"] for member in scalars}:
        scalars = [member for member in scalars if member["type"] != "integer"]
    kinds = [member for member in members if "x-kind" in member]
    others = [member for member in members if "type" not in member and "x-kind" not in member]
    others += [member for member in members if member.get("type") in ("array", "object")]
    texts = any(member["type"] == "string" for member in scalars)
    types = list(dict.fromkeys(member["type"] for member in scalars))
    merged: Schema = {key: item for member in scalars for key, item in member.items() if key != "type"}
    if kinds:
        types = [*types, *(name for name in ("string", "object") if name not in types)]
        merged["allOf"] = [{"$ref": f"#/$defs/{kind['x-kind']}"} for kind in kinds]
    elif not others and not texts:
        types.append("string")
        merged |= {"pattern": VARIABLE_DEFINITION["pattern"], "errorMessage": f"Expected {title}."}
    types.sort(key=lambda name: name == "null")  # editors complete a key with a value of the first type
    one: Schema = {"type": types if len(types) > 1 else types[0], **merged} if types else {}
    if not others:
        return {"title": title, **one}
    variable = [] if texts or kinds else [VARIABLE]
    return {"title": title, "anyOf": [*([one] if one else []), *others, *variable]}


def _members(value: Schema) -> list[Schema]:
    """Return the alternatives of a schema, each with variables allowed in its parts."""
    if "x-kind" in value:
        return [{"x-kind": value["x-kind"]}]
    if "anyOf" in value:
        return [member for part in value["anyOf"] for member in _members(part)]
    value = {key: child for key, child in value.items() if key not in _ANNOTATIONS}
    if "const" in value:
        return [{"enum": [value["const"]]}]
    if "enum" in value:
        return [{"enum": value["enum"]}]
    if "prefixItems" in value:
        item, count = value["prefixItems"][0], len(value["prefixItems"])
        return [*_members(item), {"type": "array", "items": compact(item), "minItems": count, "maxItems": count}]
    if value.get("type") == "array" and "minLength" in value:  # pydantic's word for a list from which a tuple is made
        value["minItems"] = value.pop("minLength")
    if isinstance(value.get("properties"), dict):
        required = value.get("required", [])
        value["properties"] = {
            key: {**compact(child), **_text(child, key in required)} for key, child in value["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(value.get(key), dict):
            value[key] = compact(value[key])
    return [value] if value else []


def _words(member: Schema) -> str:
    """Return a type in words: ``integer ≥ 1``, ``list of number``."""
    if "x-kind" in member:
        return str(member["x-kind"])
    if "enum" in member:
        return " or ".join(member["enum"]) if len(member["enum"]) <= 3 else "a word"
    if member.get("type") == "array":
        count = f"{member['minItems']} " if member.get("minItems") == member.get("maxItems") is not None else ""
        items = re.sub(r"\b(integer|number|text)\b", r"\1s", member.get("items", {}).get("title", "values"))
        return f"list of {count}{items}" if " or " not in items else f"list of {count}values".rstrip()
    if member.get("type") not in _SCALARS:
        return "mapping"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {member[key]:g}" for key, sign in signs.items() if key in member and abs(member[key]) < MAX_SIZE]
    return " ".join([_SCALARS[member["type"]], " and ".join(bounds)]).strip()


def share(schema: Schema) -> None:
    """Move repeated schemas of arguments to ``$defs``: first types without texts, then whole arguments."""
    definitions: Schema = schema["$defs"]
    found = [(key, argument) for part in list(_properties(schema)) for key, argument in part.items()]
    counts = Counter(_text_of(_core(argument)) for _, argument in found)
    names: dict[str, str] = {}
    for _, argument in found:
        core = _core(argument)
        text = _text_of(core)
        if counts[text] > 1 and len(text) >= _SHORTEST:
            if text not in names:
                names[text] = _free(definitions, _slug(argument["title"]))
                definitions[names[text]] = core
            texts = {key: value for key, value in argument.items() if key in ("description", "default")}
            argument.clear()
            argument |= {"$ref": f"#/$defs/{names[text]}", **texts}
    counts = Counter(_text_of(argument) for _, argument in found)
    keys = Counter((_text_of(argument), key) for key, argument in found)
    names.clear()
    for _, argument in found:
        text = _text_of(argument)
        if counts[text] > 1 and len(text) >= _SHORTEST:
            if text not in names:
                key = max((key for other, key in keys if other == text), key=lambda key: keys[text, key])
                names[text] = _free(definitions, key)
                definitions[names[text]] = dict(argument)
            argument.clear()
            argument["$ref"] = f"#/$defs/{names[text]}"
    _share_parts(schema)


def _share_parts(schema: Schema) -> None:
    """Move repeated types inside arguments, such as the items of lists, to ``$defs``."""
    definitions: Schema = schema["$defs"]
    known = {_text_of(value): name for name, value in definitions.items()}
    found = list(_parts(schema))
    counts = Counter(_text_of(part) for part in found)
    for part in found:
        text = _text_of(part)
        if len(text) < _SHORTEST or (counts[text] == 1 and text not in known):
            continue
        if text not in known:
            known[text] = _free(definitions, _slug(part["title"]))
            definitions[known[text]] = dict(part)
        part.clear()
        part["$ref"] = f"#/$defs/{known[text]}"


def _parts(value: Any) -> Iterator[Schema]:
    """Yield the titled items of lists and alternatives of a type in a schema, the inner ones first."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _parts(child)
            parts = [child] if key == "items" else child if key == "anyOf" else []
            yield from (part for part in parts if isinstance(part, dict) and "title" in part and "const" not in part)
    elif isinstance(value, list):
        for child in value:
            yield from _parts(child)


def _properties(value: Any) -> Iterator[dict[str, Schema]]:
    """Return the properties of all mappings in a schema, if they have titles: arguments."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key == "properties":
                yield {name: item for name, item in child.items() if isinstance(item, dict) and "title" in item}
            yield from _properties(child)
    elif isinstance(value, list):
        for child in value:
            yield from _properties(child)


def _core(argument: Schema) -> Schema:
    """Return an argument without its description and its default."""
    return {key: value for key, value in argument.items() if key not in ("description", "default")}


def _text_of(value: Schema) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _slug(title: str) -> str:
    """Return a title as part of a definition's name."""
    for sign, word in {"≥": "from", ">": "above", "≤": "to", "<": "below"}.items():
        title = title.replace(sign, word)
    return re.sub(r"[^\w.]+", "-", title).strip("-")


def _free(definitions: Schema, name: str) -> str:
    """Return a name that no definition has: ``name``, ``name-2`` and so on."""
    count, free = 1, name
    while free in definitions:
        count += 1
        free = f"{name}-{count}"
    return free
