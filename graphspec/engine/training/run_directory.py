"""Run directories: the resolved spec, weights, checkpoint, history, and the software and machine of the run."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import math
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.blas import THREADS_SET, openblas
from graphspec.base.arrays.cores import usable_cores
from graphspec.base.errors import Code, RunError, SpecError, UsageError
from graphspec.base.files import LOCK, is_leftover, make_folder, write_atomic
from graphspec.base.version import __version__
from graphspec.data.files import files_of
from graphspec.data.paths import comparable, document_for, tidied
from graphspec.data.stored import hash_of
from graphspec.engine.compiler.adaptation import Adapted, learning_nodes
from graphspec.engine.compiler.check import Checked
from graphspec.engine.compiler.check import check as check_spec
from graphspec.engine.compiler.spec_files import refuse_changed, write_copies
from graphspec.engine.runtime.records import RESTORE, Provenance, check, damaged, read_json
from graphspec.engine.training.checkpoint import Checkpoint, load_arrays, load_checkpoint, save_arrays, save_checkpoint
from graphspec.engine.training.reporting import HistoryText
from graphspec.graph.kernels import compiled
from graphspec.graph.kernels.compiled import KERNELS
from graphspec.language.parse import parse
from graphspec.vocabulary.callbacks.callback import ADAPTED, COPIES, ONNX_FILES, RUN_FILES, Output, is_called

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session
    from graphspec.language.declarations import Spec

# A lock that allows one training at a time in a folder; the operating system releases it when the process ends.
NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP))


@contextmanager
def locked(directory: Path, report: Callable[[str], None] | None = None, *, wait: bool = False) -> Iterator[None]:
    """Lock an existing folder inside the ``with`` block; ``wait`` until it is free, instead of raising.

    Child processes do not inherit the lock, and it does not have to be removed after a crash. If the file system does not
    support locks (some network drives), the folder stays unlocked, and ``report`` receives a note for the user.

    Raises UsageError: another training has locked the folder.
    """
    from filelock import FileLock, Timeout

    path = directory / LOCK
    lock = FileLock(path, blocking=wait, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        text = f"another training is writing to {directory}: wait until it ends, stop it, or choose another folder"
        raise UsageError(text) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        if report is not None:
            report(f"note: {directory} cannot be locked ({error.strerror}): do not run a second training in it")
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # Windows cannot remove an open file: there, filelock removes it
            path.unlink()  # a process that has opened this file notices that it was removed, and creates a new one
        lock.release()


_MAY_CHANGE = {"epochs"}  # keys of `training` that may differ in a resumed run; epochs may only increase
_NOT_OF_NETWORK = ("name", "description", "training", "data")


def spec_hash(document: Mapping[str, Any]) -> str:
    """Return the sha256 of a spec, independent of the order of keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def check_own(directory: Path) -> None:
    """Check that writing a run changes no other file and does not block. GS603 (RunError): a link, a pipe or a device."""
    for name in RUN_FILES:
        path = directory / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            what = "is a symbolic link" if path.is_symlink() else "is not a regular file"
            raise RunError(Code.DAMAGED_RUN, f"{path} {what}, but a run writes to it", RESTORE)


def reached_checkpoint(directory: Path) -> bool:
    """Return whether the run reached its first checkpoint; a run killed before that starts again from its seed."""
    written = ("checkpoint.safetensors", "checkpoint.json", "weights.safetensors", "history.csv", COPIES)
    return any((directory / name).exists() for name in written)


def start_run(model: Session, directory: Path) -> None:
    """Create a run directory before the first step, with ``spec.json`` and ``run.json``."""
    from graphspec.data.weights.plan import in_record

    make_folder(directory)
    check_own(directory)
    write_copies(model.single[0].nodes, directory)
    document = document_for(model.spec, directory)
    _write_json(directory / "spec.json", document)
    if model.adapted is not None:
        _write_json(directory / ADAPTED, model.adapted.to_json(), ensure_ascii=False)
    path, record = directory / "run.json", provenance(model, document, data_hashes(model))
    before = read_json(path) if path.is_file() and not model.spec.draws else {}  # the weights came from files then
    _write_json(path, record | in_record(model.initial_weights, before))


