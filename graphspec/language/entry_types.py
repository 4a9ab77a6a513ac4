"""The layer of an entry of ``layers``, which a share has from its owner, and whether it takes inputs."""

from __future__ import annotations

from graphspec.language.names import Item, Scope, locate
from graphspec.language.tree import Tree
from graphspec.vocabulary.layers import LAYERS


def type_name(scope: Scope, entry: Tree) -> str:
    """Return the name of an entry's layer or block, for a share that of its owner; ``layer`` if it has none."""
    visited: list[str] = []
    while (share := entry.get("share")) is not None and isinstance(share.value, str):
        if share.value in scope.shared_types:
            break
        scope.shared_types[share.value] = "layer"  # preliminary, and final for a cycle of shares
        visited.append(share.value)
        owner = locate(scope, share.value)
        entry = owner.tree if isinstance(owner, Item) else scope.written.get(share.value, entry)
    if share is not None and isinstance(share.value, str):
        found = scope.shared_types[share.value]
    else:
        at = entry.get("type") or entry.get("block")
        found = at.value if at is not None and isinstance(at.value, str) else "layer"
    scope.shared_types.update(dict.fromkeys(visited, found))
    return found


def starts_alone(scope: Scope, entry: Tree) -> bool:
    """Return whether an entry takes no inputs, as a Parameter does: it is no part of the chain."""
    if entry.get("type") is None and entry.get("share") is None:
        return False
    layer = LAYERS.get(type_name(scope, entry))
    return layer is not None and layer.arity == (0, 0)


def share_options(scope: Scope, entry: Tree) -> tuple[str, ...]:
    """Return the keys of a share that are call arguments of its owner's layer, such as ``reverse``."""
    if entry.get("share") is None:
        return ()
    layer = LAYERS.get(type_name(scope, entry))
    return () if layer is None else layer.call_options
