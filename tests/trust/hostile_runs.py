"""Hostile run directories: right ones, and what is changed in their files."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from commands import graphspec, project
from resuming import Stop

from graphspec.cli import progress

counts: Counter[str] = Counter()


_HELD = tempfile.TemporaryDirectory(prefix="graphspec-runs-")
"""Removed when the process ends."""


_SPEC = """\
graphspec: 1
name: {name}
inputs:
  features: {{shape: [4]}}
layers:
  - {{name: hidden, type: Dense, units: 5, activation: {activation}}}
  - {{name: norm, type: BatchNormalization}}
  - {{name: answer, type: Dense, units: 1, activation: sigmoid}}
outputs:
  answer: {{loss: binary_crossentropy, metrics: [accuracy, auc], labels: ["no", "yes"]}}
training:
  optimizer: {optimizer}
  epochs: 2
  batch_size: 16
  seed: {seed}
  callbacks:
    - {{type: EarlyStopping, patience: 5, restore_best_weights: true}}
    - {{type: ReduceLROnPlateau, patience: 1}}
    - {{type: CSVLogger, filename: log.csv}}
    - {{type: ModelCheckpoint, filepath: "best.safetensors", save_best_only: true}}
    {more}
data:
  train: {{file: train.npz}}
  validation: {{split: 0.25}}
  test: {{file: test.npz}}
