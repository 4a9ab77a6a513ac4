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

from graphspec.codes import Code
from graphspec.errors import RunError
from graphspec.files import write_atomic
from graphspec.ir.graph import Array
from graphspec.runtime.records import RESTORE, Header, Progress, check, damaged, parse_json, short

FORMAT = 1

Shapes = Mapping[str, tuple[int, ...]]


@dataclass
class Checkpoint:
    """The state of a run between two steps.

    Attributes:
        arrays: ``weight/<name>``, ``slot/<slot>/<name>``, ``callback/<k>/<name>``.
        state: epoch, batch, step, learning rate, totals of the epoch so far, history, callbacks: plain JSON.
        belongs: hashes of the parts of the spec that it belongs to (``network`` and ``run`` of :class:`Header`).
        path: the file that it was read from.
    """

    arrays: dict[str, Array]
    state: dict[str, Any] = field(default_factory=dict)
    belongs: Mapping[str, str] = field(default_factory=dict)
    path: Path = Path("checkpoint.safetensors")

    def progress(self) -> Progress:
        """The state, checked.

        Raises:
            RunError: GS603.
        """
        return check(Progress, self.state, self.path)


def digest(arrays: Mapping[str, Array]) -> str:
    """A sha256 of names, shapes and bytes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        total.update(f"{name}{array.dtype.str}{array.shape}".encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps({k: v for k, v in record.items() if k != "seal"}).encode()).hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, Array], **more: Any) -> None:
    """Write a safetensors file atomically; ``more`` goes into its header with the checksums (:class:`Header`).

    The metadata are one entry, since safetensors writes several in no fixed order: equal runs give equal files.
    """
    from safetensors.numpy import save

    data = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # a number stays one, without an axis
    record = {"format": FORMAT, "sha256": digest(data), **more}
    write_atomic(path, save(data, metadata={"graphspec": json.dumps(record | {"seal": _seal(record)})}))


def load_arrays(
    path: Path, shapes: Shapes | None = None, optional: Shapes | None = None, hint: str = RESTORE
) -> tuple[dict[str, Array], Header | None]:
    """The arrays of a safetensors file, and what it says of itself; None where graphspec did not write it.

    Args:
        shapes: what must be there, float32. Nothing is read before all of it fits. Without it anything may.
        optional: what may be there, too.

    Raises:
        RunError: GS603 if the file is missing, not whole, or holds anything else; GS602 if it is larger than the memory.
    """
    from safetensors import SafetensorError, safe_open

    from graphspec.arrays.system_memory import available, human

    if not path.is_file():
        why = "is no regular file" if path.exists() else "does not exist"
        raise RunError(Code.DAMAGED_RUN, f"{path} {why}", hint)
    if (size := path.stat().st_size) > available():
        raise RunError(Code.NOT_ENOUGH_MEMORY, f"{path} needs {human(size)} of memory, there is {human(available())}")
    try:
        with safe_open(path, framework="numpy") as file:
            if shapes is not None:
                found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
                types = {name: (s.get_dtype(), tuple(s.get_shape())) for name, s in found.items()}
                _compare(types, shapes, optional or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = _header(dict(file.metadata() or {}))
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        # The last two: types that NumPy does not know, such as BF16.
        raise damaged(path, str(error), hint) from None
    if header is None:
        return arrays, None
    checked = check(Header, header, path, hint)
    if checked.sha256 != digest(arrays) or checked.seal not in (None, _seal(header)):
        raise damaged(path, "its content does not match its checksum", hint)
    return arrays, checked


def _header(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """What graphspec wrote into the metadata; None if nothing. Raises ValueError where it is no JSON."""
    text = metadata.get("graphspec")
    return None if text is None else parse_json(text)


def _compare(found: Mapping[str, tuple[str, tuple[int, ...]]], shapes: Shapes, optional: Shapes) -> None:
    """Raise ValueError unless the arrays are those that are expected."""
    if missing := shapes.keys() - found.keys():
        raise ValueError(f"it lacks '{short(min(missing))}'")
    for name, (kind, shape) in found.items():
        expected = shapes.get(name, optional.get(name))
        if expected is None:
            raise ValueError(f"'{short(name)}' does not belong in it")
        if kind != "F32" or shape != expected:
            raise ValueError(f"'{short(name)}' is {kind} of shape {shape}, not F32 of shape {expected}")


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint.safetensors`` and its readable half ``checkpoint.json``."""
    path = directory / "checkpoint.safetensors"
    save_arrays(path, checkpoint.arrays, state=checkpoint.state, **checkpoint.belongs)
    write_state(directory, checkpoint.state)


def write_state(directory: Path, state: Mapping[str, Any]) -> None:
    """``checkpoint.json``, for people."""
    write_atomic(directory / "checkpoint.json", json.dumps(state, indent=1).encode())


def load_checkpoint(directory: Path, shapes: Shapes | None = None, optional: Shapes | None = None) -> Checkpoint:
    """The checkpoint of a run directory; ``shapes`` and ``optional`` as for :func:`load_arrays`.

    Raises:
        RunError: GS603 if it is missing, truncated, altered, or of a newer format.
    """
    path = directory / "checkpoint.safetensors"
    arrays, header = load_arrays(path, shapes, optional)
    if header is None or header.format != FORMAT or header.state is None:
        raise RunError(Code.DAMAGED_RUN, f"{path} is no checkpoint of this version of graphspec", RESTORE)
    belongs = {k: v for k, v in (("network", header.network), ("run", header.run)) if v is not None}
    return Checkpoint(arrays, header.state, belongs, path)
