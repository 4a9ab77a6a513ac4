"""Decide how a table becomes a spec: the type of every column, the kind of task, and a network of a fitting size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from graphspec.base.errors import did_you_mean
from graphspec.data.column_choice import Column, choose
from graphspec.data.labels import small_classes
from graphspec.data.profile import ColumnProfile, Profile

Task = Literal["binary", "multiclass", "regression"]

_NUMBERS = 20  # a target with more different whole numbers is a number
_MOST_CLASSES = 1000
_MOST_COLUMNS = 2000
_STEPS = 30_000  # of the optimizer, at most about this many
_UNITS = 200  # classes that do not count from 0 must be below this


class CannotSuggest(Exception):  # noqa: N818
    """No spec fits the table; the text says why."""


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        name: in the file.
        key: the head's name.
        units: of the last layer.
        has_texts: whether its values are texts, from which labels are learnt.
        missing: the number of rows without a target, which are dropped.
    """

    name: str
    key: str
    task: Task
    units: int
    has_texts: bool
    missing: int
    notes: tuple[str, ...] = ()

    @property
    def drop_missing(self) -> bool:
        """Whether rows are dropped."""
        return self.missing > 0


@dataclass(frozen=True)
class Network:
    """Sizes of the network and of its training.

    Attributes:
        units: of each hidden layer.
        dropout: the rate after each hidden layer.
        penalty: the factor of the L2 penalty on the kernels of hidden layers; 0 for none.
        decays: whether the last layer begins with zeros, and the learning rate falls when validation gets no better.
        held_out: the fraction of the rows that validate.
    """

    units: tuple[int, ...]
    dropout: float
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    penalty: float = 0.0
    decays: bool = False
    held_out: float = 0.15


@dataclass(frozen=True)
class Suggestion:
    """All decisions.

    Attributes:
        record: the name of the record.
        warnings: what should be read before training.
        form: lines of the spec that say how the table's text is read.
    """

    record: str
    columns: tuple[Column, ...]
    target: Target
    network: Network
    rows: int
    warnings: tuple[str, ...] = ()
    form: Sequence[str] = ()


