"""Expand variables, blocks, repeats and shares to a flat list of concrete nodes with their positions."""

from __future__ import annotations

from collections import ChainMap, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, did_you_mean
from graphspec.language.blocks import Block, read_blocks
from graphspec.language.declarations import HeadRefs, Ref
from graphspec.language.entry_types import share_options, starts_alone, type_name
from graphspec.language.layer_entries import count_copies, entry_copies, entry_kind, entry_name
from graphspec.language.layer_hints import unknown_block_hint
from graphspec.language.names import MAX_NAME, EntryKind, InputRef, Item, Scope, bad_name, is_name, resolve
from graphspec.language.namespace import claim, resolve_heads
from graphspec.language.records import declare_inputs
from graphspec.language.substitute import Substitution
from graphspec.language.tree import Problems, Tree, describe, format_names, item_name
from graphspec.language.weight_sharing import resolve_shares
from graphspec.language.written_inputs import refuse, written_inputs

MAX_NODES = 100_000
"""The largest number of concrete nodes of a spec."""
MAX_EXPANDED = 2_000_000
"""The largest number of values in all expanded entries of ``layers``. A block counts once per instance."""
MAX_FULL_NAME = 1000
"""The longest name of a block instance in blocks, ``outer/inner``, in characters."""
MAX_NESTING = 40
"""The deepest nesting of blocks."""


