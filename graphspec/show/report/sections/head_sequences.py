"""A head that reads sequences of labels: how far its readings are from the truth."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Facts, Figure, Group, Table, Text
from graphspec.base.text import count, percent, shorten_end
from graphspec.show.drawing.curves import Scale, linear
from graphspec.show.report.charts import Named, Plot, amount, share, table
from graphspec.show.report.rows import evenly
from graphspec.show.report.scores import align
from graphspec.vocabulary.metrics.sequences import edits, greedy_decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.findings import HeadAnswers

_WORST = 15
_CONFUSIONS = 20
_CELLS = 3_000_000  # of the tables of alignments: edits are counted by label in as many wrong rows, spread evenly
_LONGEST = 400  # labels of a row that is aligned
_BARS = 12
_SHOWN = 60  # characters of a reading


def readings(head: HeadAnswers) -> tuple[list[list[int]], list[list[int]], Array]:
    """Return what is true and what was read of each row, and the edits between them, as ``edit_distance`` counts them."""
    targets = head.targets
    assert targets is not None
    labels = targets.reshape(len(targets), -1).astype(np.int64)
    steps, lengths = head.lengths.get("input_length"), head.lengths.get("length")
    answers = head.answers
    if steps is None:
        steps = np.full(len(answers), answers.shape[1]) if head.mask is None else np.count_nonzero(head.mask, axis=1)
    counts = np.count_nonzero(labels, axis=1) if lengths is None else lengths.reshape(-1).astype(np.int64)
    decoded, sizes = greedy_decode(answers, steps.reshape(-1).astype(np.int64))
    true = [row[:n].tolist() for row, n in zip(labels, counts, strict=True)]
    read = [row[:n].tolist() for row, n in zip(decoded, sizes, strict=True)]
    return true, read, edits(decoded, sizes, labels, counts)


def sequences_head(head: HeadAnswers, name_of: Callable[[int], str]) -> list[Block]:
    """Return the edits of the readings, the worst of them, and the labels that are confused.

    Args:
        name_of: returns the words for a kept row, given by its place: its line, or its file.
    """
    true, read, distances = readings(head)
    names = _names(head)
    total = sum(map(len, true))
    wrong = np.flatnonzero(distances)
    values = Facts(
        [
            ("Rows read without a mistake", share(1 - len(wrong) / len(distances))),
            ("Edits per label", amount(float(distances.sum()) / total) if total else "not defined"),
            ("Edits per row", amount(float(distances.mean()))),
            ("Labels per row", amount(total / len(true))),
        ]
    )
    undone = int((~np.isfinite(head.answers).reshape(len(head.answers), -1).all(1)).sum())
    note = [Text(f"{count(undone, 'row')} with answers that are no finite numbers.", "note")] if undone else []
    if not len(wrong):
        return [values, *note, Text("Every row is read without a mistake.")]
    cells = float(np.mean([min(len(true[k]), _LONGEST) * min(len(read[k]), _LONGEST) for k in wrong.tolist()]))
    rows_aligned = min(len(wrong), max(int(_CELLS / max(cells, 1)), 1))
    some = wrong[evenly(len(wrong), rows_aligned)].tolist()
    confusions, sentence = _confusions([(true[k], read[k]) for k in some], names, len(wrong))
    charts = Group("charts", [_distances(distances), *_by_length(np.array([len(t) for t in true]), distances)])
    tables = Group("beside", [_worst(true, read, distances, names, name_of), confusions])
    return [values, *note, sentence, charts, tables]


def _names(head: HeadAnswers) -> list[str]:
    units = head.answers.shape[-1]
    labels = head.head.labels
    return list(labels) if labels is not None and len(labels) == units else [str(k) for k in range(units)]


def _written(sequence: list[int], names: list[str]) -> str:
    """Return a sequence as text: its labels joined, with spaces unless they are single characters."""
    shown = [names[k] if 0 <= k < len(names) else str(k) for k in sequence]
    between = "" if all(len(name) == 1 for name in names[1:]) and len(names) > 10 else " "
    return shorten_end(between.join(shown), _SHOWN) or "(nothing)"


def _worst(
    true: list[list[int]], read: list[list[int]], distances: Array, names: list[str], name_of: Callable[[int], str]
) -> Table:
    """Return the readings with the most edits."""
    order = [k for k in np.argsort(-distances, kind="stable")[:_WORST].tolist() if distances[k]]
    shown = [
        (
            _written(true[k], names),
            _written(read[k], names),
            f"{int(distances[k])}",
            f"{int(distances[k]) / max(len(true[k]), 1):.2f}",
            name_of(k),
        )
        for k in order
    ]
    columns = ("True", "Read", "Edits", "Edits per label", "Row")
    return table(f"The {count(len(shown), 'worst reading', 'worst readings')}", columns, shown, texts=2)


def _confusions(pairs: list[tuple[list[int], list[int]]], names: list[str], wrong: int) -> tuple[Table, Text]:
    """Return the table of the edits that occur most often, and a sentence about their kinds."""
    kinds: Counter[str] = Counter()
    found: Counter[tuple[str, str]] = Counter()
    for true, read in pairs:
        for edit in align(true[:_LONGEST], read[:_LONGEST]):
            if edit.kind != "same":
                kinds[edit.kind] += 1
                before = "–" if edit.true is None else _name(edit.true, names)
                found[before, "–" if edit.read is None else _name(edit.read, names)] += 1
    total = sum(kinds.values())
    rows = [
        (t, r, "missed" if r == "–" else "added" if t == "–" else "read as another", f"{n:,}", percent(n / total))
        for (t, r), n in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:_CONFUSIONS]
    ]
    words = {"other": "read as another label", "missed": "missed", "added": "added"}
    shown = ", ".join(f"{percent(kinds[kind] / total)} {word}" for kind, word in words.items() if kinds[kind])
    of = (
        f"{count(len(pairs), 'row')} with mistakes"
        if len(pairs) == wrong
        else f"{len(pairs):,} of {wrong:,} rows with mistakes"
    )
    columns = ("True", "Read", "Edit", "Times", "Of all edits")
    return table("The edits that occur most often", columns, rows, texts=3), Text(f"Of the edits in {of}: {shown}.")


def _name(label: int, names: list[str]) -> str:
    name = names[label] if 0 <= label < len(names) else str(label)
    return "(space)" if name == " " else name


def _distances(distances: Array) -> Figure:
    """Return the chart of how many rows have how many edits."""
    last = min(int(distances.max()), _BARS)
    counts = np.bincount(np.minimum(distances.astype(np.int64), last), minlength=last + 1)
    more = int(distances.max()) > last
    across = Scale(-0.5, last + 0.5, tuple(float(k) for k in range(last + 1)))
    summary = f"Edits per row: none in {counts[0]:,} of {len(distances):,} rows, "
    summary += f"median {np.median(distances):g}, most {distances.max()}"
    name = f"Edits ({last}: or more)" if more else "Edits"
    plot = Plot(across, linear([0.0, float(counts.max())]), name, "Rows", summary)
    bars = [(k - 0.4, k + 0.4, float(n)) for k, n in enumerate(counts.tolist())]
    tips = [f"{count(k, 'edit')}: {count(int(n), 'row')}" for k, n in enumerate(counts)]
    tips[-1] = tips[-1].replace(":", " or more:") if more else tips[-1]
    plot.bars(bars[:1], tips[:1], "good")
    plot.bars(bars[1:], tips[1:], "a")
    return Figure("Edits per row", plot.drawing())


def _by_length(lengths: Array, distances: Array) -> list[Figure]:
    """Return the chart of the edits per label by the length of the row."""
    groups = np.unique(np.quantile(lengths, np.linspace(0, 1, 9)).astype(np.int64))
    bars: list[tuple[float, float, float]] = []
    tips: list[str] = []
    names: list[str] = []
    for low, high in zip(groups.tolist(), [*(groups[1:] - 1).tolist(), int(lengths.max())], strict=True):
        chosen = (lengths >= low) & (lengths <= high)
        if chosen.any() and lengths[chosen].sum():
            rate = float(distances[chosen].sum() / lengths[chosen].sum())
            names.append(f"{low}" if low == high else f"{low}–{high}")
            bars.append((len(bars) + 0.6, len(bars) + 1.4, rate))
            tips.append(f"{names[-1]} labels: {rate:.3f} edits per label, {count(int(chosen.sum()), 'row')}")
    if not bars:
        return []
    across = Named(0.5, len(bars) + 0.5, tuple(float(k + 1) for k in range(len(bars))), names=tuple(names))
    rates = [bar[2] for bar in bars]
    summary = f"Edits per label by the number of labels: from {min(rates):.3f} to {max(rates):.3f}"
    plot = Plot(across, linear([0.0, max(*rates, 0.01)]), "Labels in the row", "Edits per label", summary)
    plot.bars(bars, tips)
    return [Figure("Edits per label by length", plot.drawing())]
