"""Callbacks that change the learning rate or the weights: LearningRateScheduler, SwapEMAWeights."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from graphspec.base.codes import Code
from graphspec.base.config import named
from graphspec.base.errors import Problem
from graphspec.graph.schedules import SCHEDULES, Schedule
from graphspec.vocabulary.callbacks.base import (
    CALLBACKS,
    SCHEDULED,
    Callback,
    CallbackState,
    Logs,
    Run,
    refuse_schedule,
    refused,
)


@CALLBACKS.add()
class LearningRateScheduler(Callback):
    """Set the learning rate at the start of every epoch to ``schedule`` at the epoch's index, from 0.

    The schedule's ``decay_steps``, ``boundaries`` and so on are therefore numbers of epochs.
    """

    schedule: named(SCHEDULES, Schedule) = Field(description="A schedule; its steps are epochs.")  # type: ignore[valid-type]
    verbose: int = Field(0, description="1 to print every change.")

    def check(self, keys: Sequence[str], *, scheduled: bool = False, averaged: bool = False) -> list[Problem]:
        return [SCHEDULED] if scheduled else []

    def start(self, run: Run) -> CallbackState:
        refuse_schedule(self, run)
        return _LearningRateScheduler(self, run)


class _LearningRateScheduler(CallbackState):
    adds = ("learning_rate",)

    def __init__(self, config: LearningRateScheduler, run: Run) -> None:
        self.config, self.run = config, run

    def on_epoch_begin(self, epoch: int) -> None:
        self.run.rate.value = rate = self.config.schedule(epoch)
        if self.config.verbose > 0:
            self.run.say(f"Epoch {epoch + 1}: learning rate {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        logs["learning_rate"] = self.run.rate.value


_NO_AVERAGES = Problem(
    Code.VALUE_NOT_ALLOWED,
    "needs moving averages of the weights",
    "set `use_ema: true` in the optimizer",
    key="type",
)


@CALLBACKS.add()
class SwapEMAWeights(Callback):
    """Validate with the moving averages of the weights; the optimizer needs ``use_ema``.

    With ``swap_on_epoch`` the averages also replace the weights from the end of an epoch to the start of the next one:
    later callbacks save the averages, and the weights in the run directory are the averages.
    """

    swap_on_epoch: bool = Field(False, description="Whether later callbacks see the averages, not the weights.")

    def check(self, keys: Sequence[str], *, scheduled: bool = False, averaged: bool = False) -> list[Problem]:
        return [] if averaged else [_NO_AVERAGES]

    def start(self, run: Run) -> CallbackState:
        if not run.optimizer_state.optimizer.use_ema:
            raise refused(self, _NO_AVERAGES)
        return _SwapEMAWeights(self, run)


class _SwapEMAWeights(CallbackState):
    """Holds no state: the optimizer records whether weights and averages are swapped."""

    def __init__(self, config: SwapEMAWeights, run: Run) -> None:
        self.config, self.run = config, run

    def _set_swapped(self, swapped: bool) -> None:
        if self.run.optimizer_state.swapped != swapped:
            self.run.optimizer_state.swap()

    def on_test_begin(self) -> None:
        self._set_swapped(True)

    def on_test_end(self) -> None:
        self._set_swapped(False)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.config.swap_on_epoch:
            self._set_swapped(True)

    def on_epoch_begin(self, epoch: int) -> None:
        if self.config.swap_on_epoch:
            self._set_swapped(False)
