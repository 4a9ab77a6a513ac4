"""The data: parts, classes, and for every field its gaps, its distribution, and its drift from training to judged rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from graphspec.base.document import Block, Cell, Column, Drawing, Heading, Inline, Items, Section, Span, Table, Text
from graphspec.base.errors import GraphspecError, SpecError
from graphspec.base.text import count, percent, shorten_end
from graphspec.data.batches import Dataset
from graphspec.data.targets import with_class_ids
from graphspec.engine.training.advice import ClassShares, LabelSequences, Summary, summarize
from graphspec.engine.training.copies import is_out_of_fold
from graphspec.engine.training.prepare import part_rows, train_and_validation
from graphspec.engine.training.run_directory import data_hashes
from graphspec.graph.ir.graph import MISSING_INTEGER, Array
from graphspec.language.declarations import Spec
from graphspec.language.parse import PARTS
from graphspec.show.drawing.pictures import pixels
from graphspec.show.report.charts import histogram
from graphspec.show.report.findings import Findings, mapping_in, split_off
from graphspec.show.report.rows import MAX_ROWS, Field, fields, repeated, shown_part, some_rows, source_name
from graphspec.show.report.worst import as_picture, compact, plain
from graphspec.vocabulary.layers.dates import DateParts, moment

# How far a sample has drifted from another: the population stability index over bins, and what chance alone gives.
BINS = 10
MODERATE, LARGE = 0.1, 0.25  # the index from which on a drift counts as moderate, and as large
_Z = 2.326  # of the normal distribution: 1 % of samples without any drift are above
MAX_CATEGORIES = 50  # categories with a bin of their own, the most frequent ones; the others share one


def stability(before: Array, after: Array) -> float:
    """Return the population stability index ``Σ (q − p) · ln(q / p)`` of two samples' counts by bin.

    A bin that one of them lacks counts as half an element there. Bins that both lack do not count.
    """
    some = (before > 0) | (after > 0)
    p, q = (np.maximum(counts[some], 0.5) / max(float(counts.sum()), 1) for counts in (before, after))
    return float(((q - p) * np.log(q / p)).sum())


def by_chance(before: int, after: int, bins: int) -> float:
    """Return the index that 1 % of pairs of samples of one distribution exceed, by their sizes: a scaled χ² distribution."""
    free = bins - 1
    if free < 1 or not before or not after:
        return 0.0
    quantile = free * (1 - 2 / (9 * free) + _Z * math.sqrt(2 / (9 * free))) ** 3  # Wilson and Hilferty
    return quantile * (1 / before + 1 / after)


def edges(values: Array) -> Array:
    """Return the inner borders of at most ``BINS`` bins with equally many of the finite values, rising, each once."""
    return np.unique(np.quantile(values, np.arange(1, BINS) / BINS)) if len(values) else np.zeros(0)


def binned(values: Array, borders: Array) -> Array:
    """Return how many finite values each bin has; a bin contains its lower border."""
    return np.bincount(np.searchsorted(borders, values, side="right"), minlength=len(borders) + 1)


def binned_numbers(before: Array, after: Array) -> tuple[Array, Array]:
    """Return the counts of two samples in bins of the first one's quantiles; values that are not finite have their own."""
    borders = edges(_finite(before))
    parts = ((_finite(values), len(values)) for values in (before, after))
    first, second = (np.append(binned(finite, borders), size - len(finite)) for finite, size in parts)
    return first, second


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)]


def binned_categories(before: Mapping[Hashable, int], after: Mapping[Hashable, int]) -> tuple[Array, Array]:
    """Return the counts of two samples by category: the most frequent ones of the first, and all others together."""
    own = sorted(before, key=lambda key: -before[key])[:MAX_CATEGORIES]

    def counts(sample: Mapping[Hashable, int]) -> Array:
        listed = [sample.get(key, 0) for key in own]
        return np.array([*listed, sum(sample.values()) - sum(listed)])

    return counts(before), counts(after)


def drift_word(index: float, chance: float) -> str:
    """Return how large a drift is: ``none`` if chance alone explains it."""
    if index <= chance:
        return "none"
    return "small" if index < MODERATE else "moderate" if index < LARGE else "large"


