"""Numbers beside which all others are equal after scaling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphspec as gs

SPEC = """
graphspec: 1
name: far
inputs: {row: {columns: {a: A}}}
layers: [{name: y, type: Dense, units: 1}]
outputs: {y: {loss: mse}}
training: {optimizer: adam, epochs: 1}
data: {train: {file: t.csv}}
"""


def spec(folder: Path, far: str, column: str = "number") -> Path:
    rows = "".join(f"{k % 7},{k % 3}\n" for k in range(20))
    (folder / "t.csv").write_text(f"a,y\n{rows}{far},1\n")
    (folder / "s.yaml").write_text(SPEC.replace("A", column))
    return folder / "s.yaml"


@pytest.mark.parametrize("far", ["1e20", "-9007199254740992", "3e38"])
def test_a_far_value_is_named_with_its_line(tmp_path: Path, far: str) -> None:
    [one] = gs.validate(spec(tmp_path, far), data=True)
    assert not one.is_error
    assert one.message.startswith(
        "column 'a' has numbers beside which all others are equal after scaling in 1 of 21 rows"
    )
    assert one.message.endswith(" in line 22")
    marked = spec(tmp_path, far, f"{{type: number, missing_values: [{float(far)!r}]}}")
    assert not gs.validate(marked, data=True)


def test_large_numbers_that_are_not_alone(tmp_path: Path) -> None:
    assert not gs.validate(spec(tmp_path, "1e9"), data=True)


def test_numbers_that_are_all_near_the_largest_of_float32(tmp_path: Path) -> None:
    """Before, a limit beyond float32 was a warning of NumPy on the terminal."""
    path = spec(tmp_path, "1e38")
    (tmp_path / "t.csv").write_text("a,y\n3e38,1\n-3e38,2\n2e38,3\n", encoding="utf-8")
    assert not gs.validate(path, data=True)


def test_numbers_whose_variance_is_beyond_float32_train(tmp_path: Path) -> None:
    model = gs.compile(spec(tmp_path, "1"))
    x = np.array([[3e38], [-3e38], [1.0], [2.0]], np.float32)
    model.fit({"a": x}, np.ones((4, 1), np.float32), verbose=0)
    assert np.isfinite(model.predict({"a": x})).all()
    model.export(tmp_path / "m.onnx")  # proves that both are equal
