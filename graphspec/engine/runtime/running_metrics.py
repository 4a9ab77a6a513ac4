"""Losses and metrics accumulated over an epoch: exact over all its rows, not averages of batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from graphspec.base.arrays.blas import one_thread, openblas
from graphspec.base.arrays.cores import usable_cores
from graphspec.data.batches import BatchLoader, Dataset
from graphspec.engine.compiler.heads import prefix_of
from graphspec.engine.compiler.objective import Network, Objective, fetches, logged_losses, mask_of, target_of
from graphspec.engine.runtime.bind import Compute, build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Loan, Program, ProgramCache
from graphspec.engine.runtime.records import Sums
from graphspec.graph.builder import Target
from graphspec.graph.ir.graph import Array, Value
from graphspec.language.declarations import LENGTH, STEPS, HeadDecl
from graphspec.vocabulary.losses.loss import Loss
from graphspec.vocabulary.metrics import ConfusionMatrix, F1Score, MeanAbsoluteError, R2Score, RootMeanSquaredError
from graphspec.vocabulary.metrics.metric import Direction, Metric, MetricState, targets_of, units


@dataclass(frozen=True)
class ResultTable:
    """The result of a metric that is a table: counts by true class (rows) and predicted class (columns)."""

    key: str
    counts: Array
    labels: list[str]


@dataclass(frozen=True)
class _Entry:
    """A metric of a head: its key, and the keys of its values with the meaning of each."""

    head: str
    key: str
    state: MetricState
    keys: list[str]
    parts: list[str]
    labels: list[str] | None


class RunningMetrics:
    """The totals of losses and metrics in one pass over the data, by Keras's keys.

    ``loss``, with several heads ``<head>_loss``, ``accuracy`` or ``<head>_accuracy``; of several values ``f1_score_0``, …
    What ``heads`` counts is only there; ``tables``: whether to count metrics that are tables.
    """

    def __init__(
        self, model: Network, heads: HeadCounts | None = None, *, tables: bool = True, training: bool = False
    ) -> None:
        self.heads, self.rows, self._losses = heads, 0, logged_losses(model.spec)  # the rows so far
        self._sums = dict.fromkeys(self._losses, 0.0)
        self._metrics: list[_Entry] = []
        for head in model.spec.heads.values():
            value, prefix = model.graph.outputs[head.name], prefix_of(model.spec, head)
            for metric in head.metrics:
                state = metric.resolve(head.loss, value, head.labels).start(value, Compute())
                state.keeps_rows = not training
                keys = [f"{prefix}{key}" for key in metric.keys(value)]
                if keys or tables:
                    parts = metric.parts(value, head.labels) or []
                    self._metrics.append(_Entry(head.name, prefix + metric.key, state, keys, parts, head.labels))
        self._states = [(entry.head, entry.state) for entry in self._metrics]

    def reset(self) -> None:
        self._sums, self.rows = dict.fromkeys(self._sums, 0.0), 0
        for entry in self._metrics:
            entry.state.reset()

    def add(self, rows: int, fetches: Mapping[str, Array], targets: Mapping[str, Array]) -> None:
        """Add a batch: its losses (scalars, weighted by its number of rows), and the metrics of its heads and targets."""
        self.rows += rows
        for key, name in self._losses.items():
            self._sums[key] += float(fetches[name]) * rows
        for head, state in self._states if self.heads is None else [*self._states, *self.heads.states()]:
            lengths = {s[1:]: targets[head + s] for s in (LENGTH, STEPS) if head + s in targets}
            target = fetches.get(target_of(head), targets.get(head))
            state.update(target, fetches[head], fetches.get(mask_of(head)), lengths)

    def views(self, vector: Array) -> list[Array]:
        """Split a float64 vector of length ``counters`` into views, one for each metric's counters."""
        counters = [entry.state.counters for entry in self._metrics]
        parts = np.split(vector, np.cumsum([c.size for c in counters])[:-1]) if counters else []
        return [part.reshape(c.shape) for part, c in zip(parts, counters, strict=True)]

    @property
    def counters(self) -> int:
        return sum(entry.state.counters.size for entry in self._metrics)

    def count_in(self, vector: Array) -> None:
        for entry, view in zip(self._metrics, self.views(vector), strict=True):
            entry.state.counters = view

    def include(self, views: Sequence[Array]) -> None:
        for entry, counters in zip(self._metrics, views, strict=True):
            entry.state.counters += counters

    @property
    def totals(self) -> int:
        """The number of all totals of a batch, for another worker to add: the losses, and the counters of all metrics."""
        return len(self._sums) + self.counters

    @property
    def sums_batches(self) -> bool:
        """Whether every metric adds the counters of a batch at once, so that it does not matter who counts it."""
        return all(type(entry.state).update is MetricState.update for entry in self._metrics)

    def store(self, vector: Array) -> None:
        vector[: len(self._sums)] = list(self._sums.values())
        for entry, view in zip(self._metrics, self.views(vector[len(self._sums) :]), strict=True):
            view[...] = entry.state.counters

    def add_stored(self, rows: int, vector: Array) -> None:
        """Add one batch of ``rows`` rows whose totals another object has stored: the same bits as :meth:`add`."""
        self.rows += rows
        for key, value in zip(self._sums, vector[: len(self._sums)].tolist(), strict=True):
            self._sums[key] += value
        self.include(self.views(vector[len(self._sums) :]))

    def logs(self, prefix: str = "") -> dict[str, float]:
        """Return the losses and metrics so far, with ``prefix`` before their keys."""
        values = {k: v / max(self.rows, 1) for k, v in self._sums.items()}
        for entry in self._metrics:
            if entry.keys:
                values |= zip(entry.keys, np.ravel(entry.state.result()).tolist(), strict=True)
        return {f"{prefix}{k}": v for k, v in values.items()}

    def directions(self) -> dict[str, Direction | None]:
        """Return by key whether larger (``up``) or smaller (``down``) values are better; None: neither."""
        found: dict[str, Direction | None] = dict.fromkeys(self._losses, "down")
        return found | {key: entry.state.metric.direction for entry in self._metrics for key in entry.keys}

    def shares(self) -> dict[str, tuple[str, float, float]]:
        """Return by key what is a share: its head, the hits, and of how many."""
        found: dict[str, tuple[str, float, float]] = {}
        for entry in self._metrics:
            if (parts := entry.state.metric.parts_of(entry.state.counters)) is not None:
                found |= {k: (entry.head, float(a), float(b)) for k, a, b in zip(entry.keys, *parts, strict=True)}
        return found

    def meanings(self) -> dict[str, str]:
        """Return the meaning of each value of the metrics that have several values, by key."""
        return {k: part for e in self._metrics if len(e.keys) > 1 for k, part in zip(e.keys, e.parts, strict=True)}

    def tables(self) -> list[ResultTable]:
        found = [(entry, np.asarray(entry.state.result())) for entry in self._metrics if not entry.keys]
        return [ResultTable(e.key, counts, e.labels or [str(k) for k in range(len(counts))]) for e, counts in found]

    def state(self) -> dict[str, Any]:
        """Return the totals as plain JSON, with the schema :class:`Sums`; JSON preserves the bits of floats."""
        return {"sums": self._sums, "rows": self.rows, "metrics": [entry.state.state() for entry in self._metrics]}

    def load(self, state: Sums) -> None:
        """Restore the result of :meth:`state`. Raises ValueError: it belongs to other losses or metrics."""
        if not state.rows:  # at the start of an epoch: totals of nothing, whose names may be those of an older version
            return self.reset()
        # 0.2 also has the loss of the only head, which is the total
        if not state.sums.keys() >= self._sums.keys() or len(state.metrics) != len(self._metrics):
            raise ValueError("its totals belong to other losses or metrics")
        for entry, saved in zip(self._metrics, state.metrics, strict=True):
            if len(saved) not in (0, size := entry.state.counters.size):
                raise ValueError(f"its totals of '{entry.key}' have {len(saved)} values, not {size}")
        self._sums, self.rows = {key: float(state.sums[key]) for key in self._sums}, state.rows
        for entry, saved in zip(self._metrics, state.metrics, strict=True):
            entry.state.load(saved)


