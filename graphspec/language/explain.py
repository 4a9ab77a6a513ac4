"""Validate a mapping of the document by its class, and say in the document's terms what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError

from graphspec.activations import ACTIVATIONS
from graphspec.callbacks import CALLBACKS
from graphspec.codes import Code
from graphspec.config import Config, Registry
from graphspec.constraints import CONSTRAINTS
from graphspec.errors import Problem, did_you_mean
from graphspec.initializers import INITIALIZERS
from graphspec.language.tree import Problems, Tree, describe, format_value, listed, meant, wrong_type
from graphspec.layers import CELLS, LAYERS
from graphspec.losses import LOSSES
from graphspec.metrics import METRICS
from graphspec.optimizers import OPTIMIZERS
from graphspec.regularizers import REGULARIZERS
from graphspec.schedules import SCHEDULES

C = TypeVar("C", bound=Config)
Errors = Sequence[Mapping[str, Any]]

REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry
    for registry in (
        *(LAYERS, CELLS, ACTIVATIONS, INITIALIZERS, REGULARIZERS, CONSTRAINTS),
        *(LOSSES, METRICS, OPTIMIZERS, SCHEDULES, CALLBACKS),
    )
}
"""Everything that a name in a spec can be looked up in, by what it is."""

_TYPES = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "list_type": "a list",
    "none_required": "null",
    "string_type": "text",
    "tuple_type": "a list",
}
_SUCH = {"a number": "such as `0.5`", "an integer": "such as `1`", "a list": "such as `[1]`", "text": "write text"}
_BOUNDS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}


def validate(cls: type[C], tree: Tree, what: str, problems: Problems, *, without: Sequence[str] = ()) -> C | None:
    """An instance of ``cls`` from the mapping ``tree``, or None if anything is wrong, which is reported.

    Args:
        what: what the mapping is, for messages: ``Dense 'hidden_1'``.
        without: keys that are no fields of ``cls``.
    """
    given: dict[str, Tree] = {key: child for key, child in tree.value.items() if key not in without}
    unknown = {key for key, child in given.items() if child.unknown}
    values = {key: child.plain() for key, child in given.items() if key not in unknown}
    try:
        made = cls.model_validate(values)
    except ValidationError as error:
        explain(error.errors(include_url=False), cls, tree, what, problems, spoken_for=unknown)
        return None
    return None if unknown else made


def salvage(cls: type[C], tree: Tree) -> C:
    """What is right in a mapping that has something wrong: keys that are valid by themselves. ``cls`` requires none."""
    good: dict[str, Any] = {}
    for key, child in tree.value.items() if isinstance(tree.value, dict) else ():
        if not child.unknown:
            try:
                cls.model_validate({key: child.plain()})
            except ValidationError:
                continue
            good[key] = child.plain()
    return cls.model_validate(good)


def explain(
    errors: Errors, cls: type[Config], tree: Tree, what: str, problems: Problems, *, spoken_for: set[str] | None = None
) -> None:
    """Report pydantic's ``errors`` about ``tree``; one diagnostic a wrong value.

    Args:
        spoken_for: keys whose value is unknown; that they are missing is not worth saying.
    """
    fields = _fields(cls)
    excused = meant(tree, fields) | (spoken_for or set()) if isinstance(tree.value, dict) else set()
    groups: dict[str | int | None, list[Mapping[str, Any]]] = {}
    for error in errors:
        groups.setdefault(error["loc"][0] if error["loc"] else None, []).append(error)
    for key, group in groups.items():
        kind = group[0]["type"]
        if key is None:
            for error in group:
                _explain_whole(error, cls, tree, what, problems)
        elif kind == "extra_forbidden" and (neutral := cls.neutral.get(str(key))) is not None:
            value = tree.value[str(key)]
            text = f"`{key}` of {what} cannot be {describe(value.plain())}: {neutral.reason}"
            problems.value(value, Code.VALUE_NOT_ALLOWED, text, hint=neutral.hint or f"leave `{key}` out")
        elif kind == "extra_forbidden":
            hint = cls.elsewhere.get(str(key)) or did_you_mean(str(key), fields) or _known(cls)
            problems.key(tree, str(key), Code.UNKNOWN_KEY, f"unknown key '{key}' of {what}", hint=hint)
        elif kind == "missing" and len(group[0]["loc"]) == 1:
            if key not in excused:
                about = _about(cls, str(key))
                problems.node(tree, Code.MISSING_KEY, f"{what} needs `{key}`", subject=str(key), hint=about)
        else:
            about = _bracketed(cls, tree, str(key)) or _about(cls, str(key))
            _explain_value(group, tree, what, problems, about)


@cache
def _fields(cls: type[Config]) -> list[str]:
    fields = [field.alias or name for name, field in cls.model_fields.items()]
    return [*fields, *getattr(cls, "call_arguments", ())]


def _known(cls: type[Config]) -> str:
    """The keys, those that are required first."""
    fields = sorted(cls.model_fields.items(), key=lambda item: not item[1].is_required())
    names = [field.alias or name for name, field in fields]
    return f"it takes {listed(names)}" if names else "it takes no arguments"


def _about(cls: type[Config], key: str) -> str | None:
    """What a missing key would say."""
    field = next((f for name, f in cls.model_fields.items() if (f.alias or name) == key), None)
    if field is None:
        return None
    said = [f"{field.description[0].lower()}{field.description[1:].rstrip('.')}"] if field.description else []
    if not field.is_required() and isinstance(field.default, str | int | float):
        said.append(f"{format_value(field.default).strip(chr(39))} by default")
    return f"`{key}`: {'; '.join(said)}" if said else None


def _bracketed(cls: type[Config], tree: Tree, key: str) -> str | None:
    """The fix for a value where a list of such values stands, if a list of it alone is accepted."""
    value = tree.value[key].plain()
    if isinstance(value, list):
        return None
    try:
        cls.model_validate({key: [value]})
    except ValidationError as error:
        if any(found["loc"][:1] == (key,) for found in error.errors(include_url=False)):
            return None
    said = format_value(value) if isinstance(value, dict) else str(value)
    return "put it into brackets" + (f": `[{said}]`" if len(said) <= 60 else "")


def _explain_whole(error: Mapping[str, Any], cls: type[Config], tree: Tree, what: str, problems: Problems) -> None:
    """Report an error about keys together, at the one that the error names or else at the whole mapping."""
    key = _key(error)
    value = None if key is None else tree.get(key)
    problem = _problem(error, value)
    subject = what if key is None else f"`{key}` of {what}"
    text, hint = f"{subject} {problem.message}", problem.hint or (None if key is None else _about(cls, key))
    if value is None:
        problems.node(tree, problem.code, text, hint=hint, subject=problem.message)
    else:
        problems.value(value, problem.code, text, hint=hint)


def _key(error: Mapping[str, Any]) -> str | None:
    """The key below a value that an error is about."""
    problem: Problem | None = error.get("ctx", {}).get("problem")
    return None if problem is None else problem.key


def _problem(error: Mapping[str, Any], value: Tree | None) -> Problem:
    """What an error of pydantic says about ``value``."""
    quoted = "" if value is None else f", not {describe(value)}"
    problem: Problem | None = error.get("ctx", {}).get("problem")
    if problem is None:
        return Problem(Code.VALUE_NOT_ALLOWED, _demand(error) + quoted)
    return replace(problem, message=problem.message + quoted) if error["ctx"]["show_value"] else problem


def _place(tree: Tree, loc: Sequence[str | int]) -> tuple[Tree, str, int]:
    """The value at ``loc``, its name below ``tree``, and how many steps lead there.

    Pydantic's locations also name the members of unions and index what one number stands for; these are passed over.
    """
    name, steps = "", 0
    for step in loc:
        child = tree.find([step])[0]
        if child is not None:
            tree, steps = child, steps + 1
            name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
    return tree, name, steps


def _explain_value(group: Errors, tree: Tree, what: str, problems: Problems, about: str | None) -> None:
    """Report the errors about one argument. Of a union's members, those speak that got furthest into the value."""
    places = [(error, *_place(tree, error["loc"])) for error in group]
    furthest = max(steps for *_, steps in places)
    by_place: dict[str, tuple[Tree, list[Mapping[str, Any]]]] = {}
    tagged = any(len(error["loc"]) > 1 and isinstance(error["loc"][1], str) for error in group)
    for error, value, name, steps in places:
        if steps == furthest or not tagged:
            by_place.setdefault(name, (value, []))[1].append(error)
    for name, (value, errors) in by_place.items():
        _explain_one(errors, value, name or str(group[0]["loc"][0]), what, problems, about)


