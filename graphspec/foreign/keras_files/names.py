"""Names of a spec for the names of a file: valid, and each once."""

from __future__ import annotations

import re
from collections.abc import Iterable

from graphspec.language.names import MAX_NAME, is_name


class Names:
    """The names of a scope: of the whole spec, or of a block."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.taken = set(reserved)

    def new(self, wanted: str) -> str:
        """Return a name like ``wanted`` that is valid and free."""
        base = valid(wanted)
        name, k = base, 1
        while name in self.taken:
            k += 1
            name = f"{base[: MAX_NAME - 8]}_{k}"
        self.taken.add(name)
        return name


def valid(name: str) -> str:
    """Return the nearest valid name: ``block1/conv`` → ``block1_conv``."""
    better = re.sub(r"[^\w.-]+", "_", name)[:MAX_NAME]
    better = better if is_name(better) else re.sub(r"[^\w]+", "_", better).strip("_")
    return better if is_name(better) else "layer"
