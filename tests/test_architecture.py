"""Folders are floors: imports of every kind (eager, in a function, for types alone) point down, and never in a circle."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree

import networkx as nx
import numpy as np
import pytest
from paths import ROOT
from sources import FILES, PACKAGE, trees

OPTIONAL = ("show", "foreign", "editor", "search")
"""Folders that the core works without."""
FACES = ("api", "cli")
"""Folders that offer what lies in optional ones; they import it where it is used."""


def imports(tree: ast.AST, *, eager: bool = False) -> Iterator[tuple[int, str]]:
    """The lines at which a module imports others of the package, and which; ``eager``: whenever it is imported."""
    inner = (getattr(tree, name, []) for name in ("body", "handlers", "orelse", "finalbody", "cases"))
    for node in chain.from_iterable(inner):  # an import is a statement: expressions, most of the nodes, have none
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "graphspec")
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "graphspec":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield node.lineno, name if name in FILES else str(node.module)
        elif not eager or not (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        ):
            yield from imports(node, eager=eager)


@cache
def all_imports() -> dict[str, list[tuple[int, str]]]:
    return {module: list(imports(tree)) for module, tree in trees().items()}


def folder_of(module: str) -> str:
    """The folder or file of the top level that a module lies in; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def circles(edges: Iterator[tuple[str, str]]) -> list[list[str]]:
    graph = nx.DiGraph((one, other) for one, other in edges if one != other)
    return [sorted(c) for c in nx.strongly_connected_components(graph) if len(c) > 1]


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles((m, other) for m, found in all_imports().items() for _, other in found) == []


def test_no_folders_import_each_other_in_a_circle() -> None:
    inner = [m for m in FILES if m != "graphspec"]
    assert (
        circles((folder_of(m), folder_of(other)) for m in inner for _, other in all_imports()[m] if "." in other) == []
    )


def test_the_core_imports_no_optional_folder() -> None:
    """Types, too; the faces import optional folders in functions and for types alone."""
    found = []
    for module, tree in trees().items():
        if module != "graphspec" and folder_of(module) not in OPTIONAL:
            lines = imports(tree, eager=True) if folder_of(module) in FACES else iter(all_imports()[module])
            found += [f"{module}:{line} imports {other}" for line, other in lines if folder_of(other) in OPTIONAL]
    assert found == []


def test_an_import_is_found_wherever_it_stands() -> None:
    text = "import graphspec.show\nif TYPE_CHECKING:\n    from graphspec.search.page import x\nclass A:\n"
    text += "    from graphspec import editor\n    def f():\n        from graphspec.foreign.importing import importer\n"
    tree = ast.parse(text)
    assert [line for line, _ in imports(tree)] == [1, 3, 5, 7]
    assert [*imports(tree, eager=True)] == [(1, "graphspec.show"), (5, "graphspec.editor")]
    assert circles(iter([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])) == [["a", "b", "c"]]


def test_the_page_of_the_architecture_shows_the_folders_from_top_to_bottom() -> None:
    """Its table is the map: every folder and file of the top level once, and all imports point down."""
    table = re.findall(
        r"^\| ((?:`[a-z_]+(?:/|\.py)`(?:, )?)+) \|", (ROOT / "docs" / "architecture.md").read_text("utf-8"), re.M
    )
    rows = [re.findall(r"`([a-z_]+)(?:/|\.py)`", row) for row in table]
    shown = [name for row in rows for name in row]
    names = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if not path.name.startswith(("_", "py."))}
    assert sorted(shown) == sorted(names)
    assert len(shown) <= 14
    assert len(rows) <= 11
    heights = {name: -k for k, row in enumerate(rows) for name in row}
    climbs = [
        f"{module}:{line} imports {other}"
        for module, found in all_imports().items()
        if folder_of(module) in heights
        for line, other in found
        if folder_of(other) != folder_of(module) and heights.get(folder_of(other), 1) >= heights[folder_of(module)]
    ]
    assert climbs == []


def test_no_folder_has_too_many_files() -> None:
    for folder in {path.parent for path in FILES.values()}:
        assert len(list(folder.glob("*.py"))) <= 45, folder


@pytest.fixture
def core(tmp_path: Path) -> Path:
    """The package without its optional folders, and a spec."""
    copytree(PACKAGE, tmp_path / "graphspec", ignore=ignore_patterns("__pycache__"))
    for name in OPTIONAL:
        rmtree(tmp_path / "graphspec" / name)
    np.savez(tmp_path / "rows.npz", x=np.linspace(0, 1, 40, dtype=np.float32).reshape(10, 4), y=np.arange(10) % 2)
    (tmp_path / "net.yaml").write_text(
        """
graphspec: 1
name: net
inputs: {x: {shape: [4]}}
layers: [{name: bit, type: Dense, units: 2, activation: softmax}]
outputs: {bit: {loss: sparse_categorical_crossentropy, metrics: [accuracy]}}
data: {train: {file: rows.npz, targets: {bit: y}}, test: {file: rows.npz, targets: {bit: y}}}
training: {optimizer: sgd, epochs: 2, batch_size: 5}
"""
    )
    return tmp_path


def run(core: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(core), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=core, env=environment, capture_output=True, text=True, timeout=120
    )


COMMANDS = """
import sys
from graphspec.__main__ import main
for line in sys.argv[1:]:
    sys.argv[1:] = line.split()
    try:
        main()
    except SystemExit as status:
        print(line, "ends with", status.code or 0, flush=True)
"""


@pytest.mark.slow
def test_the_core_works_without_optional_folders(core: Path) -> None:
    """All commands in one process: each start is a second."""
    works = ["validate net.yaml", "train net.yaml --out run", "evaluate run", "export run -o net.onnx"]
    works += ["predict run rows.npz -o out.npz"]
    lacks = ["report run", "lsp", "inspect net.onnx"]
    done = run(core, "-c", COMMANDS, *works, *lacks)
    ends = [f"{line} ends with 0" for line in works] + [f"{line} ends with 2" for line in lacks]
    assert [line for line in done.stdout.splitlines() if " ends with " in line] == ends, done.stdout + done.stderr
    assert (core / "net.onnx").stat().st_size > 100
    assert re.findall(r"this installation has no `graphspec\.(\w+)", done.stderr) == ["show", "editor", "foreign"]


@pytest.mark.slow
def test_python_works_without_optional_folders(core: Path) -> None:
    code = """
import numpy as np, graphspec as gs
model = gs.compile("net.yaml")
history = model.fit(epochs=1, verbose=0)
assert model.predict(np.zeros((3, 4), "float32")).shape == (3, 2) and len(history["loss"]) == 1
model.evaluate()
model.export("net.onnx")
assert not gs.validate("net.yaml")
from graphspec.layers import Dense
from graphspec import layers
assert layers.Dense is Dense
"""
    done = run(core, "-c", code)
    assert done.returncode == 0, done.stderr
