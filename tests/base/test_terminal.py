"""Documents as lines of a terminal."""

from __future__ import annotations

import pytest

from graphspec.base.document import Bar, Cell, Column, Facts, Items, Span, Spark, Table, Text
from graphspec.base.terminal import fitted, lines_of, table_lines
from graphspec.base.text import display_width

LAYERS = Table(
    [
        Column("node", cut="middle", least=6),
        Column("memory", "number", drop=1),
        Column("inputs", cut="end", least=10, drop=2),
    ],
    [["a_long_name_of_a_node", "1.5 MiB", "one, two, three, four"], ["b", "12 B", "a_long_name_of_a_node"]],
)


def test_columns_are_aligned_and_numbers_are_at_the_right() -> None:
    assert table_lines(LAYERS, None) == [
        "node                    memory  inputs",
        "a_long_name_of_a_node  1.5 MiB  one, two, three, four",
        "b                         12 B  a_long_name_of_a_node",
    ]


def test_a_narrow_terminal_first_shortens_then_leaves_out_what_may_be_left_out() -> None:
    lines, left_out = fitted(LAYERS, 46)
    assert (left_out, lines[1]) == ([], "a_long_name_of_a_node  1.5 MiB  one, two, thr…")
    lines, left_out = fitted(LAYERS, 40)
    assert (left_out, lines[1]) == (["memory"], "a_long_name_of_a_node  one, two, three,…")
    lines, left_out = fitted(LAYERS, 12)
    assert (left_out, lines[1]) == (["memory", "inputs"], "a_long…_node")


@pytest.mark.parametrize("width", range(8, 70))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert all(display_width(line) <= width for line in table_lines(LAYERS, width))


def test_a_last_column_is_wrapped_or_has_lines_of_its_own() -> None:
    table = Table([Column("name"), Column("values", wrap=True, least=12)], [["sepal_length", "from 1 to 7, mean 3.5"]])
    assert table_lines(table, None)[1] == "sepal_length  from 1 to 7, mean 3.5"
    assert table_lines(table, 28) == ["name          values", "sepal_length  from 1 to 7,", "              mean 3.5"]
    assert table_lines(table, 24) == ["name", "sepal_length", "    from 1 to 7, mean", "    3.5"]


def test_bars_and_values_over_time_take_the_room_that_there_is() -> None:
    bars = Table([Column(), Column("", "number"), Column()], [["a", "+1.0", Bar(1.0)], ["b", "-0.5", Bar(0.5, True)]])
    assert table_lines(bars, 20) == ["a  +1.0  " + "█" * 11, "b  -0.5  " + "░" * 6]
    sparks = Table([Column(), Column(), Column()], [["loss", Spark(range(1, 9), (1, 8)), "1 → 8"]])
    assert table_lines(sparks, None) == ["loss  ▁▂▃▄▅▆▇█  1 → 8"]


def test_a_rule_below_the_header_and_a_gap() -> None:
    table = Table(["a", "b"], [["x", Cell(Span("y", "code"))]], rule=True, gap=1)
    assert table_lines(table, None) == ["a b", "───", "x y"]


def test_paragraphs_lists_and_facts() -> None:
    blocks = [Text(("a ", Span("b", "strong"), " c")), Items(["one two three"]), Facts([("Optimizer", "adam, 0.001")])]
    assert list(lines_of(blocks, None)) == ["a b c", "  one two three", "Optimizer  adam, 0.001"]
    assert list(lines_of(blocks, 12))[:4] == ["a b c", "  one two", "    three", "Optimizer"]


def test_characters_that_steer_a_terminal_are_replaced() -> None:
    assert table_lines(Table(["a"], [["\x1b[2J"]]), None)[1] == "�[2J"
