"""Expand variables, blocks, repeats and shares to a flat list of concrete nodes with their positions."""

from __future__ import annotations

from collections import ChainMap, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, cast

from pydantic import BeforeValidator

from graphspec.base.config import Config, Natural, PositiveInt, setting
from graphspec.base.errors import Code, Diagnostic, Problems, did_you_mean
from graphspec.language import names as naming
from graphspec.language.columns import declare_inputs
from graphspec.language.declarations import HeadRefs, Ref
from graphspec.language.explain import validate
from graphspec.language.layer_entries import entry_copies, entry_kind, entry_name, unknown_block_hint
from graphspec.language.names import InputRef, Item, Scope, Sources, check_name, claim, locate, refuse, resolve
from graphspec.language.substitute import Substitution, used_variables
from graphspec.language.tree import Tree, format_cycle, format_names, intended_keys, wrong_type
from graphspec.vocabulary.layers import LAYERS


# The layer of an entry of ``layers``, which a share has from its owner, and whether it takes inputs.
def type_name(scope: Scope, entry: Tree) -> str:
    """Return the name of an entry's layer or block, for a share that of its owner; ``layer`` if it has none."""
    visited: list[str] = []
    while (share := entry.text("share")) is not None and share not in scope.shared_types:
        scope.shared_types[share] = "layer"  # preliminary, and final for a cycle of shares
        visited.append(share)
        owner = locate(scope, share)
        entry = owner.tree if isinstance(owner, Item) else scope.written.get(share, entry)
    if share is not None:
        found = scope.shared_types[share]
    else:
        at = entry.get("type") or entry.get("block")
        found = at.value if at is not None and isinstance(at.value, str) else "layer"
    scope.shared_types.update(dict.fromkeys(visited, found))
    return found


def starts_alone(scope: Scope, entry: Tree) -> bool:
    """Return whether an entry takes no inputs, as a Parameter does: it is no part of the chain."""
    if entry.get("type") is None and entry.get("share") is None:
        return False
    layer = LAYERS.get(type_name(scope, entry), plugins=entry.get("share") is None)
    return layer is not None and layer.arity == (0, 0)


# Resolve ``share``: nodes and block instances that use the weights of another one.
Build = Callable[[Item, Item], None]


def resolve_shares(pending: deque[Item], build: Build, problems: Problems) -> None:
    """Set the owner of the weights of every share. A share of another share waits until that one is resolved.

    ``build`` fills an item with the block of another instance, and may append to ``pending``.
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


def _resolve(item: Item, at: Tree, owner: naming.Named | None, build: Build, problems: Problems) -> None:
    """Turn a share into a node or a block instance that uses the weights of ``owner``."""
    item.kind, average = "node", item.tree.get("average")
    item.average = None if average is None else float(average.value)
    if isinstance(owner, Item) and owner.kind == "block":
        item.trainable = owner.trainable
        build(item, owner)
        if item.inner is not None and owner.inner is not None:
            _pair(item.inner, owner.inner, item.average)
    elif isinstance(owner, Item) and owner.kind == "node":
        item.owner = holder(owner)
        item.trainable, item.failed = item.owner.trainable, owner.failed
    else:
        item.failed = True
        if owner is not None:
            message = f"'{at.value}' is an input and has no weights to share"
            problems.value(at, Code.WRONG_SHARE, message, hint="name a node with weights")
        elif not item.scope.incomplete:
            output = ":" in at.value and locate(item.scope, at.value.partition(":")[0]) is not None
            hint = "`share` names a node, not one of its outputs" if output else naming.suggest(item.scope, at.value)
            message = f"'{item.name}' shares the weights of an unknown node '{at.value}'"
            problems.value(at, Code.WRONG_SHARE, message, hint=hint)
    twice = [
        leaf for leaf in _leaves(item) if leaf.average is not None and leaf.owner and leaf.owner.average is not None
    ]
    for leaf in twice:
        leaf.failed = True
    if twice:
        message = f"'{item.name}' averages the weights of '{at.value}', which are averages already"
        problems.value(at, Code.WRONG_SHARE, message, hint="name the node that trains")


def _leaves(item: Item) -> list[Item]:
    return [item] if item.inner is None else [leaf for inner in item.inner.items for leaf in _leaves(inner)]


def holder(item: Item) -> Item:
    """Return the node whose weights a node uses: itself, its owner, or one that has running means."""
    return item if item.owner is None or item.average is not None else item.owner


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


def _pair(inner: Scope, owner: Scope, average: float | None = None) -> None:
    """Let the nodes of an instance use the weights of ``owner``, another instance of the same block, or their means."""
    for mine, theirs in zip(inner.items, owner.items, strict=False):
        _pair_items(mine, theirs, average)


def _pair_items(mine: Item, theirs: Item, average: float | None = None) -> None:
    """Let a node, or the nodes of an instance, use the weights of another; operations of a loop's copies may differ."""
    if mine.inner is not None and theirs.inner is not None:
        _pair(mine.inner, theirs.inner, average)
    elif mine.kind == "node" and theirs.kind == "node":
        is_operation = (mine.tree.text("type") or "").startswith(("Formula", "GetItem", "ops."))
        mine.owner = None if is_operation and mine.tree is not theirs.tree else holder(theirs)
        mine.average = average
        mine.failed = mine.failed or theirs.failed


