"""What is said about the columns of a spec's data: problems, hints, and what would be learnt from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graphspec.data.files import open_source
from graphspec.data.overview import Overview, overview_of, overviews
from graphspec.data.signature import data_signature
from graphspec.engine.compiler.check import check

COLUMNS: dict[str, tuple[str, Callable[[int], object]]] = {  # how a column is declared, and its cells
    "mixed": ("type: number, missing: error", lambda k: "low" if k % 50 == 7 else k),
    "gaps": ("type: number, missing: error", lambda k: "" if k in (3, 5) else k % 40),
    "large": ("type: number", lambda k: "inf" if k == 4 else k / 2),
    "spread": ("type: number, scale: robust", lambda k: k * k % 50),
    "binned": ("type: number, scale: {bins: 4}", lambda k: k % 40),
    "code": ("type: category, dtype: int64", lambda k: k % 20 / 2),
    "marked": ("type: number", lambda k: "-1e20" if k == 9 else k * 7 % 50),
    "words": ("type: category, min_count: 2", lambda k: "other" if k == 9 else k % 7),
    "amounts": ("type: category, min_count: 2", lambda k: f"{k % 110}.5"),
    "told": ("type: number", lambda k: k % 3 + k / 1000),
}
TABLE = f"""\
graphspec: 1
name: table
inputs: {{x: {{columns: {{{", ".join(f"{name}: {{{form}}}" for name, (form, _) in COLUMNS.items())}}}}}}}
layers: [{{name: kind, type: Dense, units: 2, activation: softmax}}]
outputs: {{kind: {{loss: sparse_categorical_crossentropy}}}}
data: {{train: {{file: train.csv}}, test: {{query: "SELECT * FROM 'test.csv'"}}}}
"""
PROBLEMS = [
    "column 'mixed' has texts among its numbers: 'low' (3)",
    "column 'gaps' has no value in 2 rows",
    "column 'large' has 1 infinite value, or too large for float32",
    "column 'code' has numbers that are not whole, where input 'code' takes integers",
    "column 'kind' has 3 classes, but 'kind' has 2 units",
]
HINTS = [
    "column 'marked' has -1e+20, beside which all others are equal: `missing_values`?",
    "column 'words' is of numbers, but for 'other' (1): `number` with `missing_values`",
    "column 'amounts' has 110 different numbers: `number` if they are amounts",
]
LEAK = "determines the target: the numbers of each class are a range of their own; would you know it when you ask?"


def seen(folder: Path, text: str) -> list[Overview]:
    (folder / "s.yaml").write_text(text)
    spec, lowered = check(folder / "s.yaml").require()
    return overviews(spec, data_signature(spec, lowered.graph))


def test_columns_of_a_table(tmp_path: Path) -> None:
    for part, kinds in (("train", "abc"), ("test", "abd")):
        lines = [",".join([*(str(cell(k)) for _, cell in COLUMNS.values()), kinds[k % 3]]) for k in range(150)]
        (tmp_path / f"{part}.csv").write_text("\n".join([",".join([*COLUMNS, "kind"]), *lines]) + "\n")
    train, test = seen(tmp_path, TABLE)
    assert (train.problems, test.problems) == (PROBLEMS, PROBLEMS)
    assert train.hints == [*HINTS, f"column 'told' {LEAK}"]
    assert test.hints == [*HINTS[:2], "column 'kind' has 1 value that no training row has, such as 'd'"]
    assert (train.source, test.source) == ("train.csv", "query SELECT * FROM 'test.csv'")
    learnt = {"spread": ["quartiles 9, 24.5, 34"], "binned": ["4 bins"], "words": ["7 of 8 values"]}
    assert train.learnt | learnt == train.learnt


ARRAYS = """\
graphspec: 1
name: arrays
inputs: {x: {shape: [2]}}
layers: [{name: y, type: Dense, units: 2, activation: softmax}]
outputs: {y: {loss: sparse_categorical_crossentropy}}
data: {train: {file: rows.npz}}
"""
LABELS = ARRAYS.replace("crossentropy}", "crossentropy, labels: [1, 5]}").replace("npz", "csv, inputs: {x: [a, b]}")
FEW = (
    "classes has fewer than 5 rows ('{}' has 1): too few to learn, and to check what was learnt; "
    "add rows, or join classes"
)
UNEVEN = [
    f"array 'y': 1 of 2 {FEW.format(1)}",
    "array 'y' is uneven: '0' in 30 rows, '1' in 1; see `class_weight: balanced`",
]
NO_LABEL = ["column 'y' has 3, which is not a label; the labels are 1, 5"]
TWICE = [
    "rows.csv has 'a' (column 1) and 'a' (column 2): give each a unique name",
    "rows.csv has no column 'b' for input 'x'",
]
OBJECTS = ["array 'x' contains Python objects, which are pickles and are never read"]
ROWS = 9 * "0.5,1,1\n1,0.5,5\n"


@pytest.mark.parametrize(
    ("text", "rows", "problems", "hints"),
    [
        (ARRAYS, {"x": np.ones((31, 2)), "y": np.arange(31) // 30}, [], UNEVEN),
        (ARRAYS, {"x": np.ones((20, 2), object), "y": np.arange(20) % 2}, OBJECTS, []),
        (LABELS, f"a,b,y\n{ROWS}", [], []),
        (LABELS, f"a,b,y\n{ROWS}1,2,3\n", NO_LABEL, [f"column 'y': 1 of 3 {FEW.format(3)}"]),
        (LABELS, f"a,a,y\n{ROWS}", TWICE, []),
    ],
)
def test_classes(tmp_path: Path, text: str, rows: object, problems: list[str], hints: list[str]) -> None:
    if isinstance(rows, dict):
        np.savez(tmp_path / "rows.npz", **rows)
    else:
        (tmp_path / "rows.csv").write_text(str(rows))
    [part] = seen(tmp_path, text)
    assert (part.problems, part.hints) == (problems, hints)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + 50_000 * "1,2\n" + "1,2,3\n")
    part = overview_of(open_source(tmp_path / "t.csv"), "t.csv")
    said = "cannot be read: line 50002 has 3 values, the header 2 names; a table starts with a line of column names"
    assert part.problems == [f"t.csv {said}"]
