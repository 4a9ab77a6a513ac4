"""Whether a network beats the best simple rule: a fact for each head, in words for a page and a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from graphspec.base.arrays.strings import Strings
from graphspec.base.text import percent
from graphspec.data.batches import Dataset
from graphspec.data.odd_values import giving_away
from graphspec.data.profile import Values
from graphspec.engine.compiler.objective import logged_losses, mask_of
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.engine.runtime.session import Session
from graphspec.engine.training.advice import ClassShares, Numbers, summarize
from graphspec.graph.ir.graph import Array
from graphspec.language.declarations import LENGTH, STEPS
from graphspec.show.report.baselines import LINEAR, Baseline, answering, mase
from graphspec.show.report.charts import amount
from graphspec.show.report.kinds import Flat, HeadAnswers, Scored, cutoff_of, flatten
from graphspec.show.report.rows import evenly, fields
from graphspec.show.report.scores import determination
from graphspec.vocabulary.losses.regression import MeanSquaredError

# How far losses and metrics would vary with other rows of the same kind: 95 % intervals, of shares and by the bootstrap.
#
# A share, such as an accuracy or a recall, has the interval of a binomial proportion by Wilson (1927): 90 of 90 right is
# 0.96 to 1. The rest is resampled.
#
# The rows are dealt into at most ``GROUPS`` groups. Counters of metrics add up, so a resample of groups has the sum of their
# counters, and its metrics cost no evaluation: 1,000 resamples take a fraction of a second for any number of rows. Windows
# over series are dealt into stretches of time, since neighbours resemble each other.
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
    samples, shares = _interval_metrics(model, scored, group, drawn)
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
    classes = head.head.loss is not None and head.head.loss.targets in ("ids", "one_hot")
    return head.answers.ndim == 1 or (head.answers.ndim == 2 and (classes or head.answers.shape[1] == 1))


def deal(scored: Scored, rng: np.random.Generator) -> Array:
    """Return the group of each kept row, ``(n,)``, from 0: by chance, or for windows over series by time."""
    rows, times = len(scored.rows), scored.raw.times
    if times is None:
        order, count = rng.permutation(rows), min(GROUPS, rows)
    else:
        first, last = times.first[scored.places], times.last[scored.places]
        order = np.argsort(first, kind="stable")
        length = max(int(np.max(last - first)) + 1, 1)  # a stretch is at least as long as a window
        stretches = (int(first.max()) - int(first.min()) + 1) // length
        count = min(GROUPS, rows, max(stretches, _FEWEST_STRETCHES))
    group = np.empty(rows, np.int64)
    group[order] = np.arange(rows) * count // rows
    return group


Samples = dict[str, tuple[float, Array]]  # by key: the value over the kept rows, and those of the resamples


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
        whole = sum(weights[name] / divisor * by_head[name][0] for name in weights)
        found["loss"] = whole, np.sum([weights[name] / divisor * by_head[name][1] for name in weights], axis=0)
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


def _interval_metrics(
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
        values = dict(losses)
        targets: dict[str, Array] = {}
        for name, head in scored.heads.items():
            own = head.answers if head.quantiles is None else head.quantiles
            values |= {name: own[rows]} | ({} if head.mask is None else {mask_of(name): head.mask[rows]})
            targets |= {} if head.targets is None else {name: head.targets[rows]}
            targets |= {name + s: head.lengths[s[1:]][rows] for s in (LENGTH, STEPS) if s[1:] in head.lengths}
        running.count_in(counters[k])
        running.add(len(rows), values, targets)
    running.count_in(counters.sum(axis=0))
    middle = {key: value for key, value in running.logs().items() if key not in logged_losses(model.spec)}
    shares, resampled = running.shares(), np.empty((len(drawn), len(middle)))
    for start in range(0, len(drawn), _CHUNK):
        for k, sums in enumerate(drawn[start : start + _CHUNK].astype(np.float64) @ counters):
            running.count_in(sums)
            logs = running.logs()
            resampled[start + k] = [logs[key] for key in middle]
    return {key: (value, resampled[:, k]) for k, (key, value) in enumerate(middle.items())}, shares


_VALUES = 1 << 22  # answers that are compared
_FEW_KNOWN = 0.5  # share of the rows; a rule that answers fewer is left out
_SURE = 1e-7


@dataclass(frozen=True)
class Verdict:
    """How a head compares with the best simple rule."""

    head: str
    metric: str  # ``accuracy``, ``log loss``, ``mean absolute error`` or ``root mean squared error``
    score: float  # score, other: the network's, and that of the rule, ``baseline``
    baseline: str
    other: float
    gain: Interval | None  # the 95 % interval of how much better the network is; None for too few rows
    rows: int  # on how many of the kept rows both answer
    noun: str = "row"  # what is judged: rows, time steps, pixels
    blind: tuple[float, str] = (math.nan, "")  # the score and the name of the best rule that is no linear model
    r2: float = math.nan  # the mean R² of numbers
    overlooked: str = ""  # a sentence about the rarest class of which no row is recognized
    term: str = ""  # what a forecast by the rule is called
    mase: tuple[float, float] = (math.nan, math.nan)  # the mean absolute scaled errors of both forecasts

    @property
    def better(self) -> bool | None:
        """Whether the network is better; None if other rows might say otherwise."""
        if not self._beats(self.other):
            return False
        return True if self.gain is not None and self.gain.low > 0 else None

    def _beats(self, other: float) -> bool:
        return self.score > other if self.metric == "accuracy" else self.score < other

    @property
    def left(self) -> float:
        """The part of the error of the best rule, which is no linear model, that the network leaves; 1 without an error."""
        own, other = (1 - v if self.metric == "accuracy" else v for v in (self.score, self.blind[0]))
        return own / other if other > 0 else 1.0

    def __str__(self) -> str:
        """Return the fact as a sentence or two."""
        shown = _share if self.metric == "accuracy" else amount
        own, other, blind = map(shown, (self.score, self.other, self.blind[0]))
        if self.metric == "accuracy":
            own += " right" if self.noun == "row" else f" of the {self.noun}s right"
        elif self.metric == "mean absolute error":
            own += " off on average"
        else:
            own = f"{self.metric[:1].upper()}{self.metric[1:]} {own}"
        own += "" if math.isnan(self.r2) else f", R² {amount(self.r2)}"
        scaled = ["" if math.isnan(value) else f", MASE {amount(value)}" for value in self.mase]
        own, other = own + scaled[0], other + scaled[1]
        than = f" than {self.term}" if self.term else ""
        what = "The probabilities are" if self.metric == "log loss" else "The network is"
        perhaps = f"perhaps better{than}: other rows may say otherwise"
        no = f"NOT better{than}" if than else "not better"
        how = {None: perhaps, True: f"better{than}", False: no}[self.better]
        if (self.better, self.baseline) == (False, LINEAR) and self.metric != "log loss" and self.score not in (0, 1):
            how = f"no better than {LINEAR}: try more epochs, less Dropout and L2, or more units"
            other += "" if self._beats(self.blind[0]) else f"; {self.blind[1]}: {blind}"
        return f"{own}; {self.baseline}: {other}. {what} {how}.{self.overlooked}"


class Line(NamedTuple):
    """The verdicts on a head in words, and whether it is better by one of them; None if it may be."""

    text: str
    better: bool | None


def lines(found: Sequence[Verdict]) -> list[Line]:
    """Return the verdicts in words, a line for each head."""
    heads = {verdict.head: [each for each in found if each.head == verdict.head] for verdict in found}
    shown = []
    for head, own in heads.items():
        said, ways = " ".join(map(str, own)), [verdict.better for verdict in own]
        shown.append(Line(f"{head}: {said}" if len(heads) > 1 else said, True if True in ways else ways[-1]))
    return shown


def coverage(judged: Scored | None) -> list[str]:
    """Return how wide intervals are and which share of the judged rows they contain, and what thresholds find."""
    found = []
    for name, head in [] if judged is None else judged.heads.items():
        if judged is not None and head.head.threshold is not None and head.targets is not None:
            found += _at_threshold(judged, head)
        if judged is None or head.bounds is None or head.targets is None:
            continue
        low, high = (bound.astype(np.float64) for bound in head.bounds)
        true, half = head.targets.reshape(low.shape), (high - low) / 2
        share, least, most = float(np.mean((low <= true) & (true <= high))), float(half.min()), float(half.max())
        wide = f" on average, from {amount(least)} to {amount(most)}" if most - least > 1e-3 * most else ""
        what = "values" if low[:1].size > 1 else "out-of-fold rows" if judged.out_of_fold else f"{judged.part} rows"
        text = f"{_share(share)} of {low.size:,} {what} lie within"
        if low.size == len(low) and judged.raw.times is None:
            text += " ({} to {})".format(*map(_share, wilson(share, len(low))))
        learnt, own = head.head.interval, getattr(head.head.loss, "share", 0.0)
        if learnt is not None and judged.part == "validation":
            text += ", which have set its width: only test rows show how many others do"
        found.append(f"{name}: {100 * (learnt or own):g} % interval ±{amount(float(half.mean()))}{wide}; {text}.")
    return found


def _at_threshold(judged: Scored, head: HeadAnswers) -> list[str]:
    """Return what the threshold of a head finds of the rarer class; nothing without its rows, or without an answer."""
    flat, cutoff = flatten(head), cutoff_of(head, 0.5)
    k = 2 * flat.true.sum() <= len(flat.true)
    true, said = flat.true == k, (flat.scores > cutoff) == k
    if not (true.any() and said.any()):
        return []
    finds, right = percent(float(said[true].mean())), percent(float(true[said].mean()))
    of = "out-of-fold" if judged.out_of_fold else judged.part
    own = ", which have set the threshold" if (judged.part, head.head.threshold) == ("validation", "f1") else ""
    text = f"{head.head.name}: '{flat.labels[int(k)]}' is answered from {cutoff if k else 1 - cutoff:.2g} on: finds {finds}"
    return [f"{text} of its {flat.noun}s, {right} of these answers are right ({of} rows{own})."]


def verdicts(judged: Scored, rules: Mapping[str, Sequence[Baseline]], seed: int | None = None) -> list[Verdict]:
    """Return how each head with simple rules compares with the best of them; nothing for training rows.

    Classes are compared by accuracy; if the network is not better by that, also by log loss. Numbers are compared by the
    mean absolute error, or by the root mean squared error where a spec has that loss and not the other metric. Forecasts of
    several series are compared by MASE: in their own units, the large ones count.
    """
    times = judged.raw.times
    several = times is not None and len(np.unique(times.series.groups[judged.places])) > 1
    found: list[Verdict] = []
    for name, answered in rules.items() if judged.part != "train" else ():
        head = judged.heads[name]
        for metric in _metrics(head) if head.scale is None or not several else ["MASE"]:
            own = _best(judged, head, metric, answered, np.random.default_rng(seed))
            found += [] if own is None else [own]
            if own is not None and own.better:
                break
    return found


def rule_scores(head: HeadAnswers, answered: Sequence[Baseline]) -> tuple[list[str], list[tuple[str, list[float]]]]:
    """Return by which metrics a head is compared with simple rules, and their values: the network's, then each rule's."""
    rules, rows = _compared_rows(head, answered)
    metrics = _metrics(head)
    if not len(rows) or not metrics:
        return [], []
    answers = [("this network", head.answers), *((rule.name, rule.answers) for rule in rules)]
    flats = [(name, flatten(answering(head, of, rows))) for name, of in answers]
    return metrics, [(name, [float(_values(metric, of).mean()) for metric in metrics]) for name, of in flats]


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
        case "mean absolute error" | "MASE", _:
            found = np.abs(flat.scores - flat.true)
        case _:
            found = np.square(flat.scores - flat.true)
    return np.asarray(found if found.ndim == 1 else found.mean(1), np.float64)


def _compared_rows(head: HeadAnswers, answered: Sequence[Baseline]) -> tuple[list[Baseline], Array]:
    """Return the rules that answer enough rows, and the rows for which they and the network have an answer, if many some."""
    rules, rows = known_rows(head, answered)
    rows = rows[evenly(len(rows), max(_VALUES // max(head.answers[:1].size, 1), 1))]
    return rules, rows[_finite(head.answers[rows])]


def _best(
    judged: Scored, head: HeadAnswers, metric: str, answered: Sequence[Baseline], rng: np.random.Generator
) -> Verdict | None:
    if metric == "MASE" and head.scale is not None and head.targets is not None:
        true, of = head.targets.reshape(head.scale.shape), head.scale
        head = replace(head, answers=head.answers / of, targets=true / of, scale=None)
        answered = [rule._replace(answers=rule.answers / of) for rule in answered]
    rules, rows = _compared_rows(head, answered)
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
    shown: Callable[[Array], Array] = np.sqrt if metric.startswith("root") else np.asarray
    score, other = (float(shown(v.mean())) for v in (values, others))
    gain = None
    if len(rows) >= FEWEST:
        groups = int(deal(judged, rng).max()) + 1
        group = np.arange(len(values)) * groups // len(values)  # neighbours, so that positions of a row stay together
        drawn = resamples(groups, rng)
        count = drawn @ np.bincount(group, minlength=groups)
        a, b = (shown(drawn @ np.bincount(group, v, groups) / count) for v in (values, others))
        gain = middle(sign * (a - b))
    blind = [(sign * float(shown(v.mean())), name) for name, v in each if name != LINEAR]
    r2 = float(determination(own.true, own.scores).mean()) if own.kind == "numbers" and metric != "MASE" else math.nan
    by_class = metric == "accuracy" and own.kind != "labels" and not head.head.threshold and head.value.rank < 3
    said = _overlooked(own, values) if by_class else ""
    best, name = max(blind, key=lambda one: one[0], default=(math.nan, ""))
    of_rule = next(known for known in rules if known.name == rule)
    term, scaled = of_rule.term, (mase(head, head.answers, rows), mase(head, of_rule.answers, rows))
    more = (len(rows), own.noun, (sign * best, name), r2, said, term, scaled)
    return Verdict(head.head.name, metric, score, rule, other, gain, *more)


def _overlooked(flat: Flat, right: Array) -> str:
    """Return a sentence about the rarest class with ``FEWEST`` rows none of which is ``right``; nothing without one."""
    counts, known = (np.bincount(flat.true.astype(np.int64), each) for each in (None, right))
    missed = [k for k in np.argsort(counts, kind="stable").tolist() if counts[k] >= FEWEST and not known[k]]
    text = " None of the {:,} {}s of '{}' is recognized: try `{}`."
    do = "threshold: f1" if flat.kind == "binary" else "class_weight: balanced"
    return text.format(int(counts[missed[0]]), flat.noun, flat.labels[missed[0]], do) if missed else ""


def _share(value: float) -> str:
    """Return a share with a tenth of a percent, and as many digits as it takes to differ from all and nothing."""
    shown = f"{100 * value:.1f}"
    if shown in ("100.0", "0.0") and value not in (0, 1):
        rest = float(f"{100 * min(value, 1 - value):.1g}")
        shown = f"{rest if value < 0.5 else 100 - rest:.10g}"
    return f"{shown.removesuffix('.0') if value in (0, 1) else shown} %"


# Fields that alone give away the target, among the training rows of a network.
_GIVEN_ROWS = 20_000  # training rows that are looked at, spread evenly; of wide tables, fewer
_GIVEN_VALUES = 4_000_000
_FIELDS = 1000
# Texts that are looked at, and spaces in one, from which on it is what is read, not a column that tells the answer.
_SOME, _PROSE = 1000, 2
ASK = "would you know it when you ask?"


def given_away(model: Session, train: Dataset) -> dict[str, str]:
    """Return the fields that alone give away a target, each with how: nothing for windows, whose past has the target."""
    if train.times is not None or not len(train):
        return {}
    arrays = [(f, train.inputs[f.input]) for f in fields(model.spec)]
    single = [f for f, a in arrays if a.ndim == 1 or (a.ndim == 2 and (f.place is not None or a.shape[1] == 1))]
    single = single[:_FIELDS]
    rows = evenly(len(train), min(_GIVEN_ROWS, _GIVEN_VALUES // max(len(single), 1)))
    places = rows if train.chosen is None else train.chosen[rows]
    blocks = {name: np.asarray(train.inputs[name][places]) for name in dict.fromkeys(f.input for f in single)}
    columns = {}
    for field in single:
        values = field.of(blocks).reshape(-1)
        missing = field.missing(values)
        if values.dtype != object:
            columns[field.name] = Values.of_numbers(np.where(missing, np.nan, values.astype(np.float64)))
        elif np.mean([str(value).count(" ") for value in values[:_SOME]]) < _PROSE:
            texts = zip(values.tolist(), missing.tolist(), strict=True)
            columns[field.name] = Values.of_texts(None if gone else str(text) for text, gone in texts)
    if len(columns) < 2:  # nothing else is read
        return {}
    found: dict[str, str] = {}
    for name, head in model.spec.heads.items():
        target: Any = train.targets.get(name)
        summary = None if target is None else summarize(head, model.graph.outputs[name], train)
        if isinstance(target, Strings):
            codes = Values.of_texts(np.asarray(target[places]).reshape(-1).tolist())
        elif isinstance(summary, ClassShares) and summary.positions == 1 and not summary.several:
            answers = np.asarray(target[places]).reshape(len(rows), -1)
            ids = answers[:, 0] if answers.shape[1] == 1 else answers.argmax(1)
            codes = Values(np.maximum(ids.astype(np.int64), 0), None, summary.labels)  # -1 means no, too
        elif isinstance(summary, Numbers) and summary.values == 1:
            codes = Values.of_numbers(np.asarray(target[places]).reshape(-1))
        else:
            continue
        found |= giving_away(columns, codes, classes=codes.numbers is None)
    return found
