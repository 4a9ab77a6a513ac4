"""The names of operations, by file and family, and the names of Keras that a spec cannot have.

They are in `keras_names.json`: of a family its names, of what is refused rows of names, reason and replacement.
"""

from __future__ import annotations

import json
from pathlib import Path

_WORDS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


def _name(name: str) -> str:
    return name if name[0].isupper() else f"ops.{name}"


def _refused(section: str) -> dict[str, tuple[str, str]]:
    return {
        name: (reason.replace("<name>", name), hint.replace("<name>", name))
        for names, reason, hint in _WORDS[section]
        for name in names.split()
    }


OPERATIONS: dict[str, str] = {key: " ".join(map(_name, names.split())) for key, names in _WORDS["operations"].items()}
"""The names of each ``file/family``; of a ``file`` alone if it has one family."""
REFUSED = _refused("refused_layers")
REFUSED_OPERATIONS = {_name(name): reason for name, reason in _refused("refused_operations").items()}
REFUSED_CELLS = _refused("refused_cells")
