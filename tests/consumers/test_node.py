"""Node with ``onnxruntime-node``."""

from __future__ import annotations

import json
import re
import shutil
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


def test_every_record_has_its_answer(node: str) -> None:
    check_finds_nothing(run(node, RUN, FIXTURES))


def test_wrong_answers_are_found(node: str, tmp_path: Path) -> None:
    check_finds_what_is_wrong(run(node, RUN, wrong_fixtures(tmp_path)))


def test_packages_have_one_version_and_no_address_of_a_registry() -> None:
    wanted = json.loads((HERE / "node" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    locked = json.loads((HERE / "node" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [name for name, entry in locked.items() if "resolved" in entry] == []
    assert [name for name, entry in locked.items() if name and "integrity" not in entry] == []


def snippets() -> list[str]:
    """The blocks of JavaScript in docs/serving.md."""
    return re.findall(r"^```js\n(.*?)^```$", (ROOT / "docs" / "serving.md").read_text(encoding="utf-8"), re.M | re.S)


def test_the_page_shows_what_the_apps_run() -> None:
    function, _, page = snippets()
    assert function in (HERE / "records.mjs").read_text(encoding="utf-8").replace("export function", "function")
    lines = [line for line in page.splitlines() if line]
    run_by_web = (HERE / "web" / "index.html").read_text(encoding="utf-8")
    assert len(lines) == 3
    assert [line for line in lines if f"  {line}\n" not in run_by_web] == []


def test_the_snippet_for_node_answers(node: str, tmp_path: Path) -> None:
    function, asking, _ = snippets()
    shutil.copy(FIXTURES / "opinions" / "model.onnx", tmp_path / "opinions.onnx")
    (tmp_path / "node_modules").symlink_to(HERE / "node" / "node_modules", target_is_directory=True)
    (tmp_path / "app.mjs").write_text(asking.replace("const session", f"{function}\nconst session"), encoding="utf-8")
    done = run(node, tmp_path / "app.mjs", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    label, value = done.stdout.split()
    assert label == ("yes" if float(value) > 0.5 else "no")
