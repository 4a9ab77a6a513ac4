"""Parse a document to a :class:`~graphspec.language.declarations.Spec`: find all of its problems in one run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from graphspec.base.config import Config, PositiveInt, SchemaOf, Texts, setting, with_article
from graphspec.base.errors import Code, Diagnostic, Problems, Renaming, SpecError, did_you_mean
from graphspec.base.files import ARCHIVE, DATA_SUFFIXES, DATABASES, TABLES, suffix_of
from graphspec.base.synonyms.keys import hint_in, tables
from graphspec.language.declarations import SUFFIXES, DataSource, Every, NodeDecl, Ref, Spec, TextForm, Windows
from graphspec.language.expand import Expanded, expand
from graphspec.language.explain import validate
from graphspec.language.layer_entries import ENTRY_KEYS, block_names, unknown_layer_hint
from graphspec.language.names import Item, check_name, check_written, resolve_name
from graphspec.language.override import with_form
from graphspec.language.read import Source, read
from graphspec.language.sections import KEYS, REQUIRED, mapping, of_items, parse_heads, parse_inputs, parse_training
from graphspec.language.tree import Tree, format_names, format_value, intended_keys, is_flag, not_allowed, wrong_type
from graphspec.language.upgrade import joined, renamed
from graphspec.vocabulary.layers import LAYERS, Layer

if TYPE_CHECKING:
    from graphspec.language.search_space import Search

# Parse the section ``data``: where the rows of each part come from.
PARTS = ("train", "validation", "test")
_KINDS = f"{', '.join(f'`{suffix}`' for suffix in DATA_SUFFIXES[:-1])} or `{DATA_SUFFIXES[-1]}`"
_DATA = "for example `train: {file: rows.csv}`"
_ORDER = "name the column of time, for example `order: time`"
_FILE = f"`file`: an {ARCHIVE} archive or a table ({', '.join(TABLES)}, also .gz), relative to the spec"
_TABLES = "only tables of text have it; in a query read_csv has the options `delim` and `decimal_separator`"
_NO_DELIMITERS = '\n\r"\0'
SOURCES = ("query", "file", "images", "texts")  # keys that name rows; `query` and a database `file` go together


_Filling = Literal["interpolate", "previous"]
_Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
_Season = Annotated[int, Field(ge=2)]


def _check_format(form: str) -> str | None:
    from graphspec.vocabulary.layers.dates import check_format

    return check_format(form)


class WindowKeys(Config):
    """Windows over the rows of a table in the order of time."""

    length: PositiveInt = setting(..., "Rows of the past that the inputs have.")
    horizon: PositiveInt = setting(1, "Rows of the future that the targets have.")
    stride: PositiveInt = setting(1, "Rows from the start of a window to the start of the next one.")
    group: str | None = setting(None, "The column that separates several series.")
    order: str | None = setting(None, "The column of time: numbers or ISO 8601 dates; by default the rows' order.")
    format: Annotated[str, AfterValidator(_check_format)] | None = setting(None, "How it writes dates, as `%d.%m.%Y`.")
    every: str | int | None = setting(
        None, "The step of time, which is checked: `15min`, `1h`, `1d`, `1w`, `1month`, `1y`; 1 for numbers."
    )
    missing: _Filling | dict[str, _Filling] | None = setting(
        None, "How missing values and steps are filled in: for all columns, or by column."
    )
    season: _Season | list[_Season] | None = setting(
        None, "The steps after which the series repeats itself, or several such numbers; dates say it by `every`."
    )
    future: Texts = setting((), "Inputs that are read over the future: it is known.")
    static: Texts = setting((), "Inputs with one value per window, that of the last row of its past.")


Encoding = Literal["utf-8", "utf-16", "cp1252", "latin-1", "cp1250", "cp1251", "cp850", "shift_jis", "gb18030"]
Thousands = Literal[",", ".", " ", "'"]


class DataKeys(Config):
    """The source of rows."""

    file: str | None = setting(None, f"{_KINDS}, relative to the spec; `visits/*.csv` names several.")
    query: str | None = setting(
        None,
        f"A SELECT over files that are named relative to the spec, or over the tables of a database file "
        f"({', '.join(DATABASES)}).",
    )
    folder: str | None = setting(None, "The folder of the query's files, by default the spec's.")
    images: str | None = setting(None, "A folder of pictures: columns `image`, `label` and `path`.")
    texts: str | None = setting(None, "A folder of `.txt` files: columns `text`, `label` and `path`.")
    labels: Literal["folder"] | None = setting(None, "`folder`: the label of a file is the name of its subfolder.")
    windows: Annotated[dict[str, Any], SchemaOf(WindowKeys)] | None = setting(
        None, "Windows over a series are the rows: inputs are the past, targets the future."
    )
    inputs: dict[str, str | list[str]] | None = setting(None, "Array or columns of each input.")
    targets: dict[str, str | list[str]] | None = setting(None, "Array or columns of each head.")
    delimiter: str | None = setting(None, "The character between the cells of a table; by default the header shows it.")
    decimal: Literal[".", ","] | dict[str, Literal[".", ","]] = setting(
        ".",
        "`,`: numbers have decimal commas, as in `3,5` or `1.234,5`. Or a mark for each column that has another."
        " For tables of text (.csv, .tsv).",
    )
    thousands: Thousands | dict[str, Thousands] | None = setting(
        None, "The mark between groups of three digits, as in `1,234.5`; or one for each column that has one."
    )
    strip: list[Annotated[str, Field(min_length=1)]] = setting(
        [], "Marks that may stand before or after a number and are not read: with `%`, `12 %` is 12."
    )
    encoding: Encoding = setting("utf-8", "The encoding of a file of text, also of .jsonl.")
    drop_missing_targets: bool = setting(False, "Leave out rows without a target.")


class TrainKeys(DataKeys):
    """The training rows."""

    group: str | None = setting(None, "The column whose rows stay together: in one fold, on one side of a `split`.")


class ValidationKeys(DataKeys):
    """Validation rows: a file, or a part of the training rows."""

    split: _Fraction | dict[Literal["last"], _Fraction] | None = setting(
        None, "Fraction of the training rows, chosen by the seed; `{last: 0.1}` are the last rows."
    )
    by: Literal["time"] | None = setting(None, "`time`: the split of windows takes the last part of the time.")
    stratify: str | None = setting(None, "Head whose class proportions the split preserves.")
    origins: PositiveInt | None = setting(None, "For windows: so many last horizons of each series are for validation.")


_KEYS: dict[str, type[DataKeys]] = {"train": TrainKeys, "validation": ValidationKeys}


def parse_data(
    tree: Tree | None, base: Path | None, inputs: list[str], heads: list[str], problems: Problems
) -> dict[str, DataSource]:
    """Return the valid data sources by part."""
    if tree is None or tree.value is None or not mapping(tree, "`data`", problems, _DATA):
        return {}
    arrays = [head + suffix for head in heads for suffix in SUFFIXES]
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
        keys = validate(_KEYS.get(part, DataKeys), child, subject, problems)
        _check_names(child.get("inputs"), "input", inputs, [], problems)
        _check_names(child.get("targets"), "head", heads, arrays, problems)
        if keys is None or _SourceCheck(child, keys, subject, problems).is_wrong(heads):
            continue
        windows = _windows(child.get("windows"), subject, problems)
        if keys.windows is None or windows is not None:
            sources[part] = _source(keys, windows, child, base or Path())
    if {"train", "validation"} <= sources.keys():
        _check_split(sources["train"], sources["validation"], problems)
    return sources


def _check_split(train: DataSource, validation: DataSource, problems: Problems) -> None:
    """Report a split that does not suit the training rows: windows that are neighbours share values."""
    tree, by_time, windows = validation.tree, validation.by_time, train.windows
    if not validation.is_split:
        return
    in_order = "for rows in the order of time write `split: {last: 0.2}`"
    shared = "add `by: time`: other splits share values between training and validation"
    grouped = windows is not None and windows.group is not None and windows.order is None
    ordered = validation.in_order and validation.split is not None
    for wrong, key, what, hint in (
        (by_time and windows is None, "by", "`windows` of `data.train`", in_order),
        (validation.origins is not None and windows is None, "origins", "`windows` of `data.train`", in_order),
        (not (by_time or validation.origins) and windows is not None, "split", "`by` for windows", shared),
        (by_time and grouped, "by", "`order` of the windows", _ORDER),
        (ordered and train.group, "split", "a `data.train` without `group`", "write `split: 0.2`"),
    ):
        if wrong:
            not_allowed(tree.value[key], f"`{key}` of `data.validation` needs {what}", problems, hint)


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
        not_allowed(tree.value["every"], message, problems, hint)
    for key in ("every", "format"):
        if getattr(keys, key) is not None and keys.order is None:
            problems.key(tree, key, Code.VALUE_NOT_ALLOWED, f"`{key}` of windows needs `order`", hint=_ORDER)
    return Windows(**keys.model_dump() | {"every": every})


_SAME = ("inputs", "targets", "stratify", "drop_missing_targets", "query", "group", "origins")  # as the spec has them


def _source(keys: DataKeys, windows: Windows | None, tree: Tree, base: Path) -> DataSource:
    split, by_time = getattr(keys, "split", None), getattr(keys, "by", None) is not None
    same: dict[str, Any] = {key: getattr(keys, key, None) for key in _SAME}
    same |= {key: base / name for key in ("file", "images", "texts") if (name := getattr(keys, key)) is not None}
    return DataSource(
        **{"file": None} | same,
        split=split["last"] if isinstance(split, dict) else split,
        tree=tree,
        folder=base if keys.folder is None else base / keys.folder,
        beside=base,
        labelled=keys.labels is not None,
        windows=windows,
        in_order=by_time or isinstance(split, dict) or same["origins"] is not None,
        by_time=by_time,
        form=TextForm(keys.delimiter, keys.decimal, keys.thousands, tuple(keys.strip), keys.encoding),
    )


def _check_names(tree: Tree | None, kind: str, names: list[str], others: list[str], problems: Problems) -> None:
    if tree is None or not isinstance(tree.value, dict) or not names:
        return
    accepted = {*names, *others}
    for name in (name for name in tree.value if name not in accepted):
        hint = did_you_mean(name, names) or f"the {kind}s are {format_names(names)}"
        problems.key(tree, name, Code.UNKNOWN_KEY, f"'{name}' is not {with_article(kind)} of this spec", hint=hint)


class _SourceCheck:
    """Reports the contradictions of a source of rows."""

    def __init__(self, tree: Tree, keys: DataKeys, subject: str, problems: Problems) -> None:
        self.tree, self.keys, self.subject, self.problems = tree, keys, subject, problems
        self.rows = [key for key in SOURCES if getattr(keys, key) is not None]
        self.split: Any = getattr(keys, "split", None)
        self.suffix = "" if keys.file is None else suffix_of(Path(keys.file))

    def _wrong(self, key: str, message: str, hint: str) -> None:
        not_allowed(self.tree.value[key], message, self.problems, hint)

    def _excludes(self, key: str, other: str, hint: str = "remove one of them") -> None:
        self._wrong(key, f"`{key}` of {self.subject} cannot be used with {other}", hint)

    def _needs(self, key: str, what: str, hint: str) -> None:
        self.problems.key(self.tree, key, Code.VALUE_NOT_ALLOWED, f"`{key}` of {self.subject} needs {what}", hint=hint)

    def _lacks(self, key: str, what: str, hint: str) -> None:
        self.problems.node(self.tree, Code.MISSING_KEY, f"{self.subject} needs {what}", subject=key, hint=hint)

    def is_wrong(self, heads: list[str]) -> bool:
        """Report what is wrong, and return whether anything is."""
        before, keys = len(self.problems.found), self.keys
        for key in ("file", "folder", "images", "texts"):
            if "\0" in (getattr(keys, key) or ""):
                message = f"`{key}` of {self.subject} is not a valid file name: it contains a null character"
                self._wrong(key, message, "remove it")
        self._check_split(heads)
        self._check_query()
        if keys.labels is not None and keys.images is None and keys.texts is None:
            self._needs("labels", "`images` or `texts`", "labels of a table are a column: `targets: {head: column}`")
        self._check_text()
        if len(self.rows) > 1 and self.rows != ["query", "file"]:
            self._excludes(self.rows[1], f"`{self.rows[0]}`")
        if keys.windows is not None and not {"file", "query"}.intersection(self.rows):
            self._needs("windows", "`file` or `query`", "windows are taken from the rows of a table")
        if keys.windows is not None and keys.drop_missing_targets:
            hint = "fill in the missing values: without a row, the windows around it are gone"
            self._excludes("drop_missing_targets", "`windows`", hint)
        if keys.windows is not None and getattr(keys, "group", None) is not None:
            self._excludes("group", "`windows`", "`windows` have a `group` of their own, and are split `by: time`")
        split = self.split is not None or getattr(keys, "origins", None) is not None
        if not self.rows and keys.folder is None and not split:  # `folder` is told by _check_query
            self._lacks("file", "`file` or `split`" if hasattr(keys, "split") else "`file`", _FILE)
        return len(self.problems.found) > before

    def _check_split(self, heads: list[str]) -> None:
        split, stratify, by = self.split, getattr(self.keys, "stratify", None), getattr(self.keys, "by", None)
        if getattr(self.keys, "origins", None) is not None:
            for key in ("split", "by", "stratify", *self.rows):
                if getattr(self.keys, key) is not None:
                    self._excludes("origins", f"`{key}`")
        elif split is None:
            for key in (key for key, value in (("stratify", stratify), ("by", by)) if value is not None):
                self._needs(key, "`split`", "set the fraction of the training rows, for example `split: 0.1`")
        if split is None:
            return
        if self.rows:
            self._excludes("split", f"`{self.rows[0]}`")
        if isinstance(split, dict) and not split:
            message = f"`split` of {self.subject} needs `last`"
            hint = "for example `split: {last: 0.1}`"
            self.problems.value(self.tree.value["split"], Code.MISSING_KEY, message, hint=hint)
        elif isinstance(split, dict) and by is not None:
            self._excludes("by", "`last`", "write `split: 0.2` for windows, `split: {last: 0.2}` for other rows")
        if stratify is not None and (by is not None or isinstance(split, dict)):
            hint = "rows that are split in their order have the classes that they have"
            self._excludes("stratify", "a split in order", hint)
        if stratify is not None and heads and stratify not in heads:
            hint = did_you_mean(stratify, heads) or f"the heads are {format_names(heads)}"
            message = f"`stratify` of {self.subject} names an unknown head '{stratify}'"
            self.problems.value(self.tree.value["stratify"], Code.UNKNOWN_NODE, message, hint=hint)

    def _check_query(self) -> None:
        file, has_query, is_database = self.keys.file, self.keys.query is not None, self.suffix in DATABASES
        if is_database and not has_query:
            self._lacks("query", "`query`", 'choose its rows, for example `query: "SELECT * FROM orders ORDER BY id"`')
        if has_query and file is not None and not is_database:
            databases = f"`file` is a {' or '.join(DATABASES)} database"
            self._excludes("file", "`query`", f"name the file in the query: `SELECT … FROM '{file}'`; {databases}")
        if self.keys.folder is not None and not has_query:
            hint = "other names are relative to the spec"
            if not self.rows:
                hint = "a folder of rows is `images: pictures` or `texts: reviews`"
                hint += ", with `labels: folder` for its subfolders"
            self._needs("folder", "`query`", hint)

    def _check_text(self) -> None:
        """Report how texts are read, where the rows are no table of text."""
        keys, subject = self.keys, self.subject
        for key in ("delimiter", "decimal", "thousands", "strip", "encoding"):
            is_set = getattr(keys, key) != DataKeys.model_fields[key].default
            if is_set and not self.suffix.startswith((".csv", ".tsv", *([".jsonl"] if key == "encoding" else []))):
                self._needs(key, "a `file` that ends in .csv or .tsv", _TABLES)
        form = TextForm(None, keys.decimal, keys.thousands)
        columns = [set(marks) for marks in (form.decimal, form.thousands) if isinstance(marks, dict)]
        for column in sorted(set().union({""}, *columns)):
            decimal, thousands = form.marks(column)
            if decimal == thousands:
                of = f" of column '{column}'" if column else ""
                message = f"`decimal` and `thousands`{of} of {subject} are both {decimal!r}"
                self._wrong("thousands", message, 'where columns differ, name them: `thousands: {price: ","}`')
        for mark in keys.strip:
            if re.search(r"[\d.,+\-\s']", mark):
                message = f"`strip` of {subject} cannot contain {mark!r:.40}, which may be a part of a number"
                self._wrong("strip", message, "marks such as `%` or `EUR`")
        cells = keys.delimiter
        if cells is not None and (len(cells) != 1 or not cells.isascii() or cells in _NO_DELIMITERS):
            message = f"`delimiter` of {subject} cannot be {cells!r:.40}"
            self._wrong("delimiter", message, 'one character, such as `";"` or `"\\t"`')
        elif cells is not None and cells == keys.decimal:
            hint = "cells and decimals have different marks; cells in quotes may contain both"
            self._wrong("delimiter", f"`delimiter` and `decimal` of {subject} are both {cells!r}", hint)


VERSION = 1
_MISSING = {
    "graphspec": f"begin with `graphspec: {VERSION}`",
    "name": "write a name for the run directory and the ONNX graph",
    "inputs": "for example `inputs: {x: {shape: [13]}}`",
    "layers": "for example `layers: [{name: y, type: Dense, units: 1}]`",
    "outputs": "name a node as a head: `outputs: {y: {loss: mean_squared_error}}`",
}


_ROUNDS = 9  # a name may have been changed several times, and a new class shows old keys


def parse(source: Source, sets: Sequence[str] = ()) -> tuple[Spec | None, list[Diagnostic]]:
    """Read, expand and parse a spec: a file's path or a dict, with overrides ``key.path=VALUE``.

    Return the spec with everything that is valid, and all problems sorted by position. The spec is None if the document
    cannot be read or is too large. UsageError: an override is malformed or leads nowhere.
    """
    problems = Problems()
    try:
        tree = read(source, sets=sets, problems=problems)
    except SpecError as error:
        return None, error.diagnostics
    return parse_tree(tree, None if isinstance(source, Mapping) else Path(source).parent, problems)


def parse_tree(
    tree: Tree, base: Path | None, problems: Problems | None = None, form: str | None = None
) -> tuple[Spec | None, list[Diagnostic]]:
    """Expand and parse a document that has been read, with the problems of reading, as its first or another form."""
    spec, found, _ = parse_renamed(tree, base, problems, form)
    return spec, found


def parse_renamed(
    tree: Tree, base: Path | None, problems: Problems | None = None, form: str | None = None
) -> tuple[Spec | None, list[Diagnostic], list[Renaming]]:
    """Return the spec and its problems as :func:`parse_tree`, and the names of older versions that were replaced in it."""
    names: list[Renaming] = []
    for _ in range(_ROUNDS):
        collected = Problems() if problems is None else problems.copy()
        spec = _parse_once(tree, base, collected, form)
        tree, more = renamed(tree, collected.renamed) if collected.renamed else (tree, [])
        if not more:
            break
        names = joined(names, more)
    found = [*collected.found, *(name.diagnostic() for name in names)]
    return spec, sorted(found, key=Diagnostic.sort_key), names


def _parse_once(tree: Tree, base: Path | None, problems: Problems, form: str | None) -> Spec | None:
    _check_document(tree, problems)
    form, changed = with_form(tree, form, problems)
    expanded = expand(changed, problems)
    spec = None if expanded.overflow else replace(_spec(tree, expanded, base, problems), form=form)
    for with_more in (_with_inputs, _with_folds):
        spec = None if spec is None else replace(spec, data=with_more(spec, problems))
    return spec


def of_form(spec: Spec, form: str) -> tuple[Spec | None, list[Diagnostic]]:
    """Return another form of a spec, with its problems. Raises ValueError: it has no such form."""
    if form not in spec.training.forms:
        raise ValueError(f"it is of the form '{form}', which the spec does not have")
    other, found = parse_tree(spec.tree, spec.base, form=form)
    return None if other is None else replace(other, data=spec.data, draws=spec.draws), found


def _check_document(tree: Tree, problems: Problems) -> None:
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
    sections = expanded.sections
    _check_version(sections.get("graphspec"), problems)
    name = _text(sections.get("name"), "name", problems)
    if name:
        check_name("`name`", name, partial(problems.value, sections["name"]))
    inputs = parse_inputs(sections["inputs"], problems) if "inputs" in sections else {}
    entries = {item.full: (item.owner or item).tree for item in expanded.nodes}
    heads = parse_heads(sections["outputs"], expanded.heads, problems, entries) if "outputs" in sections else {}
    declared = sections.get("inputs", Tree({}, tree.mark)).value
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
        search=None if (search := tree.get("search")) is None else _parse_search(search, problems),
        weights=of_items(expanded.top, expanded.scopes, problems),
    )


def _parse_search(tree: Tree, problems: Problems) -> Search | None:
    from graphspec.language.search import parse_search  # few specs have one

    return parse_search(tree, problems)


_READ = ("future", "static")  # the keys of windows that name inputs


def _with_inputs(spec: Spec, problems: Problems) -> dict[str, DataSource]:
    """Return the sources with the inputs of records in place of the records that windows read over the future or once.

    Report those that do not exist, that have another shape, and a future that is a target.
    """
    declared, found = spec.tree.get("inputs"), dict(spec.data)
    names = list(declared.value) if declared is not None and isinstance(declared.value, dict) else []
    at = {name: f"{declared.child_path(name)}.columns." for name in names if declared is not None}
    of_name = {n: [f for f, i in spec.inputs.items() if f == n or i.tree.path.startswith(at[n])] for n in at}
    for part, source in spec.data.items():
        if (windows := source.windows) is None:
            continue
        targets = {c for h in spec.heads for c in _listed((source.targets or {}).get(h, h))}
        for name in (n for n, of in of_name.items() if of not in ([], [n]) and windows.length > 1):
            if name not in (*windows.static, *windows.future):
                text = f"the windows of `data.{part}` read the past of record '{name}', whose columns have one value"
                not_allowed(source.tree.value["windows"], text, problems, f"write `static: [{name}]`")
        named = [(key, *item) for key in _READ for item in enumerate(getattr(windows, key))]
        for key, k, name in named:
            mark = source.tree.find(("windows", key, k))[0] or source.tree
            what = f"`{key}` of the windows of `data.{part}` names"
            if name not in of_name:
                hint = did_you_mean(name, names) or f"the inputs are {format_names(names)}"
                problems.value(mark, Code.UNKNOWN_NODE, f"{what} an unknown input '{name}'", hint=hint)
            elif key == "static" and name in windows.future:
                not_allowed(mark, f"{what} '{name}', which `future` names, too", problems, "remove one of them")
            for full in of_name.get(name, ()):
                shape = spec.inputs[full].shape
                columns = _listed((source.inputs or {}).get(full, spec.inputs[full].column or full))
                wanted = [] if key == "static" else [windows.horizon]
                first = [d if isinstance(d, int) else windows.horizon for d in shape[:1]]
                if len(shape) > 1 if key == "static" else windows.horizon > 1 and first != wanted:
                    text = f"{what} '{full}', whose shape is {format_value(list(shape))}"
                    hint = f"write `shape: {wanted + [len(columns)] * (len(columns) > 1)}` to the input"
                    not_allowed(mark, text, problems, hint)
                if key == "future" and (leak := next((c for c in columns if c in targets), None)) is not None:
                    text = f"{what} '{full}', whose column '{leak}' is a target: what is forecast is not known"
                    not_allowed(mark, text, problems, "leave the column out, or read it over the past")
        of: dict[str, Any] = {k: tuple(f for n in getattr(windows, k) for f in of_name.get(n, ())) for k in _READ}
        found[part] = replace(source, windows=replace(windows, **of))
    return found


def _listed(columns: str | list[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else columns


def _with_folds(spec: Spec, problems: Problems) -> dict[str, DataSource]:
    """Return the sources with the folds as validation rows; report copies and forms that do not go together with them."""
    training, data, held_out = spec.training, spec.data, spec.data.get("validation")
    keys = {} if training.tree is None or not isinstance(training.tree.value, dict) else training.tree.value
    windows = "train" in data and data["train"].windows is not None
    of_all = "every row is held out by one copy; further rows to measure on are `data.test`"
    by_time = "write `seeds`, with `validation: {split: 0.2, by: time}`"
    none = "add `folds: 8`, or `data.validation`"
    for key, wrong, what, hint in (
        ("seeds", training.folds and training.seeds, "cannot be used with `folds`", "remove one of them"),
        ("folds", training.folds and held_out, "cannot be used with `data.validation`", f"remove that: {of_all}"),
        ("folds", training.folds and windows, "cannot be used with windows, which share values", by_time),
        ("workers", training.several and training.workers == "mpi", "cannot be `mpi` with copies or forms", "`auto`"),
        ("forms", len(training.forms) == 1, "needs at least two forms", "remove it, and write the values themselves"),
        ("forms", training.forms and data and not (training.folds or held_out), "needs rows to choose by", none),
        ("choose", training.choose and not training.forms, "needs `forms`", "remove it"),
    ):
        if wrong and key in keys:
            not_allowed(keys[key], f"`{key}` of `training` {what}", problems, hint)
    if not training.folds or held_out is not None or training.tree is None or not data:
        return data
    return data | {"validation": DataSource(None, None, None, None, None, training.tree, folds=training.folds)}


def _check_version(tree: Tree | None, problems: Problems) -> None:
    if tree is None or tree.unknown:
        return
    if isinstance(tree.value, bool) or not isinstance(tree.value, int):
        wrong_type(tree, "`graphspec` must be an integer", problems, f"write `graphspec: {VERSION}`")
    elif tree.value != VERSION:
        hint = f"write `graphspec: {VERSION}`, or use a newer graphspec"
        problems.value(tree, Code.UNKNOWN_VERSION, f"language version {tree.value} is not known", hint=hint)


def _text(tree: Tree | None, key: str, problems: Problems) -> str | None:
    if tree is None or tree.unknown:
        return None
    if not isinstance(tree.value, str):
        wrong_type(tree, f"`{key}` must be text", problems, "write text", "text")
        return None
    return tree.value


def _parse_nodes(expanded: Expanded, problems: Problems, blocks: Sequence[str]) -> list[NodeDecl]:
    layers: dict[int, Layer | None] = {}
    for item in (*expanded.nodes, *expanded.unused):
        if id(item.tree) not in layers:  # all copies of an entry share one tree
            layers[id(item.tree)] = None if item.owner is not None else _parse_layer(item, problems, blocks)
    for item in expanded.unused:
        _calls(item, problems)
        check_written(item, _class(item.owner or item), problems)
    nodes = []
    for item in expanded.nodes:
        owner = item
        while owner.owner is not None:  # of a node that shares running means, the node that trains
            owner = owner.owner
        written = check_written(item, _class(owner), problems)
        node = NodeDecl(
            name=item.full,
            type=owner.tree.text("type"),
            layer=None if item.failed else layers.get(id(owner.tree)),
            inputs=expanded.refs[item.full] if written is not None else [None],
            share=None if item.owner is None else item.owner.full,
            average=item.average,
            trainable=owner.trainable,
            call=_calls(item, problems),
            tree=item.tree,
            within=item.scope.outermost,
            options=_options(item, problems),
            written=written or {},
        )
        nodes.append(node)
    return nodes


def _class(item: Item) -> type[Layer] | None:
    kind = item.tree.text("type") or ""
    if item.label == "loop":
        from graphspec.vocabulary.layers.loop import NODES

        return NODES[kind]
    return LAYERS.get(kind)


def _parse_layer(item: Item, problems: Problems, blocks: Sequence[str]) -> Layer | None:
    """Return the layer of a node, or None if it is wrong. ``blocks`` are the names of the document's blocks."""
    tree, cls = item.tree, _class(item)
    kind = tree.text("type")
    own = () if cls is None else cls.own_keys
    if "trainable" not in own:
        is_flag(tree.get("trainable"), f"`trainable` of '{item.full}'", problems, "write false to freeze it")
    if item.failed or kind is None:
        return None
    if kind in LAYERS.refused:
        reason, hint = LAYERS.refused[kind]
        not_allowed(tree.value["type"], f"{kind} '{item.full}' is refused: {reason}", problems, hint)
        return None
    if cls is None:
        hint = unknown_layer_hint(tree, kind, blocks)
        text, old = f"unknown layer '{kind}'", LAYERS.old.get(kind)
        problems.value(tree.value["type"], Code.UNKNOWN_CLASS, text, hint=hint, old=old)
        return None
    without = (*(k for k in ENTRY_KEYS if k not in own), *cls.call_arguments, *cls.call_options)
    copied = tree.text("name") if tree.get("repeat") is not None else None  # an error concerns all copies
    name = item.full if copied is None else item.scope.prefix + copied
    return validate(cls, tree, f"{kind} '{name}'", problems, without=without)


def _calls(item: Item, problems: Problems) -> dict[str, list[Ref | None]]:
    """Return Keras's call arguments of a node as lists of references."""
    cls = _class(item)
    calls: dict[str, list[Ref | None]] = {}
    for key in cls.call_arguments if cls is not None else ():
        argument = item.tree.get(key)
        if argument is None or (argument.value is None and not argument.unknown):
            continue
        message = f"`{key}` of '{item.full}' must contain names of nodes"
        names = argument.value if isinstance(argument.value, list) else [argument]
        calls[key] = [resolve_name(item.scope, name, message, problems) for name in names]
    return calls


def _options(item: Item, problems: Problems) -> dict[str, bool]:
    """Return Keras's call arguments of a node that are true or false."""
    cls = _class(item.owner or item)
    flags = {key: item.tree.get(key) for key in (cls.call_options if cls is not None else ())}
    what = {key: f"`{key}` of '{item.full}'" for key in flags}
    return {key: flag.value for key, flag in flags.items() if flag and is_flag(flag, what[key], problems, "write true")}
