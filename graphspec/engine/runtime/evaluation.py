"""Losses and metrics of the batches of some rows, in inference mode."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial

from graphspec.base.arrays.blas import one_thread, openblas
from graphspec.base.arrays.cores import usable_cores
from graphspec.data.batches import BatchLoader, Dataset
from graphspec.engine.compiler.objective import Network, Objective, fetches
from graphspec.engine.runtime.bind import build_program
from graphspec.engine.runtime.parameters import Parameters
from graphspec.engine.runtime.program import Loan, Program, ProgramCache
from graphspec.engine.runtime.running_metrics import RunningMetrics
from graphspec.graph.target import Target


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
