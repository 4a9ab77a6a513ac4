"""Callbacks that write or stop: tables, TensorBoard, and those of Keras that every run does without."""

from __future__ import annotations

import csv
import io
import math
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field, field_validator, model_validator

from graphspec.base.config import FROM_LIST, PositiveInt, invalid, only, setting
from graphspec.base.files import create, make_folder, write_at
from graphspec.graph.ir.graph import Array, Graph
from graphspec.vocabulary.callbacks import callback as base


class _CSVLogger(base.CallbackState):
    saved = base.saves(keys=list[str] | None, size=base.NonNegativeInt | None)
    keys: list[str] | None = None
    size: int | None = None  # the bytes written; later bytes in the file belong to epochs that a resumed run repeats

    def check_outputs(self) -> None:
        self._path()

    def _path(self) -> Path:
        resumed = self.size is not None
        return self.run.outputs.claim(self.config.filename, self, lambda path: resumed or self.config.is_table(path))

    def on_epoch_end(self, epoch: int, logs: base.Logs) -> None:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.config.separator)
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        path = self._path()
        make_folder(path.parent)
        existing = path.stat().st_size if path.exists() else 0
        start = min(existing, self.size) if self.size is not None else existing if self.config.append else 0
        if start == 0:
            writer.writerow(["epoch", *self.keys])
        writer.writerow([epoch, *(logs.get(key, "NA") for key in self.keys)])
        self.size = write_at(path, start, text.getvalue().encode())


class CSVLogger(base.Callback, run_state=_CSVLogger):
    """Write the logs of every epoch to a CSV file: ``epoch`` (from 0), then the logged values, sorted by name."""

    filename: base.FileName = setting(..., "The file.")
    separator: str = setting(",", "The character between values.", min_length=1, max_length=1)
    append: bool = setting(False, "Whether to append to an existing file.")

    @field_validator("separator")
    @classmethod
    def _separates(cls, separator: str) -> str:
        if separator == '"' or not (separator.isprintable() or separator == "\t"):
            text = "must be a visible character or a tab, and not a quotation mark"
            raise invalid(text, "use for example `;`", show_value=True)
        return separator

    def outputs(self) -> list[base.Output]:
        return [base.Output("filename", self.filename, is_own=self.is_table)]

    def is_table(self, path: Path) -> bool:
        """Return True if the first line of a file is the header of such a table, or the part that a killed run wrote."""
        with path.open("rb") as file:
            line = file.readline(1 << 20)
        start = f"epoch{self.separator}".encode()
        if not line.endswith(b"\n"):
            return line.startswith(start) or start.startswith(line)
        try:
            names = next(csv.reader([line.decode(errors="replace")], delimiter=self.separator), [])
        except csv.Error:
            return False
        return names[:1] == ["epoch"] and "loss" in names and any(name.startswith("val_") for name in names)


class _TerminateOnNaN(base.CallbackState):
    def on_batch_end(self, step: int, loss: float) -> None:
        if not math.isfinite(loss) and not self.config.raise_error:
            self.run.say(f"Batch {step}: invalid loss {loss}, terminating training")
            self.run.stop(f"the loss is {loss}")


class TerminateOnNaN(base.Callback, run_state=_TerminateOnNaN):
    """Stop when the loss is NaN or infinite. With ``raise_error`` the run fails with GS601, as without this callback."""

    raise_error: bool = setting(False, "Whether the run fails instead of stopping.")


# The callback TensorBoard: event files with the logs, with Keras's names.
_PARTS = ("train", "validation")


def _is_events(path: Path) -> bool:
    return path.name.startswith("events.out.tfevents.")


_File = Annotated[  # the name of an event file, no path since the file is written to, and its size
    tuple[Annotated[str, Field(pattern=r"^events\.out\.tfevents\.[^/\\]+$")] | None, base.NonNegativeInt], FROM_LIST
]


