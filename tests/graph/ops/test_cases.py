"""Every operator has one entry in ``ops/cases/``; it has examples for every table of tests, or says why not."""

from __future__ import annotations

from dataclasses import fields

import pytest
from graph.ops.cases import CASES, FAMILIES, TABLES, Elsewhere, Example, OpCase, examples
from graph.ops.cases.broadcasting import of_one
from graph.ops.cases.case import normal
from paths import TESTS

from graphspec.graph.ops import OPS

WITH_KERNEL = [name for name, cls in OPS.items() if cls.has_kernel]


def family_of(op: str) -> str:
    return OPS[op].__module__.rpartition(".")[2]


def problems(op: str, entry: OpCase | None) -> list[str]:
    """What the entry lacks, and where to add it."""
    place = f"CASES in tests/graph/ops/cases/{family_of(op)}.py"
    if entry is None:
        return [f"{op} has no entry: add it to {place}"]
    found = []
    for table, tests in TABLES.items():
        shown = getattr(entry, table)
        if table == "draw" and OPS[op].exported and shown is None:
            found.append(f"{op} is in files: give its entry in {place} a `draw`, for tests/{tests}")
        if table == "draw" and not OPS[op].exported and shown is not None:
            found.append(f"{op} is not in files: take `draw` out of its entry in {place}")
        if shown in ([], ""):
            found.append(f"{op} has no example for tests/{tests}: give its entry in {place} a `{table}`, or a reason")
        if isinstance(shown, Elsewhere) and (
            shown.file in TABLES.values()
            or not (TESTS / shown.file).is_file()
            or f'"{op}"' not in (TESTS / shown.file).read_text(encoding="utf-8")
        ):
            found.append(f'tests/{shown.file} has no "{op}", but `{table}` of its entry in {place} says so')
    return found


@pytest.mark.parametrize("op", WITH_KERNEL)
def test_every_operator_is_in_all_tables(op: str) -> None:
    assert not (found := problems(op, CASES.get(op))), "\n".join(found)


def test_entries_are_in_the_file_of_their_family() -> None:
    assert [op for op in CASES if op not in OPS] == []
    found = {op: family for family, entries in FAMILIES.items() for op in entries}
    assert found == {op: family_of(op) for op in WITH_KERNEL}


def test_what_is_missing_is_named() -> None:
    place = "CASES in tests/graph/ops/cases/elementwise.py"
    assert problems("Exp", None) == [f"Exp has no entry: add it to {place}"]
    (text,) = problems("Exp", of_one(exported=False))
    assert text == f"Exp is in files: give its entry in {place} a `draw`, for tests/graph/ops/test_onnxruntime.py"
    (text,) = problems("PerRow", of_one())
    assert text == "PerRow is not in files: take `draw` out of its entry in CASES in tests/graph/ops/cases/loss.py"
    entry = OpCase(CASES["Exp"].draw, [Example([normal()])], allocates=Elsewhere("graph/ops/test_nothing.py"))
    assert problems("Exp", entry) == [
        f"Exp has no example for tests/graph/ops/test_no_rows.py: give its entry in {place} a `no_rows`, or a reason",
        f'tests/graph/ops/test_nothing.py has no "Exp", but `allocates` of its entry in {place} says so',
    ]


def test_the_tables_are_the_fields_of_an_entry() -> None:
    assert [*TABLES, "batched"] == [field.name for field in fields(OpCase)]
    for table, file in TABLES.items():
        assert (TESTS / file).is_file()
        assert table == "draw" or examples(table)
