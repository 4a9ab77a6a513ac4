"""Parse a document to a :class:`~graphspec.language.declarations.Spec`: find all of its problems in one run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from graphspec.base.codes import Code
from graphspec.base.config import Config, PositiveInt, with_article
from graphspec.base.errors import Diagnostic, Problems, SpecError, did_you_mean
from graphspec.base.files import ARCHIVE, DATA_SUFFIXES, DATABASES, TABLES, suffix_of
from graphspec.base.synonyms.keys import hint_in, tables
from graphspec.language.declarations import SUFFIXES, DataSource, Every, NodeDecl, Ref, Spec, TextForm, Windows
from graphspec.language.expand import Expanded, expand
from graphspec.language.explain import validate
from graphspec.language.layer_entries import ENTRY_KEYS, block_names, unknown_layer_hint
from graphspec.language.names import InputRef, Item, bad_name, check_written, is_name, resolve
from graphspec.language.read import read
from graphspec.language.search import parse_search
from graphspec.language.sections import mapping, of_items, parse_heads, parse_inputs, parse_training
from graphspec.language.tree import Tree, describe, format_names, format_value, intended_keys, item_name, type_hint
from graphspec.vocabulary.layers import LAYERS, Layer
from graphspec.vocabulary.layers.dates import check_format

# Parse the section ``data``: where the rows of each part come from.
PARTS = ("train", "validation", "test")
_KINDS = f"{', '.join(f'`{suffix}`' for suffix in DATA_SUFFIXES[:-1])} or `{DATA_SUFFIXES[-1]}`"


_Filling = Literal["interpolate", "previous"]


class WindowKeys(Config):
    """Windows over the rows of a table in the order of time."""

    length: PositiveInt = Field(description="Rows of the past that the inputs have.")
    horizon: PositiveInt = Field(1, description="Rows of the future that the targets have.")
    stride: PositiveInt = Field(1, description="Rows from the start of a window to the start of the next one.")
    group: str | None = Field(None, description="The column that separates several series.")
    order: str | None = Field(
        None, description="The column of time: numbers, or dates as ISO 8601; by default the order of the rows."
    )
    format: Annotated[str, AfterValidator(check_format)] | None = Field(
        None, description="How that column writes dates, such as `%d.%m.%Y %H:%M`."
    )
    every: str | int | None = Field(
        None,
        description="The step of time, which is checked: `15min`, `1h`, `1d`, `1w`, `1month`, `1y`; 1 for numbers.",
    )
    missing: _Filling | dict[str, _Filling] | None = Field(
        None, description="How missing values and steps are filled in: for all columns, or by column."
    )


Encoding = Literal["utf-8", "utf-16", "cp1252", "latin-1", "cp1250", "cp1251", "cp850", "shift_jis", "gb18030"]
Thousands = Literal[",", ".", " ", "'"]


class DataKeys(Config):
    """The source of rows."""

    file: str | None = Field(None, description=f"{_KINDS}, relative to the spec; `visits/*.csv` names several.")
    query: str | None = Field(
        None,
        description=f"A SELECT over files that are named relative to the spec, or over the tables of a database file "
        f"({', '.join(DATABASES)}).",
    )
    folder: str | None = Field(None, description="The folder of the query's files, by default the spec's.")
    images: str | None = Field(None, description="A folder of pictures: columns `image`, `label` and `path`.")
    texts: str | None = Field(None, description="A folder of `.txt` files: columns `text`, `label` and `path`.")
    labels: Literal["folder"] | None = Field(
        None, description="`folder`: the label of a file is the name of its subfolder."
    )
    windows: Annotated[dict[str, Any], WithJsonSchema(WindowKeys.model_json_schema())] | None = Field(
        None, description="Windows over a series are the rows: inputs are the past, targets the future."
    )
    inputs: dict[str, str | list[str]] | None = Field(None, description="Array or columns of each input.")
    targets: dict[str, str | list[str]] | None = Field(None, description="Array or columns of each head.")
    delimiter: str | None = Field(
        None, description="The character between the cells of a table; by default the header shows it."
    )
    decimal: Literal[".", ","] | dict[str, Literal[".", ","]] = Field(
        ".",
        description="`,`: numbers have decimal commas, as in `3,5` or `1.234,5`. Or a mark for each column that has another."
        " For tables of text (.csv, .tsv).",
    )
    thousands: Thousands | dict[str, Thousands] | None = Field(
        None,
        description="The mark between groups of three digits, as in `1,234.5`; or one for each column that has one.",
    )
    strip: list[Annotated[str, Field(min_length=1)]] = Field(
        [], description="Marks that may stand before or after a number and are not read: with `%`, `12 %` is 12."
    )
    encoding: Encoding = Field("utf-8", description="The encoding of a file of text, also of .jsonl.")
    drop_missing_targets: bool = Field(False, description="Leave out rows without a target.")


_DATA = "for example `train: {file: rows.csv}`"


_NO_DELIMITERS = '\n\r"\0'

_Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]


class ValidationKeys(DataKeys):
    """Validation rows: a file, or a part of the training rows."""

    split: _Fraction | dict[Literal["last"], _Fraction] | None = Field(
        None, description="Fraction of the training rows, chosen by the seed; `{last: 0.1}` are the last rows."
    )
    by: Literal["time"] | None = Field(
        None, description="`time`: the split of windows takes the last part of the time."
    )
    stratify: str | None = Field(None, description="Head whose class proportions the split preserves.")


_FILE = f"`file`: an {ARCHIVE} archive or a table ({', '.join(TABLES)}, also .gz), relative to the spec"
SOURCES = ("query", "file", "images", "texts")
"""Keys that name rows; `query` and a database `file` go together."""


def parse_data(
    tree: Tree | None, base: Path | None, inputs: list[str], heads: list[str], problems: Problems
) -> dict[str, DataSource]:
    """Return the valid data sources by part."""
    if tree is None or tree.value is None or not mapping(tree, "`data`", problems, _DATA):
        return {}
    sources = {}
    for part, child in tree.value.items():
        if part not in PARTS:
            hint = hint_in(tables()["PartKeys"], part, PARTS) or did_you_mean(part, PARTS)
            hint = hint or f"the parts are {', '.join(PARTS)}"
            problems.key(tree, part, Code.UNKNOWN_KEY, f"unknown key '{part}' of `data`", hint=hint)
            continue
        subject = f"`data.{part}`"
        if not mapping(child, subject, problems, _DATA):
            continue
        keys = validate(ValidationKeys if part == "validation" else DataKeys, child, subject, problems)
        _check_names(child.get("inputs"), "input", inputs, [], problems)
        _check_names(
            child.get("targets"), "head", heads, [head + suffix for head in heads for suffix in SUFFIXES], problems
        )
        if keys is None or _is_wrong_source(child, keys, subject, heads, problems):
            continue
        windows = _windows(child.get("windows"), subject, problems)
        if keys.windows is None or windows is not None:
            sources[part] = _source(keys, windows, child, base or Path())
    if {"train", "validation"} <= sources.keys():
        _check_times(sources["train"], sources["validation"], problems)
    return sources


def _check_times(train: DataSource, validation: DataSource, problems: Problems) -> None:
    """Report a split that does not suit the training rows: windows that are neighbours share values."""
    tree, windows = validation.tree, train.windows
    if validation.split is None:
        return
    if windows is None and validation.by_time:
        hint = "for rows in the order of time write `split: {last: 0.2}`"
        message = "`by` of `data.validation` needs `windows` of `data.train`"
        problems.value(tree.value["by"], Code.VALUE_NOT_ALLOWED, message, hint=hint)
    if windows is not None and not validation.by_time:
        hint = "add `by: time`: other splits share values between training and validation"
        message = "`split` of `data.validation` needs `by` for windows"
        problems.value(tree.value["split"], Code.VALUE_NOT_ALLOWED, message, hint=hint)
    if windows is not None and validation.by_time and windows.group is not None and windows.order is None:
        hint = "name the column of time, for example `order: time`"
        message = "`by` of `data.validation` needs `order` of the windows"
        problems.value(tree.value["by"], Code.VALUE_NOT_ALLOWED, message, hint=hint)


def _windows(tree: Tree | None, subject: str, problems: Problems) -> Windows | None:
    if tree is None or tree.value is None:
        return None
    keys = validate(WindowKeys, tree, f"`windows` of {subject}", problems)
    if keys is None:
        return None
    every = Every.of(keys.every)
    if keys.every is not None and every is None:
        hint = "write a number and a unit: `15min`, `1h`, `1d`, `1w`, `1month` or `1y`; for times that are numbers, `1`"
        message = f"`every` of the windows of {subject} cannot be {format_value(keys.every)}"
        problems.value(tree.value["every"], Code.VALUE_NOT_ALLOWED, message, hint=hint)
    for key in ("every", "format"):
        if getattr(keys, key) is not None and keys.order is None:
            hint = "name the column of time, for example `order: time`"
            problems.key(tree, key, Code.VALUE_NOT_ALLOWED, f"`{key}` of windows needs `order`", hint=hint)
    return Windows(**keys.model_dump() | {"every": every})


def _source(keys: DataKeys, windows: Windows | None, tree: Tree, base: Path) -> DataSource:
    split, stratify, in_order = None, None, False
    if isinstance(keys, ValidationKeys):
        in_order = keys.by is not None or isinstance(keys.split, dict)
        split, stratify = keys.split["last"] if isinstance(keys.split, dict) else keys.split, keys.stratify
    named = {key: base / name for key in ("file", "images", "texts") if (name := getattr(keys, key)) is not None}
    return DataSource(
        named.get("file"),
        keys.inputs,
        keys.targets,
        split,
        stratify,
        tree,
        keys.drop_missing_targets,
        query=keys.query,
        folder=base if keys.folder is None else base / keys.folder,
        beside=base,
        images=named.get("images"),
        texts=named.get("texts"),
        labelled=keys.labels is not None,
        windows=windows,
        in_order=in_order,
        by_time=isinstance(keys, ValidationKeys) and keys.by is not None,
        form=TextForm(keys.delimiter, keys.decimal, keys.thousands, tuple(keys.strip), keys.encoding),
    )


def _check_names(tree: Tree | None, kind: str, known: list[str], others: list[str], problems: Problems) -> None:
    """Report keys of ``tree`` that are neither ``known`` names nor ``others``."""
    if tree is None or not isinstance(tree.value, dict) or not known:
        return
    accepted = {*known, *others}
    for name in tree.value:
        if name not in accepted:
            hint = did_you_mean(name, known) or f"the {kind}s are {format_names(known)}"
            problems.key(tree, name, Code.UNKNOWN_KEY, f"'{name}' is not {with_article(kind)} of this spec", hint=hint)


def _is_wrong_source(tree: Tree, keys: DataKeys, subject: str, heads: list[str], problems: Problems) -> bool:
    """Report errors of a data source, and return whether there are any."""
    before = len(problems.found)
    named = [key for key in SOURCES if getattr(keys, key) is not None]
    for key in ("file", "folder", "images", "texts"):
        if "\0" in (getattr(keys, key) or ""):
            message = f"`{key}` of {subject} is not a valid file name: it contains a null character"
            problems.value(tree.value[key], Code.VALUE_NOT_ALLOWED, message, hint="remove it")
    _check_split(tree, keys, subject, named, heads, problems)
    _check_query(tree, keys, subject, problems)
    _check_folders(tree, keys, subject, problems)
    _check_text(tree, keys, subject, problems)
    if len(named) > 1 and named != ["query", "file"]:
        _refuse(tree, named[1], f"`{named[1]}` of {subject} cannot be used with `{named[0]}`", problems)
    if keys.windows is not None and not {"file", "query"}.intersection(named):
        hint = "windows are taken from the rows of a table"
        problems.key(
            tree, "windows", Code.VALUE_NOT_ALLOWED, f"`windows` of {subject} needs `file` or `query`", hint=hint
        )
    if keys.windows is not None and keys.drop_missing_targets:
        hint = "fill in the missing values: without a row, the windows around it are gone"
        _refuse(
            tree,
            "drop_missing_targets",
            f"`drop_missing_targets` of {subject} cannot be used with `windows`",
            problems,
            hint,
        )
    if not named and keys.folder is None and getattr(keys, "split", None) is None:  # `folder` is told below
        what = "`file` or `split`" if hasattr(keys, "split") else "`file`"
        problems.node(tree, Code.MISSING_KEY, f"{subject} needs {what}", subject="file", hint=_FILE)
    return len(problems.found) > before


def _refuse(tree: Tree, key: str, message: str, problems: Problems, hint: str = "remove one of them") -> None:
    problems.value(tree.value[key], Code.VALUE_NOT_ALLOWED, message, hint=hint)


def _check_split(
    tree: Tree, keys: DataKeys, subject: str, named: list[str], heads: list[str], problems: Problems
) -> None:
    split: Any = getattr(keys, "split", None)
    for key in ("stratify", "by"):
        if getattr(keys, key, None) is not None and split is None:
            hint = "set the fraction of the training rows, for example `split: 0.1`"
            problems.key(tree, key, Code.VALUE_NOT_ALLOWED, f"`{key}` of {subject} needs `split`", hint=hint)
    if split is None:
        return
    if named:
        _refuse(tree, "split", f"`split` of {subject} cannot be used with `{named[0]}`", problems)
    in_order = "by" if getattr(keys, "by", None) is not None else "split" if isinstance(split, dict) else None
    stratify = getattr(keys, "stratify", None)
    if isinstance(split, dict) and not split:
        hint = "for example `split: {last: 0.1}`"
        problems.value(tree.value["split"], Code.MISSING_KEY, f"`split` of {subject} needs `last`", hint=hint)
    elif isinstance(split, dict) and in_order == "by":
        hint = "write `split: 0.2` for windows, `split: {last: 0.2}` for other rows"
        _refuse(tree, "by", f"`by` of {subject} cannot be used with `last`", problems, hint)
    if stratify is not None and in_order is not None:
        hint = "rows that are split in their order have the classes that they have"
        _refuse(tree, "stratify", f"`stratify` of {subject} cannot be used with a split in order", problems, hint)
    if stratify is not None and heads and stratify not in heads:
        hint = did_you_mean(stratify, heads) or f"the heads are {format_names(heads)}"
        message = f"`stratify` of {subject} names an unknown head '{stratify}'"
        problems.value(tree.value["stratify"], Code.UNKNOWN_NODE, message, hint=hint)


def _check_query(tree: Tree, keys: DataKeys, subject: str, problems: Problems) -> None:
    database = keys.file is not None and suffix_of(Path(keys.file)) in DATABASES
    if database and keys.query is None:
        hint = 'choose its rows, for example `query: "SELECT * FROM orders ORDER BY id"`'
        problems.node(tree, Code.MISSING_KEY, f"{subject} needs `query`", subject="query", hint=hint)
    if keys.query is not None and keys.file is not None and not database:
        hint = (
            f"name the file in the query: `SELECT … FROM '{keys.file}'`; `file` is a {' or '.join(DATABASES)} database"
        )
        _refuse(tree, "file", f"`file` of {subject} cannot be used with `query`", problems, hint)
    if keys.folder is not None and keys.query is None:
        hint = "other names are relative to the spec"
        if not any(getattr(keys, key) is not None for key in SOURCES):
            hint = (
                "a folder of rows is `images: pictures` or `texts: reviews`, with `labels: folder` for its subfolders"
            )
        problems.key(tree, "folder", Code.VALUE_NOT_ALLOWED, f"`folder` of {subject} needs `query`", hint=hint)


def _check_text(tree: Tree, keys: DataKeys, subject: str, problems: Problems) -> None:
    """Report how texts are read, where the rows are no table of text."""
    suffix = "" if keys.file is None else suffix_of(Path(keys.file))
    for key in ("delimiter", "decimal", "thousands", "strip", "encoding"):
        given = getattr(keys, key) != DataKeys.model_fields[key].default
        if given and not suffix.startswith((".csv", ".tsv", *([".jsonl"] if key == "encoding" else []))):
            hint = "only tables of text have it; in a query read_csv has the options `delim` and `decimal_separator`"
            message = f"`{key}` of {subject} needs a `file` that ends in .csv or .tsv"
            problems.key(tree, key, Code.VALUE_NOT_ALLOWED, message, hint=hint)
    form = TextForm(None, keys.decimal, keys.thousands)
    named = [set(given) for given in (form.decimal, form.thousands) if isinstance(given, dict)]
    for column in sorted(set().union({""}, *named)):
        decimal, thousands = form.marks(column)
        if decimal == thousands:
            of = f" of column '{column}'" if column else ""
            message = f"`decimal` and `thousands`{of} of {subject} are both {decimal!r}"
            hint = 'where columns differ, name them: `thousands: {price: ","}`'
            problems.value(tree.value["thousands"], Code.VALUE_NOT_ALLOWED, message, hint=hint)
    for mark in keys.strip:
        if re.search(r"[\d.,+\-\s']", mark):
            message = f"`strip` of {subject} cannot contain {mark!r:.40}, which may be a part of a number"
            problems.value(tree.value["strip"], Code.VALUE_NOT_ALLOWED, message, hint="marks such as `%` or `EUR`")
    delimiter = keys.delimiter
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in _NO_DELIMITERS):
        hint = 'one character, such as `";"` or `"\\t"`'
        message = f"`delimiter` of {subject} cannot be {delimiter!r:.40}"
        problems.value(tree.value["delimiter"], Code.VALUE_NOT_ALLOWED, message, hint=hint)
    elif delimiter is not None and delimiter == keys.decimal:
        hint = "cells and decimals have different marks; cells in quotes may contain both"
        message = f"`delimiter` and `decimal` of {subject} are both {delimiter!r}"
        problems.value(tree.value["delimiter"], Code.VALUE_NOT_ALLOWED, message, hint=hint)


def _check_folders(tree: Tree, keys: DataKeys, subject: str, problems: Problems) -> None:
    if keys.labels is not None and keys.images is None and keys.texts is None:
        hint = "labels of a table are a column: `targets: {head: column}`"
        message = f"`labels` of {subject} needs `images` or `texts`"
        problems.key(tree, "labels", Code.VALUE_NOT_ALLOWED, message, hint=hint)


VERSION = 1
REQUIRED = ("graphspec", "name", "inputs", "layers", "outputs")
_MISSING = {
    "graphspec": f"begin with `graphspec: {VERSION}`",
    "name": "write a name for the run directory and the ONNX graph",
    "inputs": "for example `inputs: {x: {shape: [13]}}`",
    "layers": "for example `layers: [{name: y, type: Dense, units: 1}]`",
    "outputs": "name a node as a head: `outputs: {y: {loss: mean_squared_error}}`",
}
KEYS = (*REQUIRED[:2], "description", "vars", "inputs", "blocks", *REQUIRED[3:], "training", "data", "search")


def parse(
    source: str | os.PathLike[str] | Mapping[str, Any], sets: Sequence[str] = ()
) -> tuple[Spec | None, list[Diagnostic]]:
    """Read, expand and parse a spec.

    Args:
        source: a file's path, or a dict.
        sets: overrides ``key.path=VALUE``.

    Returns:
        The spec with everything that is valid, and all problems sorted by position. The spec is None if the document
        cannot be read or is too large.

    Raises:
        UsageError: an override is malformed or leads nowhere.
    """
    problems = Problems()
    try:
        tree = read(source, sets=sets, problems=problems)
    except SpecError as error:
        return None, error.diagnostics
    return parse_tree(tree, None if isinstance(source, Mapping) else Path(source).parent, problems)


def parse_tree(tree: Tree, base: Path | None, problems: Problems | None = None) -> tuple[Spec | None, list[Diagnostic]]:
    """Expand and parse a document that has been read, see :func:`parse`.

    Args:
        base: the folder of the spec; None for a dict.
        problems: those of reading.
    """
    problems = problems or Problems()
    _check_document(tree, problems)
    expanded = expand(tree, problems)
    spec = None if expanded.overflow else _spec(tree, expanded, base, problems)
    return spec, sorted(problems.found, key=Diagnostic.sort_key)


def _check_document(tree: Tree, problems: Problems) -> None:
    """Report unknown and missing keys of the document."""
    missing = [key for key in REQUIRED if key not in tree.value]
    meant: set[str] = set()
    for key in tree.value:
        if key not in KEYS:
            table = tables()["DocumentKeys"]
            hint = hint_in(table, key, missing) or hint_in(table, key, KEYS) or did_you_mean(key, KEYS)
            hint = hint or f"the keys are {', '.join(KEYS)}"
            meant |= {known for known in missing if f"did you mean '{known}'?" in hint}
            problems.key(tree, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of the document", hint=hint)
    meant |= intended_keys(tree, KEYS) if missing else set()
    for key in (key for key in missing if key not in meant):
        problems.node(tree, Code.MISSING_KEY, f"the document needs `{key}`", hint=_MISSING[key], subject=key)


def _spec(tree: Tree, expanded: Expanded, base: Path | None, problems: Problems) -> Spec:
    """Return the spec with everything that is valid in the document."""
    empty = Tree({}, tree.mark)
    sections = expanded.sections
    _check_version(sections.get("graphspec"), problems)
    name = _text(sections.get("name"), "name", problems)
    if name and not is_name(name):
        message, hint = bad_name("`name`", name)
        problems.value(sections["name"], Code.VALUE_NOT_ALLOWED, message, hint=hint)
    inputs = parse_inputs(sections["inputs"], problems) if "inputs" in sections else {}
    entries = {item.full: (item.owner or item).tree for item in expanded.nodes}
    heads = parse_heads(sections["outputs"], expanded.heads, problems, entries) if "outputs" in sections else {}
    declared = sections.get("inputs", empty).value
    return Spec(
        name=name or "spec",
        description=_text(sections.get("description"), "description", problems) or "",
        inputs=inputs,
        nodes=_parse_nodes(expanded, problems, block_names(tree)),
        heads={name: head for name, head in heads.items() if not head.only_trained},
        training=parse_training(sections.get("training"), problems),
        data=parse_data(
            sections.get("data"),
            base,
            list(declared) if isinstance(declared, dict) else [],
            [h.name for h in heads.values() if h.loss is None or h.needs_data],
            problems,
        ),
        document={key: child.plain() for key, child in tree.value.items() if key != "search"},
        tree=tree,
        base=base,
        terms={name: head for name, head in heads.items() if head.only_trained},
        search=None if (search := tree.get("search")) is None else parse_search(search, problems),
        weights=of_items(expanded.top, expanded.scopes, problems),
    )


def _check_version(tree: Tree | None, problems: Problems) -> None:
    if tree is None or tree.unknown:
        return
    if isinstance(tree.value, bool) or not isinstance(tree.value, int):
        message = f"`graphspec` must be an integer, not {describe(tree)}"
        problems.value(tree, Code.WRONG_TYPE, message, hint=f"write `graphspec: {VERSION}`")
    elif tree.value != VERSION:
        hint = f"write `graphspec: {VERSION}`, or use a newer graphspec"
        problems.value(tree, Code.UNKNOWN_VERSION, f"language version {tree.value} is not known", hint=hint)


def _text(tree: Tree | None, key: str, problems: Problems) -> str | None:
    if tree is None or tree.unknown:
        return None
    if not isinstance(tree.value, str):
        message = f"`{key}` must be text, not {describe(tree)}"
        problems.value(tree, Code.WRONG_TYPE, message, hint=type_hint(tree, "text") or "write text")
        return None
    return tree.value


# Nodes


def _parse_nodes(expanded: Expanded, problems: Problems, blocks: Sequence[str]) -> list[NodeDecl]:
    layers: dict[int, Layer | None] = {}
    for item in (*expanded.nodes, *expanded.unused):
        if id(item.tree) not in layers:  # all copies of an entry share one tree
            layers[id(item.tree)] = None if item.owner is not None else _parse_layer(item, problems, blocks)
    for item in expanded.unused:
        _calls(item, problems)
        check_written(item, LAYERS.get(_type((item.owner or item).tree) or ""), problems)
    nodes = []
    for item in expanded.nodes:
        owner = item.owner or item
        layer = None if item.failed else layers.get(id(owner.tree))
        written = check_written(item, LAYERS.get(_type(owner.tree) or ""), problems)
        nodes.append(
            NodeDecl(
                name=item.full,
                type=_type(owner.tree),
                layer=layer,
                inputs=expanded.refs[item.full] if written is not None else [None],
                share=None if item.owner is None else item.owner.full,
                trainable=owner.trainable,
                call=_calls(item, problems),
                tree=item.tree,
                within=item.scope.outermost,
                options=_options(item, problems),
                written=written or {},
            )
        )
    return nodes


def _type(tree: Tree) -> str | None:
    kind = tree.get("type")
    return kind.value if kind is not None and isinstance(kind.value, str) else None


def _parse_layer(item: Item, problems: Problems, blocks: Sequence[str]) -> Layer | None:
    """Return the layer of a node, or None if it is wrong. ``blocks`` are the names of the document's blocks."""
    tree = item.tree
    kind = _type(tree)
    own = () if (known := LAYERS.get(kind or "")) is None else known.own_keys
    trainable = tree.get("trainable") if "trainable" not in own else None
    if trainable is not None and not isinstance(trainable.value, bool) and not trainable.unknown:
        message = f"`trainable` of '{item.full}' must be true or false, not {describe(trainable)}"
        problems.value(
            trainable,
            Code.WRONG_TYPE,
            message,
            hint=type_hint(trainable, "true or false") or "write false to freeze it",
        )
    if item.failed or kind is None:
        return None
    if kind in LAYERS.refused:
        reason, hint = LAYERS.refused[kind]
        problems.value(
            tree.value["type"], Code.VALUE_NOT_ALLOWED, f"{kind} '{item.full}' is refused: {reason}", hint=hint
        )
        return None
    cls = LAYERS.get(kind)
    if cls is None:
        hint = unknown_layer_hint(tree, kind, blocks)
        problems.value(tree.value["type"], Code.UNKNOWN_CLASS, f"unknown layer '{kind}'", hint=hint)
        return None
    without = (*(k for k in ENTRY_KEYS if k not in own), *cls.call_arguments, *cls.call_options)
    copied = item_name(tree) if tree.get("repeat") is not None else None  # an error concerns all copies
    name = item.full if copied is None else item.scope.prefix + copied
    return validate(cls, tree, f"{kind} '{name}'", problems, without=without)


