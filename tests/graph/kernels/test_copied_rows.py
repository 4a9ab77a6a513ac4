"""The rows of a batch in one call: those that NumPy's own ways copy; and whether numbers are finite."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from bits import FOUND, needs_kernels

from graphspec.data.batches import BatchLoader, Dataset
from graphspec.graph.kernels import compiled

N, SIZE = 23, 6
KINDS: dict[str, Any] = {
    "floats": np.random.default_rng(0).standard_normal((N, 3, 2), np.float32),
    "integers": np.arange(4 * N).reshape(N, 4),
    "bools": np.arange(N).reshape(N, 1) % 3 == 0,
    "unaligned": np.frombuffer(b"." + np.arange(2 * N, dtype=np.float32).tobytes(), np.float32, offset=1).reshape(N, 2),
    "wide": np.random.default_rng(1).standard_normal((N, 30_000), np.float32),
    "empty": np.zeros((N, 0), np.float32),
    "by columns": np.asfortranarray(np.arange(2.0 * N).reshape(N, 2)),
    "swapped": np.arange(2 * N, dtype=">f4").reshape(N, 2),
}


def batches(given: dict[str, Any], part: slice, *, shuffle: bool, chosen: Any = None) -> list[Any]:
    """The buffers of all batches of an epoch, of which only ``part`` is copied."""
    loader = BatchLoader(Dataset(given, {}, chosen=chosen), SIZE, shuffle=shuffle, seed=3)
    loader.start(1)
    found = []
    for batch in range(loader.batches):
        own = slice(part.start, min(part.stop, loader.rows(batch)))
        rows = own.stop - own.start
        feeds = {name: np.full((rows, *a.shape[1:]), 7, a.dtype.newbyteorder("=")) for name, a in given.items()}
        loader.filler(feeds, own)(batch)
        found.append(feeds)
    return found


@needs_kernels
@pytest.mark.parametrize(
    "kinds", [[kind] for kind in KINDS] + [[*KINDS], ["floats", "integers", "bools", "wide"]], ids=str
)
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("part", [slice(0, SIZE), slice(2, 5)], ids=str)
def test_rows(kinds: list[str], part: slice, shuffle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {kind: KINDS[kind] for kind in kinds}
    for chosen in (None, np.arange(N)[::-2].copy()):
        monkeypatch.setattr(compiled, "LIBRARY", None)
        expected = batches(given, part, shuffle=shuffle, chosen=chosen)
        monkeypatch.setattr(compiled, "LIBRARY", FOUND)
        np.testing.assert_equal(batches(given, part, shuffle=shuffle, chosen=chosen), expected)


@needs_kernels
def test_usual_feeds_take_one_call() -> None:
    loader = BatchLoader(Dataset({"x": KINDS["floats"]}, {"y": KINDS["integers"]}), SIZE, shuffle=False, seed=0)
    feeds = {n: np.empty((SIZE, *a.shape[1:]), a.dtype) for n, a in loader.dataset.feeds().items()}
    assert isinstance(loader.filler(feeds, slice(0, SIZE)), FOUND.Rows)


@needs_kernels
def test_what_is_not_served() -> None:
    rows = np.zeros((5, 2), np.float32)
    for pairs in (
        [],
        [(rows, np.zeros((3, 2)))],  # another type
        [(rows, np.zeros((3, 1), np.float32))],  # another width
        [(rows, np.zeros(3, np.float32))],
        [(rows, np.zeros((3, 4), np.float32)[:, ::2])],  # with gaps
        [(rows, np.zeros((3, 2), np.float32)), (rows, np.zeros((2, 2), np.float32))],  # other numbers of rows
        [(rows, np.zeros((3, 2), np.float32)), (rows[:4], np.zeros((3, 2), np.float32))],
    ):
        assert FOUND.rows(3, 0, pairs) is None
    for wrong in (3, [rows], [(rows,)], [(rows, 3)], [(rows, rows.tobytes())]):
        with pytest.raises((TypeError, BufferError)):
            FOUND.rows(3, 0, wrong)
    for arguments in ((), (3, 0), ("3", 0, []), (3, None, []), (-1, 0, []), (3, -1, [])):
        with pytest.raises((TypeError, ValueError)):
            FOUND.rows(*arguments)


@needs_kernels
def test_rows_that_do_not_exist_are_refused() -> None:
    rows, buffer = np.arange(10, dtype=np.float32).reshape(5, 2), np.zeros((2, 2), np.float32)
    copy = FOUND.rows(2, 0, [(rows, buffer)])
    wrong: list[tuple[Any, ...]] = [
        (2,),
        (-1,),
        (2**62,),
        (0, np.array([0, 5])),
        (0, np.array([-1, 0])),
        (1, np.arange(3)),
    ]
    for arguments in [*wrong, (0, np.zeros(2)), (0, np.zeros(2, np.int32))]:
        with pytest.raises(IndexError, match="there are no such rows"):
            copy(*arguments)
    for arguments in ((), (0, 1), (0, np.arange(4), 1), ("a",), (0, np.arange(8)[::2])):
        with pytest.raises((TypeError, ValueError, BufferError)):
            copy(*arguments)
    assert not buffer.any()
    copy(0, np.array([4, 1]))
    assert buffer.tolist() == [[8, 9], [2, 3]]


@needs_kernels
def test_copied_rows_keep_and_free_their_arrays() -> None:
    rows, buffer = np.ones((5, 2), np.float32), np.zeros((2, 2), np.float32)
    before = sys.getrefcount(rows), sys.getrefcount(buffer)
    copies = [FOUND.rows(2, 0, [(rows, buffer)]), FOUND.rows(2, 0, [(rows, buffer), (rows, buffer[:, :1])])]
    assert copies[1] is None
    assert sys.getrefcount(rows) > before[0]
    copies.clear()
    assert (sys.getrefcount(rows), sys.getrefcount(buffer)) == before


@needs_kernels
@pytest.mark.parametrize("size", [0, 1, 7, 64, 1000])
def test_finite_numbers(size: int) -> None:
    numbers = np.random.default_rng(size).standard_normal(size, np.float32)
    numbers[: size // 2] = [np.finfo(np.float32).max, -0.0, np.float32(1e-45)][size % 3]
    assert FOUND.is_finite(numbers)
    assert FOUND.is_finite(numbers.reshape(1, -1, 1))
    for place in {0, size // 2, size - 1} if size else ():
        for wrong in (np.inf, -np.inf, np.nan, -np.nan):
            other = numbers.copy()
            other[place] = wrong
            assert not FOUND.is_finite(other)


@needs_kernels
def test_other_arrays_are_not_called_finite() -> None:
    zeros = np.zeros((4, 4), np.float32)
    for other in (zeros[:, ::2], zeros.astype(np.float64), zeros.astype(int), zeros.astype(">f4")):
        assert not FOUND.is_finite(other)
    assert FOUND.is_finite(zeros.T)
    with pytest.raises(TypeError):
        FOUND.is_finite(1.0)