# What the fields of the rows hold: kinds, missing and different values, distributions, and their drift between parts.
Kind = Literal["number", "category", "text", "date", "ids", "picture"]
TOP = 6  # categories that are listed
_ORDERED = 24  # numbered categories that are listed by their numbers
_BINS = 20  # of a histogram
_PICTURES = 2000  # pictures that are looked at
_CODES = 20  # an input of integers with at most as many different values is one of codes
_EPOCH = datetime(1970, 1, 1)
_SECONDS = 86_400  # of a day
_LOOKUPS = ("StringLookup", "IntegerLookup", "Hashing", "HashedCrossing", "CategoryEncoding")


class Sample(NamedTuple):
    """The values of a field in one part."""

    rows: int  # the rows that were looked at
    values: Array  # one per row or position, without missing ones: numbers, or texts as objects
    missing: int  # missing, size: how many values are missing, and of how many
    size: int
    shape: str = ""  # of a picture, such as ``28 × 28``


@dataclass(frozen=True)
class Facts:
    """What a field holds."""

    field: Field
    kind: Kind
    samples: Mapping[str, Sample]  # by part, training rows first
    distinct: int  # different values in the first part
    about: str  # range, most frequent values or lengths, in words
    bins: Sequence[str]  # a text for each bin of the histogram; ``shares`` has the parts' shares by bin
    shares: Mapping[str, Array]
    # index, chance: the drift between the two parts, and what chance alone may give; None with one part
    index: float | None = None
    chance: float = 0.0
    unseen: Sequence[tuple[str, int]] = ()  # values of the second part only, with their rows, most frequent first


def facts(spec: Spec, described: Sequence[Field], parts: Mapping[str, Dataset]) -> list[Facts]:
    """Return what each field holds in one or two parts of the data: the training rows, and rows to compare."""
    # the first layer that reads each input directly
    readers = {ref.name: node for node in reversed(spec.nodes) for ref in node.inputs if ref is not None}
    found: list[Facts] = []
    for name in dict.fromkeys(field.input for field in described):
        blocks = {part: some_rows(data, name)[0] for part, data in parts.items()}
        reader = readers.get(name)
        for field in (f for f in described if f.input == name):
            values = {part: field.of({name: block}) for part, block in blocks.items()}
            if reader is not None and isinstance(reader.layer, DateParts):
                values = {part: _dated(array, reader.layer.format) for part, array in values.items()}
            kind = _field_kind(next(iter(values.values())), "" if reader is None else reader.type or "")
            samples = {part: _sample(field, kind, array) for part, array in values.items()}
            found.append((_categories if kind in ("category", "ids") else _numbers)(field, kind, samples))
    return found


def _dated(texts: Array, form: str | None) -> Array:
    """Return dates as seconds since 1970, NaN for texts that are none."""
    flat = texts.reshape(-1).tolist()
    dates = {text: moment(str(text), form) for text in dict.fromkeys(flat)}
    seconds = {text: math.nan if at is None else (at - _EPOCH).total_seconds() for text, at in dates.items()}
    return np.array([seconds[text] for text in flat], np.float64)


def _day(seconds: float) -> str:
    """Return the date that is so many seconds after the beginning of 1970."""
    return date_text(_EPOCH + timedelta(seconds=round(seconds)))


def date_text(at: datetime) -> str:
    """Return a date, with its time if it is not midnight."""
    return at.date().isoformat() if at.time() == datetime.min.time() else at.isoformat(" ", "minutes")


def _field_kind(values: Array, reader: str) -> Kind:
    if reader == "DateParts":
        return "date"
    row = values[0] if len(values) else np.zeros(values.shape[1:], values.dtype)
    if as_picture(np.asarray(row)) is not None:
        return "picture"
    if values.dtype == object:
        if reader in _LOOKUPS:
            return "category"
        flat = [str(v) for v in values.reshape(-1)[:1000]]
        words = sum(len(v.split()) for v in flat) / max(len(flat), 1)
        differ = len({*flat}) > 0.5 * len(flat) > 25
        return "text" if reader == "TextVectorization" or words > 3 or differ else "category"
    if values.dtype.kind == "b" or reader in _LOOKUPS:
        return "category"
    if values.dtype.kind in "iu" and row.size > 1:
        return "ids"
    few = values.dtype.kind in "iu" and len(np.unique(values[:10_000])) <= _CODES
    return "category" if few else "number"


