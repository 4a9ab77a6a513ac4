"""The description of the endpoint of a network: OpenAPI 3.1, and true of rows and answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from commands import graphspec
from consumers.apps import FIXTURES
from jsonschema import Draft202012Validator

from graphspec.cli.predict import answers_in_lines


def only(required: str, optional: str = "", /, **types: Any) -> dict[str, Any]:
    """The schema of an object with these keys and no others."""
    keys = [*required.split(), *optional.split()]
    properties = {key: types.get(key, {}) for key in keys}
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


TEXT: dict[str, Any] = {"type": "string"}
CONTENT = {
    "type": "object",
    "patternProperties": {r"^[\w.+-]+/[\w.+-]+$": only("schema", schema={"type": "object"})},
    "additionalProperties": False,
    "minProperties": 1,
}
RESPONSES = {
    "type": "object",
    "patternProperties": {"^[1-5][0-9X]{2}$": only("description", "content", description=TEXT, content=CONTENT)},
    "additionalProperties": False,
    "minProperties": 1,
}
BODY = only("content", "required description", content=CONTENT, required={"type": "boolean"})
OPERATION = only("responses", "operationId requestBody", operationId=TEXT, requestBody=BODY, responses=RESPONSES)
DOCUMENT = only(
    "openapi info paths",
    "components",
    openapi={"pattern": r"^3\.1\.\d+$"},
    info=only("title version", "description", title=TEXT, version=TEXT, description=TEXT),
    paths={
        "type": "object",
        "patternProperties": {
            "^/": {"type": "object", "properties": {"post": OPERATION}, "additionalProperties": False}
        },
        "additionalProperties": False,
    },
    components=only("schemas", schemas={"type": "object", "propertyNames": {"pattern": r"^[\w.-]+$"}}),
)
"""What the Specification, version 3.1, says of the objects that are used here."""


@pytest.mark.parametrize("name", ["table", "demand", "bags", "sentences"])
def test_it_is_valid_and_true(name: str) -> None:
    file = FIXTURES / name / "model.onnx"
    printed = graphspec("serve", file, "--openapi")
    assert (printed.exit_code, printed.stderr) == (0, "")
    document = json.loads(printed.stdout)
    assert [error.message for error in Draft202012Validator(DOCUMENT).iter_errors(document)] == []
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    whole = Draft202012Validator(body | {"components": document["components"]})  # so that its references lead somewhere
    example = schemas["Row"]["example"]
    assert whole.is_valid(example)
    assert whole.is_valid([example, example])
    assert not whole.is_valid({})
    answer = json.loads(answers_in_lines(file)(json.dumps(example).encode() + b"\n"))
    assert [error.message for error in Draft202012Validator(schemas["Answer"]).iter_errors(answer)] == []
    assert {*answer} <= {*schemas["Answer"]["properties"]}


def test_a_file_that_is_not_there_has_none() -> None:
    assert graphspec("serve", "nowhere.onnx", "--openapi").exit_code == 2
