"""The text of new specs: templates, filled with what a folder holds, and decisions about a table, as YAML."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from graphspec.base.errors import UsageError
from graphspec.data.folders import Folder, sizes_text
from graphspec.data.profile import profile_files
from graphspec.data.suggest import Column, Suggestion
from graphspec.data.targets import small_classes
from graphspec.language.declarations import TextForm
from graphspec.language.write import WIDTH, flow, literal, text_lines


@dataclass(frozen=True)
class Filled:
    """A spec from a template."""

    text: str  # the spec, without its name and schema
    found: str  # what was looked at, as the rest of a sentence
    warnings: tuple[str, ...] = ()  # what the reader should know


Changes: TypeAlias = "dict[str | re.Pattern[str], str]"  # of a template: texts or patterns, and what stands there
Change = Callable[[str, Folder, Counter[tuple[int, int]]], str]
_FEW = 500  # texts below which an epoch has few steps, and a tenth of them says little
_FOR_FEW: Changes = {
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
    test = f"{file.rpartition('/')[0]}/test".removeprefix("/")
    has_test = path.name != "test" and (path.parent / "test").is_dir()
    changes: Changes = {
        re.compile(r"(?<=name: kind, type: Dense, units: )\d+"): f"{len(classes)}",
        line("  train: "): f"  train: {{{kind}: {literal(file)}, labels: folder}}\n",
        line("  # test: "): f"  test: {{{kind}: {literal(test)}, labels: folder}}\n" if has_test else "",
    }
    few = kind == "texts" and len(files.paths) < _FEW
    text = changed(template.replace("opinion", "kind"), changes | (_FOR_FEW if few else {}))  # folders are of any kind
    counts = Counter(dict(profile_files(files).sizes)) if kind == "images" else Counter()
    text, sizes = text if change is None else change(text, files, counts), sizes_text(counts)
    found = f"{len(files.paths):,} {noun}s of {len(classes):,} classes" + (f", in pixels: {sizes}" if sizes else "")
    return Filled(text, found, tuple(filter(None, [small_classes(classes, noun)])))


def changed(template: str, changes: Changes) -> str:
    """Return a template with the first place of each text or pattern replaced; it must have all of them."""
    for old, new in changes.items():
        pattern = re.compile(re.escape(old)) if isinstance(old, str) else old
        template, found = pattern.subn(new.replace("\\", r"\\"), template, count=1)
        if not found:
            raise AssertionError(f"the template has no {old!r}")
    return template


def line(start: str) -> re.Pattern[str]:
    """Return the pattern of the line that begins so, to its end."""
    return re.compile(rf"(?m)^{re.escape(start)}.*\n")


def section(start: str) -> re.Pattern[str]:
    """Return the pattern of the lines from one that begins so to the next empty one, with it."""
    return re.compile(rf"(?ms)^{re.escape(start)}.*?\n\n")


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
        *commented([record, *numbers, columns]),
        *commented([column_line(column) for column in found.columns]),
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


def commented(lines: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
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


def column_line(column: Column) -> tuple[str, Sequence[str]]:
    """Return the line of a column of a record, and its notes."""
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
    arguments: dict[str, Any] = {"units": target.units}
    notes = ["a unit for each class"] if target.task == "multiclass" else []
    if network.hidden:
        note = f"`{start}` once more: many answers are nearly a sum of the columns"
        add("both", "Concatenate", {"inputs": [start, last]}, note)
    else:
        arguments["kernel_regularizer"] = {"type": "L2", "l2": network.penalty}
        notes.append("the sum of a weight for each word or run in the text")
    if target.task != "regression":
        arguments["activation"] = "sigmoid" if target.task == "binary" else "softmax"
    taken.discard(target.key)
    add(target.key, own, arguments, *notes)
    return commented(rows)


def _head(found: Suggestion) -> Iterator[str]:
    target, head = found.target, dict[str, Any](loss=_LOSSES[found.target.task])
    if target.task == "regression":
        interval = {"interval": 0.9} if found.rows >= 60 else {}  # which needs nine held-out rows
        head |= {"scale": "standard", "clip": True, **interval, "metrics": ["r2_score", "mae"]}
        notes = ["trained on a standard scale; answers are in the column's unit, within the range of the rows"]
    else:
        head["metrics"] = ["accuracy", "auc"] if target.task == "binary" else ["accuracy"]
        notes = ["labels are learnt from the column"] if target.has_texts else []
        head |= {"labels": [*target.labels]} if target.labels else {}
    head |= {"threshold": "f1"} if target.rare else {}
    head |= {"members": "mean"} if found.network.members > 1 else {}
    head |= {"description": f"the probability of {target.probability}"} if target.probability else {}
    return commented([(f"  {literal(target.key)}: {literal(head)}", [*notes, *target.notes])])


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
        yield from commented([(f"  folds: {network.folds}", [note])])
    if network.seeds:
        yield from commented([(f"  seeds: {network.seeds}", ["copies: the answer is their mean"])])
    if network.forms:
        note = "each is trained; the one whose answers for held-out rows are best is kept"
        forms = [(f"    {name}: {literal(dict(sets))}", [why]) for name, (sets, why) in network.forms.items()]
        yield from commented([("  forms:", [note])])
        yield from commented(forms)
    yield from commented([(optimizer, [f"to 0 in {network.epochs} epochs"] if network.steps else [])])
    yield from commented([(f"  epochs: {network.epochs}", [epochs])])
    yield f"  batch_size: {network.batch_size}"
    if network.folds or network.seeds:
        yield from commented([("  workers: auto", ["copies are trained at the same time, on all cores"])])
    yield "  seed: 1"
    stop = {"monitor": "val_loss", "patience": network.patience, "restore_best_weights": True}
    yield f"  callbacks: [{literal({'type': 'EarlyStopping', **stop})}]"


def form_lines(form: TextForm, why: Mapping[str, str]) -> list[str]:
    """Return the lines below a source of rows that say how its text is read, with examples (by key) as comments."""
    keys = {f.name: getattr(form, f.name) for f in fields(form) if getattr(form, f.name) != f.default}
    return list(commented([(f"    {key}: {literal(value)}", [why.get(key, "")]) for key, value in keys.items()]))


def _data(found: Suggestion, file: str) -> Iterator[str]:
    target = found.target
    yield "data:"
    yield "  train:"
    yield f"    file: {literal(file)}"
    yield from found.form
    if found.group is not None:
        note = "its rows validate together: an app asks about others"
        yield from commented([(f"    group: {literal(found.group)}", [note])])
    if target.key != target.name:
        yield f"    targets: {literal({target.key: target.name})}"
    if target.missing:
        note = f"{target.missing:,} {'row has' if target.missing == 1 else 'rows have'} no target"
        yield from commented([("    drop_missing_targets: true", [note])])
    if not found.network.folds:
        split: dict[str, Any] = {"split": found.network.held_out if found.time is None else {"last": 0.2}}
        if target.task != "regression" and found.time is None:
            split["stratify"] = target.key
        order = f"the rows are in the order of '{found.time}': an app asks about later ones"
        yield from commented([(f"  validation: {literal(split)}", [] if found.time is None else [order])])
