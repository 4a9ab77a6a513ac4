"""The base of the callbacks: arguments, the state during a run, which checkpoints contain, and the files they write."""

from __future__ import annotations

import json
import os
import re
import stat
import struct
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from pydantic import AfterValidator, ConfigDict, Field, create_model

from graphspec.base.config import Config, Registry, invalid
from graphspec.base.errors import Code, Diagnostic, Problem, SpecError
from graphspec.base.files import LOCK, is_leftover

if TYPE_CHECKING:
    from graphspec.base.arrays.random import Clock
    from graphspec.graph.ir.graph import Array, Graph
    from graphspec.graph.optimizers import Optimizer, Rate

# The files that the callbacks of a run may write. A spec may come from a stranger, and training it must not overwrite
# the user's files. Therefore its callbacks may write only inside the run directory, and not to the run's own files.
# The caller may allow names outside the directory. Callbacks that are passed from Python are the user's own code and
# may write anywhere.
ADAPTED = "adapted.json"  # the file with what layers and heads have learnt before the first step
# The file with when a run was trained, and how long: a clock's values, which differ in equal runs.
TIMING = "timing.json"
RUN_FILES = (  # the files of every run directory, independent of callbacks
    *("spec.json", "run.json", ADAPTED, TIMING, "weights.safetensors"),
    *("checkpoint.safetensors", "checkpoint.json", "history.csv", "report.html", "page.html"),
)
COPIES = "copies"  # the folder of a run with a folder for each copy of the network
ONNX_FILES = "onnx_files"  # the folder of a run with copies of the ONNX files that its layers name
_MAX_NAME = 255  # bytes that file systems allow in a name
_INSIDE = "use a file inside the run directory, or allow others with `graphspec train --allow-outside`"

Wrong = tuple[str, str]  # a fault of a name, as a predicate, and a hint


@dataclass(frozen=True)
class Output:
    """A file or a folder that a callback writes."""

    key: str  # the argument with the name
    name: str  # a field of a template is its name between two NUL characters
    shared: bool = False  # whether it is a folder that other callbacks may also write into
    # Whether a file or folder of this name, or a file in a shared folder, looks as if such a callback wrote it.
    is_own: Callable[[Path], bool] = field(default=lambda _: False, compare=False)


def wrong_name(name: str, *, allow_outside: bool = False) -> Wrong | None:
    """Return the fault of a file name in a spec, as interpreted by any operating system; None if there is none."""
    if wrong := unusable_name(name):
        return wrong
    parts, windows = split_name(name), PureWindowsPath(name)
    if not allow_outside:
        if name.startswith("/") or name[1:2] == ":" or windows.drive or windows.root:
            return "is an absolute path, outside the run directory", _INSIDE
        if ".." in parts:
            return "leads out of the run directory with '..'", _INSIDE
        if parts and parts[0].startswith("~"):
            return "begins with '~', which stands for a home directory", _INSIDE
    if not parts:
        return "names the run directory itself", "use a file in it"
    first = _folded(parts[0])
    if first in (*RUN_FILES, ONNX_FILES, COPIES) or first.startswith(".graphspec") or is_leftover(Path(first)):
        return "is the name of a file that the run writes itself", "choose another name"
    return None


def unusable_name(name: str) -> Wrong | None:
    """Return the fault of a name that no file can have; None if there is none."""
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        return "contains a control character", "remove it"
    if any(len(part.encode()) > _MAX_NAME for part in split_name(name)):
        return f"has a part of more than {_MAX_NAME} bytes", "use a shorter name"
    return None


def split_name(name: str) -> list[str]:
    """Return the parts of a path, with the separators of Windows, without ``.``."""
    return [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]


def _folded(part: str) -> str:
    """Return a name as compared by file systems that ignore case, drop trailing dots or have streams after a colon."""
    return unicodedata.normalize("NFKC", part).casefold().partition(":")[0].rstrip(". ")


def collide(one: Output, other: Output) -> bool:
    """Return True if two outputs may be the same file, or if one is a file and the other needs a folder of that name."""
    a, b = ([_folded(part) for part in split_name(output.name)] for output in (one, other))
    shorter = one if len(a) <= len(b) else other
    return all(map(_match, a, b)) and (len(a) == len(b) or not shorter.shared)


def is_called(output: Output, parts: Sequence[str]) -> bool:
    """Return True if a path inside the run directory has the name of an output."""
    names = split_name(output.name)
    inside = wrong_name(_FIELD.sub("0", output.name)) is None
    return inside and len(names) == len(parts) and all(map(_match, names, parts))


def check_outputs(outputs: list[Output], before: list[tuple[str, Output]], *, allow_outside: bool) -> list[Problem]:
    """Return GS105 for a name that a spec's callback may not write, or that another one writes.

    The subject of the message is the callback. ``before`` has the outputs of those above it, with their names.
    """
    for output in outputs:
        shown = _FIELD.sub(lambda field: f"{{{field.group()[1:-1]}}}", output.name)
        if wrong := wrong_name(_FIELD.sub("0", output.name), allow_outside=allow_outside):
            fault, hint = wrong
        elif other := next((name for name, one in before if collide(one, output)), None):
            fault, hint = f"{other} above also writes, or may write", "use a different name for every callback"
        else:
            continue
        return [Problem(Code.VALUE_NOT_ALLOWED, f"writes '{shown}', which {fault}", hint, output.key)]
    return []


_FIELD = re.compile("\0[^\0]*\0")
_NUMBER = r"[-+ 0_]*(?:\d[\d.,_e+-]*|nan|inf)%?"


