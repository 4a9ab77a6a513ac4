"""Profiles of folders of files: the sizes of pictures, the words of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from graphspec.data.pictures import upright_size
from graphspec.data.source import DataError

if TYPE_CHECKING:
    from graphspec.data.folders import Folder

_LOOKED_AT = 1000  # files


@dataclass(frozen=True)
class FileProfile:
    """What the files of a folder hold.

    Attributes:
        files: their number; at most 1,000 of them, spread over all, are looked at.
        sizes: the heights and widths of pictures with the number of files, the most frequent first; empty for texts, and
            without Pillow.
        words: the mean and the largest number of words of texts; None for pictures, and if no text can be read.
    """

    name: str
    kind: Literal["picture", "text"]
    files: int
    sizes: tuple[tuple[tuple[int, int], int], ...] = ()
    words: tuple[float, int] | None = None

    @property
    def is_exact(self) -> bool:
        """Whether all files have been looked at."""
        return self.files <= _LOOKED_AT


def profile_files(folder: Folder) -> FileProfile:
    """Look at the headers of pictures, or at the words of texts. Files that cannot be read do not count."""
    step = -(-len(folder.paths) // _LOOKED_AT) or 1
    paths, files = folder.paths[::step], len(folder.paths)
    if folder.kind == "image":
        return FileProfile("image", "picture", files, sizes=_sizes(folder, paths))
    counts = []
    for path in paths:
        try:
            counts.append(len(folder.text(path).split()))
        except (OSError, UnicodeError, DataError):
            continue
    return FileProfile("text", "text", files, words=(sum(counts) / len(counts), max(counts)) if counts else None)


def _sizes(folder: Folder, paths: Sequence[object]) -> tuple[tuple[tuple[int, int], int], ...]:
    try:
        from PIL import Image  # noqa: F401
    except ImportError:
        return ()
    found = Counter(upright_size(folder.folder / str(path)) for path in paths)
    found.pop((0, 0), None)  # no pictures
    return tuple(found.most_common())
