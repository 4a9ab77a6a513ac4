"""What an editor offers, explains and reports, by yaml-language-server: the schema with the program that reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import graphspec
from editor.positions import COMPLETIONS, CURSOR, HOVERS, MISTAKES, SECTIONS, Completion, Hover, Mistake, spec_of
from editor.server import HERE, Server, start
from paths import ROOT

from graphspec.vocabulary.layers import LAYERS

pytestmark = pytest.mark.slow

SCHEMA = ROOT / "schemas" / "graphspec.schema.json"
SPECS = sorted((ROOT / "specs").rglob("*.yaml"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("editor")


@pytest.fixture(scope="module")
def reported(server: Server, folder: Path) -> dict[str, str]:
    """The addresses of all specs with mistakes: opened at once, since the server waits before it reports."""
    return {mistake.text: open_at(server, folder, mistake.text)[0] for mistake in MISTAKES}


def open_at(server: Server, folder: Path, part: str) -> tuple[str, int, int]:
    """Open a spec with a cursor; its address, and the line and the column of the cursor."""
    text = f"# yaml-language-server: $schema={SCHEMA.as_uri()}\n{spec_of(part)}"
    before = text.partition(CURSOR)[0]
    uri = server.open(folder / f"{len(server.opened)}.yaml", text.replace(CURSOR, ""))
    return uri, before.count("\n"), len(before) - before.rfind("\n") - 1


@pytest.mark.parametrize("wanted", COMPLETIONS, ids=lambda wanted: wanted.text)
def test_completions(wanted: Completion, server: Server, folder: Path) -> None:
    labels = [item["label"] for item in server.complete(*open_at(server, folder, wanted.text))]
    assert [label for label in wanted.offered if label not in labels] == [], labels[:50]
    assert [label for label in wanted.absent if label in labels] == []
    assert len(labels) <= wanted.at_most, labels
    invented = {label for label in labels if re.search(r"\.|-(name|known|arguments)|undefined", label)}
    assert invented <= {name for name in LAYERS.names() if "." in name}


@pytest.mark.parametrize("wanted", HOVERS, ids=lambda wanted: wanted.text)
def test_hovers(wanted: Hover, server: Server, folder: Path) -> None:
    text = server.hover(*open_at(server, folder, wanted.text))
    assert [part for part in wanted.parts if part not in text.replace("\\", "")] == [], text
    assert [part for part in wanted.absent if part in text] == [], text
    assert len(text) < 600


@pytest.mark.parametrize("wanted", MISTAKES, ids=lambda wanted: wanted.text)
def test_mistakes(wanted: Mistake, server: Server, reported: dict[str, str]) -> None:
    found = server.problems(reported[wanted.text])
    assert tuple(problem["message"] for problem in found) == wanted.messages


def test_shipped_specs_have_no_problems(server: Server) -> None:
    opened = {path: server.open(path, path.read_text(encoding="utf-8")) for path in SPECS}
    assert [path.name for path, uri in opened.items() if server.problems(uri)] == []


def test_a_spec_outside_the_project_finds_the_schema_beside_it(server: Server, tmp_path: Path) -> None:
    spec = tmp_path / "net.yaml"
    spec.write_text(spec_of("layers: [{name: y, type: Dense}]"), encoding="utf-8")
    assert graphspec("schema", "--for", spec).exit_code == 0
    uri = server.open(spec, spec.read_text(encoding="utf-8"))
    assert [problem["message"] for problem in server.problems(uri)] == ['Missing property "units".']


def test_a_completed_argument_is_inserted_with_its_default(server: Server, folder: Path) -> None:
    items = server.complete(*open_at(server, folder, "layers:\n  - type: Conv2D\n    ▮"))
    inserted = {item["label"]: item["insertText"] for item in items}
    assert inserted["padding"] == "padding: ${1:valid}"
    assert inserted["kernel_size"].strip() == "kernel_size:"
    assert inserted["activation"].strip() == "activation:"
    text = next(item["documentation"] for item in items if item["label"] == "filters")
    assert "Required." in str(text)


def test_positions_are_many_and_different() -> None:
    assert len({*COMPLETIONS, *HOVERS, *MISTAKES}) == len(COMPLETIONS) + len(HOVERS) + len(MISTAKES) > 100
    assert all(wanted.text.count(CURSOR) == 1 for wanted in (*COMPLETIONS, *HOVERS))
    assert all(f"{key}:" in spec_of("▮") for key in SECTIONS)


def test_the_package_has_one_version_and_no_address_of_a_registry() -> None:
    wanted = json.loads((HERE / "node" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    locked = json.loads((HERE / "node" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [name for name, entry in locked.items() if "resolved" in entry] == []
    assert [name for name, entry in locked.items() if name and "integrity" not in entry] == []
