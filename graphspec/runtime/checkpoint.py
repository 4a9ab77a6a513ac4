"""Checkpoints: one safetensors file that holds all of a run's state, written to a temporary name and renamed.

Weights and optimizer slots are in Keras's layout. What is not an array is JSON in the file's metadata, so that arrays
and counters can never belong to different moments; ``checkpoint.json`` beside it repeats it for people to read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.compiler.ir import Array
from graphspec.errors import RunError
from graphspec.files import write_atomic

FORMAT = 1


@dataclass
class Checkpoint:
    """The state of a run between two steps.

    Attributes:
        arrays: ``weight/<name>``, ``slot/<slot>/<name>``, ``callback/<k>/<name>``.
        state: epoch, batch, step, learning rate, totals of the epoch so far, history, callbacks: plain JSON.
    """

    arrays: dict[str, Array]
    state: dict[str, Any] = field(default_factory=dict)


def digest(arrays: Mapping[str, Array]) -> str:
    """A sha256 of names, shapes and bytes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        total.update(f"{name}{array.dtype.str}{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file atomically."""
    from safetensors.numpy import save

    data = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # a number stays one, without an axis
    write_atomic(path, save(data, metadata=dict(metadata or {})))


def load_arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and metadata of a safetensors file.

    Raises:
        RunError: GS603 if the file is missing or not a whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise RunError("GS603", f"{path} does not exist", "start the run again with --overwrite")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError("GS603", f"{path} is damaged: {error}", "restore it, or start again with --overwrite") from error


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint.safetensors`` and its readable half ``checkpoint.json``.

    The metadata are one entry, since safetensors writes several in no fixed order: equal runs give equal files.
    """
    record = {"format": FORMAT, "sha256": digest(checkpoint.arrays), "state": checkpoint.state}
    save_arrays(directory / "checkpoint.safetensors", checkpoint.arrays, {"graphspec": json.dumps(record)})
    write_atomic(directory / "checkpoint.json", json.dumps(checkpoint.state, indent=1).encode())


def load_checkpoint(directory: Path) -> Checkpoint:
    """The checkpoint of a run directory.

    Raises:
        RunError: GS603 if it is missing, truncated, altered, or of a newer format.
    """
    path = directory / "checkpoint.safetensors"
    arrays, metadata = load_arrays(path)
    hint = "restore it, or start again with --overwrite"
    try:
        record = json.loads(metadata.get("graphspec", ""))
    except ValueError:
        record = {}
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RunError("GS603", f"{path} is no checkpoint of this version of graphspec", hint)
    if record["sha256"] != digest(arrays):
        raise RunError("GS603", f"{path} is damaged: its content does not match its checksum", hint)
    return Checkpoint(arrays, record["state"])
