"""Schemas of arguments: types in few words, titles, defaults, and what is shared."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import AfterValidator, Field

from graphspec.base.config import Config, IntOrInts, PositiveInt, Size2, named, only
from graphspec.language.schema import VARIABLE_DEFINITION, arguments, share
from graphspec.vocabulary.activations import ACTIVATIONS, Activation


class Example(Config):
    """Arguments of all forms."""

    size: PositiveInt = Field(description="A size.")
    rate: Annotated[float, Field(ge=0.0, lt=1.0)] | None = Field(None, description="A rate.")
    flag: bool = Field(True, description="A flag.")
    text: str = Field("a b", description="A text.")
    mode: Literal["valid", "same"] = Field("valid", description="A mode.")
    strides: Size2 = Field((1, 2), description="Steps.")
    axes: IntOrInts | None = None
    function: named(ACTIVATIONS, Activation | None) = Field(None, description="A function.")  # type: ignore[valid-type]
    stateful: Annotated[bool, AfterValidator(only(False, "it is an example"))] = Field(False, description="Refused.")
    ignored: Any = Field(None, description="Without effect.")


FOUND, REQUIRED = arguments(Example)

TITLES = {
    "size": "integer ≥ 1",
    "rate": "number ≥ 0 and < 1 or null",
    "flag": "true or false",
    "text": "text",
    "mode": "valid or same",
    "strides": "integer ≥ 1 or list of 2 integers ≥ 1",
    "axes": "integer or list of integers or null",
    "function": "activation or null",
    "stateful": "only false",
    "ignored": "any value",
}


def accepts(key: str, value: Any) -> bool:
    named: dict[str, Any] = {"variable": VARIABLE_DEFINITION, "activation": {}}
    return bool(Draft202012Validator({**FOUND[key], "$defs": named}).is_valid(value))


def test_titles_are_types_in_words() -> None:
    assert {key: argument["title"] for key, argument in FOUND.items()} == TITLES


def test_descriptions_end_with_the_default() -> None:
    assert REQUIRED == ["size"]
    assert FOUND["size"]["description"] == "A size. Required."
    assert FOUND["rate"]["description"] == "A rate. Default: null."
    assert FOUND["text"]["description"] == "A text. Default: a b."
    assert FOUND["strides"]["description"] == "Steps. Default: [1, 2]."
    assert FOUND["axes"]["description"] == "Default: null."


def test_a_default_of_null_is_for_people_only() -> None:
    assert [key for key, argument in FOUND.items() if "default" in argument] == [
        "flag",
        "text",
        "mode",
        "strides",
        "stateful",
    ]


def test_scalars_and_variables_need_no_alternatives() -> None:
    size = {key: value for key, value in FOUND["size"].items() if key in ("type", "minimum", "anyOf")}
    assert size == {"type": ["integer", "string"], "minimum": 1}
    assert FOUND["rate"]["type"] == ["number", "string", "null"]
    assert FOUND["function"]["type"] == ["string", "object", "null"]


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("size", [1, "${n}"], [0, 1.5, "n", None, True, [1]]),
        ("rate", [0, 0.5, None, "${n}"], [1, -1, "n", [0.5]]),
        ("flag", [True, "${n}"], ["yes", 1, None]),
        ("text", ["", "x", "${n}"], [1, None]),
        ("mode", ["same", "${n}"], ["full", 1, None]),
        ("strides", [1, [1, 2], ["${n}", 2], "${n}"], [0, [1], [1, 2, 3], [0, 1], "n", None]),
        ("axes", [1, [1, 2, 3], [], None, "${n}"], ["n", [1.5], 1.5]),
        ("function", ["relu", {"type": "relu"}, None], [1, ["relu"]]),
        ("stateful", [False], [True, None, "no"]),
        ("ignored", [None, 1, "x", [1]], []),
    ],
)
def test_values(key: str, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not accepts(key, value)] == []
    assert [value for value in bad if accepts(key, value)] == []


def test_what_has_no_effect_or_one_value_is_not_offered() -> None:
    assert [key for key, argument in FOUND.items() if "doNotSuggest" in argument] == ["stateful", "ignored"]
    assert FOUND["stateful"]["errorMessage"] == "must be false, since it is an example"


def test_sharing_keeps_the_meaning() -> None:
    one, two = arguments(Example)[0], arguments(Example)[0]
    two["size"]["description"] = "Another size."
    schema: dict[str, Any] = {"properties": {"one": {"properties": one}, "two": {"properties": two}}, "$defs": {}}
    share(schema)
    definitions = schema["$defs"]
    assert one["strides"] == two["strides"] == {"$ref": "#/$defs/strides"}, "equal arguments"
    assert one["size"]["$ref"] == two["size"]["$ref"] == "#/$defs/integer-from-1", "equal types"
    assert (one["size"]["description"], two["size"]["description"]) == ("A size. Required.", "Another size.")
    assert definitions["integer-from-1"]["title"] == "integer ≥ 1"
    for key, argument in FOUND.items():
        assert _resolved(one[key], definitions) == argument, key


def _resolved(value: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema with the known definitions in place of references to them."""
    if isinstance(value, list):
        return [_resolved(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if (name := str(value.get("$ref")).removeprefix("#/$defs/")) in definitions:
        rest = {key: child for key, child in value.items() if key != "$ref"}
        return _resolved({**definitions[name], **rest}, definitions)
    return {key: _resolved(child, definitions) for key, child in value.items()}