class _TensorBoard(base.CallbackState):
    saved = base.saves(files=Annotated[tuple[_File, _File], FROM_LIST])

    def __init__(self, config: TensorBoard, run: base.Run) -> None:
        super().__init__(config, run)
        self.train, self.validation = self.events = [_Events(self, f"{config.log_dir}/{part}") for part in _PARTS]
        frequency = config.update_freq
        self.every = frequency if isinstance(frequency, int) else int(frequency == "batch")
        self.on_epoch_begin(0)

    @property
    def step(self) -> int:
        return int(self.run.optimizer_state.clock.step)

    @property
    def files(self) -> tuple[tuple[str | None, int], ...]:
        return tuple((events.name, events.size) for events in self.events)

    @files.setter
    def files(self, saved: tuple[tuple[str | None, int], ...]) -> None:
        for events, (name, size) in zip(self.events, saved, strict=True):
            events.name, events.size = name, size

    def check_outputs(self) -> None:
        for events in self.events:
            events.folder()

    def load_state_dict(self, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        super().load_state_dict(values, arrays)
        self.on_epoch_begin(0)

    def on_epoch_begin(self, epoch: int) -> None:
        self.began = self.last = (time.monotonic(), self.step)

    def on_batch_end(self, step: int, loss: float) -> None:
        if not self.every or self.step % self.every or not math.isfinite(loss):
            return
        scalars = {f"batch_{name}": value for name, value in self.run.batch_logs().items()}
        if self.config.write_steps_per_second:
            scalars["batch_steps_per_second"], self.last = _speed(self.last, self.step)
        self.train.scalars(scalars, self.step)

    def on_epoch_end(self, epoch: int, logs: base.Logs) -> None:
        if epoch == 0 and self.config.write_graph:
            self.train.graph(self.run.graph)
        logs = {"learning_rate": self.run.rate.value} | logs
        if self.config.write_steps_per_second:
            logs["steps_per_second"], _ = _speed(self.began, self.step)
        self.train.scalars({f"epoch_{k}": v for k, v in logs.items() if not k.startswith("val_")}, epoch)
        validation = {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}
        if validation:
            updates = self.step // (self.run.optimizer_state.optimizer.gradient_accumulation_steps or 1)
            self.validation.scalars({f"evaluation_{k}_vs_iterations": v for k, v in validation.items()}, updates)
            self.validation.scalars({f"epoch_{k}": v for k, v in validation.items()}, epoch)
        if self.config.histogram_freq and epoch % self.config.histogram_freq == 0:
            self.train.histograms(self.run.weights(), epoch)


class TensorBoard(base.Callback, run_state=_TensorBoard):
    """Write event files for TensorBoard: training into ``log_dir/train``, validation into ``log_dir/validation``.

    The names of scalars are ``epoch_<name>``, by epoch from 0; with ``update_freq`` also ``batch_<name>``, by step from
    1; ``evaluation_<name>_vs_iterations``, by the number of updates. Histograms are named ``<weight>/histogram``.
    """

    log_dir: base.FileName = setting("logs", "The folder of the event files.")
    histogram_freq: base.NonNegativeInt = setting(0, "Epochs between histograms of the weights; 0 for none.")
    write_graph: bool = setting(True, "Whether to write the operator graph.")
    write_images: Annotated[
        bool, AfterValidator(only(False, "weights are not written as images", "use `histogram_freq`"))
    ] = setting(False, "Refused: use `histogram_freq`.")
    write_steps_per_second: bool = setting(False, "Whether to write the number of steps per second.")
    update_freq: Literal["batch", "epoch"] | PositiveInt = setting(
        "epoch", "When to write scalars: `epoch`, `batch`, or the number of batches between them."
    )
    profile_batch: Annotated[int, AfterValidator(only(0, "profiles for TensorBoard are not available"))] = setting(
        0, "Refused: profiles for TensorBoard are not available."
    )
    embeddings_freq: Annotated[
        int, AfterValidator(only(0, "embeddings are not written", "read them from the weights"))
    ] = setting(0, "Refused: read the embeddings from the weights.")
    embeddings_metadata: None = setting(None, "Only null: embeddings are not written.")

    def outputs(self) -> list[base.Output]:
        return [base.Output("log_dir", f"{self.log_dir}/{part}", shared=True, is_own=_is_events) for part in _PARTS]


def _speed(since: tuple[float, int], step: int) -> tuple[float, tuple[float, int]]:
    """Return the steps per second since (time, step), and the current (time, step)."""
    now = time.monotonic()
    return (step - since[1]) / max(now - since[0], 1e-9), (now, step)


class _Events:
    """One event file, created with the first event. A resumed run first truncates it to the size in the checkpoint."""

    name: str | None = None
    size = 0

    def __init__(self, state: _TensorBoard, folder: str) -> None:
        self._state, self._folder = state, folder

    def folder(self) -> Path:
        """Return the folder, reserved for this callback."""
        return self._state.run.outputs.claim(self._folder, self._state, Path.is_dir)

    def scalars(self, logs: Mapping[str, float], step: int) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in logs.items()]
        self._write(step=step, summary=Summary(value=values))

    def histograms(self, weights: Mapping[str, Array], step: int) -> None:
        from tensorboardX.summary import histogram

        for name, array in weights.items():
            if array.size and np.isfinite(array).all():
                self._write(step=step, summary=histogram(f"{name}/histogram", array, bins=30))

    def graph(self, graph: Graph) -> None:
        """Write the operators with their inputs; TensorBoard groups them by the parts of their names."""
        from tensorboardX.proto.graph_pb2 import GraphDef
        from tensorboardX.proto.node_def_pb2 import NodeDef

        leaves = {v.name: v for node in graph.nodes for v in node.inputs if v is not None and v.node is None}
        nodes = [NodeDef(name=name, op=value.kind) for name, value in leaves.items()]
        for node in graph.nodes:
            nodes.append(NodeDef(name=node.name, op=node.op, input=[v.name for v in node.inputs if v is not None]))
        self._write(graph_def=GraphDef(node=nodes).SerializeToString())

    def _write(self, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        data = _record(Event(wall_time=time.time(), **content).SerializeToString())
        if self.name is None:
            self._begin()
            data = _record(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString()) + data
        assert self.name is not None
        self.size = write_at(self.folder() / self.name, self.size, data)

    def _begin(self) -> None:
        """Create the file. Its name is the same in equal runs: TensorBoard reads files in the order of their names.

        In the run directory, remove the files of a run that ended before its first checkpoint.
        """
        folder, directory = self.folder(), self._state.run.outputs.directory
        make_folder(folder)
        if directory is not None and folder.resolve().is_relative_to(directory.resolve()):
            for leftover in folder.glob("events.out.tfevents.*"):
                leftover.unlink()
        for number in count(sum(map(_is_events, folder.iterdir()))):
            self.name = f"events.out.tfevents.{number:010d}.graphspec"
            with suppress(FileExistsError):  # another process may write into the same folder
                create(folder / self.name, "")
                return


def _record(data: bytes) -> bytes:
    """Return a TFRecord: the length, its checksum, the data, their checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


# Callbacks of Keras without effect here, since every run does the same; and callbacks that are refused.
class Always(base.Callback, run_state=base.CallbackState):
    """Base of the callbacks that are accepted without effect: every run does the same."""


class History(Always):
    """Without effect: every run has a history, which ``fit`` returns and ``history.csv`` contains."""


class ProgbarLogger(Always):
    """Without effect: the command line shows progress; ``fit`` does with ``verbose``."""


class Refused(base.Callback):
    """Base of the callbacks that are refused (GS105), with the reason and an alternative."""

    reason: ClassVar[tuple[str, str]]

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, arguments: Any) -> Any:
        reason, hint = cls.reason
        raise invalid(f"is refused: {reason}", hint)


class BackupAndRestore(Refused):
    """Refused: a run directory contains a checkpoint of the last epoch's end; ``--resume`` continues from it."""

    reason = ("every run writes a checkpoint at the end of every epoch", "resume with `graphspec train --resume`")


class LambdaCallback(Refused):
    """Refused: a spec contains no code."""

    reason = (
        "a spec contains no functions",
        "use CSVLogger or TensorBoard; in Python, derive a class from `graphspec.callbacks.Callback`",
    )


class RemoteMonitor(Refused):
    """Refused: a run sends nothing over the network."""

    reason = ("a run sends nothing over the network", "use CSVLogger, which writes the logs to a file")


class OrbaxCheckpoint(Refused):
    """Refused: checkpoints are safetensors files."""

    reason = ("checkpoints are safetensors files", "use ModelCheckpoint, which writes safetensors")
