"""Edits of source files as text: places come from the syntax tree, and all else stays as it is written."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator


class RefusedError(Exception):
    """Why nothing is written."""


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Every name that a module imports, for types alone too, and the module that it comes from."""
    for node in [*tree.body, *(inner for block in tree.body if isinstance(block, ast.If) for inner in block.body)]:
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, str(node.module)) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)


def defined(tree: ast.Module) -> set[str]:
    """The names of a module's own functions, classes and values."""
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    targets += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    return found | {target.id for target in targets if isinstance(target, ast.Name)}


def add_imports(source: str, lines: Iterable[str], for_types: Iterable[str] = ()) -> str:
    """``source`` with the imports that it lacks, those for types alone below ``if TYPE_CHECKING``; the order is ruff's.

    Raises:
        RefusedError: the module uses one of the names for something else.
    """
    tree = ast.parse(source)
    known, own = dict(imported(tree)), defined(tree)

    def lacking(statements: Iterable[str]) -> Iterator[str]:
        for statement in statements:
            found = dict(imported(ast.parse(statement)))
            for name, module in found.items():
                if name in own or known.get(name, module) != module:
                    raise RefusedError(f"that file uses the name `{name}` for something else: choose another family")
            if new := [name for name in found if name not in known]:
                yield (
                    f"from {found[new[0]]} import {', '.join(new)}\n"
                    if statement.startswith("from")
                    else f"{statement}\n"
                )

    later = [f"    {line}" for line in lacking(for_types)]
    now = list(lacking([*lines, *(["from typing import TYPE_CHECKING"] if later else [])]))
    rows = source.splitlines(keepends=True)
    if later:
        block = "if TYPE_CHECKING:\n"
        if block in rows:
            rows[rows.index(block) + 1 : rows.index(block) + 1] = later
        else:
            ends = [node.end_lineno or 0 for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            rows[ends[-1] : ends[-1]] = ["\n", block, *later]
    first = (
        rows.index("from __future__ import annotations\n") + 1 if "from __future__ import annotations\n" in rows else 1
    )
    rows[first:first] = ["\n", *now]
    return "".join(rows)


def offset(source: str, line: int, column: int) -> int:
    """The index of a place of the syntax tree, whose columns count bytes."""
    rows = source.splitlines(keepends=True)
    return sum(map(len, rows[: line - 1])) + len(rows[line - 1].encode()[:column].decode())


def span(source: str, node: ast.expr) -> tuple[int, int]:
    """Where a node begins and ends."""
    end = offset(source, node.end_lineno or 0, node.end_col_offset or 0)
    return offset(source, node.lineno, node.col_offset), end


def names_in(source: str) -> set[str]:
    """All names of the text of a ``names.json``: the names by family."""
    return {name for names in json.loads(source).values() for name in names.split()}


def add_to_table(source: str, family: str, names: str) -> str:
    """The table with ``names`` behind those of their family; a new one has its place by its first letter."""
    table: dict[str, str] = json.loads(source)
    if family in table:
        table[family] += f" {names}"
    elif [*table] == sorted(table):
        table = dict(sorted([*table.items(), (family, names)]))
    else:
        table[family] = names
    return json.dumps(table, indent=2, ensure_ascii=False) + "\n"


def add_to_tuple(source: str, name: str, item: str) -> str:
    """The module's tuple ``name`` with ``item`` at its end."""
    for node in ast.parse(source).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert isinstance(node.value, ast.Tuple)
            end = span(source, node.value)[1] - 1
            body = source[:end].rstrip()
            comma = body.endswith(",")
            return f"{body}{'' if comma else ','} {item}{',' if comma else ''}{source[end:]}"
    raise RefusedError(f"there is no tuple {name}")


def add_to_dict(source: str, name: str, item: str) -> str:
    """The module's dictionary ``name`` with ``item`` at its end."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and ast.unparse(node.targets[0]) == name:
            end = span(source, node.value)[1] - 1
            body = source[:end].rstrip()
            comma = "" if body.endswith(("{", ",")) else ","
            return f"{body}{comma} {item}{source[end:]}"
    raise RefusedError(f"there is no dictionary {name}")
