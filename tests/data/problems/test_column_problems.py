"""Columns with the same problem are told in one diagnostic, with what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import graphspec

import graphspec as gs
from graphspec.api.validation import check_further
from graphspec.base.errors import Diagnostic
from graphspec.engine.compiler.check import check

RECORD = """graphspec: 1
name: t
inputs:
  row: {columns: {COLUMNS}}
layers:
  - {name: y, type: Dense, units: 1}
outputs:
  y: {loss: mse}
data:
  train: {file: t.csv}
"""
PLAIN = """graphspec: 1
name: t
inputs:
  x: {shape: [RANK]}
layers:
  - {name: y, type: Dense, units: 1}
outputs:
  y: {loss: mse}
data:
  train: {file: t.csv, inputs: {x: [COLUMNS]}}
"""


def found(folder: Path, spec: str, csv: str) -> list[Diagnostic]:
    (folder / "s.yaml").write_text(spec)
    (folder / "t.csv").write_text(csv)
    return check_further(check(str(folder / "s.yaml")), data=True)


def plain(columns: str) -> str:
    return PLAIN.replace("RANK", str(columns.count(",") + 1)).replace("COLUMNS", columns)


def test_columns_with_the_same_problem_are_one_diagnostic(tmp_path: Path) -> None:
    [one] = found(tmp_path, plain("a, b, c"), "a,b,c,y\n1,,3,1\n,NA,2,1\n")
    name = f"'{tmp_path / 't.csv'}'"
    assert (
        one.message
        == f"2 columns of {name} have no value in some of 2 rows: 'a' in 1 (first: line 3), 'b' in 2 (first: line 2)"
    )
    assert (one.hint or "").startswith("fill it in, or remove the row; or declare a record")


def test_one_error_hides_no_other(tmp_path: Path) -> None:
    every = found(tmp_path, plain("a, b"), "a,b,y\n1,x,\nNA,2,z\nx,3,4\n")
    assert sorted(d.code for d in every) == ["GS504", "GS505", "GS505"]
    text = "\n".join(d.message for d in every)
    for part in (
        "3 columns",
        "'a' in 1 (first: 'x' in line 4)",
        "'b' in 1 (first: 'x' in line 2)",
        "has no target in 1 of 3",
    ):
        assert part in text


def test_text_under_a_record_names_the_column_to_write(tmp_path: Path) -> None:
    spec = RECORD.replace("COLUMNS", "sex: number, note: number, day: number")
    csv = "sex,note,day,y\n" + "male,a long note with several words in it,2024-01-31,1\n" * 3
    every = found(tmp_path, spec, csv)
    hints = [d.hint for d in every]
    assert (
        hints
        == [
            "they are text: write `sex: category, note: text` in `columns:`",
            "it is text: write `day: date` in `columns:`",
        ]
        or hints == hints[::-1]
    )
    assert {"contains dates in 3 of 3 rows" in d.message for d in every} == {True, False}


def test_few_texts_among_numbers_are_mistakes(tmp_path: Path) -> None:
    [one] = found(tmp_path, plain("a"), "a,y\n1,1\n2,2\nx,3\n")
    assert one.hint == "correct them: most values are numbers"
    [one] = found(tmp_path, RECORD.replace("COLUMNS", "a: number"), "a,y\n1,1\n2,2\nx,3\n")
    assert one.hint == "correct them, or leave the cells empty: a missing number is filled"


SOURCE = " to the source of the rows"


@pytest.mark.parametrize(
    ("cells", "what", "hint"),
    [
        (["3,5", "4,25"], "contains numbers with decimal commas", 'add `decimal: ","`' + SOURCE),
        (
            ["1,234", "12,345.5"],
            "contains numbers with thousands separators",
            'add `thousands: ","` to the source of the rows',
        ),
        (["3 %", "12%"], "contains percentages", 'add `strip: ["%"]`' + SOURCE),
        (["$3", "$ 4.50"], "contains amounts with a currency", 'add `strip: ["$"]`' + SOURCE),
        (
            ["€ 1.234,5"],
            "contains amounts with a currency",
            'add `decimal: ","` and `strip: ["€"]` to the source of the rows',
        ),
        (["1,23,4 %"], "contains percentages", "write plain numbers, such as 1234.5"),
    ],
)
def test_numbers_in_another_form(tmp_path: Path, cells: list[str], what: str, hint: str) -> None:
    csv = "a;y\n" + "".join(f"{cell};1\n" for cell in cells)
    [one] = found(tmp_path, plain("a"), csv)
    assert f"{what} in {len(cells)} of {len(cells)} rows; first: '{cells[0]}' in line 2" in one.message
    assert one.hint == hint


def test_targets_of_an_mse_head_need_no_labels(tmp_path: Path) -> None:
    [one] = found(tmp_path, plain("a"), "a;y\n1;3,5\n2;4,5\n")
    assert one.hint == 'add `decimal: ","` to the source of the rows'


def test_columns_that_are_not_there_are_one_diagnostic(tmp_path: Path) -> None:
    [one] = found(tmp_path, RECORD.replace("COLUMNS", "size: number, town: category"), "a,b\n1,2\n")
    assert one.message.endswith("has no columns 'size', 'town', 'y' for inputs and targets")
    assert one.hint == "it has a, b"


def test_problems_without_lines_of_a_spec(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,y\n,,1\n")
    document = {
        "graphspec": 1,
        "name": "t",
        "inputs": {"a": {"shape": [1]}, "b": {"shape": [1]}},
        "layers": [
            {"name": "both", "type": "Concatenate", "inputs": ["a", "b"]},
            {"name": "y", "type": "Dense", "units": 1},
        ],
        "outputs": {"y": {"loss": "mse"}},
        "data": {"train": {"file": str(tmp_path / "t.csv")}},
    }
    with pytest.raises(gs.SpecError) as error:
        gs.compile(document).fit(epochs=1)
    [one] = error.value.diagnostics
    assert "2 columns" in one.message


def test_new_rows_are_not_declared_otherwise(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,1\n2,2\n")
    (tmp_path / "s.yaml").write_text(RECORD.replace("COLUMNS", "a: number"))
    model = gs.compile(tmp_path / "s.yaml")
    model.fit(epochs=1)
    model.save(tmp_path / "run")
    (tmp_path / "new.csv").write_text("a\nx\n")
    result = graphspec("predict", tmp_path / "run", tmp_path / "new.csv")
    assert "contains text in 1 of 1 rows; first: 'x' in line 2" in result.stderr
    assert "write numbers; an empty cell, or null in JSON, is a missing one" in result.stderr


def test_numbers_that_a_query_reads_as_texts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1.5,1\nNA,2\n2.5,3\n")
    spec = plain("a").replace("file: t.csv", "query: SELECT * FROM 't.csv' WHERE a <> 'NA'")
    [one] = found(tmp_path, spec, "a,y\n1.5,1\nNA,2\n2.5,3\n")
    assert "contains numbers as text in 2 of 2 rows" in one.message
    assert one.hint == "cast in the query: `TRY_CAST(a AS DOUBLE) AS a` (null if it is no number)"


def test_a_gap_in_an_input_without_columns_names_the_record_that_fills_it(tmp_path: Path) -> None:
    [one] = found(tmp_path, plain("a"), "a,y\n1,1\nNA,2\n3,3\n")
    assert one.hint is not None
    assert one.hint.endswith("or declare a record, which fills gaps: `inputs: {row: {columns: {…}}}`")
