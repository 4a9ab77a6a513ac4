"""The base of the callbacks: the arguments, and the state during a run, which checkpoints contain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from pydantic import AfterValidator, ConfigDict, Field

from graphspec.base.codes import Code
from graphspec.base.config import Config, Registry, invalid
from graphspec.base.errors import Diagnostic, Problem, SpecError
from graphspec.vocabulary.callbacks.outputs import Output, Outputs, unusable_name

if TYPE_CHECKING:
    from graphspec.base.arrays.random import Clock
    from graphspec.graph.ir.graph import Array, Graph
    from graphspec.graph.optimizers import Optimizer, Rate

Logs = dict[str, float]
NonNegativeInt = Annotated[int, Field(ge=0)]


class OptimizerState(Protocol):
    """The optimizer's state, as callbacks see it."""

    optimizer: Optimizer
    clock: Clock
    swapped: bool
    """True if the weights and their moving averages are swapped."""

    def swap(self) -> None:
        """Swap the weights and their moving averages."""


class Run(Protocol):
    """The run, as its callbacks see it."""

    rate: Rate
    outputs: Outputs
    epoch: int
    """The index of the current epoch, from 0."""
    reported: Collection[str]
    """Monitored names whose absence from the logs has been reported before the run."""

    @property
    def optimizer_state(self) -> OptimizerState: ...
    @property
    def graph(self) -> Graph: ...
    def batch_logs(self) -> Logs:
        """Return the current values of the loss and the metrics by name."""

    def stop(self, reason: str) -> None:
        """Stop training after the current batch."""

    def weights(self) -> dict[str, Array]:
        """Return copies of all weights by name."""

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Replace the weights."""

    def save(self, path: Path, weights_only: bool) -> None:
        """Write the weights to a file, or the model to a folder."""

    def say(self, text: str) -> None:
        """Print a line."""

    def event(self, text: str) -> None:
        """Print a line below that of the current epoch, which has one then."""


class Saved(Config):
    """The attributes of a callback's state that a checkpoint contains, as JSON, with their types."""

    model_config = ConfigDict(allow_inf_nan=True)


class CallbackState:
    """The state of a callback during a run.

    Attributes:
        saved: the attributes that a checkpoint contains.
        keeps_weights: True if :meth:`arrays` may return copies of all weights.
        adds: the names of the values that the callback adds to the logs.
        restored_epoch: the epoch, from 0, whose weights the callback has restored at the end; None if it has not.
    """

    restored_epoch: int | None = None
    saved: ClassVar[type[Saved]] = Saved
    keeps_weights: ClassVar[bool] = False
    adds: ClassVar[tuple[str, ...]] = ()

    def check_outputs(self) -> None:
        """Check the output files, before the first step of a new or resumed run; nothing is written yet.

        Raises:
            SpecError: GS105, if the callback may not write to the files of its arguments.
        """

    def on_epoch_begin(self, epoch: int) -> None:
        """Run before the first step of an epoch, but not if a run resumes within the epoch."""

    def on_test_begin(self) -> None:
        """Run before validation."""

    def on_test_end(self) -> None:
        """Run after validation."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Run after epoch ``epoch``, from 0; later callbacks see values that are added to ``logs``."""

    def on_batch_end(self, step: int, loss: float) -> None:
        """Run after batch ``step`` of the epoch, from 0."""

    def on_train_end(self) -> None:
        """Run after the last epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return the attributes in ``saved``."""
        return {name: getattr(self, name) for name in self.saved.model_fields}

    def arrays(self) -> dict[str, Array]:
        """Return the weights that belong to :meth:`state_dict`: all or none."""
        return {}

    def load_state_dict(self, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Restore the results of :meth:`state_dict` and :meth:`arrays`.

        Raises:
            ValueError: ``values`` do not match ``saved`` (pydantic's ValidationError), or there are unexpected weights.
        """
        checked = self.saved.model_validate(values)
        if arrays and not self.keeps_weights:
            raise ValueError("it stores no weights")
        for name in self.saved.model_fields:
            setattr(self, name, getattr(checked, name))


class Callback(Config):
    """Base of the callbacks."""

    def start(self, run: Run) -> CallbackState:
        """Return the state of the callback for ``run``, before it begins.

        Raises:
            SpecError: GS105, if an argument does not fit the run.
        """
        raise NotImplementedError

    def check(self, keys: Sequence[str], *, scheduled: bool = False, averaged: bool = False) -> list[Problem]:
        """Return GS105 for what does not fit the run. The subject of the messages is the callback.

        Args:
            keys: the names of the values in the run's logs.
            scheduled: True if the learning rate has a schedule.
            averaged: True if the optimizer has moving averages of the weights.
        """
        return []

    def outputs(self) -> list[Output]:
        """Return the files and folders that the callback writes."""
        return []


CALLBACKS: Registry[Callback] = Registry("callback", "EarlyStopping")


def _usable(name: str) -> str:
    if wrong := unusable_name(name):
        raise invalid(*wrong)
    return name


FileName = Annotated[str, Field(min_length=1), AfterValidator(_usable)]
"""A file or folder, relative to the run directory, or without one to the current folder."""


SCHEDULED = Problem(
    Code.VALUE_NOT_ALLOWED,
    "cannot change a learning rate that follows a schedule",
    "set the optimizer's `learning_rate` to a number",
    key="type",
)


def refused(callback: Callback, problem: Problem) -> SpecError:
    """Return the error of a callback that does not fit the run."""
    return SpecError([Diagnostic.of(type(callback).__name__, problem)])


def refuse_schedule(callback: Callback, run: Run) -> None:
    """Raise GS105 if the optimizer has a schedule."""
    if run.rate.schedule is not None:
        raise refused(callback, SCHEDULED)
