"""Errors of data have no subject of their own: whoever knows the file, the column or the argument puts it in front."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from sources import trees

pytestmark = pytest.mark.slow

CATCHERS = {"DataError", "ProblemError", "GraphspecError", "Exception"}
Name = tuple[str, str]
"""A module and a function of it."""


def catches(node: ast.Try) -> bool:
    types = [n for h in node.handlers if h.type for n in ast.walk(h.type)]
    return bool(CATCHERS & {n.attr if isinstance(n, ast.Attribute) else getattr(n, "id", "") for n in types})


def is_catching(function: ast.FunctionDef) -> bool:
    """Whether ``with function(…)`` catches a DataError: a context manager that yields in such a ``try``."""
    tries = (n for n in ast.walk(function) if isinstance(n, ast.Try) and catches(n))
    return any(isinstance(n, ast.Yield) for found in tries for part in found.body for n in ast.walk(part))


def reached(node: ast.AST, catching: set[str]) -> Iterator[ast.AST]:
    """The nodes below from which a DataError gets out: not those in a ``try`` or ``with`` that catches it, or a function."""
    children = list(ast.iter_child_nodes(node))
    is_with = isinstance(node, ast.With) and any(called(item.context_expr) in catching for item in node.items)
    if is_with or (isinstance(node, ast.Try) and catches(node)):
        children = [c for c in children if c not in getattr(node, "body", ())]
    yield node
    for child in children:
        if not isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from reached(child, catching)


def called(node: ast.AST | None) -> str:
    """The name of a called function; of a module's, ``alias.name``."""
    of = node.func if isinstance(node, ast.Call) else None
    if isinstance(of, ast.Attribute) and isinstance(of.value, ast.Name):
        return f"{of.value.id}.{of.attr}"
    return of.id if isinstance(of, ast.Name) else ""


def test_no_error_of_data_leaves_the_package_without_a_subject() -> None:
    """Functions that let a DataError out, found by the calls of functions by name, end before the commands and methods."""
    calls: dict[Name, set[Name]] = {}
    raising: set[Name] = set()
    modules = {module: list(ast.walk(tree)) for module, tree in trees().items()}  # once: that takes long
    functions = {(m, f.name): f for m, nodes in modules.items() for f in nodes if isinstance(f, ast.FunctionDef)}
    catching = {name for (_, name), function in functions.items() if is_catching(function)}
    assert "naming_source" in catching
    makers = {name for name, f in functions.items() if isinstance(f.returns, ast.Name) and f.returns.id == "DataError"}
    for module, everything in modules.items():
        known = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in everything
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for function in (f for f in everything if isinstance(f, ast.FunctionDef)):
            nodes = [
                n for part in function.body if not isinstance(part, ast.FunctionDef) for n in reached(part, catching)
            ]

            def resolved(name: str, module: str = module, known: dict[str, Name] = known) -> Name:
                alias, _, attribute = name.partition(".")
                return (
                    (".".join(known[alias]), attribute)
                    if attribute and alias in known
                    else known.get(name, (module, name))
                )

            made = [called(n.exc) for n in nodes if isinstance(n, ast.Raise)]
            if any(name.endswith("DataError") or resolved(name) in makers for name in made):
                raising.add((module, function.name))
            found = {resolved(name) for n in nodes if (name := called(n))}
            calls.setdefault((module, function.name), set()).update(found)
    assert ("graphspec.data.convert", "reshape") in raising
    while more := {name for name, found in calls.items() if found & raising} - raising:
        raising |= more
    everywhere = {called(n).rpartition(".")[2] for nodes in modules.values() for n in nodes}
    ends = {f for f in raising if not f[0].startswith("graphspec.data") and f[1] not in everywhere}
    assert not ends
