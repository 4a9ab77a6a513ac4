"""A hostile file: its name, how its bytes are made, and what the answer says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Content = bytes | Callable[[], bytes] | Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A file and the right answer.

    Attributes:
        name: what is wrong with it; unique within its kind.
        file: its name in a folder.
        make: its bytes, or a function of the folder that writes what it needs.
        words: what the answer says, among others.
        codes: one of them is in the answer; empty for a file that is sound, only strange.
    """

    name: str
    file: str
    make: Callable[[Path], None]
    words: str
    codes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}-{self.name}"


class Table:
    """The cases of one kind of file.

    Args:
        file: the name that their files have.
        codes: the codes that answers have.
    """

    def __init__(self, file: str, *codes: str) -> None:
        self.file, self.codes = file, codes
        self.cases: dict[str, Case] = {}

    def add(
        self, name: str, content: bytes | Callable[[], bytes], words: str, *codes: str, sound: bool = False
    ) -> None:
        """Add a case whose file has these bytes."""

        def make(folder: Path) -> None:
            (folder / self.file).write_bytes(content if isinstance(content, bytes) else content())

        self.folder(name, make, words, *codes, sound=sound)

    def folder(self, name: str, make: Callable[[Path], None], words: str, *codes: str, sound: bool = False) -> None:
        """Add a case that writes its files itself."""
        assert name not in self.cases, name
        self.cases[name] = Case(name, self.file, make, words, () if sound else codes or self.codes)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases.values())
