"""Callbacks that follow the logs, or change the learning rate or the weights."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from graphspec.base.config import Natural, NonNegative, Positive, PositiveInt, described, invalid, named, setting
from graphspec.base.errors import Code, Problem, did_you_mean
from graphspec.base.files import make_folder
from graphspec.base.text import count, few
from graphspec.graph.schedules import SCHEDULES, Schedule
from graphspec.vocabulary import Array
from graphspec.vocabulary.callbacks import callback as base
from graphspec.vocabulary.metrics import direction

_NAMED = 20  # results that a hint names: a metric may have thousands


def _not_logged(what: str, name: str, keys: Sequence[str], argument: str) -> Problem:
    """Return GS105 for an ``argument`` with a ``name`` that is not in the logs, which have ``keys``."""
    return Problem(Code.VALUE_NOT_ALLOWED, what + ", which this run does not log", _log_hint(name, keys), argument)


def _log_hint(name: str, keys: Sequence[str]) -> str:
    training = name.removeprefix("val_")
    if training != name and training in keys:
        return f"give the spec validation data, or name '{training}'"
    if several := [key for key in keys if re.fullmatch(rf"{re.escape(name)}_\d+", key)]:
        return f"use one of {few(several, _NAMED)}"
    return did_you_mean(name, keys) or f"use one of {few(keys, _NAMED)}"


class Monitor(base.Callback):
    """Base of the callbacks that monitor one value in the logs."""

    monitor: str = setting("val_loss", "The name of the logged value.")
    verbose: int = setting(0, "1 to print every action.")
    mode: Literal["auto", "min", "max"] = setting(
        "auto", "min: lower is better; max: higher is better; auto: decided from the metric's name."
    )

    def check(self, keys: Sequence[str], *, scheduled: bool = False, averaged: bool = False) -> list[Problem]:
        decided = self._mode() is not None
        if self.monitor in keys:
            return [] if decided else [self._undecided()]
        problem = _not_logged(f"monitors '{self.monitor}'", self.monitor, keys, "monitor")
        return [replace(problem, severity="warning") if decided else problem]

    def _mode(self) -> Literal["min", "max"] | None:
        return direction(self.monitor) if self.mode == "auto" else self.mode

    def _undecided(self) -> Problem:
        text = f"cannot derive from the name '{self.monitor}' whether larger or smaller values are better"
        return Problem(Code.VALUE_NOT_ALLOWED, text, "set `mode: max` or `mode: min`", "monitor")

    def larger_is_better(self) -> bool:
        """Return True if larger values are better; raise GS105 if that is unknown."""
        if (mode := self._mode()) is None:
            raise base.refused(self, self._undecided())
        return mode == "max"


class _Telling(base.CallbackState):
    """Base of the states of callbacks with ``verbose``."""

    def tell(self, text: str) -> None:
        if self.config.verbose > 0:
            self.run.say(text)


class _MonitorState(_Telling):
    """Base of the states of monitors: the best value so far, and for how many epochs it has been that."""

    best: float | None = None
    wait = 0
    _warned = False

    def __init__(self, config: Any, run: base.Run, *, compares: bool = True) -> None:
        super().__init__(config, run)
        self._larger: bool = compares and config.larger_is_better()

    def current(self, logs: base.Logs) -> float | None:
        """Return the monitored value. Without it return None, and warn once unless a check of the spec has warned."""
        name = self.config.monitor
        if name not in logs and not self._warned and name not in self.run.reported:
            self._warned = True
            self.run.say(f"warning: '{name}' is not logged; the logs contain {', '.join(logs)}")
        return logs.get(name)

    def improves(self, value: float, reference: float | None) -> bool:
        """Return True if ``value`` is better than ``reference`` by more than ``min_delta``."""
        if reference is None:
            return True
        delta: float = abs(getattr(self.config, "min_delta", 0.0))
        return value - delta > reference if self._larger else value + delta < reference


class _EarlyStopping(_MonitorState):
    saved = base.saves(best=float | None, wait=Natural, best_epoch=Natural, stopped_epoch=Natural)
    keeps_weights = True
    best_epoch = stopped_epoch = 0
    best_weights: Mapping[str, Array] = {}

    def on_epoch_end(self, epoch: int, logs: base.Logs) -> None:
        config, current = self.config, self.current(logs)
        if current is None or epoch < config.start_from_epoch:
            return
        if config.restore_best_weights and not self.best_weights:
            self.best_weights, self.best_epoch = self.run.weights(), epoch
        self.wait += 1
        if self.improves(current, self.best):
            self.best, self.best_epoch = current, epoch
            if config.restore_best_weights:
                self.best_weights = self.run.weights()
            if config.baseline is None or self.improves(current, config.baseline):
                self.wait = 0
        elif self.wait >= config.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.run.stop(f"{config.monitor} has not improved for {count(self.wait, 'epoch')}")

    def on_train_end(self) -> None:
        if self.stopped_epoch > 0:
            self.tell(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights:
            self.tell(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.run.set_weights(self.best_weights)
            self.restored_epoch = self.best_epoch

    def arrays(self) -> dict[str, Array]:
        return dict(self.best_weights)

    def load_state_dict(self, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        super().load_state_dict(values, arrays)
        self.best_weights = dict(arrays)


class EarlyStopping(Monitor, run_state=_EarlyStopping):
    """Stop when a logged value has not improved by more than ``min_delta`` for ``patience`` epochs."""

    min_delta: float = setting(0.0, "A change must be larger than this to count as an improvement.")
    patience: base.NonNegativeInt = setting(0, "The number of epochs without improvement before the callback acts.")
    baseline: float | None = setting(None, "Training stops unless the value is better than this.")
    restore_best_weights: bool = setting(False, "Whether to restore the best weights at the end.")
    start_from_epoch: base.NonNegativeInt = setting(0, "The number of epochs before monitoring starts.")


_FORM = re.compile(r"(?:[\w ]?[<>=^])?[-+ ]?0?\d{0,2}[,_]?(?:\.\d{1,2})?[bdeEfFgGoxX%]?", re.ASCII)
"""The formats that are allowed after the colon of a field: no width that fills the memory, no path separators."""


def _fields(text: str) -> list[tuple[str, str]]:
    """Return the names in braces, each with its format."""
    parts = string.Formatter().parse(text)
    return [(name, f"!{cast}" if cast else form or "") for _, name, form, cast in parts if name is not None]


def _names(text: str) -> list[str]:
    return [name for name, _ in _fields(text)]


def _named(name: str, keys: Sequence[str]) -> Problem:
    return _not_logged(f"names '{name}' in `filepath`", name, keys, "filepath")


class _ModelCheckpoint(_MonitorState):
    saved = base.saves(best=float | None, batches=Natural)
    batches = 0
    _resumed = False

    def __init__(self, config: ModelCheckpoint, run: base.Run) -> None:
        super().__init__(config, run, compares=config.save_best_only)
        self.best = config.initial_value_threshold

    def load_state_dict(self, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        super().load_state_dict(values, arrays)
        self._resumed = True

    def check_outputs(self) -> None:
        if not _fields(self.config.filepath):
            self._claim(self.config.filepath.format())

    def _claim(self, name: str) -> Path:
        return self.run.outputs.claim(name, self, lambda path: self._resumed or base.is_saved_model(path))

    def on_batch_end(self, step: int, loss: float) -> None:
        if isinstance(self.config.save_freq, int):
            self.batches += 1
            if self.batches >= self.config.save_freq:
                self.batches = 0
                self._save(self.run.epoch, {"loss": loss}, step)

    def on_epoch_end(self, epoch: int, logs: base.Logs) -> None:
        if self.config.save_freq == "epoch":
            self._save(epoch, logs, None)

    def _save(self, epoch: int, logs: base.Logs, step: int | None) -> None:
        if self.config.save_best_only and not self._is_best(epoch, logs):
            return
        path = self._path(epoch, logs, step)
        make_folder(path.parent)
        self.run.save(path, self.config.save_weights_only or path.suffix == ".safetensors")
        self.tell(f"Epoch {epoch + 1}: saved the model to {path}")

    def _is_best(self, epoch: int, logs: base.Logs) -> bool:
        current = self.current(logs)
        if current is None:
            return True  # as in Keras: too many checkpoints are better than none
        best = "none" if self.best is None else f"{self.best:.5f}"
        if not self.improves(current, self.best):
            self.tell(f"Epoch {epoch + 1}: {self.config.monitor} did not improve from {best}")
            return False
        self.tell(f"Epoch {epoch + 1}: {self.config.monitor} improved from {best} to {current:.5f}")
        self.best = current
        return True

    def _path(self, epoch: int, logs: base.Logs, step: int | None) -> Path:
        values: dict[str, Any] = {"epoch": epoch + 1, **({} if step is None else {"batch": step + 1}), **logs}
        try:
            return self._claim(self.config.filepath.format(**values))
        except KeyError as missing:
            raise base.refused(self.config, _named(str(missing.args[0]), list(values))) from None


class ModelCheckpoint(Monitor, run_state=_ModelCheckpoint):
    """Save the model at the end of every epoch, or of every ``save_freq`` batches, or only when it is the best so far.

    ``filepath`` may contain ``{epoch:02d}`` and any logged value, such as ``{val_loss:.2f}``. A name that ends in
    ``.safetensors`` is a file of weights, any other name is a run directory.
    """

    filepath: base.FileName = setting(..., "A folder, or a .safetensors file; may contain {epoch} and logged values.")
    save_best_only: bool = setting(False, "Whether only improvements are saved.")
    save_weights_only: bool = setting(False, "Whether only the weights are saved.")
    save_freq: Literal["epoch"] | PositiveInt = setting("epoch", "`epoch`, or a number of batches.")
    initial_value_threshold: float | None = setting(None, "The initial best value.")

    @field_validator("filepath")
    @classmethod
    def _format(cls, filepath: str) -> str:
        try:
            for name, form in _fields(filepath):
                if not name.isidentifier():
                    raise ValueError("only names are allowed in braces")
                if not _FORM.fullmatch(form):
                    raise ValueError(f"'{name}' has a format other than `02d`, `.3f` or similar")
            filepath.format(**(dict.fromkeys(_names(filepath), 0.5) | {"epoch": 1, "batch": 1}))
        except (ValueError, LookupError) as error:
            raise invalid(f"cannot be formatted: {error}", "write for example `{epoch:02d}.safetensors`") from None
        if filepath.endswith((".h5", ".hdf5", ".keras")):
            text = "must end in .safetensors, for the weights, or name a folder"
            raise invalid(text, f"write for example `{filepath.rpartition('.')[0]}.safetensors`", show_value=True)
        return filepath

    def check_arguments(self) -> None:
        if self.save_weights_only and not self.filepath.endswith(".safetensors"):
            hint = f"write `{self.filepath}.safetensors`, or leave `save_weights_only` out"
            raise invalid("must end in .safetensors if save_weights_only is set", hint, key="filepath", show_value=True)

    def check(self, keys: Sequence[str], *, scheduled: bool = False, averaged: bool = False) -> list[Problem]:
        monitored = super().check(keys) if self.save_best_only else []
        available = ["epoch", "batch", *keys]
        return monitored + [_named(name, available) for name in _names(self.filepath) if name not in available]

    def outputs(self) -> list[base.Output]:
        parts = string.Formatter().parse(self.filepath)
        name = "".join(text if name is None else f"{text}\0{name}\0" for text, name, *_ in parts)
        return [base.Output("filepath", name, is_own=base.is_saved_model)]


_FIXED = "set the optimizer's `learning_rate` to a number"
_SCHEDULED = Problem(
    Code.VALUE_NOT_ALLOWED, "cannot change a learning rate that follows a schedule", _FIXED, key="type"
)


class SetsRate(base.Callback):
    """Base of the callbacks that change the learning rate; it must not follow a schedule."""

    def check(self, keys: Sequence[str], *, scheduled: bool = False, averaged: bool = False) -> list[Problem]:
        return super().check(keys) + [_SCHEDULED] * scheduled

    def start(self, run: base.Run) -> base.CallbackState:
        if run.rate.schedule is not None:
            raise base.refused(self, _SCHEDULED)
        return super().start(run)


class _ReduceLROnPlateau(_MonitorState):
    saved = base.saves(best=float | None, wait=Natural, cooldown=Natural)
    adds = ("learning_rate",)
    cooldown = 0

    def on_epoch_end(self, epoch: int, logs: base.Logs) -> None:
        logs["learning_rate"] = rate = self.run.rate.value
        current = self.current(logs)
        if current is None:
            return
        if self.cooldown > 0:
            self.cooldown -= 1
            self.wait = 0
        if self.improves(current, self.best):
            self.best, self.wait = current, 0
        elif self.cooldown == 0:
            self.wait += 1
            if self.wait >= self.config.patience and rate > self.config.min_lr:
                self.run.rate.value = max(rate * self.config.factor, self.config.min_lr)
                self.cooldown, self.wait = self.config.cooldown, 0
                if self.config.verbose > 0:
                    self.run.say(f"Epoch {epoch + 1}: learning rate reduced to {self.run.rate.value:g}")
                else:
                    self.run.event(f"learning rate reduced to {self.run.rate.value:g}")


class ReduceLROnPlateau(SetsRate, Monitor, run_state=_ReduceLROnPlateau):
    """Multiply the learning rate by ``factor`` when a logged value has not improved for ``patience`` epochs."""

    factor: Positive = setting(0.1, "The factor of the learning rate.", lt=1)
    patience: int = setting(10, "The number of epochs without improvement before the callback acts.", ge=0)
    min_delta: float = setting(1e-4, "A change must be larger than this to count as an improvement.")
    cooldown: base.NonNegativeInt = setting(0, "The number of epochs to wait after a reduction.")
    min_lr: NonNegative = setting(0.0, "The smallest learning rate.")


class _LearningRateScheduler(_Telling):
    adds = ("learning_rate",)

    def on_epoch_begin(self, epoch: int) -> None:
        self.run.rate.value = rate = self.config.schedule(epoch)
        self.tell(f"Epoch {epoch + 1}: learning rate {rate:g}")

    def on_epoch_end(self, epoch: int, logs: base.Logs) -> None:
        logs["learning_rate"] = self.run.rate.value


class LearningRateScheduler(SetsRate, run_state=_LearningRateScheduler):
    """Set the learning rate at the start of every epoch to ``schedule`` at the epoch's index, from 0.

    The schedule's ``decay_steps``, ``boundaries`` and so on are therefore numbers of epochs.
    """

    schedule: named(SCHEDULES, Schedule) = described("A schedule; its steps are epochs.")  # type: ignore[valid-type]
    verbose: int = setting(0, "1 to print every change.")


_HINT = "set `use_ema: true` in the optimizer"
_NO_AVERAGES = Problem(Code.VALUE_NOT_ALLOWED, "needs moving averages of the weights", _HINT, key="type")


class _SwapEMAWeights(base.CallbackState):
    """Holds no state: the optimizer records whether weights and averages are swapped."""

    def _set_swapped(self, swapped: bool) -> None:
        if self.run.optimizer_state.swapped != swapped:
            self.run.optimizer_state.swap()

    def on_test_begin(self) -> None:
        self._set_swapped(True)

    def on_test_end(self) -> None:
        self._set_swapped(False)

    def on_epoch_end(self, epoch: int, logs: base.Logs) -> None:
        if self.config.swap_on_epoch:
            self._set_swapped(True)

    def on_epoch_begin(self, epoch: int) -> None:
        if self.config.swap_on_epoch:
            self._set_swapped(False)


class SwapEMAWeights(base.Callback, run_state=_SwapEMAWeights):
    """Validate with the moving averages of the weights; the optimizer needs ``use_ema``.

    With ``swap_on_epoch`` the averages also replace the weights from the end of an epoch to the start of the next one:
    later callbacks save the averages, and the weights in the run directory are the averages.
    """

    swap_on_epoch: bool = setting(False, "Whether later callbacks see the averages, not the weights.")

    def check(self, keys: Sequence[str], *, scheduled: bool = False, averaged: bool = False) -> list[Problem]:
        return [] if averaged else [_NO_AVERAGES]

    def start(self, run: base.Run) -> base.CallbackState:
        if not run.optimizer_state.optimizer.use_ema:
            raise base.refused(self, _NO_AVERAGES)
        return super().start(run)
