"""What `import graphspec as gs` offers: all of it is there, and no page names anything else."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from paths import ROOT

import graphspec as gs

MODULES = [name for name in ("graphspec", "graphspec.extend") if find_spec(name)]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("name", MODULES)
def test_exported_members(name: str) -> None:
    module = import_module(name)
    names: list[str] = module.__all__
    assert len(names) == len(set(names))
    for member in names:
        found = getattr(module, member)
        assert isinstance(found, str) or found.__doc__, f"{name}.{member} says nothing"


def test_a_type_checker_sees_what_is_imported_when_it_is_used() -> None:
    tree = ast.parse(Path(gs.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("graphspec.")
        for alias in node.names
    }
    assert imported == gs._MODULES
    assert sorted([*imported, "__version__"]) == sorted(gs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gs.nothing  # noqa: B018


def named(text: str) -> set[str]:
    """The members that a page names: in code, in its lists, behind an import."""
    names = set(re.findall(r"\bgs\.([A-Za-z]\w*)", text))
    for line in re.findall(r"^from graphspec import (.+)$", text, re.M):
        names |= {part.split(" as ")[0].strip() for part in line.split(",")}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_name_members_that_there_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert named(text) <= {*gs.__all__}
    if listed := re.findall(r"^\| `gs\.(\w+)", text, re.M):  # a list of the API is whole
        assert sorted(listed) == sorted(name for name in gs.__all__ if name != "__version__")


def test_names_are_found_in_pages() -> None:
    assert named("`gs.compile(…)`, gs.Model\nfrom graphspec import load, validate as v\n") == {
        *("compile", "Model", "load", "validate")
    }
