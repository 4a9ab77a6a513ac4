"""Names of older versions: of keys and values of a spec, and of Python.

A class of the vocabulary lists its own in ``old_keys`` and ``old_values``, a registry those of its classes in ``old``.
A spec with an old name has the same meaning as with the new one, and a warning, GS112 (``graphspec/language/upgrade.py``).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple


class Old(NamedTuple):
    """What an old name is today."""

    use: str  # the name, or the value as a spec writes it, such as ``null``
    since: str  # the version that renamed it, such as ``0.3``; of a plugin with its name: ``tilted 1.2``
    until: str = (
        ""  # for Python, the first version without the old name. Within a version of the language, specs keep it
    )

    @property
    def hint(self) -> str:
        """What to do about the old name."""
        return f"write `{self.use}`, as since {self.since}"


def name_today(owner: str, name: str, old: Mapping[str, Old], *, stacklevel: int = 3) -> str | None:
    """Return what an old ``name`` of a module or class is called today, with a DeprecationWarning; None for other names.

    ``stacklevel`` counts from here to the line of the user, as :func:`warnings.warn` counts.
    """
    if (found := old.get(name)) is None:
        return None
    goes = f"; {found.until} no longer has the old name" if found.until else ""
    text = f"{owner}: '{name}' is called '{found.use}' since {found.since}{goes}"
    warnings.warn(message=text, category=DeprecationWarning, stacklevel=stacklevel)
    return found.use
