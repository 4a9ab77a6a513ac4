"""Generate the JSON Schema of the language from the classes of layers, losses, …, for editors.

What an editor shows follows from the order and the form of the schemas. The names of classes are alternatives, each with its
own text; one ``enum`` would show all of them for each. The condition that finds the class of a ``type`` is a ``pattern``:
editors show the values of an ``enum`` in a condition, too, and complete a ``const`` to longer names. An alternative without
conditions follows the names, so that one ``pattern`` refuses unknown ones, with one short message.
"""

from __future__ import annotations

import inspect
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from graphspec.base.config import MAX_SIZE, Config, Neutral, Only, Registry, load_plugins
from graphspec.language.columns import COLUMNS, MAX_CROSSED, Cross, Number, RecordKeys
from graphspec.language.explain import REGISTRIES, fields_of
from graphspec.language.parse import VERSION, DataKeys, TrainKeys, ValidationKeys
from graphspec.language.search import ObjectiveKeys, SearchKeys
from graphspec.language.sections import REQUIRED, WEIGHT_FILE, HeadKeys, InputKeys, TrainingKeys
from graphspec.vocabulary.callbacks.logging import Refused
from graphspec.vocabulary.layers import CELLS, LAYERS

# Schemas of arguments: what pydantic generates, with variables, few repeats, and the titles and texts that editors show.
Schema = dict[str, Any]

VARIABLE: Schema = {"$ref": "#/$defs/variable"}
VARIABLE_DEFINITION: Schema = {"type": "string", "pattern": r"\$\{", "title": "variable"}
HIDDEN: Schema = {"doNotSuggest": True}  # accepted, but not offered: a keyword of yaml-language-server and of VS Code
_SCALARS = {"integer": "integer", "number": "number", "boolean": "true or false", "null": "null", "string": "text"}
_ANNOTATIONS = ("title", "description", "default")
_SHORTEST = 50  # the number of characters from which a repeated schema is worth a definition of its own


def arguments(cls: type[Config]) -> tuple[dict[str, Schema], list[str]]:
    """Return the arguments of ``cls`` by name, and the names of the required ones. Each may be a variable."""
    generated = cls.model_json_schema()
    required = generated.get("required", [])
    only = {key: _only(field.metadata) for key, field in fields_of(cls).items()}
    properties = generated.get("properties", {})
    found = {key: (only[key] or compact(value)) | _text(value, key in required) for key, value in properties.items()}
    return found, required


def _only(metadata: Sequence[Any]) -> Schema | None:
    """Return the schema of an argument with one allowed value, which an editor does not offer; None for others."""
    only = next((found for item in metadata if isinstance(found := getattr(item, "func", None), Only)), None)
    if only is None:
        return None
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
        merged["allOf"] = [reference(kind["x-kind"]) for kind in kinds]
    elif not others and not texts:
        types.append("string")
        merged |= {**_PATTERN, "errorMessage": f"Expected {title}."}
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
        properties = value["properties"].items()
        value["properties"] = {key: compact(child) | _text(child, key in required) for key, child in properties}
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
    """Move repeated schemas of arguments to ``$defs``: types without texts, whole arguments, then types inside them."""
    definitions: Schema = schema["$defs"]
    properties = [child for key, child in _walk(schema) if key == "properties"]
    found = [(key, one) for part in properties for key, one in part.items() if isinstance(one, dict) and "title" in one]
    whole = [argument for _, argument in found]
    _move(definitions, whole, lambda part, _: _slug(part["title"]), without=("description", "default"))
    keys = Counter((_text_of(argument), key) for key, argument in found)

    def usual_key(_: Schema, text: str) -> str:
        return str(max((key for other, key in keys if other == text), key=lambda key: keys[text, key]))

    _move(definitions, whole, usual_key)
    parts = [
        part
        for key, child in _walk(schema, inner_first=True)
        for part in ([child] if key == "items" else child if key == "anyOf" else [])
        if isinstance(part, dict) and "title" in part and "const" not in part
    ]
    _move(definitions, parts, lambda part, _: _slug(part["title"]))
    idle = [part for part in definitions.values() if {"properties", "patternProperties"} <= part.keys()]
    _move(definitions, idle, lambda *_: "idle", without=("title", "properties", "required"))