def _write_json(path: Path, value: Mapping[str, Any], *, ensure_ascii: bool = True) -> None:
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=ensure_ascii).encode())


def read_adapted(directory: Path) -> Adapted | None:
    """Return what a run's network has learnt, by its file or the checkpoint; None if nothing. GS603 (RunError): damaged."""
    path, checkpoint = directory / ADAPTED, directory / "checkpoint.safetensors"
    if path.exists():
        try:
            return Adapted.of_json(read_json(path))
        except ValueError as error:
            raise damaged(path, str(error)) from None
    return load_checkpoint(directory).adapted if checkpoint.exists() else None


def check_run(directory: Path, adapted: Adapted | None, allow: Sequence[Path] = ()) -> Checked:
    """Check a run's spec with what its network has learnt. GS603 (RunError): only what was learnt does not fit."""
    check_it = partial(check_spec, directory / "spec.json", allow_outside=True, allow=allow, draws=False)
    try:
        checked = check_it(adapted=adapted)  # loading runs no callbacks, and draws no weights
    except ValueError as error:
        raise _misfit(directory, error) from None
    if adapted is not None and checked.errors and not check_it().errors:
        raise _misfit(directory, checked.errors[0].message)
    if adapted is not None and checked.spec is not None:
        _refuse_incomplete(checked.spec, directory)
    return checked if checked.spec is None else replace(checked, spec=tidied(checked.spec))


def _misfit(directory: Path, why: object) -> RunError:
    return damaged(directory / ADAPTED, f"it does not fit spec.json beside it ({why})")


def _refuse_incomplete(spec: Spec, directory: Path) -> None:
    """Raise GS603 if layers must still learn, though the network of a run has learnt."""
    if missing := learning_nodes(spec):
        raise damaged(directory / ADAPTED, f"it lacks what '{missing[0].name}' has learnt")


def install_adapted(model: Session, directory: Path) -> None:
    """Let the model use what a run's network has learnt, if it learns. GS603 (RunError): damaged, or it does not fit."""
    adapted = read_adapted(directory)
    if adapted is None:
        return
    refuse_changed(model.single[0].nodes, adapted.layers, directory)
    try:
        model.install(adapted)
    except (ValueError, SpecError) as error:
        raise _misfit(directory, error) from None
    _refuse_incomplete(model.spec, directory)


def record_workers(model: Session, directory: Path) -> None:
    """Write the number of workers to ``run.json``, before the first step."""
    path = directory / "run.json"
    record = read_json(path) if path.is_file() else {}
    if record and record.get("workers") != model.workers:
        _write_json(path, record | {"workers": model.workers})


def record_export(directory: Path, file: Path, proof: str) -> None:
    """Write to ``run.json`` that the run was exported to a file, with what its proof says, until training goes on."""
    path = directory / "run.json"
    exported = {"file": file.name, "bytes": file.stat().st_size, "proof": proof}
    _write_json(path, read_json(path) | {"exported": exported})


