"""Values that are probably not meant: columns that give away the target, texts that are no dates, numbers far off."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import Code, Diagnostic, Problem
from graphspec.data.profile import FAR, Profile, Values, read_values
from graphspec.data.source import Tally
from graphspec.data.targets import places_of
from graphspec.vocabulary.layers.columns import Impute
from graphspec.vocabulary.layers.dates import DateParts, is_date

if TYPE_CHECKING:
    from graphspec.data.batches import Dataset
    from graphspec.data.database import Table
    from graphspec.data.files import Files
    from graphspec.graph.ir.graph import Array
    from graphspec.language.declarations import DataSource, Spec

# Columns that give away the target: copies of it, columns or gaps that determine it, numbers that add up to it.
_MAX_NUMBERS = 64  # columns of numbers whose sums are looked at
_CHANCE = math.log(1e-9)  # log of the probability below which something is no accident
_FEW = 50  # ranges of fewer rows may be apart by chance, or because a measurement really tells the classes apart
_EXPLAINED = 0.95  # part of the answer that gaps alone must give away


def leaks(table: Table | Files, profile: Profile, target: str, *, classes: bool) -> dict[str, str]:
    """Return the columns of a table that give away the target, each with how, as :func:`giving_away` finds them.

    ``target``: the target's column; ``classes``: whether its values are classes, not numbers.

    Raises DataError: GS501 if the table cannot be read.
    """
    relation = table.relation()
    useless = {name for name, c in profile.columns.items() if c.kind in ("list", "other", "empty") or c.constant}
    with relation.reading():
        found = read_values(relation, [c for n, c in profile.columns.items() if n == target or n not in useless])
    return giving_away(found, found.pop(target), classes=classes)


def giving_away(columns: Mapping[str, Values], target: Values, *, classes: bool) -> dict[str, str]:
    """Return the columns that give away the target, each with how.

    A column counts only if that is no accident: one that is different in every row determines everything.
    """
    found = {name: why for name, column in columns.items() if (why := _why(column, target, classes)) is not None}
    return found if classes else found | _sums(columns, target, found)


def _why(column: Values, target: Values, classes: bool) -> str | None:
    """Return how a single column gives away the target, None if it does not."""
    known = target.codes >= 0
    both = known & (column.codes >= 0)
    same = column.distinct == target.distinct
    if classes and column.numbers is not None and not same and _apart(column.numbers[both], target.codes[both]):
        return "determines the target: the numbers of each class are a range of their own"
    if _determines(column.codes[both], target.codes[both]):
        return "is the target in other words" if same else "determines the target: each value occurs with one only"
    missing = column.codes[known] < 0
    if missing.all() or not missing.any() or len(missing) < _FEW:
        return None
    if classes:
        return _by_gaps(missing, target.codes[known], target.names)
    if target.numbers is None:
        return None
    numbers = target.numbers[known]
    missing, numbers = missing[np.isfinite(numbers)], numbers[np.isfinite(numbers)]
    if not missing.any() or missing.all() or not numbers.var():
        return None
    if np.corrcoef(missing, numbers)[0, 1] ** 2 < _EXPLAINED:  # r² of the two
        return None
    return "gives away the target by its gaps: they explain nearly all differences of the target"


def _by_gaps(missing: Array, targets: Array, names: Sequence[str]) -> str | None:
    """Return the words for gaps that say what the class is."""
    size = int(targets.max()) + 1
    without, having = (np.bincount(targets[where], minlength=size) for where in (missing, ~missing))
    rate = missing.mean()
    chance = np.logaddexp(math.log(rate) * (without + having), math.log1p(-rate) * (without + having)).sum()
    fewest = min(without.sum(), having.sum())
    if np.minimum(without, having).sum() > (1 - _EXPLAINED) * fewest or chance > _CHANCE:
        return None
    filled, empty = np.flatnonzero(having > without), np.flatnonzero(without > having)
    few, what = (filled, "has a value") if len(filled) <= len(empty) else (empty, "is empty")
    some = " or ".join(f"'{names[k][:40]}'" for k in few[:3]) + (" …" if len(few) > 3 else "")
    return f"gives away the target by its gaps: it {what} only where the target is {some}"


def _determines(codes: Array, targets: Array) -> bool:
    if not len(codes):
        return False
    values = len(np.unique(codes))
    if len(np.unique(codes * (int(targets.max()) + 1) + targets)) > values:
        return False
    share = float(np.bincount(targets).max() / len(targets))
    return share < 1 and (len(codes) - values) * math.log(share) < _CHANCE


def _apart(numbers: Array, targets: Array) -> bool:
    """Return whether the numbers of every class lie between those of two others."""
    numbers, targets = numbers[np.isfinite(numbers)], targets[np.isfinite(numbers)]
    total = len(numbers)
    if total < _FEW:
        return False
    order = np.argsort(targets, kind="stable")
    counts = np.bincount(targets)
    counts = counts[counts > 0]
    begins = np.cumsum(counts) - counts
    low, high = (f.reduceat(numbers[order], begins) for f in (np.minimum, np.maximum))
    ranges = sorted(zip(low.tolist(), high.tolist(), strict=True))  # by their lower ends
    if any(before >= after for (_, before), (after, _) in pairwise(ranges)):
        return False
    ways = math.lgamma(total + 1) - sum(math.lgamma(n + 1) for n in counts.tolist())
    return math.lgamma(len(ranges) + 1) - ways < _CHANCE


def _sums(columns: Mapping[str, Values], target: Values, found: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of numbers of which the target is a sum, with any factors."""
    of = {name: c.numbers for name, c in columns.items() if name not in found and c.numbers is not None}
    names = list(of)[:_MAX_NUMBERS]
    if not names or target.numbers is None:
        return {}
    numbers = np.stack([*(of[name] for name in names), target.numbers])
    numbers = numbers[:, np.isfinite(numbers).all(0)]
    if numbers.shape[1] < 2 * len(names) + 10:
        return {}
    covariance = np.atleast_2d(np.cov(numbers, bias=True))
    deviations = np.sqrt(np.diag(covariance))
    if not (deviations > 0).all():
        return {}
    correlation = covariance / np.outer(deviations, deviations)
    weights = np.linalg.lstsq(correlation[:-1, :-1], correlation[:-1, -1], rcond=1e-9)[0]
    if 1 - weights @ correlation[:-1, -1] > 1e-6:
        return {}
    parts = [name for name, weight in zip(names, weights, strict=True) if abs(weight) > 1e-3]
    if len(parts) == 1:
        return {parts[0]: "is the target in another unit"}
    few = " and ".join(parts) if len(parts) < 4 else f"{', '.join(parts[:3])}, …"
    return dict.fromkeys(parts, f"is a part of the target: {few} add up to it")