def _move(
    definitions: Schema, parts: list[Schema], name: Callable[[Schema, str], str], without: Sequence[str] = ()
) -> None:
    """Replace repeated parts by references to definitions, called by ``name``; keys of ``without`` stay beside these."""

    def core(part: Schema) -> Schema:
        return {key: value for key, value in part.items() if key not in without}

    known = {_text_of(value): name for name, value in definitions.items()}
    counts = Counter(_text_of(core(part)) for part in parts)
    for part in parts:
        text = _text_of(core(part))
        if len(text) < _SHORTEST or (counts[text] == 1 and text not in known):
            continue
        if text not in known:
            wanted = name(part, text)
            free = (wanted if k == 1 else f"{wanted}-{k}" for k in itertools.count(1))
            known[text] = next(one for one in free if one not in definitions)
            definitions[known[text]] = core(part)
        rest = {key: part[key] for key in part if key in without}
        part.clear()
        part |= {**reference(known[text]), **rest}


def _walk(value: Any, *, inner_first: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield the keys of all mappings in a schema, each with its value, before or after those in the value."""
    items = [("", child) for child in value] if isinstance(value, list) else []
    for key, child in value.items() if isinstance(value, dict) else items:
        if not inner_first:
            yield key, child
        yield from _walk(child, inner_first=inner_first)
        if inner_first:
            yield key, child


def _text_of(value: Schema) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _slug(title: str) -> str:
    for sign, word in {"≥": "from", ">": "above", "≤": "to", "<": "below"}.items():
        title = title.replace(sign, word)
    return re.sub(r"[^\w.]+", "-", title).strip("-")


# Schemas of the classes of a registry: their names with texts, and the arguments that a ``type`` has.
_PATTERN = {"pattern": VARIABLE_DEFINITION["pattern"]}
OPTION: Schema = {
    "title": "true or false",
    "type": ["boolean", "string"],
    **_PATTERN,
    "errorMessage": "Expected true or false.",
    "description": "Keras's call argument. Default: false.",
}


def _names(items: Schema) -> Schema:
    named = {"type": "string", "title": "name"}
    return {"anyOf": [named, {"type": "array", "title": "list of names", "items": items, "minItems": 1}]}


NAMES = _names({"type": "string"})
_ANY: Schema = {"description": "", "allOf": [True]}
"""An alternative without conditions, as which an editor offers nothing. The empty text tells it from others when an editor
compares titles and texts."""
_MANY = 5  # the number of arguments that the text of a class lists
_GROUP = 7  # the number of conditions from which one in front of them saves time
_ONNX = "onnx."  # ONNX's operators: `validate` alone checks their attributes, for a schema of all is larger by 4 %
_MINOR = re.compile(r"_(regularizer|constraint|initializer)$|^seed$|^dtype$")  # arguments that this text leaves out


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
    """Return the classes of a registry, with those of plugins, without those that the compiler refuses."""
    load_plugins()
    return [cls for cls in registry if not issubclass(cls, Refused)]


def _is_cell(cls: type) -> bool:
    """Return whether a class is a cell, perhaps one that is a layer, too."""
    return CELLS.get(cls.__name__) is cls


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
            about = text if registry is LAYERS and _is_cell(cls) else describe_class(cls)
            names.append({"const": primary, "title": primary, "description": about})
            names += [{"const": name, "title": name, "description": f"Another name of {primary}."} for name in others]
        else:
            for name in (primary, *others):
                about = text if name == primary else f"Another name of {primary}."
                names.append({"enum": [name], "title": name, "enumDescriptions": [about]})
    return {"if": _PATTERN, "else": reference(f"{kind}-known"), "anyOf": [*names, _ANY]}


def _known_schema(registry: Registry[Any]) -> Schema:
    """Return the condition of a known name. Editors cannot suggest one, and all names would make a long message."""
    names = [name for cls in accepted(registry) for name in _aliases(registry, cls)]
    message = f"There is no {registry.kind} of this name; `graphspec validate` suggests one."
    return {"pattern": _exactly(names), "errorMessage": message}


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
        own = reference(f"{'cell' if _is_cell(cls) else kind}.{names[0]}")
        condition = {"if": _of_type(_exactly(names)), "then": own}
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
        # an argument of a class, other than a key of nodes that is one in this class alone
        and not (
            meaning.values
            and any(key in cls.model_fields and key not in getattr(cls, "own_keys", ()) for cls in (first, *others))
        )
    }


def signatures(registry: Registry[Any]) -> list[list[str]]:
    """Return the names of the operations that have arguments, those with equal ones together."""
    groups: dict[str, list[str]] = {}
    for cls in accepted(registry):
        name = primary_name(registry, cls)
        if is_operation(registry, cls) and cls.model_fields and not name.startswith(_ONNX):
            typed = {key: value for key, value in _typed(registry, cls).items() if key != "title"}
            groups.setdefault(f"{name.partition('.')[0]} {json.dumps(typed, sort_keys=True)}", []).append(name)
    return list(groups.values())


def _typed(registry: Registry[Any], cls: type[Config]) -> Schema:
    """Return the schema of the arguments of ``cls``; the mapping around them forbids all other keys."""
    properties, required = arguments(cls)
    nodes = {**NAMES, "title": "name or list of names", "description": "Nodes for Keras's call argument."}
    calls = {key: dict(nodes) for key in getattr(cls, "call_arguments", ())}
    calls |= {key: dict(OPTION) for key in getattr(cls, "call_options", ())}  # `share` changes each on its own
    shared = common(registry)
    own = {key: value for key, value in cls.neutral.items() if key not in cls.model_fields and key not in shared}
    typed: Schema = {"title": primary_name(registry, cls), "properties": {**properties, **calls}, **neutral(own)}
    return {**typed, "required": required} if required else typed


def _search_schema() -> Schema:
    keys = section_schema(SearchKeys)
    paths = {"type": "object", "additionalProperties": reference("space"), "minProperties": 1}
    changed = {"space": paths, "objective": section_schema(ObjectiveKeys)}
    texts = {key: {"description": keys["properties"][key]["description"]} for key in changed}
    return {**keys, "properties": keys["properties"] | {key: changed[key] | texts[key] for key in changed}}


def space_schema() -> Schema:
    """Return the schema of a space of values."""
    log = {"type": "boolean", "description": "Whether equal ratios are equally likely, not equal differences."}

    def numbers(key: str, kind: str) -> Schema:
        bounds = {"type": "array", "items": {"type": kind}, "minItems": 2, "maxItems": 2}
        bounds["description"] = "The lowest and the highest value; both are included."
        step = {"type": kind, "exclusiveMinimum": 0, "description": "The distance of neighbours."}
        return _closed({key: bounds, "log": log, "step": step}, [key], title=key)

    text = "The values. A mapping in it may contain spaces, which only exist if it is chosen."
    choice = _closed({"choice": {"type": "array", "minItems": 1, "description": text}}, ["choice"], title="choice")
    return {"anyOf": [numbers("float", "number"), numbers("int", "integer"), choice]}


def _closed(properties: Schema, required: Sequence[str] = (), **more: str) -> Schema:
    """Return the schema of a mapping with these keys and no others."""
    needed = {"required": [*required]} if required else {}
    return {**more, "type": "object", "properties": properties, **needed, "additionalProperties": False}


def _about(text: str, value: Schema) -> Schema:
    return {**value, "description": text}


_NAME: Schema = {"type": "string", "pattern": r"^[^\s/:]+$", "errorMessage": "Expected a name without spaces, / and :."}
_NUMBERS: Schema = {"type": "array", "items": {"type": ["number", "string"], **_PATTERN}, "minItems": 1}
NODE_KEYS: dict[str, Schema] = {
    "name": {**_NAME, "description": "A unique name; by default the type in snake case with a counter."},
    "inputs": {
        **_names({"anyOf": [{"type": ["string", "number", "null"]}, _NUMBERS]}),
        "description": "One name or a list: inputs, nodes, or `node:k` for output k. Default: the node above. "
        "Operations take numbers, too.",
    },
    "trainable": {
        "type": ["boolean", "string", "array"],
        **_PATTERN,
        "errorMessage": "Expected true or false.",
        "default": True,
        "description": "`false` freezes the weights. Default: true. Of an ONNX file it says what trains.",
    },
    "repeat": {
        "type": ["integer", "string", "object"],
        "minimum": 1,
        **_PATTERN,
        "errorMessage": "Expected an integer.",
        "description": "Number of copies in a row, `name_1` … `name_n`, each with its own weights; or a loop: `times`, "
        "lists of values (`${units}` of `{units: [64, 32]}`), `carry`, `shared`, `over`, `collect`, `sum`.",
    },
    "weights": {**WEIGHT_FILE, "description": "A file or a run with the weights to start from."},
}
AVERAGE: Schema = {"type": ["number", "string"], "description": "Use running means of the weights; this part stays."}
COPIED = ("trainable", "repeat", "weights")  # keys of layers and of blocks, not of shares
SHARE: Schema = {"type": "string", "description": "The node or block instance whose weights are used."}
BLOCK: Schema = {"type": "string", "description": "The block to instantiate."}


def schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a spec."""
    definitions = {"variable": VARIABLE_DEFINITION, "node": _node(), "block": block_schema(), "space": space_schema()}
    definitions |= {f"node-{key}": NODE_KEYS[key] for key in COPIED}
    for kind, registry in {**REGISTRIES, "column": COLUMNS}.items():
        definitions[kind] = _choice(kind, registry)
        definitions[f"{kind}-name"] = names_schema(kind, registry)
        definitions[f"{kind}-known"] = _known_schema(registry)
        definitions[f"{kind}-arguments"] = arguments_schema(kind, registry)
        names = [primary_name(registry, cls) for cls in accepted(registry) if not is_operation(registry, cls)]
        names = names if registry is CELLS else [name for name in names if name not in CELLS.names()]
        names += [group[0] for group in signatures(registry)]  # operations of one signature have one definition
        typed = {f"{kind}.{name}": _typed(registry, cls) for name in names if (cls := registry.get(name))}
        first, *others = (each["properties"] for each in typed.values())
        alike = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
        for each in typed.values():
            each["properties"] = {key: value for key, value in each["properties"].items() if key not in alike}
        definitions[f"{kind}-arguments"]["then"] |= {"properties": alike} if alike else {}
        definitions |= typed
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "graphspec"}
    head["description"] = "A neural network as data."
    made: Schema = {**_closed(document_properties(), REQUIRED, **head), "$defs": definitions}
    made = json.loads(json.dumps(made))  # a tree of its own: `share` changes it in place
    share(made)
    return made


