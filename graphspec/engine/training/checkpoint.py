"""Checkpoints: one safetensors file with the complete state of a run, written to a temporary name and renamed.

Weights and optimizer slots have Keras's layout. The other state is JSON in the file's metadata, so arrays and counters
always belong to the same step; ``checkpoint.json`` repeats it for people to read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import little_endian
from graphspec.base.arrays.memory import available, human
from graphspec.base.errors import Code, RunError
from graphspec.base.files import write_atomic
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.runtime.records import RESTORE, Header, Progress, check, damaged, parse_json, short
from graphspec.engine.training.reporting import HistoryText
from graphspec.graph.ir.graph import Array
from graphspec.vocabulary.callbacks import CallbackState

FORMAT = 1
Shapes = Mapping[str, tuple[int, ...]]


@dataclass
class Checkpoint:
    """The state of a run between two steps.

    ``state`` is plain JSON: epoch, batch, step, learning rate, totals of the epoch so far, history, callbacks; ``belongs``
    has the hashes of the parts of the spec that it belongs to (``network`` and ``run`` of :class:`Header`).
    """

    arrays: dict[str, Array]  # ``weight/<name>``, ``slot/<slot>/<name>``, ``callback/<k>/<name>``
    state: dict[str, Any] = field(default_factory=dict)
    belongs: Mapping[str, str] = field(default_factory=dict)
    adapted: Adapted | None = None  # what the network has learnt before its first step, if it learns
    path: Path = Path("checkpoint.safetensors")  # the file that the checkpoint was read from

    def progress(self) -> Progress:
        """Check the state against its schema, and return it. Raises RunError: GS603."""
        return check(Progress, self.state, self.path)


def digest(arrays: Mapping[str, Array]) -> str:
    """Return the sha256 of the arrays' names, dtypes, shapes and bytes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = little_endian(np.asarray(arrays[name], order="C"))
        total.update(f"{name}{array.dtype.str}{array.shape}".encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def _seal(text: str) -> str:
    """Return the hash of a header's text without its seal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _with(text: str, key: str, value: str) -> str:
    """Return the text of a JSON object that is not empty with one more entry, as ``json.dumps`` would write it."""
    return f'{text[:-1]}, "{key}": {value}}}'


def save_arrays(path: Path, arrays: Mapping[str, Array], *, state: str | None = None, **header: Any) -> None:
    """Write a safetensors file atomically, with ``header``, the text ``state`` and checksums in its metadata.

    The metadata has one entry, since safetensors writes several in no fixed order: equal runs write equal files.
    """
    from safetensors.numpy import save

    data = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # keeps 0 dimensions
    text = json.dumps({"format": FORMAT, "sha256": digest(data), **header})
    text = text if state is None else _with(text, "state", state)
    write_atomic(path, save(data, metadata={"graphspec": _with(text, "seal", json.dumps(_seal(text)))}))


def load_arrays(
    path: Path, shapes: Shapes | None = None, optional: Shapes | None = None, hint: str = RESTORE
) -> tuple[dict[str, Array], Header | None]:
    """Read the arrays and the header of a safetensors file; the header is None if graphspec did not write the file.

    ``shapes``: the float32 arrays that the file must contain, checked before anything is read; by default any arrays.
    ``optional``: further float32 arrays that the file may contain. Raises RunError: GS603 if the file is missing or
    damaged, or contains other arrays; GS602 if it is larger than the memory.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        why = "is not a regular file" if path.exists() else "does not exist"
        raise RunError(Code.DAMAGED_RUN, f"{path} {why}", hint)
    if (size := path.stat().st_size) > available():
        text = f"{path} needs {human(size)} of memory, but there are {human(available())}"
        raise RunError(Code.NOT_ENOUGH_MEMORY, text)
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            if shapes is not None:
                slices = {name: file.get_slice(name) for name in names}
                types = {name: (s.get_dtype(), tuple(s.get_shape())) for name, s in slices.items()}
                _compare(types, shapes, optional or {})
            arrays = {name: file.get_tensor(name) for name in names}
            text_or_none = (file.metadata() or {}).get("graphspec")
            header = None if text_or_none is None else parse_json(text_or_none)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        # safetensors raises the last two for dtypes that NumPy does not have, such as BF16.
        raise damaged(path, str(error), hint) from None
    if header is None:
        return arrays, None
    checked = check(Header, header, path, hint)
    unsealed = json.dumps({key: value for key, value in header.items() if key != "seal"})
    if checked.sha256 != digest(arrays) or checked.seal not in (None, _seal(unsealed)):
        raise damaged(path, "its content does not match its checksum", hint)
    return arrays, checked


def _compare(found: Mapping[str, tuple[str, tuple[int, ...]]], shapes: Shapes, optional: Shapes) -> None:
    if missing := shapes.keys() - found.keys():
        raise ValueError(f"it lacks '{short(min(missing))}'")
    for name, (dtype, shape) in found.items():
        expected = shapes.get(name, optional.get(name))
        if expected is None:
            raise ValueError(f"'{short(name)}' does not belong in it")
        if dtype != "F32" or shape != expected:
            raise ValueError(f"'{short(name)}' is {dtype} of shape {shape}, not F32 of shape {expected}")


def save_checkpoint(directory: Path, checkpoint: Checkpoint, history: HistoryText | None = None) -> None:
    """Write a checkpoint, and its state for people to read; ``history``: the state's, unless the state has it."""
    path = directory / "checkpoint.safetensors"
    learnt = {} if checkpoint.adapted is None else {"adapted": checkpoint.adapted.to_json()}
    state = json.dumps(checkpoint.state)
    state = state if history is None else _with(state, "history", history.json())
    save_arrays(path, checkpoint.arrays, state=state, **checkpoint.belongs, **learnt)
    write_state(directory, checkpoint.state, history)


def write_state(directory: Path, state: Mapping[str, Any], history: HistoryText | None = None) -> None:
    """Write ``checkpoint.json`` for people to read; ``history`` as for :func:`save_checkpoint`."""
    text = json.dumps(state, indent=1)
    if history is not None:
        by_line = history.json(before="\n  ", after="\n ")
        text = text.removesuffix("\n}") + f',\n "history": {by_line}\n}}'
    write_atomic(directory / "checkpoint.json", text)


def load_checkpoint(directory: Path, shapes: Shapes | None = None, optional: Shapes | None = None) -> Checkpoint:
    """Read a run's checkpoint as :func:`load_arrays` does. GS603 (RunError): missing, damaged, or of a newer format."""
    path = directory / "checkpoint.safetensors"
    arrays, header = load_arrays(path, shapes, optional)
    if header is None or header.format != FORMAT or header.state is None:
        raise RunError(Code.DAMAGED_RUN, f"{path} is not a checkpoint of this version of graphspec", RESTORE)
    belongs = {k: v for k, v in (("network", header.network), ("run", header.run)) if v is not None}
    try:
        adapted = None if header.adapted is None else Adapted.of_json(header.adapted)
    except ValueError as error:
        raise damaged(path, str(error)) from None
    return Checkpoint(arrays, header.state, belongs, adapted, path)


def load_callbacks(
    states: Sequence[CallbackState],
    saved: Sequence[Mapping[str, Any]],
    arrays: Mapping[str, Array],  # all arrays of the checkpoint
    params: Collection[str],  # the names of all weights
) -> None:
    """Restore callbacks from a checkpoint. Raises ValueError: it does not belong to these callbacks."""
    if len(saved) != len(states):
        raise ValueError(f"it has the state of {len(saved)} callbacks, not of {len(states)}")
    for k, (state, values) in enumerate(zip(states, saved, strict=True)):
        prefix = f"callback/{k}/"
        weights = {n[len(prefix) :]: a for n, a in arrays.items() if n.startswith(prefix)}
        if weights and weights.keys() != set(params):
            raise ValueError(f"it has only some of the weights that callback {k + 1} stores")
        state.load_state_dict(values, weights)
