"""Tables of a report."""

from __future__ import annotations

from graphspec.show.report.tables import UNDEFINED, amount, beside, facts, share, table


def test_headers_captions_and_numbers() -> None:
    html = table("Each <one>", ["Name", "Value"], [("a & b", "1"), ("c", UNDEFINED)])
    assert "<caption>Each &lt;one&gt;</caption>" in html
    assert '<th scope="col">Name</th><th scope="col" class="number">Value</th>' in html
    assert '<th scope="row">a &amp; b</th><td class="number">1</td>' in html
    assert '<td class="number" data-value="">–</td>' in html  # sorts behind all numbers
    assert "data-sort" in html
    assert "data-sort" not in table("t", ["a"], [("b",)], sort=False)


def test_values_that_are_not_defined() -> None:
    assert [share(0.12345), share(float("nan")), amount(float("nan")), amount(1234.5)] == ["0.123", "–", "–", "1234.5"]


def test_values_with_names_and_parts() -> None:
    assert facts([("a", "<1>")]) == '<dl class="values"><div><dt>a</dt><dd>&lt;1&gt;</dd></div></dl>'
    assert beside("x", "", "y") == '<div class="beside"><div>x</div><div>y</div></div>'
