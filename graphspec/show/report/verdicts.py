"""Whether a network beats the best simple rule: a fact for each head, in words for a page and a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphspec.show.report.baselines import Baseline, answering
from graphspec.show.report.intervals import FEWEST, Interval, deal, middle, resamples
from graphspec.show.report.kinds import Flat, flatten
from graphspec.show.report.sampling import evenly
from graphspec.show.report.tables import amount
from graphspec.vocabulary.losses.regression import MeanSquaredError

if TYPE_CHECKING:
    from graphspec.graph.ir.graph import Array
    from graphspec.show.report.scored import HeadAnswers, Scored

_VALUES = 1 << 22  # answers that are compared
_FEW_KNOWN = 0.5  # share of the rows; a rule that answers fewer is left out
_SURE = 1e-7


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
        own, other = map(_share if self.metric == "accuracy" else amount, (self.score, self.other))
        if self.metric == "accuracy":
            own += " right" if self.noun == "row" else f" of the {self.noun}s right"
        elif self.metric == "mean absolute error":
            own += " off on average"
        else:
            own = f"{self.metric.capitalize()} {own}"
        what = "The probabilities are" if self.metric == "log loss" else "The network is"
        how = {None: "perhaps better: other rows may say otherwise", True: "better", False: "not better"}[self.better]
        return f"{own}; {self.baseline}: {other}. {what} {how}."


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
    found: list[Verdict] = []
    for name, answered in rules.items() if judged.part != "train" else ():
        for metric in _metrics(judged.heads[name]):
            own = _best(judged, judged.heads[name], metric, answered, np.random.default_rng(seed))
            found += [] if own is None else [own]
            if own is not None and own.better:
                break
    return found


def known_rows(head: HeadAnswers, answered: Sequence[Baseline]) -> tuple[list[Baseline], Array]:
    """Return the rules that answer enough rows, and the kept rows that all of these answer."""
    known = [_finite(rule.answers) for rule in answered]
    kept = [k for k, of in enumerate(known) if of.mean() >= _FEW_KNOWN]
    both = np.logical_and.reduce([known[k] for k in kept]) if kept else np.zeros(len(head.answers), bool)
    return [answered[k] for k in kept], np.flatnonzero(both)


def _finite(answers: Array) -> Array:
    return np.asarray(np.isfinite(answers).all(tuple(range(1, answers.ndim))))


def _metrics(head: HeadAnswers) -> list[str]:
    flat = flatten(head)
    if flat.kind == "numbers":
        named = any(metric.label == "mean_absolute_error" for metric in head.head.metrics)
        squared = isinstance(head.head.loss, MeanSquaredError) and not named
        return ["root mean squared error" if squared else "mean absolute error"]
    if flat.kind in ("classes", "binary", "labels"):
        return ["accuracy", "log loss"] if flat.probabilities else ["accuracy"]
    return []


def _values(metric: str, flat: Flat) -> Array:
    """Return the values at each position, ``(n,)``, of whose mean a metric is made."""
    match metric, flat.kind:
        case "accuracy", "classes":
            found = np.asarray(flat.scores.argmax(-1) == flat.true)
        case "accuracy", _:
            found = np.asarray((flat.scores > (0.5 if flat.probabilities else 0.0)) == flat.true)
        case "log loss", kind:
            right = flat.scores if kind == "classes" else np.where(flat.true, flat.scores, 1 - flat.scores)
            chance = np.take_along_axis(right, flat.true[:, None], 1)[:, 0] if kind == "classes" else right
            found = -np.log(np.asarray(chance, np.float64).clip(_SURE, 1))
        case "mean absolute error", _:
            found = np.abs(flat.scores - flat.true)
        case _:
            found = np.square(flat.scores - flat.true)
    return np.asarray(found if found.ndim == 1 else found.mean(1), np.float64)


def _best(
    judged: Scored, head: HeadAnswers, metric: str, answered: Sequence[Baseline], rng: np.random.Generator
) -> Verdict | None:
    rules, rows = known_rows(head, answered)
    rows = rows[evenly(len(rows), max(_VALUES // max(head.answers[:1].size, 1), 1))]
    rows = rows[_finite(head.answers[rows])]
    if not len(rows):
        return None
    own = flatten(answering(head, head.answers, rows))
    values = _values(metric, own)
    each = [(rule.name, _values(metric, flatten(answering(head, rule.answers, rows)))) for rule in rules]
    each = [(rule, other) for rule, other in each if len(other) == len(values)]
    if not len(values) or not each:
        return None
    sign = 1.0 if metric == "accuracy" else -1.0
    rule, others = max(each, key=lambda one: sign * float(one[1].mean()))

    def shown(mean: Array) -> Array:
        return np.sqrt(mean) if metric.startswith("root") else mean

    score, other = (float(shown(v.mean())) for v in (values, others))
    gain = None
    if len(rows) >= FEWEST:
        groups = int(deal(judged, rng).max()) + 1
        group = np.arange(len(values)) * groups // len(values)  # neighbours, so that positions of a row stay together
        drawn = resamples(groups, rng)
        count = drawn @ np.bincount(group, minlength=groups)
        a, b = (shown(drawn @ np.bincount(group, v, groups) / count) for v in (values, others))
        gain = middle(sign * (a - b))
    return Verdict(head.head.name, metric, score, rule, other, gain, len(rows), own.noun)


def _share(value: float) -> str:
    """Return a share with a tenth of a percent, and as many digits as it takes to differ from all and nothing."""
    shown = f"{100 * value:.1f}"
    if shown in ("100.0", "0.0") and value not in (0, 1):
        shown = f"{100 * value:.3g}"
    return f"{shown.removesuffix('.0') if value in (0, 1) else shown} %"
