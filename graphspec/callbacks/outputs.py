"""Where the callbacks of a run may write.

A spec may come from a stranger, and "train this spec" must not be "overwrite my files": the names that it gives its
callbacks stay inside the run directory and off the run's own files. The caller may allow names outside it. Callbacks
that are given from Python are the user's own code, and write where they say.
"""

from __future__ import annotations

import json
import os
import re
import stat
import struct
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from graphspec.codes import Code
from graphspec.errors import Diagnostic, Problem, SpecError
from graphspec.files import LOCK, is_leftover

OWN = ("spec.json", "run.json", "weights.safetensors", "checkpoint.safetensors", "checkpoint.json", "history.csv")
"""The files that a run directory has whatever its callbacks are."""
_LONGEST = 255  # bytes that file systems allow in a name
_INSIDE = "name a file inside the run directory, or let `graphspec train --allow-outside` write elsewhere"

Wrong = tuple[str, str]
"""What is wrong with a name, as a predicate, and a hint."""


@dataclass(frozen=True)
class Output:
    """A file or a folder that a callback writes.

    Attributes:
        key: the argument that names it.
        name: what it is called; a field of a template is its name between two NUL characters.
        shared: it is a folder that other callbacks may write into, too.
        mine: whether a file or folder of this name, or a file in a shared folder, looks as if such a callback wrote it.
    """

    key: str
    name: str
    shared: bool = False
    mine: Callable[[Path], bool] = field(default=lambda _: False, compare=False)


def wrong_name(name: str, *, allow_outside: bool = False) -> Wrong | None:
    """What is wrong with a file name that a spec gives, read as any system may read it; None for a good one."""
    if wrong := unusable_name(name):
        return wrong
    parts = split_name(name)
    if not allow_outside:
        windows = PureWindowsPath(name)
        if name.startswith("/") or name[1:2] == ":" or windows.drive or windows.root:
            return "is an absolute path, outside the run directory", _INSIDE
        if ".." in parts:
            return "leads out of the run directory with '..'", _INSIDE
        if parts and parts[0].startswith("~"):
            return "begins with '~', which stands for a home directory", _INSIDE
    if not parts:
        return "names the run directory itself", "name a file in it"
    own = _folded(parts[0])
    if own in OWN or own.startswith(".graphspec") or is_leftover(Path(own)):
        return "is the name of a file that the run writes itself", "choose another name"
    return None


def unusable_name(name: str) -> Wrong | None:
    """What no file can be called, whoever asks for it."""
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        return "has a control character", "leave it out"
    if any(len(part.encode()) > _LONGEST for part in split_name(name)):
        return f"has a part that is longer than {_LONGEST} bytes", "make it shorter"
    return None


def split_name(name: str) -> list[str]:
    """The parts of a path, as Windows separates them; ``.`` is none."""
    return [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]


def _folded(part: str) -> str:
    """A name as file systems compare it that fold case, or drop dots at the end, or know streams behind a colon."""
    return unicodedata.normalize("NFKC", part).casefold().partition(":")[0].rstrip(". ")


def meet(one: Output, other: Output) -> bool:
    """Whether two outputs are, or may be, the same file, or one is a file where the other needs a folder."""
    a, b = ([_folded(part) for part in split_name(output.name)] for output in (one, other))
    shorter = one if len(a) <= len(b) else other
    return all(map(_match, a, b)) and (len(a) == len(b) or not shorter.shared)


def is_called(output: Output, parts: Sequence[str]) -> bool:
    """Whether a path inside the run directory has the name of an output."""
    own = split_name(output.name)
    inside = wrong_name(_FIELD.sub("0", output.name)) is None
    return inside and len(own) == len(parts) and all(map(_match, own, parts))


