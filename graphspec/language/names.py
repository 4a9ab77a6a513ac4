"""Names of nodes, block instances, inputs and heads: their scopes, and the concrete outputs that they stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from graphspec.base.codes import Code
from graphspec.base.errors import Mark, Problems, did_you_mean, shorten
from graphspec.language.declarations import LABEL, LENGTH, STEPS, WEIGHT, HeadRefs, Ref
from graphspec.language.tree import Tree, describe, format_names, item_name
from graphspec.vocabulary.losses import LOSSES

if TYPE_CHECKING:
    from graphspec.vocabulary.layers.base import Layer, Number

MAX_NAME = 255
"""The longest name, in characters."""
_NAME = re.compile(r"(?=.*\w)[\w.-]+")


def is_name(text: str) -> bool:
    """Return whether ``text`` is a valid name: letters, digits, ``_``, ``-``, ``.``, and not too long."""
    return len(text) <= MAX_NAME and _NAME.fullmatch(text) is not None


def bad_name(subject: str, text: str) -> tuple[str, str]:
    """Return message and hint for an invalid name."""
    if len(text) > MAX_NAME:
        return (
            f"{subject} '{shorten(text)}' has {len(text):,} characters, at most {MAX_NAME}",
            "shorten it",
        )
    better = re.sub(r"[^\w.-]+", "_", text).strip("_")
    hint = f"for example '{better if is_name(better) else 'x'}'"
    return f"{subject} '{shorten(text)}' may contain only letters, digits, '_', '-' and '.'", hint


def snake_case(name: str) -> str:
    """Return the snake case of ``name`` by Keras's rule: ``MaxPooling2D`` → ``max_pooling2d``, ``ReLU`` → ``re_lu``.

    Of an operation it is the last part: ``ops.sum`` → ``sum``, ``onnx.ReduceSum`` → ``reduce_sum``.
    """
    name = re.sub(r"\W+", "", name.rpartition(".")[2])
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


EntryKind = Literal["node", "block", "share", "failed"]
"""The kind of an entry of ``layers``; ``failed`` if it is unknown because of an error."""


class Item:
    """An input of the spec, or one concrete copy of an entry of ``layers``.

    A ``share`` becomes a node or a block when its owner is known. A wrong entry remains a node with ``failed`` set.

    Attributes:
        full: the concrete name, such as ``mix/one`` inside a block instance.
        sources: the inputs; None for each one that is unknown.
        written: the numbers, lists of numbers and nulls among the inputs, by their positions.
        inner: for a block instance, the scope of its nodes.
        outputs: for a block instance, its outputs.
        owner: for a node that shares weights, the node that owns them.
        label: the kind in messages, if it is not the ``kind``: a column, a cross or a record.
    """

    __slots__ = (
        "failed",
        "full",
        "inner",
        "kind",
        "label",
        "mark",
        "name",
        "outputs",
        "owner",
        "scope",
        "sources",
        "trainable",
        "tree",
        "written",
    )

    def __init__(self, kind: Literal["input", "node", "block", "share"], name: str, scope: Scope, tree: Tree) -> None:
        self.kind: Literal["input", "node", "block", "share"] = kind
        self.name, self.full, self.scope, self.tree = name, scope.prefix + name, scope, tree
        self.mark = tree.first_key
        self.sources: list[InputRef | None] = []
        self.written: dict[int, Tree] = {}
        self.inner: Scope | None = None
        self.outputs: list[InputRef] = []
        self.owner: Item | None = None
        self.failed = False
        self.label = ""
        self.trainable = scope.trainable


class InputRef:
    """The source of an input: a name in ``scope``, or output 0 of an item.

    Attributes:
        at: the value in the document that contains the name.
        found: after resolution, the concrete node or input and its output; None if it is unknown.
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
        """Return the source with the name that ``at`` contains."""
        return cls(scope, at, mark=at.mark)

    @classmethod
    def unknown(cls, scope: Scope, mark: Mark) -> InputRef:
        """Return a source that is unknown because of a reported error."""
        source = cls(scope, mark=mark)
        source.state = "done"
        return source


