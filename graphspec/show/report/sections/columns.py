"""The data: parts, classes, and for every field its gaps, its distribution, and its drift from training to judged rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.document import Block, Cell, Column, Drawing, Heading, Inline, Items, Section, Span, Table, Text
from graphspec.base.text import count, percent, shorten_end
from graphspec.data.labels import with_class_ids
from graphspec.engine.training.run_directory import data_hashes
from graphspec.engine.training.target_summary import ClassShares, LabelSequences, Summary, summarize
from graphspec.show.report.charts import histogram
from graphspec.show.report.column_facts import TOP, Facts, facts
from graphspec.show.report.drift import LARGE, MODERATE, drift_word
from graphspec.show.report.raw import compact
from graphspec.show.report.rows import MAX_ROWS, Parts, fields, read_parts, repeated, shown_part, source_name

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.show.report.findings import Findings

_FIELDS = 80
_WITH_TIPS = 24  # fields, up to which every bin of a histogram tells its share
_CLASSES = 30
_NAME = 60  # characters of a name or a value


def columns(found: Findings) -> Section | None:
    """Return what the parts of the data hold."""
    if not found.model.spec.data and found.judged is None:
        return None
    parts = read_parts(found)
    if not parts.rows:
        reasons = [f"{part}: {why}" for part, why in parts.problems.items()]
        return Section("data", "Data", [Text("The data cannot be read any more:"), Items(reasons)])
    rows = parts.rows
    return Section(
        "data", "Data", [_parts(found, parts), *_repeats(found, rows), *_heads(found, rows), *_fields(found, rows)]
    )


def _parts(found: Findings, parts: Parts) -> Table:
    """Return a table of the parts: rows, and where they come from."""
    known = found.record.get("data_sha256")
    known = known if isinstance(known, dict) else {}
    now = data_hashes(found.model) if known else {}
    rows: list[tuple[Inline, ...]] = []
    for part in dict.fromkeys([*parts.rows, *parts.problems]):
        source = found.model.spec.data.get(part)
        name = source_name(found.model.spec, part)
        if source is not None and not source.has_rows:
            last = (
                "the last part of the time" if source.by_time else "the last rows" if source.in_order else "split off"
            )
            name = f"{last}: {percent(source.split or 0)} of the training data"
        note: Inline = f"cannot be read: {parts.problems[part]}" if part in parts.problems else ""
        if part in known and now.get(part, known[part]) != known[part]:
            note = Span("changed since the training", "b")
        rows.append((shown_part(part), f"{len(parts.rows[part]):,}" if part in parts.rows else "unknown", name, note))
    columns = [Column("Part"), Column("Rows", "number"), Column("From"), Column("Notes")]
    size = 4 if any(note for *_, note in rows) else 3
    return Table(columns[:size], [row[:size] for row in rows], label="Parts of the data")


def _repeats(found: Findings, parts: Mapping[str, Dataset]) -> list[Block]:
    """Return a sentence about judged rows that occur among the training rows, too."""
    judged = found.judged
    if judged is None or judged.part == "train" or "train" not in parts:
        return []
    same = repeated(parts["train"], judged.raw)
    if same is None:
        return []
    if not same:
        return [Text(f"No {judged.part} row has the same inputs as a training row.")]
    share = percent(same / max(judged.total, 1))
    serious = same > 0.01 * judged.total
    about = "their results say little about new rows" if serious else "few enough to change little"
    has = "has" if same == 1 else "have"
    words = f"{count(same, f'{judged.part} row')} ({share}) {has} the same inputs as a training row: {about}."
    return [Text(words, "alarm" if serious else "")]


def _heads(found: Findings, parts: Mapping[str, Dataset]) -> Iterator[Block]:
    """Yield what the targets of each head are, by part."""
    model = found.model
    ids = {
        part: with_class_ids(data, model.labels, model.needed.targets, model.needed.ctc)
        for part, data in parts.items()
        if len(data)
    }
    for name, head in model.spec.heads.items():
        found_in = {
            part: summary
            for part, data in ids.items()
            if (summary := summarize(head, model.graph.outputs[name], data)) is not None
        }
        if found_in:
            title = f"Target {name}" if len(model.spec.heads) > 1 else "Target"
            yield Heading(title)
            yield from _target(found_in, title)


def _target(found: Mapping[str, Summary], title: str) -> Iterator[Block]:
    shares = {part: s for part, s in found.items() if isinstance(s, ClassShares)}
    if len(shares) == len(found):
        yield from _classes(shares, title)
        return
    rows: list[list[Inline]] = []
    numbers = any(not isinstance(s, ClassShares | LabelSequences) for s in found.values())
    for part, summary in found.items():
        if isinstance(summary, ClassShares):  # 0 and 1 alone occur in this part
            cells = [", ".join(summary.labels[:TOP])]
        elif isinstance(summary, LabelSequences):
            cells = [f"sequences of at most {summary.longest:,} of {count(summary.classes, 'label')}"]
        else:
            cells = [compact(v) for v in (summary.mean, summary.deviation, summary.low, summary.high)]
        rows.append([shown_part(part), *cells, *[""] * (4 - len(cells) if numbers else 0)])
    named = ("Mean", "Standard deviation", "Lowest", "Highest")
    columns = [Column(name, "number") for name in named] if numbers else [Column("Labels")]
    yield Table([Column("Part"), *columns], rows, label=f"{title}: numbers by part")


def _classes(found: Mapping[str, ClassShares], title: str) -> Iterator[Block]:
    """Yield the share of each class in each part, as bars."""
    first = next(iter(found.values()))
    size = len(first.labels)
    alike = {part: s for part, s in found.items() if len(s.counts) == size}
    order = sorted(range(size), key=lambda k: -int(first.counts[k]))[:_CLASSES]
    top = max((s.share(k) for s in alike.values() for k in order), default=0) or 1.0
    rows = []
    for k in order:
        cells: list[Inline | Cell] = [_name(first.labels[k]) or "(empty)"]
        for part, summary in alike.items():
            share = summary.share(k)
            bar = f'<span class="sharebar {_kind(part, alike)}" style="width: {share / top * 100:.3g}%"></span>'
            cells += [
                Cell(f"{int(summary.counts[k]):,}", kind="number"),
                Cell((Drawing(bar), percent(share)), kind="barcell"),
            ]
        rows.append(cells)
    columns = [Column("Class"), *(Column(shown_part(part).capitalize(), span=2) for part in alike)]
    yield Table(columns, rows, label=f"{title}: classes by part")
    if size > len(order):
        yield Text(f"{count(size - len(order), 'more class', 'more classes')}.", "note")
    if first.several:
        yield Text("Several classes may apply to a row.", "note")
    yield from _absent(alike)


def _absent(found: Mapping[str, ClassShares]) -> Iterator[Block]:
    """Yield a sentence about classes without training rows."""
    train = found.get("train")
    if train is None:
        return
    missing = [k for k in range(len(train.counts)) if not train.counts[k] and any(s.counts[k] for s in found.values())]
    if missing and train.exact:
        names = ", ".join(_name(train.labels[k]) for k in missing[:TOP])
        yield Text(f"No training row has the class {names}.", "alarm")


def _kind(part: str, parts: Mapping[str, object]) -> str:
    return "a" if part == next(iter(parts)) else "b"


def _fields(found: Findings, parts: Mapping[str, Dataset]) -> list[Block]:
    """Return the table of the fields."""
    judged = found.judged.part if found.judged is not None else next(iter(parts))
    compared = [part for part in dict.fromkeys(("train", judged)) if part in parts and len(parts[part])]
    described = fields(found.model.spec)
    if not compared or not described:
        return []
    shown = facts(found.model.spec, described[:_FIELDS], {part: parts[part] for part in compared})
    columns = [Column("Name"), Column("Kind"), Column("Missing", "number"), Column("Different", "number")]
    columns += [Column("Distribution", fixed=True), Column("Values", fixed=True)]
    columns += [Column("Drift")] if len(compared) > 1 else []
    rows = [_row(each, compared, tips=len(shown) <= _WITH_TIPS) for each in shown]
    more = len(described) - len(shown)
    note = [Text(f"{count(more, 'more field')} not shown.", "note")] if more else []
    table = Table(columns, rows, label="Inputs", sort=True, kind="fields")
    return [Heading("Inputs"), _about(compared, parts), table, *note]


def _about(compared: Sequence[str], parts: Mapping[str, Dataset]) -> Text:
    key: list[Inline] = [Span("", "key a"), f" {shown_part(compared[0])}"]
    words = ""
    if len(compared) > 1:
        key += [", ", Span("", "key line b"), f" {shown_part(compared[1])}"]
        words = (
            f"Drift is how far the {shown_part(compared[1])} rows differ from the {shown_part(compared[0])} rows, as the "
            f"population stability index: below {MODERATE:g} it is "
            f"small, from {LARGE:g} on large; “none” is no more than chance gives with as many rows."
        )
    few = [shown_part(part) for part in compared if len(parts[part]) > MAX_ROWS]
    some = f" Of the {' and '.join(few)} rows, {MAX_ROWS:,} are looked at, spread evenly." if few else ""
    return Text((*key, f". {words}{some}"), "note")


def _row(each: Facts, compared: Sequence[str], *, tips: bool) -> list[Inline | Cell]:
    own = each.samples[compared[0]]
    missing = " · ".join(
        f"{sample.missing:,} ({percent(sample.missing / max(sample.size, 1))})" for sample in each.samples.values()
    )
    if not any(sample.missing for sample in each.samples.values()):
        missing = "0"
    kinds = [("a", each.shares[compared[0]]), *(("b", each.shares[part]) for part in compared[1:])]
    names = [
        f"{_name(name)}\n"
        + "\n".join(f"{shown_part(part)} {percent(float(each.shares[part][k]))}" for part in compared)
        for k, name in enumerate(each.bins)
    ]
    summary = f"distribution of {_name(each.field.name)}: {_plain_about(each)}"
    return [
        _name(each.field.name),
        each.kind,
        Cell(missing, own.missing / max(own.size, 1)),
        "" if each.kind in ("picture", "text") else f"{each.distinct:,}",
        histogram(kinds, names, summary, each=tips) if names else "",
        (_plain_about(each), _unseen(each)),
        *([_drift(each)] if len(compared) > 1 else []),
    ]


def _plain_about(each: Facts) -> str:
    """Return range or most frequent values, as plain text."""
    if each.about:
        return each.about
    shares = next(iter(each.shares.values()))
    order = np.argsort(-shares, kind="stable")[:TOP].tolist()
    names = [
        f"{shorten_end(each.bins[k], 24) or '(empty)'} ({percent(float(shares[k]))})".replace(" %", "\u00a0%")
        for k in order
        if shares[k] > 0
    ]
    return ", ".join(names) or "no values"


def _unseen(each: Facts) -> Inline:
    if not each.unseen:
        return ""
    names = ", ".join(f"{_name(value)} ({rows:,})" for value, rows in each.unseen[:4])
    more = f" and {len(each.unseen) - 4:,} more" if len(each.unseen) > 4 else ""
    return Span(f"not in training: {names}{more}", "unseen")


def _drift(each: Facts) -> Inline | Cell:
    if each.index is None:
        return ""
    size = drift_word(each.index, each.chance)
    tip = f"population stability index {each.index:.3f}; chance alone gives up to {each.chance:.3f}"
    return Cell((Span(size, f"drift {size}", tip), " ", Span(f"{each.index:.2f}", "share")), each.index)


def _name(value: str) -> str:
    return shorten_end(value, _NAME)
