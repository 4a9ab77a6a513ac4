"""The proof of an export: what it accepts, what it refuses, and on which rows."""

from __future__ import annotations

import numpy as np

import graphspec as gs
from specs import blobs, dense_spec


def test_a_fit_keeps_rows_spread_over_its_data() -> None:
    model = gs.compile(dense_spec())
    assert model.sample_rows is None
    x, y = blobs(100)
    model.fit(x, y, epochs=1, validation_split=0.2, verbose=0)
    assert model.sample_rows is not None
    kept = model.sample_rows["x"]
    assert kept.shape == (5, 4)
    places = [int(np.flatnonzero((x == row).all(1))[0]) for row in kept]
    assert places == sorted(set(places))
    assert places[-1] - places[0] > 80
    x[:] = 0
    assert kept.any()  # a copy
    model.fit(x[:2], y[:2], epochs=1, verbose=0)
    assert model.sample_rows["x"].shape == (2, 4)