def document_properties() -> dict[str, Schema]:
    """Return the schemas of the keys of the document."""
    heads = {**section_schema(HeadKeys), "type": ["object", "null"]}
    parts = {
        "train": _about("Training rows.", section_schema(TrainKeys)),
        "validation": _about("Rows for validation during training.", section_schema(ValidationKeys)),
        "test": _about("Rows for the final evaluation.", section_schema(DataKeys)),
    }
    nodes = {"type": "array", "items": reference("node")}
    return {
        "graphspec": {"const": VERSION, "description": "Version of the language."},
        "name": {**_NAME, "description": "Names the run directory and the ONNX graph."},
        "description": {"type": "string", "description": "What the network is for."},
        "vars": {"type": "object", "description": "Variables: `${x}` anywhere below."},
        "inputs": _mapping(_input_or_record(), "Inputs by name, without the batch axis; or records."),
        "blocks": _mapping(reference("block"), "Groups of layers that are instantiated with params."),
        "layers": _about("The nodes; each reads the node above it unless it has `inputs`.", nodes),
        "outputs": _mapping(heads, "The heads; a head has the name of its node unless it has `layer`."),
        "training": _about("How the heads are trained.", section_schema(TrainingKeys)),
        "data": _about("The sources of the rows.", _closed(parts)),
        "search": _search_schema(),
    }


