"""Formulas in a spec: the inputs of a node, which are the names in its formula, and places inside the text."""

from __future__ import annotations

import re

from graphspec.base.errors import Code, Mark, Problems, did_you_mean
from graphspec.base.formula import Term, parse
from graphspec.base.text import line_of
from graphspec.language.explain import validate
from graphspec.language.names import EntryKind, InputRef, Scope, Sources, is_number
from graphspec.language.tree import Tree
from graphspec.vocabulary.layers.formula import check, class_of, options_of


def place(tree: Tree, start: int, end: int) -> Mark:
    """Return the place of a part of a text, also of one in quotes or on several lines; the whole text if it is unclear.

    Without a source, only the column is known: that in the text.
    """
    mark, text = tree.mark, getattr(tree.mark.file, "text", None)
    if text is None or mark.line is None or mark.column is None:
        return Mark(mark.file, mark.line, start + 1, end - start) if mark.line is None else mark
    number, column, line = mark.line, mark.column - 1, line_of(text, mark.line) or ""
    column += (match := re.match(r"[\"']|[|>][-+\d]*\s*$", line[column:])) is not None and len(match[0])
    for character in "".join(tree.value[:start].split()) + tree.value[start : start + 1]:
        while (rest := line[column:].lstrip()) == "" and number < mark.line + 100:
            number, column, line = number + 1, 0, line_of(text, number + 1) or ""
        column = len(line) - len(rest)
        if not rest.startswith(character):
            return mark
        column += 1
    return Mark(mark.file, number, column, min(end - start, len(line) - column + 1))


def operands(scope: Scope, entry: Tree, problems: Problems) -> tuple[EntryKind, Sources, dict[int, Tree]]:
    """Return whether a Formula is right, its inputs, and the variables among them by position. Report what is wrong."""
    tree, name = entry.get("value"), entry.text("name")
    if "inputs" in entry.value:
        text, hint = "`inputs` of a Formula are the names in it", "remove `inputs`"
        problems.key(entry, "inputs", Code.VALUE_NOT_ALLOWED, text, hint=hint)
    if tree is None or not isinstance(tree.value, str):
        return "node", [None], {}
    subject, parsed = f"Formula '{scope.prefix}{name}'" if name else "a Formula", parse(tree.value)
    found = check(parsed, tree.value, scope.names.keys() | scope.reserved)
    for code, wrong in found:
        problems.at(place(tree, *wrong[:2]), code, f"{subject} {wrong.message}", path=tree.path, hint=wrong.hint)
    failed = bool(found)
    for term in parsed.terms:
        if term.kind in ("call", "part") and (cls := class_of(term)) is not None:
            failed = not validate(cls, _arguments(tree, term), f"`{term.value}` in {subject}", problems) or failed
    sources: Sources = []
    written: dict[int, Tree] = {}
    for k, (named, term) in enumerate(parsed.names().items()):
        variable = None if _is_node(scope, named) else scope.variables.get(named)
        at = Tree(named, place(tree, *term.place), path=tree.path)
        if variable is None:
            sources.append(source := InputRef(scope, at))
            source.hint = None if _is_node(scope, named) else _suggested(scope, named, tree.value)
        elif variable.unknown:
            sources.append(None)
        elif is_number(variable):
            written[k] = variable
        else:
            text = f"variable '{named}' in {subject} is no number and no list of numbers"
            problems.value(at, Code.WRONG_TYPE, text, hint=f"write `${{{named}}}` to put its text into the formula")
            failed = True
    if not failed and not sources:
        text, hint = f"{subject} names no node", "name at least one node or input, or write the number where it is read"
        problems.value(tree, Code.WRONG_INPUT_COUNT, text, hint=hint)
    return "failed" if failed else "node", sources or [None], written


def _is_node(scope: Scope, name: str) -> bool:
    first = re.split("[:/]", name)[0]
    return name in scope.names or first in scope.names or first in scope.reserved


def _arguments(tree: Tree, term: Term) -> Tree:
    """Return the arguments of a call as a mapping with their places."""
    marks = {key: place(tree, start, end) for key, (_, start, end) in term.options.items()}
    own = place(tree, *term.place)

    def of(value: object, mark: Mark) -> Tree:
        return Tree([of(v, mark) for v in value] if isinstance(value, list) else value, mark, path=tree.path)  # type: ignore[arg-type]

    options = {key: of(value, marks.get(key, own)) for key, value in options_of(term).items()}
    return Tree(options, own, marks, tree.path)


def _suggested(scope: Scope, name: str, formula: str) -> str | None:
    names = [*scope.names, *scope.reserved, *scope.variables]
    quoted = next((n for n in names if not n.isidentifier() and name in n and n in formula), None)
    return did_you_mean(name, names) if quoted is None else f"this name stands in backticks: `` `{quoted}` ``"