# What an evaluation counts besides the metrics of a spec: the answers by class, and the errors of numbers.
_MATRIX = 512  # classes; the counts of more would cost more than the network
_MOST = 10_000  # classes
_ERRORS = {"mae": MeanAbsoluteError, "rmse": RootMeanSquaredError, "r2": R2Score}


@dataclass(frozen=True)
class ClassCounts:
    """The answers of a head by class; counts are int64 ``(classes,)``.

    ``pairs``: how often a true class (row) is answered as each class (column), int64 ``(classes, classes)``; None if
    several classes may apply, or there are many.
    """

    head: str
    labels: Sequence[str]  # the classes, or the labels of which several may apply to a row
    right: Array  # the rows (or positions) whose answer rightly has the class
    answered: Array  # those whose answer has it
    true: Array  # those that have it
    pairs: Array | None = None


@dataclass(frozen=True)
class NumberErrors:
    """The errors of a head that predicts numbers, in the units of its targets."""

    head: str
    mae: float  # the mean of the absolute errors
    rmse: float  # the square root of the mean of the squared errors
    r2: float  # the coefficient of determination, the mean over the head's units
    known: frozenset[str] = frozenset()  # those of the three that are among the metrics of the spec, too


class HeadCounts:
    """The counters of all heads whose answers are classes or numbers."""

    def __init__(self, model: Network, cutoffs: Mapping[str, float]) -> None:
        self._heads: list[tuple[HeadDecl, list[MetricState]]] = []
        for head in model.spec.heads.values():
            value, loss = model.graph.outputs[head.name], head.loss
            own = [m for m in head.metrics if isinstance(m, ConfusionMatrix) and head.threshold is None][:1]
            if loss is not None and (metrics := own or _metrics(loss, value, head.labels, cutoffs[head.name])):
                states = [m.resolve(head.loss, value, head.labels).start(value, Compute()) for m in metrics]
                self._heads.append((head, states))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(head.name for head, _ in self._heads)

    def states(self) -> list[tuple[str, MetricState]]:
        return [(head.name, state) for head, states in self._heads for state in states]

    def found(self) -> list[ClassCounts | NumberErrors]:
        """Return what has been counted; nothing for a head without rows."""
        return [found for head, states in self._heads if (found := _result(head, states)) is not None]


