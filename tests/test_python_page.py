"""docs/python.md and the examples of docstrings: every block runs, and the page names everything public."""

from __future__ import annotations

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

import graphspec as gs
from graphspec.engine.runtime.session import Session

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
INTERNAL = {"trainer"}
"""Methods of a model that the command line uses."""
CLASSES = (gs.Model, gs.History, gs.Explanation, gs.SpecError, gs.UsageError, gs.RunError)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with copies of the specs, in which examples may write."""
    (tmp_path / "specs" / "data").mkdir(parents=True)
    for path in (ROOT / "specs").glob("*.yaml"):
        shutil.copy(path, tmp_path / "specs")
    for path in (ROOT / "specs" / "data").glob("*.csv"):
        shutil.copy(path, tmp_path / "specs" / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_every_block_of_the_page_runs(here: Path) -> None:
    names: dict[str, Any] = {}
    for found in re.finditer(r"^```python\n(.*?)^```$", PAGE, re.M | re.S):
        line = PAGE.count("\n", 0, found.start()) + 1
        exec(compile("\n" * line + found[1], "docs/python.md", "exec"), names)  # noqa: S102 (a page of this repository)
    assert names["codes"] == ["GS111"]
    assert len(names["species"]) == 2
    assert {path.name for path in here.iterdir()} == {
        *("specs", "runs", "penguins.onnx", "wine.onnx", "curves.svg", "why.html")
    }


def public(cls: type) -> set[str]:
    parts = [base for base in cls.__mro__ if base is cls or (issubclass(base, Session) and base is not Session)]
    return {name for part in parts for name in vars(part) if not name.startswith("_")} - INTERNAL


def test_the_page_names_everything_public() -> None:
    text = re.sub(r"^```.*?^```$", "", PAGE, flags=re.M | re.S)
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    for cls in (gs.Model, gs.History):
        assert public(cls) - words == set(), cls
    assert {"weights", "set_weights", "run", "labels", "spec", "document", "warnings"} <= words
    assert all(hasattr(gs.compile(SPEC), name) for name in ("weights", "set_weights", "run", "labels", "document"))


SPEC = {
    "graphspec": 1,
    "name": "t",
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"name": "y", "type": "Dense", "units": 1}],
    "outputs": {"y": {"loss": "mse"}},
}


@pytest.mark.parametrize("call", [gs.compile, gs.load, gs.validate], ids=lambda call: call.__name__)
def test_the_page_shows_the_arguments(call: Any) -> None:
    (shown,) = re.findall(rf"^\| `gs\.{call.__name__}\(([^`]*)\)`", PAGE, re.M)
    names = [part.strip().partition("=")[0] for part in shown.split(",")]
    assert [name for name in names if name != "*"] == list(inspect.signature(call).parameters)


@pytest.mark.parametrize("name", ["fit", "evaluate", "explain", "predict", "summary", "export", "report", "save"])
def test_the_page_shows_the_arguments_of_methods(name: str) -> None:
    (shown,) = re.findall(rf"^\|.*?`{name}\(([^`]*)\)`", PAGE, re.M)
    names = {part.strip().partition("=")[0] for part in shown.split(",")} - {"*"}
    assert names - {*inspect.signature(getattr(gs.Model, name)).parameters} == set()
    missing = {*inspect.signature(getattr(gs.Model, name)).parameters} - names - {"self", "verbose"}
    assert missing == set()


def examples() -> Iterator[tuple[str, str]]:
    """The examples of all docstrings, by name."""
    documented: list[tuple[str, Any]] = [(name, getattr(gs, name)) for name in ("compile", "load", "validate")]
    for cls in CLASSES:
        documented.append((cls.__name__, cls))
        documented += [(f"{cls.__name__}.{name}", getattr(cls, name)) for name in sorted(public(cls))]
    for name, member in documented:
        text = inspect.getdoc(member) or ""
        if found := re.search(r"Example::\n\n((?:    .*\n|\n)+)", f"{text}\n"):
            yield name, textwrap.dedent(found[1])


EXAMPLES = dict(examples())


def test_what_is_public_has_an_example() -> None:
    methods = {
        f"Model.{name}" for name in ("fit", "evaluate", "explain", "predict", "summary", "export", "report", "save")
    }
    others = {"compile", "load", "validate", *(cls.__name__ for cls in CLASSES)}
    assert methods | others <= {*EXAMPLES}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_docstrings_run(name: str) -> None:
    exec(compile(EXAMPLES[name], name, "exec"), {"gs": gs})  # noqa: S102 (a docstring of this package)