class Scope:
    """The names of the document's top level, or of one block instance.

    Attributes:
        names: the item or the block input that each name stands for.
        default_inputs: the inputs of the spec or of the block. The first node reads them if it has no ``inputs``.
        positions: the mark and path of each name.
        reserved: names that must not become default names.
        written: the entries with a name, including those that are not built yet.
        shared_types: the types behind shared names, from which the default names of shares are derived.
        outermost: inside an instance, the entry of the document's ``layers`` that created it.
        stack: the names of the enclosing blocks, from the outside to the inside.
        incomplete: whether an error may hide declarations. Unknown names are then not reported.
    """

    def __init__(
        self, prefix: str, variables: Mapping[str, Tree], stack: tuple[str, ...], trainable: bool = True
    ) -> None:
        self.prefix, self.variables, self.stack, self.trainable = prefix, variables, stack, trainable
        self.names: dict[str, Item | InputRef] = {}
        self.positions: dict[str, tuple[Mark, str]] = {}
        self.default_inputs: dict[str, Item | InputRef] = {}
        self.items: list[Item] = []
        self.reserved: set[str] = set()
        self.written: dict[str, Tree] = {}
        self.shared_types: dict[str, str] = {}
        self.outermost: Tree | None = None
        self.clashes = 0
        self.incomplete = False
        self._counters: dict[str, int] = {}

    def default_name(self, type_name: str) -> str:
        """Return the next of ``conv2d_1``, ``conv2d_2``, … that is free."""
        base = snake_case(type_name) or "layer"
        while True:
            self._counters[base] = self._counters.get(base, 0) + 1
            name = f"{base}_{self._counters[base]}"
            if name not in self.names and name not in self.reserved:
                return name

    def nodes(self) -> list[Item]:
        """Return the nodes of this scope and of the instances in it, in the order of the file."""
        nodes: list[Item] = []
        for item in self.items:
            if item.inner is not None:
                nodes.extend(item.inner.nodes())
            elif item.kind == "node":
                nodes.append(item)
        return nodes


def resolve(source: InputRef, problems: Problems) -> Ref | None:
    """Return the concrete output that ``source`` stands for. Unknown names are reported once, at their position."""
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
        message = f"'{name}' depends on itself through blocks that only pass it on"
        hint = "give one of these blocks another input"
        problems.at(current.mark, Code.CYCLE, message, path="" if current.at is None else current.at.path, hint=hint)
        current.found = None
    for passed in chain:
        passed.found, passed.state = current.found, "done"
    if source.found is None:
        return None
    return Ref(*source.found, source.mark, "" if source.at is None else source.at.path)


def _step(source: InputRef, problems: Problems) -> InputRef | tuple[str, int] | None:
    """Return the next source towards the concrete output, or the output itself."""
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
        subject = "block instance" if outputs != 1 or (isinstance(item, Item) and item.kind == "block") else "input"
        word = "output" if outputs == 1 else "outputs"
        hint = f"outputs count from 0: '{name}:{outputs - 1}' is the last" if outputs > 1 else f"write '{name}'"
        problems.value(
            at, Code.UNKNOWN_NODE, f"'{text}' does not exist: {subject} '{name}' has {outputs} {word}", hint=hint
        )
        return None
    return _output(item, output)


def _output(item: Item | InputRef | None, output: int) -> InputRef | tuple[str, int] | None:
    """Return output ``output`` of an item: the source inside a block instance, or the concrete output of a node."""
    if item is None or isinstance(item, InputRef):
        return item
    if item.kind == "block":
        return item.outputs[output] if output < len(item.outputs) else None
    return item.full, output


