"""The table of ``summary``: folded records, and the columns that a narrow terminal leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from paths import ROOT

from graphspec.base.terminal import fitted
from graphspec.base.text import display_width
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.lowered_network import cost
from graphspec.graph.cuts import computed_once
from graphspec.graph.ir.dims import LearntSize
from graphspec.show.drawing.summary import Row, fold_records, rows_of, table_of

TWO_RECORDS: dict[str, Any] = {
    "graphspec": 1,
    "name": "pairs",
    "inputs": {
        "person": {"columns": {"age": "number", "job": "category"}},
        "place": {"columns": {"size": "number"}},
        "extra": {"shape": [3]},
    },
    "layers": [
        {"name": "all", "type": "Concatenate", "inputs": ["person", "place", "extra"]},
        {"name": "person_size", "type": "Dense", "units": 4},
        {"name": "y", "type": "Dense", "units": 1},
    ],
    "outputs": {"y": {"loss": "mse"}},
}


def rows(document: Any) -> tuple[list[Row], Any]:
    spec, lowered = check(document).require()
    once = computed_once(lowered.graph)
    return rows_of(spec, lowered, cost(spec, lowered, 32), 32, once), spec


def test_records_are_folded() -> None:
    table, spec = rows(TWO_RECORDS)
    folded = fold_records(table, spec)
    assert [(row.name, row.kind) for row in folded] == [
        ("person", "record of 2 columns"),
        ("place", "record of 1 column"),
        ("extra", "input"),
        ("all", "Concatenate"),
        ("person_size", "Dense"),
        ("y", "Dense"),
    ]
    assert [row.output for row in folded[:3]] == ["(N, learnt)", "(N, 1)", "(N, 3)"]
    assert folded[0].inputs == "age, job"


def test_numbers_from_stand_in_sizes_are_not_shown() -> None:
    table, _ = rows(TWO_RECORDS)
    by_name = {row.name: row for row in table}
    assert isinstance(by_name["all"].memory, LearntSize)
    assert isinstance(by_name["person_size"].products, LearntSize)
    assert by_name["y"].products == 4
    line = next(line for line in fitted(table_of(table), None)[0] if line.startswith("person_size"))
    assert line.split().count("learnt") == 2


def test_without_records_nothing_is_folded() -> None:
    table, spec = rows(str(ROOT / "specs" / "fashion.yaml"))
    assert fold_records(table, spec) == table


def test_columns_go_in_order() -> None:
    table, spec = rows(TWO_RECORDS)
    folded = fold_records(table, spec)
    assert fitted(table_of(folded), None)[1] == []
    order = ["memory", "multiply-adds", "inputs", "computed"]
    gone = [fitted(table_of(folded), width)[1] for width in range(130, 40, -1)]
    assert all(names == order[: len(names)] for names in gone)
    assert sorted(map(len, gone)) == list(map(len, gone))
    assert gone[-1] == order[:3], "nothing that is shown is computed once"


@pytest.mark.parametrize(
    "name", ["penguins", "housing", "bikes", "fashion_inception", "architectures/resnet50", "newswires"]
)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_table_fits(name: str, width: int) -> None:
    table, spec = rows(str(ROOT / "specs" / f"{name}.yaml"))
    for shown in (table, fold_records(table, spec)):
        assert all(display_width(line) <= width for line in fitted(table_of(shown), width)[0])


def test_long_names_are_cut_in_the_middle() -> None:
    long = [
        Row(
            "a_very_long_name_of_a_block/and_its_node/number_one",
            "SeparableConv2D",
            "(N, 112, 112, 1024)",
            parameters=10**9,
        )
    ]
    (_, _, line), _ = fitted(table_of(long), 60)
    assert "…" in line.split()[0]
    assert line.endswith("1,000,000,000")
