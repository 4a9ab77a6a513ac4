"""Split and weight checked rows, and copy them batch by batch into a program's buffers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from graphspec.base.arrays.memory import describe_map, mapped_files
from graphspec.base.arrays.pictures import Pictures, in_chunks, of_one_size
from graphspec.base.arrays.random import Orders, generator
from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import Code, Diagnostic, SpecError, did_you_mean
from graphspec.graph.kernels import compiled
from graphspec.graph.kernels.compiled import use_fast_kernel
from graphspec.graph.passes.for_program import MIN_WIDTH_PER_ID, only_multiplied
from graphspec.language.declarations import WEIGHT

if TYPE_CHECKING:
    from graphspec.data.series import Series
    from graphspec.graph.ir.graph import Array, Graph

Form: TypeAlias = "tuple[int, int]"  # of a batch: its rows, and the width of its lists
Loaded: TypeAlias = "tuple[Dataset | None, list[Diagnostic]]"  # rows, None after an error, and all problems
Feeds: TypeAlias = "Mapping[str, Array]"  # arrays by name

_GATHER_BYTES = 1 << 18  # bytes that are gathered before they are converted: they stay in the cache
_LARGEST = float(np.finfo(np.float32).max)


_PACKED: dict[str, Any] = {"texts": Strings, "pictures": Pictures}  # by what begins the names of their arrays
_PARTS = ("inputs", "targets", "weights", "lengths", "sizes")
_SORTED_BATCHES = 64  # batches whose rows are sorted by size, so that those of one batch have nearly the same


@dataclass(frozen=True)
class Times:
    """When the windows over series begin and end, by number of the point in time."""

    first: Array  # first, origin, last: of each row of the arrays, ``(n,)``. Row k begins at step k of ``series``
    origin: Array  # where the future begins
    last: Array
    count: int  # the number of different points in time
    series: Series
    past: int  # the steps of a window's past; ``future``, those that follow
    future: int
    whole: Array  # the rows that are windows, whatever the ``stride``: within one series, with all values, ``(m,)``
    filled: int = 0  # how many values were filled in, besides those of added steps


@dataclass
class Dataset:
    """Arrays of equal length that fit the graph. Narrow dtypes stay; the copy of a batch converts them.

    Inputs of text, and targets from which labels are learnt, are
    :class:`graphspec.base.arrays.strings.Strings`, and pictures of several sizes
    :class:`graphspec.base.arrays.pictures.Pictures`, which are annotated as arrays, and indexed like them.
    """

    inputs: dict[str, Array]
    targets: dict[str, Array] = field(default_factory=dict)
    weights: dict[str, Array] = field(default_factory=dict)  # sample weights by head, ``(N,)`` or one per time step
    lengths: dict[str, Array] = field(default_factory=dict)  # for CTC: ``<head>_length``, ``<head>_input_length``
    sizes: dict[str, Array] = field(default_factory=dict)  # by feed: how much of padded axis 1 a row fills, ``(N,)``
    chosen: Array | None = None  # the rows of the dataset, None for all; the arrays, maybe memory maps, are not indexed
    times: Times | None = None  # for windows over series, when they begin and end
    groups: Array | None = None  # the number of each row's group, ``(n,)``: rows of one stay together

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())) if self.chosen is None else self.chosen)

    def feeds(self) -> dict[str, Array]:
        """Return all arrays, with all their rows, by the names of the graph's inputs and targets."""
        return self.inputs | self.targets | {head + WEIGHT: w for head, w in self.weights.items()} | self.lengths

    def named(self) -> dict[str, Array]:
        """Return all arrays as ``<part>/<name>``, ``chosen`` and ``groups``: the argument of :meth:`of`."""
        named: dict[str, Array] = {}
        for part in _PARTS:
            for name, a in getattr(self, part).items():
                begin = next((b for b, kind in _PACKED.items() if isinstance(a, kind)), None)
                arrays = {} if begin is None else a.arrays()
                named |= {f"{begin}:{kind}/{part}/{name}": v for kind, v in arrays.items()} or {f"{part}/{name}": a}
        return named | {key: a for key in ("chosen", "groups") if (a := getattr(self, key)) is not None}

    @classmethod
    def of(cls, named: Feeds) -> Dataset:
        """Return the dataset of the arrays that :meth:`named` returned."""
        arrays: dict[tuple[str, str], dict[str, Array]] = {}
        for key, array in named.items():
            begin, _, rest = key.partition(":")
            if begin in _PACKED:
                kind, _, rest = rest.partition("/")
                arrays.setdefault((begin, rest), {})[kind] = array
        whole: dict[str, Any] = {name: _PACKED[begin].from_arrays(found) for (begin, name), found in arrays.items()}
        parts: dict[str, Any] = {part: {} for part in _PARTS}
        for key, array in {**named, **whole}.items():
            part, _, name = key.partition("/")
            if part in parts and name:
                parts[part][name] = array
        return cls(**parts, chosen=named.get("chosen"), groups=named.get("groups"))

    def of_groups(self) -> Array | None:
        """Return the number of each chosen row's group, None without groups."""
        return self.groups if self.groups is None or self.chosen is None else self.groups[self.chosen]

    def select(self, rows: Array) -> Dataset:
        """Return a dataset of the rows with these indices; nothing is copied."""
        return replace(self, chosen=rows if self.chosen is None else self.chosen[rows])

    def taken(self, rows: slice) -> Dataset:
        """Return a dataset whose arrays have these rows alone."""
        at = rows if self.chosen is None else self.chosen[rows]
        parts: dict[str, Any] = {part: {n: a[at] for n, a in getattr(self, part).items()} for part in _PARTS}
        return replace(self, **parts, chosen=None, times=None, groups=None)

    def longest_first(self) -> Array:
        """Return the numbers of the rows by the sizes of their lists: in this order, batches are padded least."""
        sizes = np.max(list(self.sizes.values()), axis=0)
        return np.argsort(-(sizes if self.chosen is None else sizes[self.chosen]), kind="stable")

    def sample(self, count: int) -> dict[str, Array]:
        """Return copies of at most ``count`` rows of every input, spread evenly over all rows, with pictures of one size."""
        alike = of_one_size(self.inputs.values(), np.arange(len(self)) if self.chosen is None else self.chosen)
        rows = alike[np.linspace(0, len(alike) - 1, min(count, len(alike))).astype(np.int64)]
        return {name: np.array(array[rows]) for name, array in self.inputs.items()}


