"""Training: epochs of steps, with metrics, validation, callbacks and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from graphspec.arrays.calls import settings
from graphspec.callbacks.outputs import SAVED, Outputs
from graphspec.codes import Code
from graphspec.compiler.fetches import TOTAL, loss_of
from graphspec.compiler.objective import Objective
from graphspec.errors import RunError, UsageError
from graphspec.ir.graph import Array, Graph
from graphspec.runtime.program import Program
from graphspec.runtime.records import Progress, Sums, damaged, explain
from graphspec.runtime.running_metrics import ResultTable, RunningMetrics
from graphspec.training.checkpoint import Checkpoint, save_checkpoint, write_state
from graphspec.training.choose_workers import choose_workers
from graphspec.training.interrupt import Interrupt, interruptible
from graphspec.training.observers import Observer
from graphspec.training.run_directory import (
    belongs,
    check_averages,
    record_workers,
    save_model,
    write_history,
    write_weights,
)
from graphspec.training.steps import TrainingSteps

if TYPE_CHECKING:
    from graphspec.callbacks import Callback
    from graphspec.data.check import BatchLoader, Dataset
    from graphspec.runtime.session import Session


_CALMER = "lower `learning_rate`, set `clipnorm`, or scale the inputs"


@dataclass(frozen=True)
class Plan:
    """What one call of ``fit`` does.

    Attributes:
        objective: what is minimised.
        loader: the batches of an epoch.
        validation: the rows to evaluate after every epoch, if any.
        total: the epoch to stop before, counted over the model's life (a resumed or second ``fit`` goes on).
    """

    objective: Objective
    loader: BatchLoader
    validation: Dataset | None
    callbacks: Sequence[Callback]
    total: int


class Trainer:
    """One call of ``fit``: also the ``run`` that callbacks see.

    Args:
        outputs: where the callbacks may write. Checkpoints go to its ``directory`` at the end of every epoch, if any.
    """

    def __init__(self, model: Session, plan: Plan, observer: Observer, outputs: Outputs) -> None:
        self.model, self.optimizer_state, self.observer, self.outputs = model, model.optimizer_state, observer, outputs
        self.objective, self.loader, self.validation = plan.objective, plan.loader, plan.validation
        self.total, self.directory, self.rate = plan.total, outputs.directory, self.optimizer_state.rate
        self.stopped: str | None = None
        self.running, self.tables = RunningMetrics(model), list[ResultTable]()
        self.epoch, self.batch = model.epochs_done, 0
        self.history: dict[str, list[float]] = {}
        self.states = [c.start(self) for c in plan.callbacks]
        self.steps = TrainingSteps(model, plan.objective, plan.loader, self.running)
        self.resumed = False
        self.kept: tuple[int, int] | None = None
        """Epoch and step of the last checkpoint."""

    # What callbacks may do.

    @property
    def graph(self) -> Graph:
        return self.model.graph

    def figures(self) -> dict[str, float]:
        """The figures of the epoch so far."""
        return self.running.logs()

    def stop(self, reason: str) -> None:
        self.stopped = reason

    def weights(self) -> dict[str, Array]:
        return self.model.weights

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        self.model.set_weights(weights)

    def save(self, path: Path, weights_only: bool) -> None:
        if weights_only or path.suffix == ".safetensors":
            write_weights(self.model, path, self._belongs["network"], SAVED)
        else:
            save_model(self.model, path, SAVED)

    def say(self, text: str) -> None:
        self.observer.say(text)

    # The run.

    def check_outputs(self) -> None:
        """GS105 (SpecError) where a callback may not write what it will, if anything is left to be done."""
        if self.epoch < self.total and self.stopped is None:
            for state in self.states:
                state.check_outputs()

    def run(self) -> None:
        """Train until ``total`` epochs are done, a callback stops, or Ctrl-C is pressed.

        Raises:
            RunError: GS601 where a head's loss is not finite; the weights are those before that step. GS604 where a
                worker died.
            KeyboardInterrupt: after Ctrl-C; with a directory, the checkpoint of this very step has been written.
        """
        with self.model.access.writing("training"):
            self._run()

    def _run(self) -> None:
        self.check_outputs()
        self.observer.begin(self.total, self.epoch, self.loader.batches)
        try:
            with settings(), interruptible() as interrupt:
                if self.epoch < self.total and self.stopped is None:
                    self._choose_workers()
                while self.epoch < self.total and self.stopped is None:
                    self._epoch(interrupt)
        finally:
            self.steps.leave()
            self.observer.end()
        self.optimizer_state.finish()
        for state in self.states:
            state.on_train_end()

    def _choose_workers(self) -> None:
        begun = self.model.workers if self.resumed else None
        asked, left = begun or self.model.spec.training.workers, range(self.epoch, self.total)
        self.model.workers = choose_workers(self.steps, asked, left, self.say, exactly=begun is not None)
        if self.directory is not None:
            record_workers(self.model, self.directory)

    def _epoch(self, interrupt: Interrupt) -> None:
        self.loader.start(self.epoch)
        if self.batch == 0:
            for state in self.states:
                state.on_epoch_begin(self.epoch)
        while self.batch < self.loader.batches:
            self.step()
            if interrupt.asked:
                self.checkpoint()
                raise KeyboardInterrupt
            if self.stopped is not None:
                return
        if (lost := self.model.parameters.not_finite()) is not None:
            what = f"the weight '{lost}' is not finite at the end of epoch {self.epoch + 1}: its gradient overflowed"
            self._not_finite(what, f"{_CALMER}; checkpoints stay as they were an epoch before", math.nan)
            return
        logs = self.running.logs()
        if self.validation is not None:
            for state in self.states:
                state.on_test_begin()
            validation = self.model.evaluate_arrays(self.validation, self.loader.batch_size)
            for state in self.states:
                state.on_test_end()
            logs |= validation.logs("val_")
            self.tables = validation.tables()
        epoch = self.epoch
        self.epoch, self.batch = epoch + 1, 0
        self.model.epochs_done = self.epoch
        self.running.reset()
        for state in self.states:
            state.on_epoch_end(epoch, logs)
        for key, value in logs.items():  # after the callbacks, which may add the learning rate
            self.history.setdefault(key, []).append(value)
        self.observer.epoch(epoch, logs)
        if self.directory is not None:
            self.checkpoint()

    def step(self) -> None:
        rows, program = self.steps.compute(self.epoch, self.batch)
        loss = float(program.fetches[TOTAL])
        if not math.isfinite(loss):
            self._refuse_loss(program, loss)
            if self.stopped is not None:
                return
        self.optimizer_state.run()
        self.running.add(rows, program.fetches, program.feeds)
        self.steps.finish(self.running)
        self.batch += 1
        self.optimizer_state.clock.step += 1
        for state in self.states:
            state.on_batch_end(self.batch - 1, loss)
        self.observer.step(self.epoch, self.batch, self.running)

    def _refuse_loss(self, program: Program, loss: float) -> None:
        heads = [n for n in self.objective.losses if not math.isfinite(float(program.fetches[loss_of(n)]))]
        who = f"the loss of head '{heads[0]}'" if heads else "the regularization added to the loss"
        self.steps.finish()
        what = f"{who} is {loss} in epoch {self.epoch + 1}, step {self.batch + 1}"
        self._not_finite(what, f"{_CALMER}; the weights are those before this step", loss)

    def _not_finite(self, what: str, hint: str, loss: float) -> None:
        """The run fails, unless TerminateOnNaN asks for a quiet end."""
        for state in self.states:
            state.on_batch_end(self.batch, loss)
        if self.stopped is None:
            raise RunError(Code.NOT_FINITE, what, hint)

    # Checkpoints.

    def checkpoint(self) -> None:
        """Write the state between two steps, if there is a directory."""
        if self.directory is None:
            return
        arrays = {f"weight/{n}": a for n, a in self.model.weights.items()} | self.optimizer_state.arrays()
        for k, state in enumerate(self.states):
            arrays |= {f"callback/{k}/{n}": a for n, a in state.arrays().items()}
        save_checkpoint(self.directory, Checkpoint(arrays, self._state(), self._belongs))
        self.kept = (self.epoch, self.batch)
        write_weights(self.model, self.directory / "weights.safetensors", self._belongs["network"])
        write_history(self.directory, self.history)

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.optimizer_state.clock.step,
            "learning_rate": self.rate.value,
            "swapped": self.optimizer_state.swapped,
            "stopped": self.stopped,
            "totals": self.running.state(),
            "history": self.history,
            "callbacks": [s.state_dict() for s in self.states],
        }

    @cached_property
    def _belongs(self) -> dict[str, str]:
        return belongs(self.model.document())

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take up the state of a checkpoint, so that the run ends with the bits of one that was not interrupted.

        Raises:
            UsageError: it is that of a saved model.
            RunError: GS603, it does not fit this run.
        """
        saved, arrays = checkpoint.progress(), checkpoint.arrays
        if saved.totals is None or saved.history is None or saved.callbacks is None:
            text = f"{checkpoint.path} is that of a saved model, not of a run: there is no training to go on with"
            raise UsageError(f"{text}; take it up in Python with `graphspec.load`, or train in another folder")
        if saved.swapped:
            check_averages(self.model, checkpoint.path)
        try:
            self._check_progress(saved, saved.totals, saved.history)
            self.running.load(saved.totals)
            self._load_callbacks(saved.callbacks, arrays)
        except ValidationError as error:
            raise damaged(checkpoint.path, explain(error)) from None
        except ValueError as error:
            raise damaged(checkpoint.path, str(error)) from None
        self.optimizer_state.load(arrays)
        self.model.set_weights({n[7:]: a for n, a in arrays.items() if n.startswith("weight/")})
        self.optimizer_state.clock.step = saved.step
        self.rate.value, self.optimizer_state.swapped = saved.learning_rate, saved.swapped
        self.epoch = self.model.epochs_done = saved.epoch
        self.batch, self.stopped = saved.batch, saved.stopped
        self.history = {key: [float(v) for v in values] for key, values in saved.history.items()}
        self.resumed, self.kept = True, (self.epoch, self.batch)

    def write_derived(self) -> None:
        """The files that follow from a checkpoint: a kill just after it was written may have left them behind it."""
        assert self.directory is not None
        write_state(self.directory, self._state())
        write_history(self.directory, self.history)
        if not self.finished:  # else they are about to be written as they are in the end
            write_weights(self.model, self.directory / "weights.safetensors", self._belongs["network"])

    @property
    def finished(self) -> bool:
        return self.stopped is not None or self.epoch >= self.total

    def _check_progress(self, saved: Progress, running: Sums, history: Mapping[str, Sequence[float]]) -> None:
        """Raise ValueError where the figures of a checkpoint contradict each other, or this run."""
        batches, rows = self.loader.batches, min(saved.batch * self.loader.batch_size, len(self.loader.dataset))
        if saved.epoch > self.total or saved.batch > (batches if saved.epoch < self.total else 0):
            raise ValueError(f"epoch {saved.epoch}, step {saved.batch} lies behind the end of the run")
        if saved.step != saved.epoch * batches + saved.batch:
            raise ValueError(f"{saved.step} updates do not fit epoch {saved.epoch}, step {saved.batch}")
        if running.rows != rows:
            raise ValueError(f"figures of {running.rows} rows do not fit step {saved.batch}")
        figures = list(self.running.logs())
        expected = {*figures, *(key for state in self.states for key in state.adds)}
        if self.validation is not None:
            expected |= {f"val_{key}" for key in figures}
        if history.keys() != (expected if saved.epoch else set()):
            raise ValueError("its history has other figures than this run")
        if any(len(values) != saved.epoch for values in history.values()):
            raise ValueError(f"its history has not {saved.epoch} values of every figure")

    def _load_callbacks(self, saved: Sequence[Mapping[str, Any]], arrays: Mapping[str, Array]) -> None:
        if len(saved) != len(self.states):
            raise ValueError(f"it has the state of {len(saved)} callbacks, not of {len(self.states)}")
        for k, (state, values) in enumerate(zip(self.states, saved, strict=True)):
            prefix = f"callback/{k}/"
            mine = {n[len(prefix) :]: a for n, a in arrays.items() if n.startswith(prefix)}
            if mine and mine.keys() != self.model.graph.params.keys():
                raise ValueError(f"it has some of the weights that callback {k + 1} keeps, not all")
            state.load_state_dict(values, mine)
