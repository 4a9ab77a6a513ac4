"""Refused callbacks: the message states the reason."""

from __future__ import annotations

import pytest
from pydantic_core import PydanticCustomError

from graphspec.vocabulary.callbacks import CALLBACKS


@pytest.mark.parametrize("name", ["BackupAndRestore", "LambdaCallback", "RemoteMonitor", "OrbaxCheckpoint"])
def test_refused_callbacks_have_a_reason_and_a_hint(name: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        CALLBACKS.parse({"type": name, "any": 1})
    (error,) = (caught.value.context or {})["errors"]
    assert error["type"] == "GS105"
    assert error["ctx"]["problem"].hint
