"""Variables: ``${x}`` in values.

A value that is exactly ``${x}`` keeps the variable's type; inside longer text it is formatted; ``$${`` writes ``${``.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import cast

from graphspec.codes import Code
from graphspec.errors import did_you_mean
from graphspec.language.tree import MAX_DEPTH, MAX_TEXT, MAX_VALUES, Problems, Tree, circle, describe, format_value

_PATTERN = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_MOST_TEXT = 2**25
"""Characters of all texts in which variables are written out."""
_MOST_CIRCLES = 100
_LARGE = "use variables for single values; `repeat` and `blocks` make many nodes of a few lines"


class Substitution:
    """Writes variables into trees, with a limit on what may come of it."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.written = self.characters = self.circles = 0

    def variables(self, given: Mapping[str, Tree], outer: Mapping[str, Tree]) -> Mapping[str, Tree]:
        """``outer`` with the definitions ``given``, which may use each other, and of ``outer`` what they do not shadow."""
        uses = {
            name: [
                used for used in dict.fromkeys(_used(tree)) if used in given and not (used == name and name in outer)
            ]
            for name, tree in given.items()
        }
        written: dict[str, Tree] = {}
        known = ChainMap(written, cast("dict[str, Tree]", outer))
        for name, loop in _ordered(uses):
            if loop and self.circles < _MOST_CIRCLES:
                self.circles += 1
                message = f"variables use each other in a circle: {circle(loop)}"
                self.problems.value(given[loop[0]], Code.VALUE_NOT_ALLOWED, message, hint="give one of them a value")
            for inside in loop:
                written[inside] = Tree(None, given[inside].mark, path=given[inside].path, unknown=True)
            if not loop and name not in written:
                written[name] = self.apply(given[name], known)
        return known

    def apply(self, tree: Tree, known: Mapping[str, Tree]) -> Tree:
        """``tree`` with the variables' values; unknown ones are reported (GS108) and leave an unknown value."""
        if not tree.dynamic:
            return tree
        if isinstance(tree.value, str):
            return self._text(tree, known)
        if isinstance(tree.value, dict):
            children = {key: self.apply(child, known) for key, child in tree.value.items()}
            changed = Tree(children, tree.mark, tree.key_marks, tree.path)
        else:
            changed = Tree([self.apply(child, known) for child in tree.value], tree.mark, None, tree.path)
        if changed.size > MAX_VALUES or changed.depth > MAX_DEPTH:
            return self._unknown(
                tree, Code.DOCUMENT_TOO_LARGE, "the variables in this value make it too deep or large", _LARGE
            )
        return changed

    def _unknown(self, tree: Tree, code: str, message: str, hint: str | None = None) -> Tree:
        self.problems.value(tree, code, message, hint=hint)
        return Tree(None, tree.mark, path=tree.path, unknown=True)

    def _text(self, tree: Tree, known: Mapping[str, Tree]) -> Tree:
        text: str = tree.value
        pieces: list[str] = []
        end = length = 0
        for match in _PATTERN.finditer(text):
            pieces.append(text[end : match.start()])
            end = match.end()
            if match.group() == "$${":
                pieces.append("${")
                continue
            if match.group(1) is None:
                message = f"{format_value(text)} opens a variable and does not close it"
                return self._unknown(tree, Code.VALUE_NOT_ALLOWED, message, "`$${` writes `${`")
            name = match.group(1).strip()
            variable = known.get(name)
            if variable is None:
                hint = did_you_mean(name, known) or "define it under `vars`"
                return self._unknown(
                    tree, Code.UNKNOWN_VARIABLE, f"unknown variable '{name}' in {format_value(text)}", hint
                )
            if variable.unknown:
                return Tree(None, tree.mark, path=tree.path, unknown=True)
            if match.group() == text:
                self.written += variable.size
                if self.written > 10 * MAX_VALUES:
                    return self._unknown(tree, Code.DOCUMENT_TOO_LARGE, "variables make the document too large", _LARGE)
                result = Tree(variable.value, tree.mark, variable.key_marks, tree.path)
                result.origin = variable.origin or variable.mark
                return result
            if isinstance(variable.value, dict | list):
                message = f"variable '{name}' is {describe(variable)}, which cannot stand inside text"
                return self._unknown(tree, Code.WRONG_TYPE, message, f"`${{{name}}}` alone keeps its type")
            pieces.append(variable.value if isinstance(variable.value, str) else format_value(variable.value))
            length += len(pieces[-1])
            self.characters += len(pieces[-1])
            if length > MAX_TEXT or self.characters > _MOST_TEXT:
                return self._unknown(
                    tree, Code.DOCUMENT_TOO_LARGE, "the variables in this text make it too long", _LARGE
                )
        return Tree("".join(pieces) + text[end:], tree.mark, None, tree.path)


def _ordered(uses: Mapping[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    """The names, each behind those that it uses; where some use each other, first a circle of them, by its first name."""
    order = {name: k for k, name in enumerate(uses)}
    done: set[str] = set()
    for start in uses:
        path: dict[str, Iterator[str]] = {} if start in done else {start: iter(uses[start])}
        stack = list(path)
        while stack:
            name = stack[-1]
            used = next(path[name], None)
            if used is None:
                stack.pop()
                del path[name]
                done.add(name)
                yield name, []
            elif used in path and used not in done and name not in done:
                loop = stack[stack.index(used) :]
                first = loop.index(min(loop, key=order.__getitem__))
                done.update(loop)
                yield name, loop[first:] + loop[:first]
            elif used not in path and used not in done:
                path[used] = iter(uses[used])
                stack.append(used)


def _used(tree: Tree) -> Iterator[str]:
    if not tree.dynamic:
        return
    if isinstance(tree.value, str):
        for match in _PATTERN.finditer(tree.value):
            if match.group(1) is not None:
                yield match.group(1).strip()
    for child in tree.children():
        yield from _used(child)
