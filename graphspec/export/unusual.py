"""Values for the proof of an export: texts that the graph knows, and missing, unseen and otherwise unusual ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.random import generator
from graphspec.graph.ir.graph import MISSING_INTEGER, STRING, Array, Graph

if TYPE_CHECKING:
    from graphspec.engine.runtime.session import Session

_LONG = 5000  # characters of a very long text
_MAX_KEYS = 1000  # known texts to draw from
_MAX_WORDS = 8
_KNOWN_ROWS = 3
TEXTS = ("a", "A b c", "7", "-1.5e3", "2024-02-29", "1999-12-31T23:59:58", "31/01/2001", "true", "the end, of it")
"""Ordinary texts."""
UNUSUAL_TEXTS = (
    "",
    " ",
    "never seen before",
    "SHOUTED, IN CAPITALS",
    "Élan ÉLAN ǅ straße İı 北京 и́ 🙂 e\u0301",
    "tab\tnew line\nreturn\rbell\x07escape\x1b[31m\x7f\u200b\u2028\ufeff",
    "''\"\\`${x}<b>&amp;%s",
    ("long and longer " * _LONG)[:_LONG],
    "x" * _LONG,
)
"""Missing, unseen, capitals, other alphabets, control characters, quotes, and very long."""


@dataclass(frozen=True)
class Keys:
    """The elements that the lookups of an input know.

    Attributes:
        words: whether they are words of a longer text.
    """

    known: Sequence[Any]
    words: bool = False


def keys_of(graph: Graph, name: str) -> Keys | None:
    """Return what the lookups that read the input ``name`` know, None if there are none."""
    reached, words, found = {name}, False, dict[Any, None]()
    for node in graph.nodes:
        if not any(v is not None and v.name in reached for v in node.inputs):
            continue
        keys = node.attrs.get("keys_strings") or node.attrs.get("keys_int64s") or ()
        if node.op == "LabelEncoder":  # what it returns are ids, not elements of the input
            found.update(dict.fromkeys(islice(keys, _MAX_KEYS)))
        else:
            words = words or node.op == "Tokenizer"
            reached.update(v.name for v in node.outputs)
    known = [key for key in found if key != ""] or list(found)
    return Keys(known, words) if known else None


def drawn(name: str, keys: Keys, shape: Sequence[int]) -> Array:
    """Return an array of random known elements: texts, single or of several words, or integers."""
    random = generator(0, "proof", name)
    count = int(np.prod(shape, dtype=np.int64))
    chosen = random.integers(0, len(keys.known), (count, _MAX_WORDS))
    if not isinstance(keys.known[0], str):
        return np.array([keys.known[row[0]] for row in chosen], np.int64).reshape(shape)
    lengths = random.integers(1, _MAX_WORDS + 1, count) if keys.words else np.ones(count, np.int64)
    texts = [" ".join(keys.known[k] for k in row[:n]) for row, n in zip(chosen, lengths, strict=True)]
    return _objects(texts).reshape(shape)


def unusual_rows(model: Session, ordinary: Mapping[str, Array]) -> dict[str, Array] | None:
    """Return rows in which texts and numbers are missing or unusual; None if the network takes no texts and no gaps.

    Each row has one of the unusual texts in all its inputs of texts; then come rows of texts that the network knows. Every
    other number that may be missing is missing.

    Args:
        ordinary: one row of every input.
    """
    inputs, gaps = model.whole.inputs, model.needed_inputs.gaps
    texts = [name for name, value in inputs.items() if value.type.is_string]
    if not texts and not gaps:
        return None
    special = len(UNUSUAL_TEXTS) if texts else 1
    count = special + _KNOWN_ROWS
    feeds = {name: np.repeat(array[:1], count, axis=0) for name, array in ordinary.items()}
    for k, (name, array) in enumerate(feeds.items()):
        if inputs[name].dtype == STRING:
            for row, text in enumerate(UNUSUAL_TEXTS):
                array[row] = text
            if (keys := keys_of(model.whole, name)) is not None:
                array[special:] = drawn(name, keys, array[special:].shape)
        elif name in gaps:
            array[k % 2 :: 2] = np.nan if array.dtype.kind == "f" else MISSING_INTEGER
            array[0] = np.nan if array.dtype.kind == "f" else MISSING_INTEGER
    return feeds


def _objects(texts: Sequence[str]) -> Array:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array