def _metrics(loss: Loss, value: Value, labels: Sequence[str] | None, cutoff: float) -> list[Metric]:
    """Return the metrics whose counters are needed; none if they do not fit the head."""
    metrics: list[Metric] = []
    if loss.of_differences:
        metrics = [MeanAbsoluteError(), R2Score()]
    elif loss.binary or targets_of(loss) in ("ids", "one_hot"):
        if not isinstance(value.shape[-1] if value.rank > 1 else 1, int) or units(value) > _MOST:
            return []
        if loss.binary and units(value) > 1:
            metrics = [F1Score(threshold=0.5)]
        elif units(value) > _MATRIX:
            metrics = [F1Score()]
        else:
            metrics = [ConfusionMatrix(threshold=cutoff)]
    return [] if any(metric.check(value, loss, labels) for metric in metrics) else metrics


def _result(head: HeadDecl, states: Sequence[MetricState]) -> ClassCounts | NumberErrors | None:
    if not any(state.counters.any() for state in states):
        return None
    counters = states[-1].counters
    if isinstance(states[-1].metric, R2Score):
        rmse = float(np.sqrt(counters[3].sum() / counters[0].sum()))
        mae, r2 = (state.result() for state in states)
        known = frozenset(name for name, metric in _ERRORS.items() if any(type(m) is metric for m in head.metrics))
        return NumberErrors(head.name, float(mae), rmse, float(r2), known)
    counts = np.rint(counters).astype(np.int64)
    labels = head.labels or [str(k) for k in range(counts.shape[-1])]
    if isinstance(states[-1].metric, ConfusionMatrix):
        return ClassCounts(head.name, labels, counts.diagonal(), counts.sum(0), counts.sum(1), counts)
    right, false, missed = counts
    return ClassCounts(head.name, labels, right, right + false, right + missed)


