"""Tests of the number of BLAS threads."""

from __future__ import annotations

import pytest

from graphspec.arrays.blas import one_thread


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
