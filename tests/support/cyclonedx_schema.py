"""CycloneDX's own JSON Schema, from the library of the test extra: no network."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

BASE = "http://cyclonedx.org/schema/"


@cache
def _validator(version: str) -> Draft7Validator:
    pytest.importorskip("cyclonedx", reason='pip install -e ".[test]"')
    folder = resources.files("cyclonedx.schema") / "_res"
    names = ("spdx", "jsf-0.82", f"bom-{version}")
    schemas = {n: json.loads((folder / f"{n}.SNAPSHOT.schema.json").read_text(encoding="utf-8")) for n in names}
    registry: Registry[Any] = Registry()
    for name, schema in schemas.items():
        registry = registry.with_resource(f"{BASE}{name}.SNAPSHOT.schema.json", Resource.from_contents(schema))
        registry = registry.with_resource(f"{BASE}{name}.schema.json", Resource.from_contents(schema))
    return Draft7Validator(schemas[names[-1]], registry=registry)


def valid(text: str) -> dict[str, Any]:
    """A document that fits the schema of its version, and whose references are unique and known."""
    document: dict[str, Any] = json.loads(text)
    errors = [
        f"{error.json_path}: {error.message[:300]}"
        for error in _validator(document["specVersion"]).iter_errors(document)
    ]
    assert not errors, "\n".join(errors)
    refs = list(_refs(document))
    assert len(refs) == len(set(refs))
    asked = {ref for d in document["dependencies"] for ref in (d["ref"], *d.get("dependsOn", []))}
    card = document["metadata"]["component"].get("modelCard", {})
    asked |= {d["ref"] for d in card.get("modelParameters", {}).get("datasets", [])}
    assert asked <= set(refs)
    return document


def _refs(value: Any) -> Any:
    if isinstance(value, dict):
        yield from ([value["bom-ref"]] if "bom-ref" in value else [])
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _refs(each)
