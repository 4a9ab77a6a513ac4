"""Names of data files: patterns, files that are missing or unfit, and where the files of a spec lie after a move."""

from __future__ import annotations

import glob
from itertools import islice
from pathlib import Path

from graphspec.base.codes import Code
from graphspec.data.source import DataError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Suffixes of pictures."""
TEXTS = (".txt",)
"""Suffixes of texts."""
MAX_FILES = 100_000
_MARKS = "*?["


def has_marks(path: Path) -> bool:
    """Return whether a name has ``*``, ``?`` or ``[``."""
    return any(mark in str(path) for mark in _MARKS)


def matching(pattern: Path) -> list[Path]:
    """Return the files that a pattern names, sorted by name; ``**`` stands for any folders.

    Raises:
        DataError: GS501 if there are none, or too many.
    """
    try:
        names = glob.iglob(str(pattern), recursive=True)  # noqa: PTH207 (a folder of the pattern may be a pattern, too)
        found = sorted(map(Path, islice(filter(_is_file, names), MAX_FILES + 1)))
    except (OSError, ValueError) as error:
        raise DataError(Code.UNREADABLE_FILE, f"cannot be searched: {error}") from None
    if not found:
        hint = "files are named relative to the spec; `*` stands for any characters of a name"
        raise DataError(Code.UNREADABLE_FILE, "does not exist: no file matches this pattern", hint)
    if len(found) > MAX_FILES:
        raise DataError(Code.UNREADABLE_FILE, f"has too many files: more than {MAX_FILES:,} match", "join some of them")
    return found


def _is_file(name: str) -> bool:
    return Path(name).is_file()
