"""Damaged and hostile files of Keras's are refused with what is wrong: `tests/trust` watches what the commands do beside."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from trust.hostile_files.case import Table
from trust.hostile_files.configs import CONFIGS
from trust.hostile_files.containers import H5, KERAS
from trust.hostile_files.keras_models import base, keras, text

from graphspec.base.errors import SpecError, UsageError
from graphspec.foreign.keras_files.convert import convert


def answer(path: Path) -> tuple[set[str], str]:
    """The codes and the text of the answer; none for a file that is converted."""
    try:
        convert(path)
    except SpecError as error:
        return {str(d.code) for d in error.diagnostics}, " ".join(str(error).split())
    except UsageError as error:
        return {"usage"}, str(error)
    return set(), ""


@pytest.mark.parametrize(
    ("limit", "most", "content", "said"),
    [
        ("base.budget.Budget.CONFIG", 10, text(base()), "bytes, more than the 10 of any configuration"),
        ("base.budget.Budget.CONFIG", 10, keras(), "config.json has "),
        ("base.budget.Budget.VALUES", 3, text(base()), "net has more than 3 values"),
        ("base.budget.Budget.ENTRIES", 2, keras(), "the archive has 3 entries, more than 2"),
        ("base.budget.Budget.GROUPS", 1, keras(), "model.weights.h5 has more than 1 groups"),
        ("base.budget.Budget.AXES", 1, keras(), "has 2 axes, more than 1"),
        ("foreign.keras_files.model_config.MAX_LAYERS", 1, text(base()), "has 2 layers, more than 1"),
    ],
)
def test_a_file_is_read_within_limits(
    limit: str, most: int, content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net").write_bytes(content)
    assert answer(tmp_path / "net") == (set(), "")
    monkeypatch.setattr(f"graphspec.{limit}", most)
    codes, found = answer(tmp_path / "net")
    assert codes == {"GS801"}
    assert said in found


def test_the_library_for_weights_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.keras").write_bytes(keras())
    monkeypatch.setitem(sys.modules, "pyfive", None)
    codes, found = answer(tmp_path / "net.keras")
    assert codes == {"usage"}
    assert found.startswith("weights of Keras's files need pyfive: ")


@pytest.mark.parametrize("table", [CONFIGS, KERAS, H5], ids=lambda table: table.file)
def test_hostile_files_are_refused(table: Table, tmp_path: Path) -> None:
    wrong = {}
    for k, case in enumerate(table):
        folder = tmp_path / str(k)
        folder.mkdir()
        case.make(folder)
        codes, text = answer(folder / case.file)
        if not codes <= {*case.codes} or (not codes and case.codes) or (codes and case.words not in text):
            wrong[str(case)] = (codes, text)
    assert wrong == {}
