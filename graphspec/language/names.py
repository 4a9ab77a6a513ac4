"""Names: what a node, block instance or input is called, who sees it, and which concrete output a name stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from graphspec.codes import Code
from graphspec.errors import Mark, did_you_mean, shorten
from graphspec.language.declarations import Ref
from graphspec.language.tree import Problems, Tree, listed

MAX_NAME = 255
_NAME = re.compile(r"(?=.*\w)[\w.-]+")


def is_name(text: str) -> bool:
    """Letters, digits, ``_``, ``-``, ``.``; not too many."""
    return len(text) <= MAX_NAME and _NAME.fullmatch(text) is not None


def bad_name(what: str, text: str) -> tuple[str, str]:
    """The message about a name that is none, and one that would do."""
    if len(text) > MAX_NAME:
        return f"{what} '{shorten(text)}' has {len(text):,} characters, at most {MAX_NAME}", "shorten it"
    better = re.sub(r"[^\w.-]+", "_", text).strip("_")
    hint = f"such as '{better if is_name(better) else 'x'}'"
    return f"{what} '{shorten(text)}' may have only letters, digits, '_', '-' and '.'", hint


def snake_case(name: str) -> str:
    """As Keras names its layers: ``MaxPooling2D`` → ``max_pooling2d``, ``ReLU`` → ``re_lu``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


Kind = Literal["node", "block", "share", "failed"]
"""What an entry of ``layers`` is; ``failed`` if that cannot be said."""


class Item:
    """An entry of ``layers`` made concrete (one of its copies), or an input of the spec.

    A ``share`` becomes a node or a block when its owner is known. An entry that is wrong stays a node, ``failed``.

    Attributes:
        full: the concrete name, ``mix/one`` inside a block instance.
        inner, outputs: for a block instance.
        owner: for a node, the first owner of the weights that it shares.
    """

    __slots__ = (
        "failed",
        "full",
        "inner",
        "kind",
        "mark",
        "name",
        "outputs",
        "owner",
        "scope",
        "sources",
        "trainable",
        "tree",
    )

    def __init__(self, kind: Literal["input", "node", "block", "share"], name: str, scope: Scope, tree: Tree) -> None:
        self.kind: Literal["input", "node", "block", "share"] = kind
        self.name, self.full, self.scope, self.tree = name, scope.prefix + name, scope, tree
        self.mark = tree.first_key
        self.sources: list[InputRef | None] = []
        self.inner: Scope | None = None
        self.outputs: list[InputRef] = []
        self.owner: Item | None = None
        self.failed = False
        self.trainable = scope.trainable


class InputRef:
    """Where an input comes from: a name as it is seen in ``scope``, or an item's output 0.

    Attributes:
        at: the value that says the name.
        found: the concrete node or input and its output, once resolved; None if it cannot be known.
    """

    __slots__ = ("at", "found", "item", "mark", "scope", "state")

    def __init__(
        self, scope: Scope, at: Tree | None = None, *, item: Item | InputRef | None = None, mark: Mark
    ) -> None:
        self.scope, self.at, self.item, self.mark = scope, at, item, mark
        self.found: tuple[str, int] | None = None
        self.state: Literal["new", "open", "done"] = "new"

    @classmethod
    def named(cls, scope: Scope, at: Tree) -> InputRef:
        return cls(scope, at, mark=at.mark)

    @classmethod
    def unknown(cls, scope: Scope, mark: Mark) -> InputRef:
        source = cls(scope, mark=mark)
        source.state = "done"
        return source


class Scope:
    """The names that are seen at one place: the document's top, or the inside of one block instance.

    Attributes:
        names: what a name stands for: an item, or a block's input.
        entrance: what the first node takes if it does not say: the spec's inputs, or the block's.
        places: the mark and path of each name.
        reserved: names that no default name may take.
        incomplete: whether names may be missing because what declares them is wrong; unknown names then say nothing.
        written: the entries that have a name, to look ahead.
        kinds: the types that shared names lead to, after which shares without a name are called.
        outermost: inside an instance, the entry of the document's ``layers`` that it belongs to.
        stack: the names of the blocks around it, its own last.
    """

    def __init__(
        self, prefix: str, variables: Mapping[str, Tree], stack: tuple[str, ...], trainable: bool = True
    ) -> None:
        self.prefix, self.variables, self.stack, self.trainable = prefix, variables, stack, trainable
        self.names: dict[str, Item | InputRef] = {}
        self.places: dict[str, tuple[Mark, str]] = {}
        self.entrance: dict[str, Item | InputRef] = {}
        self.items: list[Item] = []
        self.reserved: set[str] = set()
        self.written: dict[str, Tree] = {}
        self.kinds: dict[str, str] = {}
        self.outermost: Tree | None = None
        self.clashes = 0
        self.incomplete = False
        self._counters: dict[str, int] = {}

    def default_name(self, kind: str) -> str:
        """``conv2d_1``, ``conv2d_2``, …, skipping what is taken."""
        base = snake_case(kind) or "layer"
        while True:
            self._counters[base] = self._counters.get(base, 0) + 1
            name = f"{base}_{self._counters[base]}"
            if name not in self.names and name not in self.reserved:
                return name