@dataclass(slots=True)
class Expanded:
    """The flat spec.

    Attributes:
        sections: the other sections of the document, with variables substituted.
        nodes: the concrete nodes, in the order of the file.
        unused: nodes of unused blocks, which are only checked.
        refs: the inputs of each node, by its concrete name.
        heads: the nodes of each head.
        top, scopes: the names of the document, and those of unused blocks.
        overflow: whether the spec is too large, which ends the expansion.
    """

    sections: dict[str, Tree]
    nodes: list[Item]
    unused: list[Item]
    refs: dict[str, list[Ref | None]]
    heads: dict[str, HeadRefs]
    top: Scope
    scopes: list[Scope]
    overflow: bool
    problems: Problems = field(repr=False)

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """All problems so far."""
        return self.problems.found


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

    def run(self) -> Expanded:
        """Return the expanded spec."""
        variables = self.variables = self._variables()
        self.blocks = read_blocks(self.tree.get("blocks"), self.problems)
        sections = {
            key: self.substitution.apply(value, variables)
            for key, value in self.tree.value.items()
            if key not in ("vars", "blocks", "layers", "search")  # a search's variables belong to the values it sets
        }
        top = Scope("", variables, ())
        if "inputs" in sections:
            sections["inputs"] = declare_inputs(top, sections["inputs"], self.problems)
            self.count = len(top.items)
            self._spend(sections["inputs"], 0)
        top.incomplete = top.incomplete or "inputs" not in sections
        outputs = sections.get("outputs")
        if outputs is not None and isinstance(outputs.value, dict):
            top.reserved.update(name for name, head in outputs.value.items() if head.get("layer") is not None)
        layers = self.tree.get("layers")
        if layers is None:
            top.incomplete = True
        else:
            self._fill(top, layers)
        unused: list[Scope] = []
        for name, block in self.blocks.items():
            if name not in self.used and not block.wrong:
                unused.append(self._build_unused(block))
        resolve_shares(self.pending, self._build_shared, self.problems)
        nodes = top.nodes()
        refs = {node.full: [None if s is None else resolve(s, self.problems) for s in node.sources] for node in nodes}
        checked = [node for scope in unused for node in scope.nodes()]
        for scope in (top, *unused):
            self._resolve_all(scope)
        heads = resolve_heads(top, outputs, self.problems)
        return Expanded(sections, nodes, checked, refs, heads, top, unused, self.overflow, self.problems)

    def _variables(self) -> Mapping[str, Tree]:
        """Return the values of ``vars``."""
        declared = self.tree.get("vars")
        if declared is None or declared.value is None:
            return {}
        if not isinstance(declared.value, dict):
            message = f"`vars` must be a mapping, not {describe(declared)}"
            self.problems.value(declared, Code.WRONG_TYPE, message, hint="for example `{units: 64}`")
            return {}
        for name in declared.value:
            if not is_name(name):
                message, hint = bad_name("variable name", name)
                self.problems.key(declared, name, Code.VALUE_NOT_ALLOWED, message, hint=hint)
        return self.substitution.variables(declared.value, {})

    # The entries of one scope

    def _fill(self, scope: Scope, layers: Tree) -> None:
        """Build the items of ``scope`` from a list of entries."""
        layers = self.substitution.apply(layers, scope.variables)
        if not isinstance(layers.value, list):
            scope.incomplete = True
            if layers.unknown:
                return
            message = f"`layers` must be a list of nodes, not {describe(layers)}"
            self.problems.value(layers, Code.WRONG_TYPE, message, hint="begin every node with `-`")
            return
        if not self._has_room(scope, layers):
            return
        for entry in layers.value:
            name, repeat = entry.get("name"), entry.get("repeat")
            if name is None or not isinstance(name.value, str) or len(name.value) > MAX_NAME:
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

    def _has_room(self, scope: Scope, layers: Tree) -> bool:
        """Count the entries of a list with their copies before building them. Return whether they fit the limits."""
        self._spend(layers, layers.size)
        for entry in layers.value:
            self.count += max(1, count_copies(entry))
            self._spend(entry.get("repeat") or entry, 0)
        scope.incomplete = scope.incomplete or self.overflow
        return not self.overflow

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
                message = f"a node must be a mapping, not {describe(entry)}"
                self.problems.value(
                    entry, Code.WRONG_TYPE, message, hint="for example `{name: y, type: Dense, units: 1}`"
                )
            return self._item(scope, entry, "failed", scope.default_name("layer"), [None])
        name = entry_name(entry, self.problems)
        kind = entry_kind(entry, self.problems, share_options(scope, entry))
        written = {} if kind == "block" else written_inputs(entry)
        sources = self._sources(scope, entry, above, written)
        copies = entry_copies(entry, self.problems)
        item: Item | None = None
        for copy in range(copies or 1):
            if item is not None and sources:
                sources = [InputRef(scope, item=item, mark=item.mark), *sources[1:]]
            copy_name = (
                (f"{name}_{copy + 1}" if copies else name) if name else scope.default_name(type_name(scope, entry))
            )
            item = self._item(scope, entry, kind, copy_name, sources)
            item.written = written
        assert item is not None
        if copies and name and name != item.name:
            self._claim(scope, entry, name, item)
        return item

    def _item(self, scope: Scope, entry: Tree, kind: EntryKind, name: str, sources: list[InputRef | None]) -> Item:
        """Build one item."""
        item = Item("share" if kind == "share" else "node", name, scope, entry)
        item.sources = sources
        item.failed = kind == "failed"
        trainable = entry.get("trainable")
        if trainable is not None and trainable.value is False:
            item.trainable = False
        self._claim(scope, entry, name, item)
        scope.items.append(item)
        if kind == "share":
            self.pending.append(item)
        elif kind == "block":
            self._instantiate(item)
        return item

    def _claim(self, scope: Scope, entry: Tree, name: str, item: Item) -> None:
        """Let ``name`` stand for ``item``."""
        at = entry.get("name")
        path = entry.path if at is None else at.path
        claim(scope, name, item, item.mark if at is None else at.mark, path, "node", self.problems)

    def _sources(
        self, scope: Scope, entry: Tree, above: Item | None, written: Mapping[int, Tree]
    ) -> list[InputRef | None]:
        """Return the sources of an entry's inputs: ``inputs`` without numbers, or else the node above."""
        inputs = entry.get("inputs")
        if (inputs is None or inputs.value == []) and starts_alone(scope, entry):
            return []
        if inputs is None:
            return [self._default_source(scope, entry, above)]
        return self._named(scope, inputs, "inputs", written)

    def _named(
        self, scope: Scope, at: Tree, key: str, written: Mapping[int, Tree] | None = None
    ) -> list[InputRef | None]:
        """Return the sources for one name or a list of names, without the values at the positions ``written``."""
        if at.unknown and at.value is None:
            return [None]
        names = at.value if isinstance(at.value, list) else [at]
        if not names:
            hint = "name at least one node or input"
            self.problems.value(at, Code.WRONG_INPUT_COUNT, f"`{key}` is empty", hint=hint)
            return [None]
        sources: list[InputRef | None] = []
        for value in (value for k, value in enumerate(names) if k not in (written or {})):
            if isinstance(value.value, str):
                sources.append(InputRef.named(scope, value))
                continue
            if not value.unknown:
                refuse(value, key, self.problems)
            sources.append(None)
        return sources or [None]

    def _default_source(self, scope: Scope, entry: Tree, above: Item | None) -> InputRef | None:
        """Return the source of a node without ``inputs``: the node above, or the only input."""
        if above is not None:
            return InputRef(scope, item=above, mark=entry.first_key)
        if len(scope.default_inputs) == 1:
            return InputRef(scope, item=next(iter(scope.default_inputs.values())), mark=entry.first_key)
        if scope.default_inputs:
            names = format_names(scope.default_inputs)
            subject = f"'{name}' is the first node" if (name := item_name(entry)) else "this node is the first"
            message = f"{subject} and there are {len(scope.default_inputs)} inputs: {names}"
            hint = f"name one of them: `inputs: {next(iter(scope.default_inputs))}`"
            self.problems.node(entry, Code.WRONG_INPUT_COUNT, message, hint=hint)
        return None

    # Blocks

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
            return
        if len(stack) >= MAX_NESTING:
            message = f"blocks are nested deeper than {MAX_NESTING} levels"
            self.problems.value(at, Code.DOCUMENT_TOO_LARGE, message, hint="replace some of them by their nodes")
            return
        if len(item.full) > MAX_FULL_NAME:
            message = f"the names of nested blocks are longer than {MAX_FULL_NAME:,} characters in total"
            self.problems.value(at, Code.DOCUMENT_TOO_LARGE, message, hint="give them shorter names")
            return
        self._spend(at, len(block.params) + len(block.inputs))
        if self.overflow:
            return
        params = self._params(item, block)
        self._build(item, block, self._inner_variables(block, params))

    def _inner_variables(self, block: Block, params: dict[str, Tree]) -> Mapping[str, Tree]:
        """Return the variables inside a block: its params, which shadow the document's variables."""
        outer = ChainMap(params, cast("dict[str, Tree]", self.variables))
        return self.substitution.variables(block.defaults(params), outer)

    def _params(self, item: Item, block: Block) -> dict[str, Tree]:
        """Return the params of an instance. Unknown ones are reported."""
        params = item.tree.get("params")
        if params is None or (params.unknown and params.value is None):
            return {}
        if not isinstance(params.value, dict):
            message = f"`params` must be a mapping, not {describe(params)}"
            self.problems.value(params, Code.WRONG_TYPE, message, hint="for example `{units: 64}`")
            return {}
        for name in params.value:
            if name not in block.params:
                hint = did_you_mean(name, block.params) or (
                    f"its params are {format_names(block.params)}" if block.params else "it has no params"
                )
                self.problems.key(
                    params, name, Code.UNKNOWN_KEY, f"block '{block.name}' has no param '{name}'", hint=hint
                )
        return {name: value for name, value in params.value.items() if name in block.params}

    def _build(self, item: Item, block: Block, variables: Mapping[str, Tree]) -> None:
        """Fill ``item`` with the nodes of ``block``."""
        item.failed = True
        for value in item.written.values():
            refuse(value, "inputs", self.problems)
        if block.wrong or item.written:
            return
        if len(item.sources) != len(block.inputs):
            names = format_names(block.inputs)
            takes = f"{len(block.inputs)} input{'' if len(block.inputs) == 1 else 's'} ({names})"
            message = f"block '{block.name}' takes {takes}, but '{item.full}' has {len(item.sources)}"
            hint = f"list {len(block.inputs)} name{'' if len(block.inputs) == 1 else 's'} in `inputs`"
            at = item.tree.get("inputs")
            if at is None:
                self.problems.node(item.tree, Code.WRONG_INPUT_COUNT, message, hint=hint)
            else:
                self.problems.value(at, Code.WRONG_INPUT_COUNT, message, hint=hint)
            return
        inner = Scope(f"{item.full}/", variables, (*item.scope.stack, block.name), item.trainable)
        inner.outermost = item.scope.outermost or item.tree
        for (name, at), source in zip(block.inputs.items(), item.sources, strict=True):
            bound = source or InputRef.unknown(inner, at.mark)
            claim(inner, name, bound, at.mark, at.path, "block input", self.problems)
            inner.default_inputs[name] = bound
        item.kind, item.inner, item.failed = "block", inner, False
        self._fill(inner, block.layers)
        outputs = self._named(inner, self.substitution.apply(block.outputs, variables), "outputs")
        item.outputs = [source or InputRef.unknown(inner, block.outputs.mark) for source in outputs]

    def _build_shared(self, item: Item, owner: Item) -> None:
        """Fill ``item`` with the block of the instance ``owner``, with the same params."""
        assert owner.inner is not None
        self._build(item, self.blocks[owner.inner.stack[-1]], owner.inner.variables)

    def _build_unused(self, block: Block) -> Scope:
        """Return the scope of an unused block, built with its default params and unknown inputs."""
        scope = Scope("", self.variables, ())
        item = Item("node", block.name, scope, block.tree)
        item.sources = [InputRef.unknown(scope, block.tree.mark) for _ in block.inputs]
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
