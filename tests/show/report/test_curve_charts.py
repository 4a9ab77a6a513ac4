"""Values by epoch: thinning, gaps, scales, and the numbers under the pointer."""

from __future__ import annotations

import json
import math
import re

from findings import html_from

from graphspec.show.report.curves import MAX_POINTS, Line, Mark, Panel, charts_of, thinned


def numbers(html: str) -> dict[str, object]:
    (text,) = re.findall(r'<script type="application/json" id="c-values">(.*?)</script>', html)
    found: dict[str, object] = json.loads(text)
    return found


def test_long_runs_are_thinned() -> None:
    assert thinned(5, 1) == [0, 1, 2, 3, 4]
    kept = thinned(1000, 2)
    assert len(kept) <= MAX_POINTS
    assert (kept[0], kept[-1]) == (0, 999)
    assert len(thinned(1000, 500)) == 40
    values = [1 / (k + 1) for k in range(1000)]
    html = html_from(
        charts_of([Panel(f"m{k}", [Line("a", values, "a"), Line("b", values, "b")]) for k in range(10)], [], "c")
    )
    assert len(html) < 200_000


def test_the_pointer_shows_the_values_of_an_epoch() -> None:
    panel = Panel("loss", [Line("loss", [1.0, math.nan, 0.25], "a"), Line("val_loss", [2.0, 1.5], "b", 3)])
    html = html_from(charts_of([panel], [Mark(2, "best")], "c"))
    assert numbers(html) == {
        "epochs": [1, 2, 3],
        "panels": [[["loss", ["1.000", None, "0.2500"], None], ["val_loss", ["2.000", "1.500", None], 3]]],
    }
    assert 'data-curve="c:0"' in html
    assert html.count('class="mark best"') == 2, "in the chart and in its logarithmic twin"
    assert 'data-run="3"' in html
    assert html.count("<circle") == 4, "a value between gaps is a point"


def test_one_epoch_and_no_finite_value() -> None:
    html = html_from(charts_of([Panel("loss", [Line("loss", [0.5], "a")])], [Mark(1, "best")], "c"))
    assert "<circle" in html
    assert "mark best" not in html
    assert "<svg" not in html_from(charts_of([Panel("loss", [Line("loss", [math.nan], "a")])], [], "c"))


def test_scales() -> None:
    assert html_from(charts_of([Panel("loss", [Line("loss", [1.0, 2.0], "a")])], [], "c")).count("<svg") == 2
    wide = html_from(charts_of([Panel("loss", [Line("loss", [1.0, 2000.0], "a")])], [], "c"))
    assert wide.count("<svg") == 1
    assert "loss (log scale)" in wide
    assert html_from(charts_of([Panel("r2", [Line("r2", [-1.0, 1.0], "a")])], [], "c")).count("<svg") == 1


def test_names_are_escaped() -> None:
    html = html_from(charts_of([Panel("<b>", [Line("</script><img>", [1.0, 2.0], "a")])], [], "c"))
    assert "<b>" not in html
    assert "<img>" not in html
    assert numbers(html)["panels"] == [[["</script><img>", ["1.000", "2.000"], None]]]
