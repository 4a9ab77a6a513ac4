"""Substitute variables, ``${x}``, by their values.

A value that is exactly ``${x}`` keeps the type of the variable. Inside longer text the variable is formatted. ``$${``
stands for ``${``. ``${x * 2}`` is the result of a formula of numbers.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from graphspec.base.errors import Code, Problems, did_you_mean
from graphspec.language.tree import MAX_DEPTH, MAX_TEXT, MAX_VALUES, Tree, describe, each, format_cycle, format_value

_PATTERN = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_FORMULA = re.compile(r"[^\w.]")  # what no name has, but for the hyphen
_NAME = re.compile(r"[\w.-]+")
_MAX_CHARACTERS = 2**25  # characters that all substitutions inside text may insert
_MAX_CYCLES = 100  # cycles of variables that are reported
_LARGE = "use variables for single values, and `repeat` or `blocks` for many nodes"


class Substitution:
    """Substitutes variables in trees, with limits on the size of the result."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.values = self.characters = self.cycles = 0

    def variables(self, definitions: Mapping[str, Tree], outer: Mapping[str, Tree]) -> Mapping[str, Tree]:
        """Return ``outer`` extended by ``definitions``, which may use each other and the variables of ``outer``."""
        uses: dict[str, list[str]] = {}
        for name, tree in definitions.items():
            inner = dict.fromkeys(u for u in used_variables(tree) if u in definitions)
            uses[name] = [used for used in inner if used != name or name not in outer]
        written: dict[str, Tree] = {}
        known = ChainMap(written, cast("dict[str, Tree]", outer))
        for name, loop in _ordered(uses):
            if loop and self.cycles < _MAX_CYCLES:
                self.cycles += 1
                message = f"variables depend on each other in a cycle: {format_cycle(loop)}"
                self._unknown(definitions[loop[0]], Code.VALUE_NOT_ALLOWED, message, "give one of them a value")
            for member in loop:
                written[member] = Tree(None, definitions[member].mark, path=definitions[member].path, unknown=True)
            if not loop and name not in written:
                written[name] = self.apply(definitions[name], known)
        return known

    def apply(self, tree: Tree, known: Mapping[str, Tree]) -> Tree:
        """Return ``tree`` with the values of its variables. Unknown variables are reported (GS108)."""
        if not tree.dynamic:
            return tree
        if isinstance(tree.value, str):
            return self._text(tree, known)
        children = each(lambda child: self.apply(child, known), tree.value)
        changed = Tree(children, tree.mark, tree.key_marks, tree.path)
        if changed.size > MAX_VALUES or changed.depth > MAX_DEPTH:
            return self._too_large(tree, "the variables in this value make it too deep or large")
        return changed

    def _too_large(self, tree: Tree, message: str) -> Tree:
        return self._unknown(tree, Code.DOCUMENT_TOO_LARGE, message, _LARGE)

    def _unknown(self, tree: Tree, code: str, message: str, hint: str | None = None) -> Tree:
        """Report a problem of ``tree`` and return an unknown value in its place."""
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
                message = f"{format_value(text)} opens a variable but does not close it"
                return self._unknown(tree, Code.VALUE_NOT_ALLOWED, message, "`$${` writes `${`")
            name = match.group(1).strip()
            variable = known.get(name)
            if variable is None and _FORMULA.search(name):
                variable = self._result(tree, match, known)
            if variable is None:
                message = f"unknown variable '{name}' in {format_value(text)}"
                hint = _definition(name, known)
                return self._unknown(tree, Code.UNKNOWN_VARIABLE, message, hint)
            if variable.unknown:
                return Tree(None, tree.mark, path=tree.path, unknown=True)
            if match.group() == text:
                self.values += variable.size
                if self.values > 10 * MAX_VALUES:
                    return self._too_large(tree, "variables make the document too large")
                result = Tree(variable.value, tree.mark, variable.key_marks, tree.path)
                result.origin = variable.origin or variable.mark
                return result
            if isinstance(variable.value, dict | list):
                message = f"variable '{name}' is {describe(variable)}, which cannot be part of a text"
                hint = f"write `${{{name}}}` without other text to keep its type"
                return self._unknown(tree, Code.WRONG_TYPE, message, hint)
            pieces.append(variable.value if isinstance(variable.value, str) else format_value(variable.value))
            length += len(pieces[-1])
            self.characters += len(pieces[-1])
            if length > MAX_TEXT or self.characters > _MAX_CHARACTERS:
                return self._too_large(tree, "the variables in this text make it too long")
        return Tree("".join(pieces) + text[end:], tree.mark, None, tree.path)

    def _result(self, tree: Tree, match: re.Match[str], known: Mapping[str, Tree]) -> Tree | None:
        """Return the number that a formula in braces is, unknown if it is wrong; None for a name with a hyphen."""
        from graphspec.base.formula import Wrong, evaluate, parse
        from graphspec.language.formula import place

        text, result = match[1], Tree(None, tree.mark, path=tree.path, unknown=True)
        names = parse(text).names()
        if not names.keys() <= known.keys() and _NAME.fullmatch(text.strip()):
            return None
        if any(known[name].unknown for name in names if name in known):
            return result
        hints = {name: _definition(name, known) for name in names if name not in known}
        code, unknown = Code.UNKNOWN_VARIABLE, "has an unknown variable"
        wrong: Sequence[Wrong] = [Wrong(*names[n].place, f"{unknown} '{n}'", text) for n, text in hints.items()]
        if not wrong:
            code = Code.VALUE_NOT_ALLOWED
            value, wrong = evaluate(text, {name: known[name].value for name in names})
            result = result if wrong else Tree(value, tree.mark, path=tree.path)
        for start, end, message, hint in wrong:
            at, message = place(tree, match.start(1) + start, match.start(1) + end), f"`{match[0]}` {message}"
            self.problems.at(at, code, message, path=tree.path, hint=hint)
        return result


def _definition(name: str, known: Mapping[str, Tree]) -> str:
    """Return the advice for a name that no variable has."""
    if name == "index":
        return 'a node with `repeat` has it; a block takes it as a param: `params: {k: "${index}"}`'
    return did_you_mean(name, known) or "define it under `vars`"


def _ordered(uses: Mapping[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    """Yield the names in topological order, each with an empty list, and each cycle as its first name with its names."""
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


def used_variables(tree: Tree) -> Iterator[str]:
    """Yield the names of the variables in a tree."""
    if not tree.dynamic:
        return
    if isinstance(tree.value, str):
        for match in _PATTERN.finditer(tree.value):
            if match.group(1) is not None:
                yield (name := match.group(1).strip())
                if _FORMULA.search(name):
                    from graphspec.base.formula import parse

                    yield from parse(name).names()
    for child in tree.children():
        yield from used_variables(child)
