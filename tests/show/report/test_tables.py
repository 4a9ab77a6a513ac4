"""Tables of numbers, and numbers as text."""

from __future__ import annotations

from findings import html_from

from graphspec.base.document import UNDEFINED
from graphspec.show.report.charts import amount, share, table


def test_the_first_columns_are_texts_the_others_numbers() -> None:
    html = html_from(table("Each <one>", ["Name", "Of", "Value"], [("a", "b", "1"), ("c", "d", UNDEFINED)], texts=2))
    assert "<th scope=col>Name</th><th scope=col>Of</th><th scope=col class=number>Value</th>" in html
    assert '<td>d</td><td class=number data-value="">–</td>' in html  # sorts behind all numbers
    assert "data-sort" in html
    assert "data-sort" not in html_from(table("t", ["a"], [("b",)], sort=False))


def test_values_that_are_not_defined() -> None:
    assert [share(0.12345), share(float("nan")), amount(float("nan")), amount(1234.5)] == ["0.123", "–", "–", "1234"]
