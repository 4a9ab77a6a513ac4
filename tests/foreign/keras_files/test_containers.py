"""Damaged and hostile files of Keras's are refused with what is wrong: `tests/trust` watches what the commands do beside."""

from __future__ import annotations

from pathlib import Path

import pytest
from trust.hostile_files.case import Table
from trust.hostile_files.configs import CONFIGS
from trust.hostile_files.containers import H5, KERAS

from graphspec.base.errors import SpecError, UsageError
from graphspec.foreign.keras_files.convert import convert


def answer(path: Path) -> tuple[set[str], str]:
    """The codes and the text of the answer; none for a file that is converted."""
    try:
        convert(path)
    except SpecError as error:
        return {d.code for d in error.diagnostics}, " ".join(str(error).split())
    except UsageError as error:
        return {"usage"}, str(error)
    return set(), ""


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
