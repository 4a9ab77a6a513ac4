"""Callbacks of Keras without effect here, since every run does the same; and callbacks that are refused."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from graphspec.base.config import invalid
from graphspec.vocabulary.callbacks.base import CALLBACKS, Callback, CallbackState, Run


class Always(Callback):
    """Base of the callbacks that are accepted without effect: every run does the same."""

    def start(self, run: Run) -> CallbackState:
        return CallbackState()


@CALLBACKS.add()
class History(Always):
    """Without effect: every run has a history, which ``fit`` returns and ``history.csv`` contains."""


@CALLBACKS.add()
class ProgbarLogger(Always):
    """Without effect: the command line shows progress; ``fit`` does with ``verbose``."""


class Refused(Callback):
    """Base of the callbacks that are refused (GS105), with the reason and an alternative."""

    reason: ClassVar[tuple[str, str]]
    """The reason and the hint."""

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, arguments: Any) -> Any:
        reason, hint = cls.reason
        raise invalid(f"is refused: {reason}", hint)


@CALLBACKS.add()
class BackupAndRestore(Refused):
    """Refused: a run directory contains a checkpoint of the last epoch's end; ``--resume`` continues from it."""

    reason = ("every run writes a checkpoint at the end of every epoch", "resume with `graphspec train --resume`")


@CALLBACKS.add()
class LambdaCallback(Refused):
    """Refused: a spec contains no code."""

    reason = (
        "a spec contains no functions",
        "use CSVLogger or TensorBoard; in Python, derive a class from `graphspec.callbacks.Callback`",
    )


@CALLBACKS.add()
class RemoteMonitor(Refused):
    """Refused: a run sends nothing over the network."""

    reason = ("a run sends nothing over the network", "use CSVLogger, which writes the logs to a file")


@CALLBACKS.add()
class OrbaxCheckpoint(Refused):
    """Refused: checkpoints are safetensors files."""

    reason = ("checkpoints are safetensors files", "use ModelCheckpoint, which writes safetensors")
