"""Files and checksums are the same on big-endian processors, where `python -m tools.platforms s390x` runs this."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import TESTS

from graphspec.base.arrays.array_files import find
from graphspec.engine.training.checkpoint import digest, load_checkpoint
from graphspec.graph.ir.graph import Type, Value
from graphspec.vocabulary.layers.tensors import Constant
from graphspec.vocabulary.onnx_files.signature import template

NUMBERS = [1.0, -2.5, 3.25]
BYTES = "AACAPwAAIMAAAFBA"  # of these numbers as float32, the lowest first, in base64
RUNS = sorted(path.parent for path in (TESTS / "museum").glob("*/*/checkpoint.safetensors"))
ORDERS = pytest.mark.parametrize("order", ["<", ">"])


@ORDERS
def test_a_checksum_is_one_of_numbers(order: str) -> None:
    arrays = {"weight": np.array(NUMBERS, f"{order}f4"), "steps": np.array([7], f"{order}i8")}
    parts = b"steps<i8(1,)", bytes([7, *7 * [0]]), b"weight<f4(3,)", b64decode(BYTES)
    assert digest(arrays) == sha256(b"".join(parts)).hexdigest()


@ORDERS
def test_the_values_of_a_file_are_written_the_lowest_byte_first(order: str) -> None:
    layer = Constant(file="values.npy")
    record = layer.with_array(np.array(NUMBERS, f"{order}f4")).learnt()
    assert record == {"array": {"dtype": "float32", "shape": [3], "base64": BYTES}}
    assert layer.with_learnt(record).learnt() == record


@ORDERS
def test_a_frozen_array_has_one_hash(order: str) -> None:
    values = [Value("x", Type("float32", (3,)), "constant", data=np.array(NUMBERS, f"{order}f4"))]
    assert template(values)[0].value == sha256(b64decode(BYTES)).hexdigest()


@ORDERS
@pytest.mark.parametrize("name", ["values.npy", "values.npz", "values.safetensors"])
def test_a_file_of_any_order_is_read(order: str, name: str, tmp_path: Path) -> None:
    array = np.array([[*NUMBERS], [0.5, 0, -1]], f"{order}f4")
    if name.endswith(".safetensors"):
        from safetensors.numpy import save_file

        save_file({"x": array.astype("f4")}, tmp_path / name)
    else:
        save: Any = np.save if name.endswith(".npy") else np.savez
        save(tmp_path / name, array)
    found = find(tmp_path, name, None).read()
    assert found.tolist() == array.tolist()


@pytest.mark.parametrize("run", RUNS, ids=["-".join(run.parts[-2:]) for run in RUNS])
def test_a_checkpoint_of_another_machine_is_read(run: Path) -> None:
    arrays = load_checkpoint(run).arrays  # their checksum is that of what was written
    assert all(np.isfinite(array.astype(float)).all() for array in arrays.values())