def _calls(item: Item, problems: Problems) -> dict[str, list[Ref | None]]:
    """Return Keras's call arguments of a node as lists of references."""
    cls = LAYERS.get(_type(item.tree) or "")
    calls: dict[str, list[Ref | None]] = {}
    for key in cls.call_arguments if cls is not None else ():
        argument = item.tree.get(key)
        if argument is None or (argument.value is None and not argument.unknown):
            continue
        refs: list[Ref | None] = []
        for value in argument.value if isinstance(argument.value, list) else [argument]:
            if isinstance(value.value, str):
                refs.append(resolve(InputRef.named(item.scope, value), problems))
                continue
            refs.append(None)
            if not value.unknown:
                message = f"`{key}` of '{item.full}' must contain names of nodes, not {describe(value)}"
                hint = "write a node's name, or `name:k` for its output k"
                problems.value(value, Code.WRONG_TYPE, message, hint=hint)
        calls[key] = refs
    return calls


def _options(item: Item, problems: Problems) -> dict[str, bool]:
    """Return Keras's call arguments of a node that are true or false."""
    cls = LAYERS.get(_type((item.owner or item).tree) or "")
    options: dict[str, bool] = {}
    for key in cls.call_options if cls is not None else ():
        value = item.tree.get(key)
        if value is None or value.unknown:
            continue
        if not isinstance(value.value, bool):
            message = f"`{key}` of '{item.full}' must be true or false, not {describe(value)}"
            problems.value(value, Code.WRONG_TYPE, message, hint=type_hint(value, "true or false") or "write true")
            continue
        options[key] = value.value
    return options
