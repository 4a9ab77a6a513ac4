"""Run directories: the resolved spec, weights, checkpoint, history, and what the run was made with."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.arrays.blas import openblas
from graphspec.callbacks.outputs import RUN_FILES
from graphspec.codes import Code
from graphspec.errors import RunError, UsageError
from graphspec.files import is_regular, make_folder, write_atomic
from graphspec.kernels.fast import KERNELS
from graphspec.runtime.records import RESTORE, Provenance, check, damaged, read_json
from graphspec.training.checkpoint import Checkpoint, load_arrays, load_checkpoint, save_arrays, save_checkpoint
from graphspec.training.lock import locked

if TYPE_CHECKING:
    from graphspec.runtime.session import Session

_BLAS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_FREE = ("epochs",)  # what a resumed run may change: it may only grow
_NOT_OF_NETWORK = ("name", "description", "training", "data")


def spec_hash(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def check_own(directory: Path) -> None:
    """The files of a run that are there are its own: what is written to them goes nowhere else, and does not wait.

    Raises:
        RunError: GS603, one is a link, a pipe or a device.
    """
    for name in RUN_FILES:
        path = directory / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            what = "a symbolic link" if path.is_symlink() else "no regular file"
            raise RunError(Code.DAMAGED_RUN, f"{path} is {what}: the files of a run lie in its folder", RESTORE)


def start_run(model: Session, directory: Path) -> None:
    """Write what is known before the first step: ``spec.json`` and ``run.json``."""
    make_folder(directory)
    check_own(directory)
    document = model.document()
    write_atomic(directory / "spec.json", json.dumps(document, indent=1).encode())
    write_atomic(directory / "run.json", json.dumps(_provenance(model, document), indent=1).encode())


def record_workers(model: Session, directory: Path) -> None:
    """Write down in ``run.json`` how many workers a run has, before its first step."""
    path = directory / "run.json"
    record = read_json(path) if path.is_file() else {}
    if record and record.get("workers") != model.workers:
        write_atomic(path, json.dumps(record | {"workers": model.workers}, indent=1).encode())


def _provenance(model: Session, document: Mapping[str, Any]) -> dict[str, Any]:
    from importlib.metadata import version

    from graphspec.version import __version__

    sources = {p: s.file for p, s in model.spec.data.items() if s.file is not None and is_regular(s.file)}
    return {
        "graphspec": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("numpy", "onnx", "onnxruntime", "pydantic")},
        "platform": platform.platform(terse=True),
        "seed": model.seed,
        "workers": model.workers or 1,
        "cores": os.cpu_count(),
        "blas_threads": {k: os.environ[k] for k in _BLAS if k in os.environ},
        "plan": {"kernels": None if (blas := openblas()) is None else blas.core, "forced": os.environ.get(KERNELS)},
        "spec_sha256": spec_hash(document),
        "data_sha256": {part: _file_hash(path) for part, path in sources.items()},
    }


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def belongs(document: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the network that a spec describes, and of all but its epochs: files of other runs do not fit them."""
    network = {key: value for key, value in document.items() if key not in _NOT_OF_NETWORK}
    return {"network": spec_hash(network), "run": spec_hash(_without_epochs(document))}


def _check_belongs(path: Path, found: str | None, expected: str, what: str) -> None:
    if found not in (None, expected):  # None: written by an earlier version
        raise RunError(Code.DAMAGED_RUN, f"{path} belongs to another {what} than spec.json beside it", RESTORE)


def check_resumable(model: Session, directory: Path) -> Checkpoint:
    """The checkpoint to go on from; ``model.workers`` becomes the number that the run was begun with.

    Raises:
        UsageError: the spec or its data differ in more than a larger ``epochs``, or there are fewer cores than workers.
        RunError: GS603, no whole checkpoint.
    """
    from graphspec.training.choose_workers import refuse_too_few_cores

    before = read_json(directory / "spec.json")
    now = model.document()
    if _without_epochs(before) != _without_epochs(now):
        changed = ", ".join(sorted(_differences(_without_epochs(before), _without_epochs(now)))[:5])
        raise UsageError(f"the spec differs from that of {directory} ({changed}): resuming allows only more `epochs`")
    old, new = _epochs(before, directory / "spec.json"), model.spec.training.epochs
    if new < old:
        raise UsageError(f"the run in {directory} has {old} epochs; resuming allows only more, got {new}")
    record = check(Provenance, read_json(directory / "run.json"), directory / "run.json")
    if record.data_sha256 != _provenance(model, now)["data_sha256"]:
        raise UsageError(f"the data files have changed since {directory} was started: the run cannot be resumed")
    refuse_too_few_cores(record.workers, directory)
    model.workers = record.workers
    checkpoint = load_checkpoint(directory, _shapes(model), _shapes_of_callbacks(model))
    _check_belongs(checkpoint.path, checkpoint.belongs.get("run"), belongs(now)["run"], "run")
    return checkpoint


