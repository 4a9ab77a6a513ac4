"""At the end of a training, learn from held-out rows how sure heads are: temperatures, intervals, thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphspec.base.errors import Code, Diagnostic, SpecError, UsageError
from graphspec.data.batches import Dataset
from graphspec.engine.compiler.objective import mask_of
from graphspec.engine.compiler.uncertainty import LEVELS
from graphspec.engine.runtime.row_values import compute_rows
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.graph import Array
from graphspec.language.declarations import HeadDecl, Spec, scale_of
from graphspec.vocabulary.losses.loss import EPSILON

_HOTTEST = 20.0  # a temperature is between its inverse and this
_STEPS = 60  # of the golden section, each of which leaves 0.62 of the range
_WORTHWHILE = 0.98  # widths by level must be better by more than chance: one width is easier to explain
_HALVES = (slice(0, None, 2), slice(1, None, 2))


def refuse_unlearnable(spec: Spec, rows: int | None) -> None:
    """Raise UsageError, or GS508 (SpecError), if the held-out rows are none, or too few for an interval."""
    for head in spec.heads.values():
        share = head.interval or 0.0
        if rows is None and head.held_out_weights:
            text = f"'{head.name}' has `interval`, `calibrate` or `threshold`, which are learnt from held-out rows"
            raise UsageError(f"{text}: pass `validation_data` or `validation_split`, or write `folds`")
        if rows is not None and _rank(rows, share) > rows:
            text = f"{rows} held-out rows are too few for `interval: {share:g}` of head '{head.name}'"
            hint = f"hold out at least {math.ceil(share / (1 - share) - 1e-9)} rows, or use a smaller share"
            raise SpecError([Diagnostic(Code.TOO_FEW_ROWS, text, hint=hint)])


def forget(model: Session) -> None:
    """Forget what held-out rows have taught: a training starts, and goes on, as if it was the first one."""
    params, rng = [model.graph.params[name] for name in model.spec.held_out_weights], np.random.default_rng()
    if params:  # their initial values are constants
        model.set_weights({param.name: param.initializer(param.shape, rng) for param in params})


def learn_from(model: Session, pieces: Sequence[tuple[Session, Dataset, Array]]) -> None:
    """Set what held-out rows teach: prepared ones, each part with who answers it, and its places."""
    found, targets, total = dict[str, Array](), dict[str, Array](), sum(len(places) for *_, places in pieces)
    heads = [head for head in model.spec.heads.values() if head.held_out_weights]
    for member, rows, places in pieces if heads else ():
        compute_rows(member, rows, found, places, total)
        for head in heads:
            own = rows.targets[head.name][slice(None) if rows.chosen is None else rows.chosen]
            targets.setdefault(head.name, np.empty((total, *own.shape[1:]), own.dtype))[places] = own
    for head in heads:
        answers, true = found[head.name].astype(np.float64), targets[head.name]
        if (mask := found.get(mask_of(head.name))) is not None:
            answers, true = answers[mask], true[mask]
        learnt = list[Array]()
        if head.interval is not None and head.loss is not None:
            middle = head.loss.point(answers)
            low, high = head.loss.ends(answers) or (middle, middle)
            true = true.reshape(middle.shape)
            errors = np.maximum(np.maximum(low - true, true - high), 0)  # of quantiles: Romano et al., 2019
            for key, change in zip(scale_of(head.name), (np.subtract, np.divide), strict=True):
                if (of_window := found.get(key)) is not None:  # widths are then those of scaled answers
                    of_window = of_window.reshape(of_window.shape + (1,) * (middle.ndim - of_window.ndim))
                    middle, errors = change(middle, of_window), errors / of_window if change is np.divide else errors
            counted = total if mask is not None else sum(_counted(rows, middle) for _, rows, _ in pieces)
            learnt += _interval(middle, errors, head.interval, counted)
        if head.calibrate is not None:
            learnt.append(np.array(_temperature(head, answers, true)))
        if head.threshold == "f1":
            logits = getattr(head.loss, "from_logits", False)
            if head.calibrate is not None:  # the answers are then those of the temperature
                odds = 1 / np.clip(answers, EPSILON, 1 - EPSILON) - 1
                answers = answers / learnt[-1] if logits else 1 / (1 + odds ** (1 / learnt[-1]))
            learnt.append(np.array(_threshold(answers, true, 0.0 if logits else 0.5)))
        model.set_weights(dict(zip(head.held_out_weights, learnt, strict=True)))


def _temperature(head: HeadDecl, answers: Array, targets: Array) -> float:
    """Return the temperature with the lowest log loss, ``(n, …, classes)``; 1 if one half's is no better for the other."""
    loss, classes = head.loss, answers.shape[-1]
    assert loss is not None
    scores, true, binary = answers.reshape(-1, classes), targets.reshape(answers.size // classes, -1), loss.binary
    if not getattr(loss, "from_logits", False):
        p = np.clip(scores, EPSILON, 1 - EPSILON)
        scores = np.log(p) - np.log1p(-p) if binary else np.log(p)
    if loss.targets == "ids":
        known = (true[:, 0] >= 0) & (true[:, 0] < classes) & (true[:, 0] != getattr(loss, "ignore_class", None))
        scores, true = scores[known], np.eye(classes)[true[known, 0].astype(np.int64)]

    def log_loss(temperature: float, rows: slice) -> float:
        z = scores[rows] / temperature
        if binary:
            return float((np.logaddexp(0, z) - true[rows] * z).sum())
        return float((true[rows] * (np.logaddexp.reduce(z, axis=1, keepdims=True) - z)).sum())

    def best(rows: slice) -> float:
        low, high, ratio = -math.log(_HOTTEST), math.log(_HOTTEST), (math.sqrt(5) - 1) / 2
        for _ in range(_STEPS):
            a, b = high - ratio * (high - low), low + ratio * (high - low)
            low, high = (low, b) if log_loss(math.exp(a), rows) <= log_loss(math.exp(b), rows) else (a, high)
        return math.exp((low + high) / 2)

    gains = [log_loss(1.0, other) - log_loss(best(half), other) for half, other in (_HALVES, _HALVES[::-1])]
    return best(slice(None)) if sum(gains) > 0 else 1.0


def _threshold(answers: Array, targets: Array, middle: float) -> float:
    """Return the value between two answers with the largest F1 of the rarer class, nearest ``middle``; without any, that."""
    flat, true = answers.reshape(-1).astype(np.float32), targets.reshape(-1) > 0.5
    values, no, yes = np.unique(flat), np.sort(flat[~true]), np.sort(flat[true])
    if len(values) < 2 or not (len(no) and len(yes)):
        return middle
    cuts = (values[:-1] + values[1:]) / 2
    cuts = np.where(cuts < values[1:], cuts, values[:-1])  # of neighbours in float32, the lower one
    kept, missed = (np.searchsorted(of, cuts, "right") for of in (no, yes))
    hits = kept if len(no) < len(yes) else len(yes) - missed
    f1 = hits / (hits + (len(no) - kept + missed) / 2)
    best = cuts[f1 == f1.max()]
    return float(best[np.abs(best - middle).argmin()])


def _counted(rows: Dataset, values: Array) -> Array | int:
    """Return how many rows count, for each of the ``values`` of a row: of windows, as many as begin k steps apart.

    Errors k steps ahead share k - 1 steps with those of the next window: n of them know as much as n / k.
    """
    times = rows.times
    if times is None or not times.future:
        return len(rows)
    starts = np.arange(len(times.first)) if rows.chosen is None else rows.chosen
    begun = np.bincount(starts, minlength=len(times.first)).cumsum()  # windows, up to each step
    ahead = np.pad(begun, (0, times.future), "edge") - np.pad(begun, (times.future, 0))
    k = np.arange(1, times.future + 1) if values.shape[1:2] == (times.future,) else np.array([times.future])
    return np.minimum(np.count_nonzero(ahead) / np.repeat(k, values[0].size // len(k)), len(rows))


def _rank(rows: int, share: float, counted: float = math.inf) -> int:
    """Return which error of so many, from the smallest, at least ``share`` of new errors do not exceed.

    ``counted``: how many of the rows count. A quantile of m errors lies too low by a share of 1 / m.
    """
    return math.ceil((rows + max(rows / counted, 1)) * share - 1e-9)


def _width(errors: Array, share: float, counted: float = math.inf) -> float:
    """Return the split-conformal quantile of absolute errors (Vovk et al., 2005; Lei et al., 2018); infinite for too few."""
    place = _rank(len(errors), share, counted)
    return float(np.sort(errors)[place - 1]) if place <= len(errors) else math.inf


def _interval(answers: Array, errors: Array, share: float, counted: Array | float = math.inf) -> tuple[Array, Array]:
    """Return widths and levels: one width for all answers, or one by level where that is better for the other half.

    Better is the lower interval score: the width, and ``2 / (1 - share)`` times what lies beyond it (Gneiting and Raftery,
    2007).

    ``counted``: how many rows count for each value, in a group of answers too, as every stretch of time has nearly all
    levels. If they are too few, the one width is the largest error.
    """
    flat, each = answers.reshape(len(answers), -1).astype(np.float32), errors.reshape(len(errors), -1)
    counted = np.broadcast_to(counted, each.shape[1:])

    def learnt(rows: slice, groups: int) -> tuple[Array, Array]:
        levels = np.quantile(flat[rows], np.arange(1, groups) / groups, axis=0).astype(np.float32)
        at, own = (flat[rows, None] >= levels).sum(axis=1), each[rows]
        units = [*zip(own.T, at.T, counted, strict=True)]
        widths = [[_width(unit[of == k], share, m) for unit, of, m in units] for k in range(groups)]
        return np.minimum(widths, own.max(0)) if groups == 1 else np.array(widths), levels

    def score(groups: int) -> float:
        total = 0.0
        for half, other in (_HALVES, _HALVES[::-1]):
            widths, levels = learnt(half, groups)
            width = np.take_along_axis(widths, (flat[other, None] >= levels).sum(axis=1), axis=0)
            total += float((2 * width + 2 / (1 - share) * np.maximum(each[other] - width, 0)).sum())
        return total

    widths, levels = learnt(slice(None), LEVELS)
    if not (score(LEVELS) < _WORTHWHILE * score(1) and np.isfinite(widths).all()):
        widths, levels = learnt(slice(None), 1)
    sizes = answers.shape[1:]  # one width is repeated, and without levels all of them are 0
    widths, levels = np.resize(widths, (LEVELS, *sizes)), np.resize(levels, (LEVELS - 1, *sizes))
    rounded = widths.astype(np.float32)
    return np.where(rounded > 0, np.nextafter(rounded, np.float32(np.inf)), rounded), levels
