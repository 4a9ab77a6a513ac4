"""The frame of a report: escaping, its policy, and what it is made of."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser

from graphspec.base.document import Element, Section, Text
from graphspec.show.html import Opening, assets, page, text, wide

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202egnp\x00\x1b[31m&amp;"


class Tags(HTMLParser):
    """The start tags of a page, each with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_only_its_own_script_may_run() -> None:
    html = page(Opening("a"), [Section("one", "One", [Element("<p>1</p>")])])
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(a["content"] for t, a in Tags(html).found if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert html.index("Content-Security-Policy") < html.index("<style>")
    assert "http:" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in html
    assert "</script" not in assets("js")
    assert "</style" not in assets("css")


def test_text_is_escaped() -> None:
    opening = Opening(HOSTILE, HOSTILE, (HOSTILE, ""))
    html = page(opening, [Section("one", HOSTILE, [Element(f"<p data-tip='{text(HOSTILE)}'>{text(HOSTILE)}</p>")])])
    tags = Tags(html).found
    assert [tag for tag, _ in tags].count("script") == 1
    assert "img" not in [tag for tag, _ in tags]
    assert all(not name.startswith("on") for _, attributes in tags for name in attributes)
    assert "\u202e" not in html
    assert "\x00" not in html
    assert "\x1b" not in html


def test_findings_stand_in_the_contents_and_the_verdict_below_the_title() -> None:
    sections = [Section("one", "One", finding=HOSTILE, alarm=True), Section("two", "Two", finding="8 of 9")]
    html = page(
        Opening("a", lead=("what it is",), said=[Text("9 off", "warning")]), [*sections, Section("last", "Last")]
    )
    contents = html.partition("<nav")[2].partition("</nav>")[0]
    assert f'<a href="#one">One<small class=bad>{text(HOSTILE)}</small></a>' in contents
    assert '<a href="#two">Two<small>8 of 9</small></a><a href="#last">Last</a>' in contents
    assert html.index("<h1>") < html.index("<p class=warning>9 off</p>") < html.index("what it is")


def test_it_has_landmarks_and_headings() -> None:
    html = page(
        Opening("a", "kind", ("lead", "")), [Section("one", "One", [Element(wide("<table></table>", "a table"))])]
    )
    tags = Tags(html).found
    names = [tag for tag, _ in tags]
    for tag in ("h1", "h2", "header", "nav", "main", "footer"):
        assert names.count(tag) == 1, tag
    assert ("a", {"class": "skip", "href": "#content"}) in tags
    assert ("section", {"id": "one", "aria-labelledby": "one-title"}) in tags
    assert html.count('class="lead"') == 1
    assert 'tabindex="0" role="region" aria-label="a table"' in html
