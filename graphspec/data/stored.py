"""Read data files that are larger than the memory: their rows are kept in a cache of memory maps, for the next run, too.

An entry of the cache is a folder named by a hash of everything that determines its content: the data files, and how their
columns are read. It gets this name only when it is complete, so a killed process leaves nothing that would be used.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.growing import InFiles
from graphspec.base.arrays.memory import free, human, map_file, map_of
from graphspec.base.errors import Code, RunError
from graphspec.base.files import ARCHIVE, LOCK, make_folder, new_folder, remove_leftovers, suffix_of, write_atomic
from graphspec.base.version import __version__
from graphspec.data.batches import Dataset, Loaded
from graphspec.data.check import load
from graphspec.data.files import files_of
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Array
from graphspec.language.declarations import DataSource

SHARE = 0.25  # of the free memory: files that seem to need more are read into the cache
_PACKED = 4  # how much larger the rows of a compressed file are, about
_INDEX = "index.json"


def load_rows(source: DataSource, signature: DataSignature, cache: Path | None) -> Loaded:
    """Do the work of :func:`graphspec.data.check.load`, with rows in the cache if they do not fit into the memory.

    ``cache``: the folder of the cache; None to read all rows into the memory.

    Raises RunError: GS602, there is too little disk space.
    """
    files = files_of(source) if cache is not None and source.windows is None else []
    mapped = any(suffix_of(path) == ARCHIVE for path in files)  # archives are mapped themselves
    if cache is None or not files or mapped:
        return load(source, signature)
    needs = sum(path.stat().st_size * (_PACKED if suffix_of(path) in _COMPRESSED else 1) for path in files)
    if needs <= free() * SHARE:
        arrays, found = load(source, signature)
        if not found or any(d.code != Code.NOT_ENOUGH_MEMORY for d in found):
            return arrays, found
    # the key: the files, how they are read, and this version
    read = (source.inputs, source.targets, source.drop_missing_targets, source.query, source.form, source.group)
    needed = {f.name: _plain(getattr(signature, f.name)) for f in fields(signature) if f.name != "steps"}
    key = hashlib.sha256(repr((__version__, hash_of(files), read, needed)).encode()).hexdigest()[:40]
    return _stored(cache / f"rows-{key}", source, signature)


def hash_of(files: Sequence[Path]) -> str:
    """Return the hash of a file, or of the names and hashes of several files."""
    if len(files) == 1:
        with files[0].open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256("".join(f"{path.name} {hash_of([path])}\n" for path in files).encode()).hexdigest()


_COMPRESSED = (".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz")


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else dict(value) if isinstance(value, Mapping) else value


def _stored(entry: Path, source: DataSource, signature: DataSignature) -> Loaded:
    """Return the rows of an entry of the cache; create it if it does not exist."""
    from filelock import FileLock

    pictures = source.file is not None and any(len(kind.shape) == 4 for kind in signature.inputs.values())
    fixed = source.query is None and not pictures  # the rows may depend on more than these files
    if fixed and (rows := _read(entry)) is not None:
        return rows, []
    make_folder(entry.parent)
    with FileLock(entry.parent / LOCK):
        if fixed and (rows := _read(entry)) is not None:  # another process has read the files in the meantime
            return rows, []
        remove_leftovers(entry.parent)
        shutil.rmtree(entry, ignore_errors=True)  # a damaged entry
        try:
            with new_folder(entry) as folder:
                arrays, found = load(source, signature, allocate=InFiles(folder))
                if arrays is None:
                    raise _RefusedError
                _write(folder, arrays)
                del arrays
        except _RefusedError:
            return None, found
        except OSError as error:
            left = human(shutil.disk_usage(entry.parent).free)
            text = f"the rows of {source.subject} cannot be kept in {entry.parent}, where {left} are free"
            hint = f"use `--cache DIR` with a folder on another disk ({error.strerror or type(error).__name__})"
            raise RunError(Code.NOT_ENOUGH_MEMORY, text, hint) from None
        rows = _read(entry)
    if rows is None:
        raise RunError(Code.DAMAGED_RUN, f"{entry} was altered while it was written", "remove it, and start again")
    return rows, []


class _RefusedError(Exception):
    """The files have problems; the folder of the entry is removed."""


def _write(folder: Path, rows: Dataset) -> None:
    """Complete an entry: write the arrays that are not in one of its files, remove other files, and write the index."""
    record, used = {}, {_INDEX}
    create = InFiles(folder)
    for k, (name, array) in enumerate(rows.named().items()):
        owner = map_of(array)
        path = None if owner is None or owner.filename is None else Path(os.fsdecode(owner.filename))
        begins = owner is not None and array.flags.c_contiguous and array.ctypes.data == owner.ctypes.data
        if path is None or path.parent != folder or not begins or path.name in used:  # not the beginning of a file
            copy = create(f"array {k}", array.shape, array.dtype)
            copy[...] = array
            owner, path = map_of(copy), create.path(f"array {k}")
        if owner is not None:
            owner.flush()
            with suppress(OSError):  # not while it is mapped, on Windows
                os.truncate(path, array.nbytes)
        used.add(path.name)
        record[name] = {"file": path.name, "dtype": array.dtype.str, "shape": list(array.shape)}
    for path in folder.iterdir():
        if path.name not in used:
            with suppress(OSError):
                path.unlink()
    write_atomic(folder / _INDEX, json.dumps({"arrays": record}))


def _read(entry: Path) -> Dataset | None:
    """Return the rows of an entry; None if it does not exist or was altered."""
    try:
        record = json.loads((entry / _INDEX).read_text(encoding="utf-8"))["arrays"]
        named: dict[str, Array] = {}
        for name, at in record.items():
            dtype, shape = np.dtype(at["dtype"]), tuple(int(n) for n in at["shape"])
            path, size = entry / Path(at["file"]).name, math.prod(shape) * dtype.itemsize
            if dtype.hasobject or (size and path.stat().st_size < size):
                return None
            if size == 0:
                named[name] = np.empty(shape, dtype)
                continue
            with path.open("rb") as file:
                named[name] = map_file(file, dtype, 0, shape, "C")
        return Dataset.of(named)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
