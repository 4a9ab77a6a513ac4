"""Targets and opsets of an export."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphspec as gs
from specs import dense_spec


def test_targets(tmp_path: Path) -> None:
    model = gs.compile(dense_spec())
    model.export(tmp_path / "net.onnx", target="ort-1.20")
    with pytest.raises(gs.UsageError, match="unknown target"):
        model.export(tmp_path / "net.onnx", target="ort-9")
    with pytest.raises(gs.UsageError, match="opset 9"):
        model.export(tmp_path / "net.onnx", opset=9)
