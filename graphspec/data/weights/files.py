"""Open a file of weights: what it holds, and why others are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from graphspec.base.arrays.array_files import ArrayFile, arrays_in
from graphspec.base.codes import Code
from graphspec.base.errors import ProblemError
from graphspec.base.text import shell

WEIGHTS = "weights.safetensors"
"""The file of a run that has its weights."""
_ANY = "name a file .safetensors or .npz, or a run directory"
_TORCH = (
    'import torch, safetensors.torch as s; d = torch.load({old}, map_location="cpu", weights_only=True); '
    's.save_file({{k: v.clone().contiguous() for k, v in d.get("state_dict", d).items()}}, {new})'
)
_KERAS = (
    "import keras, safetensors.numpy as s; m = keras.saving.load_model({old}); "
    "s.save_file({{w.path: keras.ops.convert_to_numpy(w) for w in m.weights}}, {new})"
)
_PICKLE = (
    'import pickle, numpy as np, safetensors.numpy as s; d = pickle.load(open({old}, "rb")); '
    "s.save_file({{k: np.ascontiguousarray(v) for k, v in d.items()}}, {new})"
)
_OBJECTS = (
    "import numpy as np, safetensors.numpy as s; d = np.load({old}, allow_pickle=True).item(); "
    "s.save_file({{k: np.ascontiguousarray(v) for k, v in d.items()}}, {new})"
)
_CONVERTED = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), ("a file of PyTorch, which is a pickle", _TORCH)),
    **dict.fromkeys((".pkl", ".pickle"), ("a pickle", _PICKLE)),
    ".npy": ("one array without a name, or a pickle", _OBJECTS),
    **dict.fromkeys((".keras", ".h5", ".hdf5"), ("a file of Keras", _KERAS)),
}
"""By suffix, what a file is, and the line of Python that converts it."""


@dataclass(frozen=True)
class Contents:
    """The arrays of a file.

    Attributes:
        path: the file, of a run the one with its weights.
        arrays: their descriptions by name; of an array with an unknown dtype, the dtype.
    """

    path: Path
    arrays: Mapping[str, ArrayFile | str]
    state: tuple[int, int]

    def unchanged(self) -> bool:
        """Return whether the file is the one that was described."""
        try:
            return _state(self.path) == self.state
        except OSError:
            return False

    def sha256(self) -> str:
        """Return the hash of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def open_weights(path: Path) -> Contents:
    """Return what a file, or the weights of a run, holds; only descriptions are read.

    Raises:
        ProblemError: GS501, it cannot be read, or has another format; GS504, it contains Python objects.
    """
    name = path.name.lower()
    try:
        if "\0" in str(path):
            raise ProblemError(Code.UNREADABLE_FILE, "is not a name of a file", hint=_ANY)
        if path.is_dir():
            return _of_run(path)
        if (known := _CONVERTED.get(path.suffix.lower())) is not None:
            raise ProblemError(Code.UNREADABLE_FILE, f"is {known[0]}", hint=_conversion(path, known[1]))
        if path.exists() and not path.is_file():
            raise ProblemError(Code.UNREADABLE_FILE, "is not a file", hint=_ANY)
        if not path.exists():
            raise ProblemError(Code.UNREADABLE_FILE, "does not exist", hint=f"{_ANY}; names are relative to the spec")
        if not name.endswith((".safetensors", ".npz")):
            raise ProblemError(Code.UNREADABLE_FILE, "is no file of weights", hint=_ANY)
        return _contents(path, _state(path))
    except OSError as error:
        text = f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
        raise ProblemError(Code.UNREADABLE_FILE, text, hint=_ANY) from None


def _of_run(path: Path) -> Contents:
    weights = path / WEIGHTS
    if not weights.is_file():
        what = "has not written its weights yet" if (path / "spec.json").is_file() else "is not a run directory"
        raise ProblemError(Code.UNREADABLE_FILE, f"{what}: it has no {WEIGHTS}", hint=_ANY)
    return _contents(weights, _state(weights))


def _conversion(path: Path, line: str) -> str:
    """Return the hint with the command that writes a file of safetensors beside the other one."""
    old, new = (json.dumps(p.as_posix()) for p in (path, path.with_suffix(".safetensors")))
    command = line.format(old=old, new=new)
    convert = f"convert it once, if you trust it: {shell('python', '-c', command)}"
    if line != _KERAS:
        return convert
    imported = shell("graphspec", "import", str(path), "-o", str(path.with_suffix(".yaml")))
    return f"`{imported}` takes its network and its weights; or {convert}"


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=16)
def _contents(path: Path, state: tuple[int, int]) -> Contents:
    return Contents(path, arrays_in(path), state)
