"""Declare the inputs of the document and the nodes of its records."""

from __future__ import annotations

from graphspec.base.codes import Code
from graphspec.base.errors import Mark
from graphspec.language.columns import Part, Record, expand_record, is_record
from graphspec.language.names import InputRef, Item, Scope
from graphspec.language.namespace import claim
from graphspec.language.tree import Problems, Tree

MAX_PARTS = 10_000
"""The largest number of columns and crosses of a spec."""


def declare_inputs(top: Scope, inputs: Tree, problems: Problems) -> Tree:
    """Let the names of inputs, columns and nodes of records stand for them.

    Returns:
        The inputs, each record replaced by those of its columns.
    """
    if not isinstance(inputs.value, dict):
        top.incomplete = True
        return inputs
    declared: dict[str, Tree] = {}
    marks: dict[str, Mark] = {}
    parts = 0
    for name, tree in inputs.value.items():
        mark, path = inputs.key_marks.get(name, tree.mark), inputs.child_path(name)
        if is_record(tree):
            parts += sum(
                len(at.value) for key in ("columns", "crosses") if (at := tree.get(key)) is not None and _is_long(at)
            )
            if parts > MAX_PARTS:
                message = f"the records have more than {MAX_PARTS:,} columns and crosses"
                hint = "join columns of one kind: an input with a `shape` takes a list of columns in `data`"
                problems.at(mark, Code.DOCUMENT_TOO_LARGE, message, path=path, hint=hint)
                top.incomplete = True
                break
            _declare(top, expand_record(name, tree, mark, problems), declared, marks, problems)
        else:
            item = Item("input", name, top, tree)
            claim(top, name, item, mark, path, "input", problems)
            top.default_inputs[name] = item
            declared[name], marks[name] = tree, mark
    return Tree(declared, inputs.mark, marks, inputs.path, unknown=inputs.unknown or top.incomplete)


def _is_long(tree: Tree) -> bool:
    """Return whether a value has a length."""
    return isinstance(tree.value, dict | list)


def _declare(top: Scope, record: Record, declared: dict[str, Tree], marks: dict[str, Mark], problems: Problems) -> None:
    """Declare the inputs and nodes of a record, and add its inputs to ``declared``."""
    top.incomplete = top.incomplete or record.incomplete
    for part in record.parts:
        if part.input is not None:
            item = Item("input", part.name, top, part.input)
            item.label = "column"
            claim(top, part.name, item, part.mark, part.path, "column", problems)
            if top.names[part.name] is item:
                declared[part.name], marks[part.name] = part.input, part.mark
            else:
                part.wrong = True
        last = [_node(top, tree, part.kind, part, problems) for tree in part.nodes][-1:]
        if record.whole is None and last:
            top.default_inputs[last[0].name] = last[0]
    if record.whole is not None:
        whole = Part("column", record.name, record.mark, record.path, wrong=record.wrong)
        top.default_inputs[record.name] = _node(top, record.whole, "record", whole, problems)


def _node(top: Scope, tree: Tree, label: str, part: Part, problems: Problems) -> Item:
    """Declare a node of a record."""
    item = Item("node", tree.value["name"].value, top, tree)
    item.label, item.failed = label, part.wrong
    item.sources = [InputRef.named(top, name) for name in tree.value["inputs"].value]
    claim(top, item.name, item, part.mark, part.path, label, problems)
    top.items.append(item)
    return item
