"""What a callback is: its arguments, and its state at work in one run, which a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from pydantic import AfterValidator, ConfigDict, Field

from graphspec.callbacks.outputs import Output, Outputs, unusable_name
from graphspec.codes import Code
from graphspec.config import Config, Registry, invalid
from graphspec.errors import Diagnostic, Problem, SpecError

if TYPE_CHECKING:
    from graphspec.arrays.random import Clock
    from graphspec.ir.graph import Array, Graph
    from graphspec.optimizers import Optimizer, Rate

Logs = dict[str, float]
NonNegativeInt = Annotated[int, Field(ge=0)]


class OptimizerState(Protocol):
    """What a callback may ask of the optimizer at work."""

    optimizer: Optimizer
    clock: Clock
    swapped: bool
    """Whether the weights and their moving averages have changed places."""

    def swap(self) -> None: ...


class Run(Protocol):
    """What a callback may ask of the training that it takes part in."""

    rate: Rate
    outputs: Outputs
    epoch: int
    """The epoch that is running, from 0."""

    @property
    def optimizer_state(self) -> OptimizerState: ...
    @property
    def graph(self) -> Graph: ...
    def figures(self) -> Logs: ...
    def stop(self, reason: str) -> None: ...
    def weights(self) -> dict[str, Array]: ...
    def set_weights(self, weights: Mapping[str, Array]) -> None: ...
    def save(self, path: Path, weights_only: bool) -> None: ...
    def say(self, text: str) -> None: ...


class Saved(Config):
    """What a callback keeps in a checkpoint, plain JSON: attributes of its state, with their types."""

    model_config = ConfigDict(allow_inf_nan=True)


class CallbackState:
    """A callback at work in one run.

    Attributes:
        saved: the attributes that go into a checkpoint.
        keeps_weights: whether :meth:`arrays` may be a copy of all weights.
        adds: the figures that it adds to the logs.
    """

    saved: ClassVar[type[Saved]] = Saved
    keeps_weights: ClassVar[bool] = False
    adds: ClassVar[tuple[str, ...]] = ()

    def check_outputs(self) -> None:
        """Before the first step, also of a run that goes on; nothing is written yet.

        Raises:
            SpecError: GS105, it may not write where its arguments say.
        """

    def on_epoch_begin(self, epoch: int) -> None:
        """Before the first step of an epoch; not where a run is resumed within one."""

    def on_test_begin(self) -> None:
        """Before validation."""

    def on_test_end(self) -> None: ...

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """``epoch`` counts from 0; what is added to ``logs`` is seen by later callbacks."""

    def on_batch_end(self, step: int, loss: float) -> None:
        """``step`` counts from 0 in the epoch."""

    def on_train_end(self) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.saved.model_fields}

    def arrays(self) -> dict[str, Array]:
        """The weights that belong to :meth:`state_dict`: all of them, or none."""
        return {}

    def load_state_dict(self, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Take up what :meth:`state_dict` and :meth:`arrays` gave.

        Raises:
            ValueError: ``values`` are not as ``saved`` says (pydantic's ValidationError), or there are weights to spare.
        """
        checked = self.saved.model_validate(values)
        if arrays and not self.keeps_weights:
            raise ValueError("it keeps no weights")
        for name in self.saved.model_fields:
            setattr(self, name, getattr(checked, name))


class Callback(Config):
    """Base of the callbacks."""

    def start(self, run: Run) -> CallbackState:
        """The callback at work in ``run``, which has not begun.

        Raises:
            SpecError: GS105 where an argument does not fit the run.
        """
        raise NotImplementedError

    def check(self, keys: Sequence[str], *, scheduled: bool = False, averaged: bool = False) -> list[Problem]:
        """GS105: what does not fit a run whose logs have these keys. The subject is the callback.

        Args:
            scheduled: its learning rate has a schedule.
            averaged: its optimizer keeps moving averages of the weights.
        """
        return []

    def outputs(self) -> list[Output]:
        """What it writes."""
        return []


CALLBACKS: Registry[Callback] = Registry("callback", "EarlyStopping")


def _usable(name: str) -> str:
    if wrong := unusable_name(name):
        raise invalid(*wrong)
    return name


FileName = Annotated[str, Field(min_length=1), AfterValidator(_usable)]
"""A file or folder, relative to the run directory, else to the current folder."""


SCHEDULED = Problem(
    Code.VALUE_NOT_ALLOWED,
    "cannot change a learning rate that follows a schedule",
    "give the optimizer a number as its `learning_rate`",
    key="type",
)


def refused(callback: Callback, problem: Problem) -> SpecError:
    """What a callback raises that does not fit the run."""
    return SpecError([Diagnostic.of(type(callback).__name__, problem)])


def refuse_schedule(callback: Callback, run: Run) -> None:
    """GS105 where the optimizer has a schedule of its own."""
    if run.rate.schedule is not None:
        raise refused(callback, SCHEDULED)
