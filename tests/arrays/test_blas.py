"""The threads of BLAS."""

from __future__ import annotations

import pytest

from graphspec.arrays.blas import one_thread


def test_blas_threads_are_restored() -> None:
    from graphspec.arrays.blas import openblas

    blas = openblas()
    if blas is None:
        pytest.skip("NumPy has another BLAS than OpenBLAS")
    before = blas.get()
    within = 0
    with pytest.raises(KeyError), one_thread():
        raise KeyError(within := blas.get())
    assert (within, blas.get()) == (1, before)
