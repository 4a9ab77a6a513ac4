"""Series as blocks."""

from __future__ import annotations

import io
import math

from graphspec.base.text import Scale, can_show, scale_of, sparkline


def test_a_block_for_each_value() -> None:
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], 20) == "▁▂▃▄▅▆▇█"
    assert sparkline([], 20) == ""
    assert sparkline([0.5], 20) == "▁"
    assert sparkline([3, 3, 3], 20) == "▁▁▁"


def test_a_long_series_is_averaged() -> None:
    values = [float(k) for k in range(1000)]
    assert sparkline(values, 8) == "▁▂▃▄▅▆▇█"
    assert len(sparkline(values, 20)) == 20


def test_values_that_are_not_finite() -> None:
    assert sparkline([1, math.nan, 8], 20) == "▁·█"
    assert sparkline([math.nan, math.inf], 20) == "··"
    assert sparkline([1, math.nan, 1, 8], 2) == "▁▅"
    assert sparkline([-1e308, 1e308], 20) == "▁█"


def test_a_logarithmic_scale_shows_decades() -> None:
    values = [100.0, 10.0, 1.0, 0.1]
    assert sparkline(values, 20) == "█▁▁▁"
    assert sparkline(values, 20, scale_of(values, may_be_log=True)) == "█▆▃▁"
    assert not scale_of([0.0, 100.0], may_be_log=True).log
    assert not scale_of([1.0, 9.0], may_be_log=True).log


def test_two_series_with_one_scale() -> None:
    assert sparkline([1, 2], 20, Scale(0, 4)) == "▃▅"


def test_a_stream_without_blocks() -> None:
    assert can_show(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert can_show(io.StringIO())
    assert not can_show(io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert not can_show(io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
