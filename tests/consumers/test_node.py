"""Node with ``onnxruntime-node``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from consumers.apps import (
    FIXTURES,
    HERE,
    check_finds_nothing,
    check_finds_what_is_wrong,
    node_with,
    run,
    wrong_fixtures,
)
from paths import ROOT

RUN = HERE / "node" / "run.mjs"


@pytest.fixture
def node() -> str:
    return node_with("onnxruntime-node")


@pytest.mark.slow
def test_every_record_has_its_answer(node: str) -> None:
    check_finds_nothing(run(node, RUN, FIXTURES))


@pytest.mark.slow
def test_wrong_answers_are_found(node: str, tmp_path: Path) -> None:
    check_finds_what_is_wrong(run(node, RUN, wrong_fixtures(tmp_path)))


def test_packages_have_one_version_and_no_address_of_a_registry() -> None:
    wanted = json.loads((HERE / "node" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    locked = json.loads((HERE / "node" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [name for name, entry in locked.items() if "resolved" in entry] == []
    assert [name for name, entry in locked.items() if name and "integrity" not in entry] == []


def test_the_page_shows_the_function_that_the_apps_run() -> None:
    page = (ROOT / "docs" / "tutorials" / "deploy-node.md").read_text(encoding="utf-8")
    (function,) = re.findall(r'^```js title="feeds.mjs"\n(.*?)^```$', page, re.M | re.S)
    assert function in (HERE / "records.mjs").read_text(encoding="utf-8")
