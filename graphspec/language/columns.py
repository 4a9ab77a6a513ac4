"""Expand records: each column becomes an input and nodes ``record/column``, and the record is their concatenation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from graphspec.base.codes import Code
from graphspec.base.config import FROM_LIST, Config, PositiveInt, invalid
from graphspec.base.errors import Mark, did_you_mean
from graphspec.language.column_types import COLUMNS, Category, Column, Embed, Step, encoded, type_hint
from graphspec.language.explain import validate
from graphspec.language.names import MAX_NAME, bad_name, is_name
from graphspec.language.tree import Problems, Tree, describe, format_names, intended_keys

MAX_CROSSED = 8
"""The largest number of columns of a cross."""
EXAMPLE = "for example `columns: {age: number, job: category}`"


class RecordKeys(Config):
    """A record: each column is an input of its own, and the network reads their vector."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "shape": "the type of each column says its shape",
        "dtype": "the type of each column says its dtype; a category has `dtype: int64` for integers",
        "column": "write it at each column: `age: {type: number, column: Age}`",
    }

    columns: dict[str, Any] = Field(description="Columns by name: a type, or a mapping with `type` and its arguments.")
    crosses: list[Any] = Field([], description="Combinations of categories: lists of columns, or mappings.")


def _some(columns: tuple[str, ...]) -> tuple[str, ...]:
    if not 2 <= len(columns) <= MAX_CROSSED:
        raise invalid(f"must have 2 to {MAX_CROSSED} columns, not {len(columns)}", "for example `[job, city]`")
    return columns


class Cross(Config):
    """The combinations of the values of some category columns, hashed into bins."""

    sources: ClassVar[Mapping[str, str]] = {"output_dim": "embed", "input_dim": "num_bins"}

    columns: Annotated[
        tuple[str, ...], FROM_LIST, AfterValidator(_some), Field(description="The category columns, 2 to 8.")
    ]
    num_bins: PositiveInt = Field(1000, description="The number of bins; combinations may share one.")
    embed: Embed = None

    def steps(self) -> list[Step]:
        """Return the layers of the cross in order. None stands for its inputs."""
        if self.embed is None:
            return [Step("", "HashedCrossing", (None,), {"num_bins": self.num_bins, "output_mode": "one_hot"})]
        hashed = Step("ids", "HashedCrossing", (None,), {"num_bins": self.num_bins})
        return [hashed, *encoded("ids", self.embed, {"input_dim": self.num_bins})]


@dataclass(slots=True)
class Part:
    """A column or a cross of a record.

    Attributes:
        name: the column's key, or ``a_x_b``.
        input: the input of a column; None for a cross.
        nodes: entries of ``layers``; the last one has the name ``record/name``.
        wrong: whether it has a reported error. Its values are then unknown.
    """

    kind: Literal["column", "cross"]
    name: str
    mark: Mark
    path: str
    config: Column | Cross | None = None
    input: Tree | None = None
    nodes: list[Tree] = field(default_factory=list)
    wrong: bool = False


@dataclass(slots=True)
class Record:
    """An expanded record.

    Attributes:
        whole: the entry of the node with the record's name; None for a record of images.
        incomplete: whether the names of some columns are unknown because of an error.
    """

    name: str
    mark: Mark
    path: str
    parts: list[Part]
    whole: Tree | None
    incomplete: bool

    @property
    def wrong(self) -> bool:
        """Whether the values of the record are unknown."""
        return self.incomplete or any(part.wrong for part in self.parts)


def is_record(tree: Tree) -> bool:
    """Return whether an entry of ``inputs`` is a record, also with a misspelt ``columns``."""
    if not isinstance(tree.value, dict) or "shape" in tree.value:
        return isinstance(tree.value, dict) and "columns" in tree.value
    if not tree.value.keys().isdisjoint(("columns", "crosses")):
        return True
    nested = Tree({key: child for key, child in tree.value.items() if isinstance(child.value, dict)}, tree.mark)
    return bool(nested.value) and "columns" in intended_keys(nested, ("columns",))


