"""All types of columns against scikit-learn and the documented formulas (golden values from `golden/make_records.py`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import TESTS
from recorded import Part, compare
from safetensors.numpy import load_file

from graphspec.language.columns import COLUMNS

CASES: list[dict[str, Any]] = json.loads((TESTS / "golden" / "records.json").read_text(encoding="utf-8"))
ARRAYS = load_file(TESTS / "golden" / "records.safetensors")
SOURCES = ("arrays", "csv", "parquet", "jsonl")


def parts_of(number: int) -> list[Part]:
    """The columns and crosses of a case, in the order of the record."""
    case = CASES[number]
    names = [*case["columns"], *("_x_".join(cross) for cross in case["crosses"])]
    return [(name, ARRAYS[f"{number}/train/{name}"], ARRAYS[f"{number}/new/{name}"]) for name in names]


@pytest.mark.parametrize(
    "number", [*range(16), *(pytest.param(k, marks=pytest.mark.slow) for k in range(16, len(CASES)))]
)
def test_records_are_those_of_scikit_learn(number: int, tmp_path: Path) -> None:
    compare(CASES[number], parts_of(number), tmp_path, SOURCES[number % 4])


def test_the_cases_have_every_type_with_missing_values() -> None:
    found: dict[str, list[bool]] = {}
    for case in CASES:
        for name, column in case["columns"].items():
            found.setdefault(column["type"], []).append(None in case["train"][name] and None in case["new"][name])
    assert {name: any(gaps) for name, gaps in found.items()} == dict.fromkeys({*COLUMNS.names()} - {"image"}, True)
    assert any(case["crosses"] for case in CASES)


def test_a_wrong_number_is_found(tmp_path: Path) -> None:
    parts = parts_of(0)
    number = next(k for k, (name, _, _) in enumerate(parts) if CASES[0]["columns"][name]["type"] == "number")
    name, train, new = parts[number]
    new = new.astype(np.float32)
    new[-1, -1] += 0.01
    parts[number] = name, train, new
    with pytest.raises(AssertionError, match="new: "):
        compare(CASES[0], parts, tmp_path)