def split(
    n: int, fraction: float, seed: int, classes: Array | None = None, groups: Array | None = None
) -> tuple[Array, Array]:
    """Return the indices of training rows and of validation rows, both in ascending order.

    Validation has ``round(fraction · n)`` rows, at least one, from a permutation keyed by the seed. With ``classes`` (one
    id per row) the split is stratified: classes contribute in proportion, by largest remainders; ties go to lower ids. The
    last row of a class stays in training, if there are enough others. With ``groups``, parts are those of :func:`deal`.

    Raises SpecError: GS508 if there are too few rows for both parts.
    """
    count = _held_out(n, fraction)
    order = generator(seed, "split").permutation(n)
    if groups is not None:
        chosen = deal(groups, (1 - fraction, fraction), order, classes) == 1
    elif classes is None:
        chosen = order[:count]
    else:
        ids, sizes = np.unique(classes, return_counts=True)
        quota = count * sizes / n
        take = np.floor(quota).astype(np.int64)
        remainders = np.round(quota - take, 9)  # rounding must not break ties
        last = take + 1 >= sizes  # a class keeps a row to learn from, if others have rows to spare
        take[np.lexsort((-remainders, last))[: count - take.sum()]] += 1
        shuffled = classes[order]
        chosen = np.concatenate([order[shuffled == k][:m] for k, m in zip(ids, take, strict=True)])
    in_validation = np.zeros(n, bool)
    in_validation[chosen] = True
    return np.flatnonzero(~in_validation), np.flatnonzero(in_validation)


def deal(groups: Array, shares: Sequence[float], order: Array, classes: Array | None = None) -> Array:
    """Return the part of each row, ``(n,)``, from 0, with all rows of a group in one part.

    Groups are dealt one by one, the largest first, those of one size in the ``order`` of their rows: each to the part that
    then lacks least, in squares of rows by what the part shall have; of each of the ``classes`` (one id per row), too.

    ``shares``: of the rows, by part. Raises SpecError: GS508, there are fewer groups than parts.
    """
    names, groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < len(shares):
        text = f"{len(names)} different groups of rows are too few for {len(shares)} parts"
        raise SpecError([Diagnostic(Code.TOO_FEW_ROWS, text, hint="use fewer `folds`, or remove `group`")])
    ids = np.zeros(len(groups), np.int64) if classes is None else np.unique(classes, return_inverse=True)[1] + 1
    counts = np.zeros((len(names), ids.max() + 1))
    np.add.at(counts, (groups, ids), 1)
    counts[:, 0] = sizes
    wanted = np.outer(shares, counts.sum(0))
    lacks, part = wanted.copy(), np.empty(len(names), np.int64)
    dealt = np.lexsort((np.unique(groups[order], return_index=True)[1], -sizes))
    for group in dealt:
        part[group] = k = int((counts[group] * (counts[group] - 2 * lacks) / wanted).sum(1).argmin())
        lacks[k] -= counts[group]
    for k in set(range(len(shares))) - set(part.tolist()):  # too small for any group: one of two parts
        part[dealt[-1]] = k
    return np.asarray(part[groups])


