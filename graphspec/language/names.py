"""Names of nodes, block instances, inputs and heads: their scopes, and the concrete outputs that they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from graphspec.base.errors import NOWHERE, Code, Mark, Problems, did_you_mean, shorten
from graphspec.language.declarations import BOUNDS, LABEL, LENGTH, STEPS, WEIGHT, HeadRefs, Ref
from graphspec.language.tree import Tree, format_names, wrong_type
from graphspec.vocabulary.losses import LOSSES

if TYPE_CHECKING:
    from graphspec.vocabulary.layers.layer import Layer, Number

MAX_NAME = 255  # the longest name, in characters
NAME_HINT = "write a node's name, or `name:k` for its output k"
_NAME = re.compile(r"(?=.*\w)[\w.-]+")


def is_name(text: str) -> bool:
    """Return whether ``text`` is a valid name: letters, digits, ``_``, ``-``, ``.``, and not too long."""
    return len(text) <= MAX_NAME and _NAME.fullmatch(text) is not None


def bad_name(subject: str, text: str) -> tuple[str, str]:
    """Return message and hint for an invalid name."""
    if len(text) > MAX_NAME:
        return f"{subject} '{shorten(text)}' has {len(text):,} characters, at most {MAX_NAME}", "shorten it"
    better = re.sub(r"[^\w.-]+", "_", text).strip("_")
    hint = f"for example '{better if is_name(better) else 'x'}'"
    return f"{subject} '{shorten(text)}' may contain only letters, digits, '_', '-' and '.'", hint


def check_name(subject: str, text: str, report: Callable[..., None]) -> None:
    """Report an invalid name by ``report``, a method of Problems that has its place."""
    if not is_name(text):
        message, hint = bad_name(subject, text)
        report(Code.VALUE_NOT_ALLOWED, message, hint=hint)


def snake_case(name: str) -> str:
    """Return the snake case of ``name`` by Keras's rule: ``MaxPooling2D`` → ``max_pooling2d``, ``ReLU`` → ``re_lu``.

    Of an operation it is the last part: ``ops.sum`` → ``sum``, ``onnx.ReduceSum`` → ``reduce_sum``.
    """
    name = re.sub(r"\W+", "", name.rpartition(".")[2])
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


EntryKind = Literal["node", "block", "share", "failed"]  # of an entry; ``failed``: unknown because of an error


class Item:
    """An input of the spec, or one concrete copy of an entry of ``layers``.

    A ``share`` becomes a node or a block when its owner is known. A wrong entry remains a node with ``failed`` set.
    ``full`` is the concrete name, ``mix/one``; ``label`` the kind in messages of a column, a cross or a record.
    """

    __slots__ = (
        *("average", "failed", "full", "inner", "kind", "label", "mark", "name"),
        *("outputs", "owner", "scope", "sources", "trainable", "tree", "written"),
    )

    def __init__(self, kind: Literal["input", "node", "block", "share"], name: str, scope: Scope, tree: Tree) -> None:
        self.kind: Literal["input", "node", "block", "share"] = kind
        self.name, self.full, self.scope, self.tree = name, scope.prefix + name, scope, tree
        self.mark = tree.first_key
        self.sources: Sources = []
        self.written: dict[int, Tree] = {}  # numbers, lists of numbers and nulls among the inputs, by position
        self.inner: Scope | None = None  # for a block instance, the scope of its nodes
        self.outputs: list[InputRef] = []  # for a block instance, its outputs
        self.owner: Item | None = None  # for a node that shares weights, the node that owns them
        self.average: float | None = None  # of a step: its weights are running means of the owner's
        self.failed, self.label, self.trainable = False, "", scope.trainable


class InputRef:
    """The source of an input: the name in the value ``at`` in ``scope``, or an output of an item."""

    __slots__ = ("at", "found", "hint", "item", "mark", "output", "scope", "state")

    def __init__(
        self, scope: Scope, at: Tree | None = None, item: Named | None = None, mark: Mark = NOWHERE, known: bool = True
    ) -> None:
        self.scope, self.at, self.item = scope, at, item
        self.mark = mark if at is None else at.mark
        self.hint: str | None = None  # what to write if the name is unknown
        self.output = 0  # of the item
        self.found: tuple[str, int] | None = None  # after resolution, the concrete node or input and its output
        self.state: Literal["new", "open", "done"] = "new" if known else "done"  # an error hides what is not known


Named: TypeAlias = Item | InputRef  # what a name stands for
Sources: TypeAlias = list[InputRef | None]  # the inputs of an item; None for each one that is unknown


class Scope:
    """The names of the document's top level, or of one block instance in a ``stack`` of blocks, the outer ones first."""

    def __init__(self, prefix: str, variables: Mapping[str, Tree], stack: tuple[str, ...] = ()) -> None:
        self.prefix, self.variables, self.stack, self.trainable = prefix, variables, stack, True
        self.names: dict[str, Named] = {}  # the item or the block input that each name stands for
        self.positions: dict[str, tuple[Mark, str]] = {}  # the mark and path of each name
        self.default_inputs: dict[str, Named] = {}  # those that the first node reads without ``inputs``
        self.items: list[Item] = []
        self.reserved: set[str] = set()  # names that must not become default names
        self.written: dict[str, Tree] = {}  # the entries with a name, including those that are not built yet
        self.shared_types: dict[str, str] = {}  # the types behind shared names, for default names of shares
        self.outermost: Tree | None = None  # inside an instance, the entry of the document's ``layers`` that created it
        self.clashes = 0
        self.incomplete = False  # whether an error may hide declarations. Unknown names are then not reported
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
        inner = ([item] if item.inner is None else item.inner.nodes() for item in self.items)
        return [item for items in inner for item in items if item.kind == "node"]


