"""What simple rules answer for the judged rows: the answers with which a network has to compare.

A baseline is a name and its answers, in the form and the unit of the head's own answers, so that every measure of the
network is computed for it by the same code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from graphspec.data.batches import Dataset
from graphspec.data.series import Series, steps_between
from graphspec.data.targets import with_class_ids
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.prepared_rows import has_networks
from graphspec.engine.runtime.session import Session
from graphspec.graph.cuts import by_row, part_of
from graphspec.graph.ir.dims import has_rows
from graphspec.graph.ir.graph import Array, Value
from graphspec.graph.ops import OPS
from graphspec.graph.target import Target
from graphspec.language.declarations import MICROSECONDS, DataSource, Every
from graphspec.show.report.charts import amount
from graphspec.show.report.kinds import Flat, flatten, softmax
from graphspec.show.report.rows import evenly, prepared_in_memory, taken
from graphspec.show.report.scored import HeadAnswers, Scored
from graphspec.vocabulary.losses.loss import gives_probabilities, producer
from graphspec.vocabulary.metrics.metric import has_logits

# The simplest forecasts of a series: its last known value, and its value one day, week or year before.
#
# The periods follow from the step of the column of time: an hourly series has a day of 24 steps and a week of 168, a monthly
# one has a year of 12. A value is looked up by its time, not by its row, so that a gap in the series shifts nothing.
LAST = "the last known value"
_HOUR, _DAY, _WEEK = (MICROSECONDS[unit] for unit in ("h", "d", "w"))
_CALENDAR = (Every(1, "month"), Every(3, "month"), Every(1, "y"))


class Grid(NamedTuple):
    """The place of each row on the even grid of its times, ``(rows,)``, and the seasons of its step."""

    places: Array
    seasons: dict[str, int]  # periods after which it may repeat itself, in steps, by the words for the value before it

    def look_up(self, values: Array, groups: Array, of: Array, places: Array) -> Array:
        """Return values at some places of the groups ``of`` some rows, NaN where there are none; ``groups``: of all rows."""
        size = int(self.places.max()) + 1
        keys = groups * size + self.places  # sorted, as the rows are
        at = np.minimum(np.searchsorted(keys, of * size + places), len(keys) - 1)
        hit = (self.places[at] == places) & (groups[at] == of)
        return np.where(hit[..., None], values[at], np.nan)


def grid_of(series: Series, season: Sequence[int] = ()) -> Grid | None:
    """Return the grid of the step that most neighbours of a series are apart; None without one, or without a season.

    The seasons follow from the step of dates, unless the spec says what the ``season`` is; other times have no others.
    """
    dated, rows = series.clock is not None and series.clock.dated, len(series.times)
    own = series.groups[1:] == series.groups[:-1]
    for every in (*(_CALENDAR if dated else ()), *([series.every] if series.every else ())) if rows else ():
        places = steps_between(series.times.min(), series.times, every)
        if (dated or season) and 2 * np.count_nonzero(np.diff(places)[own] == 1) > np.count_nonzero(own):
            break
    else:
        if not rows or not season or series.clock is not None:
            return None
        every, places = None, np.arange(rows) - np.searchsorted(series.groups, series.groups)
    words = {steps: name for name, steps in (_seasons(every) if every and dated else {}).items()}
    return Grid(places, {words.get(steps, f"the value {steps} steps before"): steps for steps in season or words})


def _seasons(every: Every) -> dict[str, int]:
    """Return the seasons of an even step: those that are whole numbers of steps, at least two."""
    if every.months in (1, 3):
        return {f"the same {'month' if every.months == 1 else 'quarter'} one year before": 12 // every.months}
    if every.months:
        return {}
    step = every.size
    if step == _WEEK:
        return {"the same week one year before": 52}
    what = "hour" if step == _HOUR else "day" if step == _DAY else "time" if step < _DAY else "week"
    periods = (("day", _DAY), ("week", _WEEK)) if step < _DAY else (("week", _WEEK), ("year", 365 * _DAY))
    whole = [(name, size // step) for name, size in periods if size % step == 0]
    return {f"the same {what} one {name} before": steps for name, steps in whole if steps > 1}


def before(values: Array, groups: Array, grid: Grid | None, last: Array, rows: Array) -> dict[str, Array]:
    """Return what each simple rule answers, ``(n, horizon, columns)`` by its name, NaN where it has no value.

    Args:
        values: the series, ``(rows, columns)``, in the order of its ``groups``, ``(rows,)``, and of time.
        grid: None for the last known value alone.
        last: the row of the last known value of each forecast, ``(n,)``; ``rows`` are forecast, ``(n, horizon)``.
    """
    found = {LAST: np.repeat(values[last][:, None], rows.shape[1], axis=1)}
    if grid is None or not len(rows):
        return found
    ahead = grid.places[rows] - grid.places[last][:, None]
    for name, steps in grid.seasons.items():
        wanted = grid.places[rows] - steps * -(-ahead // steps)
        answers = grid.look_up(values, groups, groups[rows], wanted)
        if np.isfinite(answers).any():
            found[name] = answers
    return found


_ROWS, _VALUES = 50_000, 1 << 22  # training rows, and values of them, that a constant answer is learnt from
_SURE = 1e-7  # a probability for which there is a logit


class Baseline(NamedTuple):
    """A simple rule."""

    name: str  # what it answers, in words: ``the same hour one week before``
    # for the kept rows, of the shape, the form and the unit of the head's ``answers``; NaN where it has none
    answers: Array
    term: str = ""  # what a forecast by it is called


def baselines(
    judged: Scored, name: str, source: DataSource | None = None, train: Array | None = None
) -> list[Baseline]:
    """Return what simple rules answer in place of a head; nothing for a head of sequences, of groups or without targets.

    Classes have the most frequent one and the shares of all, numbers their mean and their median, forecasts also the last
    known value and the value one day, week or year before. Without the targets of training rows (:func:`training_targets`),
    the constants are those of the judged rows, which no network can know.
    """
    head = judged.heads[name]
    if head.targets is None or not len(head.answers):
        return []
    flat = flatten(head)
    return [*_forecasts(judged, name, source), *_constants(head, flat, train)] if len(flat.scores) else []


def training_targets(model: Session, train: Dataset | None) -> dict[str, Array]:
    """Return the targets of training rows by head, as losses read them; of very many rows, some, spread evenly."""
    if train is None or not len(train):
        return {}
    most = max((array.nbytes // max(len(array), 1) for array in train.targets.values()), default=1)
    rows = evenly(len(train), max(min(_ROWS, 4 * _VALUES // max(most, 1)), 1))
    chosen = taken(Dataset({}, train.targets, chosen=train.chosen), rows)
    return with_class_ids(chosen, model.labels, model.needed.targets, model.needed.ctc).targets


def answering(head: HeadAnswers, answers: Array, rows: Array) -> HeadAnswers:
    """Return what a head would be if it answered ``answers``, for some of its kept rows."""
    assert head.targets is not None
    mask, losses, scale = (None if of is None else of[rows] for of in (head.mask, head.losses, head.scale))
    lengths = {key: array[rows] for key, array in head.lengths.items()}
    kept = replace(head, answers=answers[rows], targets=head.targets[rows], mask=mask, losses=losses, lengths=lengths)
    return replace(kept, scale=scale)


def _constants(head: HeadAnswers, own: Flat, train: Array | None) -> list[Baseline]:
    known, whose = own, f"these {own.noun}s"
    if train is not None and head.mask is None and len(train):
        shape = (len(train), *head.answers.shape[1:])
        like = replace(head, answers=np.broadcast_to(np.float32(0), shape), targets=train, losses=None, lengths={})
        learnt = flatten(like) if head.answers[:1].size * len(train) <= 8 * _VALUES else own
        if learnt.kind == own.kind and len(learnt.true):
            known, whose = learnt, "the training rows"
    found: list[Baseline] = []
    if own.kind == "numbers":
        for what, value in (("mean", known.true.mean(0)), ("median", np.median(known.true, axis=0))):
            always = f"always {amount(float(value[0]))}, " if value.size == 1 else ""
            found.append(Baseline(f"{always}the {what} of {whose}", in_form_of(head, own, value)))
        return found
    if own.kind == "classes":
        shares = np.bincount(known.true, minlength=own.scores.shape[-1]) / len(known.true)
        answer = np.eye(len(shares))[shares.argmax()]
    elif own.kind in ("binary", "labels"):
        shares = np.atleast_1d(known.true.mean(0))
        answer = (shares > 0.5).astype(np.float64)
    else:
        return found
    name = "for each label always the more frequent answer"
    if own.kind != "labels":
        name = f"always '{own.labels[int(answer.argmax() if own.kind == 'classes' else answer[0])]}'"
    found.append(Baseline(name, in_form_of(head, own, answer)))
    if own.probabilities:
        found.append(Baseline(f"the shares of {whose}", in_form_of(head, own, shares)))
    return found


def in_form_of(head: HeadAnswers, flat: Flat, values: Array) -> Array:
    """Return answers for all rows, or one for all: probabilities as the logits that the head has in their place."""
    loss, answers = head.head.loss, head.answers
    assert loss is not None
    if has_logits(loss) and not gives_probabilities(producer(head.value)):
        sure = values.clip(_SURE, 1 - _SURE)
        values = np.log(sure) if flat.kind == "classes" else np.log(sure) - np.log1p(-sure)
    elif flat.kind in ("binary", "labels") and not flat.probabilities:
        values = 2 * values - 1  # scores, compared with 0
    axis = loss.class_axis(head.value)
    if flat.kind == "classes" and axis not in (None, answers.ndim - 1) and answers.ndim > 1:
        values = values.reshape(-1, *(1,) * (answers.ndim - 1 - axis))
    values = np.asarray(values, np.float64)
    return values.reshape(answers.shape) if values.size == answers.size else np.broadcast_to(values, answers.shape)


def _forecasts(judged: Scored, name: str, source: DataSource | None) -> list[Baseline]:
    """Return the last known value and the seasonal values of a head whose target is the future of a series."""
    head, times = judged.heads[name], judged.raw.times
    values = _series(judged.raw, name, source)
    if values is None or times is None or source is None or source.windows is None or not _is_forecast(head):
        return []
    past, horizon = source.windows.length, source.windows.horizon
    starts = judged.places
    rows = starts[:, None] + np.arange(past, past + horizon)
    if rows.size * values.shape[1] != head.answers.size:
        return []
    grid = grid_of(times.series, source.windows.seasons)
    found = before(values, times.series.groups, grid, starts + past - 1, rows)
    terms = {rule: "the naive forecast" if rule == LAST else "the seasonal naive forecast" for rule in found}
    return [Baseline(rule, answers.reshape(head.answers.shape), terms[rule]) for rule, answers in found.items()]


def _is_forecast(head: HeadAnswers) -> bool:
    fits = head.targets is not None and head.mask is None and head.targets.size == head.answers.size
    return fits and len(head.answers) > 0 and flatten(head).kind == "numbers"


def scale_of(
    judged: Scored, name: str, source: DataSource | None, train: Dataset | None, *, after: bool
) -> Array | None:
    """Return by what the errors of forecasts are divided for MASE, in the form of the answers; None for other heads.

    It is the mean of ``|y[t] - y[t - m]|`` of each series and column over the rows before the judged ones, those of the
    training. The season m is the one of the step with the lowest mean; 1 without any. A series that is not among these
    rows, or that repeats itself exactly, has NaN. ``after``: the judged rows are in the same table, after those.

    Source: Hyndman and Koehler, *Another look at measures of forecast accuracy*, 2006.
    """
    head, own = judged.heads[name], judged.raw.times
    values = None if train is None else _series(train, name, source)
    if values is None or train is None or train.times is None or own is None or not _is_forecast(head):
        return None
    assert source is not None
    assert source.windows is not None
    series, rows = train.times.series, np.arange(len(values))
    begins = np.searchsorted(series.groups, np.arange(len(series.names)))
    grid = grid_of(series, source.windows.seasons) or Grid(rows - begins[series.groups], {})
    if after:
        first = np.full(len(begins), len(values))
        futures = (np.arange(len(judged.raw)) if judged.raw.chosen is None else judged.raw.chosen) + own.past
        np.minimum.at(first, series.groups[futures], futures)
        values = np.where((rows < first[series.groups])[:, None], values, np.nan)
    scales = []
    for steps in grid.seasons.values() or (1,):
        errors = np.abs(values - grid.look_up(values, series.groups, series.groups, grid.places - steps))
        known = np.isfinite(errors)
        total, count = (np.add.reduceat(of, begins, 0) for of in (np.where(known, errors, 0), known.astype(int)))
        if known.any():
            scales.append((float(errors[known].mean()), np.where(total > 0, total, np.nan) / np.maximum(count, 1)))
    if not scales:
        return None
    numbers = {group: k for k, group in enumerate(series.names)}
    at = [numbers.get(own.series.names[k], -1) for k in own.series.groups[judged.places].tolist()]
    scale = np.pad(min(scales, key=lambda one: one[0])[1], ((0, 1), (0, 0)), constant_values=np.nan)[at]
    return np.repeat(scale, source.windows.horizon, axis=0).reshape(head.answers.shape)


def mase(head: HeadAnswers, answers: Array, rows: Array) -> float:
    """Return the mean absolute scaled error of answers for some kept rows; NaN without a scale."""
    if head.scale is None or head.targets is None:
        return math.nan
    errors = (np.abs(answers - head.targets.reshape(answers.shape)) / head.scale)[rows]
    return float(np.nanmean(errors)) if np.isfinite(errors).any() else math.nan


def _series(rows: Dataset, name: str, source: DataSource | None) -> Array | None:
    """Return the values of a target at each step of the series, ``(steps, columns)``; None if it is not their future."""
    times, whole = rows.times, rows.targets.get(name)
    if times is None or source is None or source.windows is None or not isinstance(whole, np.ndarray):
        return None
    past, horizon = source.windows.length, source.windows.horizon
    if not np.issubdtype(whole.dtype, np.number) or whole[:1].size % horizon or not len(whole):
        return None
    futures = whole.reshape(len(whole), horizon, -1)
    values = np.full((len(times.series.rows), futures.shape[-1]), np.nan)
    values[past : past + len(futures)] = futures[:, 0]
    values[past + len(futures) :] = futures[-1, 1:]
    _begin(values, rows, name, source)
    return values


def _begin(values: Array, rows: Dataset, name: str, source: DataSource) -> None:
    """Write the values of the first past, which no target has, if an input has the target's columns."""
    target = (source.targets or {}).get(name)
    wanted = [target] if isinstance(target, str) else list(target or ())
    assert source.windows is not None
    for key, columns in (source.inputs or {}).items():
        if source.windows.reading(key) != "past":
            continue
        own = [columns] if isinstance(columns, str) else list(columns)
        array = rows.inputs.get(key)
        if wanted and isinstance(array, np.ndarray) and array.dtype.kind == "f" and set(wanted) <= set(own):
            first = array[0].reshape(source.windows.length, -1)
            if first.shape[1] == len(own):
                values[: len(first)] = first[:, [own.index(column) for column in wanted]]
                return