def _epochs(document: Mapping[str, Any], path: Path) -> int:
    training = document.get("training")
    epochs = training.get("epochs", 1) if isinstance(training, dict) else 1
    if type(epochs) is not int:
        raise damaged(path, "'training.epochs' is no integer")
    return epochs


def _shapes(model: Session) -> dict[str, tuple[int, ...]]:
    """What a checkpoint of the model must hold."""
    return {f"weight/{n}": p.shape for n, p in model.graph.params.items()} | model.optimizer_state.shapes()


def _shapes_of_callbacks(model: Session) -> dict[str, tuple[int, ...]]:
    """What it may hold besides: weights that callbacks keep."""
    count = len(model.spec.training.callbacks)
    return {f"callback/{k}/{n}": p.shape for k in range(count) for n, p in model.graph.params.items()}


def _without_epochs(document: Mapping[str, Any]) -> dict[str, Any]:
    training = document.get("training")
    if not isinstance(training, dict):
        return dict(document)
    return {**document, "training": {key: value for key, value in training.items() if key not in _FREE}}


def _differences(a: Any, b: Any, path: str = "") -> set[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        found: set[str] = set()
        for key in a.keys() | b.keys():
            found |= _differences(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
        return found
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return {d for k, (x, y) in enumerate(zip(a, b, strict=True)) for d in _differences(x, y, f"{path}.{k}")}
    return set() if a == b else {path}


def write_history(directory: Path, history: Mapping[str, Sequence[float]]) -> None:
    """``history.csv``: a row an epoch, counted from 1."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["epoch", *history])
    for k, row in enumerate(zip(*history.values(), strict=True)):
        writer.writerow([k + 1, *(repr(v) for v in row)])
    write_atomic(directory / "history.csv", out.getvalue().encode())


def write_weights(
    model: Session, path: Path, network: str | None = None, more: Mapping[str, str] | None = None
) -> None:
    """The weights alone.

    Args:
        network: the hash of the network they belong to (:func:`belongs`), where it is known already.
        more: what stands beside it in the file's header.
    """
    save_arrays(path, model.weights, network=network or belongs(model.document())["network"], **(more or {}))


def save_model(model: Session, directory: Path, more: Mapping[str, str] | None = None) -> None:
    """A run directory of the model as it is now: spec, weights, and the optimizer's state in a checkpoint.

    Args:
        more: what is written beside the weights, into their file.

    Raises:
        UsageError: a training is writing to it.
    """
    make_folder(directory)
    check_own(directory)
    network = belongs(model.document())["network"]
    with locked(directory):
        write_weights(model, directory / "weights.safetensors", network, more)
        start_run(model, directory)
        arrays = {f"weight/{n}": a for n, a in model.weights.items()} | model.optimizer_state.arrays()
        state = {
            "epoch": model.epochs_done,
            "batch": 0,
            "step": model.optimizer_state.clock.step,
            "learning_rate": model.optimizer_state.rate.value,
            "stopped": None,
        }
        save_checkpoint(directory, Checkpoint(arrays, state, {"network": network}))


def load_into(model: Session, directory: Path) -> None:
    """Take up the weights of a run directory, and the optimizer's state, so that a second ``fit`` goes on.

    Raises:
        RunError: GS603 if the directory is incomplete or damaged.
    """
    network = belongs(read_json(directory / "spec.json"))["network"]
    _load_weights(model, directory, network)
    if (directory / "checkpoint.safetensors").exists() and model.graph.params and _trains(model):
        checkpoint = load_checkpoint(directory, _shapes(model), _shapes_of_callbacks(model))
        _check_belongs(checkpoint.path, checkpoint.belongs.get("network"), network, "network")
        progress = checkpoint.progress()
        model.optimizer_state.load(checkpoint.arrays)
        model.optimizer_state.clock.step, model.optimizer_state.rate.value = (
            progress.step,
            progress.learning_rate,
        )
        model.epochs_done = progress.epoch
        if progress.swapped:
            check_averages(model, checkpoint.path)
            model.optimizer_state.swapped = True
            model.optimizer_state.finish()


def _load_weights(model: Session, directory: Path, network: str) -> None:
    path, hint = directory / "weights.safetensors", RESTORE
    if (directory / "checkpoint.safetensors").exists():
        hint = "`graphspec train … --resume` writes it anew from the checkpoint"
    if not path.exists():
        text = f"{directory} has no weights.safetensors: the run has not written it yet, or it was lost"
        raise RunError(Code.DAMAGED_RUN, text, "go on with `graphspec train … --resume`")
    weights, header = load_arrays(path, {n: p.shape for n, p in model.graph.params.items()}, hint=hint)
    _check_belongs(path, None if header is None else header.network, network, "network")
    model.set_weights(weights)


def check_averages(model: Session, path: Path) -> None:
    """GS603 where a checkpoint says that weights and averages have changed places, but there are no averages."""
    if not model.spec.training.optimizer.use_ema:
        raise damaged(path, "'swapped' is true, but the optimizer keeps no averages")


def _trains(model: Session) -> bool:
    return any(p.trainable for p in model.graph.params.values())
