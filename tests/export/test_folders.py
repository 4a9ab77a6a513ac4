"""Folders that are written as a whole, and those that are never replaced."""

from __future__ import annotations

from errno import ENOSPC
from pathlib import Path

import pytest

import graphspec as gs
from graphspec.export import folders
from graphspec.export.folders import refuse_foreign, write_folder

FILES: dict[str, bytes | str] = {"a.txt": "ours: 1\n", "deep/b.bin": b"\0\1"}
MARKS = {"a.txt": "ours"}


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def check(folder: Path) -> None:
    refuse_foreign(folder, FILES, MARKS, "a thing")


def test_new_empty_and_our_own_folders_are_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty", "new"):
        check(tmp_path / name)
        write_folder(tmp_path / name, FILES)
        assert content(tmp_path / name) == {"a.txt": b"ours: 1\n", "deep/b.bin": b"\0\1"}
    write_folder(tmp_path / "new", {"a.txt": "ours: 2"})
    assert content(tmp_path / "new") == {"a.txt": b"ours: 2"}
    (tmp_path / "link").symlink_to("new")
    check(tmp_path / "link")
    write_folder(tmp_path / "link", FILES)
    assert (tmp_path / "link").is_symlink()
    assert len(content(tmp_path / "new")) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "link", "new"]


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    write_folder(folder, {**FILES, "notes.md": "mine"})
    with pytest.raises(gs.UsageError, match=r"folder is not replaced by a thing: it has notes\.md; name a new folder"):
        check(folder)
    write_folder(tmp_path / "other", {"a.txt": "theirs"})
    with pytest.raises(gs.UsageError, match="graphspec has not written it"):
        check(tmp_path / "other")
    (tmp_path / "file").write_text("x")
    with pytest.raises(gs.UsageError, match="is not a folder"):
        check(tmp_path / "file")


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    write_folder(folder, FILES)
    before = content(folder)
    calls: list[Path] = []

    def failing(path: Path, data: bytes | str) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(ENOSPC, "the disk is full", str(path))
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    monkeypatch.setattr(folders, "write_atomic", failing)
    with pytest.raises(OSError, match=r"the disk is full: '.*folder'"):
        write_folder(folder, {"a.txt": "ours: 3", "deep/b.bin": b"2"})
    assert content(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