def check_outputs(outputs: list[Output], before: list[tuple[str, Output]], *, allow_outside: bool) -> list[Problem]:
    """GS105: names that a spec's callback may not write, or that another writes already. The subject is the callback.

    Args:
        before: the outputs of the callbacks above it, each with its callback's name.
    """
    found: list[Problem] = []
    for output in outputs:
        shown = _FIELD.sub(lambda field: f"{{{field.group()[1:-1]}}}", output.name)
        if wrong := wrong_name(_FIELD.sub("0", output.name), allow_outside=allow_outside):
            text, hint = f"writes '{shown}', which {wrong[0]}", wrong[1]
        elif other := next((name for name, one in before if meet(one, output)), None):
            text = f"writes '{shown}', which is, or may be, what {other} above writes"
            hint = "give each callback a name of its own"
        else:
            continue
        found.append(Problem(Code.VALUE_NOT_ALLOWED, text, hint, output.key))
    return found[:1]


_FIELD = re.compile("\0[^\0]*\0")
_NUMBER = r"[-+ 0_]*(?:\d[\d.,_e+-]*|nan|inf)%?"


def _match(one: str, other: str) -> bool:
    """Whether two parts of names may be equal: a field stands for a number, where the other has none."""
    if one == other:
        return True
    if "\0" in other:
        one, other = other, one
    pattern = _NUMBER.join(map(re.escape, _FIELD.split(one)))
    return "\0" not in other and re.fullmatch(pattern, other) is not None


class Outputs:
    """The files that the callbacks of one run write.

    Args:
        directory: the run directory; None for the current folder.
        free: the callbacks are the user's own code, and nothing is refused.
        allow_outside: names may lead out of the directory.
        source: the spec's file, for diagnostics.
    """

    def __init__(
        self, directory: Path | None, *, free: bool = False, allow_outside: bool = False, source: str = "<dict>"
    ) -> None:
        self.directory, self._free, self._outside = directory, free, allow_outside
        self._source = source
        self._owners: dict[Path, object] = {}
        self._seen: set[Path] = set()

    def place(self, name: str, owner: object, mine: Callable[[Path], bool]) -> Path:
        """The path of ``name``, which ``owner`` is about to write.

        Args:
            mine: whether a file or folder that is there was written by this kind of callback, so that it may be replaced.

        Raises:
            SpecError: GS105 where the spec's callbacks may not write there.
        """
        base = self.directory or Path()
        path = base / name
        if self._free:
            return path
        if wrong := wrong_name(name, allow_outside=self._outside):
            raise self._error(f"the file name '{name}' {wrong[0]}", wrong[1])
        real = Path(os.path.realpath(path))
        if not self._outside and not real.is_relative_to(os.path.realpath(base)):
            raise self._error(f"'{path}' leads to {real}, outside the run directory, by a symbolic link", _INSIDE)
        known = self._owners.setdefault(real, owner)
        if known is not owner:
            raise self._error(f"two callbacks write '{path}'", "give each a name of its own")
        if path not in self._seen:
            self._refuse_foreign(path, owner, mine)
            self._seen.add(path)
        return path

    def _refuse_foreign(self, path: Path, owner: object, mine: Callable[[Path], bool]) -> None:
        try:
            found = path.stat()
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            foreign = any(p.name != LOCK for p in path.iterdir()) and not mine(path)
        elif stat.S_ISREG(found.st_mode):
            foreign = found.st_size > 0 and not mine(path)
        else:
            foreign = not self._outside
        if foreign:
            text = f"'{path}' is there already, and no {type(owner).__name__.lstrip('_')} wrote it"
            raise self._error(text, "move it away, or choose another name")

    def _error(self, text: str, hint: str) -> SpecError:
        return SpecError([Diagnostic(Code.VALUE_NOT_ALLOWED, text, self._source, path="training.callbacks", hint=hint)])


SAVED = {"written_by": "graphspec ModelCheckpoint"}
"""What the header of weights says that ModelCheckpoint has written: what lacks it it does not replace."""


def is_saved_model(path: Path) -> bool:
    """Whether a file, or the weights in a folder, carry :data:`SAVED`."""
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
