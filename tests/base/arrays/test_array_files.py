"""Arrays in files: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from graphspec.base.arrays import array_files
from graphspec.base.arrays.array_files import converted, find, refuse_values
from graphspec.base.errors import ProblemError

ROWS = np.arange(6, dtype=np.float64).reshape(2, 3) / 4


def raw_safetensors(path: Path, header: Any, data: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def read(folder: Path, name: str, key: str | None = None) -> Any:
    return find(folder, name, key).read()


def test_all_formats(tmp_path: Path) -> None:
    for k, array in enumerate(
        (ROWS, ROWS.astype(">f4"), np.asfortranarray(ROWS), ROWS.astype(np.float16), np.float64(2))
    ):
        np.save(tmp_path / f"{k}.npy", array)
        np.testing.assert_array_equal(read(tmp_path, f"{k}.npy"), array)
    np.savez(tmp_path / "a.npz", one=ROWS, two=ROWS[:1])
    np.savez_compressed(tmp_path / "b.npz", np.asfortranarray(ROWS))
    np.testing.assert_array_equal(read(tmp_path, "a.npz", "two"), ROWS[:1])
    np.testing.assert_array_equal(read(tmp_path, "b.npz"), ROWS)
    save_file({"one": ROWS.astype(np.float32), "two": np.array([[1], [-3]])}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read(tmp_path, "a.safetensors", "one"), ROWS)
    np.testing.assert_array_equal(read(tmp_path, "a.safetensors", "two"), [[1], [-3]])
    save_file({"only": ROWS.astype(np.float16)}, tmp_path / "b.safetensors", {"format": "np"})
    np.testing.assert_array_equal(read(tmp_path, "b.safetensors"), ROWS)


def test_bfloat16(tmp_path: Path) -> None:
    halves = (ROWS.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()  # quarters have few bits
    entry = {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}
    raw_safetensors(tmp_path / "a.safetensors", {"x": entry}, halves)
    np.testing.assert_array_equal(read(tmp_path, "a.safetensors"), ROWS)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ([], "not a mapping"),
        ({"x": 3}, "mapping of mappings"),
        ({"x": {"dtype": "F8", "shape": [3], "data_offsets": [0, 12]}}, "dtype F8"),
        ({"x": {"dtype": "F32", "shape": [3.0], "data_offsets": [0, 12]}}, "no shape"),
        ({"x": {"dtype": "F32", "shape": [3], "data_offsets": [0]}}, "unpack"),
        ({"x": {"dtype": "F32", "shape": [3], "data_offsets": [4, 16]}}, "shorter than it says"),
        ({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 12]}}, "its shape and its size differ"),
        ({}, "has 0 arrays"),
    ],
)
def test_damaged_safetensors(tmp_path: Path, header: Any, words: str) -> None:
    raw_safetensors(tmp_path / "a.safetensors", header, bytes(12))
    with pytest.raises(ProblemError, match=words):
        find(tmp_path, "a.safetensors", None)


def test_no_safetensors(tmp_path: Path) -> None:
    for content in (b"", b"12345678", (1 << 40).to_bytes(8, "little") + b"{}"):
        (tmp_path / "a.safetensors").write_bytes(content)
        with pytest.raises(ProblemError, match="not a file of safetensors: it does not start"):
            find(tmp_path, "a.safetensors", None)


def test_a_file_that_gets_shorter(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    found = find(tmp_path, "a.npy", None)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-8])
    with pytest.raises(ProblemError, match="shorter than it says"):
        found.read()


def test_values_are_read_once_unless_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    calls = []
    monkeypatch.setattr(array_files, "converted", lambda array, dtype: calls.append(array) or converted(array, dtype))
    for _ in range(2):
        refuse_values(find(tmp_path, "a.npy", None))
    assert len(calls) == 1
    np.save(tmp_path / "a.npy", np.full((20, 3), np.nan))
    with pytest.raises(ProblemError, match="NaN"):
        refuse_values(find(tmp_path, "a.npy", None))


@pytest.mark.parametrize("large", [3.5e38, -3.5e38, 1e300])
def test_numbers_beyond_float32(large: float) -> None:
    with pytest.raises(ProblemError, match="exceeds float32"):
        converted(np.array([1.0, large]), "float32")
    assert converted(np.array([3.4028235e38]), "float32")[0] == np.finfo(np.float32).max


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((0, 3)), "is empty"),
        (np.zeros((1,) * 40), "has more than"),
        (np.array([1j]), "contains values of dtype"),
    ],
)
def test_arrays_that_are_not_converted(array: Any, words: str) -> None:
    with pytest.raises(ProblemError, match=words):
        converted(array, None)
