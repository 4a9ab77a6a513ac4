"""Validate a mapping of the document by its class, and explain pydantic's errors in terms of the document."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from graphspec.base.config import Config, Registry
from graphspec.base.errors import Code, Problem, Problems, did_you_mean
from graphspec.base.synonyms.keys import key_synonym, means_null, tuple_items, value_synonym
from graphspec.graph.constraints import CONSTRAINTS
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.graph.regularizers import REGULARIZERS
from graphspec.graph.schedules import SCHEDULES
from graphspec.language.tree import Tree, describe, format_names, format_value, intended_keys, not_allowed, type_hint
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.callbacks import CALLBACKS
from graphspec.vocabulary.layers import CELLS, LAYERS
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS


# Values that YAML tears apart inside braces: in ``{strides: (2, 2)}`` and ``{epochs: 1,000}`` the comma ends the value.
def torn_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Return hints by key for values, in the order of the text, that were torn apart; empty hints for their rests."""
    hints: dict[str, str] = {}
    owner, written = "", ""
    rests: list[str] = []
    for key, child in values.items():
        if child.value is None and written.startswith("("):
            rests.append(key)
            if key.endswith(")") and (items := tuple_items(", ".join((written, *rests)))) is not None:
                hints |= {owner: f"lists have brackets: `{items}`", **dict.fromkeys(rests, "")}
                written = ""
        elif child.value is None and re.fullmatch(r"\d+", key) and re.fullmatch(r"-?\d+", written):
            thousands = len(key) == 3 and written.lstrip("-0")
            number = f"{written}{key}" if thousands else f"{written}.{key}"
            hints[key] = f"a comma ends the value of `{owner}`: write `{owner}: {number}`"
        else:
            owner, written, rests = key, str(child.value) if isinstance(child.value, str | int) else "", []
    return hints


C = TypeVar("C", bound=Config)
Errors = Sequence[Mapping[str, Any]]
Hints = Mapping[str, str]

REGISTRIES: dict[str, Registry[Any]] = {  # of classes that a spec can name, by the kind of the classes
    registry.kind: registry
    for registry in (
        *(LAYERS, CELLS, ACTIVATIONS, INITIALIZERS, REGULARIZERS, CONSTRAINTS),
        *(LOSSES, METRICS, OPTIMIZERS, SCHEDULES, CALLBACKS),
    )
}

_TYPES = {"bool_type": "true or false", "float_type": "a number", "none_required": "null", "string_type": "text"}
_TYPES |= dict.fromkeys(("dict_type", "model_type"), "a mapping") | dict.fromkeys(("list_type", "tuple_type"), "a list")
_TYPES |= dict.fromkeys(("int_type", "int_from_float"), "an integer")
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
    cls: type[C], tree: Tree, subject: str, problems: Problems, without: Sequence[str] = (), hints: Hints | None = None
) -> C | None:
    """Return an instance of ``cls`` from the mapping ``tree``. Report what is wrong, and then return None.

    Args:
        subject: the mapping in messages, such as ``Dense 'hidden_1'``.
        without: keys to ignore, which are not fields of ``cls``.
        hints: by key, a better hint for an unknown name than the registry has.
    """
    arguments: dict[str, Tree] = {key: child for key, child in tree.value.items() if key not in without}
    unknown = {key for key, child in arguments.items() if child.unknown}
    try:
        result = cls.model_validate({key: child.plain() for key, child in arguments.items() if key not in unknown})
    except ValidationError as error:
        _Explanation(cls, tree, subject, problems, hints or {}).report(error.errors(include_url=False), unknown)
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


def fields_of(cls: type[Config]) -> dict[str, FieldInfo]:
    """Return the fields of a class by their keys in a spec."""
    return {field.alias or name: field for name, field in cls.model_fields.items()}


@cache
def _fields(cls: type[Config]) -> list[str]:
    return [*fields_of(cls), *getattr(cls, "call_arguments", ()), *getattr(cls, "call_options", ())]