# Read the definitions under ``blocks``.
KEYS = ("description", "params", "inputs", "layers", "outputs")
_MISSING = {
    "inputs": "name its inputs: `inputs: [x]`",
    "layers": "list its nodes, as in `layers` of the document",
    "outputs": "name its output nodes: `outputs: [y]`",
}


@dataclass(slots=True)
class Block:
    """A block definition. ``wrong``: it cannot be instantiated because of a reported error."""

    name: str
    tree: Tree
    params: dict[str, Tree]
    inputs: dict[str, Tree]
    layers: Tree
    outputs: Tree
    wrong: bool


def read_blocks(tree: Tree | None, problems: Problems) -> dict[str, Block]:
    """Return the blocks by name. Errors in unused blocks are reported, too."""
    if tree is None or tree.value is None:
        return {}
    if not isinstance(tree.value, dict):
        hint = "for example `name: {inputs: [x], layers: […], outputs: [y]}`"
        wrong_type(tree, "`blocks` must be a mapping of blocks", problems, hint)
        return {}
    return {name: _read_block(name, body, tree, problems) for name, body in tree.value.items()}


def _read_block(name: str, body: Tree, blocks: Tree, problems: Problems) -> Block:
    check_name("block name", name, partial(problems.key, blocks, name))
    empty = Tree([], body.mark, path=body.path)
    if not isinstance(body.value, dict):
        hint = "for example `{inputs: [x], layers: […], outputs: [y]}`"
        wrong_type(body, f"block '{name}' must be a mapping", problems, hint)
        return Block(name, body, {}, {}, empty, empty, True)
    for key in body.value:
        if key not in KEYS:
            hint = did_you_mean(key, KEYS) or f"the keys of a block are {', '.join(KEYS)}"
            problems.key(body, key, Code.UNKNOWN_KEY, f"unknown key '{key}' of block '{name}'", hint=hint)
    missing = [key for key in _MISSING if key not in body.value]
    for key in set(missing) - intended_keys(body, KEYS):
        problems.node(body, Code.MISSING_KEY, f"block '{name}' needs `{key}`", subject=key, hint=_MISSING[key])
    wrong = bool(missing)
    params = body.get("params") or Tree(None, body.mark)
    if not isinstance(params.value, dict | None):
        wrong_type(params, "`params` must be a mapping of defaults", problems, "for example `{units: 64}`")
    inputs = _input_names(body, name, problems)
    layers, outputs = body.get("layers") or empty, body.get("outputs") or empty
    if not isinstance(layers.value, list):
        wrong_type(layers, "`layers` must be a list of nodes", problems, "begin every node with `-`")
        wrong = True
    if not isinstance(outputs.value, list | str):
        wrong_type(outputs, "`outputs` must be a list of names", problems, _MISSING["outputs"])
        wrong = True
    defaults = params.value if isinstance(params.value, dict) else {}
    return Block(name, body, defaults, inputs or {}, layers, outputs, wrong or inputs is None)


def _input_names(body: Tree, block: str, problems: Problems) -> dict[str, Tree] | None:
    """Return the names of a block's inputs, or None if they are missing or wrong."""
    declared = body.get("inputs")
    if declared is None:
        return None
    names: dict[str, Tree] = {}
    for item in declared.value if isinstance(declared.value, list) else [declared]:
        if not isinstance(item.value, str):
            wrong_type(item, f"`inputs` of block '{block}' must contain names", problems, _MISSING["inputs"])
            return None
        check_name(f"block '{block}': input name", item.value, partial(problems.value, item))
        if item.value in names:
            message = f"block '{block}' has two inputs called '{item.value}'"
            problems.value(item, Code.DUPLICATE_NAME, message, hint="rename one of them")
            return None
        names[item.value] = item
    return names


