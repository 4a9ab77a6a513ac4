"""Check the section ``search`` of a spec: its objective, its paths, and whether every bound and every choice is possible.

Each bound and each choice is put into the spec, one at a time, and the spec is checked with it. Problems are reported in
the section ``search``, where the value is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from graphspec.base.errors import Code, Diagnostic, Mark, UsageError, did_you_mean
from graphspec.engine.compiler.check import Checked, check
from graphspec.engine.compiler.heads import log_keys
from graphspec.language.declarations import Spec
from graphspec.language.override import leads_nowhere, replaced
from graphspec.language.parse import parse_tree
from graphspec.language.search_space import Range, Search, Setting, probes
from graphspec.language.tree import Tree, describe, format_names
from graphspec.vocabulary.metrics import direction


def goal_of(search: Search) -> Literal["min", "max"]:
    """Return whether the largest or the smallest value of the objective is the best."""
    return search.goal or direction(search.metric) or "min"


def check_search(checked: Checked, *, allow_outside: bool = False) -> list[Diagnostic]:
    """Return the problems of the section ``search`` of a spec that is otherwise correct, sorted by position."""
    spec = checked.spec
    if spec is None or spec.search is None or checked.errors:
        return []
    found = [*_objective(checked)]
    for setting in spec.search.settings:
        found += dict.fromkeys(_setting(spec, setting, allow_outside))
    return sorted(found, key=Diagnostic.sort_key)


def _objective(checked: Checked) -> Iterator[Diagnostic]:
    spec, lowered = checked.require()
    assert spec.search is not None
    search, keys = spec.search, [*log_keys(spec, lowered.graph.outputs)]
    at = search.tree.find(("objective", "metric"))[0] or search.tree
    mark, path = (at.first_key if at is search.tree else at.mark), at.path
    if search.metric not in keys:
        inner = search.metric.removeprefix("val_")
        hint = did_you_mean(search.metric, keys) or f"the columns are {format_names(keys)}"
        if inner != search.metric and inner in keys:
            hint = "add `data.validation`, such as `validation: {split: 0.1}`"
        text = f"the objective '{search.metric}' is not a column of the history"
        yield Diagnostic.at(mark, Code.VALUE_NOT_ALLOWED, text, path=path, hint=hint)
    elif search.goal is None and direction(search.metric) is None:
        text = f"the name '{search.metric}' does not tell whether larger or smaller values are better"
        yield Diagnostic.at(mark, Code.VALUE_NOT_ALLOWED, text, path=path, hint="add `goal: max` or `goal: min`")


def _setting(spec: Spec, setting: Setting, allow_outside: bool) -> Iterator[Diagnostic]:
    """Yield the problems of one setting: of its path alone, or else of its bounds and choices."""
    section, _, name = setting.path.partition(".")
    variables = spec.tree.get("vars")
    known = variables.value if variables is not None and isinstance(variables.value, dict) else {}
    if section == "vars" and name not in known and name.partition(".")[0] not in known:
        text = f"'{setting.path}' leads nowhere: there is no variable '{name}'"
        hint = did_you_mean(name, known) or f"add it to `vars`, and use it as `${{{name}}}`"
        yield Diagnostic.at(setting.mark, Code.UNKNOWN_KEY, text, path=_path(setting), hint=hint)
        return
    for place, value in probes(setting.space):
        try:
            tree = _with(spec.tree, setting.path, value)
        except UsageError as error:
            where, hint = leads_nowhere(setting.path, str(error))
            yield Diagnostic.at(setting.mark, Code.UNKNOWN_KEY, where, path=_path(setting), hint=hint)
            return
        yield from _of_probe(spec, tree, setting, place, value, allow_outside)


def _with(tree: Tree, path: str, value: Tree) -> Tree:
    """Return a document without ``search``, with ``value`` at ``path``. Raises UsageError: the path leads nowhere."""
    rest = {key: child for key, child in tree.value.items() if key != "search"}
    return replaced(Tree(rest, tree.mark, tree.key_marks), path, value, describe(value)).set_paths()


def _of_probe(
    spec: Spec, tree: Tree, setting: Setting, place: Tree, value: Tree, allow_outside: bool
) -> Iterator[Diagnostic]:
    changed, found = parse_tree(tree, spec.base)
    if changed is not None:
        allow = next((source.allow for source in spec.data.values()), ())
        found = [*found, *check(changed, allow_outside=allow_outside, allow=allow).diagnostics]
    inside = {_position(mark): path for mark, path in _marks(value)}
    places = inside.keys() & {_position(place.mark)} if isinstance(setting.space, Range) else inside.keys()
    seen = set[str]()
    for d in found:
        if not d.is_error or str(d) in seen:
            continue
        seen.add(str(d))
        at = (d.file, d.line, d.column)
        key = setting.path.rpartition(".")[2]
        if d.code == Code.UNKNOWN_KEY and at == _position(value.mark) and f"'{key}'" in d.message:
            yield replace(Diagnostic.at(setting.mark, d.code, d.message, hint=d.hint), path=_path(setting))
        elif d.line is not None and at in places:
            yield replace(d, path=inside[at] or place.path)
        else:
            where = f" (at line {d.line})" if d.line is not None else ""
            text = f"with {setting.path}: {describe(value)}, {d.message}{where}"
            yield Diagnostic.at(place.mark, d.code, text, path=place.path, hint=d.hint, nodes=d.nodes)
            return  # the other problems follow from the same value


def _path(setting: Setting) -> str:
    return f"search.space.{setting.path}"


def _position(mark: Mark) -> tuple[str, int | None, int | None]:
    return (mark.file, mark.line, mark.column)


def _marks(tree: Tree) -> Iterator[tuple[Mark, str]]:
    """Yield the places of a value and of its parts and keys, each with its path."""
    yield tree.mark, tree.path
    if isinstance(tree.value, dict):
        for key, child in tree.value.items():
            yield tree.key_marks.get(key, child.mark), tree.child_path(key)
    for child in tree.children():
        yield from _marks(child)
