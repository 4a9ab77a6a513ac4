"""Training: epochs of steps, with metrics, validation, callbacks and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from pydantic import Field, ValidationError

from graphspec.base.arguments import literal
from graphspec.base.arrays.calls import settings
from graphspec.base.arrays.memory import available, free
from graphspec.base.config import Config, named
from graphspec.base.errors import Code, Diagnostic, Problems, RunError, SpecError, UsageError, did_you_mean
from graphspec.base.files import write_atomic
from graphspec.base.text import count
from graphspec.data.batches import BatchLoader, Dataset, as_indices, row_weights
from graphspec.engine.compiler.heads import refuse_class_weight
from graphspec.engine.compiler.objective import TOTAL, loss_of
from graphspec.engine.compiler.training_checks import refuse_memory
from graphspec.engine.parallel.launch import Interrupt, interruptible
from graphspec.engine.runtime.records import Progress, Sums, damaged, explain
from graphspec.engine.runtime.running_metrics import ResultTable, RunningMetrics
from graphspec.engine.runtime.session import Session
from graphspec.engine.training import run_directory
from graphspec.engine.training.checkpoint import Checkpoint, load_callbacks, save_checkpoint, write_state
from graphspec.engine.training.choose_workers import AutoWorkers, Plan, TrainingSteps, choose_workers
from graphspec.engine.training.reporting import HistoryText, Observer, Timer
from graphspec.engine.training.uncertainty import forget, learn_from
from graphspec.graph.ir.graph import Array
from graphspec.graph.memory_estimate import estimate
from graphspec.language.explain import validate
from graphspec.language.read import tree_from_dict
from graphspec.vocabulary.callbacks import CALLBACKS
from graphspec.vocabulary.callbacks.callback import SAVED, Callback, Outputs


@dataclass(frozen=True)
class Fitting:
    """The checked settings of a training, of ``fit`` or of the spec."""

    epochs: int
    batch_size: int
    shuffle: bool
    callbacks: Sequence[Callback]
    class_weight: Mapping[Any, Any] | Literal["balanced"] | None
    trusted: bool  # whether the callbacks are the caller's, who may write anywhere

    def trainer(
        self, model: Session, train: Dataset, validation: Dataset | None, observer: Observer, directory: Path | None
    ) -> Trainer:
        """Return the trainer for prepared rows. GS602 (RunError): too little memory. SpecError: wrong class weights."""
        train = replace(train, weights=dict(train.weights))  # a copy: class weights will be added
        _check_memory(model, train, min(self.batch_size, len(train)))
        _apply_class_weights(model, train, self.class_weight)
        objective = model.objective(train)
        validation = None if validation is None else as_indices(objective.graph, validation)
        train = as_indices(objective.graph, train)
        loader = BatchLoader(train, self.batch_size, shuffle=self.shuffle, seed=model.seed)
        total = self.epochs + (0 if directory is not None else model.epochs_done)
        outputs = Outputs(directory, trusted=self.trusted, allow_outside=model.allow_outside, source=model.source)
        return Trainer(model, Plan(objective, loader, validation, list(self.callbacks), total), observer, outputs)


def prepared_parts(model: Session, raw: Dataset, of_validation: Dataset | None) -> tuple[Dataset, Dataset | None]:
    """Return training rows and validation rows as the graph reads them."""
    train = model.prepared(raw)
    if of_validation is None or of_validation.inputs is not raw.inputs:
        return train, None if of_validation is None else model.prepared(of_validation)
    # rows split from one file are prepared once
    return train, replace(train, weights=of_validation.weights, chosen=of_validation.chosen)


def _check_memory(model: Session, arrays: Dataset, rows: int) -> None:
    shapes = {n: (rows, *a.shape[1:]) for n, a in arrays.inputs.items()}
    slots = len(model.spec.training.optimizer.slots())
    need = model.once(("memory", *shapes.items()), lambda: estimate(model.graph, shapes, slots))
    usable = min(available(), free() + model.nbytes())  # the estimate includes the memory that the model uses already
    refuse_memory(model.graph, need, usable, shapes)


def _apply_class_weights(
    model: Session, arrays: Dataset, class_weight: Mapping[Any, Any] | Literal["balanced"] | None
) -> None:
    heads = [h for h in model.spec.heads.values() if h.needs_data]
    by_head: Mapping[str, Any] = {h.name: h.class_weight for h in heads if h.class_weight is not None}
    if isinstance(class_weight, Mapping) and all(
        isinstance(v, Mapping) or v == "balanced" for v in class_weight.values()
    ):
        names = [h.name for h in heads]
        if unknown := [str(name) for name in class_weight if name not in names]:
            hint = did_you_mean(unknown[0], names) or f"give those of {' and '.join(names)}"
            raise UsageError(f"`class_weight` has an unknown head '{unknown[0]}'; {hint}")
        by_head = class_weight
    elif class_weight is not None:
        if len(heads) != 1:
            raise UsageError("with several heads, `class_weight` must be {head: {class: weight}}")
        by_head = {heads[0].name: class_weight}
    for name, weights in by_head.items():
        if not isinstance(weights, Mapping):
            expected = "a mapping such as `{0: 1.0, 1: 5.0}`, or 'balanced'"
            weights = literal("class_weight", weights, "balanced", expected)
        head = model.spec.heads[name]
        if refused := refuse_class_weight(head, model.graph.outputs[name]):
            raise SpecError([Diagnostic.of(f"head '{name}'", refused)])
        target, chosen = arrays.targets[name], arrays.chosen
        chosen_target = target if chosen is None else target[chosen]
        ignored = getattr(head.loss, "ignore_class", None)
        width = model.graph.outputs[name].fixed(-1)
        rows = row_weights(weights, chosen_target, 2 if width == 1 else width, head.labels, ignored)
        if chosen is not None:
            all_rows = np.ones(len(target), np.float32)
            all_rows[chosen] = rows
            rows = all_rows
        if (before := arrays.weights.get(name)) is not None:
            rows = (before * rows.reshape(-1, *(1,) * (before.ndim - 1))).astype(np.float32)
        arrays.weights[name] = rows


class _ValidationStoppedError(Exception):
    """A signal has arrived during validation."""


class Trainer:
    """One call of ``fit``, and callbacks' ``run``; after epochs it writes checkpoints to the directory of ``outputs``."""

    def __init__(self, model: Session, plan: Plan, observer: Observer, outputs: Outputs) -> None:
        self.model, self.optimizer_state, self.observer, self.outputs = model, model.optimizer_state, observer, outputs
        self.objective, self.loader, self.validation = plan.objective, plan.loader, plan.validation
        self.total, self.directory, self.rate = plan.total, outputs.directory, self.optimizer_state.rate
        self.stopped: str | None = None  # the reason why a callback has stopped the training
        self.running, self.tables = RunningMetrics(model, training=True), list[ResultTable]()
        self.epoch, self.batch = model.epochs_done, 0
        self.history, self._history_text = dict[str, list[float]](), HistoryText()
        self.graph, self.set_weights, self.batch_logs = model.graph, model.set_weights, self.running.logs
        self.say, self.event = observer.say, observer.event
        self.states = [c.start(self) for c in plan.callbacks]
        self.steps = TrainingSteps(model, plan, self.running)
        self._auto: AutoWorkers | None = None
        self.resumed = False  # whether the state comes from a checkpoint
        self.concludes = True  # whether held-out rows teach temperatures and intervals at the end
        self.reported: Collection[str] = ()  # monitored names whose absence from the logs has been reported
        self.last_checkpoint: tuple[int, int] | None = None  # its epoch and step
        self.seconds_between, self._written = 0.0, time.monotonic()  # of two checkpoints; when the last one was
        self.timer = Timer(len(plan.loader.dataset), 0 if plan.validation is None else len(plan.validation))

    def stop(self, reason: str) -> None:
        self.stopped = reason

    def weights(self) -> dict[str, Array]:
        return self.model.weights

    def save(self, path: Path, weights_only: bool) -> None:
        if weights_only or path.suffix == ".safetensors":
            run_directory.write_weights(self.model, path, self._belongs["network"], SAVED)
        else:
            run_directory.save_model(self.model, path, SAVED)

    def check_outputs(self) -> None:
        """Raise GS105 (SpecError) if a callback may not write to one of its outputs, unless the training has ended."""
        for state in [] if self.finished else self.states:
            state.check_outputs()

    def run(self) -> None:
        """Train until ``total`` epochs are done, a callback stops the training, or Ctrl-C is pressed.

        In ``graphspec train``, SIGTERM and SIGUSR1 do what Ctrl-C does. Raises RunError: GS601 if a head's loss is not
        finite; that step does not change the weights. GS604 if a worker died. KeyboardInterrupt: after Ctrl-C; if there
        is a directory, the checkpoint of the last step has been written. Its argument is the signal's number.
        """
        with self.model.access.writing("steps"):
            self.check_outputs()
            forget(self.model)
            self.observer.begin(self.total, self.epoch, self.loader.batches)
            try:
                with settings(), interruptible() as interrupt:
                    if not self.finished:
                        self._choose_workers()
                        self.timer.begin(self.epoch, self.batch)
                    while not self.finished:
                        self._epoch(interrupt)
                        if interrupt.requested:  # after the epoch's last step
                            if self.last_checkpoint != (self.epoch, self.batch):
                                self.checkpoint()
                            if self.directory is not None:
                                self.timer.write(self.directory)
                            interrupt.stop()
            finally:
                self.steps.leave()
                self.observer.end()
            self.timer.tell(self.say)
            self.optimizer_state.finish()
            for state in self.states:
                state.on_train_end()
            restored = [state.restored_epoch for state in self.states if state.restored_epoch is not None]
            if self.directory is not None:
                self.timer.times.restored_epoch = restored[-1] + 1 if restored else None
                self.timer.write(self.directory)
        if self.concludes and self.validation is not None:
            learn_from(self.model, [(self.model, self.validation, np.arange(len(self.validation)))])

    def _choose_workers(self) -> None:
        same_bits = self.model.spec.training.shards is not None  # whatever the number of workers
        recorded = self.model.workers if self.resumed and not same_bits else None
        requested, remaining = recorded or self.model.spec.training.workers, range(self.epoch, self.total)
        size, self._auto = choose_workers(self.steps, requested, remaining, self.say, exactly=recorded is not None)
        self._record_workers(size)

    def _revise_workers(self) -> None:
        """Change the number of workers between two epochs if ``workers: auto`` finds that another one is faster now."""
        if self._auto is None or self.finished:
            return
        seconds = self.timer.times.epochs[-1].steps or 0.0
        if (size := self._auto.revise(range(self.epoch, self.total), seconds / self.loader.batches)) is not None:
            self.say(f"{count(size, 'process', 'processes')} from epoch {self.epoch + 1} on: steps are faster so")
            self._record_workers(size)

    def _record_workers(self, size: int) -> None:
        self.model.workers = size
        if self.steps.leader is not None:
            self.steps.leader.give_back()
        if self.directory is not None:
            run_directory.record_workers(self.model, self.directory)

    def _epoch(self, interrupt: Interrupt) -> None:
        self.loader.start(self.epoch)
        if self.batch == 0:
            for state in self.states:
                state.on_epoch_begin(self.epoch)
        while self.batch < self.loader.batches:
            self.step()
            if self.steps.ranks is not None and not interrupt.requested:
                interrupt.signum = self.steps.ranks.requested  # the signal by which another rank was asked to stop
            if interrupt.requested:
                self._interrupt(interrupt)
            if self.stopped is not None:
                return
        self.timer.stepped(self.steps.leader is None)
        if (weight := self.model.parameters.not_finite()) is not None:
            text = f"the weight '{weight}' is not finite at the end of epoch {self.epoch + 1}: its gradient overflowed"
            self._not_finite(text, "the last checkpoint is from the previous epoch", math.nan)
            return
        logs = self.running.logs()
        if self.validation is not None:
            validation = self._validate(self.validation, interrupt)
            logs |= validation.logs("val_")
            self.tables = validation.tables()
        epoch, rate = self.epoch, self.rate.value  # callbacks may change the rate of the next epoch
        self.epoch = self.model.epochs_done = epoch + 1
        self.batch = 0
        self.running.reset()
        for state in self.states:
            state.on_epoch_end(epoch, logs)
        for key, value in logs.items():  # after the callbacks, which may add the learning rate
            self.history.setdefault(key, []).append(value)
        self.timer.ended(rate, self.model.workers)
        self.observer.epoch(epoch, logs)
        if self.finished or time.monotonic() - self._written >= self.seconds_between:
            self.checkpoint()
        self._revise_workers()  # after the checkpoint: a run that is resumed from it uses the recorded number, too

    def _validate(self, rows: Dataset, interrupt: Interrupt) -> RunningMetrics:
        """Evaluate validation data. A signal stops it between two batches; the resumed run validates again."""

        def between() -> None:
            if self.steps.leader is not None:
                self.steps.leader.check()
            if interrupt.requested:
                raise _ValidationStoppedError

        for state in self.states:
            state.on_test_begin()
        try:
            return self.steps.validate(rows, between)
        except _ValidationStoppedError:
            pass
        finally:
            for state in self.states:
                state.on_test_end()
        self._interrupt(interrupt)

    def _interrupt(self, interrupt: Interrupt) -> NoReturn:
        """Stop within an epoch, with a checkpoint."""
        self.timer.interrupted()
        self.checkpoint()
        interrupt.stop()

    def step(self) -> None:
        rows, program = self.steps.compute(self.epoch, self.batch)
        loss = float(program.fetches[TOTAL])
        if not math.isfinite(loss):
            heads = [n for n in self.objective.losses if not math.isfinite(float(program.fetches[loss_of(n)]))]
            term = f"the loss of head '{heads[0]}'" if heads else "the regularization added to the loss"
            self.steps.finish()
            text = f"{term} is {loss} in epoch {self.epoch + 1}, step {self.batch + 1}"
            self._not_finite(text, "this step has not changed the weights", loss)
            return
        self.optimizer_state.run()
        self.running.add(rows, program.fetches, program.feeds)
        self.steps.finish(self.running)
        self.batch += 1
        self.optimizer_state.clock.step += 1
        for state in self.states:
            state.on_batch_end(self.batch - 1, loss)
        self.observer.step(self.epoch, self.batch, self.running)

    def _not_finite(self, text: str, unharmed: str, loss: float) -> None:
        """Raise GS601, unless a callback (TerminateOnNaN) stops the training."""
        for state in self.states:
            state.on_batch_end(self.batch, loss)
        if self.stopped is None:
            hint = f"lower `learning_rate`, set `clipnorm`, or scale the inputs; {unharmed}"
            raise RunError(Code.NOT_FINITE, text, hint)

    def checkpoint(self) -> None:
        """Write a checkpoint between two steps, if there is a directory."""
        if self.directory is None:
            return
        arrays = {f"weight/{n}": a for n, a in self.model.weights.items()} | self.optimizer_state.arrays()
        for k, state in enumerate(self.states):
            arrays |= {f"callback/{k}/{n}": a for n, a in state.arrays().items()}
        self._history_text.update(self.history)
        checkpoint = Checkpoint(arrays, self._state(), self._belongs, self.model.adapted)
        save_checkpoint(self.directory, checkpoint, self._history_text)
        self.last_checkpoint, self._written = (self.epoch, self.batch), time.monotonic()
        run_directory.write_weights(self.model, self.directory / "weights.safetensors", self._belongs["network"])
        write_atomic(self.directory / "history.csv", self._history_text.csv())
        if self.batch or self.timer.due:
            self.timer.write(self.directory)

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            **self.optimizer_state.counters(),
            "stopped": self.stopped,
            "totals": self.running.state(),
            "callbacks": [s.state_dict() for s in self.states],
        }

    @cached_property
    def _belongs(self) -> dict[str, str]:
        return run_directory.belongs(self.model.document(), self.model.adapted)

    def resume_from(self, directory: Path, ranks: int = 1) -> None:
        """Restore the checkpoint of a run; more: :meth:`resume`, :func:`run_directory.check_resumable`."""
        self.resume(run_directory.check_resumable(self.model, directory, ranks))

    def resume(self, checkpoint: Checkpoint) -> None:
        """Restore a checkpoint; the run then ends with the same bits as an uninterrupted one.

        Raises UsageError: the checkpoint belongs to a saved model. RunError: GS603, it does not match this run.
        """
        saved, arrays = checkpoint.progress(), checkpoint.arrays
        if saved.totals is None or saved.history is None or saved.callbacks is None:
            text = f"{checkpoint.path} belongs to a saved model, not to a run: there is no training to resume"
            raise UsageError(f"{text}; load the model in Python with `graphspec.load`, or train in another folder")
        if saved.swapped:
            run_directory.check_averages(self.model, checkpoint.path)
        try:
            self._check_progress(saved, saved.totals, saved.history)
            self.running.load(saved.totals)
            load_callbacks(self.states, saved.callbacks, arrays, self.model.graph.params)
        except ValueError as error:
            why = explain(error) if isinstance(error, ValidationError) else str(error)
            raise damaged(checkpoint.path, why) from None
        self.optimizer_state.load(arrays)
        self.model.set_weights({n[7:]: a for n, a in arrays.items() if n.startswith("weight/")})
        self.optimizer_state.load_counters(vars(saved))
        self.epoch = self.model.epochs_done = saved.epoch
        self.batch, self.stopped = saved.batch, saved.stopped
        self.history = {key: [float(v) for v in values] for key, values in saved.history.items()}
        self.resumed, self.last_checkpoint = True, (self.epoch, self.batch)
        self.timer.resume(checkpoint.path.parent)

    def write_derived(self) -> None:
        """Write the files that repeat the checkpoint: if the run was killed just after writing it, they may be older."""
        assert self.directory is not None
        self._history_text.update(self.history)
        write_state(self.directory, self._state(), self._history_text)
        write_atomic(self.directory / "history.csv", self._history_text.csv())
        if not (self.finished and self.concludes):  # the weights of a finished run that is no copy follow
            run_directory.write_weights(self.model, self.directory / "weights.safetensors", self._belongs["network"])

    @property
    def finished(self) -> bool:
        return self.stopped is not None or self.epoch >= self.total

    def _check_progress(self, saved: Progress, running: Sums, history: Mapping[str, Sequence[float]]) -> None:
        """Raise ValueError if the counters of a checkpoint contradict each other, or this run."""
        batches, rows = self.loader.batches, min(saved.batch * self.loader.batch_size, len(self.loader.dataset))
        if saved.epoch > self.total or saved.batch > (batches if saved.epoch < self.total else 0):
            raise ValueError(f"epoch {saved.epoch}, step {saved.batch} is after the end of the run")
        if saved.step != saved.epoch * batches + saved.batch:
            raise ValueError(f"{saved.step} updates do not match epoch {saved.epoch}, step {saved.batch}")
        if running.rows != rows:
            raise ValueError(f"totals of {running.rows} rows do not match step {saved.batch}")
        keys = list(self.running.logs())
        expected = {*keys, *(key for state in self.states for key in state.adds)}
        expected |= {f"val_{key}" for key in keys} if self.validation is not None else set()
        if history.keys() != (expected if saved.epoch else set()):
            raise ValueError("its history has other losses or metrics than this run")
        if any(len(values) != saved.epoch for values in history.values()):
            raise ValueError(f"its history does not have {saved.epoch} values for every key")