def locate(scope: Scope, name: str) -> Item | InputRef | None:
    """Return the item of ``name`` (``mix/one`` inside an instance) in ``scope``. Inside a failed item, return that item."""
    if (of_record := scope.names.get(name)) is not None:
        return of_record
    first, *parts = name.split("/")
    item = scope.names.get(first)
    column = scope.names.get("/".join((first, *parts[:1])))
    if isinstance(column, Item) and column.failed:
        return column
    for part in parts:
        if not isinstance(item, Item):
            return None
        if (item.failed and not item.label) or item.kind == "share":
            return item
        inner = None if item.inner is None else item.inner.names.get(part)
        item = inner if isinstance(inner, Item) else None
    return item


def suggest(scope: Scope, name: str) -> str | None:
    """Return a hint for an unknown ``name``."""
    head, slash, _ = name.rpartition("/")
    if slash:
        instance = locate(scope, head)
        if isinstance(instance, Item) and instance.inner is not None:
            known = [f"{head}/{inner}" for inner, item in instance.inner.names.items() if isinstance(item, Item)]
            return did_you_mean(name, known) or f"the nodes of '{head}' are {format_names(known)}"
        record = f"{head.split('/')[0]}/"
        if known := [of_record for of_record in scope.names if of_record.startswith(record)]:
            return did_you_mean(name, known) or f"the nodes of '{record[:-1]}' are {format_names(known)}"
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
    return close or (f"the known names are {format_names(scope.names)}" if scope.names else None)


# The common namespace of inputs, nodes and heads.
Position = tuple[Mark, str]
"""A mark and a path."""


def claim(scope: Scope, name: str, item: Item | InputRef, mark: Mark, path: str, kind: str, problems: Problems) -> None:
    """Let ``name`` stand for ``item`` in ``scope``. Report a clash at the later of both positions (GS107)."""
    if kind == "input" and not is_name(name):
        message, hint = bad_name("input name", name)
        problems.at(mark, Code.VALUE_NOT_ALLOWED, message, path=path, hint=hint)
    other = scope.positions.get(name)
    if other is None:
        scope.names[name], scope.positions[name] = item, (mark, path)
        return
    _clash(name, (mark, path), kind, other, _kind(scope.names[name]), problems)
    if isinstance(item, Item) and scope.names[name] is not item:
        scope.clashes += 1
        item.full += f"#{scope.clashes + 1}"  # a unique concrete name: checking continues


def _kind(item: Item | InputRef) -> str:
    """Return the kind of an item in messages."""
    if isinstance(item, InputRef):
        return "block input"
    if item.label:
        return item.label
    if item.kind != "input" and item.name != (written := item_name(item.tree)) and item.tree.get("repeat") is not None:
        return f"copy of '{shorten(written or '')}'"
    return "input" if item.kind == "input" else "node"


def _clash(name: str, new: Position, new_kind: str, old: Position, old_kind: str, problems: Problems) -> None:
    """Report a name that is used twice at the later position."""
    if _order(new) < _order(old):
        new, new_kind, old, old_kind = old, old_kind, new, new_kind
    line = old[0].line
    where = f" at line {line}" if line is not None else ""
    article = "an" if old_kind == "input" else "a"
    message = f"{new_kind} '{name}' has the name of {article} {old_kind}{where}"
    hint = "rename one of them: inputs, nodes and heads share one namespace"
    if new_kind == old_kind == "cross":
        hint = "remove one of them"
    elif "column" in (new_kind, old_kind):
        hint = f"write the column under another key: `{name}_2: {{column: {name}, type: …}}`"
        if "head" in (new_kind, old_kind):
            hint = f"remove it from `columns` if it is the target, or {hint}"
    problems.at(new[0], Code.DUPLICATE_NAME, message, path=new[1], hint=hint, subject=name)


def _order(position: Position) -> tuple[bool, int, int]:
    """Return the sort key of a position: line and column. Positions in a dict or an override come after a file."""
    mark = position[0]
    return (mark.line is None, mark.line or 0, mark.column or 0)