def _held_out(n: int, fraction: float) -> int:
    if n < 2:
        raise SpecError([Diagnostic(Code.TOO_FEW_ROWS, f"{n} rows cannot be split into training and validation rows")])
    return min(max(round(fraction * n), 1), n - 1)


def split_last(n: int, fraction: float) -> tuple[Array, Array]:
    """Split off the last ``round(fraction · n)`` rows, at least one, as :func:`split` does. Raises SpecError: GS508."""
    first = n - _held_out(n, fraction)
    return np.arange(first), np.arange(first, n)


def split_by_time(arrays: Dataset, fraction: float) -> tuple[Array, Array]:
    """Return the indices of training windows and of validation windows.

    Of T different points in time, the last ``round(fraction · T)``, at least one, are for validation: the future of a
    validation window is there, its past may be before; all values of a training window are before. Other windows belong to
    neither.

    Raises SpecError: GS508 if a part has no window.
    """
    times = arrays.times
    assert times is not None, "rows that are no windows have no time"
    border = times.count - min(max(round(fraction * times.count), 1), times.count - 1)
    chosen = slice(None) if arrays.chosen is None else arrays.chosen
    training, validation = np.flatnonzero(times.last[chosen] < border), np.flatnonzero(times.origin[chosen] >= border)
    if not len(training) or not len(validation):
        points, what = (times.count - border, "for") if len(training) else (border, "before")
        text = f"the {points} points in time {what} validation hold no whole {'future' if len(training) else 'window'}"
        hint = "use shorter windows, or another fraction for `split`"
        raise SpecError([Diagnostic(Code.TOO_FEW_ROWS, text, hint=hint)])
    return training, validation


def split_at_origins(arrays: Dataset, origins: int) -> tuple[Dataset, Dataset]:
    """Return training windows, and validation windows at rolling origins (Tashman, 2000).

    They are cut series by series, so that one network of many series is judged at the end of each of them. The futures of
    a series' validation windows lie one after the other, and the last of them ends with the series: at most ``origins``, or
    as many as the series has after its first past. Its training windows end before the first of them.

    Raises SpecError: GS508 if a part has no window.
    """
    times = arrays.times
    assert times is not None, "rows that are no windows have no time"
    groups, size = times.series.groups, times.past + times.future

    def left(rows: Array) -> tuple[Array, Array]:
        """Return how many steps follow each window, and how many of a series' last steps are for validation."""
        ends = np.searchsorted(groups, groups[rows], "right")
        fit = (ends - np.searchsorted(groups, groups[rows]) - times.past) // times.future
        return ends - rows - size, np.minimum(fit, origins) * times.future

    chosen = np.arange(len(times.first)) if arrays.chosen is None else arrays.chosen
    after, held = left(chosen)
    training = chosen[after >= held]
    after, held = left(times.whole)
    validation = times.whole[(after < held) & (after % times.future == 0)]
    if not len(training) or not len(validation):
        text = f"no series has a window before {origins} futures of {times.future} steps at its end"
        raise SpecError([Diagnostic(Code.TOO_FEW_ROWS, text, hint="use fewer `origins`, or shorter windows")])
    return replace(arrays, chosen=training), replace(arrays, chosen=validation)


def class_ids(y: Array) -> Array:
    """Return one class id per row, from ids ``(N,)`` or ``(N, 1)``, from 0/1 values, from one-hot rows, or from texts."""
    if isinstance(y, Strings):
        return np.asarray(np.unique(y[:].reshape(len(y), -1)[:, 0].astype(str), return_inverse=True)[1])
    if y.ndim == 2 and y.shape[1] > 1:
        return np.asarray(y.argmax(1))
    return np.rint(y.reshape(len(y), -1)[:, 0]).astype(np.int64)


