"""The terms of a ConvTranspose with strides, added by a kernel: by hand, and beside NumPy's phases."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from bits import FOUND, assert_same_bits, needs_kernels, run
from graphs import run as graph_run
from layouts import both_layouts, normal

from graphspec.graph.kernels import compiled, correlation

Array = np.ndarray[Any, Any]
CASES = {  # inputs, taps, outputs, filters, strides, dilations, begins
    "pictures": ((4, 5), (4, 4), (8, 10), 3, (2, 2), (1, 1), (1, 1)),
    "one axis": ((7,), (5,), (70,), 21, (3,), (2,), (2,)),
    "volume": ((3, 2, 4), (3, 2, 3), (6, 4, 9), 1, (2, 2, 3), (1, 1, 1), (0, 1, 2)),
    "no term for some": ((3, 3), (1, 2), (9, 7), 8, (3, 2), (1, 3), (0, -1)),
}


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_terms_are_added_where_they_belong(case: str, dtype: Any) -> None:
    inputs, taps, outputs, filters, *sizes = CASES[case]
    terms = np.random.default_rng(3).normal(size=(2, *inputs, *taps, filters)).astype(dtype)
    expected = np.zeros((2, *outputs, filters), dtype)
    for tap in product(*map(range, taps)):
        for at in product(*map(range, inputs)):
            place = [i * s + t * g - b for i, t, s, g, b in zip(at, tap, *sizes, strict=True)]
            if all(0 <= p < n for p, n in zip(place, outputs, strict=True)):
                expected[:, *place] += terms[:, *at, *tap]
    wide = np.full((2, *outputs, filters + 3), 7, dtype)
    run(compiled.alone("spread_terms", terms, wide[..., 1 : filters + 1], np.array(sizes, np.intc)))
    assert_same_bits(wide[..., 1 : filters + 1].copy(), expected, case)
    assert (wide[..., [0, -2, -1]] == 7).all()


@needs_kernels
def test_what_does_not_fit_is_refused() -> None:
    terms, y, sizes = np.zeros((2, 4, 5, 3), np.float32), np.zeros((2, 9, 3), np.float32), np.ones((3, 1), np.intc)
    for message, operands in {
        "three sizes for each": (terms, y, sizes[:2].copy()),
        "samples or filters": (terms, y[:1], sizes),
        "not contiguous": (terms, np.zeros((2, 3, 9), np.float32).swapaxes(1, 2), sizes),
        "must be positive": (terms, y, sizes * 0),
        "at most 256 taps": (np.zeros((2, 4, 17, 3), np.float32), y, sizes),
    }.items():
        with pytest.raises(ValueError, match=message):
            FOUND.bind("spread_terms", *operands)


@needs_kernels
@pytest.mark.parametrize("elements", [1, 1 << 17])
@pytest.mark.parametrize("shape", [(9,), (6, 7), (4, 5, 4)])
def test_as_by_phases(shape: tuple[int, ...], elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ConvTranspose in every memory order, and in float64 its gradients."""
    monkeypatch.setattr(correlation, "CACHE_ELEMENTS", elements)
    monkeypatch.setattr(compiled, "FAST", True)
    rank = len(shape)
    X, W = normal(1, 3, 5, *shape), normal(2, 5, 4, *[3] * rank)
    attrs: dict[str, Any] = {"strides": [2] * rank, "pads": [1] * rank + [0] * rank}
    results = []
    for library in (None, FOUND):
        monkeypatch.setattr(compiled, "LIBRARY", library)
        results += graph_run("ConvTranspose", [X, W], **attrs)
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5)
    both_layouts("ConvTranspose", [X, W], [0, 1], **attrs)