def resolve_heads(top: Scope, outputs: Tree | None, problems: Problems) -> dict[str, HeadRefs]:
    """Return the nodes of each head. Check the heads' names and the names that are generated from them."""
    if outputs is None or not isinstance(outputs.value, dict):
        return {}
    heads: dict[str, HeadRefs] = {}
    positions = dict(top.positions)
    for name, head in outputs.value.items():
        mark = outputs.key_marks.get(name, head.mark)
        path = outputs.child_path(name)
        if not is_name(name):
            message, hint = bad_name("head name", name)
            problems.at(mark, Code.VALUE_NOT_ALLOWED, message, path=path, hint=hint)
        layers = _resolve_layers(top, name, head, mark, path, problems)
        heads[name] = HeadRefs(layers, _resolve_target(top, name, head, problems))
        positions.setdefault(name, (mark, path))
    for name, head in outputs.value.items():
        for suffix, purpose in _generated(head):
            generated = f"{name}{suffix}"
            if generated in positions:
                own = (outputs.key_marks.get(name, head.mark), outputs.child_path(name))
                later = max((positions[generated], own), key=_order)
                line = positions[generated][0].line
                where = f" at line {line}" if line is not None else ""
                kind = _kind(top.names[generated]) if generated in top.names else "head"
                message = f"{kind} '{generated}'{where} has the name of {purpose} of head '{name}'"
                problems.at(
                    later[0], Code.DUPLICATE_NAME, message, path=later[1], subject=generated, hint="rename one of them"
                )
    return heads


_NAME_HINT = "write a node's name, or `name:k` for its output k"


def _resolve_target(top: Scope, name: str, head: Tree, problems: Problems) -> Ref | None:
    """Return the input or node with which a head's loss compares; None if it compares with the data, or if it is wrong."""
    target = head.get("target")
    if target is None or target.unknown or target.value is None:
        return None
    if not isinstance(target.value, str):
        message = f"`target` of head '{name}' must be the name of an input or a node, not {describe(target)}"
        problems.value(target, Code.WRONG_TYPE, message, hint=_NAME_HINT)
        return None
    return resolve(InputRef.named(top, target), problems)


def _resolve_layers(
    top: Scope, name: str, head: Tree, mark: Mark, path: str, problems: Problems
) -> tuple[Ref | None, ...]:
    """Return the source of a head, or the sources of a loss over several nodes: a list in ``layer``."""
    layer = head.get("layer")
    if layer is None or not isinstance(layer.value, list) or layer.unknown:
        return (_resolve_head(top, name, head, mark, path, problems),)
    own = top.names.get(name)
    if own is not None:
        _clash(name, (mark, path), "head", top.positions[name], _kind(own), problems)
    if not layer.value:
        problems.value(layer, Code.WRONG_INPUT_COUNT, f"`layer` of head '{name}' is empty", hint=_NAME_HINT)
        return (None,)
    found: list[Ref | None] = []
    for item in layer.value:
        if isinstance(item.value, str):
            found.append(resolve(InputRef.named(top, item), problems))
            continue
        if not item.unknown:
            message = f"`layer` of head '{name}' must contain names, not {describe(item)}"
            problems.value(item, Code.WRONG_TYPE, message, hint=_NAME_HINT)
        found.append(None)
    return tuple(found)


