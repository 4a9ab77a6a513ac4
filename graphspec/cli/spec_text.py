"""The text of a new spec from decisions about a table, as YAML with comments."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from graphspec.language.write import WIDTH, literal, number, text_lines

if TYPE_CHECKING:
    from graphspec.data.suggest import Column, Suggestion, Target
    from graphspec.language.declarations import TextForm

_COMMENT_AT = 84  # comments begin at most here, else above their line
_LOSSES = {"binary": "binary_crossentropy", "multiclass": "sparse_categorical_crossentropy", "regression": "mse"}


def spec_text(found: Suggestion, name: str, file: str, schema: str) -> str:
    """Return the text of a spec with this name, as YAML, for a table; its path and the schema's are relative to the spec."""
    target = found.target
    title = file.rpartition("/")[2]
    record = (f"  {found.record}:", [f"a record, of which {title} has {found.rows:,}"], False)
    columns = ("    columns:", ["apps give each column by its name; what it needs is learnt in training"], False)
    lines = [
        f"# yaml-language-server: $schema={schema}",
        "graphspec: 1",
        f"name: {name}",
        *text_lines("description", f"{target.name}, from the columns of {title}.".replace("${", "$${")),
        "",
        "inputs:",
        *_commented([record, columns]),
        *_commented([_column(column) for column in found.columns]),
        "",
        "layers:",
        *_layers(found),
        "",
        "outputs:",
        *_head(target),
        "",
        *_training(found),
        "",
        *_data(found, file),
    ]
    return "\n".join(lines) + "\n"


def _commented(lines: Sequence[tuple[str, Sequence[str], bool]]) -> Iterator[str]:
    """Yield lines with their notes as comments: behind the line, aligned, or above it if there is no room.

    A line that is left out becomes a comment itself.
    """
    texts = [(text if not out else re.sub(r"^( *)", r"\1# ", text), "; ".join(notes)) for text, notes, out in lines]
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


def _column(column: Column) -> tuple[str, Sequence[str], bool]:
    named = {} if column.key == column.name else {"column": column.name}
    kind = column.type or "number"
    value = kind if not (named or column.arguments) else {"type": kind, **named, **column.arguments}
    return f"      {literal(column.key)}: {literal(value)}", column.notes, column.left_out


def _layers(found: Suggestion) -> Iterator[str]:
    """Yield a wide and deep network: hidden layers, and the record once more beside the last one."""
    target, network, record = found.target, found.network, found.record
    taken = {record, target.key, *(column.key for column in found.columns)}
    rows: list[tuple[str, Sequence[str], bool]] = []

    def add(stem: str, kind: str, arguments: Mapping[str, Any], *notes: str) -> str:
        name = next(n for n in (stem, *(f"{stem}_layer{k or ''}" for k in range(len(taken) + 1))) if n not in taken)
        taken.add(name)
        rows.append((f"  - {literal({'name': name, 'type': kind, **arguments})}", notes, False))
        return name

    for k, units in enumerate(network.units, 1):
        end = f"_{k}" if len(network.units) > 1 else ""
        first = (f"takes `{record}`: all columns, as one vector",) if k == 1 else ()
        penalty = {"kernel_regularizer": {"type": "L2", "l2": network.penalty}} if network.penalty else {}
        add(f"hidden{end}", "Dense", {"units": units, "activation": "relu", **penalty}, *first)
        last = add(f"dropped{end}", "Dropout", {"rate": network.dropout})
    note = f"`{record}` once more: many answers are nearly a sum of the columns"
    add("both", "Concatenate", {"inputs": [record, last]}, note)
    arguments: dict[str, Any] = {"units": target.units}
    notes = ["a unit for each class"] if target.task == "multiclass" else []
    if target.task != "regression":
        arguments["activation"] = "sigmoid" if target.task == "binary" else "softmax"
    if network.decays:
        arguments["kernel_initializer"] = "zeros"
        notes.append("begins with the same answer for all rows")
    taken.discard(target.key)
    add(target.key, "Dense", arguments, *notes)
    return _commented(rows)


def _head(target: Target) -> Iterator[str]:
    head: dict[str, Any] = {"loss": _LOSSES[target.task]}
    if target.task == "regression":
        head |= {"scale": "standard", "metrics": ["mae"]}
        notes = ["trained on a standard scale; answers and metrics are in the column's own unit"]
    else:
        head["metrics"] = ["accuracy", "auc"] if target.task == "binary" else ["accuracy"]
        notes = ["labels are learnt from the column"] if target.has_texts else []
    return _commented([(f"  {literal(target.key)}: {literal(head)}", [*notes, *target.notes], False)])


def _training(found: Suggestion) -> Iterator[str]:
    network = found.network
    yield "training:"
    yield f"  optimizer: {{type: Adam, learning_rate: {number(network.learning_rate)}}}"
    note = "at most: training ends when validation gets no better"
    yield from _commented([(f"  epochs: {network.epochs}", [note], False)])
    yield f"  batch_size: {network.batch_size}"
    yield "  seed: 1"
    yield "  callbacks:"
    if network.decays:
        slower = {"monitor": "val_loss", "factor": 0.3, "patience": max(network.patience // 3, 1)}
        yield f"    - {literal({'type': 'ReduceLROnPlateau', **slower})}"
    stop = {"monitor": "val_loss", "patience": network.patience, "restore_best_weights": True}
    yield f"    - {literal({'type': 'EarlyStopping', **stop})}"


def form_lines(form: TextForm, why: Mapping[str, str]) -> list[str]:
    """Return the lines below a source of rows that say how its text is read, with examples (by key) as comments."""
    keys = {f.name: getattr(form, f.name) for f in fields(form) if getattr(form, f.name) != f.default}
    lines = [(f"    {key}: {literal(value)}", [why.get(key, "")], False) for key, value in keys.items()]
    return list(_commented(lines))


def _data(found: Suggestion, file: str) -> Iterator[str]:
    target = found.target
    yield "data:"
    yield "  train:"
    yield f"    file: {literal(file)}"
    yield from found.form
    if target.key != target.name:
        yield f"    targets: {literal({target.key: target.name})}"
    if target.drop_missing:
        note = f"{target.missing:,} {'row has' if target.missing == 1 else 'rows have'} no target"
        yield from _commented([("    drop_missing_targets: true", [note], False)])
    split: dict[str, Any] = {"split": found.network.held_out}
    if target.task != "regression":
        split["stratify"] = target.key
    yield f"  validation: {literal(split)}"
