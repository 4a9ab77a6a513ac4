"""Which fast kernels a process has, and how another one gets the same."""

from __future__ import annotations

import pytest

from graphspec.graph.kernels import compiled as fast


@pytest.mark.parametrize(
    ("forced", "now", "mode"), [("", None, ""), ("compiled", True, "compiled"), ("", True, "fast")]
)
def test_another_process_gets_the_kernels_of_this_one(
    forced: str, now: bool | None, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "FORCED", forced)
    monkeypatch.setattr(fast, "FAST", now)
    assert fast.mode() == mode


def test_kernels_that_are_switched_off_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "FORCED", "compiled")
    monkeypatch.setattr(fast, "FAST", False)
    assert fast.mode() == "reference"
