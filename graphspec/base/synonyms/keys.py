"""Keys that other frameworks and plain speech have for the arguments of classes and for the keys of a document.

A value of several words is a hint. Otherwise it names our keys, the likeliest first: the hint is the first of them that
the class has. The tables are by class: a table is for the class of that name and for all classes derived from it, and the
most special table comes first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from graphspec.base.synonyms.arguments import LAYER, SPECIAL
from graphspec.base.synonyms.sections import DATA, HEAD, INPUT, TRAINING, VALIDATION
from graphspec.base.synonyms.tables import fold, table

KEYS: Mapping[str, Mapping[str, str]] = {
    "HeadKeys": HEAD,
    "TrainingKeys": TRAINING,
    "InputKeys": INPUT,
    "ValidationKeys": VALIDATION,
    "DataKeys": DATA,
    "Layer": LAYER,
    **{name: table(texts) for name, texts in SPECIAL.items()},
}
"""The synonyms of keys by the name of a class, or of a class that it is derived from."""


def key_synonym(key: str, classes: Sequence[str], *known: Collection[str]) -> str | None:
    """Return a hint for an unknown ``key``, or None if it is no synonym.

    Args:
        classes: the names of the class and its bases, the class first.
        known: keys that the class accepts. Those of the first collection are preferred.
    """
    folded = fold(key)
    tables = (KEYS[name] for name in classes if name in KEYS)
    texts = [text for known_keys in tables if (text := known_keys.get(key) or known_keys.get(folded)) is not None]
    hints = (hint for names in known for text in texts if (hint := _hint(key, text, names)) is not None)
    return next(hints, None)


def found(key: str, texts: Mapping[str, str], known: Collection[str]) -> str | None:
    """Return a hint for ``key`` from one table, or None if it is no synonym."""
    text = texts.get(key) or texts.get(fold(key))
    return None if text is None else _hint(key, text, known)


def _hint(key: str, text: str, known: Collection[str]) -> str | None:
    """Return the hint of an entry: the first name that is ``known``, or the sentence."""
    if _is_sentence(text):
        return text
    name = next((name for name in text.split() if name in known and name != key), None)
    return None if name is None else f"did you mean '{name}'?"


def _is_sentence(text: str) -> bool:
    return re.fullmatch(r"[a-z_0-9]+( [a-z_0-9]+)*", text) is None
