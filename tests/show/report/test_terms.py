"""The values of a kind of head are explained; those of others are not."""

from __future__ import annotations

from findings import check_html, html_from

from graphspec.show.report.heads import terms


def test_terms_are_those_of_the_heads() -> None:
    html = html_from(terms(["numbers"]))
    check_html(html)
    assert "R²" in html
    assert "Recall" not in html
    both = html_from(terms(["binary", "numbers", "binary"]))
    assert both.count("<b>Recall</b>") == 1
    assert "Brier" in both
    assert "Macro" not in both
    assert html_from(terms(["values"])) == ""
