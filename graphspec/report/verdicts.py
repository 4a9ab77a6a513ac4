"""Whether a network beats the best simple rule: a fact for each head, in words for a page and a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphspec.losses.regression import MeanSquaredError
from graphspec.report.baselines import Baseline, answering
from graphspec.report.intervals import FEWEST, LEVEL, RESAMPLES, Interval, deal
from graphspec.report.kinds import Flat, flatten
from graphspec.report.sampling import evenly
from graphspec.report.tables import amount

if TYPE_CHECKING:
    from graphspec.ir.graph import Array
    from graphspec.report.scored import HeadAnswers, Scored

_VALUES = 1 << 22  # answers that are compared
_FEW_KNOWN = 0.5  # share of the rows; a rule that answers fewer is left out
_SURE = 1e-7


class Measure(NamedTuple):
    """A mean over positions.

    Attributes:
        of: returns its value at each position.
        up: whether larger is better.
        root: whether the root of the mean is shown.
    """

    name: str
    of: Callable[[Flat], Array]
    up: bool = False
    root: bool = False


@dataclass(frozen=True)
class Verdict:
    """How a head compares with the best simple rule.

    Attributes:
        head: its name.
        metric: ``accuracy``, ``log loss``, ``mean absolute error`` or ``root mean squared error``.
        score: the network's.
        baseline: the name of the best rule.
        other: the rule's score.
        gain: the 95 % interval of how much better the network is; None for too few rows.
        rows: on how many of the kept rows both answer.
        noun: what is judged: rows, time steps, pixels.
    """

    head: str
    metric: str
    score: float
    baseline: str
    other: float
    gain: Interval | None
    rows: int
    noun: str = "row"

    @property
    def better(self) -> bool | None:
        """Whether the network is better; None if other rows might say otherwise."""
        ahead = self.score > self.other if self.metric == "accuracy" else self.score < self.other
        if not ahead:
            return False
        return True if self.gain is not None and self.gain.low > 0 else None

    @property
    def left(self) -> float:
        """The part of the rule's error that the network leaves; 1 if the rule has none."""
        own, other = (1 - v if self.metric == "accuracy" else v for v in (self.score, self.other))
        return own / other if other > 0 else 1.0

    def __str__(self) -> str:
        """Return the fact as a sentence or two."""
        if self.metric == "accuracy":
            what = "" if self.noun == "row" else f" of the {self.noun}s"
            said = f"{_share(self.score)}{what} right; {self.baseline}: {_share(self.other)}"
        elif self.metric == "mean absolute error":
            said = f"{amount(self.score)} off on average; {self.baseline}: {amount(self.other)}"
        else:
            said = f"{self.metric[:1].upper()}{self.metric[1:]} {amount(self.score)}; {self.baseline}: {amount(self.other)}"
        what = "The probabilities are" if self.metric == "log loss" else "The network is"
        if self.better is None:
            return f"{said}. {what} perhaps better: other rows may say otherwise."
        return f"{said}. {what} {'better' if self.better else 'not better'}."


class Line(NamedTuple):
    """The verdicts on a head in words, and whether it is better by one of them; None if it may be."""

    text: str
    better: bool | None


def lines(found: Sequence[Verdict]) -> list[Line]:
    """Return the verdicts in words, a line for each head."""
    heads = list(dict.fromkeys(verdict.head for verdict in found))
    shown = []
    for head in heads:
        own = [verdict for verdict in found if verdict.head == head]
        said = " ".join(map(str, own))
        ways = [verdict.better for verdict in own]
        shown.append(Line(f"{head}: {said}" if len(heads) > 1 else said, True if True in ways else ways[-1]))
    return shown


def verdicts(judged: Scored, rules: Mapping[str, Sequence[Baseline]], seed: int | None = None) -> list[Verdict]:
    """Return how each head with simple rules compares with the best of them; nothing for training rows.

    Classes are compared by accuracy; if the network is not better by that, also by log loss. Numbers are compared by the
    mean absolute error, or by the root mean squared error where a spec has that loss and not the other metric.
    """
    if judged.part == "train":
        return []
    found: list[Verdict] = []
    for name, answered in rules.items():
        head = judged.heads[name]
        for measure in _measures(head):
            own = _best(judged, head, measure, answered, np.random.default_rng(seed))
            if own is not None:
                found.append(own)
                if own.better:
                    break
    return found