def _resolve_head(top: Scope, name: str, head: Tree, mark: Mark, path: str, problems: Problems) -> Ref | None:
    """Return the source of a head: ``layer``, or the node of the same name."""
    layer = head.get("layer")
    own = top.names.get(name)
    if layer is None or layer.unknown:
        if isinstance(own, Item) and own.kind == "input":
            _clash(name, (mark, path), "head", top.positions[name], _kind(own), problems)
            return None
        if layer is None and not top.incomplete and locate(top, name) is None:
            message = f"head '{name}' has no `layer`, and no node is called '{name}'"
            hint = suggest(top, name) or "name its node: `layer: …`"
            problems.at(mark, Code.UNKNOWN_NODE, message, path=path, hint=hint)
            return None
        return None if layer is not None else resolve(InputRef.named(top, Tree(name, mark, path=path)), problems)
    if not isinstance(layer.value, str):
        message = f"`layer` of head '{name}' must be the name of a node, not {describe(layer)}"
        problems.value(layer, Code.WRONG_TYPE, message, hint=_NAME_HINT)
        return None
    ref = resolve(InputRef.named(top, layer), problems)
    named = locate(top, layer.value.partition(":")[0])
    if isinstance(named, Item) and named.kind == "input":
        message = f"`layer` of head '{name}' is the input '{named.name}', not a node"
        hint = f"put `{{type: Activation, activation: linear, inputs: {named.name}}}` between them"
        problems.value(layer, Code.UNKNOWN_NODE, message, hint=hint)
        return None
    if own is not None and own is not named:
        _clash(name, (mark, path), "head", top.positions[name], _kind(own), problems)
    return ref


def _generated(head: Tree) -> list[tuple[str, str]]:
    """Return the suffixes of the ONNX outputs and data arrays that a head adds, each with its purpose."""
    suffixes = []
    if head.get("labels") is not None:
        suffixes.append((LABEL, "the label output"))
    loss = head.get("loss")
    if loss is not None and loss.value is not None:
        suffixes.append((WEIGHT, "the sample weights"))
        kind = loss.get("type") or loss
        cls = LOSSES.get(kind.value) if isinstance(kind.value, str) else None
        if cls is not None and cls.targets == "labels":
            suffixes += [(LENGTH, "the label lengths"), (STEPS, "the numbers of time steps")]
    return suffixes


# Numbers in place of inputs: ``inputs: [x, 1.0]``, ``[x, [0, -1]]``, and null for an optional input that is absent.
def written_inputs(entry: Tree) -> dict[int, Tree]:
    """Return the numbers, lists of numbers and nulls in the list ``inputs`` of an entry, by their positions."""
    inputs = entry.get("inputs")
    items = inputs.value if inputs is not None and isinstance(inputs.value, list) else ()
    return {k: item for k, item in enumerate(items) if _is_number(item) or _is_vector(item) or _is_null(item)}


def refuse(value: Tree, key: str, problems: Problems, hint: str = "") -> None:
    """Report a value in a list of names that is no name."""
    hint = hint or "write a node's name, or `name:k` for its output k"
    problems.value(value, Code.WRONG_TYPE, f"`{key}` must contain names, not {describe(value)}", hint=hint)


def check_written(item: Item, cls: type[Layer] | None, problems: Problems) -> dict[int, Number | None] | None:
    """Return the numbers among the inputs of a node; None if the layer does not take them, which is reported."""
    wrong = False
    for value in item.written.values():
        if cls is None:
            wrong = True
        elif _is_null(value) and not cls.takes_absent:
            refuse(value, "inputs", problems)
            wrong = True
        elif not _is_null(value) and not cls.takes_numbers:
            hint = "operations (`ops.add`), ONNX's operators and layers such as Add and Multiply take numbers, too"
            refuse(value, "inputs", problems, hint)
            wrong = True
    inputs = item.tree.get("inputs")
    if inputs is not None and item.written and not wrong and len(item.written) == len(inputs.value):
        hint = "name at least one node or input"
        problems.value(inputs, Code.WRONG_INPUT_COUNT, "`inputs` names no node", hint=hint)
        wrong = True
    return None if wrong else {k: value.plain() for k, value in item.written.items()}


def _is_number(value: Tree) -> bool:
    return isinstance(value.value, int | float) and not isinstance(value.value, bool) and not value.unknown


def _is_vector(value: Tree) -> bool:
    return isinstance(value.value, list) and bool(value.value) and all(map(_is_number, value.value))


def _is_null(value: Tree) -> bool:
    return value.value is None and not value.unknown