def provenance(model: Session, document: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of ``run.json``; ``data`` are the hashes of the data files by part."""
    from importlib.metadata import version

    return {
        "graphspec": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("numpy", "onnx", "onnxruntime", "pydantic")},
        "platform": platform.platform(terse=True),
        "seed": model.seed,
        "workers": model.workers or 1,
        "cores": usable_cores(),
        "blas_threads": {"BLAS threads": f"{THREADS_SET or 1}"},
        "plan": {
            "kernels": None if (blas := openblas()) is None else blas.core,
            "compiled": compiled.version(),
            "forced": os.environ.get(KERNELS),
        },
        "spec_sha256": spec_hash(document),
        "adapted_sha256": None if model.adapted is None else model.adapted.sha256,
        "data_sha256": dict(data),
    }


def data_hashes(model: Session) -> dict[str, str]:
    """Return the hash of the data files of each part that has files of its own; their places do not matter."""
    sources = {part: files_of(source) for part, source in model.spec.data.items()}
    return {part: hash_of(files) for part, files in sources.items() if files}


def belongs(document: Mapping[str, Any], adapted: Adapted | None) -> dict[str, str]:
    """Return hashes of the spec's network, and of the entire spec without its epochs, which identify a run's files.

    Both depend on what the network has learnt before its first step, and not on where the data lie.
    """
    learnt = _learnt(adapted)
    network = {key: value for key, value in document.items() if key not in _NOT_OF_NETWORK}
    return {"network": spec_hash(network | learnt), "run": spec_hash(_without_epochs(comparable(document)) | learnt)}


def _learnt(adapted: Adapted | None) -> dict[str, str]:
    return {} if adapted is None else {"adapted": adapted.sha256}


def _check_belongs(path: Path, found: str | None, expected: Sequence[str], what: str) -> None:
    if found not in (None, *expected):  # None: written by an earlier version
        raise RunError(Code.DAMAGED_RUN, f"{path} belongs to another {what} than spec.json beside it", RESTORE)


def refuse_other_spec(model: Session, directory: Path) -> None:
    """Raise UsageError if the spec differs from the one of the run in more than ``epochs`` and the places of its data."""
    written = read_json(directory / "spec.json")
    before, now = (comparable(_without_epochs(each)) for each in (written, document_for(model.spec, directory)))
    if before != now and (spec := parse(written)[0]) is not None:  # it may have names of older versions
        before = comparable(_without_epochs(spec.document))
    if before != now:
        changed = ", ".join(sorted(_differences(before, now))[:5])
        text = f"the spec differs from the one in {directory} ({changed})"
        raise UsageError(f"{text}: resuming allows only more `epochs`")


def check_resumable(model: Session, directory: Path, ranks: int = 1) -> Checkpoint:
    """Return the checkpoint to resume from by ``ranks`` ranks; set ``model.workers`` to the run's number of workers.

    Raises UsageError: the spec, its data, kernels that change bits or, without ``shards``, ranks or cores are too different.
    RunError: GS603, the checkpoint is missing or damaged.
    """
    refuse_changes(model, directory, ranks)
    before, now = read_json(directory / "spec.json"), model.document()
    learnt = _learnt(model.adapted)
    # Version 0.2 included the absolute paths of the data.
    return own_checkpoint(model, directory, [spec_hash(_without_epochs(each) | learnt) for each in (now, before)])


def own_checkpoint(model: Session, directory: Path, hashes: Sequence[str] = ()) -> Checkpoint:
    """Return the checkpoint of a model in a folder, which has its hash, or another. GS603 (RunError): it is damaged."""
    checkpoint = _load_checkpoint(model, directory)
    expected = [belongs(model.document(), model.adapted)["run"], *hashes]
    _check_belongs(checkpoint.path, checkpoint.belongs.get("run"), expected, "run")
    return checkpoint


def record_copies(model: Session, directory: Path, text: HistoryText, record: Mapping[str, Any]) -> None:
    """Write how the copies of a network were trained, to ``history.csv`` and ``run.json``, and which form was chosen."""
    write_atomic(directory / "history.csv", text.csv())
    if model.adapted is not None:
        _write_json(directory / ADAPTED, model.adapted.to_json(), ensure_ascii=False)
        record = {**record, "adapted_sha256": model.adapted.sha256}
    if (path := directory / "run.json").is_file():
        _write_json(path, {**read_json(path), **record})


def refuse_changes(model: Session, directory: Path, ranks: int = 1) -> None:
    """Raise UsageError for what :func:`check_resumable` names, and set ``model.workers``."""
    from graphspec.engine.training.choose_workers import refuse_other_ranks, refuse_too_few_cores, workers_per_rank

    refuse_other_spec(model, directory)
    before = read_json(directory / "spec.json")
    old, new = _epochs(before, directory / "spec.json"), model.spec.training.epochs
    if new < old:
        raise UsageError(f"the run in {directory} has {old} epochs; resuming allows only more, got {new}")
    record = check(Provenance, read_json(directory / "run.json"), directory / "run.json")
    before_data, data = record.data_sha256, data_hashes(model)
    if before_data != data:
        parts = ", ".join(p for p in sorted(before_data.keys() | data.keys()) if before_data.get(p) != data.get(p))
        text = f"the data files have changed since {directory} was started ({parts})"
        raise UsageError(f"{text}: the run cannot be resumed")
    compiled.refuse_other_version(record.plan.get("compiled"), directory, model.graph.nodes)
    if model.spec.training.shards is not None:
        pass  # any number of workers gives the same bits
    elif ranks > 1 or model.spec.training.workers == "mpi":
        refuse_other_ranks(record.workers, ranks, directory, workers_per_rank(model.spec.training.workers))
    else:
        refuse_too_few_cores(record.workers, directory)
    model.workers = record.workers


def _epochs(document: Mapping[str, Any], path: Path) -> int:
    training = document.get("training")
    epochs = training.get("epochs", 1) if isinstance(training, dict) else 1
    if type(epochs) is not int:
        raise damaged(path, "'training.epochs' is not an integer")
    return epochs


def _load_checkpoint(model: Session, directory: Path) -> Checkpoint:
    """Return the checkpoint of a model: it must have the weights and slots, and may have weights that callbacks store."""
    params, count = model.graph.params.items(), len(model.spec.training.callbacks)
    required = {f"weight/{n}": p.shape for n, p in params} | model.optimizer_state.shapes()
    optional = {f"callback/{k}/{n}": p.shape for k in range(count) for n, p in params}
    return load_checkpoint(directory, required, optional)


def _without_epochs(document: Mapping[str, Any]) -> dict[str, Any]:
    training = document.get("training")
    if not isinstance(training, dict):
        return dict(document)
    may_change = _MAY_CHANGE | ({"workers"} if training.get("shards") else set())
    return {**document, "training": {key: value for key, value in training.items() if key not in may_change}}


def _differences(a: Any, b: Any, path: str = "") -> set[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        found: set[str] = set()
        for key in a.keys() | b.keys():
            found |= _differences(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
        return found
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return {d for k, (x, y) in enumerate(zip(a, b, strict=True)) for d in _differences(x, y, f"{path}.{k}")}
    return set() if a == b else {path}


def write_weights(
    model: Session, path: Path, network: str | None = None, header: Mapping[str, str] | None = None
) -> None:
    """Write the weights alone, with more entries of the header; ``network``: the network's hash, if it is known."""
    network = network or belongs(model.document(), model.adapted)["network"]
    save_arrays(path, model.weights, network=network, **(header or {}))


def save_model(model: Session, directory: Path, header: Mapping[str, str] | None = None) -> None:
    """Write spec, weights (with more entries of the header), checkpoint. Raises UsageError: a training is writing."""
    make_folder(directory)
    check_own(directory)
    network = belongs(model.document(), model.adapted)["network"]
    with locked(directory):
        write_weights(model, directory / "weights.safetensors", network, header)
        start_run(model, directory)
        if model.spec.training.several:  # the copies are not trained on
            (directory / "checkpoint.safetensors").unlink(missing_ok=True)
            return
        arrays = {f"weight/{n}": a for n, a in model.weights.items()} | model.optimizer_state.arrays()
        of_optimizer = {"step": model.optimizer_state.clock.step, "learning_rate": model.optimizer_state.rate.value}
        state = {"epoch": model.epochs_done, "batch": 0, **of_optimizer, "stopped": None}
        save_checkpoint(directory, Checkpoint(arrays, state, {"network": network}, model.adapted))


def load_into(model: Session, directory: Path) -> None:
    """Load a run's weights, and, if possible, the optimizer's state for ``fit``. GS603 (RunError): it is damaged."""
    network = belongs(read_json(directory / "spec.json"), model.adapted)["network"]
    path, resumable, hint = directory / "weights.safetensors", (directory / "checkpoint.safetensors").exists(), RESTORE
    if not path.exists():
        text = f"{directory} has no weights.safetensors: the run has not written it yet, or it was lost"
        raise RunError(Code.DAMAGED_RUN, text, "continue with `graphspec train … --resume`")
    if resumable:
        hint = "`graphspec train … --resume` restores it from the checkpoint"
    weights, header = load_arrays(path, {n: p.shape for n, p in model.graph.params.items()}, hint=hint)
    _check_belongs(path, None if header is None else header.network, [network], "network")
    model.set_weights(weights)
    if resumable and any(p.trainable for p in model.graph.params.values()):
        checkpoint, state = _load_checkpoint(model, directory), model.optimizer_state
        _check_belongs(checkpoint.path, checkpoint.belongs.get("network"), [network], "network")
        progress = checkpoint.progress()
        state.load(checkpoint.arrays)
        state.load_counters(vars(progress))
        model.epochs_done = progress.epoch
        if progress.swapped:
            check_averages(model, checkpoint.path)
            state.finish()


def check_averages(model: Session, path: Path) -> None:
    """Raise GS603 if weights and averages are exchanged in a checkpoint, but the optimizer has no averages."""
    if not model.spec.training.optimizer.use_ema:
        raise damaged(path, "'swapped' is true, but the optimizer keeps no averages")


# What a run has written about itself: its history, its best epoch, and its weights beside another run's.
_MAX_BYTES = 1 << 26
_MAX_NAMED = 5  # arrays that differ and are named


def history_of(directory: Path) -> dict[str, list[float]]:
    """Return a run's losses and metrics by epoch; empty if it has none. GS603 (RunError): ``history.csv`` is damaged."""
    path = directory / "history.csv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise damaged(path, f"it is larger than {_MAX_BYTES >> 20} MiB")
    try:
        names, *rows = list(csv.reader(text.splitlines()))
        table = [[float(cell) for cell in row] for row in rows]
        if names[0] != "epoch" or any(len(row) != len(names) for row in table):
            raise ValueError("it is not a table of epochs")
    except (ValueError, csv.Error, IndexError) as error:
        raise damaged(path, str(error)) from None
    return {name: [row[k] for row in table] for k, name in enumerate(names) if k}


def best_epoch(history: Mapping[str, list[float]]) -> int | None:
    """Return the epoch, from 1, with the lowest ``val_loss``, or ``loss`` without validation; None without epochs."""
    best = _best(history)
    return None if best is None else int(best["epoch"])


def weight_differences(old: Path, new: Path) -> dict[str, Any] | None:
    """Compare the weights of two runs: ``{compared, different, names, largest}``; None if a run has none.

    Arrays that only one has, or in another shape, are left out: the networks differ. GS603 (RunError): a file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    paths = [directory / "weights.safetensors" for directory in (old, new)]
    if not all(path.is_file() for path in paths):
        return None
    different, compared, largest = list[str](), 0, 0.0
    with ExitStack() as stack:
        try:
            first, second = (stack.enter_context(safe_open(path := each, "numpy")) for each in paths)
        except (SafetensorError, OSError) as error:
            raise damaged(path, str(error)) from None
        for name in sorted({*first.keys()} & {*second.keys()}):
            a, b = first.get_tensor(name), second.get_tensor(name)
            compared += a.shape == b.shape
            if a.shape == b.shape and not np.array_equal(a, b, equal_nan=True):
                different.append(name)
                with np.errstate(all="ignore"):
                    distance = np.abs(a.astype(np.float64) - b.astype(np.float64))
                largest = max(largest, float(np.max(distance, initial=0.0, where=np.isfinite(distance))))
    return {"compared": compared, "different": len(different), "names": different[:_MAX_NAMED], "largest": largest}


def result_differences(old: Path, new: Path) -> dict[str, Any]:
    """Compare two runs: ``{epochs, best, final}``. GS603 (RunError): a history is damaged.

    ``best``: the best epochs (:func:`best_epoch`); ``final``: the last losses and metrics, with their differences.
    """
    a, b = history_of(old), history_of(new)
    final = []
    for name in dict.fromkeys((*a, *b)):
        x, y = (history.get(name, [None])[-1] for history in (a, b))
        final.append({"key": name, "old": x, "new": y, "difference": None if x is None or y is None else y - x})
    sides = (("old", a), ("new", b))
    epochs = {side: len(next(iter(history.values()), [])) for side, history in sides}
    return {"epochs": epochs, "best": {side: _best(history) for side, history in sides}, "final": final}


def _best(history: Mapping[str, list[float]]) -> dict[str, Any] | None:
    key = "val_loss" if history.get("val_loss") else "loss"
    value, epoch = min(((v, k) for k, v in enumerate(history.get(key, []), 1) if math.isfinite(v)), default=(0.0, 0))
    return {"epoch": epoch, "key": key, "value": value} if epoch else None


# The files that a run has written to its folder; only these are removed with the run.
_MARKERS = ("spec.json", "run.json")  # mark the folder as a run directory until the next run replaces them


def remove_run(directory: Path) -> list[str]:
    """Remove the files of the run in ``directory``, except its markers, and return the names of all other files."""
    spec, _ = parse(str(directory / "spec.json"))  # if it cannot be read, no outputs of callbacks are known
    outputs = [output for callback in (spec.training.callbacks if spec else ()) for output in callback.outputs()]
    # The checkpoint goes first: if this is interrupted, nobody can resume the incomplete run.
    (directory / "checkpoint.safetensors").unlink(missing_ok=True)
    kept = []
    for path, parts in _files(directory):
        of_callbacks = parts[2 if parts[0] == COPIES else 0 :]
        if _is_own(path, parts) or any(_wrote(output, path, of_callbacks) for output in outputs):
            path.unlink()
            with suppress(OSError):  # the folder contains other files
                for folder in list(path.parents)[: len(parts) - 1]:
                    folder.rmdir()
        elif parts not in [(name,) for name in (*_MARKERS, LOCK)]:
            kept.append("/".join(parts))
    return kept


def _files(directory: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield every file in a folder and its subfolders, deepest first, without following links."""
    for folder, folders, names in os.walk(directory, topdown=False):
        for name in sorted([*names, *(n for n in folders if Path(folder, n).is_symlink())]):
            path = Path(folder, name)
            yield path, path.relative_to(directory).parts


def _is_own(path: Path, parts: Sequence[str]) -> bool:
    """Return whether every run writes this file, or it is the temporary file of a killed run."""
    if parts[0] == COPIES and len(parts) == 3 and parts[1].isdecimal():
        return parts[2] in RUN_FILES or is_leftover(path)
    if len(parts) == 1:
        return (parts[0] in RUN_FILES and parts[0] not in _MARKERS) or is_leftover(path)
    copied = parts[0] == ONNX_FILES and re.fullmatch(r"[0-9a-f]{64}\.onnx", parts[-1]) is not None
    return copied or parts[-1] == LOCK or is_leftover(path)


def _wrote(output: Output, path: Path, parts: Sequence[str]) -> bool:
    """Return whether a callback with this output wrote the file, judging by its name and content."""
    *above, name = parts
    if path.is_symlink() or not path.is_file():
        return False
    if output.shared:
        return is_called(output, above) and output.is_own(path)
    if is_called(output, parts):
        return output.is_own(path)
    return name in RUN_FILES and is_called(output, above) and output.is_own(path.parent)