def resolve(source: InputRef, problems: Problems) -> Ref | None:
    """Return the concrete output that ``source`` stands for. Unknown names are reported once, at their position."""
    chain: list[InputRef] = []
    current = source
    while current.state == "new":
        current.state = "open"
        chain.append(current)
        step = _step(current, problems)
        if not isinstance(step, InputRef):
            current.found, current.state = step, "done"
            break
        current = step
    at, path = current.at, "" if current.at is None else current.at.path
    if current.state == "open":
        name = source.scope.prefix.rstrip("/") if at is None else at.value
        message = f"'{name}' depends on itself through blocks that only pass it on"
        problems.at(current.mark, Code.CYCLE, message, path=path, hint="give one of these blocks another input")
        current.found = None
    for passed in chain:
        passed.found, passed.state = current.found, "done"
    if source.found is None:
        return None
    return Ref(*source.found, source.mark, "" if source.at is None else source.at.path)


def resolve_name(scope: Scope, at: Tree, message: str, problems: Problems) -> Ref | None:
    """Return the output that a value names. A value that is no text is reported with ``message``."""
    if isinstance(at.value, str):
        return resolve(InputRef(scope, at), problems)
    if not at.unknown:
        wrong_type(at, message, problems, NAME_HINT)
    return None


def _step(source: InputRef, problems: Problems) -> InputRef | tuple[str, int] | None:
    """Return the next source towards the concrete output, or the output itself."""
    at = source.at
    if at is None:
        return _output(source.item, source.output)
    text: str = at.value
    name, colon, index = text.partition(":")
    if colon and not re.fullmatch(r"[0-9]{1,6}", index):
        problems.value(at, Code.UNKNOWN_NODE, f"'{text}' names no output", hint=f"`{name}:1` is output 1 of '{name}'")
        return None
    item = locate(source.scope, name)
    if item is None:
        if not source.scope.incomplete:
            hint = source.hint or suggest(source.scope, name)
            problems.value(at, Code.UNKNOWN_NODE, f"unknown node '{name}'", hint=hint)
        return None
    output = int(index) if colon else 0
    is_block = isinstance(item, Item) and item.kind == "block"
    if isinstance(item, Item) and item.kind not in ("block", "input"):
        return item.full, output
    outputs = len(item.outputs) if isinstance(item, Item) and is_block else 1
    if output >= outputs:
        subject = "block instance" if is_block else "input"
        message = f"'{text}' does not exist: {subject} '{name}' has {outputs} {'output' if outputs == 1 else 'outputs'}"
        hint = f"outputs count from 0: '{name}:{outputs - 1}' is the last" if outputs > 1 else f"write '{name}'"
        problems.value(at, Code.UNKNOWN_NODE, message, hint=hint)
        return None
    return _output(item, output)


def _output(item: Named | None, output: int) -> InputRef | tuple[str, int] | None:
    """Return output ``output`` of an item: the source inside a block instance, or the concrete output of a node."""
    if item is None or isinstance(item, InputRef):
        return item
    if item.kind == "block":
        return item.outputs[output] if output < len(item.outputs) else None
    return item.full, output