def known_rows(head: HeadAnswers, answered: Sequence[Baseline]) -> tuple[list[Baseline], Array]:
    """Return the rules that answer enough rows, and the kept rows that all of these answer."""
    rows = len(head.answers)
    known = [np.isfinite(rule.answers).reshape(rows, -1).all(1) for rule in answered]
    kept = [k for k, of in enumerate(known) if of.mean() >= _FEW_KNOWN]
    both = np.logical_and.reduce([known[k] for k in kept]) if kept else np.zeros(rows, bool)
    return [answered[k] for k in kept], np.flatnonzero(both)


def _measures(head: HeadAnswers) -> list[Measure]:
    flat = flatten(head)
    if flat.kind == "numbers":
        metrics = {metric.label for metric in head.head.metrics}
        squared = isinstance(head.head.loss, MeanSquaredError) and "mean_absolute_error" not in metrics
        return [_ROOT if squared else _ABSOLUTE]
    if flat.kind in ("classes", "binary", "labels"):
        return [_RIGHT, _SURPRISE] if flat.probabilities else [_RIGHT]
    return []


def _right(flat: Flat) -> Array:
    if flat.kind == "classes":
        return np.asarray(flat.scores.argmax(-1) == flat.true, np.float64)
    right = np.asarray((flat.scores > (0.5 if flat.probabilities else 0.0)) == flat.true, np.float64)
    return right if right.ndim == 1 else right.mean(1)


def _surprise(flat: Flat) -> Array:
    """Return the negative logarithm of the probability of what is true."""
    if flat.kind == "classes":
        chance = np.take_along_axis(flat.scores, flat.true[:, None], 1)[:, 0]
    else:
        chance = np.where(flat.true, flat.scores, 1 - flat.scores)
    found = -np.log(np.asarray(chance, np.float64).clip(_SURE, 1))
    return np.asarray(found if found.ndim == 1 else found.mean(1))


def _absolute(flat: Flat) -> Array:
    return np.asarray(np.abs(flat.scores - flat.true).mean(1))


def _squared(flat: Flat) -> Array:
    return np.asarray(np.square(flat.scores - flat.true).mean(1))


_RIGHT = Measure("accuracy", _right, up=True)
_SURPRISE = Measure("log loss", _surprise)
_ABSOLUTE = Measure("mean absolute error", _absolute)
_ROOT = Measure("root mean squared error", _squared, root=True)


def _best(
    judged: Scored, head: HeadAnswers, measure: Measure, answered: Sequence[Baseline], rng: np.random.Generator
) -> Verdict | None:
    rules, rows = known_rows(head, answered)
    rows = rows[evenly(len(rows), max(_VALUES // max(head.answers[:1].size, 1), 1))]
    finite = np.isfinite(head.answers[rows]).reshape(len(rows), -1).all(1) if len(rows) else rows
    rows = rows[finite.astype(bool)]
    if not len(rows):
        return None
    own = flatten(answering(head, head.answers, rows))
    values = measure.of(own)
    if not len(values):
        return None
    others = [measure.of(flatten(answering(head, rule.answers, rows))) for rule in rules]
    others = [other for other in others if len(other) == len(values)]
    sign = 1.0 if measure.up else -1.0
    best = int(np.argmax([sign * other.mean() for other in others]))

    def shown(mean: Array) -> Array:
        return np.sqrt(mean) if measure.root else mean

    score, other = (float(shown(v.mean())) for v in (values, others[best]))
    gain = None
    if len(rows) >= FEWEST:
        groups = int(deal(judged, rng).max()) + 1
        group = np.arange(len(values)) * groups // len(values)  # neighbours, so that positions of a row stay together
        drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES).astype(np.float64)
        count = drawn @ np.bincount(group, minlength=groups)
        a, b = (shown(drawn @ np.bincount(group, v, groups) / count) for v in (values, others[best]))
        low, high = np.quantile(sign * (a - b), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        gain = Interval(float(low), float(high))
    return Verdict(head.head.name, measure.name, score, rules[best].name, other, gain, len(rows), own.noun)


def _share(value: float) -> str:
    """Return a share with a tenth of a percent, and as many digits as it takes to differ from all and nothing."""
    shown = f"{100 * value:.1f}"
    if shown in ("100.0", "0.0") and value not in (0, 1):
        shown = f"{100 * value:.3g}"
    return f"{shown.removesuffix('.0') if value in (0, 1) else shown} %"
