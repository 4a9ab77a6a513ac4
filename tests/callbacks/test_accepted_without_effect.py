"""Callbacks that a spec cannot have say why."""

from __future__ import annotations

import pytest
from pydantic_core import PydanticCustomError

from graphspec.callbacks import CALLBACKS


@pytest.mark.parametrize("name", ["BackupAndRestore", "LambdaCallback", "RemoteMonitor", "OrbaxCheckpoint"])
def test_what_a_spec_cannot_have_says_why(name: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        CALLBACKS.parse({"type": name, "any": 1})
    (error,) = (caught.value.context or {})["errors"]
    assert error["type"] == "GS105"
    assert error["ctx"]["hint"]
