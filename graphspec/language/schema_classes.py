"""Schemas of the classes of a registry: their names with texts, and the arguments that a ``type`` has."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from graphspec.base.config import Config, Neutral, Registry
from graphspec.language.column_types import COLUMNS
from graphspec.language.schema_values import VARIABLE_DEFINITION, Schema, arguments, shown
from graphspec.vocabulary.callbacks.logging import Refused
from graphspec.vocabulary.layers import CELLS, LAYERS

OPTION: Schema = {
    "title": "true or false",
    "type": ["boolean", "string"],
    "pattern": VARIABLE_DEFINITION["pattern"],
    "errorMessage": "Expected true or false.",
    "description": "Keras's call argument. Default: false.",
}
NAMES: Schema = {
    "anyOf": [
        {"type": "string", "title": "name"},
        {"type": "array", "title": "list of names", "items": {"type": "string"}, "minItems": 1},
    ]
}
_ANY: Schema = {"description": "", "allOf": [True]}
"""An alternative without conditions, as which an editor offers nothing. The empty text tells it from others when an editor
compares titles and texts."""
_MANY = 5
"""The number of arguments that the text of a class lists."""
_GROUP = 7
"""The number of conditions from which one in front of them saves time."""
_ONNX = "onnx."
"""The names of ONNX's operators: `validate` alone checks their attributes, for a schema of all is larger by 4 %."""
_MINOR = re.compile(r"_(regularizer|constraint|initializer)$|^seed$|^dtype$")
"""Arguments that this text leaves out."""


def paragraphs_of(cls: type) -> list[str]:
    """Return the docstring of ``cls`` as Markdown, by paragraphs: one at least, empty if Python drops docstrings."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.getdoc(cls) or "")
    text = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", text)
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, without sources in brackets."""
    text = re.sub(r" \([^()]*\b(19|20)\d\d\)", "", text)
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", text, maxsplit=1)[0]


def is_operation(registry: Registry[Any], cls: type) -> bool:
    """Return whether a class is an operation: one of many with few different signatures, ``ops.sum``."""
    return "." in primary_name(registry, cls)


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


def reference(name: str) -> Schema:
    """Return a reference to a definition."""
    return {"$ref": f"#/$defs/{name}"}


def _aliases(registry: Registry[Any], cls: type) -> list[str]:
    """Return all names of ``cls``, the primary one first."""
    return [name for name in registry.names() if registry.get(name) is cls]


def primary_name(registry: Registry[Any], cls: type) -> str:
    """Return the primary name of ``cls``."""
    return _aliases(registry, cls)[0]


def _exactly(names: Sequence[str]) -> str:
    """Return the pattern of some names; that of operations has ``ops.`` once."""
    plain = [name for name in names if "." not in name]
    families: dict[str, list[str]] = {}
    for family, dot, name in (name.partition(".") for name in names):
        if dot:
            families.setdefault(family, []).append(name)
    parts = [*plain, *(rf"{family}\.{_alternatives(last)}" for family, last in families.items())]
    return f"^{_alternatives(parts) if plain or len(parts) > 1 else parts[0]}$"


def _alternatives(names: Sequence[str]) -> str:
    return f"({'|'.join(names)})" if len(names) > 1 else names[0]


def names_schema(kind: str, registry: Registry[Any]) -> Schema:
    """Return the schema of a text: the name of a class, with what an editor says about it, or a variable.

    The text of a layer, a cell or a column is all that is shown, thus it lists the arguments. An activation, a loss or
    another object is often the value of an argument that has a text of its own: a list of one value adds a line to it.
    """
    names: list[Schema] = []
    for cls in accepted(registry):
        primary, *others = _aliases(registry, cls)
        text = first_sentence(paragraphs_of(cls)[0])
        if is_operation(registry, cls):
            # few words, for there are many: ONNX documents its operators
            names.append({"const": primary} | ({} if primary.startswith(_ONNX) else {"description": text}))
        elif registry in (LAYERS, CELLS, COLUMNS):
            names.append({"const": primary, "title": primary, "description": describe_class(cls)})
            names += [{"const": name, "title": name, "description": f"Another name of {primary}."} for name in others]
        else:
            alike = primary.replace("_", "").lower()
            for name in (primary, *others):
                about = f"Another name of {primary}." if name != primary and name.lower() == alike else text
                names.append({"enum": [name], "title": name, "enumDescriptions": [about]})
    variable = {"pattern": VARIABLE_DEFINITION["pattern"]}
    return {"if": variable, "else": reference(f"{kind}-known"), "anyOf": [*names, _ANY]}


def known_schema(registry: Registry[Any]) -> Schema:
    """Return the condition of a known name. Editors cannot suggest one, and all names would make a long message."""
    names = [name for cls in accepted(registry) for name in _aliases(registry, cls)]
    return {
        "pattern": _exactly(names),
        "errorMessage": f"There is no {registry.kind} of this name; `graphspec validate` suggests one.",
    }


