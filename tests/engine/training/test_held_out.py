"""The rows that quantized networks are judged on and calibrated with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shop
from commands import SPEC, project

import graphspec as gs
from graphspec.engine.training.prepare import calibration_rows, held_out_rows


def test_test_rows_then_validation_rows(tmp_path: Path) -> None:
    model = gs.compile(project(tmp_path))
    rows, origin = held_out_rows(model)
    assert (len(rows), origin) == (20, "test rows")
    model = gs.compile(project(tmp_path, SPEC.replace("  test: {file: test.npz}\n", "")))
    rows, origin = held_out_rows(model)
    assert (len(rows), origin) == (20, "validation rows")
    given = {"features": np.zeros((3, 4), np.float32)}, {"answer": np.array([0, 1, 1])}
    rows, origin = held_out_rows(model, given)
    assert (len(rows), origin) == (3, "rows given")
    for wrong, said in ((3, "must be"), ((1,), "must be"), ({"x": 1}, "has no column 'answer': add it, or")):
        with pytest.raises(gs.UsageError, match=f"^`validation_data.* {said}"):
            held_out_rows(model, wrong)


def test_calibration_rows_are_training_rows_drawn_by_the_seed(tmp_path: Path) -> None:
    model = gs.compile(project(tmp_path))
    found = calibration_rows(model)["features"]
    with np.load(tmp_path / "train.npz") as train:
        every = train["features"]
    rows = {row.tobytes() for row in every}
    assert len(found) == 60  # a quarter is for validation
    assert {row.tobytes() for row in found} < rows
    validation = held_out_rows(gs.compile(project(tmp_path, SPEC.replace("  test: {file: test.npz}\n", ""))))[0]
    kept_out = {row.tobytes() for row in np.asarray(validation.inputs["features"])[validation.chosen]}
    assert kept_out.isdisjoint(row.tobytes() for row in found)
    many = np.arange(4000, dtype=np.float32).reshape(1000, 4)
    draws = [
        calibration_rows(gs.compile(tmp_path / "tiny.yaml", [f"training.seed={seed}", "data=null"]), many)
        for seed in (1, 1, 2)
    ]
    first, again, other = (each["features"] for each in draws)
    assert first.shape == (256, 4)
    assert (np.diff(first[:, 0]) > 0).all()
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_texts(tmp_path: Path) -> None:
    found = calibration_rows(gs.compile(shop.project(tmp_path)))
    assert found["town"].dtype == object
    assert {*found["town"].ravel()} == {*shop.TOWNS}
    assert found["spent"].dtype == np.float32


def test_no_training_rows(tmp_path: Path) -> None:
    model = gs.compile(project(tmp_path), ["data=null"])
    with pytest.raises(gs.UsageError, match=r"names no training data: pass rows of them, `rows=x`"):
        calibration_rows(model)
