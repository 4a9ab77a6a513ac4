"""Work counted in function calls: says whether something is linear without a clock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def calls(run: Callable[[], Any]) -> int:
    """How many Python and C functions ``run`` calls."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def assert_linear(make: Callable[[int], Callable[[], Any]], small: int, large: int) -> None:
    """``make(n)()`` takes calls in proportion to n, within a tenth."""
    make(small)()
    few, many = calls(make(small)), calls(make(large))
    assert many < 1.1 * few * large / small, f"{few} calls for {small}, {many} for {large}"
