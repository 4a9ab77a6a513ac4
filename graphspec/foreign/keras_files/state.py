"""What preprocessing layers have learnt from rows: means, vocabularies, boundaries, as arguments of their nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.base.errors import SpecError
from graphspec.foreign.keras_files.saved import Saved
from graphspec.foreign.keras_files.scope import Owner
from graphspec.foreign.keras_files.values import Notes
from graphspec.foreign.keras_files.weights import Stored

_LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization")
_MAX_STATISTICS = 1_000_000


def add_state(
    owners: Sequence[Owner], entries: Sequence[dict[str, Any]], blocks: dict[str, Any], saved: Saved, notes: Notes
) -> None:
    """Add what the layers of a file have learnt to the entries of their nodes."""
    for owner in owners:
        entry = _entry(owner.node, entries, blocks)
        if entry is None:
            continue
        if owner.layer.class_name == "Normalization":
            _add_statistics(owner, entry, saved, notes)
        elif owner.layer.class_name in _LOOKUPS:
            _add_vocabulary(owner, entry, saved, notes)


def _entry(node: str, entries: Sequence[dict[str, Any]], blocks: dict[str, Any]) -> dict[str, Any] | None:
    """Return the entry of a node; of a node in an instance, the entry in its block."""
    first, _, rest = node.partition("/")
    entry = next((item for item in entries if item.get("name") == first), None)
    if entry is None or not rest:
        return entry
    return _entry(rest, blocks[entry["block"]]["layers"], blocks) if "block" in entry else None


def _add_statistics(owner: Owner, entry: dict[str, Any], saved: Saved, notes: Notes) -> None:
    if entry.get("mean") is not None or saved.weights is None:
        return
    arrays = [item for item in saved.weights.arrays(owner) if _is_statistic(item)]
    if len(arrays) < 2:
        return
    if any(np.prod(item.shape, dtype=float) > _MAX_STATISTICS for item in arrays[:2]):
        raise (
            SpecError(notes.problems.found)
            if notes.problems.found
            else notes.problems.fail(
                owner.layer.place, f"'{owner.layer.name}' has statistics of shape {arrays[0].shape}"
            )
        )
    mean, variance = (saved.weights.read(item) for item in arrays[:2])
    entry["mean"], entry["variance"] = _numbers(mean), _numbers(variance)


def _is_statistic(item: Stored) -> bool:
    return item.role in ("", "mean", "variance")


def _numbers(array: Any) -> Any:
    """Return float32 as the shortest numbers that are equal to it."""
    flat = [float(str(x)) for x in np.asarray(array, np.float32).reshape(-1)]
    return flat[0] if np.ndim(array) == 0 else np.array(flat).reshape(np.shape(array)).tolist()


def _add_vocabulary(owner: Owner, entry: dict[str, Any], saved: Saved, notes: Notes) -> None:
    entry.pop("vocabulary_size", None)
    path = entry.pop("vocabulary") if isinstance(entry.get("vocabulary"), str) else None
    if entry.get("vocabulary") is None:
        found = _asset(owner, saved)
        if found is not None:
            entry["vocabulary"] = _tokens(found, owner, notes)
    if entry.get("vocabulary") is None and path is not None:  # of the machine that saved the model
        text = f"'{owner.layer.name}' takes its vocabulary from the file '{path}', which is not in the model"
        notes.problems.unsupported(owner.layer.place, text, "save the model again as `.keras`, which holds the words")
    if entry.get("vocabulary") is None and saved.weights is not None:
        notes.say(f"'{owner.layer.name}' has no vocabulary in the file: it learns one from the training rows")
    if owner.layer.class_name == "TextVectorization":
        notes.say("TextVectorization keeps punctuation inside of words, and lower case is that of Unicode")


def _tokens(text: str, owner: Owner, notes: Notes) -> list[Any]:
    tokens = text.split("\n")
    if tokens[-1] == "":
        tokens.pop()
    if owner.layer.class_name != "IntegerLookup":
        return list(tokens)
    try:
        return [int(t) for t in tokens]
    except ValueError:
        notes.problems.invalid(owner.layer.place, f"'{owner.layer.name}' has a vocabulary that is not of integers")
        return []


def _asset(owner: Owner, saved: Saved) -> str | None:
    """Return the text of the vocabulary in the archive: its folder is the layer's group of weights."""
    group = getattr(saved.weights, "group", None)
    found = None if group is None else group(owner)
    if found is None:
        return None
    folder = found[1].partition("/")[2]
    for inner in ("", "/_lookup_layer"):
        text = saved.asset(f"assets/{folder}{inner}/vocabulary.txt")
        if text is not None:
            return text
    return None
