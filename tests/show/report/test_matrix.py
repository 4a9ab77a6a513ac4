"""A confusion matrix as a table."""

from __future__ import annotations

import numpy as np
from findings import html_from
from judged import rows

from graphspec.show.report.class_heads import MOST_CLASSES, matrix_table


def test_counts_have_headers_and_colours_by_row() -> None:
    html = html_from(matrix_table(np.array([[3, 1], [0, 0]]), ["no", "yes & so"], "h"))
    assert rows(html, "Confusion matrix") == [["no", "3", "1"], ["yes & so", "0", "0"]]
    assert '<td class=right style="--s:0.75">3</td><td style="--s:0.25">1</td>' in html
    assert html.count("scope=col") == 3
    assert html.count("scope=row") == 2
    assert 'data-shares="h-matrix" aria-pressed="false"' in html


def test_the_largest_matrix_is_small_enough() -> None:
    counts = np.full((MOST_CLASSES, MOST_CLASSES), 12345)
    assert len(html_from(matrix_table(counts, [f"class number {k}" for k in range(MOST_CLASSES)], "h"))) < 40_000
