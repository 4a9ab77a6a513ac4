"""What `import graphspec as gs` offers: all of it is there, and no page names anything else."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
from paths import ROOT

import graphspec as gs
from graphspec.base.config import Registry
from graphspec.extend import (
    ACTIVATIONS,
    CALLBACKS,
    CELLS,
    CONSTRAINTS,
    INITIALIZERS,
    LAYERS,
    LOSSES,
    METRICS,
    OPTIMIZERS,
    REGULARIZERS,
    SCHEDULES,
    Callback,
)

VOCABULARY = {
    "graphspec.activations": [ACTIVATIONS],
    "graphspec.callbacks": [CALLBACKS],
    "graphspec.constraints": [CONSTRAINTS],
    "graphspec.initializers": [INITIALIZERS],
    "graphspec.layers": [LAYERS, CELLS],
    "graphspec.losses": [LOSSES],
    "graphspec.metrics": [METRICS],
    "graphspec.optimizers": [OPTIMIZERS],
    "graphspec.regularizers": [REGULARIZERS],
    "graphspec.schedules": [SCHEDULES],
}
"""Where the classes of the vocabulary are imported from, as in Keras."""
MODULES = ["graphspec", "graphspec.extend", *VOCABULARY]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("name", MODULES)
def test_exported_members(name: str) -> None:
    module = import_module(name)
    names: list[str] = module.__all__
    assert len(names) == len(set(names))
    for member in names:
        found = getattr(module, member)
        assert found.__doc__ or not isinstance(found, type | FunctionType), f"{name}.{member} says nothing"


@pytest.mark.parametrize("name", VOCABULARY)
def test_classes_are_imported_from_where_one_expects_them(name: str) -> None:
    module, registries = import_module(name), VOCABULARY[name]
    assert getattr(gs, name.partition(".")[2]) is module
    exported = {getattr(module, member) for member in module.__all__}
    own = {cls for registry in registries for cls in registry if cls.__module__.startswith("graphspec.")}
    # operations have names that Python cannot import, and `accuracy`, which follows the loss, is a name only
    own = {cls for cls in own if not cls.__name__.endswith("OfLoss") and "." not in cls.__name__}
    assert own <= exported
    assert {*module.__all__} <= {*dir(module)}
    with pytest.raises(AttributeError, match=r"no attribute 'Nothing'|no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_a_name_that_there_is_not_is_explained() -> None:
    with pytest.raises(AttributeError, match="did you mean 'EarlyStopping'"):
        gs.callbacks.EarlyStoping  # noqa: B018
    with pytest.raises(AttributeError, match="a spec contains no code"):
        gs.layers.Lambda  # noqa: B018
    assert gs.activations.Softmax.__name__ == gs.layers.Softmax.__name__ == "Softmax"
    plugins: Registry[Callback] = Registry("callback", "Mine")
    assert plugins.public() == []


def test_a_type_checker_sees_what_is_imported_when_it_is_used() -> None:
    tree = ast.parse(Path(gs.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("graphspec.")
        for alias in node.names
    }
    for name, module in imported.items():
        found = getattr(gs, name)
        assert module == (found.__name__.rpartition(".")[0] if isinstance(found, ModuleType) else found.__module__)
    modules = {name for name in imported if isinstance(getattr(gs, name), ModuleType)}
    assert all(getattr(gs, name) is import_module(f"graphspec.{name}") for name in modules)
    assert sorted([*imported, "__version__"]) == sorted(gs.__all__) == dir(gs)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gs.nothing  # noqa: B018


def named(text: str) -> dict[str, set[str]]:
    """The members that a page names, by module: in code and behind imports; of plugins, also in the list of the page."""
    found = {"graphspec": set(re.findall(r"\bgs\.([A-Za-z]\w*)", text)), "graphspec.extend": set()}
    for module, names in re.findall(r"^from (graphspec(?:\.extend)?) import (.+)$", text, re.M):
        found[module] |= {part.split(" as ")[0].strip() for part in names.split(",")}
    for listed in re.findall(r"`graphspec\.extend` has (.+?)\. ", text, re.S):
        found["graphspec.extend"] |= set(re.findall(r"`(\w+)`", listed))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_name_members_that_there_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for module, names in named(text).items():
        assert names <= {*import_module(module).__all__}
    if listed := re.findall(r"^\| `gs\.(\w+)", text, re.M):  # a list of the API is whole
        assert sorted(listed) == sorted(name for name in gs.__all__ if name != "__version__")


def test_names_are_found_in_pages() -> None:
    text = "`gs.compile(…)`, gs.Model\nfrom graphspec import load, validate as v\nfrom graphspec.extend import Op\n"
    text += "`graphspec.extend` has bases (`Layer`, …), and\n`Value`. No `Other`. "
    assert named(text) == {
        "graphspec": {"compile", "Model", "load", "validate"},
        "graphspec.extend": {"Op", "Layer", "Value"},
    }
    assert {"Layer", "LAYERS", "Builder"} <= named((ROOT / "docs" / "plugins.md").read_text("utf-8"))[
        "graphspec.extend"
    ]