def arguments_schema(kind: str, registry: Registry[Any]) -> Schema:
    """Return one condition per class of ``registry``: the ``type`` of a mapping determines its arguments.

    Without a known type, any arguments are allowed: the type is the problem, or a variable. Conditions of many classes are
    grouped by the first letter of their names, since an editor tries all of a group. ONNX's operators have any.
    """
    groups: dict[str, list[Schema]] = {}
    for cls in accepted(registry):
        if is_operation(registry, cls):
            continue
        names = _aliases(registry, cls)
        condition = {"if": _of_type(_exactly(names)), "then": reference(f"{kind}.{names[0]}")}
        letters = {name[0] for name in names}
        groups.setdefault(letters.pop() if len(letters) == 1 else "", []).append(condition)
    conditions = groups.pop("", [])
    for letter, group in groups.items():
        conditions += group if len(group) < _GROUP else [{"if": _of_type(f"^{letter}"), "then": {"allOf": group}}]
    families: dict[str, list[Schema]] = {}
    for alike in signatures(registry):
        family = alike[0].partition(".")[0]
        condition = {"if": _of_type(_exactly(alike)), "then": reference(f"{kind}.{alike[0]}")}
        families.setdefault(family, []).append(condition)
    conditions += [{"if": _of_type(rf"^{family}\."), "then": {"allOf": found}} for family, found in families.items()]
    if any(name.startswith(_ONNX) for name in registry.names()):
        conditions.append({"if": _of_type(rf"^{re.escape(_ONNX)}"), "then": {"additionalProperties": True}})
    known = {"type": "string", "allOf": [reference(f"{kind}-known")]}
    named = {"type": "object", "properties": {"type": known}, "required": ["type"]}
    return {"if": named, "then": {"allOf": conditions}, "else": {"additionalProperties": True}}


def _of_type(pattern: str) -> Schema:
    """Return the condition of a mapping whose ``type`` has a pattern."""
    return {"properties": {"type": {"pattern": pattern}}}


def neutral(keys: Mapping[str, Neutral]) -> Schema:
    """Return the schema of keys that are accepted without effect. Editors do not offer what stands in a pattern."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for key, neutral in keys.items():
        groups.setdefault(neutral.values, []).append(key)
    patterns = {f"^({'|'.join(names)})$": {"enum": [*values]} if values else {} for values, names in groups.items()}
    return {"patternProperties": patterns} if patterns else {}


def common(registry: Registry[Any]) -> dict[str, Neutral]:
    """Return the keys that all classes of a registry accept without effect."""
    first, *others = accepted(registry)
    return {
        key: meaning
        for key, meaning in first.neutral.items()
        if all(cls.neutral.get(key) == meaning for cls in others)
        and (not meaning.values or all(not _has_field(cls, key) for cls in (first, *others)))
    }


def _has_field(cls: type[Config], key: str) -> bool:
    """Return whether a key is an argument of a class, other than a key of nodes that is one in this class alone."""
    return key in cls.model_fields and key not in getattr(cls, "own_keys", ())


def definitions_of(kind: str, registry: Registry[Any]) -> Schema:
    """Return the definitions of the classes by name; operations of one signature have one, with the first one's name."""
    classes = [cls for cls in accepted(registry) if not is_operation(registry, cls)]
    found = {f"{kind}.{primary_name(registry, cls)}": _typed(registry, cls) for cls in classes}
    firsts = [(group[0], registry.get(group[0])) for group in signatures(registry)]
    return found | {f"{kind}.{name}": _typed(registry, cls) for name, cls in firsts if cls is not None}


def signatures(registry: Registry[Any]) -> list[list[str]]:
    """Return the names of the operations that have arguments, those with equal ones together."""
    groups: dict[str, list[str]] = {}
    for cls in accepted(registry):
        if is_operation(registry, cls) and cls.model_fields:
            name = primary_name(registry, cls)
            if name.startswith(_ONNX):
                continue
            typed = {key: value for key, value in _typed(registry, cls).items() if key != "title"}
            groups.setdefault(f"{name.partition('.')[0]} {json.dumps(typed, sort_keys=True)}", []).append(name)
    return list(groups.values())


def _typed(registry: Registry[Any], cls: type[Config]) -> Schema:
    """Return the schema of the arguments of ``cls``; the mapping around them forbids all other keys."""
    properties, required = arguments(cls)
    calls = {
        key: {**NAMES, "title": "name or list of names", "description": "Nodes for Keras's call argument."}
        for key in getattr(cls, "call_arguments", ())
    }
    calls |= {key: dict(OPTION) for key in getattr(cls, "call_options", ())}  # `share` changes each on its own
    shared = common(registry)
    own = {key: value for key, value in cls.neutral.items() if key not in cls.model_fields and key not in shared}
    typed: Schema = {"title": primary_name(registry, cls), "properties": {**properties, **calls}, **neutral(own)}
    return {**typed, "required": required} if required else typed
