"""Compute the prelude once for all rows of a dataset, and keep the results: in memory, or in a cache of memory maps.

An entry of the cache is a folder named by a hash of everything that determines its content: the prelude with what it has
learnt, and the rows. It gets this name only when it is complete, so a killed process leaves nothing that would be used.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.cores import threads_set, usable_cores
from graphspec.base.arrays.memory import free, human, map_file
from graphspec.base.arrays.pictures import Pictures, in_chunks
from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import Code, RunError
from graphspec.base.files import LOCK, make_folder, new_folder, remove_leftovers, sized_file, write_atomic
from graphspec.base.version import __version__
from graphspec.data.batches import Dataset, as_long
from graphspec.engine.compiler.lowered_network import lists_of
from graphspec.graph.ir.graph import Array, Dim, Graph, Value
from graphspec.graph.onnx_model import model_of, opset_for
from graphspec.graph.onnx_session import failure, session
from graphspec.graph.ops import OPS
from graphspec.graph.passes import FOR_OPSET, prepare
from graphspec.graph.target import Target

CHUNK_ROWS = 2048  # rows per run of the prelude: more do not make it faster
NETWORK_ROWS = 64  # of networks: PP-OCRv4's takes half the time that it takes for 256 rows or more
CACHED_BYTES = 1 << 25  # from this size on, rows are kept in a cache beside the run; those of networks always
_LIST_BYTES = 1 << 9  # of a text in a list: its characters may be read one by one
_CHUNK_BYTES = 1 << 28  # of the values of one run of networks in the prelude
_HIDDEN = 16  # values inside a network for each one that enters or leaves it
_LARGEST_INDEX = 1 << 24  # bytes
_INTEGERS = ("uint8", "int16", "int32")
Progress = Callable[[int, int], None]  # called with the number of prepared rows and of all rows


def prepare_rows(prelude: Prelude, data: Dataset, names: list[str], cache: Path | None, progress: Progress) -> Dataset:
    """Return the dataset with the inputs ``names`` of the trained graph: results of the prelude, and inputs as they are.

    Integers are kept in the smallest dtype for their range. All rows are computed, also those that were not chosen; without
    a ``cache``, in memory. RunError: GS605, a row cannot be computed; GS602, there is too little memory or disk space.
    """
    feeds = {name: data.inputs[name] for name in prelude.graph.inputs}
    as_they_are = {name: data.inputs[name] for name in names if name in data.inputs}
    found = _cached(prelude, feeds, cache, progress) if cache else _compute(prelude, feeds, _in_memory, progress)
    return replace(data, inputs={name: found[name] if name in found else as_they_are[name] for name in names})


def key_of(prelude: Prelude, feeds: Mapping[str, Any]) -> str:
    """Return the name of the cache's entry: a hash of the prelude, of the rows that it reads, and of this version."""
    total = hashlib.sha256(f"{__version__} {chunk_rows(prelude, feeds)}".encode())
    total.update(prelude.serialized)
    for name, array in sorted(feeds.items()):
        parts = array.arrays() if isinstance(array, Strings | Pictures) else {"": array}
        for part, values in sorted(parts.items()):
            total.update(f"{name}/{part} {values.dtype.str} {values.shape}".encode())
            step = max((1 << 24) // max(values[:1].nbytes, 1), 1)
            for chunk in (values[k : k + step] for k in range(0, len(values), step)):
                packed = Strings.of(chunk).arrays() if chunk.dtype == object else {"": chunk}  # windows over texts
                for _, piece in sorted(packed.items()):
                    total.update(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
    return total.hexdigest()[:40]


Allocate = Callable[[str, tuple[int, ...], "np.dtype[Any]"], "Array"]


def _compute(prelude: Prelude, feeds: Mapping[str, Any], allocate: Allocate, progress: Progress) -> dict[str, Array]:
    """Compute all rows, chunk by chunk; results of varying width are padded to the widest."""
    total = len(next(iter(feeds.values())))
    graph = prelude.graph
    outputs, found = graph.outputs, dict[str, Array]()
    parts: dict[str, list[Array]] = {name: [] for name in prelude.varying}
    chunks, lists = list(in_chunks(feeds.values(), total, chunk_rows(prelude, feeds))), lists_of(graph)

    def run(rows: slice | Array) -> dict[str, Array]:
        part = {name: array[rows] for name, array in feeds.items()}
        return prelude.run(part if rows is chunks[0] else as_long(part, lists))  # one is as wide as all are

    # Of networks each core computes chunks, by itself: one that is busy delays no other. Texts are one thread's work.
    cores = max(1, usable_cores() // (threads_set() or 1)) if has_networks(prelude) else 1
    done = 0
    with ThreadPoolExecutor(cores) as pool:
        for rows, values in zip(chunks, (map if cores == 1 else pool.map)(run, chunks), strict=True):
            for name, value in values.items():
                narrow = value.astype(_storage(outputs[name]), copy=False)
                if name in parts:
                    parts[name].append(narrow)
                    continue
                if name not in found:
                    found[name] = allocate(name, (total, *narrow.shape[1:]), narrow.dtype)
                found[name][rows] = narrow
            done += rows.stop - rows.start if isinstance(rows, slice) else len(rows)
            progress(done, total)
    for name, of_chunks in parts.items():
        found[name] = _joined(name, of_chunks, chunks, prelude.padding[name], allocate)
    return found


def has_networks(prelude: Prelude) -> bool:
    """Return whether a prelude contains networks of other files, which take long for few rows."""
    return any(OPS[node.op].merged for node in prelude.graph.nodes)


def chunk_rows(prelude: Prelude, feeds: Mapping[str, Any]) -> int:
    """Return the rows per run of the prelude: few for networks, whose results between the layers need memory and caches."""
    graph = prelude.graph
    if not has_networks(prelude):
        each: int = sum(a.nbytes // max(len(a), 1) for a in feeds.values() if a.ndim == 4)  # large pictures
        wide = (4 * v.fixed(0) for n in graph.nodes if n.op == "TermWeights" for v in n.inputs[1:] if v is not None)
        lists = (_LIST_BYTES * feeds[name].shape[1] for name in lists_of(graph))
        each = max(each, *wide, *lists, 1)  # `wide` counts the ids of a row in a vector
        return max(1, min(CHUNK_ROWS, _CHUNK_BYTES // (_HIDDEN * each)))
    values = [v for node in graph.nodes for v in node.outputs] + list(graph.inputs.values())
    sizes = [4 * math.prod(d for d in v.shape if isinstance(d, int)) for v in values]
    return max(1, min(NETWORK_ROWS, _CHUNK_BYTES // (_HIDDEN * sum(sizes))))


def _joined(name: str, parts: list[Array], rows: Sequence[Any], padding: Any, allocate: Allocate) -> Array:
    """Return parts of different widths, which are these ``rows``, as one array, and free them."""
    sizes = tuple(max(p.shape[k] for p in parts) for k in range(1, parts[0].ndim))
    whole = allocate(name, (sum(map(len, parts)), *sizes), parts[0].dtype)
    for k, part in enumerate(parts):
        padded = np.full((len(part), *sizes), padding, part.dtype)
        padded[:, *(slice(0, n) for n in part.shape[1:])] = part
        whole[rows[k]] = padded
        parts[k] = part[:0]
    return whole


def _storage(value: Value) -> Any:
    """Return the smallest dtype for the range of an integer value; floats and bools keep theirs."""
    if not value.dtype.startswith("int") or value.range is None or not value.range.finite:
        return np.dtype(value.dtype)
    for dtype in _INTEGERS:
        bounds = np.iinfo(dtype)
        if bounds.min <= value.range.low and value.range.high <= bounds.max:
            return np.dtype(dtype)
    return np.dtype(value.dtype)


def _in_memory(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    _refuse_more(name, math.prod(shape) * dtype.itemsize, free(), "of memory", ": they are then kept in files")
    return np.empty(shape, dtype)


def _refuse_more(name: str, size: int, available: int, where: str, remedy: str) -> None:
    if size > available:
        text = f"the prepared rows of '{name}' need {human(size)} {where}, only {human(available)} is free"
        raise RunError(Code.NOT_ENOUGH_MEMORY, text, f"use `--cache DIR`{remedy}")


def _cached(prelude: Prelude, feeds: Mapping[str, Any], cache: Path, progress: Progress) -> dict[str, Array]:
    """Return the entry of the cache, as memory maps; compute it if it does not exist."""
    from filelock import FileLock

    entry, total = cache / key_of(prelude, feeds), len(next(iter(feeds.values())))
    if (found := _read(entry, prelude, total)) is not None:
        return found
    make_folder(cache)
    with FileLock(cache / LOCK):
        if (found := _read(entry, prelude, total)) is not None:  # another process has computed it in the meantime
            return found
        remove_leftovers(cache)
        if entry.is_symlink() or entry.is_file():
            entry.unlink()
        shutil.rmtree(entry, ignore_errors=True)  # a damaged entry
        with new_folder(entry) as folder:
            arrays = _compute(prelude, feeds, partial(_create, folder, prelude), progress)
            for array in arrays.values():
                if isinstance(array, np.memmap):
                    array.flush()
            record = {name: {"dtype": a.dtype.str, "shape": list(a.shape)} for name, a in arrays.items()}
            write_atomic(folder / "index.json", json.dumps({"arrays": record}))
            del arrays
    if (found := _read(entry, prelude, total)) is None:
        raise RunError(Code.DAMAGED_RUN, f"{entry} was altered while it was written", "remove it, and start again")
    return found


def _file(name: str, prelude: Prelude) -> str:
    return f"{list(prelude.graph.outputs).index(name)}.bin"


def _create(folder: Path, prelude: Prelude, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    size, on_disk = math.prod(shape) * dtype.itemsize, shutil.disk_usage(folder).free
    _refuse_more(name, size, on_disk, f"in {folder.parent}", " with a folder on another disk")
    with sized_file(folder / _file(name, prelude), size) as file:
        return np.memmap(file, dtype, "r+", shape=shape) if size else np.empty(shape, dtype)


def _read(entry: Path, prelude: Prelude, total: int) -> dict[str, Array] | None:
    """Return the arrays of an entry with ``total`` rows; None if it does not exist or was altered."""
    try:
        index = entry / "index.json"
        if entry.is_symlink() or not _is_own(index) or index.stat().st_size > _LARGEST_INDEX:
            return None
        record = json.loads(index.read_text(encoding="utf-8"))["arrays"]
        found: dict[str, Array] = {}
        for name, value in prelude.graph.outputs.items():
            dtype, shape = _storage(value), tuple(record[name]["shape"])
            if record[name]["dtype"] != dtype.str or not _fits(shape, (total, *value.shape[1:])):
                return None
            path, size = entry / _file(name, prelude), math.prod(shape) * dtype.itemsize
            if not _is_own(path) or path.stat().st_size != size:
                return None
            with path.open("rb") as file:
                found[name] = map_file(file, dtype, 0, shape, "C") if size else np.empty(shape, dtype)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found


def _is_own(path: Path) -> bool:
    """Return whether ``path`` is a regular file; links and pipes are not made here."""
    return path.is_file() and not path.is_symlink()


def _fits(shape: tuple[Any, ...], expected: Sequence[Any]) -> bool:
    """Return whether a shape of a file has the expected sizes; axes that vary may have any."""
    whole = len(shape) == len(expected) and all(type(n) is int and n >= 0 for n in shape)
    return whole and all(n == size for n, size in zip(shape, expected, strict=True) if isinstance(size, int))


class Prelude:
    """A graph without weights, computed by onnxruntime."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __getstate__(self) -> dict[str, Any]:
        return {"graph": self.graph}

    @cached_property
    def serialized(self) -> bytes:
        """The prelude as an ONNX file: the same bytes for the same computation."""
        opset = opset_for(self.graph)
        model = model_of(prepare(self.graph, FOR_OPSET, Target(opset=opset)), opset=opset)
        return bytes(model.SerializeToString(deterministic=True))

    @cached_property
    def _types(self) -> dict[str, Any]:
        """The dtypes of the inputs, None for texts: integers may be given as numbers."""
        return {name: None if v.dtype == "string" else np.dtype(v.dtype) for name, v in self.graph.inputs.items()}

    @cached_property
    def _session(self) -> Any:
        return session(self.serialized)

    @cached_property
    def varying(self) -> list[str]:
        """The outputs with an axis that varies, such as the number of words."""
        return [name for name, v in self.graph.outputs.items() if any(isinstance(d, str) for d in v.shape[1:])]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs for a batch, by name; texts are arrays of ``object``. GS605 (RunError): onnxruntime fails."""
        outputs = self.graph.outputs
        if not feeds or len(next(iter(feeds.values()))) == 0:  # some of onnxruntime's operators on texts refuse no rows
            shapes = {n: (0, *(d if isinstance(d, int) else 0 for d in v.shape[1:])) for n, v in outputs.items()}
            return {name: np.empty(shapes[name], v.dtype) for name, v in outputs.items()}
        converted = {name: np.asarray(feeds[name], dtype) for name, dtype in self._types.items()}
        try:
            return dict(zip(outputs, self._session.run([*outputs], converted), strict=True))
        except Exception as error:
            raise RunError(Code.PREPARATION_FAILED, f"onnxruntime fails to prepare rows: {failure(error)}") from error

    @cached_property
    def padding(self) -> dict[str, Any]:
        """What pads rows with fewer words, by output with a varying axis: found by an empty text beside a longer one."""
        if not self.varying:
            return {}
        found = self.run({name: _probe(v.dtype, v.shape) for name, v in self.graph.inputs.items()})
        return {name: found[name][0].reshape(-1)[-1] if found[name][0].size else 0 for name in self.varying}


def _probe(dtype: str, shape: tuple[Dim, ...]) -> Array:
    """Return two rows: one with empty texts, and one with long ones."""
    sizes = tuple(int(d) if isinstance(d, int) else 1 for d in shape[1:])
    if dtype != "string":
        return np.zeros((2, *sizes), dtype)
    rows = np.full((2, *sizes), "", object)
    rows[1] = "a 1 b 2 c 3, d. 4"  # words, numbers and punctuation: some tokens for every expression
    return rows