class _Explanation:
    """Reports pydantic's errors about a mapping, one per wrong value. ``hints`` are those for unknown names, by key."""

    def __init__(self, cls: type[Config], tree: Tree, subject: str, problems: Problems, hints: Hints) -> None:
        self.cls, self.tree, self.subject, self.problems = cls, tree, subject, problems
        self.hints = hints
        self.torn = torn_values(tree.value) if isinstance(tree.value, dict) else {}
        self.synonyms = _key_synonyms(cls, tree)

    def report(self, errors: Errors, unknown: Collection[str] = ()) -> None:
        """Report the errors; keys with an ``unknown`` value are not reported as missing."""
        excused = meant_keys(self.cls, self.tree, self.synonyms) | {*unknown}
        groups: dict[str | int | None, list[Mapping[str, Any]]] = {}
        for error in errors:
            groups.setdefault(error["loc"][0] if error["loc"] else None, []).append(error)
        for at, group in groups.items():
            key, error_type = str(at), group[0]["type"]
            if at is None:
                for error in group:
                    self._whole(error)
            elif error_type == "extra_forbidden":
                self._extra(key)
            elif error_type == "missing" and len(group[0]["loc"]) == 1:
                if key not in excused:
                    hint, message = self._field_hint(key), f"{self.subject} needs `{key}`"
                    self.problems.node(self.tree, Code.MISSING_KEY, message, subject=key, hint=hint)
            else:
                self._value(key, group)

    def _extra(self, key: str) -> None:
        """Report a key that the class does not accept, or a value of one that it accepts without effect."""
        if (neutral := self.cls.neutral.get(key)) is not None:
            value = self.tree.value[key]
            text = f"`{key}` of {self.subject} cannot be {describe(value.plain())}: {neutral.reason}"
            defaults = {name: field.default for name, field in self.cls.model_fields.items()}
            hint = neutral.hint(defaults | self.tree.plain()) if callable(neutral.hint) else neutral.hint
            not_allowed(value, text, self.problems, hint or f"remove `{key}`")
        elif self.torn.get(key) != "":  # else it is the rest of a value that has been reported
            old = self.cls.old_keys.get(key)
            hint = self.torn.get(key) or (old and old.hint) or self.cls.elsewhere.get(key) or self.synonyms.get(key)
            hint = hint or did_you_mean(key, _fields(self.cls)) or self._keys_hint()
            text = f"unknown key '{key}' of {self.subject}"
            self.problems.key(self.tree, key, Code.UNKNOWN_KEY, text, hint=hint, old=old)

    def _whole(self, error: Mapping[str, Any]) -> None:
        """Report an error of the whole mapping: at the key that the error names, or else at the mapping."""
        named: Problem | None = error.get("ctx", {}).get("problem")
        key = None if named is None else named.key
        value = None if key is None else self.tree.get(key)
        problem = _problem(error, value)
        text = f"{self.subject} {problem.message}" if key is None else f"`{key}` of {self.subject} {problem.message}"
        hint = problem.hint or (None if key is None else self._field_hint(key))
        if value is None:
            self.problems.node(self.tree, problem.code, text, hint=hint, subject=problem.message)
        else:
            self.problems.value(value, problem.code, text, hint=hint)

    def _value(self, key: str, group: Errors) -> None:
        """Report the errors of one argument. For a union, only the deepest errors are reported."""
        tree = self.tree.value[key]
        hint = self.torn.get(key) or value_synonym(key, tree.value)
        default = self._null_hint(key, tree) or self._bracket_hint(key, tree) or self._field_hint(key)
        located = [(error, *_locate(self.tree, error["loc"])) for error in group]
        deepest = max(steps for *_, steps in located)
        by_name: dict[str, tuple[Tree, list[Mapping[str, Any]]]] = {}
        tagged = any(len(error["loc"]) > 1 and isinstance(error["loc"][1], str) for error in group)
        for error, value, name, steps in located:
            if steps == deepest or not tagged:
                by_name.setdefault(name, (value, []))[1].append(error)
        for name, (value, errors) in by_name.items():
            self._one(errors, value, name or key, hint if value is tree else None, default, self.hints.get(key))

    def _one(
        self, errors: Errors, value: Tree, name: str, hint: str | None, default: str | None, unknown_name: str | None
    ) -> None:
        """Report the errors of one value. ``hint`` is better than the error's own, ``default`` a last resort."""
        chosen = next((e for e in errors if e["type"] not in _TYPES and e["type"] != "literal_error"), None)
        if chosen is not None and chosen["type"] == "nested":
            kind, inner = chosen["ctx"]["kind"], chosen["ctx"]["name"]
            cls = REGISTRIES[kind].get(inner)
            assert cls is not None
            _Explanation(cls, value, f"{inner} in {self.subject}", self.problems, {}).report(chosen["ctx"]["errors"])
            return
        if chosen is None:
            problem = _wrong_type(errors, value, default)
        else:
            problem = _problem(errors[-1] if chosen["type"] == "missing" else chosen, value)
        at = (None if problem.key is None else value.get(problem.key)) or value
        if problem.code == Code.UNKNOWN_CLASS:
            hint = unknown_name or problem.hint or hint
        message = f"`{name}` of {self.subject} {problem.message}"
        old, words = problem.old, self.cls.old_values.get(name.partition("[")[0], {})
        if isinstance(at.value, str) and at.value in words:
            old = words[at.value]
            hint = old.hint
        self.problems.value(at, problem.code, message, hint=hint or problem.hint or default, old=old)

    def _accepts(self, key: str, value: Any) -> bool:
        try:
            self.cls.model_validate({key: value})
        except ValidationError as error:
            return all(found["loc"][:1] != (key,) for found in error.errors(include_url=False))
        return True

    def _keys_hint(self) -> str:
        fields = fields_of(self.cls)
        names = sorted(fields, key=lambda name: not fields[name].is_required())
        return f"its keys are {format_names(names)}" if names else "it takes no arguments"

    def _field_hint(self, key: str) -> str | None:
        if (field := fields_of(self.cls).get(key)) is None:
            return None
        parts = [f"{field.description[0].lower()}{field.description[1:].rstrip('.')}"] if field.description else []
        if not field.is_required() and isinstance(field.default, str | int | float):
            parts.append(f"{format_value(field.default).strip(chr(39))} by default")
        return f"`{key}`: {'; '.join(parts)}" if parts else None

    def _bracket_hint(self, key: str, tree: Tree) -> str | None:
        """Return a hint to write a single value as a list, or None if the class does not accept that list."""
        value = tree.plain()
        if isinstance(value, list) or not self._accepts(key, [value]):
            return None
        text = "null" if means_null(value) else format_value(value) if isinstance(value, dict) else str(value)
        return "put it into brackets" + (f": `[{text}]`" if len(text) <= 60 else "")

    def _null_hint(self, key: str, tree: Tree) -> str | None:
        """Return a hint for ``None`` and other words for null, or None for another value."""
        if not (tree.value is None or means_null(tree.value)):
            return None
        if not self._accepts(key, None):
            field = fields_of(self.cls).get(key)
            return None if field is None or field.is_required() else f"leave `{key}` out for the default"
        return None if tree.value is None else "write `null`, or leave it out"