def section_schema(cls: type[Config]) -> Schema:
    """Return the schema of a mapping with the arguments of ``cls`` and no other keys."""
    properties, required = arguments(cls)
    # the name of a section of the document: ``TrainingKeys`` are of `training`
    titles = {"HeadKeys": "head", "DataKeys": "data source", "TrainKeys": "training rows"}
    title = titles.get(cls.__name__, cls.__name__.removesuffix("Keys").lower())
    closed: Schema = {"title": title, "type": "object", "properties": properties, "additionalProperties": False}
    closed |= {"description": paragraphs[0]} if (paragraphs := paragraphs_of(cls))[0] else {}
    closed |= neutral({key: value for key, value in cls.neutral.items() if key not in cls.model_fields})
    return closed if not required else {**closed, "required": required}


def _input_or_record() -> Schema:
    """Return the schema of an input, which has a shape unless it is text, or of a record, which has columns."""
    texts: Schema = {"properties": {"dtype": {"anyOf": [{"const": "string"}, VARIABLE]}}, "required": ["dtype"]}
    given = {**section_schema(InputKeys), "if": texts, "else": {"required": ["shape"]}}
    keys = given["properties"]
    both = {**given, "properties": {**keys, "columns": columns_schema()}}
    decided = {"type": "object", "anyOf": [{"required": [key]} for key in keys]}
    alone = {"if": decided, "then": given, "else": both}
    return {"type": "object", "if": _has("columns"), "then": record_schema(), "else": alone}


