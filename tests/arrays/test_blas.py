"""Tests of the number of BLAS threads."""

from __future__ import annotations

import pytest

from graphspec.arrays import blas as blas_module
from graphspec.arrays.blas import OpenBlas, one_thread


def test_blas_threads_are_restored() -> None:
    from graphspec.arrays.blas import openblas

    blas = openblas()
    if blas is None:
        pytest.skip("NumPy does not use OpenBLAS")
    before = blas.get()
    inside = 0
    with pytest.raises(KeyError), one_thread():
        raise KeyError(inside := blas.get())
    assert (inside, blas.get()) == (1, before)


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (1, 2, 0), (0, 2, 1), (2, 1, 0)])
def test_overlapping_blocks_restore_what_was_before_the_first(
    order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of evaluations in several threads, of which any may end first."""
    threads = [4]
    fake = OpenBlas(lambda: threads[-1], threads.append, "a processor")
    monkeypatch.setattr(blas_module, "openblas", lambda: fake)
    blocks = [one_thread() for _ in order]
    for block in blocks:
        block.__enter__()
    for left, k in enumerate(order, 1):
        assert threads[-1] == 1
        blocks[k].__exit__(None, None, None)
        assert threads[-1] == (4 if left == len(order) else 1)
