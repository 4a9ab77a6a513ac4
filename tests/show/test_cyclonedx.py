"""Bills of materials: they fit CycloneDX's schema, whatever the texts; the same facts give the same bytes."""

from __future__ import annotations

from typing import Any

import pytest
from cyclonedx_schema import valid

from graphspec.show.cyclonedx import bill, hashes, licences, properties

SUBJECT: dict[str, Any] = {"type": "library", "bom-ref": "subject", "name": "a", "hashes": hashes("0" * 64)}


def part(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "library", "bom-ref": name, "name": name, **more}


def test_the_same_facts_give_the_same_bytes() -> None:
    text = bill(SUBJECT, [part("b"), part("c")], [part("t")])
    assert text == bill(SUBJECT, [part("b"), part("c")], [part("t")])
    found, other = valid(text), valid(bill(SUBJECT, [part("b")], [part("t")]))
    assert found["dependencies"] == [{"ref": "subject", "dependsOn": ["b", "c"]}]
    assert found["serialNumber"] != other["serialNumber"]
    assert "timestamp" not in text


def test_who_needs_what_can_be_given() -> None:
    found = valid(bill(SUBJECT, [part("b"), part("c")], needs={"subject": ["b"], "b": ["c"], "c": []}))
    needs = {each["ref"]: each.get("dependsOn", []) for each in found["dependencies"]}
    assert needs == {"subject": ["b"], "b": ["c"], "c": []}


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("mit", {"expression": "MIT"}),
        ("apache-2.0 or mit", {"expression": "Apache-2.0 OR MIT"}),
        ("cc-by-4.0", {"expression": "CC-BY-4.0"}),
        ("of our own", {"license": {"name": "of our own"}}),
        ("\x1b[31mmit", {"license": {"name": "�[31mmit"}}),
    ],
)
def test_a_licence_is_an_expression_of_spdx_or_a_name(said: str, written: dict[str, Any]) -> None:
    found = valid(bill({**SUBJECT, "licenses": licences(said)}))
    assert found["metadata"]["component"]["licenses"] == [written]
    assert licences(None) == licences("") == []


@pytest.mark.parametrize("name", ["\x00\x1b]0;title\x07", "\u202eabc", 'a"b\\c</script>', "ü " * 5000, "a\nb"])
def test_texts_of_strangers_are_data(name: str) -> None:
    text = bill({**SUBJECT, "name": name, "properties": properties({"a": name, "none": None})})
    assert not {"\x00", "\x1b", "\x07", "\u202e"} & set(text)
    component = valid(text)["metadata"]["component"]
    assert component["name"] == component["properties"][0]["value"]
    assert len(component["properties"]) == 1
    assert len(component["name"]) == len(name)