def task_of(profile: Profile, target: str, task: Task | None = None) -> Task:
    """Return the kind of task that fits a target; ``task`` is checked.

    Raises:
        CannotSuggest: there is no such column, no task fits its values, or there are more columns than a spec names.
    """
    if len(profile.columns) > _MOST_COLUMNS:
        raise CannotSuggest(
            f"has {len(profile.columns):,} columns, more than the {_MOST_COLUMNS:,} that a spec should name: write them as "
            f"one array to an .npz file, and declare an input with `shape: [{len(profile.columns) - 1}]`"
        )
    if target not in profile.columns:
        names = list(profile.columns)
        few = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise CannotSuggest(f"has no column '{target}': {did_you_mean(target, names) or f'it has {few}'}")
    column = profile.columns[target]
    if column.distinct < 2:
        raise CannotSuggest(
            f"has {'one value' if column.distinct else 'no value'} in column '{target}': nothing to learn"
        )
    if column.kind not in ("integer", "float", "text", "bool"):
        raise CannotSuggest(f"has a column '{target}' of kind {column.kind}: a target is a number or a class")
    count = _classes(column)
    if task is None:
        if column.kind == "float" or (column.kind == "integer" and column.distinct > _NUMBERS):
            task = "regression"
        else:
            task = "binary" if count == 2 and _from_0(column) else "multiclass"
    if task == "regression":
        if not column.is_number:
            raise CannotSuggest(f"has texts in column '{target}', not numbers: choose --kind multiclass")
    elif task == "binary" and count != 2:
        raise CannotSuggest(f"has {count:,} different values in column '{target}', not two")
    elif count > min(_MOST_CLASSES, max(column.present // 2, 2)):
        raise CannotSuggest(f"has {count:,} different values in column '{target}', too many for classes")
    elif not _from_0(column) and (task == "binary" or not _fit_units(column)):
        few = " and ".join(sorted(value for value, _ in column.frequent[:2]))
        wanted = "0 and 1" if task == "binary" else "whole numbers from 0 on"
        raise CannotSuggest(f"has classes such as {few} in column '{target}': write them as texts, or as {wanted}")
    return task


def _classes(column: ColumnProfile) -> int:
    """Return the number of classes: among texts, one like ``NA`` is a class."""
    return column.distinct + (0 if column.is_number else len(column.missing_texts))


def _from_0(column: ColumnProfile) -> bool:
    """Return whether classes are texts, or numbers that count from 0."""
    numbers = column.numbers
    whole = column.kind == "integer" and numbers is not None
    return not column.is_number or (whole and numbers.low == 0 and numbers.high == column.distinct - 1)  # type: ignore[union-attr]


def _fit_units(column: ColumnProfile) -> bool:
    """Return whether every class can have the unit with its number, although some units then have no class."""
    numbers = column.numbers
    return column.kind == "integer" and numbers is not None and numbers.low >= 0 and numbers.high < _UNITS


def suggest(profile: Profile, target: str, task: Task, leaks: Mapping[str, str]) -> Suggestion:
    """Decide how a table becomes a spec.

    Args:
        task: from :func:`task_of`.
        leaks: from :func:`graphspec.data.leaks.leaks`.

    Raises:
        CannotSuggest: no column is left to learn from.
    """
    taken: set[str] = set()
    head = free_name(target, taken, "target")
    columns = tuple(
        choose(column, free_name(name, taken, "column"), profile, leaks.get(name))
        for name, column in profile.columns.items()
        if name != target
    )
    used = [column for column in columns if not column.left_out]
    if not used:
        raise CannotSuggest("has no column from which the target can be learnt")
    record = free_name("row", taken, "row")
    found = _target(profile.columns[target], head, task)
    rows = profile.columns[target].present if found.drop_missing else profile.rows
    network = _network(rows, sum(c.width for c in used), task, any(c.type == "text" for c in used))
    warnings = tuple(f"column '{name}' {why}; it is left out" for name, why in leaks.items())
    if task != "regression" and profile.columns[target].listed:
        small = small_classes(dict(profile.columns[target].frequent))
        warnings += () if small is None else (f"column '{target}': {small}",)
    return Suggestion(record, columns, found, network, profile.rows, warnings)


def free_name(text: str, taken: set[str], otherwise: str) -> str:
    """Return a valid name for ``text`` that is not in ``taken``, and add it there."""
    name = re.sub(r"[^\w.-]+", "_", text)
    name = name if name == text and re.search(r"\w", name) else name.strip("_.-")[:100] or otherwise
    name = name[:200]
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    taken.add(free)
    return free


# The target and the network


def _target(column: ColumnProfile, key: str, task: Task) -> Target:
    missing = column.absent if column.is_number else column.missing
    notes = []
    units = 1
    if task == "multiclass":
        units = _classes(column)
        if not _from_0(column) and column.numbers is not None:
            units = int(column.numbers.high) + 1
            notes.append("a number is the index of its unit: some units have no class")
        if column.kind == "integer" and column.distinct <= _NUMBERS and not column.unique:
            notes.append(f"{column.distinct} whole numbers: classes; with --kind regression, an amount")
    if task != "regression" and column.missing_texts and not column.is_number:
        texts = ", ".join(f"'{text}'" for text in column.missing_texts)
        notes.append(f"{texts} is a class too: rows whose cell is empty have no target")
    if task != "regression" and column.frequent:
        rarest = column.frequent[-1]
        if column.listed and column.frequent[0][1] > 10 * rarest[1]:
            notes.append(
                f"uneven: '{column.frequent[0][0]}' {column.frequent[0][1]:,} rows, '{rarest[0]}' {rarest[1]:,}"
            )
    return Target(column.name, key, task, units, column.kind == "text", missing, tuple(notes))


def _network(rows: int, width: int, task: Task, has_text: bool) -> Network:
    """Return sizes that do well on a table with this many rows and numbers in a row, without being tuned to it."""
    batch = 32 if rows < 20_000 else 64 if rows < 50_000 else 128 if rows < 200_000 else 256
    epochs = next((e for e in (200, 100, 50, 30, 20) if e * rows <= _STEPS * batch), 10)
    patience = max(epochs // 10, 3)
    if has_text:
        return Network((32,), 0.5, 0.001, batch, min(epochs, 30), min(patience, 3))
    units = 32 if rows < 1000 else 64 if rows < 5000 else 128
    if rows < 5000:  # hidden layers must not learn by heart what is nearly a sum of the columns
        penalty = 0.03 if rows < 1000 else 0.01
        return Network((units, units), 0.5, 0.003, batch, epochs, patience, penalty, held_out=0.1)
    dropout, penalty = 0.1 if task == "regression" else 0.2, 0.005 if rows < 20_000 else 0.002
    return Network((units, units), dropout, 0.001, batch, epochs, patience, penalty, decays=True)
