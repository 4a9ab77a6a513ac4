"""Edits of source files as text: places come from the syntax tree, and all else stays as it is written."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Iterator

WIDTH = 120


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


def tables(source: str) -> list[dict[str, ast.Constant]]:
    """What ``….found_in`` is given in a package's ``__init__.py``, a table a call: the names by family."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    found = [c.args[1] for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "found_in"]
    return [
        {
            ast.literal_eval(k): v
            for k, v in zip(table.keys, table.values, strict=True)
            if k and isinstance(v, ast.Constant)
        }
        for table in found
        if isinstance(table, ast.Dict)
    ]


def names_in(source: str) -> set[str]:
    """All names of all tables."""
    return {name for table in tables(source) for value in table.values() for name in str(value.value).split()}


def add_to_table(source: str, family: str, names: str) -> str:
    """The first table with ``names`` behind those of their family; a new one has its place by its first letter."""
    table = tables(source)[0]
    if family in table:
        begin, end = span(source, table[family])
        indent = " " * (table[family].col_offset - len(f'"{family}": '))
        words = textwrap.fill(
            f"{ast.literal_eval(table[family])} {names}", WIDTH - len(indent) - 4, break_on_hyphens=False
        )
        text = f'"{" ".join(words.split())}"'
        if source[begin:].startswith('"""'):  # its lines stay as they are
            body = source[begin : end - 3].rstrip()
            fits = len(body.rsplit("\n", 1)[-1]) + 1 + len(names) <= WIDTH
            text = f'{body}{" " if fits else chr(10) + indent + "    "}{names}\n{indent}"""'
        elif len(f'{indent}"{family}": {text},') > WIDTH:
            text = f'"""\n{textwrap.indent(words, indent + "    ")}\n{indent}"""'
        return source[:begin] + text + source[end:]
    after = [key for key in table if key > family]
    last = [*table.values()][-1]
    if after and [*table] == sorted(table):
        place = source.rindex(f'"{after[0]}"', 0, span(source, table[after[0]])[0])
        return f'{source[:place]}"{family}": "{names}",\n{source[place:]}'
    place = span(source, last)[1]
    return f'{source[:place]},\n"{family}": "{names}"{source[place:]}'


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
