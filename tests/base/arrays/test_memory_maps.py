"""Tests of memory maps, which another process opens by the path of their file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphspec.base.arrays.memory import describe_map, open_map


def test_memory_maps_are_opened_by_name(tmp_path: Path) -> None:
    rows = np.arange(24, dtype=np.float32).reshape(6, 4)
    np.save(tmp_path / "rows.npy", rows)
    whole = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for part in (whole, whole[2:5], np.asarray(whole)[1:], whole[:, 1], whole[::-2, ::2], whole[:0], whole.T):
        where = describe_map(part)
        assert where is not None
        np.testing.assert_array_equal(open_map(where), part)
    for other in (rows, np.array(whole), np.load(tmp_path / "rows.npy", mmap_mode="c")):
        assert describe_map(other) is None