_ONE_OR_MORE = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else (value,))


class LoopKeys(Config):
    """The keys of a `repeat` that are no lists of values."""

    times: PositiveInt | None = setting(None, "The number of copies, from 1.")
    carry: Natural = setting(1, "How many outputs of a copy are inputs of the next one.")
    shared: bool = setting(False, "Whether all copies have the weights of the first.")
    over: Annotated[tuple[str, ...], _ONE_OR_MORE] = setting((), "The inputs of which a copy reads one step.")
    collect: Annotated[tuple[Natural, ...], _ONE_OR_MORE] = setting((), "The outputs of which all steps are returned.")
    sum: Annotated[tuple[Natural, ...], _ONE_OR_MORE] = setting((), "The outputs whose sum over all steps is returned.")


@dataclass(slots=True)
class Loop:
    """A `repeat` that is a mapping; ``at`` is its place."""

    at: Tree
    keys: LoopKeys

    def place(self, value: Any) -> Tree:
        """Return a value of a node that the loop needs."""
        return Tree(value, self.at.mark, path=self.at.path)

    def carried(self, sources: Sources) -> list[int]:
        """Return the inputs that a copy gets from the one before: the first ones that are not read by steps."""
        names = [None if s is None or s.at is None else s.at.value for s in sources]
        return [k for k, name in enumerate(names) if name not in self.keys.over][: self.keys.carry]


MAX_NODES = 100_000  # the largest number of concrete nodes of a spec
MAX_EXPANDED = 2_000_000  # the most values in all expanded entries of ``layers``; a block counts once per instance
MAX_FULL_NAME = 1000  # the longest name of a block instance in blocks, ``outer/inner``, in characters
MAX_NESTING = 40  # the deepest nesting of blocks


@dataclass(slots=True)
class Expanded:
    """The flat spec."""

    sections: dict[str, Tree]  # the other sections of the document, with variables substituted
    nodes: list[Item]  # the concrete nodes, in the order of the file
    unused: list[Item]  # nodes of unused blocks, which are only checked
    refs: dict[str, list[Ref | None]]  # the inputs of each node, by its concrete name
    heads: dict[str, HeadRefs]  # the nodes of each head
    top: Scope
    scopes: list[Scope]  # those of unused blocks
    overflow: bool  # whether the spec is too large, which ends the expansion
    problems: Problems = field(repr=False)

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """All problems so far."""
        return self.problems.found


def _output_of(item: Item, output: int = 0) -> InputRef:
    """Return an output of an item as a source."""
    ref = InputRef(item.scope, item=item, mark=item.mark)
    ref.output = output
    return ref


def _steps(scope: Scope, name: str) -> int | None:
    """Return the length of an input of the spec, its first axis; None for other names, and if it varies."""
    found = scope.names.get(name)
    while isinstance(found, InputRef):
        found = found.item if found.at is None else found.scope.names.get(found.at.value)
    shape = found.tree.get("shape") if isinstance(found, Item) and found.kind == "input" else None
    size = shape.value[0].value if shape is not None and isinstance(shape.value, list) and shape.value else None
    return size if type(size) is int else None


def expand(tree: Tree, problems: Problems | None = None) -> Expanded:
    """Expand variables, blocks, repeats and shares. Problems are collected, never raised."""
    return _Expander(tree, problems or Problems()).run()