def row_weights(
    class_weight: Mapping[Any, float] | Literal["balanced"],
    y: Array,
    classes: int,
    labels: Sequence[str] | None = None,
    ignored: int | None = None,
) -> Array:
    """Return the float32 weight of every row by its class: as given (default 1), or ``N / (classes · count)``.

    Rows of the class ``ignored`` have weight 1 and do not count in N.

    ``class_weight``: weights by class id or label, or ``balanced``; ``y``: the head's targets.

    Raises SpecError: GS405 for a class that does not exist.
    """
    ids = class_ids(y)
    counts = ids != ignored if ignored is not None else np.ones(len(ids), bool)
    table = np.ones(classes)
    if class_weight == "balanced":
        counted = ids[counts]
        table = len(counted) / (classes * np.maximum(np.bincount(counted, minlength=classes), 1))
    else:
        names = list(labels or ())
        for key, weight in class_weight.items():
            index = names.index(str(key)) if str(key) in names else int(key) if str(key).isdigit() else -1
            text = None
            if not 0 <= index < classes:
                text = f"`class_weight` has an unknown class {key!r}"
                hint = did_you_mean(str(key), names) or f"classes are 0 to {classes - 1}"
            elif isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= weight <= _LARGEST:
                text = f"the weight of class {key!r} must be a number from 0 on, got {weight!r}"
                hint = "classes without a weight have 1"
            if text is not None:
                raise SpecError([Diagnostic(Code.CLASSES_MISMATCH, text, hint=hint)])
            table[index] = weight
    weights = np.ones(len(ids), np.float32)
    weights[counts] = table.astype(np.float32)[ids[counts]]
    return weights


def in_batches(
    feeds: Feeds, size: int, run: Callable[[dict[str, Array]], Feeds], lists: Collection[str] = ()
) -> dict[str, Array]:
    """Call ``run`` for ``size`` rows at a time; join the results. Raises SpecError: GS501, a mapped file has changed.

    ``lists``: inputs of texts that are padded to the longest list: later calls get that of their rows, and results of
    several lengths are padded with 0, or with empty texts.
    """
    arrays = [a for f in feeds.values() for a in (f.arrays().values() if isinstance(f, Strings | Pictures) else (f,))]
    total, files, chunks = len(next(iter(feeds.values()))), mapped_files(arrays), list[Any]()
    parts: list[Feeds] = []
    for rows in in_chunks(feeds.values(), total, size):
        for file in files:
            file.check()
        part = {name: array[rows] for name, array in feeds.items()}
        parts.append(run(as_long(part, lists) if parts else part))  # the first one is as wide as all are
        chunks.append(rows)
    order = slice(None) if isinstance(chunks[0], slice) else np.argsort(np.concatenate(chunks))
    return {name: _joined([part[name] for part in parts])[order] for name in parts[0]}


def as_long(feeds: dict[str, Array], lists: Collection[str]) -> dict[str, Array]:
    """Return arrays in which lists of texts are padded to the longest of these rows."""
    longest = max((int((feeds[n] != "").any(0).nonzero()[0].max(initial=0)) + 1 for n in lists), default=0)
    return feeds if not lists else {n: array[:, :longest] if n in lists else array for n, array in feeds.items()}


def _joined(parts: Sequence[Array]) -> Array:
    """Join arrays of rows; those whose axis 1 is shorter are padded with zeros, or with empty texts."""
    if len({part.shape[1:] for part in parts}) == 1:
        return np.concatenate(parts)
    width, row = max(part.shape[1] for part in parts), 0
    found = np.zeros((sum(map(len, parts)), width, *parts[0].shape[2:]), np.result_type(*parts))
    for part in parts:
        found[row : row + len(part), : part.shape[1]] = part
        row += len(part)
    return found


def _take_into(array: Array) -> Any:
    """Return ``array.take``, or a function with its arguments ``(rows, axis 0, buffer, mode)`` that fills the buffer.

    ``take`` is the fastest, but it first copies an array that is not contiguous, or not aligned (as in archives).
    """
    if not array.flags.c_contiguous or not array.size:
        return lambda rows, _, out, __: np.copyto(out, array[rows])
    if array.flags.aligned:
        return array.take
    octets = array.reshape(len(array), -1).view(np.uint8)
    shape = -1, octets.shape[1]
    return lambda rows, axis, out, mode: octets.take(rows, axis, out.reshape(-1).view(np.uint8).reshape(shape), mode)


