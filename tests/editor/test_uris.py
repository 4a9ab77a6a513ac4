"""Paths of documents, on Windows and elsewhere."""

from __future__ import annotations

import pytest

from graphspec.editor.server import path_of


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///home/me/a.yaml", "/home/me/a.yaml"),
        ("file:///home/me/my%20net%C3%A9.yaml", "/home/me/my neté.yaml"),
        ("file://localhost/a.yaml", "/a.yaml"),
        ("untitled:Untitled-1", "Untitled-1"),
        ("vscode-vfs://github/me/nets/a.yaml", "a.yaml"),
    ],
)
def test_paths(uri: str, path: str) -> None:
    assert path_of(uri, windows=False) == path


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///c%3A/nets/a%20b.yaml", r"C:\nets\a b.yaml"),
        ("file:///D:/a.yaml", r"D:\a.yaml"),
        ("file://server/share/a.yaml", r"\\server\share\a.yaml"),
        ("untitled:Untitled-1", "Untitled-1"),
    ],
)
def test_paths_of_windows(uri: str, path: str) -> None:
    assert path_of(uri, windows=True) == path