# The batches of some rows, in inference mode.
class Evaluation:
    """The batches of prepared rows, those with the longest lists first.

    Each has the same bits in every process with one BLAS thread.
    """

    def __init__(
        self,
        network: Network,
        objective: Objective,  # the graph with losses, for the sample weights and lengths of the rows
        parameters: Parameters,
        rows: Dataset,
        batch_size: int,
        programs: ProgramCache,
        counted: Sequence[str] = (),  # the heads that are counted besides the spec's metrics
    ) -> None:
        self._graph = objective.graph.with_outputs(fetches(network, objective, counted, evaluates=True))
        self._parameters, self._programs, self._counted = parameters, programs, counted
        self._seed = network.spec.training.seed
        rows = rows.select(rows.longest_first()) if rows.sizes else rows
        self.loader = BatchLoader(rows, batch_size, shuffle=False, seed=self._seed)
        self.loader.start(0)

    def borrow(self, batch: int) -> Loan:
        shapes = self.loader.shapes(*self.loader.form(batch))
        bound = partial(build_program, self._graph, self._parameters, Target(shapes), seed=self._seed)
        return self._programs.borrow(("evaluate", self._counted, *sorted(shapes.items())), bound)

    def load(self, batch: int, program: Program) -> None:
        """Copy the rows of a batch into its program; one thread at a time may do this."""
        self.loader.copy(batch, program.feeds)

    def add(self, batch: int, program: Program, running: RunningMetrics) -> None:
        running.add(self.loader.rows(batch), program.fetches, program.feeds)

    def compute(self, batch: int, running: RunningMetrics) -> None:
        with self.borrow(batch) as program:
            self.load(batch, program)
            program.run_apart()
            self.add(batch, program, running)


# The batches of an evaluation in several threads of this process, with the bits of one thread.
MIN_BATCHES = 4  # from so many on BLAS has one thread: results do not depend on whether threads were worth it
MIN_SECONDS = 1e-3  # a quicker batch is mostly Python's own work, of which threads do one thing at a time


def add_batches(evaluation: Evaluation, running: RunningMetrics, between: Callable[[], None]) -> None:
    """Add all batches to ``running`` in their order; ``between`` precedes each, one at a time: what it raises ends this."""
    count = evaluation.loader.batches

    def add(batches: range) -> None:
        for batch in batches:
            between()
            evaluation.compute(batch, running)

    if count < MIN_BATCHES or openblas() is None:  # the threads of another BLAS cannot be limited
        add(range(count))
        return
    with one_thread():
        add(range(1))
        start = time.perf_counter()
        add(range(1, 2))  # the first one bound the program
        others, threads = range(2, count), min(usable_cores(), count - 2)
        if threads < 2 or time.perf_counter() - start < MIN_SECONDS:
            add(others)
        else:
            _InOrder(evaluation, running, between, others).run(threads)


class _InOrder:
    """Batches that threads take in turn, compute side by side, and add to ``running`` one after the other."""

    def __init__(
        self, evaluation: Evaluation, running: RunningMetrics, between: Callable[[], None], batches: range
    ) -> None:
        self._evaluation, self._running, self._between = evaluation, running, between
        self._left, self._added = iter(batches), batches.start
        self._taking, self._changed = threading.Lock(), threading.Condition()
        self._failed: dict[int, BaseException] = {}

    def run(self, threads: int) -> None:
        """Compute the batches in this thread and ``threads - 1`` others; raise what the first batch that fails raises."""
        others = [threading.Thread(target=copy_context().run, args=(self._work,)) for _ in range(threads - 1)]
        for thread in others:
            thread.start()
        self._work()
        for thread in others:
            while thread.is_alive():
                try:
                    thread.join()
                except BaseException as error:  # Ctrl-C: end the others first
                    self._fail(self._added, error)
        if self._failed:
            raise self._failed[min(self._failed)]

    def _work(self) -> None:
        batch = self._added
        try:
            while True:
                with ExitStack() as stack:
                    # A batch has its program before a later one asks for one: none waits for a batch that waits for it.
                    with self._taking:
                        batch = -1 if self._failed else next(self._left, -1)
                        if batch < 0:
                            return
                        try:
                            self._between()
                            program = stack.enter_context(self._evaluation.borrow(batch))
                            self._evaluation.load(batch, program)
                        except BaseException as error:  # no other batch is taken after this one
                            self._fail(batch, error)
                            return
                    program.run_apart()
                    with self._changed:
                        self._changed.wait_for(partial(self._settled, batch))
                        if self._added != batch:
                            return
                        self._evaluation.add(batch, program, self._running)
                        self._added += 1
                        self._changed.notify_all()
        except BaseException as error:
            self._fail(batch, error)

    def _fail(self, batch: int, error: BaseException) -> None:
        with self._changed:
            self._failed[batch] = error
            self._changed.notify_all()

    def _settled(self, batch: int) -> bool:
        """Return whether it is this batch's turn to be added, or never will be."""
        return self._added == batch or any(failed < batch for failed in self._failed)
