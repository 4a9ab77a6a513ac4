"""Resolve ``share``: nodes and block instances that use the weights of another one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from graphspec.base.codes import Code
from graphspec.language.names import InputRef, Item, Scope, locate, suggest
from graphspec.language.tree import Problems, Tree, format_cycle


def resolve_shares(pending: deque[Item], build: Callable[[Item, Item], None], problems: Problems) -> None:
    """Set the owner of the weights of every share. A share of another share waits until that one is resolved.

    Args:
        pending: items of kind ``share``; ``build`` may append to it.
        build: fills an item with the block of another instance.
    """
    waiting: dict[Item, list[Item]] = {}
    blocked_on: dict[Item, Item] = {}
    while pending:
        item = pending.popleft()
        at = item.tree.value["share"]
        owner = locate(item.scope, at.value)
        if isinstance(owner, Item) and owner.kind == "share":
            waiting.setdefault(owner, []).append(item)
            blocked_on[item] = owner
            continue
        _resolve(item, at, owner, build, problems)
        blocked_on.pop(item, None)
        pending.extend(waiting.pop(item, ()))
    _report_cycles(blocked_on, problems)


def _resolve(
    item: Item, at: Tree, owner: Item | InputRef | None, build: Callable[[Item, Item], None], problems: Problems
) -> None:
    """Turn a share into a node or a block instance that uses the weights of ``owner``."""
    item.kind = "node"
    if isinstance(owner, Item) and owner.kind == "block":
        item.trainable = owner.trainable
        build(item, owner)
        if item.inner is not None and owner.inner is not None:
            _pair(item.inner, owner.inner)
    elif isinstance(owner, Item) and owner.kind == "node":
        item.owner = owner.owner or owner
        item.trainable, item.failed = item.owner.trainable, owner.failed
    else:
        item.failed = True
        if owner is not None:
            message = f"'{at.value}' is an input and has no weights to share"
            problems.value(at, Code.WRONG_SHARE, message, hint="name a node with weights")
            return
        if item.scope.incomplete:
            return
        output = ":" in at.value and locate(item.scope, at.value.partition(":")[0]) is not None
        hint = "`share` names a node, not one of its outputs" if output else suggest(item.scope, at.value)
        problems.value(
            at, Code.WRONG_SHARE, f"'{item.name}' shares the weights of an unknown node '{at.value}'", hint=hint
        )


def _report_cycles(blocked_on: Mapping[Item, Item], problems: Problems) -> None:
    """Report shares that wait for each other. Shares that wait for a cycle fail silently."""
    done: set[Item] = set()
    for start in blocked_on:
        path: dict[Item, None] = {}
        item = start
        while item not in done and item not in path:
            path[item] = None
            item = blocked_on[item]
        if item in path:
            items = list(path)
            loop = [i.name for i in items[items.index(item) :]]
            message = f"'{item.name}' shares weights that no node owns: {format_cycle(loop)}"
            problems.value(item.tree.value["share"], Code.WRONG_SHARE, message, hint="give one of them a `type`")
        done.update(path)
    for item in blocked_on:
        item.kind, item.failed = "node", True


def _pair(inner: Scope, owner: Scope) -> None:
    """Let the nodes of an instance use the weights of ``owner``, another instance of the same block."""
    for mine, theirs in zip(inner.items, owner.items, strict=False):
        if mine.inner is not None and theirs.inner is not None:
            _pair(mine.inner, theirs.inner)
        elif mine.kind == "node" and theirs.kind == "node":
            mine.owner = theirs.owner or theirs
            mine.failed = mine.failed or theirs.failed