def locate(scope: Scope, name: str) -> Named | None:
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
        first = head.split("/")[0]
        if isinstance(instance, Item) and instance.inner is not None:
            known = [f"{head}/{inner}" for inner, item in instance.inner.names.items() if isinstance(item, Item)]
            return did_you_mean(name, known) or f"the nodes of '{head}' are {format_names(known)}"
        if known := [of_record for of_record in scope.names if of_record.startswith(f"{first}/")]:
            return did_you_mean(name, known) or f"the nodes of '{first}' are {format_names(known)}"
        name = first
    if (match := re.fullmatch(r"(.+)_\d+", name)) and (entry := scope.written.get(match[1])) is not None:
        repeat = entry.get("repeat")
        if repeat is not None and isinstance(repeat.value, int):
            return f"the copies are '{match[1]}_1' to '{match[1]}_{repeat.value}'"
    if (close := did_you_mean(name, scope.names)) is not None:
        return close
    if scope.stack:
        seen = f"block '{scope.stack[-1]}' sees only its inputs and its own nodes"
        return f"{seen}; pass the value as one of its `inputs`"
    return f"the known names are {format_names(scope.names)}" if scope.names else None


# The common namespace of inputs, nodes and heads.
Position = tuple[Mark, str]  # a mark and a path


def claim(scope: Scope, name: str, item: Named, at: Position, kind: str, problems: Problems) -> None:
    """Let ``name`` stand for ``item`` in ``scope``. Report a clash at the later of both positions (GS107)."""
    if kind == "input":
        check_name("input name", name, partial(problems.at, at[0], path=at[1]))
    if name not in scope.positions:
        scope.names[name], scope.positions[name] = item, at
        return
    _clash(scope, name, at, kind, problems)
    if isinstance(item, Item) and scope.names[name] is not item:
        scope.clashes += 1
        item.full += f"#{scope.clashes + 1}"  # a unique concrete name: checking continues


def _kind(item: Named) -> str:
    if isinstance(item, InputRef):
        return "block input"
    if item.label:
        return item.label
    written = item.tree.text("name")
    if item.kind != "input" and item.name != written and item.tree.get("repeat") is not None:
        return f"copy of '{shorten(written or '')}'"
    return "input" if item.kind == "input" else "node"


def _clash(scope: Scope, name: str, new: Position, new_kind: str, problems: Problems) -> None:
    """Report a name of ``scope`` that is used again, at the later position."""
    old, old_kind = scope.positions[name], _kind(scope.names[name])
    if _order(new) < _order(old):
        new, new_kind, old, old_kind = old, old_kind, new, new_kind
    article = "an" if old_kind == "input" else "a"
    message = f"{new_kind} '{name}' has the name of {article} {old_kind}{_at_line(old)}"
    hint = "rename one of them: inputs, nodes and heads share one namespace"
    if new_kind == old_kind == "cross":
        hint = "remove one of them"
    elif "column" in (new_kind, old_kind):
        hint = f"write the column under another key: `{name}_2: {{column: {name}, type: …}}`"
        if "head" in (new_kind, old_kind):
            hint = f"remove it from `columns` if it is the target, or {hint}"
    problems.at(new[0], Code.DUPLICATE_NAME, message, path=new[1], hint=hint, subject=name)


def _at_line(position: Position) -> str:
    return "" if position[0].line is None else f" at line {position[0].line}"


def _order(position: Position) -> tuple[bool, int, int]:
    """Return the sort key of a position: line and column. Positions in a dict or an override come after a file."""
    mark = position[0]
    return (mark.line is None, mark.line or 0, mark.column or 0)


def resolve_heads(top: Scope, outputs: Tree | None, problems: Problems) -> dict[str, HeadRefs]:
    """Return the nodes of each head. Check the heads' names and the names that are generated from them."""
    if outputs is None or not isinstance(outputs.value, dict):
        return {}
    heads: dict[str, HeadRefs] = {}
    marks = {name: outputs.key_marks.get(name, head.mark) for name, head in outputs.value.items()}
    own = {name: (mark, outputs.child_path(name)) for name, mark in marks.items()}
    for name, head in outputs.value.items():
        check_name("head name", name, partial(problems.at, own[name][0], path=own[name][1]))
        layers = _resolve_layers(top, name, head, own[name], problems)
        others = []
        for keys in (("target",), ("scale", "window")):
            at, key = head.find(keys)[0], ".".join(keys)
            message = f"`{key}` of head '{name}' must be the name of an input or a node"
            has_name = at is not None and at.value is not None and not at.unknown
            others.append(resolve_name(top, at, message, problems) if at and has_name else None)
        heads[name] = HeadRefs(layers, *others)
    positions = own | top.positions
    for name, head in outputs.value.items():
        for suffix, purpose in _generated(head):
            generated = f"{name}{suffix}"
            if generated in positions:
                mark, path = max((positions[generated], own[name]), key=_order)
                kind = _kind(top.names[generated]) if generated in top.names else "head"
                where = _at_line(positions[generated])
                message = f"{kind} '{generated}'{where} has the name of {purpose} of head '{name}'"
                problems.at(mark, Code.DUPLICATE_NAME, message, path=path, subject=generated, hint="rename one of them")
    return heads


