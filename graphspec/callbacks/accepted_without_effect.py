"""Callbacks of Keras that every run has already, and those that a spec cannot have."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from graphspec.callbacks.base import CALLBACKS, Callback, CallbackState, Run
from graphspec.config import invalid


class Always(Callback):
    """Base of what is done anyway: accepted without effect."""

    def start(self, run: Run) -> CallbackState:
        return CallbackState()


@CALLBACKS.add()
class History(Always):
    """Without effect: every run has its history, which ``fit`` returns and ``history.csv`` keeps."""


@CALLBACKS.add()
class ProgbarLogger(Always):
    """Without effect: the command line shows progress, ``fit`` does with ``verbose``."""


class Refused(Callback):
    """Base of what a spec cannot have (GS105): says why and what there is instead."""

    reason: ClassVar[tuple[str, str]]

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, arguments: Any) -> Any:
        reason, hint = cls.reason
        raise invalid(f"is refused: {reason}", hint)


@CALLBACKS.add()
class BackupAndRestore(Refused):
    """Refused: a run directory has a checkpoint of every epoch's end, and ``--resume`` takes it up."""

    reason = ("every run has a checkpoint of every epoch's end already", "go on with `graphspec train --resume`")


@CALLBACKS.add()
class LambdaCallback(Refused):
    """Refused: a spec holds no code."""

    reason = ("a spec holds no functions", "CSVLogger and TensorBoard write down every figure")


@CALLBACKS.add()
class RemoteMonitor(Refused):
    """Refused: a run sends nothing over the network."""

    reason = ("a run sends nothing over the network", "CSVLogger writes them to a file")


@CALLBACKS.add()
class OrbaxCheckpoint(Refused):
    """Refused: checkpoints are safetensors files."""

    reason = ("checkpoints are safetensors files", "use ModelCheckpoint, which writes safetensors")