def step_of_widths(width: int) -> int:
    """Return a width of which there are few, four up to each double: a batch is padded to the next one.

    >>> step_of_widths(3), step_of_widths(18), step_of_widths(33)
    (4, 20, 40)
    """
    step = max(1 << (max(width - 1, 1).bit_length() - 3), 4) if width > 4 else 4
    return -(-width // step) * step


class BatchLoader:
    """Copies rows in batches; the seed and the epoch determine the order of an epoch.

    Rows of several ``sizes`` are padded to the longest of their batch. If rows are shuffled, those of a batch have nearly
    one size: of each 64 batches, the rows are sorted by it, and the batches are then shuffled.

    ``start`` an epoch, then ``copy`` its batches into a program's feeds. The last batch may be short.

    ``total``: the number of rows of an epoch, if ``arrays`` contain only the current batch (:meth:`scatter`).
    """

    def __init__(self, arrays: Dataset, batch_size: int, *, shuffle: bool, seed: int, total: int | None = None) -> None:
        self.batch_size, self.shuffle, self._orders = batch_size, shuffle, Orders(seed)
        self.dataset, self._arrays = arrays, arrays.feeds()
        self._n, self._holds_one_batch = len(arrays) if total is None else total, total is not None
        self.batches = -(-self._n // batch_size)
        self._order: Array | None = arrays.chosen
        sizes = [] if total is not None else list(arrays.sizes.values())
        self._sizes: Array | None = np.max(sizes, axis=0) if sizes else None
        self._padded = frozenset(arrays.sizes) if sizes else frozenset[str]()
        self._gather = {name: _take_into(a) for name, a in self._arrays.items()}
        self._scratch = {}
        for name, a in self._arrays.items():  # a whole batch would not fit into the cache
            rows = max(_GATHER_BYTES // max(a[:1].nbytes, 1), 1)
            self._scratch[name] = np.empty((min(rows, batch_size), *a.shape[1:]), a.dtype)

    def start(self, epoch: int) -> None:
        if self.shuffle:
            order, chosen = self._orders.of(epoch, self._n), self.dataset.chosen
            self._order = order if chosen is None else chosen[order]
            if self._sizes is not None:
                self._order = self._alike(self._order, self._sizes[self._order], order)

    def _alike(self, rows: Array, sizes: Array, drawn: Array) -> Array:
        """Return rows so that those of a batch have nearly one size; ``drawn`` are numbers in random order."""
        rows = rows[np.lexsort((sizes, np.arange(len(rows)) // (_SORTED_BATCHES * self.batch_size)))]
        whole = len(rows) // self.batch_size
        batches = rows[: whole * self.batch_size].reshape(whole, self.batch_size)
        return np.concatenate([batches[np.argsort(drawn[:whole])].reshape(-1), rows[whole * self.batch_size :]])

    def form(self, batch: int) -> Form:
        """Return the number of rows of a batch, and the width to which lists are padded, 0 without lists."""
        first = batch * self.batch_size
        rows = self.batch_size if first + self.batch_size <= self._n else self._n - first  # no call: every step asks
        if self._sizes is None:
            return rows, 0
        order = self._order
        own = slice(first, first + rows)
        return rows, step_of_widths(int(self._sizes[own if order is None else order[own]].max(initial=1)))

    def rows(self, batch: int) -> int:
        return min(self.batch_size, self._n - batch * self.batch_size)

    def shapes(self, rows: int, width: int = 0) -> dict[str, tuple[int, ...]]:
        """Return the shape of every feed of a batch of ``rows`` rows, where lists are padded to a ``width``."""
        found = {name: (rows, *array.shape[1:]) for name, array in self._arrays.items()}
        return found | {n: (rows, min(width, found[n][1]), *found[n][2:]) for n in self._padded if width}

    def copy(self, batch: int, feeds: Feeds) -> None:
        self.filler(feeds, slice(0, self.rows(batch)))(batch)

    def scatter(self, batch: int, first: int, arrays: Feeds) -> None:
        """Copy the rows of a batch from ``first`` on into arrays for one batch, by the names of :meth:`Dataset.feeds`."""
        rows = slice(first, self.rows(batch))
        self.filler({name: array[rows] for name, array in arrays.items()}, rows)(batch)

    def filler(self, feeds: Feeds, part: slice) -> Callable[[int], None]:
        """Return a function of a batch's index that copies its rows ``part`` into the buffers that a program reads.

        Feeds without an array stay as they are. The function checks first that no memory-mapped file has changed.
        """
        fill = self._unchecked_filler(feeds, part)
        files = mapped_files(self._arrays[n] for n in feeds if n in self._arrays)

        def check_and_fill(batch: int) -> None:
            for file in files:
                file.check()
            fill(batch)

        return check_and_fill if files else fill

    def _unchecked_filler(self, feeds: Feeds, part: slice) -> Callable[[int], None]:
        pairs = [(self._arrays[name], buffer, name) for name, buffer in feeds.items() if name in self._arrays]
        step = 0 if self._holds_one_batch else self.batch_size
        cut = [(array[:, : buffer.shape[1]], buffer) for array, buffer, name in pairs if name in self._padded]
        pairs = [pair for pair in pairs if pair[2] not in self._padded]
        in_order = not self.shuffle and self._order is None
        if compiled.LIBRARY is not None and not cut:  # one call for all feeds, if none is converted
            copy: Callable[..., None] | None = compiled.LIBRARY.rows(step, part.start, [pair[:2] for pair in pairs])
            if copy is not None:
                return copy if in_order else lambda batch: copy(batch, self._order)
        if in_order:

            def fill(batch: int) -> None:
                own = slice(batch * step + part.start, batch * step + part.stop)
                for array, buffer, _ in pairs:
                    buffer[...] = array[own]  # half the time of np.copyto for a few rows
                for array, buffer in cut:
                    buffer[...] = array[own]

            return fill
        alike = [(self._gather[name], buffer) for array, buffer, name in pairs if array.dtype == buffer.dtype]
        others = [(name, buffer) for array, buffer, name in pairs if array.dtype != buffer.dtype]
        first, count = part.start, part.stop - part.start

        def gather(batch: int) -> None:
            start = batch * step + first
            rows = self._order[start : start + count]  # type: ignore[index]
            for take, buffer in alike:
                take(rows, 0, buffer, "clip")
            for name, buffer in others:
                self._convert(name, rows, buffer)
            for array, buffer in cut:
                np.copyto(buffer, array[rows], casting="unsafe")

        return gather

    def _convert(self, name: str, rows: Array, buffer: Array) -> None:
        take, scratch = self._gather[name], self._scratch[name]
        for first in range(0, len(rows), len(scratch)):
            part = rows[first : first + len(scratch)]
            take(part, 0, scratch[: len(part)], "clip")
            np.copyto(buffer[first : first + len(part)], scratch[: len(part)], casting="unsafe")


# Sparse bool inputs are stored as the column indices of their ones; a matmul then becomes a sum of weight rows.
_SEARCH_BYTES = 1 << 24  # bytes searched at a time


def as_indices(graph: Graph, arrays: Dataset) -> Dataset:
    """Replace sparse bool inputs that only matmuls read by the indices of their ones; memory-mapped files stay."""
    found = {}
    for name in only_multiplied(graph) if use_fast_kernel(True) else ():
        array = arrays.inputs.get(name)
        if array is None or array.dtype != np.bool_ or describe_map(array) is not None:
            continue
        if (indices := indices_of_ones(array)) is not None:
            found[name] = indices
    return replace(arrays, inputs=arrays.inputs | found) if found else arrays


def indices_of_ones(rows: Array) -> Array | None:
    """Return the column indices of the ones in bool rows (n, width): an array (n, k), padded with ``width``.

    k is the largest number of ones in a row. Return None if k is 0, or above ``width // MIN_WIDTH_PER_ID``, where a matmul
    is faster.
    """
    n, width = rows.shape
    limit = width // MIN_WIDTH_PER_ID
    step = max(_SEARCH_BYTES // max(width, 1), 1)
    chunks = [rows[start : start + step] for start in range(0, n, step)]
    counts = []
    for chunk in chunks:
        counts.append(np.count_nonzero(chunk, axis=1))
        if counts[-1].max() > limit:
            return None
    longest = max((int(c.max()) for c in counts), default=0)
    if longest == 0:
        return None
    indices = np.full((n, longest), width, np.int32)
    for start, chunk, count in zip(range(0, n, step), chunks, counts, strict=True):
        row, column = chunk.nonzero()
        indices[start + row, np.arange(len(row)) - (np.cumsum(count) - count)[row]] = column
    return indices