def _explain_one(
    errors: Errors, value: Tree, name: str, what: str, problems: Problems, about: str | None = None
) -> None:
    chosen = next((e for e in errors if e["type"] not in _TYPES and e["type"] != "literal_error"), None)
    if chosen is not None and chosen["type"] == "nested":
        kind, inner = chosen["ctx"]["kind"], chosen["ctx"]["name"]
        cls = REGISTRIES[kind].get(inner)
        assert cls is not None
        explain(chosen["ctx"]["errors"], cls, value, f"{inner} in {what}", problems)
        return
    if chosen is None:
        problem = _wrong_type(errors, value, about)
    else:
        problem = _problem(errors[-1] if chosen["type"] == "missing" else chosen, value)
    at = (None if problem.key is None else value.get(problem.key)) or value
    problems.value(at, problem.code, f"`{name}` of {what} {problem.message}", hint=problem.hint or about)


def _wrong_type(errors: Errors, value: Tree, about: str | None) -> Problem:
    """A value that is of none of the types, or none of the choices, that may stand there."""
    wanted = list(dict.fromkeys(_wanted(error) for error in errors))
    choices = [text for error in errors for text in re.findall(r"'([^']*)'", _wanted(error))]
    is_choice = bool(choices) and isinstance(value.value, str)
    hint = did_you_mean(value.value, choices) if is_choice else None
    hint = hint or next((h for w in wanted if (h := wrong_type(value, w))), None) or about or _SUCH.get(wanted[0])
    message = f"must be {' or '.join(wanted)}, not {describe(value)}"
    return Problem(Code.VALUE_NOT_ALLOWED if is_choice else Code.WRONG_TYPE, message, hint)


def _wanted(error: Mapping[str, Any]) -> str:
    return str(error["ctx"]["expected"]) if error["type"] == "literal_error" else _TYPES[error["type"]]


def _demand(error: Mapping[str, Any]) -> str:
    """What a value must be, in words."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _BOUNDS:
        key, sign = _BOUNDS[kind]
        return f"must be {sign} {context[key]:g}"
    if kind in ("too_long", "too_short"):
        count = context.get("max_length", context.get("min_length"))
        return f"must have {'at least ' * (kind == 'too_short')}{count} value{'' if count == 1 else 's'}"
    if kind == "missing":
        return f"must have {error['loc'][-1] + 1} values"
    if kind == "string_too_short":
        return "must not be empty" if context["min_length"] == 1 else f"must have {context['min_length']} characters"
    if kind == "string_too_long":
        return f"must have {context['max_length']} character{'' if context['max_length'] == 1 else 's'}"
    if kind == "finite_number":
        return "must be finite"
    return str(error["msg"]).replace("Input should", "must")
