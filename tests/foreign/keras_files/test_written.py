"""Specs that imports write, word for word: `python tests/foreign/keras_files/test_written.py` writes them again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

import graphspec as gs

WRITTEN = Path(__file__).parent / "written"
FILES = WRITTEN.parents[2] / "golden" / "keras_files"
NAMES = ("mnist_convnet", "multi_head", "resnet50", "siamese")


@pytest.mark.parametrize("name", NAMES)
def test_a_spec_is_what_a_person_would_write(name: str, tmp_path: Path) -> None:
    found = gs.import_file(FILES / f"{name}.keras", tmp_path / f"{name}.yaml")
    assert found.path.read_text("utf-8") == (WRITTEN / f"{name}.yaml").read_text("utf-8")


if __name__ == "__main__":
    for each in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            path = gs.import_file(FILES / f"{each}.keras", Path(folder) / f"{each}.yaml").path
            (WRITTEN / path.name).write_bytes(path.read_bytes())