# Warn of values that an input probably does not mean: texts that are no dates, numbers that hide all others.
_CHUNK = 1 << 14  # texts that are unpacked at a time


def odd_values(spec: Spec, source: DataSource, data: Dataset) -> list[Diagnostic]:
    """Return warnings: GS510 for texts that are no dates, GS505 for numbers that may be markers of missing values."""
    return [found.as_warning() for found in (*_no_dates(spec, source, data), *_far_numbers(spec, source, data))]


def _no_dates(spec: Spec, source: DataSource, data: Dataset) -> Iterator[Diagnostic]:
    """Yield GS510 for each input of DateParts with texts that are not dates of its format: they count as missing."""
    for node in spec.nodes:
        if not isinstance(node.layer, DateParts) or not node.inputs or node.inputs[0] is None:
            continue
        name, form = node.inputs[0].name, node.layer.format
        texts = data.inputs.get(name)
        if not isinstance(texts, Strings):
            continue
        tally, fits = Tally("has texts that are not dates"), {"": True}  # equal texts are read once
        for start in range(0, len(texts), _CHUNK):
            for row, text in enumerate(texts[start : start + _CHUNK].reshape(-1).tolist(), start):
                if text not in fits:
                    fits[text] = is_date(text, form)
                if not fits[text]:
                    tally.add(row, text)
        if tally.rows:
            hint = f'set `format`, such as `format: "%d/%m/%Y"`; it is now {form or "ISO 8601"}'
            problem = Problem(Code.UNREADABLE_DATE, tally.text(len(texts), places_of(source)), hint)
            yield Diagnostic.of(f"input '{name}'", problem, source.tree.mark, path=source.tree.path)


def _far_numbers(spec: Spec, source: DataSource, data: Dataset) -> Iterator[Diagnostic]:
    """Yield GS505 for each number column with a value of at least 2**53 that hides all others."""
    filled = [node for node in spec.nodes if isinstance(node.layer, Impute) and node.inputs[0] is not None]
    marked = {node.inputs[0].name: node.layer.missing_values for node in filled}  # type: ignore[union-attr]
    for name, declared in spec.inputs.items():
        array = data.inputs.get(name)
        if ".columns." not in declared.tree.path or not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            continue
        markers = [float(value) for value in marked.get(name, ()) if not isinstance(value, str)]
        tally = Tally("has numbers beside which all others are equal after scaling")
        if len(array):
            own = np.where(np.isin(array, np.asarray(markers, array.dtype)), np.nan, array)
            sizes = np.abs(own).astype(np.float64)  # holds the limit
            far = np.asarray(sizes >= FAR)
            tally.add_block(0, array, far & (sizes >= 1e6 * float(np.nanquantile(sizes, 0.75))) if far.any() else far)
        if tally.rows:
            few = ", ".join(f"{value:g}" for value in tally.examples)
            hint = f"correct them, or write `missing_values: [{few}]` if they mark a missing value"
            problem = Problem(Code.MISSING_VALUE, tally.text(len(array), places_of(source)), hint)
            yield Diagnostic.of(f"column '{declared.column or name}'", problem, declared.mark, path=declared.tree.path)
