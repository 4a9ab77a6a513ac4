"""How far losses and metrics would vary with other rows of the same kind: 95 % intervals, of shares and by the bootstrap.

A share, such as an accuracy or a recall, has the interval of a binomial proportion by Wilson (1927): 90 of 90 right is 0.96
to 1. The rest is resampled.

The rows are dealt into at most ``GROUPS`` groups. Counters of metrics add up, so a resample of groups has the sum of their
counters, and its metrics cost no evaluation: 1,000 resamples take a fraction of a second for any number of rows. Windows
over series are dealt into stretches of time, since neighbours resemble each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphspec.engine.compiler.objective import logged_losses, mask_of
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.language.declarations import LENGTH, STEPS

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session
    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.scored import HeadAnswers, Scored

GROUPS, RESAMPLES, LEVEL = 200, 1000, 0.95
_NOTHING = 1e-6  # the width, as a part of the value, of an interval that is rounding alone
_Z = 1.959964  # of the normal distribution, for this level
FEWEST = 10  # rows, below which there is no interval
_FEWEST_STRETCHES = 10
_MAX_NUMBERS = 4_000_000  # counters of all groups; more have no intervals
_CHUNK = 50  # resamples whose counters are in the memory at a time


class Interval(NamedTuple):
    """The range in which the middle 95 % of the resamples are."""

    low: float
    high: float


def intervals(model: Session, scored: Scored) -> dict[str, Interval]:
    """Return the interval of each loss and metric of ``scored.results`` that has one, by key.

    A share of rows has Wilson's. One of time steps or pixels, or of windows, whose neighbours are alike, is resampled; only
    if it is 0 or 1, it has Wilson's for as many rows, or stretches of time. Another value has none if there are fewer than
    ``FEWEST`` rows, if all resamples have the same value, or if it cannot be added up from rows: losses with the reduction
    ``sum``, of weighted rows, or with an ignored class. If only a part of the rows was kept, the intervals are narrowed to
    all rows.
    """
    if len(scored.rows) < FEWEST:
        return {}
    rng = np.random.default_rng(model.seed)
    group = deal(scored, rng)
    count = int(group.max()) + 1
    drawn = resamples(count, rng)
    samples, shares = _metrics(model, scored, group, drawn)
    samples |= _losses(model, scored, group, drawn)
    scale = (len(scored.rows) / scored.total) ** 0.5
    found = {}
    for key, value in scored.results.items():
        if key in shares:
            head, _, of = shares[key]
            single = scored.raw.times is None and _is_one_per_row(scored.heads[head])
            size = of * scored.total / len(scored.rows) if single else min(of, count)
            if of and np.isfinite(value) and (single or value in (0, 1)):
                found[key] = wilson(value, size)
                continue
        if key not in samples:
            continue
        whole, resampled = samples[key]
        finite = resampled[np.isfinite(resampled)]
        if len(finite) < RESAMPLES / 2 or not np.isfinite([whole, value]).all():
            continue
        low, high = middle(finite)
        if high - low > _NOTHING * abs(high):
            found[key] = Interval(float(value + (low - whole) * scale), float(value + (high - whole) * scale))
    return found


def resamples(groups: int, rng: np.random.Generator) -> Array:
    """Return how often each group is in each resample, ``(RESAMPLES, groups)``."""
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES)


def middle(values: Array) -> Interval:
    """Return the range of the middle 95 % of some values."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def wilson(share: float, size: float) -> Interval:
    """Return Wilson's 95 % interval of a share of ``size`` independent cases.

    The centre is ``(p + z²/2n) / (1 + z²/n)``, the half width ``z / (1 + z²/n) · √(p(1 − p)/n + z²/4n²)``.
    """
    square = _Z * _Z / size
    half = _Z * np.sqrt(share * (1 - share) / size + square / (4 * size))
    low, high = ((share + square / 2 + side * half) / (1 + square) for side in (-1, 1))
    return Interval(0.0 if share == 0 else float(low), 1.0 if share == 1 else float(high))


def _is_one_per_row(head: HeadAnswers) -> bool:
    """Return whether a head has one answer for each row: a class, or yes or no."""
    classes = head.head.loss is not None and head.head.loss.targets in ("ids", "one_hot")
    return head.answers.ndim == 1 or (head.answers.ndim == 2 and (classes or head.answers.shape[1] == 1))