def _resolve_layers(top: Scope, name: str, head: Tree, at: Position, problems: Problems) -> tuple[Ref | None, ...]:
    """Return the source of a head, or the sources of a loss over several nodes: a list in ``layer``."""
    layer = head.get("layer")
    if layer is None or not isinstance(layer.value, list) or layer.unknown:
        return (_resolve_head(top, name, layer, at, problems),)
    if name in top.names:
        _clash(top, name, at, "head", problems)
    if not layer.value:
        problems.value(layer, Code.WRONG_INPUT_COUNT, f"`layer` of head '{name}' is empty", hint=NAME_HINT)
        return (None,)
    message = f"`layer` of head '{name}' must contain names"
    return tuple(resolve_name(top, item, message, problems) for item in layer.value)


def _resolve_head(top: Scope, name: str, layer: Tree | None, at: Position, problems: Problems) -> Ref | None:
    """Return the source of a head: ``layer``, or the node of the same name."""
    own = top.names.get(name)
    if layer is None or layer.unknown:
        if isinstance(own, Item) and own.kind == "input":
            _clash(top, name, at, "head", problems)
        elif layer is None and not top.incomplete and locate(top, name) is None:
            message = f"head '{name}' has no `layer`, and no node is called '{name}'"
            hint = suggest(top, name) or "name its node: `layer: …`"
            problems.at(at[0], Code.UNKNOWN_NODE, message, path=at[1], hint=hint)
        elif layer is None:
            return resolve(InputRef(top, Tree(name, at[0], path=at[1])), problems)
        return None
    ref = resolve_name(top, layer, f"`layer` of head '{name}' must be the name of a node", problems)
    if not isinstance(layer.value, str):
        return None
    node = locate(top, layer.value.partition(":")[0])
    if isinstance(node, Item) and node.kind == "input":
        message = f"`layer` of head '{name}' is the input '{node.name}', not a node"
        hint = f"put `{{type: Activation, activation: linear, inputs: {node.name}}}` between them"
        problems.value(layer, Code.UNKNOWN_NODE, message, hint=hint)
        return None
    if own is not None and own is not node:
        _clash(top, name, at, "head", problems)
    return ref


def _generated(head: Tree) -> list[tuple[str, str]]:
    """Return the suffixes of the ONNX outputs and data arrays that a head adds, each with its purpose."""
    suffixes = [] if head.get("labels") is None else [(LABEL, "the label output")]
    suffixes += [] if head.get("interval") is None else [(end, "an end of the interval") for end in BOUNDS]
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
    return {k: item for k, item in enumerate(items) if _is_null(item) or is_number(item)}


def refuse(value: Tree, key: str, problems: Problems, hint: str = NAME_HINT) -> None:
    """Report a value in a list of names that is no name."""
    wrong_type(value, f"`{key}` must contain names", problems, hint)


def check_written(item: Item, cls: type[Layer] | None, problems: Problems) -> dict[int, Number | None] | None:
    """Return the numbers among the inputs of a node; None if the layer does not take them, which is reported."""
    wrong = False
    for value in item.written.values():
        accepted = cls is not None and (cls.takes_absent if _is_null(value) else cls.takes_numbers)
        wrong = wrong or not accepted
        if cls is not None and not accepted:
            numbers = "operations (`ops.add`), ONNX's operators and layers such as Add and Multiply take numbers, too"
            refuse(value, "inputs", problems, NAME_HINT if _is_null(value) else numbers)
    inputs = item.tree.get("inputs")
    if inputs is not None and item.written and not wrong and len(item.written) == len(inputs.value):
        problems.value(inputs, Code.WRONG_INPUT_COUNT, "`inputs` names no node", hint="name at least one node or input")
        wrong = True
    return None if wrong else {k: value.plain() for k, value in item.written.items()}


def is_number(value: Tree) -> bool:
    """Return whether a value is a number, or a list of numbers."""
    if isinstance(value.value, list):
        return bool(value.value) and all(not isinstance(item.value, list) and is_number(item) for item in value.value)
    return isinstance(value.value, int | float) and not isinstance(value.value, bool) and not value.unknown


def _is_null(value: Tree) -> bool:
    return value.value is None and not value.unknown
