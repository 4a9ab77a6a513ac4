"""What is wrong with a file of Keras's, or cannot be taken from it: all of it, each with its place in the file."""

from __future__ import annotations

from dataclasses import dataclass, field

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, SpecError, shorten
from graphspec.base.text import printable

MAX_PROBLEMS = 100
"""Problems that are reported; a file may have a million."""


@dataclass
class Problems:
    """Collects the problems of a file, and raises them together.

    Attributes:
        file: the name of the file, as messages show it.
    """

    file: str
    found: list[Diagnostic] = field(default_factory=list)

    def invalid(self, place: str, message: str, hint: str | None = None) -> None:
        """Note what makes the file invalid (GS801)."""
        self._add(Code.INVALID_FILE, place, message, hint or "save the model again with Keras, or get the file again")

    def unsupported(self, place: str, message: str, hint: str) -> None:
        """Note what a sound file has that a spec cannot say (GS802)."""
        self._add(Code.UNSUPPORTED_FILE, place, message, hint)

    def fail(self, place: str, message: str, hint: str | None = None) -> SpecError:
        """Note what makes the file unreadable from here on, and return the error with everything found so far."""
        self.invalid(place, message, hint)
        return SpecError(self.found)

    def check(self) -> None:
        """Raise everything found.

        Raises:
            SpecError: something was found.
        """
        if self.found:
            raise SpecError(self.found)

    def _add(self, code: Code, place: str, message: str, hint: str) -> None:
        if len(self.found) < MAX_PROBLEMS:
            text = printable(shorten(message, 600))
            found = Diagnostic(code, text, self.file, path=printable(shorten(place, 300)), hint=printable(hint))
            if found not in self.found:
                self.found.append(found)