class _Expander:
    def __init__(self, tree: Tree, problems: Problems) -> None:
        self.tree, self.problems = tree, problems
        self.substitution = Substitution(problems)
        self.blocks: dict[str, Block] = {}
        self.used: set[str] = set()
        self.loops: set[frozenset[str]] = set()
        self.pending: deque[Item] = deque()
        self.count = self.values = 0
        self.overflow = False
        self.variables: Mapping[str, Tree] = {}
        self.copies: dict[int, tuple[list[Tree], Loop]] = {}  # of entries and their loop, by the id of the first

    def run(self) -> Expanded:
        variables = self.variables = self._variables()
        self.blocks = read_blocks(self.tree.get("blocks"), self.problems)
        sections = {
            key: self.substitution.apply(value, variables)
            for key, value in self.tree.value.items()
            if key not in ("vars", "blocks", "layers", "search")  # a search's variables belong to the values it sets
        }
        top = Scope("", variables)
        if "inputs" in sections:
            sections["inputs"] = declare_inputs(top, sections["inputs"], self.problems)
            self.count = len(top.items)
            self._spend(sections["inputs"], 0)
        top.incomplete = top.incomplete or "inputs" not in sections
        outputs = sections.get("outputs")
        if outputs is not None and isinstance(outputs.value, dict):
            top.reserved.update(name for name, head in outputs.value.items() if head.get("layer") is not None)
        layers = self.tree.get("layers")
        top.incomplete = top.incomplete or layers is None
        if layers is not None:
            self._fill(top, layers)
        blocks = [block for name, block in self.blocks.items() if name not in self.used and not block.wrong]
        unused = [self._build_unused(block) for block in blocks]
        resolve_shares(self.pending, self._build_shared, self.problems)
        nodes = top.nodes()
        refs = {node.full: [None if s is None else resolve(s, self.problems) for s in node.sources] for node in nodes}
        checked = [node for scope in unused for node in scope.nodes()]
        for scope in (top, *unused):
            self._resolve_all(scope)
        heads = naming.resolve_heads(top, outputs, self.problems)
        return Expanded(sections, nodes, checked, refs, heads, top, unused, self.overflow, self.problems)

    def _variables(self) -> Mapping[str, Tree]:
        declared = self.tree.get("vars")
        if declared is None or declared.value is None:
            return {}
        if not isinstance(declared.value, dict):
            wrong_type(declared, "`vars` must be a mapping", self.problems, "for example `{units: 64}`")
            return {}
        for name in declared.value:
            check_name("variable name", name, partial(self.problems.key, declared, name))
        return self.substitution.variables(declared.value, {})

    def _fill(self, scope: Scope, layers: Tree) -> None:
        layers = self.substitution.apply(self._with_copies(layers, scope), scope.variables)
        if not isinstance(layers.value, list):
            scope.incomplete = True
            if not layers.unknown:
                wrong_type(layers, "`layers` must be a list of nodes", self.problems, "begin every node with `-`")
            return
        self._spend(layers, layers.size)  # the entries with their copies, before they are built
        for entry in layers.value:
            self.count += entry_copies(entry, Problems()) or 1  # a wrong number is reported below
            self._spend(entry.get("repeat") or entry, 0)
        scope.incomplete = scope.incomplete or self.overflow
        if self.overflow:
            return
        for entry in layers.value:
            name, repeat = entry.get("name"), entry.get("repeat")
            if name is None or not isinstance(name.value, str) or len(name.value) > naming.MAX_NAME:
                scope.incomplete = scope.incomplete or name is not None
                continue
            scope.reserved.add(name.value)
            scope.written.setdefault(name.value, entry)
            if repeat is not None and isinstance(repeat.value, int):
                scope.reserved.update(f"{name.value}_{i + 1}" for i in range(repeat.value))
        above: Item | None = None
        for entry in layers.value:
            if self.overflow:
                scope.incomplete = True
                return
            item = self._entry(scope, entry, above)
            above = above if starts_alone(scope, entry) else item

    def _spend(self, at: Tree, values: int) -> None:
        """Count ``values``. Report the first excess of a limit at ``at``."""
        self.values += values
        if not self.overflow and (self.count > MAX_NODES or self.values > MAX_EXPANDED):
            self.overflow = True
            limit = f"{MAX_NODES:,} nodes" if self.count > MAX_NODES else f"{MAX_EXPANDED:,} values"
            message = f"the spec expands to more than {limit}"
            self.problems.value(at, Code.DOCUMENT_TOO_LARGE, message, hint="repeat fewer nodes or blocks")

    def _entry(self, scope: Scope, entry: Tree, above: Item | None) -> Item:
        """Build the items of one entry and return the last one."""
        if not isinstance(entry.value, dict):
            if not entry.unknown:
                hint = "for example `{name: y, type: Dense, units: 1}`"
                wrong_type(entry, "a node must be a mapping", self.problems, hint)
            return self._item(scope, entry, "failed", scope.default_name("layer"), [None])
        name, (trees, loop) = entry_name(entry, self.problems), self.copies.get(id(entry), ([], None))
        owner = None if entry.get("share") is None else LAYERS.get(type_name(scope, entry), plugins=False)
        kind = entry_kind(entry, self.problems, () if owner is None else owner.call_options)
        copies = entry_copies(entry, self.problems)
        if loop is not None and copies is None:
            return self._scan(scope, entry, loop, name or scope.default_name(type_name(scope, entry)), above, kind)
        item, every = cast("Item | None", None), list[Item]()
        for copy in range(1, (copies or 1) + 1):
            if copy == 1 or trees:
                entry = trees[copy - 1] if trees else entry
                state, sources, written = self._reads(scope, entry, above, kind)
            copy_name = f"{name}_{copy}" if name and copies else name or scope.default_name(type_name(scope, entry))
            carried = [0] if loop is None else loop.carried(sources)
            sources = list(sources) if loop is None else self._sliced(scope, entry, loop, copy_name, sources, copy)
            for k, place in enumerate(carried if item is not None and sources else ()):
                sources[place] = _output_of(item, k)
            item = self._item(scope, entry, state, copy_name, sources)
            item.written = written
            every.append(item)
            if copy == 1 and loop is not None and copies != 1:
                self._check_loop(loop, item, len(carried))
            if copy > 1 and loop is not None and loop.keys.shared:
                _pair_items(item, every[0])
        assert item is not None
        if name and loop is not None and (loop.keys.collect or loop.keys.sum):
            count = self._check_loop(loop, item, loop.keys.carry)
            ends: Sources = [_output_of(copy, k) for k in range(count) for copy in every]
            item = self._made(scope, loop, "Ends", name, ends, entry, outputs=count)
        elif copies and name and name != item.name:
            self._claim(scope, entry, name, item)
        return item

    def _check_loop(self, loop: Loop, item: Item, carried: int) -> int:
        """Return how many outputs of a copy are read. Report what a block lacks."""
        wanted = {k: key for key in ("collect", "sum") for k in getattr(loop.keys, key)} | {
            loop.keys.carry - 1: "carry"
        }
        if item.kind != "block" or item.failed:
            return max(wanted) + 1
        count = len(item.outputs)
        for k, key in wanted.items():
            if k >= (count if key != "carry" else min(count, carried)):
                inputs = f" and {carried} inputs that are not read by steps" if key == "carry" else ""
                text = f"`{key}` of '{item.full}' names output {k}, but it has {count} outputs{inputs}"
                at = loop.at.get(key) or loop.at
                self.problems.value(at, Code.WRONG_INPUT_COUNT, text, hint="outputs count from 0; name fewer")
        return count

    def _sliced(self, scope: Scope, entry: Tree, loop: Loop, name: str, sources: Sources, copy: int) -> Sources:
        """Return the sources of a copy, with its step of each sequence that the loop reads; copy 0 stands for all."""
        found = list(sources)
        names = {s.at.value for s in sources if s is not None and s.at is not None}
        for missing in {*loop.keys.over} - names if copy < 2 and None not in sources else ():
            text = f"`over` of '{scope.prefix}{name}' names '{missing}', which is none of its inputs"
            hint = did_you_mean(missing, names) or "a loop reads the steps of what stands in its `inputs`"
            self.problems.value(loop.at.value["over"], Code.UNKNOWN_NODE, text, hint=hint)
        for k, source in enumerate(sources):
            if source is not None and source.at is not None and source.at.value in loop.keys.over:
                found[k] = _output_of(
                    self._made(scope, loop, "Slice", f"{name}/[{k}]", [source], step=max(copy - 1, 0))
                )
        return found

    def _made(
        self, scope: Scope, loop: Loop, kind: str, name: str, sources: Sources, entry: Tree | None = None, **keys: int
    ) -> Item:
        """Append a node of a loop, with a name that nobody can write, or that of the ``entry`` for which it stands."""
        own: dict[str, Any] = {"type": f"loop.{kind}", **keys}
        if entry is not None:
            own |= {key: [loop.place(k) for k in getattr(loop.keys, key)] for key in ("collect", "sum")}
        item = Item("node", name, scope, loop.place({key: loop.place(value) for key, value in own.items()}))
        item.sources, item.label, item.mark = sources, "loop", loop.at.mark
        scope.items.append(item)
        if entry is not None:
            self._claim(scope, entry, name, item)
        return item

    def _scan(
        self, scope: Scope, entry: Tree, loop: Loop, name: str, above: Item | None, kind: naming.EntryKind
    ) -> Item:
        """Build a loop of any number of steps: one step, between nodes that stand for what it reads and returns."""
        state, sources, written = self._reads(scope, entry, above, kind)
        carried, inside = loop.carried(sources), self._sliced(scope, entry, loop, name, sources, 0)
        slices = [k for k, (own, source) in enumerate(zip(inside, sources, strict=True)) if own is not source]
        for k in carried:
            reads = [sources[k], *(sources[i] for i in slices)]
            inside[k] = _output_of(self._made(scope, loop, "State", f"{name}/[{k}]", reads))
        step = self._item(scope, entry, state, name if kind == "block" else f"{name}/step", inside, hidden=True)
        step.written = written
        count = self._check_loop(loop, step, len(carried))
        ends: Sources = [*(_output_of(step, k) for k in range(count)), *(inside[k] for k in (*carried, *slices))]
        whole = self._made(scope, loop, "Scan", name, ends, entry, outputs=count, carry=len(carried))
        whole.failed = step.failed or state == "failed"
        return whole

    def _reads(
        self, scope: Scope, entry: Tree, above: Item | None, kind: naming.EntryKind
    ) -> tuple[naming.EntryKind, Sources, dict[int, Tree]]:
        """Return an entry's kind, its sources, and the numbers among its inputs by position."""
        if kind == "node" and entry.text("type") == "Formula":
            from graphspec.language.formula import operands

            return operands(scope, entry, self.problems)
        written = {} if kind == "block" else naming.written_inputs(entry)
        return kind, self._sources(scope, entry, above, written), written

    def _with_copies(self, layers: Tree, scope: Scope) -> Tree:
        """Return ``layers`` with the first copy of each entry whose `repeat` is a mapping or that has ``${index}``."""
        entries, changed = list(layers.value) if isinstance(layers.value, list) else [], False
        for k, entry in enumerate(entries):
            if (written := entry.get("repeat")) is None:
                continue
            repeat, copies = self.substitution.apply(written, scope.variables), list[Tree]()
            loop = Loop(repeat, LoopKeys())
            if isinstance(repeat.value, dict):
                lists, times = self._lists(loop, scope, own="index" in used_variables(entry))
            elif type(repeat.value) is int and repeat.value > 0 and "index" in used_variables(entry):
                lists, times = {}, repeat.value
            else:
                continue
            self._spend(written, (times or 1) * entry.size)
            keys = entry.value | {"repeat": Tree(times, written.mark, path=written.path)}
            if times is None:
                del keys["repeat"]
            one = Tree(keys, entry.mark, entry.key_marks, entry.path)
            for copy in range(0 if self.overflow else 1 if times is None else times):
                own = {name: values[copy] for name, values in lists.items()}
                own = own if times is None else {"index": Tree(copy, written.mark), **own}
                copies.append(self.substitution.apply(one, ChainMap(own, cast("dict[str, Tree]", scope.variables))))
                copies[-1].dynamic = False  # `$${` is not substituted again
            scope.incomplete, changed = scope.incomplete or not copies, True
            entries[k] = copies[0] if copies else Tree(None, entry.mark, path=entry.path, unknown=True)
            if copies:
                self.copies[id(copies[0])] = copies, loop
        return Tree(entries, layers.mark, layers.key_marks, layers.path) if changed else layers

    def _lists(self, loop: Loop, scope: Scope, *, own: bool) -> tuple[dict[str, list[Tree]], int | None]:
        """Return the lists of a `repeat` that is a mapping, and the number of copies: 0 if it is wrong, None if it varies.

        ``own``: whether something differs from copy to copy, besides weights. The rest of the mapping is put into ``loop``.
        """
        repeat = loop.at
        lists = {k: v for k, v in repeat.value.items() if k not in LoopKeys.model_fields}
        keys, before = validate(LoopKeys, repeat, "`repeat`", self.problems, without=[*lists]), len(self.problems.found)
        if keys is None:
            return {}, 0
        loop.keys, times = keys, keys.times
        for name, tree in lists.items():
            times = len(tree.value) if times is None and isinstance(tree.value, list) else times
            if not tree.unknown and (not isinstance(tree.value, list) or not tree.value or len(tree.value) != times):
                hint = f"such as `repeat: {{{name}: [16, 32, 64]}}`; lists have one length"
                wrong_type(tree, f"`{name}` of `repeat` must be a list of a value for each copy", self.problems, hint)
        for name in keys.over:
            steps = _steps(scope, name)
            times = steps if times is None else times
            if steps not in (None, times):
                text = f"'{name}' has {steps} steps, but the loop has {times}"
                hint = "leave out `times`, or name a slice of it"
                self.problems.value(repeat.value["over"], Code.SIZES_DO_NOT_FIT, text, hint=hint)
        wrong = repeat.unknown or len(self.problems.found) > before
        if times is None and not wrong and not (keys.over and keys.shared and not own):
            hint = "write `times`, or a list of values: `repeat: {units: [64, 32]}`"
            if keys.over:
                hint = "write `times`, or `shared: true` without `index` for any number of steps with the same weights"
            self.problems.node(repeat, Code.MISSING_KEY, "`repeat` needs `times`", subject="times", hint=hint)
            wrong = True
        return ({}, 0) if wrong else ({name: tree.value for name, tree in lists.items()}, times)

    def _item(
        self, scope: Scope, entry: Tree, kind: naming.EntryKind, name: str, sources: Sources, *, hidden: bool = False
    ) -> Item:
        item = Item("share" if kind == "share" else "node", name, scope, entry)
        item.sources = sources
        item.failed = kind == "failed"
        trainable = entry.get("trainable")
        if trainable is not None and trainable.value is False:
            item.trainable = False
        if not hidden:
            self._claim(scope, entry, name, item)
        scope.items.append(item)
        if kind == "share":
            self.pending.append(item)
        elif kind == "block":
            self._instantiate(item)
        return item

    def _claim(self, scope: Scope, entry: Tree, name: str, item: Item) -> None:
        at = entry.get("name")
        mark, path = (item.mark, entry.path) if at is None else (at.mark, at.path)
        claim(scope, name, item, (mark, path), "node", self.problems)

    def _sources(self, scope: Scope, entry: Tree, above: Item | None, written: Mapping[int, Tree]) -> Sources:
        """Return the sources of an entry's inputs: ``inputs`` without numbers, or else the node above."""
        inputs = entry.get("inputs")
        if (inputs is None or inputs.value == []) and starts_alone(scope, entry):
            return []
        if inputs is not None:
            return self._named(scope, inputs, "inputs", written)
        first = next(iter(scope.default_inputs.values())) if len(scope.default_inputs) == 1 else None
        if (source := above or first) is not None:
            return [InputRef(scope, item=source, mark=entry.first_key)]
        if scope.default_inputs:
            names = format_names(scope.default_inputs)
            subject = f"'{name}' is the first node" if (name := entry.text("name")) else "this node is the first"
            message = f"{subject} and there are {len(scope.default_inputs)} inputs: {names}"
            hint = f"name one of them: `inputs: {next(iter(scope.default_inputs))}`"
            self.problems.node(entry, Code.WRONG_INPUT_COUNT, message, hint=hint)
        return [None]

    def _named(self, scope: Scope, at: Tree, key: str, written: Mapping[int, Tree] | None = None) -> Sources:
        """Return the sources for one name or a list of names, without the values at the positions ``written``."""
        if at.unknown and at.value is None:
            return [None]
        names = at.value if isinstance(at.value, list) else [at]
        if not names:
            self.problems.value(at, Code.WRONG_INPUT_COUNT, f"`{key}` is empty", hint="name at least one node or input")
        sources: Sources = []
        for value in (value for k, value in enumerate(names) if k not in (written or {})):
            is_text = isinstance(value.value, str)
            sources += [InputRef(scope, one) for one in self._of_all(scope, value)] if is_text else [None]
            if not is_text and not value.unknown:
                refuse(value, key, self.problems)
        return sources or [None]

    def _of_all(self, scope: Scope, value: Tree) -> list[Tree]:
        """Return a name, or for ``steps_*`` and ``steps_*:1`` those of all copies."""
        name, star, output = value.value.partition("_*")
        entry = scope.written.get(name) if star and output[:1] in ("", ":") else None
        repeat = None if entry is None else entry.get("repeat")
        if repeat is None or not isinstance(repeat.value, int) or repeat.value > MAX_NODES:
            return [value]
        self._spend(value, repeat.value)
        names = [f"{name}_{copy + 1}{output}" for copy in range(repeat.value)]
        return [Tree(text, value.mark, path=value.path) for text in names]

    def _instantiate(self, item: Item) -> None:
        """Turn ``item`` into an instance of its block, or set ``failed`` if that is impossible."""
        at = item.tree.value["block"]
        block = self.blocks.get(at.value)
        item.failed = True
        if block is None:
            hint = unknown_block_hint(item.tree, at.value, self.blocks)
            self.problems.value(at, Code.UNKNOWN_CLASS, f"unknown block '{at.value}'", hint=hint)
            return
        self.used.add(at.value)
        stack = item.scope.stack
        if at.value in stack:
            loop = (*stack[stack.index(at.value) :], at.value)
            if frozenset(loop) not in self.loops:
                self.loops.add(frozenset(loop))
                message = f"block '{at.value}' contains itself: {' → '.join(loop)}"
                self.problems.value(at, Code.RECURSIVE_BLOCK, message, hint="use `repeat` for copies in a row")
        elif len(stack) >= MAX_NESTING:
            message = f"blocks are nested deeper than {MAX_NESTING} levels"
            self.problems.value(at, Code.DOCUMENT_TOO_LARGE, message, hint="replace some of them by their nodes")
        elif len(item.full) > MAX_FULL_NAME:
            message = f"the names of nested blocks are longer than {MAX_FULL_NAME:,} characters in total"
            self.problems.value(at, Code.DOCUMENT_TOO_LARGE, message, hint="give them shorter names")
        else:
            self._spend(at, len(block.params) + len(block.inputs))
            if not self.overflow:
                self._build(item, block, self._inner_variables(block, self._params(item, block)))

    def _inner_variables(self, block: Block, params: dict[str, Tree]) -> Mapping[str, Tree]:
        """Return the variables inside a block: its params, which shadow the document's variables."""
        defaults = {name: tree for name, tree in block.params.items() if name not in params}
        return self.substitution.variables(defaults, ChainMap(params, cast("dict[str, Tree]", self.variables)))

    def _params(self, item: Item, block: Block) -> dict[str, Tree]:
        params = item.tree.get("params")
        if params is None or (params.unknown and params.value is None):
            return {}
        if not isinstance(params.value, dict):
            wrong_type(params, "`params` must be a mapping", self.problems, "for example `{units: 64}`")
            return {}
        for name in (name for name in params.value if name not in block.params):
            every = f"its params are {format_names(block.params)}" if block.params else "it has no params"
            message = f"block '{block.name}' has no param '{name}'"
            self.problems.key(params, name, Code.UNKNOWN_KEY, message, hint=did_you_mean(name, block.params) or every)
        return {name: value for name, value in params.value.items() if name in block.params}

    def _build(self, item: Item, block: Block, variables: Mapping[str, Tree]) -> None:
        item.failed = True
        for value in item.written.values():
            refuse(value, "inputs", self.problems)
        if block.wrong or item.written:
            return
        if len(item.sources) != len(block.inputs):
            count, s = len(block.inputs), "" if len(block.inputs) == 1 else "s"
            takes = f"{count} input{s} ({format_names(block.inputs)})"
            message = f"block '{block.name}' takes {takes}, but '{item.full}' has {len(item.sources)}"
            at = item.tree.get("inputs")
            report = partial(self.problems.node, item.tree) if at is None else partial(self.problems.value, at)
            report(Code.WRONG_INPUT_COUNT, message, hint=f"list {count} name{s} in `inputs`")
            return
        inner = Scope(f"{item.full}/", variables, (*item.scope.stack, block.name))
        inner.outermost, inner.trainable = item.scope.outermost or item.tree, item.trainable
        for (name, at), source in zip(block.inputs.items(), item.sources, strict=True):
            bound = source or InputRef(inner, mark=at.mark, known=False)
            claim(inner, name, bound, (at.mark, at.path), "block input", self.problems)
            inner.default_inputs[name] = bound
        item.kind, item.inner, item.failed = "block", inner, False
        self._fill(inner, block.layers)
        outputs = self._named(inner, self.substitution.apply(block.outputs, variables), "outputs")
        item.outputs = [source or InputRef(inner, mark=block.outputs.mark, known=False) for source in outputs]

    def _build_shared(self, item: Item, owner: Item) -> None:
        """Fill ``item`` with the block of the instance ``owner``, with the same params."""
        assert owner.inner is not None
        self._build(item, self.blocks[owner.inner.stack[-1]], owner.inner.variables)

    def _build_unused(self, block: Block) -> Scope:
        """Return the scope of an unused block, built with its default params and unknown inputs."""
        scope = Scope("", self.variables)
        item = Item("node", block.name, scope, block.tree)
        item.sources = [InputRef(scope, mark=block.tree.mark, known=False) for _ in block.inputs]
        scope.items.append(item)
        self._build(item, block, self._inner_variables(block, {}))
        return scope

    def _resolve_all(self, scope: Scope) -> None:
        """Resolve the remaining sources: inputs and outputs of block instances that no concrete node reads."""
        for item in scope.items:
            for source in (*item.sources, *item.outputs):
                if source is not None:
                    resolve(source, self.problems)
            if item.inner is not None:
                self._resolve_all(item.inner)