def deal(scored: Scored, rng: np.random.Generator) -> Array:
    """Return the group of each kept row, ``(n,)``, from 0: by chance, or for windows over series by time."""
    rows, times = len(scored.rows), scored.raw.times
    if times is None:
        order, count = rng.permutation(rows), min(GROUPS, rows)
    else:
        chosen = scored.rows if scored.raw.chosen is None else scored.raw.chosen[scored.rows]
        first, last = times.first[chosen], times.last[chosen]
        order = np.argsort(first, kind="stable")
        length = max(int(np.max(last - first)) + 1, 1)  # a stretch is at least as long as a window
        stretches = (int(first.max()) - int(first.min()) + 1) // length
        count = min(GROUPS, rows, max(stretches, _FEWEST_STRETCHES))
    group = np.empty(rows, np.int64)
    group[order] = np.arange(rows) * count // rows
    return group


Samples = dict[str, tuple[float, "Array"]]
"""By key: the value over the kept rows, and those of the resamples."""


def _losses(model: Session, scored: Scored, group: Array, drawn: Array) -> Samples:
    spec = model.spec
    by_head: Samples = {}
    for name, answers in scored.heads.items():
        parts = _loss_of_rows(answers, scored)
        if parts is None:
            continue
        total, count = (np.bincount(group, weights=part, minlength=drawn.shape[1]) for part in parts)
        with np.errstate(divide="ignore", invalid="ignore"):
            by_head[name] = float(total.sum() / count.sum()), (drawn @ total) / (drawn @ count)
    found = {f"{name}_loss": values for name, values in by_head.items() if len(spec.all_heads) > 1}
    weights = {head.name: head.weight for head in spec.trained}
    divisor = sum(weights.values()) if spec.training.combine == "mean" else 1.0
    if weights and by_head.keys() == weights.keys() and divisor:
        middle = sum(weights[name] / divisor * by_head[name][0] for name in weights)
        resampled = np.sum([weights[name] / divisor * by_head[name][1] for name in weights], axis=0)
        found["loss"] = middle, resampled
    return found


def _loss_of_rows(answers: HeadAnswers, scored: Scored) -> tuple[Array, Array] | None:
    """Return the sum of the loss's values of each row, and how many there are; None if they do not make up the loss."""
    loss = answers.head.loss
    if loss is None or answers.losses is None or answers.head.name in scored.raw.weights:
        return None
    if loss.reduction == "sum" or getattr(loss, "ignore_class", None) is not None:
        return None
    counts = np.ones(len(answers.losses))
    if answers.mask is not None and loss.uses_mask:
        counts = answers.mask.reshape(len(counts), -1).sum(axis=1).astype(np.float64)
    return answers.losses * counts, counts


def _metrics(
    model: Session, scored: Scored, group: Array, drawn: Array
) -> tuple[Samples, dict[str, tuple[str, float, float]]]:
    running = RunningMetrics(model, tables=False)
    size, groups = running.counters, drawn.shape[1]
    if not size or size * groups > _MAX_NUMBERS:
        return {}, {}
    losses = dict.fromkeys(logged_losses(model.spec).values(), np.zeros(()))  # they are not read
    counters = np.zeros((groups, size))
    order = np.argsort(group, kind="stable")
    for k, rows in enumerate(np.split(order, np.cumsum(np.bincount(group))[:-1])):
        running.count_in(counters[k])
        running.add(len(rows), {**losses, **_values(scored, rows)}, _targets(scored, rows))
    whole = counters.sum(axis=0)
    running.count_in(whole)
    middle = {key: value for key, value in running.logs().items() if key not in logged_losses(model.spec)}
    keys, shares = list(middle), running.shares()
    resampled = np.empty((len(drawn), len(keys)))
    for start in range(0, len(drawn), _CHUNK):
        for k, sums in enumerate(drawn[start : start + _CHUNK].astype(np.float64) @ counters):
            running.count_in(sums)
            logs = running.logs()
            resampled[start + k] = [logs[key] for key in keys]
    return {key: (middle[key], resampled[:, k]) for k, key in enumerate(keys)}, shares


def _values(scored: Scored, rows: Array) -> Mapping[str, Array]:
    values = {name: answers.answers[rows] for name, answers in scored.heads.items()}
    masks = {mask_of(n): answers.mask[rows] for n, answers in scored.heads.items() if answers.mask is not None}
    return values | masks


def _targets(scored: Scored, rows: Array) -> Mapping[str, Array]:
    found = {n: answers.targets[rows] for n, answers in scored.heads.items() if answers.targets is not None}
    for name, answers in scored.heads.items():
        found |= {name + s: answers.lengths[s[1:]][rows] for s in (LENGTH, STEPS) if s[1:] in answers.lengths}
    return found
