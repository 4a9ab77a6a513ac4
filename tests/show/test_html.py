"""Documents as HTML."""

from __future__ import annotations

from graphspec.base.document import (
    UNDEFINED,
    Cell,
    Code,
    Column,
    Facts,
    Folded,
    Group,
    Items,
    Row,
    Span,
    Table,
    Text,
)
from graphspec.show.html import html_of, inline


def test_texts_are_escaped_and_meanings_are_elements() -> None:
    assert html_of([Text(("a < b ", Span("x & y", "code")), "note")]) == (
        "<p class=note>a &lt; b <code>x &amp; y</code></p>"
    )
    assert inline(Span("best", "strong best")) == "<strong class=best>best</strong>"
    assert inline(Span("0.25", "share", tip='a "tip"')) == (
        '<span class=share data-tip="a &quot;tip&quot;">0.25</span>'
    )
    assert inline(Span("7", link="trial-7/report.html")) == '<a href="trial-7/report.html">7</a>'
    assert html_of([Items(["<1>"], "problems")]) == "<ul class=problems><li>&lt;1&gt;</li></ul>"


def test_tables_have_captions_headers_and_what_they_are_sorted_by() -> None:
    table = Table(
        ["Name", Column("Value", "number"), Column("Bar", fixed=True)],
        [["a & b", "1", ""], Row(["c", UNDEFINED, Cell("x", 0.5, "wrong")], (("node", "3"),))],
        caption="Each <one>",
        sort=True,
    )
    html = html_of([table])
    assert html.startswith(
        '<div class="scroll" tabindex="0" role="region" aria-label="Each &lt;one&gt;"><table data-sort>'
        "<caption>Each &lt;one&gt;</caption>"
    )
    assert "<th scope=col>Name</th><th scope=col class=number>Value</th><th scope=col data-fixed>Bar</th>" in html
    assert "<tr><th scope=row>a &amp; b</th><td class=number>1</td><td></td></tr>" in html
    assert '<tr data-node="3"><th scope=row>c</th><td class=number data-value="">–</td>' in html
    assert '<td class=wrong data-value="0.5">x</td></tr>' in html


def test_facts_code_and_what_is_folded() -> None:
    assert html_of([Facts([("a", "<1>")])]) == "<dl class=values><div><dt>a</dt><dd>&lt;1&gt;</dd></div></dl>"
    assert 'data-copy="copy-spec">Copy</button><pre id="copy-spec" tabindex="0">a: &lt;b&gt;</pre>' in html_of(
        [Code("a: <b>", "spec")]
    )
    assert html_of([Folded("More", [Text("x")])]) == "<details><summary>More</summary><p>x</p></details>"
    assert html_of([Group("beside", [Text("x"), Text("y")])]) == (
        '<div class="beside"><div><p>x</p></div><div><p>y</p></div></div>'
    )