def resolve(source: InputRef, problems: Problems) -> Ref | None:
    """The concrete output that ``source`` stands for; what is unknown is reported once, where it is named."""
    chain: list[InputRef] = []
    current = source
    while current.state == "new":
        current.state = "open"
        chain.append(current)
        step = _step(current, problems)
        if not isinstance(step, InputRef):
            current.found = step
            current.state = "done"
            break
        current = step
    if current.state == "open":
        name = current.at.value if current.at is not None else source.scope.prefix.rstrip("/")
        message = f"'{name}' comes back to itself through blocks that only pass it on"
        hint = "let one of these blocks take another input"
        problems.at(current.mark, Code.CYCLE, message, path="" if current.at is None else current.at.path, hint=hint)
        current.found = None
    for passed in chain:
        passed.found, passed.state = current.found, "done"
    if source.found is None:
        return None
    return Ref(*source.found, source.mark, "" if source.at is None else source.at.path)


def _step(source: InputRef, problems: Problems) -> InputRef | tuple[str, int] | None:
    """One step towards the concrete output."""
    at = source.at
    if at is None:
        return _output(source.item, 0)
    text: str = at.value
    name, colon, index = text.partition(":")
    if colon and not re.fullmatch(r"[0-9]{1,6}", index):
        problems.value(at, Code.UNKNOWN_NODE, f"'{text}' names no output", hint=f"`{name}:1` is output 1 of '{name}'")
        return None
    item = locate(source.scope, name)
    if item is None:
        if not source.scope.incomplete:
            problems.value(at, Code.UNKNOWN_NODE, f"unknown node '{name}'", hint=suggest(source.scope, name))
        return None
    output = int(index) if colon else 0
    outputs = (
        1 if isinstance(item, InputRef) or item.kind == "input" else len(item.outputs) if item.kind == "block" else None
    )
    if outputs is not None and output >= outputs:
        kind = "block instance" if outputs != 1 or (isinstance(item, Item) and item.kind == "block") else "input"
        word = "output" if outputs == 1 else "outputs"
        hint = f"they count from 0: '{name}:{outputs - 1}' is the last" if outputs > 1 else f"write '{name}'"
        problems.value(
            at, Code.UNKNOWN_NODE, f"'{text}' does not exist: {kind} '{name}' has {outputs} {word}", hint=hint
        )
        return None
    return _output(item, output)


def _output(item: Item | InputRef | None, output: int) -> InputRef | tuple[str, int] | None:
    if item is None or isinstance(item, InputRef):
        return item
    if item.kind == "block":
        return item.outputs[output] if output < len(item.outputs) else None
    return item.full, output


def locate(scope: Scope, name: str) -> Item | InputRef | None:
    """What ``name`` (``mix/one`` inside an instance) stands for in ``scope``; what is inside a failed item is that item."""
    first, *rest = name.split("/")
    item = scope.names.get(first)
    for part in rest:
        if not isinstance(item, Item):
            return None
        if item.failed or item.kind == "share":
            return item
        inner = None if item.inner is None else item.inner.names.get(part)
        item = inner if isinstance(inner, Item) else None
    return item


def suggest(scope: Scope, name: str) -> str | None:
    """A fix for an unknown ``name``."""
    head, slash, _ = name.rpartition("/")
    if slash:
        around = locate(scope, head)
        if isinstance(around, Item) and around.inner is not None:
            known = [f"{head}/{inner}" for inner, item in around.inner.names.items() if isinstance(item, Item)]
            return did_you_mean(name, known) or f"'{head}' has {listed(known)}"
        name = head.split("/")[0]
    if (match := re.fullmatch(r"(.+)_\d+", name)) and (entry := scope.written.get(match[1])) is not None:
        repeat = entry.get("repeat")
        if repeat is not None and isinstance(repeat.value, int):
            return f"the copies are '{match[1]}_1' to '{match[1]}_{repeat.value}'"
    close = did_you_mean(name, scope.names)
    if close is None and scope.stack:
        return (
            f"block '{scope.stack[-1]}' sees only its inputs and its own nodes; pass the value as one of its `inputs`"
        )
    return close or (f"there are {listed(scope.names)}" if scope.names else None)
