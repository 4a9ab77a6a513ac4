"""The errors of unfreezing: each names the node of the file."""

from __future__ import annotations

from graphspec.base.codes import Code
from graphspec.base.errors import ShapeError

FROZEN = "leave `trainable` out: the frozen file runs as it is"


def refuse(text: str, hint: str = FROZEN, *, key: str | None = "trainable") -> ShapeError:
    """Return the error for what cannot be unfrozen; ``text`` is a predicate of the layer."""
    return ShapeError(Code.UNSUPPORTED_FILE, text, hint, key=key)
