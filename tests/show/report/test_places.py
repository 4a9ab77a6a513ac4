"""Where a person finds a row, and how commands name a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from findings import html_from

import graphspec as gs
from graphspec.show.report.rows import file_name, places, run_name, shown_part, source_name, source_of
from specs import dense_spec


def _spec(data: dict[str, Any]) -> Any:
    return gs.compile(dense_spec(data=data)).spec


def test_rows_of_a_table_have_lines(tmp_path: Path) -> None:
    file = tmp_path / "some rows.csv"
    file.write_text("a,b,c,d,kind\n" + "1,2,3,4,0\n" * 5, encoding="utf-8")
    part = {"file": str(file), "inputs": {"x": ["a", "b", "c", "d"]}, "targets": {"kind": "kind"}}
    spec = _spec({"train": part, "validation": {"split": 0.2}})
    assert places(spec, "train")(0) == "line 2"
    assert places(spec, "validation")(4) == "line 6"
    assert source_of(spec, "validation") is spec.data["train"]
    assert html_from(source_name(spec, "validation")) == "<code>some rows.csv</code>"


def test_rows_of_files_that_are_gone_and_of_no_files_have_numbers() -> None:
    spec = _spec({"train": {"file": "gone.csv"}})
    assert places(spec, "train")(1) == "row 2 (counted from 1)"
    assert places(spec, "test")(1) == "row 2 (counted from 1)"
    assert html_from(source_name(spec, "test")) == ""


def test_runs_inside_the_current_folder_have_relative_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_name(tmp_path / "runs" / "a b") == "runs/a b"
    assert run_name(Path("runs/x")) == "runs/x"
    assert run_name(tmp_path.parent / "other") == (tmp_path.parent / "other").as_posix()


def test_folders_are_named_with_the_one_around_them(tmp_path: Path) -> None:
    (tmp_path / "fashion" / "train").mkdir(parents=True)
    assert file_name(tmp_path / "fashion" / "train") == "fashion/train"
    assert file_name(tmp_path / "fashion" / "rows.csv") == "rows.csv"
    assert [*map(shown_part, ("train", "validation", "test"))] == ["training", "validation", "test"]
