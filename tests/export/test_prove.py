"""A file is written only if onnxruntime returns the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from specs import dense_spec


def test_numbers_that_differ_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = gs.compile(dense_spec())
    honest = gs.Model.run

    def off(self: gs.Model, feeds: Any) -> Any:
        return {head: values + np.float32(1e-3) for head, values in honest(self, feeds).items()}

    monkeypatch.setattr(gs.Model, "run", off)
    (tmp_path / "old.onnx").write_bytes(b"before")
    with pytest.raises(gs.SpecError) as caught:
        model.export(tmp_path / "old.onnx")
    assert [d.code for d in caught.value.diagnostics] == ["GS701"]
    assert "head 'kind' at batch size 1" in str(caught.value)
    assert (tmp_path / "old.onnx").read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["old.onnx"]