def expand_record(name: str, tree: Tree, mark: Mark, problems: Problems) -> Record:
    """Return the parts of a record. Problems are collected, and wrong columns have no nodes but their own."""
    path = tree.path
    before = len(problems.found)
    subject = f"record '{name}'"
    validate(RecordKeys, tree, subject, problems)
    declared = tree.get("columns")
    parts: list[Part] = []
    if declared is not None and isinstance(declared.value, dict):
        if not declared.value:
            problems.value(declared, Code.VALUE_NOT_ALLOWED, f"`columns` of {subject} is empty", hint=EXAMPLE)
        parts = [_column(name, key, declared, problems) for key in declared.value]
    incomplete = (not parts and len(problems.found) > before) or tree.unknown
    columns = {part.name: part for part in parts}
    crosses = tree.get("crosses")
    if crosses is not None and isinstance(crosses.value, list):
        parts += [_cross(name, child, columns, problems) for child in crosses.value]
    vectors = [
        part for part in parts if part.nodes if part.wrong or not isinstance(part.config, Column) or part.config.vector
    ]
    whole = None
    if vectors or not parts:
        nodes = [f"{name}/{part.name}" for part in vectors]
        joined: tuple[str, dict[str, Any]] = ("Concatenate", {"axis": -1}) if len(nodes) > 1 else ("Identity", {})
        kind, arguments = ("", {}) if incomplete or any(part.wrong for part in parts) else joined
        whole = _entry(name, kind, arguments, nodes, Tree({}, mark, path=path), {})
    return Record(name, mark, path, parts, whole, incomplete)


def _column(record: str, name: str, columns: Tree, problems: Problems) -> Part:
    """Return the input and the nodes of a column."""
    tree: Tree = columns.value[name]
    part = Part("column", name, columns.key_marks.get(name, tree.mark), tree.path)
    before = len(problems.found)
    config = _config(name, tree, problems)
    if not is_name(name):
        message, hint = bad_name("column name", name)
        if len(name) <= MAX_NAME and hint.startswith("for example "):
            kind = tree.get("type") or tree
            key = hint.removeprefix("for example ").strip("'")
            word = kind.value if isinstance(kind.value, str) else "…"
            hint = f'write `{key}: {{column: "{name}", type: {word}}}`'
        problems.at(part.mark, Code.VALUE_NOT_ALLOWED, message, path=part.path, hint=hint)
    part.config = config
    part.wrong = config is None or len(problems.found) > before
    at = Tree(tree.value, part.mark, tree.key_marks, tree.path)
    if config is None or part.wrong:
        part.input = Tree(None, part.mark, path=part.path, unknown=True)
        part.nodes = [_entry(f"{record}/{name}", "", {}, [], at, {})]
        return part
    dtype, shape = config.input
    keys = {"shape": shape, "dtype": dtype} | ({} if config.column is None else {"column": config.column})
    keys |= {"description": config.description} if config.description else {}
    part.input = _grown(keys, at)
    part.nodes = _entries(f"{record}/{name}", config.steps(), [name], at, config.sources)
    return part


