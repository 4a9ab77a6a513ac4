"""Tests of texts of record batches."""

from __future__ import annotations

from typing import Any

import nanoarrow
import numpy as np
import pytest
from nanoarrow.c_array import c_array, c_array_from_buffers
from nanoarrow.c_buffer import c_buffer

from graphspec.data.database import first_null, texts
from graphspec.data.source import DataError


@pytest.mark.parametrize("kind", [nanoarrow.string(), nanoarrow.large_string()])
def test_texts_and_missing_ones(kind: Any) -> None:
    whole = c_array(["a", None, "", "é🙂", "b"], kind)
    assert texts(whole.view(), 0)[:].tolist() == ["a", "", "", "é🙂", "b"]
    assert texts(whole[1:4].view(), 0)[:].tolist() == ["", "", "é🙂"]
    assert texts(whole[2:2].view(), 0)[:].tolist() == []
    assert first_null(whole.view()) == 1
    assert first_null(whole[2:].view()) is None


def test_bytes_below_a_missing_text_are_left_out() -> None:
    buffers = [c_buffer(b"\x05"), c_buffer(np.array([0, 1, 3, 4], np.int32)), c_buffer(b"axxb")]
    column = c_array_from_buffers(nanoarrow.string(), 3, buffers, null_count=1)
    assert texts(column.view(), 0)[:].tolist() == ["a", "", "b"]


def test_bytes_that_are_not_utf8() -> None:
    buffers = [None, c_buffer(np.array([0, 1, 3], np.int32)), c_buffer(b"a\xff\xfe")]
    with pytest.raises(DataError) as error:
        texts(c_array_from_buffers(nanoarrow.string(), 2, buffers).view(), 0)
    assert (error.value.code, "not UTF-8, in the row at index 1" in error.value.problem.message) == ("GS504", True)


def test_other_values_are_not_texts() -> None:
    with pytest.raises(DataError) as error:
        texts(c_array([1, 2], nanoarrow.int8()).view(), 0)
    assert error.value.code == "GS504"
