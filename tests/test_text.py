"""Text for terminals and shells."""

from __future__ import annotations

import os
import shlex

import pytest

from graphspec.text import shell


def test_words_with_spaces_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", "posix")
    assert shell("graphspec", "train", "my net.yaml") == "graphspec train 'my net.yaml'"
    assert shlex.split(shell("a", "b=[{c: 1}]")) == ["a", "b=[{c: 1}]"]


def test_windows_has_double_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", "nt")
    assert shell("graphspec", "train", "my net.yaml") == 'graphspec train "my net.yaml"'