"""


KINDS = {
    "adam": {"optimizer": "adam", "activation": "relu", "seed": 5, "more": ""},
    "averaged": {
        "optimizer": "{type: Adafactor, use_ema: true}",
        "activation": "relu",
        "seed": 5,
        "more": "- {type: SwapEMAWeights, swap_on_epoch: true}",
    },
    "tanh": {"optimizer": "adam", "activation": "tanh", "seed": 6, "more": "- {type: TensorBoard}"},
}


FILES = ("spec.json", "run.json", "weights.safetensors", "checkpoint.safetensors", "checkpoint.json", "history.csv")


@cache
def runs() -> Path:
    """A folder with data, specs, and of every kind a run that is finished and one that was interrupted in an epoch."""
    folder = Path(_HELD.name).resolve()
    here = Path.cwd()
    os.chdir(folder)
    try:
        for kind, values in KINDS.items():
            project(folder, _SPEC.format(name=kind, **values)).rename(f"{kind}.yaml")
            _succeed("train", f"{kind}.yaml", "--out", f"{kind}-finished")
            observer, progress.observer_for_stdout = progress.observer_for_stdout, lambda *_: Stop(6)
            try:
                assert graphspec("train", f"{kind}.yaml", "--out", f"{kind}-halted").exit_code == 130
            finally:
                progress.observer_for_stdout = observer
    finally:
        os.chdir(here)
    return folder


def _succeed(*arguments: object) -> str:
    result = graphspec(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


_VALUES: list[Callable[[random.Random], Any]] = [
    lambda r: None,
    lambda r: True,
    lambda r: r.choice([0, 1, -1, 2, 3, 2**31, 2**53, 2**63, 10**30, 10**400]),
    lambda r: r.choice([0.5, -0.0, 1e308, float("nan"), float("inf"), -float("inf")]),
    lambda r: r.choice(["", "x", "0", "../../x", "\0", "\ud800", "é" * 300, "x" * 100_000, "/dev/zero"]),
    lambda r: [],
    lambda r: {},
    lambda r: [[]] * 3,
    lambda r: {"a": {"b": 1}},
    lambda r: _nested(r.choice([20, 150, 900])),
    lambda r: list(range(r.choice([1, 5, 10_000]))),
]


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value with each of its keys."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [place for key, child in items for place in [(value, key), *_places(child)]]


def change(r: random.Random, value: Any) -> Any:
    """One value of a JSON document is removed, renamed, or replaced."""
    places = _places(value)
    if not places or r.random() < 0.05:
        return r.choice(_VALUES)(r)
    container, key = r.choice(places)
    what = r.random()
    if what < 0.2:
        del container[key]
    elif what < 0.3 and isinstance(container, dict):
        container[f"{key}_"] = container.pop(key)
    elif what < 0.4 and isinstance(container, list):
        container.append(container[key])
    elif what < 0.5 and isinstance(container[key], int | float):
        container[key] = container[key] + r.choice([1, -1, 0.5, 1000])
    else:
        container[key] = r.choice(_VALUES)(r)
    return value


def _change_json(r: random.Random, path: Path) -> None:
    text = path.read_text()
    what = r.random()
    if what < 0.8:
        path.write_text(json.dumps(change(r, json.loads(text)), indent=r.choice([None, 1])), errors="surrogatepass")
    elif what < 0.85:
        path.write_text("[" * 100_000)
    elif what < 0.9:
        path.write_text(text.replace("{", '{"seed": 1, "seed": 2,', 1))
    elif what < 0.95:
        path.write_text('{"a": ' + "9" * 5000 + "}")
    else:
        path.write_bytes(text.encode("utf-16"))


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def join(header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _seal(record: dict[str, Any]) -> None:
    record["seal"] = hashlib.sha256(json.dumps({k: v for k, v in record.items() if k != "seal"}).encode()).hexdigest()


def _change_state(r: random.Random, path: Path) -> bool:
    """The metadata, mostly with a new seal, so that only a schema can tell."""
    forged = False
    header, body = split(path.read_bytes())
    record = json.loads(header["__metadata__"]["graphspec"])
    what = r.random()
    if what < 0.15:
        header["__metadata__"]["graphspec"] = r.choice(["", "[]", "null", "{}", "[" * 100_000, '{"format": 1}', "\0"])
    else:
        if "state" in record and what < 0.85:
            record["state"] = change(r, record["state"])
        else:
            record = change(r, record)
        if isinstance(record, dict) and r.random() < 0.8:
            record.pop("seal", None) if r.random() < 0.3 else _seal(record)
            forged = True
        header["__metadata__"]["graphspec"] = json.dumps(record)
    path.write_bytes(join(header, body))
    return forged or "seal" not in record


TYPES = {"F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "F8_E4M3": 1, "F8_E5M2": 1, "BOOL": 1, "U8": 1, "C64": 8}


def _change_tensors(r: random.Random, path: Path) -> bool:
    """A tensor is renamed, removed, added, of another type or shape; with a right checksum where NumPy can make one."""
    header, body = split(path.read_bytes())
    meta = header.pop("__metadata__", {})
    tensors = {n: (t["dtype"], t["shape"], body[slice(*t["data_offsets"])]) for n, t in header.items()}
    name = r.choice(list(tensors))
    kind, shape, data = tensors[name]
    what = r.choice(["remove", "rename", "add", "type", "shape", "values", "swap", "many"])
    if what == "remove":
        del tensors[name]
    elif what == "rename":
        tensors[r.choice(["x", f"{name}/x", "weight/", "callback/99/x", "slot/m/x", "", "é\n\x1b[31m"])] = tensors.pop(
            name
        )
    elif what == "add":
        tensors[r.choice(["x", "weight/x", "callback/0/x", "callback/0/hidden/kernel"])] = (kind, shape, data)
    elif what == "type":
        other = r.choice(list(TYPES))
        tensors[name] = (other, shape, bytes(int(np.prod(shape)) * TYPES[other]))
    elif what == "shape":
        count = len(data) // 4
        tensors[name] = (kind, r.choice([[count], [1, *shape], [*shape, 1], shape[::-1]]), data)
    elif what == "values":
        value = r.choice([np.nan, np.inf, 1e38, 0.0])
        tensors[name] = (kind, shape, np.full(len(data) // 4, value, np.float32).tobytes())
    elif what == "swap":
        other = r.choice(list(tensors))
        tensors[name], tensors[other] = tensors[other], tensors[name]
    else:
        tensors |= {f"more/{k}": ("F32", [1], bytes(4)) for k in range(2000)}
    if forged := "graphspec" in meta and r.random() < 0.7:
        record = json.loads(meta["graphspec"])
        record["sha256"] = _digest(tensors)
        _seal(record)
        meta["graphspec"] = json.dumps(record)
    start, made = 0, {}
    for n, (kind, shape, data) in tensors.items():
        made[n] = {"dtype": kind, "shape": shape, "data_offsets": [start, start + len(data)]}
        start += len(data)
    path.write_bytes(
        join({**({"__metadata__": meta} if meta else {}), **made}, b"".join(t[2] for t in tensors.values()))
    )
    counts[f"tensors: {what}"] += 1
    return "graphspec" not in meta or forged


def _digest(tensors: dict[str, tuple[str, list[int], bytes]]) -> str:
    total = hashlib.sha256()
    kinds = {
        "F32": "<f4",
        "F64": "<f8",
        "F16": "<f2",
        "I64": "<i8",
        "I32": "<i4",
        "U8": "|u1",
        "BOOL": "|b1",
        "C64": "<c8",
    }
    for name in sorted(tensors):
        kind, shape, data = tensors[name]
        total.update(f"{name}{kinds.get(kind, kind)}{tuple(shape)}".encode("utf-8", "replace"))
        total.update(data)
    return total.hexdigest()


def _lie(r: random.Random, path: Path) -> None:
    """A header that does not fit the bytes behind it."""
    data = path.read_bytes()
    header, body = split(data)
    name = r.choice([n for n in header if n != "__metadata__"])
    what = r.choice(["size", "offsets", "shape", "nested", "huge", "none"])
    if what == "size":
        path.write_bytes(struct.pack("<Q", r.choice([0, 1, len(data), 2**40, 2**64 - 1])) + data[8:])
        return
    if what == "nested":
        path.write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000)
        return
    if what == "none":
        path.write_bytes(join({}, b""))
        return
    if what == "huge":  # a sparse file that claims a terabyte
        header = {"__metadata__": header.get("__metadata__", {})}
        header[name] = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
        path.write_bytes(join(header, b""))
        os.truncate(path, path.stat().st_size + 2**40)
        return
    key = "data_offsets" if what == "offsets" else "shape"
    header[name][key] = r.choice([[0, 2**62], [2**62, 0], [5, 3], [0, 0], [], [2**62, 4], [-1, 2], [1.5]])
    path.write_bytes(join(header, body))


def _change_bytes(r: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    what = r.choice(["truncate", "flip", "empty", "append", "zeros"])
    if what == "truncate":
        data = data[: r.randrange(len(data) + 1)]
    elif what == "flip":
        for _ in range(r.choice([1, 1, 5])):
            data[r.randrange(len(data))] ^= 1 << r.randrange(8)
    elif what == "append":
        data += bytes(r.randrange(1, 100))
    else:
        data = bytearray() if what == "empty" else bytearray(len(data))
    path.write_bytes(data)


def _replace(r: random.Random, path: Path) -> bool:
    """The file goes, or something that is no file, or another run's file, takes its place."""
    kinds = [
        "gone",
        "folder",
        "other",
        "other",
        "older",
        "zero",
        "link",
        "loop",
        *(["pipe"] if hasattr(os, "mkfifo") else []),
    ]
    what = r.choice(kinds)
    kind, state = r.choice(list(KINDS)), r.choice(["finished", "halted"])
    other = runs() / f"{kind}-{state}" / path.name
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "other":
        shutil.copy(other, path)
    elif what == "older":
        shutil.copy(other.with_name(r.choice(FILES)), path)
    elif what == "zero":
        path.symlink_to("/dev/zero")
    elif what == "link":
        path.symlink_to(other)
    elif what == "loop":
        path.symlink_to(path.name)
    elif what == "pipe":
        os.mkfifo(path)
    counts[f"replaced: {what}"] += 1
    return what in ("other", "link") and other.suffix == ".safetensors"


def mutate(r: random.Random, path: Path) -> bool:
    """One change of a file; whether nobody can tell it by the file itself: its checksum is right, or there is none."""
    if not path.is_file() or path.is_symlink() or not 0 < path.stat().st_size < 2**30:
        return False
    changes: list[Callable[[random.Random, Path], bool | None]] = [_change_bytes, _replace]
    if path.suffix == ".json":
        changes += [_change_json] * 4
    elif path.suffix == ".safetensors":
        changes += [_change_state] * 4 + [_change_tensors] * 3 + [_lie]
    try:
        return bool(r.choice(changes)(r, path))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error):
        _change_bytes(r, path)  # what was changed before cannot be changed so
        return False
