"""The text of new specs: templates, filled with what a series or a folder holds, and decisions about a table, as YAML."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.errors import UsageError
from graphspec.base.text import count
from graphspec.data.folders import Folder, sizes_text
from graphspec.data.profile import ISO, ColumnProfile, Profile, profile_files
from graphspec.data.series import series_of
from graphspec.data.source import DataError, Source
from graphspec.data.targets import small_classes
from graphspec.language.declarations import Every, TextForm, Windows
from graphspec.language.write import WIDTH, flow, literal, text_lines, wrapped

if TYPE_CHECKING:
    from graphspec.data.suggest import Column, Suggestion

_SOME = 8  # names in a message
_MOST_DATES = 0.9


@dataclass(frozen=True)
class Filled:
    """A spec from a template."""

    text: str  # the spec, without its name and schema
    found: str  # what was looked at, as the rest of a sentence
    warnings: tuple[str, ...] = ()  # what the reader should know


def series(template: str, table: Profile, rows: Source, target: str, file: str, form: Sequence[str] = ()) -> Filled:
    """Fill the template of a series from the profile of a table, and its rows; ``form`` says how its text is read.

    The columns of numbers are read that have few gaps, the target first. The first column of dates is the time. If times
    occur more than once, the column of texts or integers that tells such rows apart separates the series.
    """
    numbers = [n for n, c in table.columns.items() if c.is_number and c.absent * 3 <= table.rows and not c.constant]
    if target not in numbers:
        some = ", ".join(numbers[:_SOME]) + (", …" if len(numbers) > _SOME else "")
        text = f"'{target}' is not a column of numbers of which at most a third is missing"
        raise UsageError(f"{text}; such columns are {some or 'not there'}")
    time = next((c for c in table.columns.values() if _is_time(c) and not c.absent), None)
    group = None if time is None else _group(table, rows, time, target)
    inputs = [target, *(n for n in numbers if n not in (target, group))]
    windows = Windows(1) if time is None else _ordered(time, group)
    every, added = _step(rows, windows, table.rows)
    steps = added + (table.rows if time is None else time.distinct)
    past, future = max(1, min(48, steps // 8)), max(1, min(24, steps // 16))
    empty = sum(table.columns[name].absent for name in inputs)
    keys = {key: literal(name) for key in ("order", "format", "group") if (name := getattr(windows, key)) is not None}
    keys |= ({} if every is None else {"every": str(every)}) | ({"missing": "interpolate"} if empty or added else {})
    order = "".join(f", {key}: {value}" for key, value in keys.items()) + "}"
    lacking = [count(n, noun) for n, noun in ((added, "missing row"), (empty, "empty value")) if n]
    comment = f"# {' and '.join(lacking)}: filled from the values before and after\n    " if lacking else ""
    text = template
    for old, new in {
        "The next values of a series, from the last ones.": f"The next values of {target}, from the last ones.",
        "past: 48, future: 24}": f"past: {past}, future: {future}}}",
        '["${past}", 3]}': f'["${{past}}", {len(inputs)}]}}',
        "file: data/train.csv": "\n".join([f"file: {literal(file)}", *form]),
        ", order: time}   # `order` is the column of the time": order
        + ("" if time else "   # in the order of the rows"),
        "windows: {": comment + "windows: {",
        "    inputs: {past: [load, temperature, wind]}": "\n".join(wrapped("    inputs: {past: [", inputs, "]}")),
        "targets: {next: load}": f"targets: {{next: {literal(target)}}}",
    }.items():
        text = _replaced(text, old, new)
    found = f"{target} from {len(inputs)} column{'s' if len(inputs) > 1 else ''} of {table.rows:,} rows"
    found += "" if every is None else f", one every {every}"
    found += "" if group is None else f", a series for each {group}"
    return Filled(text, found, _warnings(table, time))


def _ordered(time: ColumnProfile, group: str | None) -> Windows:
    form = _forms(time)[0]
    return Windows(1, order=time.name, format=None if form == ISO else form, group=group)


def in_time_order(table: Profile, rows: Source) -> str | None:
    """Return the column of dates of which each row of a table has a later one than the row before; None without one."""
    for column in table.columns.values():
        if _is_time(column) and not column.absent and column.unique:
            with suppress(DataError):
                if bool((np.diff(series_of(rows, _ordered(column, None), 0).rows) > 0).all()):
                    return column.name
    return None


def _step(rows: Source, windows: Windows, total: int) -> tuple[Every | None, int]:
    """Return the step of a series, None if its times follow none, and how many rows are missing: a third at most."""
    every = series_of(rows, windows, total).every
    if every is None:
        return None, 0
    try:
        added = int(series_of(rows, replace(windows, every=every, missing="interpolate"), total).added.sum())
    except DataError as error:
        if "lacks" not in error.problem.message:
            return None, 0  # times off the steps: there is no grid
        added = total
    if added * 2 > total:
        text = f"more than a third of the steps of {every} are missing in '{windows.order}'"
        raise UsageError(f"{text}: write a row for each step")
    return every, added


def _is_time(column: ColumnProfile) -> bool:
    months = column.kind == "text" and all(re.fullmatch(r"\d{4}-\d\d", value) for value, _ in column.frequent)
    return column.kind == "date" or (months and bool(column.frequent))


Change = Callable[[str, Folder, Counter[tuple[int, int]]], str]
_FEW = 500  # texts below which an epoch has few steps, and a tenth of them says little
_FOR_FEW = {
    "batch_size: 64": "batch_size: 16",
    "epochs: 30 ": "epochs: 100",
    "patience: 3": "patience: 10",
    "{split: 0.1,": "{split: 0.25,",
}


def folder(template: str, path: Path, file: str, kind: str, change: Change | None = None) -> Filled:
    """Fill the template of ``images`` or ``texts`` from a folder that has one for each class, or its subfolder ``train``.

    ``change`` fits the template to the files and the sizes of their pictures.
    """
    if (path / "train").is_dir():
        path, file = path / "train", f"{file}/train"
    files = Folder(path, kind.removesuffix("s"), labelled=True)
    classes, noun = Counter[str](files.column("label")), "picture" if kind == "images" else "text"
    if len(classes) < 2:
        only = next(iter(classes))
        raise UsageError(f"{path} has one folder, '{only}': name the folder with a folder for each class")
    if len(classes) > max(len(files.paths) // 2, 2):
        why = f"nearly every {noun} is a class of its own: is this the folder that you mean?"
        raise UsageError(f"{path} has {len(classes):,} classes for {len(files.paths):,} {noun}s; {why}")
    text = template.replace("opinion", "kind").partition("  # test: ")[0]  # folders are of any kind, not of opinions
    text = re.sub(r"(?<=name: kind, type: Dense, units: )\d+", f"{len(classes)}", text)
    text = re.sub(r"(?m)(?<=^  train: ).*", lambda _: f"{{{kind}: {literal(file)}, labels: folder}}", text)
    if path.name != "test" and (path.parent / "test").is_dir():
        test = f"{file.rpartition('/')[0]}/test".removeprefix("/")
        text += f"  test: {{{kind}: {literal(test)}, labels: folder}}\n"
    if kind == "texts" and len(files.paths) < _FEW:
        for old, new in _FOR_FEW.items():
            text = _replaced(text, old, new)
    counts = Counter(dict(profile_files(files).sizes)) if kind == "images" else Counter()
    text, sizes = text if change is None else change(text, files, counts), sizes_text(counts)
    found = f"{len(files.paths):,} {noun}s of {len(classes):,} classes" + (f", in pixels: {sizes}" if sizes else "")
    return Filled(text, found, tuple(filter(None, [small_classes(classes, noun)])))


def _forms(time: ColumnProfile) -> list[str]:
    """Return the formats that all dates of a column have, ISO 8601 first."""
    forms = [form for form, share in time.date_formats.items() if share == 1.0]
    return sorted(forms, key=lambda form: form != ISO) or [ISO]


def _group(table: Profile, rows: Source, time: ColumnProfile, target: str) -> str | None:
    """Return the column that separates several series: the one with the fewest values that tells their rows apart."""
    if time.distinct >= table.rows:
        return None
    columns = [c for c in table.columns.values() if c.kind in ("text", "integer") and c.name != target and not c.absent]
    candidates = [c for c in columns if c.distinct * time.distinct >= table.rows]
    for name in (c.name for c in sorted(candidates, key=lambda c: (c.kind != "text", c.distinct))):
        with suppress(DataError):  # a time occurs twice in a group
            series_of(rows, _ordered(time, name), 0)
            return name
    return None


def _warnings(table: Profile, time: ColumnProfile | None) -> tuple[str, ...]:
    """Return what is not sure of the time: its format, or that none is found."""
    if time is not None:
        first, *others = _forms(time)
        either = f"the dates of column '{time.name}' are read as {first}; they may also be {', '.join(others)}"
        return (either,) if others and first != ISO else ()
    nearly = [
        f": some values of column '{c.name}' are no dates as {form}"
        for c in table.columns.values()
        for form, share in c.date_formats.items()
        if _MOST_DATES <= share < 1
    ]
    found = f"no column of times is found{''.join(nearly[:1])}. The rows are read as one series"
    return (f"{found}, in the order of the file; if a column is the time, write `order` and `format` to `windows`",)


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise AssertionError(f"the template has no {old!r}")
    return text.replace(old, new, 1)


# The text of a spec from decisions about a table, as YAML with comments.
_COMMENT_AT = 84  # comments begin at most here, else above their line
_LOSSES = {"binary": "binary_crossentropy", "multiclass": "sparse_categorical_crossentropy", "regression": "mse"}


def spec_text(found: Suggestion, name: str, file: str, schema: str) -> str:
    """Return the text of a spec with this name, as YAML, for a table; its path and the schema's are relative to the spec."""
    target = found.target
    title = file.rpartition("/")[2]
    record = (f"  {found.record}:", [f"a record, of which {title} has {found.rows:,}"])
    columns = ("    columns:", ["apps give each column by its name; what it needs is learnt in training"])
    numbers, network = list[tuple[str, Sequence[str]]](), found.network
    if network.pieces:
        shared = {"clip": "smooth", "embed": {"pieces": network.pieces}}
        note = f"far ones are drawn in; beside each, {network.pieces} slopes between its quantiles"
        numbers = [(f"    numbers: {literal(shared)}", [note])]
    variables = {"units": network.units, "rate": network.dropout, "l2": network.penalty} if network.forms else {}
    lines = [
        f"# yaml-language-server: $schema={schema}",
        "graphspec: 1",
        f"name: {name}",
        *text_lines("description", f"{target.name}, from the columns of {title}.".replace("${", "$${")),
        *([f"vars: {literal(variables)}"] if variables else []),
        "",
        "inputs:",
        *_commented([record, *numbers, columns]),
        *_commented([_column(column) for column in found.columns]),
        "",
        "layers:",
        *_layers(found),
        "",
        "outputs:",
        *_head(found),
        "",
        *_training(found),
        "",
        *_data(found, file),
    ]
    return "\n".join(lines) + "\n"


