"""At the end of a training, learn from held-out rows how sure the heads are: temperatures, and the widths of intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, SpecError, UsageError
from graphspec.engine.compiler.objective import mask_of
from graphspec.engine.compiler.uncertainty import LEVELS, NOT_LEARNT
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.graph import Array
from graphspec.language.declarations import HeadDecl, Spec
from graphspec.vocabulary.losses.loss import EPSILON

_HOTTEST = 20.0  # a temperature is between its inverse and this
_WORTHWHILE = 0.98  # widths by level must be better by more than chance: one width is easier to explain
_STEPS = 60  # of the golden section, each of which leaves 0.62 of the range


def refuse_unlearnable(spec: Spec, rows: int | None) -> None:
    """Raise UsageError, or GS508 (SpecError), if the held-out rows are none, or too few for an interval."""
    heads = [head for head in spec.heads.values() if head.interval is not None or head.calibrate is not None]
    if heads and rows is None:
        text = f"'{heads[0].name}' has `interval` or `calibrate`, which are learnt from held-out rows"
        raise UsageError(f"{text}: pass `validation_data` or `validation_split`, or write `folds`")
    for head in heads:
        share = head.interval or 0.0
        if rows is not None and _rank(rows, share) > rows:
            text = f"{rows} held-out rows are too few for `interval: {share:g}` of head '{head.name}'"
            hint = f"hold out at least {math.ceil(share / (1 - share) - 1e-9)} rows, or use a smaller share"
            raise SpecError([Diagnostic(Code.TOO_FEW_ROWS, text, hint=hint)])


def forget(model: Session) -> None:
    """Forget what held-out rows have taught: a training starts, and goes on, as if it was the first one."""
    names = model.spec.held_out_weights
    values = {n: 1.0 if n.endswith("temperature") else NOT_LEARNT if n.endswith("widths") else 0.0 for n in names}
    model.set_weights({name: np.full(model.graph.params[name].shape, value) for name, value in values.items()})


def learn_from(model: Session, answers: Mapping[str, Array], targets: Mapping[str, Array]) -> None:
    """Set temperatures and intervals by the answers of held-out rows, ``(n, …)``, their masks and targets, by fetch."""
    for head in model.spec.heads.values():
        if (head.interval, head.calibrate) == (None, None):
            continue
        found, true = answers[head.name].astype(np.float64), np.asarray(targets[head.name])
        if head.calibrate is not None:
            if (mask := answers.get(mask_of(head.name))) is not None:
                found, true = found[mask], true[mask]
            learnt = [np.array(_temperature(head, found, true))]
        else:
            learnt = [*_interval(found, np.abs(found - true.reshape(found.shape)), head.interval or 0.0)]
        names = [*head.interval_weights, *head.temperature_weight]
        model.set_weights({name: array.astype(np.float32) for name, array in zip(names, learnt, strict=True)})


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
            each = np.logaddexp(0, z) - true[rows] * z
        else:
            each = true[rows] * (np.logaddexp.reduce(z, axis=1, keepdims=True) - z)
        return float(each.sum())

    def best(rows: slice) -> float:
        low, high, ratio = -math.log(_HOTTEST), math.log(_HOTTEST), (math.sqrt(5) - 1) / 2
        for _ in range(_STEPS):
            a, b = high - ratio * (high - low), low + ratio * (high - low)
            low, high = (low, b) if log_loss(math.exp(a), rows) <= log_loss(math.exp(b), rows) else (a, high)
        return math.exp((low + high) / 2)

    even, odd = slice(0, None, 2), slice(1, None, 2)
    helps = log_loss(best(even), odd) + log_loss(best(odd), even) < log_loss(1.0, even) + log_loss(1.0, odd)
    return best(slice(None)) if helps else 1.0


def _rank(rows: int, share: float) -> int:
    """Return which error of so many, from the smallest, at least ``share`` of new errors do not exceed."""
    return math.ceil((rows + 1) * share - 1e-9)


def _width(errors: Array, share: float) -> Array:
    """Return the split-conformal quantile of absolute errors, ``(n, …)`` → ``(…)``; infinite for too few.

    Sources: Vovk et al. (2005); Lei et al. (2018); for folds, Barber et al. (2021).
    """
    place = _rank(len(errors), share)
    return np.sort(errors, axis=0)[place - 1] if place <= len(errors) else np.full(errors.shape[1:], np.inf)


def _by_level(answers: Array, errors: Array, share: float) -> tuple[Array, Array]:
    """Return a width for each of five groups of answers, ``(5, …)``, and the levels between them, ``(4, …)``."""
    levels = np.quantile(answers, np.arange(1, LEVELS) / LEVELS, axis=0).astype(np.float32)
    flat, each = (array.reshape(len(array), -1) for array in (answers, errors))
    group = _groups(flat, levels.reshape(LEVELS - 1, -1))
    widths = [[_width(each[group[:, j] == k, j], share) for j in range(flat.shape[1])] for k in range(LEVELS)]
    return np.array(widths).reshape(LEVELS, *answers.shape[1:]), levels


def _groups(answers: Array, levels: Array) -> Array:
    return np.asarray((answers.astype(np.float32)[:, None] >= levels).sum(axis=1))


def _interval(answers: Array, errors: Array, share: float) -> tuple[Array, Array]:
    """Return widths and levels: one width for all answers, or one by level where that is better for the other half.

    Better is the lower interval score: the width, and ``2 / (1 - share)`` times what lies beyond it (Gneiting and Raftery,
    2007).
    """
    ways = dict.fromkeys((_by_level, _alike), 0.0)
    for mine, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        for way in ways:
            widths, levels = way(answers[mine], errors[mine], share)
            half = np.take_along_axis(widths, _groups(answers[other], levels), axis=0)
            ways[way] += float((2 * half + 2 / (1 - share) * np.maximum(errors[other] - half, 0)).sum())
    widths, levels = _by_level(answers, errors, share)
    if not (ways[_by_level] < _WORTHWHILE * ways[_alike] and np.isfinite(widths).all()):
        widths, levels = _alike(answers, errors, share)
    return np.nextafter(widths.astype(np.float32), np.float32(np.inf)), levels


def _alike(answers: Array, errors: Array, share: float) -> tuple[Array, Array]:
    """Return one width for all answers, in the form of :func:`_by_level`."""
    widths = np.broadcast_to(_width(errors, share), (LEVELS, *answers.shape[1:]))
    return widths, np.zeros((LEVELS - 1, *answers.shape[1:]), np.float32)
