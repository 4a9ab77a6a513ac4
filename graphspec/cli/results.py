"""What a terminal shows of results: values over the epochs, heads, matrices, and simple rules beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.document import Block, Column, Spark, Table, Text
from graphspec.base.terminal import does_fit, lines_of, table_lines
from graphspec.base.text import count, number, paragraph, scale_of, shell, terminal_width
from graphspec.cli.console import complain, out, out_blocks, out_wrapped
from graphspec.engine.runtime.running_metrics import ClassCounts, NumberErrors, ResultTable, RunningMetrics

if TYPE_CHECKING:
    from graphspec.api.model import Model
    from graphspec.data.batches import Dataset
    from graphspec.show.report.findings import Findings

# The losses and metrics of a training over its epochs, a line each: a sparkline, the first and the last value.
_FEWEST = 5  # epochs; their lines show fewer
_MOST = 6  # lines
_PIPED = 100  # columns of a line in a file or a pipe
_VAL = "val_"

History = Mapping[str, Sequence[float]]


def curve_lines(history: History, width: int | None, *, has_blocks: bool) -> list[str]:
    """Return a line for each value with a header: training and validation beside each other, or below each other.

    Both have the same scale, a logarithmic one for losses and rates that span decades. At most six values are shown. There
    are no lines for a training of fewer than five epochs, nor for a terminal that has no blocks; a file has no ``width``.
    """
    epochs = max(map(len, history.values()), default=0)
    if not has_blocks or epochs < _FEWEST:
        return []
    room = width or _PIPED
    names = list(dict.fromkeys(key.removeprefix(_VAL) for key in history))
    shown = names[:_MOST]
    lines = []
    if any(key.startswith(_VAL) for key in history):
        label = Column(cut="middle", least=24, most=24)
        both = [Column("training"), Column(), Column("validation"), Column()]
        rows = [(name, *_cells(history, name, name), *_cells(history, name, _VAL + name)) for name in shown]
        lines = table_lines(Table([label, *both], rows), room)
        if not does_fit(lines, room):
            shown, lines = names[: _MOST // 2], []
    if not lines:
        keys = [(name, key) for name in shown for key in (name, _VAL + name) if key in history]
        below = [(key, *_cells(history, name, key)) for name, key in keys]
        lines = table_lines(Table([Column(cut="middle", least=4, most=24), Column(), Column()], below), room)
    if len(names) > len(shown):
        lines.append(f"… and {count(len(names) - len(shown), 'more value')} in history.csv")
    return lines


def _cells(history: History, name: str, key: str) -> tuple[Spark | str, str]:
    """Return a value over the epochs, on the scale of both parts, and its first and last value."""
    values = history.get(key, ())
    if not values:
        return "", ""
    both = (*history.get(name, ()), *history.get(_VAL + name, ()))
    low, high, log = scale_of(both, may_be_log=name == "loss" or name.endswith(("_loss", "learning_rate")))
    return Spark(values, (low, high), log), f"{number(values[0])} → {number(values[-1])}"


# What ``evaluate`` shows of each head: precision, recall and F1 of every class, or the errors of numbers.
_ALL = 20  # classes of which a terminal shows every one
_WORST = 12  # of more, so many are shown
_LONGEST = 24  # columns of a class


def head_tables(found: Sequence[ClassCounts | NumberErrors], width: int | None) -> list[list[Block]]:
    """Return what is shown of heads: a table for each head of classes, all of them without a ``width``; one for numbers."""
    tables = [class_table(each, whole=width is None) for each in found if isinstance(each, ClassCounts)]
    numbers = [each for each in found if isinstance(each, NumberErrors)]
    forms = {"mae": ".6g", "rmse": ".6g", "r2": ".4f"}
    # in the units of the targets, without what every head has among its metrics
    if shown := [name for name in forms if not all(name in each.known for each in numbers)]:
        columns = [Column(cut="middle"), *(Column(name.upper(), "number") for name in shown)]
        rows = [[each.head, *(f"{getattr(each, name):{forms[name]}}" for name in shown)] for each in numbers]
        tables.append([Table(columns, rows)])
    return tables


def class_table(found: ClassCounts, *, whole: bool) -> list[Block]:
    """Return a row for each class, and their mean; of many classes, unless ``whole``, those with the lowest F1."""
    precision, recall = _ratio(found.right, found.answered), _ratio(found.right, found.true)
    f1 = _ratio(2 * found.right, found.answered + found.true)
    order = list(range(len(found.labels)))
    is_cut = not whole and len(order) > _ALL
    if is_cut:
        seen = np.where(np.isnan(f1), np.inf, f1)
        order = sorted(order, key=lambda k: (seen[k], -found.true[k], k))[:_WORST]
    rows = []
    for k in order:
        numbers = (_three(values[k]) for values in (precision, recall, f1))
        rows.append([" ".join(found.labels[k].split()), f"{found.true[k]:,}", *numbers, _taken_for(found, k)])
    known = [values[~np.isnan(values)] for values in (precision, recall, f1)]
    mean = ["mean of classes", "", *(_three(float(v.mean()) if v.size else float("nan")) for v in known), ""]
    columns = [Column(found.head, cut="middle", most=_LONGEST)]
    columns += [Column(name, "number") for name in ("rows", "precision", "recall", "F1")]
    taken = "taken for" if any(row[-1] for row in rows) else ""
    columns.append(Column(taken, cut="middle", least=12, most=_LONGEST + 6, drop=1))
    more = f"… and {count(len(found.labels) - _WORST, 'class', 'classes')} with a higher F1"
    note = [Text(f"{more}; a file or a pipe gets all")] if is_cut else []
    return [Table(columns, [*rows, mean]), *note]


def _ratio(part: Array, whole: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Array = np.where(whole > 0, part / whole, np.nan)
    return ratio


def _three(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _taken_for(found: ClassCounts, k: int) -> str:
    """Return the wrong class that is answered most often for a class, and how often."""
    wrong = [] if found.pairs is None else [0 if other == k else n for other, n in enumerate(found.pairs[k].tolist())]
    most = max(wrong, default=0)
    return f"{most:,} {' '.join(found.labels[wrong.index(most)].split())}" if most else ""


# A confusion matrix as text: a table where it fits, with numbered columns or as a list of classes where it does not.
_LISTED = 12  # classes that a list shows
_LISTED_LABEL = 24  # columns of a label in a list


def matrix_lines(
    table: ResultTable, width: int | None, *, has_ratios: bool = True, may_be_list: bool = True
) -> list[str]:
    """Return the lines of a matrix, of the whole one without a ``width``.

    ``has_ratios``: whether the recall and the precision of every class are on the right; ``may_be_list``: whether a
    matrix that is too wide becomes a list of classes; else there are no lines for it.
    """
    title = paragraph(f"{table.key}: a row for each true class, a column for each answer", width)
    for blocks in _tables(table, has_ratios=has_ratios):
        lines = list(lines_of(blocks, width))
        if does_fit(lines, width):
            return [*title, *lines]
    return list(lines_of(_listed(table), width or 80)) if may_be_list else []


def _tables(table: ResultTable, *, has_ratios: bool) -> Iterator[list[Block]]:
    """Yield the whole matrix, each time narrower: with labels above it, with numbers, with a legend."""
    labels = [" ".join(label.split()) for label in table.labels]
    numbers = [str(k + 1) for k in range(len(labels))]
    ratios = [("recall", _ratios(table.counts, 1)), ("precision", _ratios(table.counts, 0))] if has_ratios else []
    counts = [[str(n) for n in row] for row in table.counts]

    def matrix(first: Sequence[Sequence[str]], columns: Sequence[Column], heads: Sequence[str], gap: int) -> Table:
        added = [Column(f"{' ' * (2 - gap)}{name}", "number") for name, _ in ratios]
        rows = [[*first[k], *counts[k], *(values[k] for _, values in ratios)] for k in range(len(labels))]
        return Table([*columns, *(Column(head, "number") for head in heads), *added], rows, gap=gap)

    yield [matrix([[label] for label in labels], [Column()], labels, 2)]
    pairs = list(zip(numbers, labels, strict=True))
    size = len(numbers[-1])
    both = [[f"{number:>{size}} {label}"] for number, label in pairs]
    for least, gap in ((13, 2), (8, 1)):
        yield [matrix(both, [Column(cut="middle", least=least + size, most=21 + size)], numbers, gap)]
    legend = Text(", ".join(f"{number} = {label}" for number, label in pairs))
    yield [matrix([[number] for number in numbers], [Column(kind="number")], numbers, 1), legend]


def _ratios(counts: Array, axis: int) -> list[str]:
    """Return the recall (axis 1) or the precision (axis 0) of each class, ``-`` without rows."""
    return list(map(_three, _ratio(counts.diagonal(), counts.sum(axis))))


def _listed(table: ResultTable) -> Iterator[Block]:
    """Yield the classes with the most wrong answers."""
    counts, labels = table.counts, [" ".join(label.split()) for label in table.labels]
    right, true = counts.diagonal(), counts.sum(1)
    yield Text(f"{table.key}: {len(labels):,} classes, {int(right.sum()):,} of {count(int(true.sum()), 'row')} right")
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = sorted(range(len(labels)), key=lambda k: (right[k] - true[k], k))
    recalls, precisions = _ratios(counts, 1), _ratios(counts, 0)
    rows = []
    for k in order[:_LISTED]:
        other = int(wrong[k].argmax())
        taken = f"{wrong[k][other]} {labels[other]}" if wrong[k][other] else ""
        rows.append((labels[k], str(true[k]), str(true[k] - right[k]), recalls[k], precisions[k], taken))
    numbers = [Column(name, "number") for name in ("rows", "wrong", "recall", "precision")]
    label = Column("class", cut="middle", least=6, most=_LISTED_LABEL)
    yield Table([label, *numbers, Column("taken for", cut="middle", least=9, most=_LISTED_LABEL + 6)], rows)
    if len(order) > _LISTED:
        more = f"… and {count(len(order) - _LISTED, 'class', 'classes')} with fewer wrong answers"
        yield Text(f"{more}; a file or a pipe gets the whole table")


# The results on some rows: all of them, or shortened for the end of a training.
_FEW = 5  # classes, and values of a metric, that the end of a training shows


def print_part(model: Model, run: Path, part: str, running: RunningMetrics | None = None) -> RunningMetrics:
    """Print losses and metrics on a part of the data, shortened for the end of a training in ``run``; return them."""
    running = running or model.evaluate_arrays(model.part(part), model.spec.training.batch_size)
    _print_values(running, most=_FEW)
    options = [] if part == "test" else ["--part", part]
    print_few(running.tables(), shell("graphspec", "evaluate", str(run), *options))
    return running


def print_few(tables: Sequence[ResultTable], command: str) -> None:
    """Print confusion matrices of a few classes; for others, name the command that prints them."""
    width = terminal_width(sys.stdout)
    for table in tables:
        if len(table.counts) <= _FEW:
            out("", *matrix_lines(table, width))
        else:
            out_wrapped(f"{table.key}: {len(table.counts):,} classes; `{command}` shows them")


def print_results(running: RunningMetrics) -> None:
    """Print the values, then confusion matrices, then what is known of each head."""
    _print_values(running)
    width = terminal_width(sys.stdout)
    found = [] if running.heads is None else running.heads.found()
    pairs = [each.pairs for each in found if isinstance(each, ClassCounts) and each.pairs is not None]
    for table in running.tables():
        has_table = any(np.array_equal(table.counts, counts) for counts in pairs)  # of its classes, below
        lines = matrix_lines(table, width, has_ratios=not has_table, may_be_list=not has_table)
        out("", *lines)
        if not lines:
            out_wrapped(f"{table.key}: too wide for {len(table.counts):,} classes; a file or a pipe gets it")
    for blocks in head_tables(found, width):
        out_blocks([Text(""), *blocks])


def _print_values(running: RunningMetrics, most: int | None = None) -> None:
    """Print one line per value, with its meaning if a metric has several; of one with more than ``most``, their range."""
    meanings, values = running.meanings(), running.logs()
    rows: dict[str, tuple[str, str, str]] = {}
    several: dict[str, list[float]] = {}
    for key in meanings:
        several.setdefault(key.rpartition("_")[0], []).append(values[key])
    for key, value in values.items():
        name = key.rpartition("_")[0]
        group = several[name] if key in meanings else []
        if most is not None and len(group) > most:
            rows[name] = (name, f"{min(group):.6g}", f"to {max(group):.6g}: {len(group):,} values")
        else:
            rows[key] = (key, f"{value:.6g}", meanings.get(key, ""))
    out_blocks([Table([Column(cut="middle"), Column(), Column(cut="end", least=1)], [*rows.values()])])


# Whether a network beats simple rules, on the terminal.
_VERDICT_MOST = 5  # heads, or fields


def print_verdicts(found: Findings, *, measures: bool = False) -> None:
    """Print how each head compares with the best simple rule, and what is too good: warnings where something is wrong.

    ``measures``: whether to measure for this how important each field is.
    """
    from graphspec.show.report.importance import too_good
    from graphspec.show.report.verdicts import coverage, lines

    for line in lines(found.verdicts)[:_VERDICT_MOST]:
        out_wrapped(f"warning: {line.text}" if line.better is False else line.text, 2)
    for text in coverage(found.judged)[:_VERDICT_MOST]:
        out_wrapped(text, 2)
    names = " and ".join(f"'{name}'" for name in list(found.given)[:_VERDICT_MOST])
    said = f"{names} {'give' if len(found.given) > 1 else 'gives'} away the target, as said at the start"
    for text in [said] if found.given else too_good(found, measures=measures):
        out_wrapped(f"warning: {text}", 2)


def print_given_away(model: Model, train: Dataset) -> None:
    """Warn about fields that alone give away the target."""
    from graphspec.show.report.verdicts import ASK, given_away

    found = given_away(model, train)
    for name, why in list(found.items())[:_VERDICT_MOST]:
        complain(f"warning: '{name}' {why}; {ASK}")
