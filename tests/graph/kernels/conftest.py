"""Fixtures of the tests of kernels."""

from __future__ import annotations

from typing import Any

import pytest
from bits import FOUND

from graphspec.graph.kernels import compiled


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The compiled kernels, also where the environment forbids them."""
    monkeypatch.setattr(compiled, "LIBRARY", FOUND)
    return FOUND