def _config(name: str, tree: Tree, problems: Problems) -> Column | None:
    """Return the parsed type of a column with its arguments, or None if it is wrong."""
    if tree.unknown and not isinstance(tree.value, dict):
        return None
    subject = f"column '{name}'"
    kind = tree.get("type") if isinstance(tree.value, dict) else tree
    if kind is None:
        for key in tree.value:
            if (close := did_you_mean(key, ("type",))) is not None:
                problems.key(tree, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of {subject}", hint=close)
                return None
        hint = f"for example `{name}: {{type: number}}`"
        problems.node(tree, Code.MISSING_KEY, f"{subject} needs `type`", hint=hint, subject="type")
        return None
    if not isinstance(kind.value, str):
        if not kind.unknown:
            what = "`type` of " * (kind is not tree) + subject
            message = f"{what} must be the name of a type, not {describe(kind)}"
            hint = "delete the column to leave it out; " if kind.value is None else ""
            problems.value(kind, Code.WRONG_TYPE, message, hint=f"{hint}the types are {', '.join(COLUMNS.names())}")
        return None
    cls = COLUMNS.get(kind.value)
    if cls is None:
        message = f"{subject} has an unknown type '{kind.value}'"
        problems.value(kind, Code.UNKNOWN_CLASS, message, hint=type_hint(kind.value))
        return None
    body = tree if kind is not tree else Tree({}, tree.mark, path=tree.path)
    return validate(cls, body, subject, problems, without=("type",))


def _cross(record: str, tree: Tree, columns: Mapping[str, Part], problems: Problems) -> Part:
    """Return the nodes of a cross."""
    before = len(problems.found)
    subject = f"a cross of record '{record}'"
    body = Tree({"columns": tree}, tree.mark, {"columns": tree.mark}, tree.path) if _is_list(tree) else tree
    config: Cross | None = None
    if isinstance(body.value, dict):
        config = validate(Cross, body, subject, problems)
    elif not tree.unknown:
        message = f"{subject} must be a list of columns, not {describe(tree)}"
        problems.value(tree, Code.WRONG_TYPE, message, hint="for example `crosses: [[job, city]]`")
    listed = body.get("columns")
    items = listed.value if listed is not None and config is not None else []
    known = [name for name, part in columns.items() if isinstance(part.config, Category)]
    for k, item in enumerate(items):
        part = columns.get(item.value)
        if part is None and not columns:
            continue  # `columns` is missing or wrong, which is reported
        if part is None:
            hint = did_you_mean(item.value, known) or f"the categories are {format_names(known)}"
            message = f"{subject} names an unknown column '{item.value}'"
            problems.value(item, Code.UNKNOWN_NODE, message, hint=hint)
        elif item.value not in known and part.config is not None:
            kind = next(word for word in COLUMNS.names() if COLUMNS.get(word) is type(part.config))
            message = f"{subject} joins categories, but column '{item.value}' is a {kind}"
            hint = f"categories are {format_names(known)}" if known else "make it a category"
            problems.value(item, Code.VALUE_NOT_ALLOWED, message, hint=hint)
        elif any(other.value == item.value for other in items[:k]):
            message = f"{subject} names column '{item.value}' twice"
            problems.value(item, Code.VALUE_NOT_ALLOWED, message, hint="remove one of them")
    name = "_x_".join(config.columns) if config is not None else ""
    if len(name) > MAX_NAME:
        message = f"{subject} has a name of {len(name):,} characters, at most {MAX_NAME}"
        problems.value(tree, Code.VALUE_NOT_ALLOWED, message, hint="give its columns shorter names")
    mark = tree.first_key if isinstance(tree.value, dict) else tree.mark
    part = Part("cross", name, mark, tree.path, config, wrong=config is None or len(problems.found) > before)
    part.wrong = part.wrong or any(item.value not in columns or columns[item.value].wrong for item in items)
    at = Tree(body.value, mark, body.key_marks, tree.path)
    if config is None or part.wrong:
        part.nodes = [_entry(f"{record}/{name}", "", {}, [], at, {})] if name else []
    else:
        part.nodes = _entries(f"{record}/{name}", config.steps(), config.columns, at, config.sources)
    return part


def _is_list(tree: Tree) -> bool:
    return isinstance(tree.value, list)


# Trees


def _entries(
    prefix: str, steps: Iterable[Step], inputs: Sequence[str], at: Tree, sources: Mapping[str, str]
) -> list[Tree]:
    """Return the entries of ``layers`` for the steps of a column or a cross that reads ``inputs``."""
    entries = []
    for step in steps:
        names = [name for end in step.inputs for name in (inputs if end is None else [f"{prefix}/{end}"])]
        entries.append(_entry(f"{prefix}/{step.end}".rstrip("/"), step.type, step.arguments, names, at, sources))
    return entries


def _entry(
    name: str, kind: str, arguments: Mapping[str, Any], inputs: Sequence[str], at: Tree, sources: Mapping[str, str]
) -> Tree:
    """Return one entry. Arguments that the column sets have their position, all others that of the column."""
    plain = {"name": name, "type": kind, "inputs": [*inputs]}
    children: dict[str, Tree] = {key: _grown(value, at) for key, value in plain.items() if value != ""}
    for key, value in arguments.items():
        written = at.get(sources.get(key, key))
        if written is None:
            children[key] = _grown(value, at)
        else:
            children[key] = written if key not in sources else _grown(value, written)
    return Tree(children, at.mark, dict.fromkeys(children, at.mark), at.path)


def _grown(value: Any, at: Tree) -> Tree:
    """Return the tree of a plain value with the position of ``at``."""
    if isinstance(value, dict):
        children = {key: _grown(child, at) for key, child in value.items()}
        tree = Tree(children, at.mark, dict.fromkeys(children, at.mark), at.path)
    elif isinstance(value, list | tuple):
        tree = Tree([_grown(child, at) for child in value], at.mark, None, at.path)
    else:
        tree = Tree(value, at.mark, None, at.path)
    tree.origin = at.origin
    return tree
