"""What the fields of the rows hold: kinds, missing and different values, distributions, and their drift between parts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphspec.graph.ir.graph import MISSING_INTEGER
from graphspec.show.drawing.pictures import pixels
from graphspec.show.report import drift
from graphspec.show.report.raw import as_picture, compact, plain
from graphspec.show.report.rows import Field, some_rows
from graphspec.vocabulary.layers.dates import DateParts, moment

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.graph.ir.graph import Array
    from graphspec.language.declarations import NodeDecl, Spec

Kind = Literal["number", "category", "text", "date", "ids", "picture"]
TOP = 6
"""Categories that are listed."""
_ORDERED = 24  # numbered categories that are listed by their numbers
_BINS = 20  # of a histogram
_PICTURES = 2000  # pictures that are looked at
_CODES = 20  # an input of integers with at most as many different values is one of codes
_EPOCH = datetime(1970, 1, 1)
_SECONDS = 86_400  # of a day
_LOOKUPS = ("StringLookup", "IntegerLookup", "Hashing", "HashedCrossing", "CategoryEncoding")


@dataclass(frozen=True)
class Sample:
    """The values of a field in one part.

    Attributes:
        rows: the rows that were looked at.
        values: one per row or position, without missing ones: numbers, or texts as objects.
        missing, size: how many values are missing, and of how many.
        shape: of a picture, such as ``28 × 28``.
    """

    rows: int
    values: Array
    missing: int
    size: int
    shape: str = ""


@dataclass(frozen=True)
class Facts:
    """What a field holds.

    Attributes:
        samples: by part, training rows first.
        distinct: different values in the first part.
        about: range, most frequent values or lengths, in words.
        bins: a text for each bin of the histogram; ``shares`` has the parts' shares by bin.
        index, chance: the drift between the two parts, and what chance alone may give; None with one part.
        unseen: values that occur in the second part only, with their numbers of rows, the most frequent first.
    """

    field: Field
    kind: Kind
    samples: Mapping[str, Sample]
    distinct: int
    about: str
    bins: Sequence[str]
    shares: Mapping[str, Array]
    index: float | None = None
    chance: float = 0.0
    unseen: Sequence[tuple[str, int]] = ()


def facts(spec: Spec, described: Sequence[Field], parts: Mapping[str, Dataset]) -> list[Facts]:
    """Return what each field holds.

    Args:
        parts: one or two parts of the data: the training rows, and rows to compare.
    """
    readers = _readers(spec)
    found: list[Facts] = []
    for name in dict.fromkeys(field.input for field in described):
        blocks = {part: some_rows(data, name)[0] for part, data in parts.items()}
        for field in (f for f in described if f.input == name):
            values = {part: field.of({name: block}) for part, block in blocks.items()}
            reader = readers.get(name)
            if reader is not None and isinstance(reader.layer, DateParts):
                form = reader.layer.format
                values = {part: _dated(array, form) for part, array in values.items()}
            found.append(_facts(field, values, "" if reader is None else reader.type or ""))
    return found


def _readers(spec: Spec) -> dict[str, NodeDecl]:
    """Return the first layer that reads each input directly."""
    found: dict[str, NodeDecl] = {}
    for node in spec.nodes:
        for ref in node.inputs:
            if ref is not None and ref.name in spec.inputs:
                found.setdefault(ref.name, node)
    return found


def _dated(texts: Array, form: str | None) -> Array:
    """Return dates as seconds since 1970, NaN for texts that are none."""
    known = {text: moment(str(text), form) for text in dict.fromkeys(texts.reshape(-1).tolist())}
    seconds = {text: math.nan if at is None else (at - _EPOCH).total_seconds() for text, at in known.items()}
    return np.array([seconds[text] for text in texts.reshape(-1).tolist()], np.float64)


def _day(seconds: float) -> str:
    """Return a date, with its time if it is not midnight."""
    at = _EPOCH + timedelta(seconds=round(seconds))
    return at.date().isoformat() if at.time() == datetime.min.time() else at.isoformat(" ", "minutes")


def _facts(field: Field, values: Mapping[str, Array], reader: str) -> Facts:
    first = next(iter(values.values()))
    kind = _kind(first, reader)
    samples = {part: _sample(field, kind, array) for part, array in values.items()}
    own, *others = samples.values()
    other = others[0] if others else None
    if kind in ("category", "ids"):
        return _categories(field, kind, samples, own, other)
    return _numbers(field, kind, samples, own, other)


def _kind(values: Array, reader: str) -> Kind:
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
        return (
            "text" if reader == "TextVectorization" or words > 3 or len({*flat}) > 0.5 * len(flat) > 25 else "category"
        )
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


def _numbers(field: Field, kind: Kind, samples: Mapping[str, Sample], own: Sample, other: Sample | None) -> Facts:
    finite = own.values[np.isfinite(own.values)]
    borders, bins = _borders(finite, kind)
    shares = {
        part: _shares(drift.binned(sample.values[np.isfinite(sample.values)], borders))
        for part, sample in samples.items()
    }
    index, chance = None, 0.0
    if other is not None:
        index, chance = _drift(own, other, drift.binned_numbers(*map(_with_missing, (own, other))))
    about = _range(kind, finite, own)
    if kind == "picture":
        about = f"{own.shape} pixels; mean {about}"
    return Facts(field, kind, samples, len(np.unique(finite)), about, bins, shares, index, chance)


def _drift(own: Sample, other: Sample, counts: tuple[Array, Array]) -> tuple[float, float]:
    """Return how much the shares of two samples differ, and how much they would by chance, from the rows of each bin."""
    used = int(((counts[0] > 0) | (counts[1] > 0)).sum())
    return drift.stability(*counts), drift.by_chance(own.rows, other.rows, used)


def _with_missing(sample: Sample) -> Array:
    return np.append(sample.values, np.full(sample.missing, np.nan))


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


def _categories(field: Field, kind: Kind, samples: Mapping[str, Sample], own: Sample, other: Sample | None) -> Facts:
    counts = {part: _counted(sample.values) for part, sample in samples.items()}
    before, *afters = counts.values()
    top = [key for key, _ in before.most_common(TOP)]
    if len(before) <= _ORDERED and all(isinstance(key, int | float) for key in before):
        top = sorted(before, key=lambda key: float(key))  # type: ignore[arg-type]
    names = [str(key) for key in top]
    rest = {part: found.total() - sum(found.get(key, 0) for key in top) for part, found in counts.items()}
    bins = [*names, "all others"] if any(rest.values()) else names
    shares = {
        part: _shares(np.array([*(found.get(key, 0) for key in top), rest[part]][: len(bins)], float))
        for part, found in counts.items()
    }
    index, chance, unseen = None, 0.0, []
    if other is not None:
        after = afters[0]
        of_all = (Counter({**found, None: part.missing}) for found, part in ((before, own), (after, other)))
        index, chance = _drift(own, other, drift.binned_categories(*of_all))
        unseen = [(str(key), count) for key, count in after.most_common() if key not in before]
    return Facts(field, kind, samples, len(before), "", bins, shares, index, chance, unseen)


def _counted(values: Array) -> Counter[Hashable]:
    if values.dtype == object:
        return Counter(values.tolist())
    found, counts = np.unique(values, return_counts=True)
    pairs: list[tuple[Any, int]] = list(zip(found.tolist(), counts.tolist(), strict=True))
    return Counter(dict(pair for pair in pairs if pair[0] != MISSING_INTEGER))