# A linear model beside a network: fitted to the same training rows, within fixed counts, it answers the judged rows.
LINEAR = "a linear model"
_ROWS, _WIDTH, _VALUES, _PRODUCTS = 20_000, 1_000, 1 << 22, 1 << 24  # at most; products: values times classes
_ONE_HOT, _NUMBERS = 50, ("float32", "bool")  # values of an id, of which one with more is left out; the other dtypes
_STEPS, _EXACT = 200, 1e-5  # at most, and the gradient for each row that ends them


def linear(model: Session, judged: Scored, train: Dataset | None, folds: int = 0) -> dict[str, list[Baseline]]:
    """Return the answers of a linear model by head: of one class, yes or no, or numbers for each row.

    Numbers have scikit-learn's ``Ridge()``, classes its ``LogisticRegression()``, without weights of rows. There is none for
    pictures, sequences and windows, for wide rows, and for judged training rows, which it would know. With ``folds``, the
    judged rows are those of ``train`` by number, and row i is answered by a model without the rows j ≡ i modulo folds; of
    groups, i and j are the numbers.
    """
    heads = {name: head for name, head in judged.heads.items() if head.mask is None and head.answers.ndim <= 2}
    read, found = _read(model), dict[str, list[Baseline]]()
    width = sum(_ONE_HOT if v.dtype not in _NUMBERS else int(v.shape[-1]) if v.rank > 1 else 1 for v in read.values())
    apart = judged.raw.times is None and (judged.part != "train" or folds > 0)
    if train is None or not apart or not heads or not 0 < width <= _WIDTH:
        return {}
    products = width * max(head.answers[:1].size for head in heads.values())
    rows = evenly(len(train), min(_ROWS, _VALUES // width, _PRODUCTS // max(products, 1)))
    known = prepared_in_memory(model, taken(train, rows))
    x, z = _columns(model, read, known, prepared_in_memory(model, replace(taken(judged.raw, judged.rows), targets={})))
    for name, head in heads.items() if x.size else ():
        nothing = np.broadcast_to(np.float32(0), (len(rows), *head.answers.shape[1:]))
        like = replace(head, answers=nothing, targets=known.targets.get(name), losses=None, lengths={})
        own, flat = flatten(head), flatten(like)
        y, solve = flat.true, {"numbers": _ridge, "classes": _logistic, "binary": _logistic}.get(own.kind)
        if solve is None or own.kind != flat.kind or len(y) != len(rows):  # some have no target, or a class apart
            continue
        if solve is _logistic:
            y = (y[:, None] == np.arange(len(own.labels))).astype(np.float64)
        values = np.zeros((len(z), y.shape[1]))
        groups = train.of_groups() if folds else None
        known_of, asked_of = (r if groups is None else groups[r] for r in (rows, judged.rows))
        for k in range(of := folds or 1):
            fit, asked = (known_of % of != k) | (not folds), asked_of % of == k
            values[asked] = solve(x[fit], y[fit], z[asked])
        found[name] = [Baseline(LINEAR, in_form_of(head, own, values[:, 1] if own.kind == "binary" else values))]
    return found


def _read(model: Session) -> dict[str, Value]:
    """Return what is computed before anything trained or random, such as a record's vector; nothing if one is no vector."""
    if any(v.rank > 2 for v in model.whole.inputs.values()) or (model.prelude and has_networks(model.prelude)):
        return {}
    nodes = model.graph.needed(model.graph.outputs.values())
    fixed = by_row(nodes)
    sources = [_vector(v) for node in nodes if node.name not in fixed for v in node.sources if has_rows(v.shape)]
    read = {v.name: v for v in sources if v.kind == "input" or (v.node is not None and v.node.name in fixed)}
    wide = [v for v in read.values() if v.shape[1:] not in ((), (1,))]
    return read if all(v.rank == 2 and isinstance(v.shape[1], int) and v.dtype in _NUMBERS for v in wide) else {}


def _vector(value: Value) -> Value:
    """Return what a value is a view of, if that is a vector: members of a network read one with an axis more."""
    while value.rank > 2 and value.node is not None and OPS[value.node.op].is_view:
        value = value.node.sources[0]
    return value


def _columns(model: Session, read: dict[str, Value], *parts: Dataset) -> list[Array]:
    """Return the columns of training rows and of other rows, ``(n, width)``, scaled by what the training rows show.

    They are standardized; if more than half are 0, as in a one-hot vector, divided by the largest.
    """
    part, found, columns = part_of(model.graph, read, ()), [], [[np.zeros((len(rows), 0)) for rows in parts]]
    for rows in parts:
        target = Target({name: rows.inputs[name].shape for name in part.inputs})
        found.append(build_program(part, model.parameters, target, seed=model.seed).results(rows.inputs))
    for name, value in read.items():
        both = [arrays[name].reshape(len(arrays[name]), -1) for arrays in found]
        if value.dtype in _NUMBERS:
            columns.append(both)
        elif len(ids := np.unique(both[0])) <= _ONE_HOT:
            columns.append([array == ids for array in both])
    x, *others = (np.concatenate(each, 1, dtype=np.float64) for each in zip(*columns, strict=True))
    sparse = (x == 0).mean(0) > 0.5
    mean, size = np.where(sparse, 0, x.mean(0)), np.where(sparse, np.abs(x).max(0), x.std(0))
    size[size <= 1e-9 * np.abs(mean)] = 1  # a constant
    return [(array - mean) / size for array in (x, *others)]


def _ridge(x: Array, y: Array, asked: Array) -> Array:
    """Return ``(asked - mean(x)) w + mean(y)`` for the w of the least ``|x w - y|² + |w|²`` of centred x and y."""
    a = x - x.mean(0)
    w = np.linalg.solve(a.T @ a + np.eye(a.shape[1]), a.T @ (y - y.mean(0)))
    return np.asarray((asked - x.mean(0)) @ w + y.mean(0))


def _logistic(x: Array, y: Array, asked: Array) -> Array:
    """Return probabilities for one-hot ``y``, by the w of the least sum of cross-entropies + ``|w|² / 2``; biases are free.

    Two classes count ``|w|²``: then the difference of their vectors is the one vector of scikit-learn. Nesterov's method
    with restarts, by the bound ``xᵀx / 2`` of the Hessian matrix (Böhning 1992).
    """
    present, answers, k = np.flatnonzero(y.any(0)), np.zeros((len(asked), y.shape[1])), 0
    x, asked = (np.column_stack([a, np.ones(len(a))]) for a in (x, asked))
    penalty = np.append(np.full(x.shape[1] - 1, 2 if len(present) == 2 else 1), 0)
    inverse = np.linalg.inv(x.T @ x / 2 + np.diag(penalty))
    w = ahead = np.zeros((x.shape[1], len(present)))
    for _ in range(_STEPS):
        gradient = x.T @ (softmax(x @ ahead) - y[:, present]) + penalty[:, None] * ahead
        if np.abs(gradient).max() <= _EXACT * len(x):
            break
        before, w = w, ahead - inverse @ gradient
        k = 0 if (gradient * (w - before)).sum() > 0 else k + 1
        ahead = w + k / (k + 3) * (w - before)
    answers[:, present] = softmax(asked @ ahead)
    return answers
