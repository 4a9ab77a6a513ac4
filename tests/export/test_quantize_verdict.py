"""How much worse a metric is, and the table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from commands import SPEC, project

import graphspec as gs
from benchmarks.quantization import HEAD, rows_of
from graphspec.export.quantize import Conversion, Verdict, change


@pytest.mark.parametrize(
    ("before", "after", "direction", "worse", "text"),
    [
        (0.9, 0.88, "up", 0.02, "-0.0200"),
        (0.9, 0.91, "up", -0.01, "+0.0100"),
        (-0.5, -0.6, "up", 0.1, "-0.1000"),
        (40.0, 30.0, "up", 0.25, "-25.00%"),
        (2.0, 2.1, "down", 0.05, "+5.00%"),
        (0.5, 0.4, "down", -0.2, "-20.00%"),
        (-2.0, -1.9, "down", 0.05, "+5.00%"),
        (0.0, 0.0, "down", 0.0, "+0"),
        (0.0, 0.1, "down", math.inf, "+0.1"),
        (3.0, 9.0, None, None, "+200.00%"),
    ],
)
def test_how_much_worse(before: float, after: float, direction: Any, worse: float | None, text: str) -> None:
    found = change(before, after, direction)
    assert found.worse == (None if worse is None else pytest.approx(worse))
    assert found.text() == text


def test_the_table() -> None:
    done = Conversion("static, per channel (QDQ)", 4000, 256)
    changes = {"loss": change(0.5, 0.51, "down"), "accuracy": change(0.9, 0.895, "up")}
    verdict = Verdict("int8", done, 0.01, "test rows", 2000, changes, (16_000, 5_000))
    assert str(verdict).splitlines() == [
        "quantized to int8: static, per channel (QDQ); compared on 2000 test rows",
        "ranges of activations from 256 training rows",
        "           float32   int8   change",
        "loss           0.5   0.51   +2.00%",
        "accuracy       0.9  0.895  -0.0050",
        "file (kB)     16.0    5.0     -69%",
    ]
    larger = Verdict("float16", Conversion("float16", 9), 0.01, "test rows", 2000, changes, (1000, 1100))
    assert "the file has not become smaller" in str(larger)


def test_the_table_of_the_shipped_specs(tmp_path: Path) -> None:
    path = project(tmp_path, SPEC.replace("units: 8", "units: 320"))
    rows = list(rows_of(path, 2, tmp_path))
    assert [row[:3] for row in rows] == [
        ("tiny", "2", "loss"),
        ("", "", "accuracy"),
        ("", "", "file (kB)"),
        ("", "", "at most 0.01 worse?"),
    ]
    assert {len(row) for row in rows} == {len(HEAD)}
    model = gs.compile(path, ["training.epochs=2"])
    model.fit(verbose=0)
    assert rows[0][3] == f"{model.evaluate()['loss']:.6g}"
    assert list(rows_of(project(tmp_path), 1, tmp_path))[-1][4] == "refused: too small"