def _problem(error: Mapping[str, Any], value: Tree | None) -> Problem:
    quoted = "" if value is None else f", not {describe(value)}"
    problem: Problem | None = error.get("ctx", {}).get("problem")
    if problem is not None:
        return replace(problem, message=problem.message + quoted) if error["ctx"]["show_value"] else problem
    if error["type"] == "missing" and isinstance(key := error["loc"][-1], str):
        return Problem(Code.MISSING_KEY, f"needs `{key}`")
    if error["type"] == "extra_forbidden":
        return Problem(Code.UNKNOWN_KEY, "is no known key")
    return Problem(Code.VALUE_NOT_ALLOWED, _requirement(error) + quoted)


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


def _wrong_type(errors: Errors, value: Tree, default_hint: str | None) -> Problem:
    """Return the problem of a value that has none of the accepted types and is none of the choices."""
    expected = list(dict.fromkeys(_expected(error) for error in errors))
    items = {error["loc"][-1] for error in errors if isinstance(error["loc"][-1], int)}
    one = expected[0].split()[-1]
    is_number = one in ("integer", "number")
    is_single = len(expected) == 1 and not isinstance(value.value, list)
    if is_number and len(items) > 1 and is_single:  # one value, or one per axis
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
    return str(error["ctx"]["expected"]) if error["type"] == "literal_error" else _TYPES[error["type"]]


def _requirement(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    count = context.get("max_length", context.get("min_length"))
    s = "" if count == 1 else "s"
    match error["type"]:
        case "too_long" | "too_short" as kind:
            return f"must have {'at least ' * (kind == 'too_short')}{count} value{s}"
        case "missing":
            return f"must have {error['loc'][-1] + 1} values"
        case "string_too_short" | "string_too_long" as kind:
            is_empty = kind == "string_too_short" and count == 1
            return "must not be empty" if is_empty else f"must have {count} character{s}"
        case "finite_number":
            return "must be finite"
        case kind if kind in _BOUNDS:
            key, sign = _BOUNDS[kind]
            return f"must be {sign} {context[key]:g}"
    return str(error["msg"]).replace("Input should", "must")