def _sample(field: Field, kind: Kind, values: Array) -> Sample:
    if kind == "picture":
        some = values[: len(values) : max(len(values) // _PICTURES, 1)]
        bright = [float(pixels(p).mean()) / 255 for row in some if (p := as_picture(row)) is not None]
        height, width, *channels = values[0].shape
        sides = "different numbers of" if values.dtype == object else f"{width:,} × {height:,}"
        sides += "" if channels and channels[0] > 1 else " grey"
        return Sample(len(some), np.array(bright), 0, len(some), sides)
    missing = field.missing(values).reshape(-1)
    flat = values.reshape(-1)[~missing]
    if kind == "text":
        flat = np.fromiter((len(str(v).split()) for v in flat), np.float64, len(flat))
    elif kind in ("number", "date"):
        flat = flat.astype(np.float64)
    return Sample(len(values), flat, int(missing.sum()), missing.size)


def _numbers(field: Field, kind: Kind, samples: Mapping[str, Sample]) -> Facts:
    own = next(iter(samples.values()))
    finite = _finite(own.values)
    borders, bins = _borders(finite, kind)
    shares = {part: _shares(binned(_finite(sample.values), borders)) for part, sample in samples.items()}
    with_missing = [np.append(sample.values, np.full(sample.missing, np.nan)) for sample in samples.values()]
    about = _range(kind, finite, own)
    if kind == "picture":
        about = f"{own.shape} pixels; mean {about}"
    drift = _field_drift(samples, binned_numbers, with_missing)
    return Facts(field, kind, samples, len(np.unique(finite)), about, bins, shares, *drift)


def _field_drift(
    samples: Mapping[str, Sample], count: Callable[[Any, Any], tuple[Array, Array]], values: Sequence[Any]
) -> tuple[float | None, float]:
    """Return how much two samples differ, by the ``count`` of their values in bins, and how much they would by chance."""
    if len(samples) < 2:
        return None, 0.0
    counts = count(*values)
    before, after = (sample.rows for sample in samples.values())
    return stability(*counts), by_chance(before, after, int(((counts[0] > 0) | (counts[1] > 0)).sum()))


def _borders(values: Array, kind: Kind) -> tuple[Array, list[str]]:
    """Return the borders of a histogram from the smallest to the largest usual value, and a text for each bin."""
    if not len(values):
        return np.zeros(0), []
    shown: Callable[[float], str] = _day if kind == "date" else plain
    low, high = (float(v) for v in np.quantile(values, [0.005, 0.995]))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    different = np.unique(values[:10_000])
    if len(different) <= _BINS and len(np.unique(values)) == len(different):  # a bin for each value
        return (different[1:] + different[:-1]) / 2, [shown(v) for v in different.tolist()]
    inner = np.linspace(low, high, _BINS + 1)[1:-1]
    if kind in ("text", "date"):
        unit = _SECONDS if kind == "date" and high - low > _BINS * _SECONDS else 1
        inner = np.unique(np.rint(inner / unit)) * unit
    ends = [shown(v if kind == "date" else float(f"{v:.4g}")) for v in inner.tolist()]
    return inner, [f"below {ends[0]}", *(f"{a} to {b}" for a, b in pairwise(ends)), f"from {ends[-1]}"]


def _shares(counts: Array) -> Array:
    return counts / max(int(counts.sum()), 1)


def _range(kind: Kind, values: Array, own: Sample) -> str:
    if not len(values):
        return "no values"
    marks = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    if kind == "date":
        low, high = _day(float(marks[0])), _day(float(marks[-1]))
        return f"always {low}" if low == high else f"{low} to {high}"
    marks = np.round(marks, 2) if kind == "picture" else marks.astype(np.float32)
    low, first, middle, third, high = map(compact, marks)
    unit = {"text": " words", "picture": " of full brightness"}.get(kind, "")
    if low == high:
        return f"always {low}{unit}"
    infinite = len(own.values) - len(values)
    more = f"; {infinite:,} infinite" if infinite else ""
    return f"{low} to {high}{unit}; quartiles {first}, {middle}, {third}{more}"


def _categories(field: Field, kind: Kind, samples: Mapping[str, Sample]) -> Facts:
    counts = {part: _counted(sample.values) for part, sample in samples.items()}
    before, *others = counts.values()
    top = [key for key, _ in before.most_common(TOP)]
    if len(before) <= _ORDERED and all(isinstance(key, int | float) for key in before):
        top = sorted(before, key=lambda key: float(key))  # type: ignore[arg-type]
    rest = {part: of.total() - sum(of.get(key, 0) for key in top) for part, of in counts.items()}
    bins = [*map(str, top), *(["all others"] if any(rest.values()) else [])]
    sizes = {part: [*(of.get(key, 0) for key in top), rest[part]] for part, of in counts.items()}
    shares = {part: _shares(np.array(each[: len(bins)], float)) for part, each in sizes.items()}
    with_missing = [Counter({**of, None: samples[part].missing}) for part, of in counts.items()]
    unseen = [(str(key), count) for after in others for key, count in after.most_common() if key not in before]
    drift = _field_drift(samples, binned_categories, with_missing)
    return Facts(field, kind, samples, len(before), "", bins, shares, *drift, unseen)


def _counted(values: Array) -> Counter[Hashable]:
    if values.dtype == object:
        return Counter(values.tolist())
    found, counts = np.unique(values, return_counts=True)
    pairs = zip(found.tolist(), counts.tolist(), strict=True)
    return Counter({value: size for value, size in pairs if value != MISSING_INTEGER})


_FIELDS = 80
_WITH_TIPS = 24  # fields, up to which every bin of a histogram tells its share
_CLASSES = 30
_NAME = 60  # characters of a name or a value


class Parts(NamedTuple):
    """The checked raw rows by part, judged rows that are no part last; and why other parts cannot be read."""

    rows: Mapping[str, Dataset]
    problems: Mapping[str, str]


def read_parts(found: Findings) -> Parts:
    """Return the parts of a run's data."""
    model, judged = found.model, found.judged
    ready = {} if found.train is None else {"train": found.train}
    ready |= {} if judged is None else {judged.part: judged.raw}
    rows: dict[str, Dataset] = {}
    problems: dict[str, str] = {}
    split = cache(lambda: train_and_validation(model))  # one file has both
    for part in PARTS:
        if is_out_of_fold(model, part):  # the training rows again
            ready.pop(part, None)
        elif part in ready:
            rows[part] = ready[part]
        elif part in model.spec.data:
            try:
                own = split()[PARTS.index(part)] if split_off(model, part) else None
                rows[part] = part_rows(model, part) if own is None else own
            except GraphspecError as error:  # moved or changed since the training
                first = error.diagnostics[0].message if isinstance(error, SpecError) else str(error)
                problems[part] = first.splitlines()[0]
    return Parts(rows | {part: data for part, data in ready.items() if part not in rows}, problems)


def columns(found: Findings) -> Section | None:
    """Return what the parts of the data hold."""
    if not found.model.spec.data and found.judged is None:
        return None
    parts = read_parts(found)
    if not parts.rows:
        reasons = [f"{part}: {why}" for part, why in parts.problems.items()]
        return Section("data", "Data", [Text("The data cannot be read any more:"), Items(reasons)])
    compared, listed = _listed(found, parts.rows)
    again = list(_repeats(found, parts.rows))
    blocks = [*again, *_heads(found, parts.rows), *_fields(found, parts.rows, compared, listed)]
    known = [(f.index, max(f.chance, MODERATE), f.field.name) for f in listed if f.index and f.kind != "date"]
    drifts = [(index, name) for index, least, name in known if index > least]  # later rows have later dates
    index, name = max(drifts, default=(0.0, ""))
    finding, repeats = f"drift {index:.2f}: {name}" if drifts else "", any(each.kind for each in again)
    finding = "training rows among them" if repeats else finding
    return Section("data", "Data", [_parts(found, parts), *blocks], finding, alarm=repeats or index >= LARGE)


def _parts(found: Findings, parts: Parts) -> Table:
    """Return a table of the parts: rows, and where they come from."""
    before = mapping_in(found.record, "data_sha256")
    now = data_hashes(found.model) if before else {}
    rows: list[tuple[Inline, ...]] = []
    for part in dict.fromkeys([*parts.rows, *parts.problems]):
        source = found.model.spec.data.get(part)
        name = source_name(found.model.spec, part)
        if source is not None and not source.has_rows:
            which = "split off" if not source.in_order else "the last rows"
            which = "the last part of the time" if source.by_time else which
            name = source.at_origins or f"{which}: {percent(source.split or 0)} of the training data"
        note: Inline = f"cannot be read: {parts.problems[part]}" if part in parts.problems else ""
        if part in before and now.get(part, before[part]) != before[part]:
            note = Span("changed since the training", "b")
        rows.append((shown_part(part), f"{len(parts.rows[part]):,}" if part in parts.rows else "unknown", name, note))
    columns = [Column("Part"), Column("Rows", "number"), Column("From"), Column("Notes")]
    size = 4 if any(note for *_, note in rows) else 3
    return Table(columns[:size], [row[:size] for row in rows], label="Parts of the data")


def _repeats(found: Findings, parts: Mapping[str, Dataset]) -> Iterator[Text]:
    """Yield a sentence about judged rows that occur among the training rows, too."""
    judged = found.judged
    if judged is None or judged.part == "train" or judged.out_of_fold or "train" not in parts:
        return
    same = repeated(parts["train"], judged.raw)
    if same == 0:
        yield Text(f"No {judged.part} row has the same inputs as a training row.")
    elif same is not None:
        serious = same > 0.01 * judged.total
        about = "their results say little about new rows" if serious else "few enough to change little"
        rows = f"{count(same, f'{judged.part} row')} ({percent(same / max(judged.total, 1))})"
        has = "has" if same == 1 else "have"
        yield Text(f"{rows} {has} the same inputs as a training row: {about}.", "alarm" if serious else "")


def _heads(found: Findings, parts: Mapping[str, Dataset]) -> Iterator[Block]:
    model, needed = found.model, found.model.needed
    rows = {part: data for part, data in parts.items() if len(data)}
    ids = {part: with_class_ids(data, model.labels, needed.targets, needed.ctc) for part, data in rows.items()}
    for name, head in model.spec.heads.items():
        summaries = {part: summarize(head, model.graph.outputs[name], data) for part, data in ids.items()}
        targets = {part: summary for part, summary in summaries.items() if summary is not None}
        if targets:
            title = f"Target {name}" if len(model.spec.heads) > 1 else "Target"
            yield Heading(title)
            yield from _target(targets, title)


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
    """Yield the share of each class in each part, as bars, and classes without training rows."""
    first = next(iter(found.values()))
    size = len(first.labels)
    alike = {part: s for part, s in found.items() if len(s.counts) == size}
    order = sorted(range(size), key=lambda k: -int(first.counts[k]))[:_CLASSES]
    top = max((s.share(k) for s in alike.values() for k in order), default=0) or 1.0
    rows = []
    for k in order:
        cells: list[Inline | Cell] = [_name(first.labels[k]) or "(empty)"]
        for place, summary in enumerate(alike.values()):
            share, kind = summary.share(k), "b" if place else "a"
            bar = Drawing(f'<span class="sharebar {kind}" style="width: {share / top * 100:.3g}%"></span>')
            cells += [Cell(f"{int(summary.counts[k]):,}", kind="number"), Cell((bar, percent(share)), kind="barcell")]
        rows.append(cells)
    columns = [Column("Class"), *(Column(shown_part(part).capitalize(), span=2) for part in alike)]
    yield Table(columns, rows, label=f"{title}: classes by part")
    if size > len(order):
        yield Text(f"{count(size - len(order), 'more class', 'more classes')}.", "note")
    if first.several:
        yield Text("Several classes may apply to a row.", "note")
    train = alike.get("train")
    if train is not None and train.exact:
        absent = [k for k in range(size) if not train.counts[k] and any(s.counts[k] for s in alike.values())]
        if absent:
            names = ", ".join(_name(train.labels[k]) for k in absent[:TOP])
            yield Text(f"No training row has the class {names}.", "alarm")


def _listed(found: Findings, parts: Mapping[str, Dataset]) -> tuple[list[str], list[Facts]]:
    """Return the parts whose fields are compared, and the facts of the first fields."""
    judged = found.judged.part if found.judged is not None else next(iter(parts))
    compared = [part for part in dict.fromkeys(("train", judged)) if part in parts and len(parts[part])]
    described = fields(found.model.spec)[:_FIELDS] if compared else []
    return compared, facts(found.model.spec, described, {part: parts[part] for part in compared})


def _fields(
    found: Findings, parts: Mapping[str, Dataset], compared: Sequence[str], listed: Sequence[Facts]
) -> Iterator[Block]:
    if not listed:
        return
    described = fields(found.model.spec)
    columns = [Column("Name"), Column("Kind"), Column("Missing", "number"), Column("Different", "number")]
    columns += [Column("Distribution", fixed=True), Column("Values", fixed=True)]
    columns += [Column("Drift")] if len(compared) > 1 else []
    rows = [_row(each, compared, tips=len(listed) <= _WITH_TIPS) for each in listed]
    yield Heading("Inputs")
    yield _about(compared, parts)
    yield Table(columns, rows, label="Inputs", sort=True, kind="fields")
    if len(described) > len(listed):
        yield Text(f"{count(len(described) - len(listed), 'more field')} not shown.", "note")


def _about(compared: Sequence[str], parts: Mapping[str, Dataset]) -> Text:
    first, *second = map(shown_part, compared)
    key: list[Inline] = [Span("", "key a"), f" {first}"]
    words = ""
    if second:
        key += [", ", Span("", "key line b"), f" {second[0]}"]
        words = (
            f"Drift is how far the {second[0]} rows differ from the {first} rows, as the population stability index: below "
            f"{MODERATE:g} it is small, from {LARGE:g} on large; “none” is no more than chance gives with as many rows."
        )
    few = " and ".join(shown_part(part) for part in compared if len(parts[part]) > MAX_ROWS)
    some = f" Of the {few} rows, {MAX_ROWS:,} are looked at, spread evenly." if few else ""
    return Text((*key, f". {words}{some}"), "note")


def _row(each: Facts, compared: Sequence[str], *, tips: bool) -> list[Inline | Cell]:
    samples, name = each.samples.values(), _name(each.field.name)
    own = each.samples[compared[0]]
    gaps = [f"{sample.missing:,} ({percent(sample.missing / max(sample.size, 1))})" for sample in samples]
    shares = [("b" if k else "a", each.shares[part]) for k, part in enumerate(compared)]
    bins = []
    for k, of in enumerate(each.bins):
        parts = (f"{shown_part(part)} {percent(float(each.shares[part][k]))}" for part in compared)
        bins.append("\n".join([_name(of), *parts]))
    summary = f"distribution of {name}: {_plain_about(each)}"
    unseen = ", ".join(f"{_name(value)} ({rows:,})" for value, rows in each.unseen[:4])
    unseen += f" and {len(each.unseen) - 4:,} more" if len(each.unseen) > 4 else ""
    return [
        name,
        each.kind,
        Cell(" · ".join(gaps) if any(s.missing for s in samples) else "0", own.missing / max(own.size, 1)),
        "" if each.kind in ("picture", "text") else f"{each.distinct:,}",
        histogram(shares, bins, summary, each=tips) if bins else "",
        (_plain_about(each), Span(f"not in training: {unseen}", "unseen") if unseen else ""),
        *([_drift(each)] if len(compared) > 1 else []),
    ]


def _plain_about(each: Facts) -> str:
    """Return range or most frequent values, as plain text."""
    if each.about:
        return each.about
    shares = next(iter(each.shares.values()))
    order = np.argsort(-shares, kind="stable")[:TOP].tolist()
    named = [(shorten_end(each.bins[k], 24) or "(empty)", percent(float(shares[k]))) for k in order if shares[k] > 0]
    return ", ".join(f"{name} ({share})".replace(" %", "\u00a0%") for name, share in named) or "no values"


def _drift(each: Facts) -> Inline | Cell:
    if each.index is None:
        return ""
    size = drift_word(each.index, each.chance)
    tip = f"population stability index {each.index:.3f}; chance alone gives up to {each.chance:.3f}"
    return Cell((Span(size, f"drift {size}", tip), " ", Span(f"{each.index:.2f}", "share")), each.index)


def _name(value: str) -> str:
    return shorten_end(value, _NAME)
