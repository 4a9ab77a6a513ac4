"""GlobalAveragePool and GlobalMaxPool: against onnxruntime, and their gradients, and what they refuse."""

from __future__ import annotations

import pytest
from graphs import check_refusal
from layouts import both_layouts, normal, same


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 4, 5, 2), (1, 1, 2, 3, 4)])
def test_global_pooling(op: str, shape: tuple[int, ...]) -> None:
    X = normal(0, *shape)
    same(op, [X])
    both_layouts(op, [X], [0])


def test_an_input_without_spatial_axes_is_refused() -> None:
    check_refusal("GlobalMaxPool", [(1, 2)], {}, "GS301", "spatial")
