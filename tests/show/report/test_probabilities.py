"""The chart of the reliability of probabilities."""

from __future__ import annotations

import numpy as np
from findings import html_from

from graphspec.show.report.class_heads import TOP, reliability_chart


def test_the_error_and_the_direction_are_said() -> None:
    sure = html_from(reliability_chart(np.full(40, 0.9), np.arange(40) < 20, TOP, "row"))
    assert "Expected calibration error 0.400 in 15 equal bins." in sure
    assert "The mean probability, 0.900, is 0.400 too high: the share predicted right is 0.500." in sure
    unsure = html_from(reliability_chart(np.full(40, 0.5), np.arange(40) < 30, TOP, "row"))
    assert "is 0.250 too low: the share predicted right is 0.750." in unsure
    fitting = html_from(reliability_chart(np.full(40, 0.5), np.arange(40) < 20, TOP, "row"))
    assert "The mean probability, 0.500, fits: the share predicted right is 0.500." in fitting


def test_bins_with_few_rows_are_said() -> None:
    probabilities = np.array([0.9] * 30 + [0.2] * 5)
    html = html_from(reliability_chart(probabilities, np.ones(35, bool), TOP, "row"))
    assert "A hollow dot is a bin with fewer than 20 rows." in html
    assert html.count("dot hollow") == 1
    assert "5 rows, mean probability 0.200, share predicted right 1.000, too few to say much" in html