def columns_schema() -> Schema:
    """Return the schema of the columns of a record."""
    text = arguments(RecordKeys)[0]["columns"]["description"]
    column = {"type": ["string", "object"], "allOf": [reference("column")]}
    pattern = {**_PATTERN, "errorMessage": "Expected a mapping of columns."}
    return {"type": ["object", "string"], "additionalProperties": column, **pattern, "description": text}


def record_schema() -> Schema:
    """Return the schema of a record."""
    record = section_schema(RecordKeys)
    names: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": MAX_CROSSED}
    crosses: Schema = {"type": "array", "items": {"anyOf": [names, section_schema(Cross), VARIABLE]}}
    text = {"description": record["properties"]["crosses"]["description"]}
    numbers = {**section_schema(Number), "description": record["properties"]["numbers"]["description"]}
    keys = {"columns": columns_schema(), "crosses": {"anyOf": [crosses, VARIABLE], **text}, "numbers": numbers}
    return {**record, "properties": keys}


def _mapping(value: Schema, description: str) -> Schema:
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
    copies = {key: reference(f"node-{key}") for key in COPIED}
    params: Schema = {"type": "object", "description": "Params of the block; missing ones have their defaults."}
    kinds = {"type": "string", "allOf": [reference("layer-name")]}
    idle = {key: meaning for key, meaning in common(LAYERS).items() if key not in NODE_KEYS}
    layer = {"title": "layer", "properties": {"type": kinds, **copies}, **neutral(idle)}
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
        "then": {"title": "share", "properties": {"share": SHARE, "average": AVERAGE, **options}},
        "else": {"if": _has("block"), "then": instance, "else": {"if": _has("type"), "then": layer, "else": undecided}},
        "unevaluatedProperties": False,
    }


def _has(key: str) -> Schema:
    """Return the condition of a mapping with a key. ``required`` alone accepts the null of a new item."""
    return {"type": "object", "required": [key]}


def block_schema() -> Schema:
    """Return the schema of a block definition."""
    keys = {
        "description": {"type": "string", "description": "What the block is for."},
        "params": {"type": "object", "description": "Params with their defaults: `${x}` inside the block."},
        "inputs": _about("Names of the block's inputs.", NAMES),
        "layers": _about("The block's nodes.", {"type": "array", "items": reference("node")}),
        "outputs": _about("The output nodes. For an instance `mix`, `mix` is output 0 and `mix:k` output k.", NAMES),
    }
    text = "Layers that can be instantiated. They see the block's inputs, params, vars and each other."
    return _about(text, _closed(keys, ["inputs", "layers", "outputs"], title="block"))