# The callbacks that a Python caller passes to ``fit``: objects, or names and mappings as in a spec.
GivenCallbacks = Sequence[Callback | str | Mapping[str, Any]]
_EXAMPLE = "`callbacks=[EarlyStopping(patience=3)]` or `callbacks=[{'type': 'EarlyStopping', 'patience': 3}]`"


class _Given(Config):
    callbacks: list[named(CALLBACKS, Callback)] = Field(description="Callbacks.")  # type: ignore[valid-type]


def given_callbacks(value: Any) -> list[Callback]:
    """Return ``fit``'s callbacks: objects, names, or mappings with ``type``. UsageError: another value, or arguments."""
    if isinstance(value, str | Mapping | Callback):
        value = [value]
    if not isinstance(value, list | tuple):
        raise UsageError(f"`callbacks` must be a list of callbacks, got {_described(value)}; write {_EXAMPLE}")
    return [_callback(item) for item in value]


def _callback(item: Any) -> Callback:
    if isinstance(item, Callback):
        return item
    if isinstance(item, type) and issubclass(item, Callback):
        raise UsageError(f"`callbacks` contains the class {item.__name__}; create the object: `{item.__name__}()`")
    if not isinstance(item, str | Mapping):
        fix, name = f"write {_EXAMPLE}", type(item).__name__
        if "keras" in type(item).__module__:
            fix = f"use `graphspec.callbacks.{name}`" if CALLBACKS.get(name) else fix
        elif callable(item):
            fix = "derive a class from `graphspec.callbacks.Callback` for code of your own (docs/python.md)"
        raise UsageError(f"`callbacks` contains {_described(item)}, which is no callback; {fix}")
    problems = Problems()
    tree = tree_from_dict({"callbacks": [item]}, problems)
    found = None if problems.found else validate(_Given, tree, "`fit`", problems)
    if found is None:
        texts = [f"{d.message}; {d.hint}" if d.hint else d.message for d in problems.found]
        raise UsageError("\n".join(text.replace("`callbacks[0]`", "`callbacks`") for text in texts))
    (callback,) = found.callbacks
    assert isinstance(callback, Callback)
    return callback


def refuse_misspelt_monitors(callbacks: Sequence[Callback], keys: Sequence[str]) -> None:
    """Raise GS105 for callbacks whose monitored name is nearly one that a run logs, by the keys without ``val_``.

    Another unknown name may be a value that a callback of the caller's own adds to the logs.
    """
    logged = [*dict.fromkeys([*keys, *(f"val_{key}" for key in keys if not key.startswith("val_"))])]
    found = [
        Diagnostic.of(type(callback).__name__, problem)
        for callback in callbacks
        for problem in callback.check(logged)
        if problem.severity == "error" and problem.key == "monitor" and (problem.hint or "").startswith("did you mean")
    ]
    if found:
        raise SpecError(found)


def _described(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function `{value.__name__}`"
    return f"a value of type {type(value).__name__}"
