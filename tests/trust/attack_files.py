"""Sound files of other programs with random changes: commands answer, run nothing, and write nothing else."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import random
import struct
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from onnx_files import dense
from typer.main import get_command

from graphspec.cli.app import app
from trust.hostile_files.arrays import entry, member, npz, packed
from trust.hostile_files.hdf5 import file_of
from trust.hostile_files.keras_models import base, keras, text, whole_h5
from trust.hostile_files.zips import archive

CASES = 2
TIMEOUT = 120.0
SECONDS, MEMORY = 60.0, 1 << 29
COMMANDS = get_command(app)
GOLDEN = Path(__file__).parents[1] / "golden" / "keras_files"
LARGEST, SMALL = 8_000, 3_000  # bytes of a golden file that is changed, and of one that is imported, too
counts: Counter[str] = Counter()
SPEC = """\
graphspec: 1
name: net
inputs: {x: {shape: [4]}}
layers: [LAYER, {name: dense, type: Dense, units: 3}]
outputs: {dense: {loss: mean_squared_error}}
"""
LAYERS = {
    "net.onnx": [
        "{name: part, type: Onnx, file: net.onnx}",
        "{name: part, type: Onnx, file: net.onnx, trainable: true}",
    ],
    "w.npz": ["{name: one, type: Dense, units: 3, weights: {file: w.npz, map: {one: dense}}}"],
    "w.safetensors": ["{name: one, type: Dense, units: 3, weights: {file: w.safetensors, map: {one: dense}}}"],
}
"""Layers of specs that read a file."""
NUMBERS = (0, 1, 7, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1)
VALUES = (
    None,
    True,
    -1,
    0,
    3,
    10**9,
    10**30,
    1.5,
    float("nan"),
    "",
    "x",
    "../x",
    "\x1b[31m",
    "\0",
    [],
    [[]],
    {},
    {"class_name": "Dense"},
)


@functools.cache
def files() -> list[tuple[str, bytes]]:
    """Sound files by the name that they get."""
    arrays = {"dense/kernel": entry(shape=[4, 3], offsets=[0, 48]), "dense/bias": entry(shape=[3], offsets=[48, 60])}
    found = [
        ("w.safetensors", packed(arrays, bytes(60))),
        ("w.npz", npz(member((4, 3), data=bytes(48)))),
        ("net.onnx", dense().SerializeToString()),
        ("model.json", text(base())),
        ("net.keras", keras()),
        ("net.h5", file_of(whole_h5())),
    ]
    found += found[:3]  # each as often as one of Keras's, of which there are more
    for path in sorted(GOLDEN.glob("*")):
        if path.suffix in (".keras", ".h5", ".json") and path.stat().st_size < LARGEST:
            found.append((f"net{path.suffix}", path.read_bytes()))
    return found


def other_bytes(data: bytes, draw: random.Random) -> bytes:
    """A file with a few of its bytes changed, cut, doubled, or taken out."""
    found = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 5, 20])):
        if not found:
            break
        at = draw.randrange(len(found))
        match draw.randrange(7):
            case 0:
                del found[at:]
            case 1:
                found[at] = draw.randrange(256)
            case 2:
                found[at] ^= 1 << draw.randrange(8)
            case 3:
                found[at : at + 8] = struct.pack("<Q", draw.choice(NUMBERS))
            case 4:
                end = min(len(found), at + draw.choice([1, 8, 100]))
                del found[at:end]
            case 5:
                found[at:at] = found[at : at + draw.choice([1, 8, 100, 1000])]
            case _:
                found[at : at + 4] = struct.pack("<I", draw.choice(NUMBERS) & 0xFFFFFFFF)
    return bytes(found)


def other_json(data: bytes, draw: random.Random) -> bytes:
    """A JSON text with other values at random places."""
    whole = json.loads(data)
    for _ in range(draw.choice([1, 1, 2, 4])):
        if not (places := list(_places(whole))):
            break
        holder, key = draw.choice(places)
        other, other_key = draw.choice(places)
        match draw.randrange(4):
            case 0:
                with contextlib.suppress(KeyError, IndexError):
                    del holder[key]
            case 1:
                holder[key] = json.loads(json.dumps(other[other_key]))  # something from elsewhere
            case _:
                holder[key] = draw.choice(VALUES)
    return json.dumps(whole).encode()


def _places(value: Any) -> Any:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def changed(name: str, data: bytes, draw: random.Random) -> bytes:
    """A file with changes: of its bytes, of an entry of an archive, or of a configuration."""
    if name.endswith(".json") and draw.random() < 0.8:
        return other_json(data, draw)
    if data[:2] == b"PK" and draw.random() < 0.8:
        with zipfile.ZipFile(io.BytesIO(data)) as whole:
            entries = {n: whole.read(n) for n in whole.namelist()}
        chosen = draw.choice(list(entries))
        is_text = chosen.endswith(".json") and draw.random() < 0.8
        entries[chosen] = (other_json if is_text else other_bytes)(entries[chosen], draw)
        return archive(entries)
    return other_bytes(data, draw)


def attack(random: random.Random) -> list[str]:
    name, data = random.choice(files())
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / name).write_bytes(changed(name, data, random))
        commands = [["inspect", name], ["inspect", name, "--json"]]
        if not name.startswith("w.") and name != "net.onnx" and len(data) < SMALL:
            commands.append(["import", name, "-o", "new.yaml"])
        for k, layer in enumerate(LAYERS.get(name, [])):
            (folder / f"net{k}.yaml").write_text(SPEC.replace("LAYER", layer), encoding="utf-8")
            commands.append(["validate", f"net{k}.yaml"])
        os.chdir(folder)
        try:
            said = [f"{' '.join(c)} ({len(data)} bytes): {p}" for c in commands for p in problems(c, folder)]
        finally:
            os.chdir(here)
    counts[name.partition(".")[2]] += 1
    return said


def problems(command: list[str], folder: Path) -> list[str]:
    """What is wrong with the answer to a command."""
    before, begun = {path.name for path in folder.iterdir()}, time.monotonic()
    start = _memory()
    result = CliRunner().invoke(COMMANDS, command)
    grown = _memory() - start
    seconds, found = time.monotonic() - begun, []
    said = result.stdout + result.stderr
    counts[f"status {result.exit_code} of {command[0]}"] += 1
    if result.exit_code not in (0, 1, 2):
        found.append(f"status {result.exit_code}: {said[:200]} {result.exception!r}")
    if "Traceback" in said or any(ord(c) < 32 and c not in "\n\t" for c in said):
        found.append(f"no plain answer: {said[:300]!r}")
    if seconds > SECONDS or grown > MEMORY:
        found.append(f"took {seconds:.0f} s and {grown >> 20} MiB more")
    wanted = (
        {"new.yaml", "new.safetensors", "graphspec.schema.json"}
        if command[0] == "import" and not result.exit_code
        else set()
    )
    if left := {path.name for path in folder.iterdir()} - before - wanted:
        found.append(f"left {sorted(left)}")
    return found


def _memory() -> int:
    """The most bytes that this process has had; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
