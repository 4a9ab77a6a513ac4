"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec.base.files import write_atomic


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "á")
    assert path.read_bytes() == "á".encode()
    with pytest.raises(TypeError):
        write_atomic(path, 5)  # type: ignore[arg-type]
    assert path.read_text() == "á"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