def _commented(lines: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Yield lines with their notes as comments: behind the line, aligned, or above it if there is no room."""
    texts = [(text, "; ".join(notes)) for text, notes in lines]
    column = max((len(text) for text, note in texts if note and len(text) <= _COMMENT_AT), default=0) + 2
    for text, note in texts:
        comment = "".join(c if c.isprintable() else "�" for c in note)
        if not note:
            yield text
        elif len(text) <= _COMMENT_AT and column + 2 + len(comment) <= WIDTH:
            yield f"{text:<{column}}# {comment}"
        else:
            indent = " " * (len(text) - len(text.lstrip())) + "# "
            yield from textwrap.wrap(comment, WIDTH, initial_indent=indent, subsequent_indent=indent)
            yield text


def _column(column: Column) -> tuple[str, Sequence[str]]:
    named = {} if column.key == column.name else {"column": column.name}
    kind = column.type or "number"
    value = kind if not (named or column.arguments) else {"type": kind, **named, **column.arguments}
    return f"      {'# ' if column.left_out else ''}{literal(column.key)}: {literal(value)}", column.notes


def _layers(found: Suggestion) -> Iterator[str]:
    """Yield a wide and deep network: hidden layers, and the record once more beside the last one."""
    target, network, record = found.target, found.network, found.record
    taken = {record, target.key, *(column.key for column in found.columns)}
    rows: list[tuple[str, Sequence[str]]] = []

    def add(stem: str, kind: str, arguments: Mapping[str, Any], *notes: str) -> str:
        name = next(n for n in (stem, *(f"{stem}_{k}" for k in range(3, len(taken) + 4))) if n not in taken)
        taken.add(name)
        rows.append((f"  - {flow({'name': name, 'type': kind, **arguments})}", notes))
        return name

    start, own = record, "Dense"
    if network.members > 1:
        note = f"{network.members} networks that share their hidden layers: the answer is their mean"
        start, own = add("members", "Members", {"members": network.members}, note), "MemberDense"
    variables = bool(network.forms)
    for k in range(1, network.hidden + 1):
        end = f"_{k}" if network.hidden > 1 else ""
        penalty: dict[str, Any] = {}
        if network.penalty:
            penalty = {"kernel_regularizer": {"type": "L2", "l2": "${l2}" if variables else network.penalty}}
        units = "${units}" if variables else network.units
        add(f"hidden{end}", "Dense", {"units": units, "activation": "relu", **penalty})
        last = add(f"dropped{end}", "Dropout", {"rate": "${rate}" if variables else network.dropout})
    note = f"`{start}` once more: many answers are nearly a sum of the columns"
    add("both", "Concatenate", {"inputs": [start, last]}, note)
    arguments: dict[str, Any] = {"units": target.units}
    notes = ["a unit for each class"] if target.task == "multiclass" else []
    if target.task != "regression":
        arguments["activation"] = "sigmoid" if target.task == "binary" else "softmax"
    taken.discard(target.key)
    add(target.key, own, arguments, *notes)
    return _commented(rows)


def _head(found: Suggestion) -> Iterator[str]:
    target, head = found.target, dict[str, Any](loss=_LOSSES[found.target.task])
    if target.task == "regression":
        interval = {"interval": 0.9} if found.rows >= 60 else {}  # which needs nine held-out rows
        head |= {"scale": "standard", "clip": True, **interval, "metrics": ["r2_score", "mae"]}
        notes = ["trained on a standard scale; answers are in the column's unit, within the range of the rows"]
    else:
        head["metrics"] = ["accuracy", "auc"] if target.task == "binary" else ["accuracy"]
        notes = ["labels are learnt from the column"] if target.has_texts else []
        head |= {"labels": [str(k) for k in range(target.classes)]} if target.classes else {}
    head |= {"threshold": "f1"} if target.rare else {}
    head |= {"members": "mean"} if found.network.members > 1 else {}
    head |= {"description": f"the probability of {target.probability}"} if target.probability else {}
    return _commented([(f"  {literal(target.key)}: {literal(head)}", [*notes, *target.notes])])


def _training(found: Suggestion) -> Iterator[str]:
    network = found.network
    rate: Any = network.learning_rate
    if network.steps:
        rate = {"type": "CosineDecay", "initial_learning_rate": rate, "decay_steps": network.steps}
    optimizer = f"  optimizer: {literal({'type': 'Adam', 'learning_rate': rate})}"
    epochs = "at most: training ends when validation gets no better"
    yield "training:"
    if network.folds:
        note = f"{network.folds} copies, each trained without one part of the rows: the answer is their mean"
        yield from _commented([(f"  folds: {network.folds}", [note])])
    if network.seeds:
        yield from _commented([(f"  seeds: {network.seeds}", ["copies: the answer is their mean"])])
    if network.forms:
        note = "each is trained; the one whose answers for held-out rows are best is kept"
        forms = [(f"    {name}: {literal(dict(sets))}", [why]) for name, (sets, why) in network.forms.items()]
        yield from _commented([("  forms:", [note])])
        yield from _commented(forms)
    yield from _commented([(optimizer, [f"to 0 in {network.epochs} epochs"] if network.steps else [])])
    yield from _commented([(f"  epochs: {network.epochs}", [epochs])])
    yield f"  batch_size: {network.batch_size}"
    if network.folds or network.seeds:
        yield from _commented([("  workers: auto", ["copies are trained at the same time, on all cores"])])
    yield "  seed: 1"
    stop = {"monitor": "val_loss", "patience": network.patience, "restore_best_weights": True}
    yield f"  callbacks: [{literal({'type': 'EarlyStopping', **stop})}]"


def form_lines(form: TextForm, why: Mapping[str, str]) -> list[str]:
    """Return the lines below a source of rows that say how its text is read, with examples (by key) as comments."""
    keys = {f.name: getattr(form, f.name) for f in fields(form) if getattr(form, f.name) != f.default}
    lines = [(f"    {key}: {literal(value)}", [why.get(key, "")]) for key, value in keys.items()]
    return list(_commented(lines))


def _data(found: Suggestion, file: str) -> Iterator[str]:
    target = found.target
    yield "data:"
    yield "  train:"
    yield f"    file: {literal(file)}"
    yield from found.form
    if found.group is not None:
        note = "its rows validate together: an app asks about others"
        yield from _commented([(f"    group: {literal(found.group)}", [note])])
    if target.key != target.name:
        yield f"    targets: {literal({target.key: target.name})}"
    if target.drop_missing:
        note = f"{target.missing:,} {'row has' if target.missing == 1 else 'rows have'} no target"
        yield from _commented([("    drop_missing_targets: true", [note])])
    if not found.network.folds:
        split: dict[str, Any] = {"split": found.network.held_out if found.time is None else {"last": 0.2}}
        if target.task != "regression" and found.time is None:
            split["stratify"] = target.key
        why = (
            [] if found.time is None else [f"the rows are in the order of '{found.time}': an app asks about later ones"]
        )
        yield from _commented([(f"  validation: {literal(split)}", why)])
