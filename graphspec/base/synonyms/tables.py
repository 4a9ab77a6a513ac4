"""Building tables of synonyms."""

from __future__ import annotations

from collections.abc import Mapping

PRETRAINED = (
    "write `initial_weights: FILE` in `training`, or `weights: FILE` on a node or a block instance; `trainable: false` on a "
    "node freezes it"
)


def each(*keys: str, to: str) -> Mapping[str, str]:
    """Return a table in which all ``keys`` lead to the same."""
    return dict.fromkeys(keys, to)


def fold(key: str) -> str:
    """Return a key without case, underscores, hyphens and spaces."""
    return key.replace("_", "").replace("-", "").replace(" ", "").lower()


def table(texts: Mapping[str, str]) -> Mapping[str, str]:
    """Return a table that also has its keys folded."""
    return {fold(key): text for key, text in texts.items()} | dict(texts)