def _match(one: str, other: str) -> bool:
    """Return True if two parts of names may be equal. A field matches a number if the other part has no field."""
    if one == other:
        return True
    if "\0" in other:
        one, other = other, one
    pattern = _NUMBER.join(map(re.escape, _FIELD.split(one)))
    return "\0" not in other and re.fullmatch(pattern, other) is not None


@dataclass(eq=False)
class Outputs:
    """The files that the callbacks of one run write."""

    directory: Path | None  # the run directory; None for the current folder
    _: KW_ONLY
    trusted: bool = False  # whether the callbacks are the user's own code: nothing is refused
    allow_outside: bool = False  # whether names may lead out of the directory
    source: str = "<dict>"  # the spec's file, for diagnostics

    def __post_init__(self) -> None:
        self._owners: dict[Path, object] = {}
        self._seen: set[Path] = set()

    def claim(self, name: str, owner: object, is_own: Callable[[Path], bool]) -> Path:
        """Return the path of ``name`` and reserve it for ``owner``; raise GS105 if the spec's callbacks may not write there.

        An existing file or folder may be replaced only if ``is_own`` says that this kind of callback wrote it.
        """
        base = self.directory or Path()
        path = base / name
        if self.trusted:
            return path
        if wrong := wrong_name(name, allow_outside=self.allow_outside):
            raise self._error(f"the file name '{name}' {wrong[0]}", wrong[1])
        real = Path(os.path.realpath(path))
        if not self.allow_outside and not real.is_relative_to(os.path.realpath(base)):
            raise self._error(f"'{path}' leads to {real}, outside the run directory, by a symbolic link", _INSIDE)
        if self._owners.setdefault(real, owner) is not owner:
            raise self._error(f"two callbacks write '{path}'", "use a different name for each")
        if path not in self._seen:
            self._refuse_foreign(path, owner, is_own)
            self._seen.add(path)
        return path

    def _refuse_foreign(self, path: Path, owner: object, is_own: Callable[[Path], bool]) -> None:
        """Raise GS105 if another program wrote the existing file or folder."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return
        if stat.S_ISDIR(status.st_mode):
            foreign = any(p.name != LOCK for p in path.iterdir()) and not is_own(path)
        elif stat.S_ISREG(status.st_mode):
            foreign = status.st_size > 0 and not is_own(path)
        else:
            foreign = not self.allow_outside
        if foreign:
            text = f"'{path}' already exists, but no {type(owner).__name__.lstrip('_')} wrote it"
            raise self._error(text, "move it away, or choose another name")

    def _error(self, text: str, hint: str) -> SpecError:
        return SpecError([Diagnostic(Code.VALUE_NOT_ALLOWED, text, self.source, path="training.callbacks", hint=hint)])


SAVED = {"written_by": "graphspec ModelCheckpoint"}  # marks weights of ModelCheckpoint, which replaces no other files


def is_saved_model(path: Path) -> bool:
    """Return True if a file, or the weights in a folder, have the mark :data:`SAVED`."""
    file = path / "weights.safetensors" if path.is_dir() else path
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > file.stat().st_size:
                return False
            header = json.loads(stream.read(length))
        record = json.loads(header["__metadata__"]["graphspec"])
        return bool(record["written_by"] == SAVED["written_by"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, struct.error):
        return False


# The base of the callbacks: the arguments, and the state during a run, which checkpoints contain.
Logs = dict[str, float]
NonNegativeInt = Annotated[int, Field(ge=0)]


class OptimizerState(Protocol):
    """The optimizer's state, as callbacks see it."""

    optimizer: Optimizer
    clock: Clock
    swapped: bool  # whether the weights and their moving averages are swapped

    def swap(self) -> None: ...  # swap the weights and their moving averages


class Run(Protocol):
    """The run, as its callbacks see it."""

    rate: Rate
    outputs: Outputs
    epoch: int  # the index of the current epoch, from 0
    reported: Collection[str]  # monitored names whose absence from the logs has been reported before the run

    @property
    def optimizer_state(self) -> OptimizerState: ...
    @property
    def graph(self) -> Graph: ...
    def batch_logs(self) -> Logs: ...  # return the current values of the loss and the metrics by name
    def stop(self, reason: str) -> None: ...  # stop training after the current batch
    def weights(self) -> dict[str, Array]: ...  # return copies of all weights by name
    def set_weights(self, weights: Mapping[str, Array]) -> None: ...  # replace the weights
    def save(self, path: Path, weights_only: bool) -> None: ...  # write the weights to a file, or the model to a folder
    def say(self, text: str) -> None: ...  # print a line
    def event(self, text: str) -> None: ...  # print a line below that of the current epoch, which has one then


class Saved(Config):
    """The attributes of a callback's state that a checkpoint contains, as JSON, with their types."""

    model_config = ConfigDict(allow_inf_nan=True)


def saves(**attributes: Any) -> type[Saved]:
    """Return the :class:`Saved` of attributes of these types."""
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in attributes.items()}
    return create_model("Saved", __base__=Saved, **fields)


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

    def __init__(self, config: Any = None, run: Any = None) -> None:
        self.config = config
        self.run: Run = run

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

    run_state: ClassVar[type[CallbackState] | None] = None
    """The class of the state that :meth:`start` returns."""

    def start(self, run: Run) -> CallbackState:
        """Return the state of the callback for ``run``, before it begins.

        Raises:
            SpecError: GS105, if an argument does not fit the run.
        """
        if self.run_state is None:
            raise NotImplementedError
        return self.run_state(self, run)

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


def refused(callback: Callback, problem: Problem) -> SpecError:
    """Return the error of a callback that does not fit the run."""
    return SpecError([Diagnostic.of(type(callback).__name__, problem)])
