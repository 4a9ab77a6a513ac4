"""Validate a mapping of the document by its class, and explain pydantic's errors in terms of the document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError

from graphspec.base.codes import Code
from graphspec.base.config import Config, Registry
from graphspec.base.errors import Problem, did_you_mean
from graphspec.base.synonyms.keys import key_synonym, means_null, value_synonym
from graphspec.graph.constraints import CONSTRAINTS
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.graph.regularizers import REGULARIZERS
from graphspec.graph.schedules import SCHEDULES
from graphspec.language.torn_values import torn_values
from graphspec.language.tree import Problems, Tree, describe, format_names, format_value, intended_keys, type_hint
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.callbacks import CALLBACKS
from graphspec.vocabulary.layers import CELLS, LAYERS
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS

C = TypeVar("C", bound=Config)
Errors = Sequence[Mapping[str, Any]]

REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry
    for registry in (
        *(LAYERS, CELLS, ACTIVATIONS, INITIALIZERS, REGULARIZERS, CONSTRAINTS),
        *(LOSSES, METRICS, OPTIMIZERS, SCHEDULES, CALLBACKS),
    )
}
"""All registries of classes that a spec can name, by the kind of the classes."""

_TYPES = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "list_type": "a list",
    "model_type": "a mapping",
    "none_required": "null",
    "string_type": "text",
    "tuple_type": "a list",
}
_EXAMPLES = {
    "a number": "for example `0.5`",
    "an integer": "for example `1`",
    "a list": "for example `[1]`",
    "text": "write text",
}
_BOUNDS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}


def validate(
    cls: type[C],
    tree: Tree,
    subject: str,
    problems: Problems,
    *,
    without: Sequence[str] = (),
    unknown_names: Mapping[str, str] | None = None,
) -> C | None:
    """Return an instance of ``cls`` from the mapping ``tree``. Report what is wrong, and then return None.

    Args:
        subject: the mapping in messages, such as ``Dense 'hidden_1'``.
        without: keys to ignore, which are not fields of ``cls``.
        unknown_names: by key, a better hint for an unknown name than the registry has.
    """
    arguments: dict[str, Tree] = {key: child for key, child in tree.value.items() if key not in without}
    unknown = {key for key, child in arguments.items() if child.unknown}
    values = {key: child.plain() for key, child in arguments.items() if key not in unknown}
    try:
        result = cls.model_validate(values)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        explain(errors, cls, tree, subject, problems, unknown=unknown, unknown_names=unknown_names)
        return None
    return None if unknown else result


def salvage(cls: type[C], tree: Tree) -> C:
    """Return an instance from the valid keys of a wrong mapping. Each key is tested separately; ``cls`` requires none."""
    valid: dict[str, Any] = {}
    for key, child in tree.value.items() if isinstance(tree.value, dict) else ():
        if not child.unknown:
            try:
                cls.model_validate({key: child.plain()})
            except ValidationError:
                continue
            valid[key] = child.plain()
    return cls.model_validate(valid)


def explain(
    errors: Errors,
    cls: type[Config],
    tree: Tree,
    subject: str,
    problems: Problems,
    *,
    unknown: set[str] | None = None,
    unknown_names: Mapping[str, str] | None = None,
) -> None:
    """Report pydantic's ``errors`` about ``tree``, with one diagnostic per wrong value.

    Args:
        unknown: keys with an unknown value. They are not reported as missing.
        unknown_names: by key, a hint for an unknown name.
    """
    fields = _fields(cls)
    is_mapping = isinstance(tree.value, dict)
    torn = torn_values(tree.value) if is_mapping else {}
    synonyms = _key_synonyms(cls, tree)
    excused = meant_keys(cls, tree, synonyms) | (unknown or set())
    groups: dict[str | int | None, list[Mapping[str, Any]]] = {}
    for error in errors:
        groups.setdefault(error["loc"][0] if error["loc"] else None, []).append(error)
    hint: str | None
    for key, group in groups.items():
        error_type = group[0]["type"]
        if key is None:
            for error in group:
                _explain_whole(error, cls, tree, subject, problems)
        elif error_type == "extra_forbidden" and (neutral := cls.neutral.get(str(key))) is not None:
            value = tree.value[str(key)]
            text = f"`{key}` of {subject} cannot be {describe(value.plain())}: {neutral.reason}"
            defaults = {name: field.default for name, field in cls.model_fields.items()}
            hint = neutral.hint(defaults | tree.plain()) if callable(neutral.hint) else neutral.hint
            problems.value(value, Code.VALUE_NOT_ALLOWED, text, hint=hint or f"remove `{key}`")
        elif error_type == "extra_forbidden" and torn.get(str(key)) == "":
            continue  # the rest of a value that has been reported
        elif error_type == "extra_forbidden":
            hint = torn.get(str(key)) or cls.elsewhere.get(str(key)) or synonyms.get(str(key))
            hint = hint or did_you_mean(str(key), fields) or _keys_hint(cls)
            problems.key(tree, str(key), Code.UNKNOWN_KEY, f"unknown key '{key}' of {subject}", hint=hint)
        elif error_type == "missing" and len(group[0]["loc"]) == 1:
            if key not in excused:
                hint = _field_hint(cls, str(key))
                problems.node(tree, Code.MISSING_KEY, f"{subject} needs `{key}`", subject=str(key), hint=hint)
        else:
            hint = torn.get(str(key)) or value_synonym(str(key), tree.value[str(key)].value)
            default = (
                _null_hint(cls, tree, str(key)) or _bracket_hint(cls, tree, str(key)) or _field_hint(cls, str(key))
            )
            _explain_value(group, tree, subject, problems, hint, default, (unknown_names or {}).get(str(key)))


def _key_synonyms(cls: type[Config], tree: Tree) -> dict[str, str]:
    """Return hints for keys of other frameworks, preferably with a key of ``cls`` that ``tree`` lacks."""
    if not isinstance(tree.value, dict):
        return {}
    fields, classes = _fields(cls), [base.__name__ for base in cls.__mro__]
    missing = [field for field in fields if field not in tree.value]
    unknown = (key for key in tree.value if key not in fields)
    hints = {key: key_synonym(key, classes, missing, fields) for key in unknown}
    return {key: hint for key, hint in hints.items() if hint is not None}


def meant_keys(cls: type[Config], tree: Tree, synonyms: Mapping[str, str] | None = None) -> set[str]:
    """Return the keys of ``cls`` that unknown keys of ``tree`` stand for: misspelt ones, and those of other frameworks."""
    if not isinstance(tree.value, dict):
        return set()
    fields = _fields(cls)
    hints = (_key_synonyms(cls, tree) if synonyms is None else synonyms).values()
    named = {match[1] for hint in hints if (match := re.match(r"did you mean '(\w+)'\?", hint))}
    return intended_keys(tree, fields) | (named & set(fields))


@cache
def _fields(cls: type[Config]) -> list[str]:
    """Return the keys that ``cls`` accepts."""
    fields = [field.alias or name for name, field in cls.model_fields.items()]
    return [*fields, *getattr(cls, "call_arguments", ()), *getattr(cls, "call_options", ())]


def _keys_hint(cls: type[Config]) -> str:
    """Return a hint that lists the keys of ``cls``, the required ones first."""
    fields = sorted(cls.model_fields.items(), key=lambda item: not item[1].is_required())
    names = [field.alias or name for name, field in fields]
    return f"its keys are {format_names(names)}" if names else "it takes no arguments"


def _field_hint(cls: type[Config], key: str) -> str | None:
    """Return a hint with the description and the default of a key."""
    field = next((f for name, f in cls.model_fields.items() if (f.alias or name) == key), None)
    if field is None:
        return None
    parts = [f"{field.description[0].lower()}{field.description[1:].rstrip('.')}"] if field.description else []
    if not field.is_required() and isinstance(field.default, str | int | float):
        parts.append(f"{format_value(field.default).strip(chr(39))} by default")
    return f"`{key}`: {'; '.join(parts)}" if parts else None


def _bracket_hint(cls: type[Config], tree: Tree, key: str) -> str | None:
    """Return a hint to write a single value as a list, or None if ``cls`` does not accept that list."""
    value = tree.value[key].plain()
    if isinstance(value, list):
        return None
    try:
        cls.model_validate({key: [value]})
    except ValidationError as error:
        if any(found["loc"][:1] == (key,) for found in error.errors(include_url=False)):
            return None
    text = "null" if means_null(value) else format_value(value) if isinstance(value, dict) else str(value)
    return "put it into brackets" + (f": `[{text}]`" if len(text) <= 60 else "")


def _null_hint(cls: type[Config], tree: Tree, key: str) -> str | None:
    """Return a hint for ``None`` and other words for null, or None for another value."""
    value = tree.value[key].value
    if not (value is None or means_null(value)):
        return None
    field = next((f for name, f in cls.model_fields.items() if (f.alias or name) == key), None)
    try:
        cls.model_validate({key: None})
    except ValidationError as error:
        if any(found["loc"][:1] == (key,) for found in error.errors(include_url=False)):
            return None if field is None or field.is_required() else f"leave `{key}` out for the default"
    return None if value is None else "write `null`, or leave it out"


def _explain_whole(error: Mapping[str, Any], cls: type[Config], tree: Tree, subject: str, problems: Problems) -> None:
    """Report an error of the whole mapping: at the key that the error names, or else at the mapping."""
    key = _key(error)
    value = None if key is None else tree.get(key)
    problem = _problem(error, value)
    text = f"{subject} {problem.message}" if key is None else f"`{key}` of {subject} {problem.message}"
    hint = problem.hint or (None if key is None else _field_hint(cls, key))
    if value is None:
        problems.node(tree, problem.code, text, hint=hint, subject=problem.message)
    else:
        problems.value(value, problem.code, text, hint=hint)


def _key(error: Mapping[str, Any]) -> str | None:
    """Return the key that an error names, or None."""
    problem: Problem | None = error.get("ctx", {}).get("problem")
    return None if problem is None else problem.key


def _problem(error: Mapping[str, Any], value: Tree | None) -> Problem:
    """Return the problem that an error of pydantic stands for."""
    quoted = "" if value is None else f", not {describe(value)}"
    problem: Problem | None = error.get("ctx", {}).get("problem")
    if problem is None and error["type"] == "missing" and isinstance(key := error["loc"][-1], str):
        return Problem(Code.MISSING_KEY, f"needs `{key}`")
    if problem is None and error["type"] == "extra_forbidden":
        return Problem(Code.UNKNOWN_KEY, "is no known key")
    if problem is None:
        return Problem(Code.VALUE_NOT_ALLOWED, _requirement(error) + quoted)
    return replace(problem, message=problem.message + quoted) if error["ctx"]["show_value"] else problem


def _locate(tree: Tree, loc: Sequence[str | int]) -> tuple[Tree, str, int]:
    """Return the value at ``loc``, its name below ``tree``, and its depth.

    Steps of ``loc`` that do not exist in the document are skipped: pydantic also names the members of unions, and it
    indexes tuples that validators create from a single value.
    """
    name, steps = "", 0
    for step in loc:
        child = tree.find([step])[0]
        if child is not None:
            tree, steps = child, steps + 1
            name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
    return tree, name, steps


def _explain_value(
    group: Errors,
    tree: Tree,
    subject: str,
    problems: Problems,
    hint: str | None,
    default: str | None,
    unknown_name: str | None,
) -> None:
    """Report the errors of one argument. For a union, only the deepest errors are reported.

    Args:
        hint: a hint that is better than that of the error.
        default: a hint if the error has none.
        unknown_name: a hint for an unknown name.
    """
    located = [(error, *_locate(tree, error["loc"])) for error in group]
    deepest = max(steps for *_, steps in located)
    by_name: dict[str, tuple[Tree, list[Mapping[str, Any]]]] = {}
    tagged = any(len(error["loc"]) > 1 and isinstance(error["loc"][1], str) for error in group)
    for error, value, name, steps in located:
        if steps == deepest or not tagged:
            by_name.setdefault(name, (value, []))[1].append(error)
    for name, (value, errors) in by_name.items():
        whole = name or str(group[0]["loc"][0])
        at_key = value is tree.get(str(group[0]["loc"][0]))
        _explain_one(errors, value, whole, subject, problems, hint if at_key else None, default, unknown_name)


def _explain_one(
    errors: Errors,
    value: Tree,
    name: str,
    subject: str,
    problems: Problems,
    hint: str | None = None,
    default: str | None = None,
    unknown_name: str | None = None,
) -> None:
    """Report the errors of one value. The hints are those of :func:`_explain_value`."""
    chosen = next((e for e in errors if e["type"] not in _TYPES and e["type"] != "literal_error"), None)
    if chosen is not None and chosen["type"] == "nested":
        kind, inner = chosen["ctx"]["kind"], chosen["ctx"]["name"]
        cls = REGISTRIES[kind].get(inner)
        assert cls is not None
        explain(chosen["ctx"]["errors"], cls, value, f"{inner} in {subject}", problems)
        return
    if chosen is None:
        problem = _wrong_type(errors, value, default)
    else:
        problem = _problem(errors[-1] if chosen["type"] == "missing" else chosen, value)
    at = (None if problem.key is None else value.get(problem.key)) or value
    if problem.code == Code.UNKNOWN_CLASS:
        hint = unknown_name or problem.hint or hint
    problems.value(at, problem.code, f"`{name}` of {subject} {problem.message}", hint=hint or problem.hint or default)


def _wrong_type(errors: Errors, value: Tree, default_hint: str | None) -> Problem:
    """Return the problem of a value that has none of the accepted types and is none of the choices."""
    expected = list(dict.fromkeys(_expected(error) for error in errors))
    items = {error["loc"][-1] for error in errors if isinstance(error["loc"][-1], int)}
    one = expected[0].split()[-1]
    is_number = one in ("integer", "number")
    if (
        is_number and len(items) > 1 and not isinstance(value.value, list) and len(expected) == 1
    ):  # one value, or one per axis
        expected.append(f"a list of {len(items)} {one}s")
    elif is_number and expected[1:] == ["a list"]:
        expected[1] = f"a list of {one}s"
    choices = [text for error in errors for text in re.findall(r"'([^']*)'", _expected(error))]
    is_choice = bool(choices) and isinstance(value.value, str)
    hint = did_you_mean(value.value, choices) if is_choice else None
    hint = hint or next((h for text in expected if (h := type_hint(value, text))), None)
    hint = hint or default_hint or _EXAMPLES.get(expected[0])
    message = f"must be {' or '.join(expected)}, not {describe(value)}"
    return Problem(Code.VALUE_NOT_ALLOWED if is_choice else Code.WRONG_TYPE, message, hint)


def _expected(error: Mapping[str, Any]) -> str:
    """Return the type or the choices that an error of pydantic expects, in words."""
    return str(error["ctx"]["expected"]) if error["type"] == "literal_error" else _TYPES[error["type"]]


def _requirement(error: Mapping[str, Any]) -> str:
    """Return the requirement that a value violates, in words."""
    error_type, context = error["type"], error.get("ctx", {})
    if error_type in _BOUNDS:
        key, sign = _BOUNDS[error_type]
        return f"must be {sign} {context[key]:g}"
    if error_type in ("too_long", "too_short"):
        count = context.get("max_length", context.get("min_length"))
        return f"must have {'at least ' * (error_type == 'too_short')}{count} value{'' if count == 1 else 's'}"
    if error_type == "missing":
        return f"must have {error['loc'][-1] + 1} values"
    if error_type == "string_too_short":
        return "must not be empty" if context["min_length"] == 1 else f"must have {context['min_length']} characters"
    if error_type == "string_too_long":
        return f"must have {context['max_length']} character{'' if context['max_length'] == 1 else 's'}"
    if error_type == "finite_number":
        return "must be finite"
    return str(error["msg"]).replace("Input should", "must")
