"""``export --training-step``: of what ``init`` writes, and what the command says."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import graphspec
from test_init import DATA, _written

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", DATA)
def test_every_template_has_a_training_step(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _written(kind)
    text = Path("net.yaml").read_text()
    assert graphspec("train", "net.yaml", "--set", "training.epochs=1").exit_code == 0, text
    result = graphspec("export", "runs/net", "--training-step", "step.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("step.onnx: 10 steps on rows of the training data equal the runtime's: the loss")
    assert "step.prelude.onnx: prepares rows for it" in result.stdout
    assert Path("step.onnx").stat().st_size > 1000
