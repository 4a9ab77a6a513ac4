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

from graphspec.arguments import path_of
from graphspec.errors import RunError, UsageError
from graphspec.files import make_folder, write_atomic
from graphspec.ops.choice import KERNELS
from graphspec.runtime.blas import openblas
from graphspec.runtime.checkpoint import Checkpoint, load_arrays, load_checkpoint, save_arrays, save_checkpoint

if TYPE_CHECKING:
    from graphspec.model import Model
    from graphspec.runtime.session import Session

_BLAS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_FREE = ("epochs",)  # what a resumed run may change: it may only grow


def resolved(model: Session) -> dict[str, Any]:
    """The spec's document, overrides applied, with data files by their absolute paths: it can be read anywhere."""
    document: dict[str, Any] = json.loads(json.dumps(model.spec.document))
    for part, source in model.spec.data.items():
        if source.file is not None:
            document["data"][part]["file"] = str(source.file.resolve())
    return document


def spec_hash(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def start_run(model: Session, directory: Path) -> None:
    """Write what is known before the first step: ``spec.json`` and ``run.json``."""
    make_folder(directory)
    document = resolved(model)
    write_atomic(directory / "spec.json", json.dumps(document, indent=1).encode())
    write_atomic(directory / "run.json", json.dumps(_provenance(model, document), indent=1).encode())


def record_workers(model: Session, directory: Path) -> None:
    """Write down in ``run.json`` how many workers a run has, before its first step."""
    path = directory / "run.json"
    record = _read_json(path) if path.is_file() else {}
    if record and record.get("workers") != model.workers:
        write_atomic(path, json.dumps(record | {"workers": model.workers}, indent=1).encode())


def _provenance(model: Session, document: Mapping[str, Any]) -> dict[str, Any]:
    from importlib.metadata import version

    from graphspec.version import __version__

    sources = {p: s.file for p, s in model.spec.data.items() if s.file is not None and s.file.is_file()}
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


def check_resumable(model: Session, directory: Path) -> Checkpoint:
    """The checkpoint to go on from; ``model.workers`` becomes the number that the run was begun with.

    Raises:
        UsageError: the spec or its data differ in more than a larger ``epochs``.
        RunError: GS603, no whole checkpoint.
    """
    before = _read_json(directory / "spec.json")
    now = resolved(model)
    if _without_epochs(before) != _without_epochs(now):
        changed = ", ".join(sorted(_differences(_without_epochs(before), _without_epochs(now)))[:5])
        raise UsageError(f"the spec differs from that of {directory} ({changed}): resuming allows only more `epochs`")
    old, new = (int((d.get("training") or {}).get("epochs", 1)) for d in (before, now))
    if new < old:
        raise UsageError(f"the run in {directory} has {old} epochs; resuming allows only more, got {new}")
    record = _read_json(directory / "run.json")
    if record.get("data_sha256", {}) != _provenance(model, now)["data_sha256"]:
        raise UsageError(f"the data files have changed since {directory} was started: the run cannot be resumed")
    model.workers = int(record.get("workers", 1))
    return load_checkpoint(directory)


def _without_epochs(document: Mapping[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(document))
    for key in _FREE:
        (copy.get("training") or {}).pop(key, None)
    return copy


def _differences(a: Any, b: Any, path: str = "") -> set[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        found: set[str] = set()
        for key in a.keys() | b.keys():
            found |= _differences(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
        return found
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return {d for k, (x, y) in enumerate(zip(a, b, strict=True)) for d in _differences(x, y, f"{path}.{k}")}
    return set() if a == b else {path}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        hint = "restore it, or start again with --overwrite"
        raise RunError("GS603", f"{path} is missing or damaged: {error}", hint) from error
    return content


def write_history(directory: Path, history: Mapping[str, Sequence[float]]) -> None:
    """``history.csv``: a row an epoch, counted from 1."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["epoch", *history])
    for k, row in enumerate(zip(*history.values(), strict=True)):
        writer.writerow([k + 1, *(repr(v) for v in row)])
    write_atomic(directory / "history.csv", out.getvalue().encode())


def save_model(model: Session, directory: Path, metadata: Mapping[str, str] | None = None) -> None:
    """A run directory of the model as it is now: spec, weights, and the optimizer's state in a checkpoint.

    Args:
        metadata: what is written beside the weights, into their file.
    """
    make_folder(directory)
    save_arrays(directory / "weights.safetensors", model.weights, metadata)
    start_run(model, directory)
    arrays = {f"weight/{n}": a for n, a in model.weights.items()} | model.update.arrays()
    state = {
        "epoch": model.epochs_done,
        "batch": 0,
        "step": model.update.clock.step,
        "learning_rate": model.update.rate.value,
        "stopped": None,
    }
    save_checkpoint(directory, Checkpoint(arrays, state))


def load(path: str | Path) -> Model:
    """The model of a run directory, with its weights; the optimizer's state too, so that a second ``fit`` goes on.

    Raises:
        RunError: GS603 if the directory is incomplete or damaged.
        SpecError: if its ``spec.json`` is not a valid spec for this version.
    """
    from graphspec.model import compile as compile_spec

    directory = path_of("path", path)
    if not (directory / "spec.json").is_file():
        raise UsageError(f"{directory} is no run directory: it has no spec.json")
    model = compile_spec(directory / "spec.json", allow_outside=True)  # its callbacks are not run here
    model.allow_outside = False
    weights, _ = load_arrays(directory / "weights.safetensors")
    if missing := model.graph.params.keys() - weights.keys():
        raise RunError("GS603", f"{directory / 'weights.safetensors'} lacks the weight '{min(missing)}'")
    model.set_weights(weights)
    if (directory / "checkpoint.safetensors").is_file() and model.graph.params and _trains(model):
        checkpoint = load_checkpoint(directory)
        model.update.load(checkpoint.arrays)
        model.update.clock.step = checkpoint.state["step"]
        model.update.rate.value = checkpoint.state["learning_rate"]
        model.epochs_done = checkpoint.state["epoch"]
        if checkpoint.state.get("swapped"):
            model.update.swapped = True
            model.update.finish()
    return model


def _trains(model: Session) -> bool:
    return any(p.trainable for p in model.graph.params.values())
