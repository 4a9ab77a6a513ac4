"""Values that YAML tears apart inside braces: in ``{strides: (2, 2)}`` and ``{epochs: 1,000}`` the comma ends the value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from graphspec.base.synonyms.keys import tuple_items


def torn_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Return hints by key for the values of a mapping that were torn apart, and empty hints for their rests.

    Args:
        values: the trees of a mapping in the order of the text. The rest of a torn value is a key without a value.
    """
    hints: dict[str, str] = {}
    owner, written = "", ""
    rests: list[str] = []
    for key, child in values.items():
        if child.value is None and written.startswith("("):
            rests.append(key)
            if key.endswith(")") and (items := tuple_items(", ".join((written, *rests)))) is not None:
                hints |= {owner: f"lists have brackets: `{items}`", **dict.fromkeys(rests, "")}
                written = ""
        elif child.value is None and re.fullmatch(r"\d+", key) and re.fullmatch(r"-?\d+", written):
            thousands = len(key) == 3 and written.lstrip("-0")
            number = f"{written}{key}" if thousands else f"{written}.{key}"
            hints[key] = f"a comma ends the value of `{owner}`: write `{owner}: {number}`"
        else:
            owner, written, rests = key, str(child.value) if isinstance(child.value, str | int) else "", []
    return hints
