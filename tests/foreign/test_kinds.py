"""What a file is: pipes are told from files before they are opened, which would wait for a writer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import graphspec


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_that_is_no_spec_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`inspect` waited for ever for the writer of the first, and `train` for that of the last."""
    monkeypatch.chdir(tmp_path)
    for command, name, said in (
        ("inspect", "x.json", "x.json is a spec; name an ONNX file"),
        ("inspect", "x.onnx", "is not a regular file"),
        ("import", "x.json", "x.json is not a regular file"),
        ("validate", "x.onnx", "x.onnx"),
        ("data", "x.sqlite", "it is a pipe"),
        ("train", "x.onnx", "it is a pipe"),
    ):
        if not Path(name).exists():
            os.mkfifo(name)
        done = graphspec(command, name)
        assert done.exit_code in (1, 2), command
        assert said in " ".join(done.output.split()), (command, done.output)
