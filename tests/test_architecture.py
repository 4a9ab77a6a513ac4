"""Folders are floors: imports of every kind (eager, in a function, for types alone) point down, and never in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import networkx as nx

import graphspec

PACKAGE = Path(graphspec.__file__).parent
README = PACKAGE.parent / "README.md"
FLOORS = """
    cli
    search
    api extend
    editor
    validation notebook
    report inspecting importing
    export training drawing keras_files
    parallel
    runtime
    compiler
    weights
    data
    language
    callbacks
    metrics
    operations onnx_files
    layers losses
    activations regularizers
    graph
    ops optimizers constraints
    kernels initializers schedules
    nested_numbers
    config ir
    arrays arguments called
    errors files libraries synonyms gc_pause version explanations
    near_names rendering
    codes text sparklines
"""
FLOOR = {name: k for k, line in enumerate(reversed(FLOORS.strip().split("\n"))) for name in line.split()}
FILES = {
    ".".join(["graphspec", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imports(module: str) -> Iterator[tuple[int, str]]:
    """The lines at which a module imports others of the package, and which."""
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "graphspec")
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "graphspec":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield node.lineno, name if name in FILES else str(node.module)


def floor_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def climbs(modules: dict[str, list[tuple[int, str]]]) -> list[str]:
    """Imports that do not point down, of other floors than the importing module's own."""
    return [
        f"{module}:{line} imports {other}"
        for module, found in modules.items()
        if (own := floor_of(module)) in FLOOR
        for line, other in found
        if floor_of(other) != own and FLOOR.get(floor_of(other), len(FLOOR)) >= FLOOR[own]
    ]


def test_imports_point_down() -> None:
    assert not (found := climbs({module: list(imports(module)) for module in FILES})), "\n".join(found)


def test_an_import_that_climbs_is_found() -> None:
    upward = {
        "graphspec.graph.ops.base": [(7, "graphspec.engine.runtime.bind")],
        "graphspec.vocabulary.layers.core": [(9, "graphspec.vocabulary.losses")],
    }
    assert climbs(upward) == [
        "graphspec.graph.ops.base:7 imports graphspec.engine.runtime.bind",
        "graphspec.vocabulary.layers.core:9 imports graphspec.vocabulary.losses",
    ]
    assert climbs({"graphspec.engine.runtime.bind": [(7, "graphspec.graph.ops.base")]}) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = nx.DiGraph((m, other) for m in FILES for _, other in imports(m) if other != m)
    assert [sorted(c) for c in nx.strongly_connected_components(graph) if len(c) > 1] == []


def test_every_folder_and_file_of_the_package_has_a_floor() -> None:
    names = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if not path.name.startswith(("_", "py."))}
    assert names == FLOOR.keys()


def test_the_readme_shows_the_floors_in_their_order() -> None:
    table = re.findall(r"^\| ((?:`[a-z_]+(?:/|\.py)`(?:, )?)+) \|", README.read_text(encoding="utf-8"), re.M)
    shown = [name for row in table for name in re.findall(r"`([a-z_]+)(?:/|\.py)`", row)]
    assert sorted(shown) == sorted(FLOOR)
    heights = [FLOOR[name] for name in shown]
    assert heights == sorted(heights, reverse=True)


def test_no_folder_has_too_many_files() -> None:
    for folder in {path.parent for path in FILES.values()}:
        assert len(list(folder.glob("*.py"))) <= 45, folder
