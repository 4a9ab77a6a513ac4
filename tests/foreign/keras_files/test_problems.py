"""ArchiveProblems of a file: each with its place, once, and raised together."""

from __future__ import annotations

import pytest

from graphspec.base.budget import Budget
from graphspec.base.errors import SpecError
from graphspec.foreign.keras_files.containers import ArchiveProblems


def test_everything_is_raised_together_with_its_place() -> None:
    problems = ArchiveProblems("net.keras")
    problems.check()
    problems.invalid("model.weights.h5", "the weights end after 12 bytes")
    problems.unsupported("config.json: layers[3] 'twice'", "Lambda 'twice' is Python code", "write Rescaling")
    problems.unsupported("config.json: layers[3] 'twice'", "Lambda 'twice' is Python code", "write Rescaling")
    with pytest.raises(SpecError) as caught:
        problems.check()
    assert [(d.code, d.file, d.path, d.hint) for d in caught.value.diagnostics] == [
        ("GS801", "net.keras", "model.weights.h5", "save the model again with Keras, or get the file again"),
        ("GS802", "net.keras", "config.json: layers[3] 'twice'", "write Rescaling"),
    ]


def test_a_file_with_a_million_problems_reports_some() -> None:
    problems = ArchiveProblems("net.keras")
    for k in range(1000):
        problems.unsupported(f"layers[{k}]", f"layer {k} is \x1b[31m code {'x' * k}", "leave it out")
    assert len(problems.found) == Budget.PROBLEMS
    assert "\x1b" not in problems.found[0].message
    assert isinstance(problems.invalid("", "the file ends"), SpecError)
