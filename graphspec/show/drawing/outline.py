"""The content of a drawing: boxes and arrows, one panel for the network and one for each of its blocks."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from graphspec.base.config import Config
from graphspec.base.errors import shorten
from graphspec.base.formula import Term, evaluate, parse
from graphspec.base.text import count
from graphspec.engine.compiler.lowered_network import Cost, Lowered
from graphspec.graph.cuts import computed_once
from graphspec.graph.ir.dims import LearntSize, show
from graphspec.language.declarations import HeadDecl, NodeDecl, Ref, Spec, operand_text
from graphspec.language.tree import Tree
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.formula import Formula, class_name

Kind = Literal["input", "layer", "shared", "block", "head"]

_ARGUMENTS = {  # the arguments that a box shows if the spec gives them, with their format
    "filters": "{} filter{s}",
    "units": "{} unit{s}",
    "equation": "{}",
    "kernel_size": "{}",
    "pool_size": "{}",
    "strides": "stride {}",
    "dilation_rate": "dilation {}",
    "rate": "rate {}",
    "output_dim": "{} wide",
    "num_heads": "{} head{s}",
    "num_query_heads": "{} query head{s}",
    "num_key_value_heads": "{} key and value head{s}",
    "groups": "{} group{s}",
    "output_size": "to {}",
    "activation": "{}",
    "padding": "{}",
    "axis": "axis {}",
    "merge_mode": "{}",
}


@dataclass
class Box:
    """One box: a title, lines below it, the family that determines its colour, the nodes that it stands for, and a tip."""

    kind: Kind
    title: str
    lines: list[str] = field(default_factory=list)
    family: str = ""
    nodes: list[str] = field(default_factory=list)
    tip: str = ""  # a whole formula, which an SVG shows under the mouse


@dataclass
class Panel:
    """A separate part of the drawing: the network or a block; ``arrows`` are pairs of boxes, each once."""

    title: str
    about: str = ""
    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: dict[tuple[str, str], None] = field(default_factory=dict)

    def link(self, a: str, b: str) -> None:
        if a != b:
            self.arrows[a, b] = None


class Instance(NamedTuple):
    """A block's instance: the path of its nodes, and the block's name."""

    path: str
    block: str | None
    params: dict[str, Any]  # the variables inside: the outer variables, overridden by the block's params
    given: dict[str, Any]  # the params that the entry gives


def outline(spec: Spec, lowered: Lowered, costs: Cost, *, expand: bool = False) -> list[Panel]:
    """Return the network's panel and one per block, of its first instance; with ``expand``, one panel with every node."""
    return list(_Outline(spec, lowered, costs, expand).panels())


class _Outline:
    def __init__(self, spec: Spec, lowered: Lowered, costs: Cost, expand: bool) -> None:
        self.spec, self.lowered, self.costs, self.expand = spec, lowered, costs, expand
        self.once = computed_once(lowered.graph)
        self.below: dict[str, list[NodeDecl]] = {"": spec.nodes}
        for node in spec.nodes:
            for at in re.finditer("/", node.name):
                self.below.setdefault(node.name[: at.start()], []).append(node)

    def panels(self) -> Iterator[Panel]:
        total = self.costs.total()
        size = total.trainable + total.frozen
        about = "" if isinstance(size, LearntSize) else f" {size:,} parameters"
        top = Panel(self.spec.name, f"{self.spec.description.rstrip('. ')}.{about}".lstrip(". "))
        for name, declared in self.spec.inputs.items():
            top.boxes[name] = Box("input", name, [f"{show(('N', *declared.shape))} {declared.dtype}"])
        outermost = Instance("", None, _mapping(self.spec.tree.get("vars")), {})
        waiting = deque(self._fill(top, outermost, self.spec.nodes))
        for head in self.spec.all_heads.values():
            if head.layer is not None:
                key = f"head {head.name}"
                top.boxes[key] = _head(head)
                for ref in head.refs:
                    top.link(self._box_of(top, ref.name), key)
        yield top
        drawn: set[str] = set()
        while waiting:
            instance = waiting.popleft()
            if instance.block is None or instance.block in drawn:
                continue
            drawn.add(instance.block)
            panel, inner = self._block(instance)
            waiting += inner
            yield panel

    def _fill(self, panel: Panel, at: Instance, nodes: Iterable[NodeDecl]) -> list[Instance]:
        """Add boxes and arrows of the nodes below ``at``; return the block instances among them."""
        names = self._names(at)
        instances: dict[str, Instance] = {}
        groups: dict[str, list[NodeDecl]] = {}
        self._keys: dict[str, str] = {}
        for node in nodes:
            local = node.name[len(at.path) + 1 :] if at.path else node.name
            first, inside, _ = local.partition("/")
            child, entry = names.get(first, (first, None))
            if self.expand:
                child, inside = node.name, ""
            elif inside and child not in instances:
                path = f"{at.path}/{first}" if at.path else first
                instances[child] = self._instance(path, entry or node.within, at)
            groups.setdefault(child, []).append(node)
            self._keys[node.name] = child
        for child, members in groups.items():
            copies = len({m.name[len(at.path) + bool(at.path) :].partition("/")[0] for m in members})
            title, block = f"{child} × {copies}" if copies > 1 else child, instances.get(child)
            box = self._layer_box(title, members) if block is None else self._block_box(title, block, members)
            panel.boxes[child] = box
        for node in nodes:
            if self.expand and isinstance(node.layer, Formula):
                self._open(panel, node, node.layer.value)
                continue
            for ref in _refs(node):
                panel.link(self._box_of(panel, ref.name), self._keys[node.name])
        return list(instances.values())

    def _open(self, panel: Panel, node: NodeDecl, formula: str) -> None:
        """Add a box for each operation of a Formula but the last one, which is the node, and the arrows between them."""
        parsed, keys = parse(formula), dict[Term, str]()
        sources = dict(zip(parsed.names(), node.operands(), strict=True))
        for k, term in enumerate(parsed.terms):
            key = node.name if term is parsed.terms[-1] else f"{node.name}/{k}"
            if term.kind == "name" and isinstance(ref := sources[term.value], Ref):
                keys[term] = self._box_of(panel, ref.name)
            elif term.kind in ("call", "part"):
                text, family = formula[term.start : term.end], panel.boxes[node.name].family
                panel.boxes.setdefault(key, Box("layer", shorten(text, 40), [class_name(term)], family, tip=text))
                keys[term] = key
            for source in term.args or ([term] if key == node.name else []):
                if source in keys:
                    panel.link(keys[source], key)

    def _box_of(self, panel: Panel, name: str) -> str:
        return self._keys.get(name, name) if self._keys.get(name, name) in panel.boxes else name

    def _names(self, at: Instance) -> dict[str, tuple[str, Tree | None]]:
        """Return the box (one for all copies of a `repeat`) and the entry of each concrete name in a scope."""
        layers = self._declared(at.block, "layers") if at.path else self.spec.tree.get("layers")
        found: dict[str, tuple[str, Tree | None]] = {}
        copies: dict[str, dict[str, None]] = {}
        for node in self.below[at.path]:
            concrete = node.name[len(at.path) + bool(at.path) :].partition("/")[0]
            if numbered := re.fullmatch(r"(.+)_\d+", concrete):
                copies.setdefault(numbered[1], {})[concrete] = None
        for entry in layers.value if layers is not None else ():
            given = entry.get("name")
            if given is None:
                continue
            name = str(given.value)
            if entry.get("repeat") is None:
                found[name] = (name, entry)
            else:
                found |= dict.fromkeys(copies.get(name, {}), (name, entry))
        return found

    def _block(self, at: Instance) -> tuple[Panel, list[Instance]]:
        """Return the panel of a block: its nodes, inputs and outputs; and the block instances in it."""
        nodes = self.below[at.path]
        own = {n.name for n in nodes}
        panel = Panel(f"block {at.block}", self._parameters(at))
        words = _listed(self._declared(at.block, "inputs"))
        outside: dict[str, Ref] = {}
        for ref in (ref for n in nodes for ref in _refs(n) if ref.name not in own):
            outside.setdefault(ref.name, ref)
        for k, (name, ref) in enumerate(outside.items()):
            title = words[k] if len(words) == len(outside) else name
            value = self.lowered.value(ref)
            panel.boxes[name] = Box("input", title, [show(value.shape)] if value is not None else [])
        inner = self._fill(panel, at, nodes)
        ends = [name.partition(":")[0] for name in _listed(self._declared(at.block, "outputs"))]
        for k, name in enumerate(ends):
            key = f"output {k}"
            panel.boxes[key] = Box("head", "output" if len(ends) == 1 else key)
            panel.link(name, key)
        return panel, inner

    def _instance(self, path: str, entry: Tree | None, around: Instance) -> Instance:
        name = None if entry is None else entry.get("block")
        written = None if entry is None else entry.get("params")
        given = {k: _resolved(v, around.params) for k, v in _mapping(written).items()}
        block = None if name is None else str(name.value)
        inside = {k: _resolved(v, around.params | {"index": 0}) for k, v in given.items()}  # of the first copy
        return Instance(path, block, around.params | _mapping(self._declared(block, "params")) | inside, given)

    def _declared(self, block: str | None, key: str) -> Tree | None:
        blocks = self.spec.tree.get("blocks")
        declared = None if blocks is None or block is None else blocks.get(block)
        return None if declared is None else declared.get(key)

    def _parameters(self, at: Instance) -> str:
        """Return ``filters 64, wide 256, as in 'stage2'``."""
        words = _words({name: at.params[name] for name in _mapping(self._declared(at.block, "params"))})
        return f"{words + ', ' if words else ''}as in '{at.path}'"

    def _block_box(self, title: str, instance: Instance, members: list[NodeDecl]) -> Box:
        about = f"block {instance.block}" + (f": {_words(instance.given)}" if instance.given else "")
        columns = self.spec.tree.find(("inputs", instance.path, "columns"))[0]
        if columns is not None and isinstance(columns.value, dict):
            about = f"record of {count(len(columns.value), 'column')}"
        elif instance.block is None:
            about = f"with {_shared(members[0]).partition('/')[0]}"
        lines = list(filter(None, [about, self._shape(members[-1], members), self._when(members)]))
        return Box("block", title, lines, nodes=[node.name for node in members])

    def _layer_box(self, title: str, members: list[NodeDecl]) -> Box:
        node = members[0]
        family = "" if node.layer is None else LAYERS.family(type(node.layer)).replace("_", " ")
        words = " · ".join([node.type or "", *map(operand_text, node.written.values()), *_arguments(node.layer)])
        if formula := node.layer.value if isinstance(node.layer, Formula) else "":
            words = f"Formula · {shorten(' '.join(formula.split()), 48)}"
        if node.share is not None:
            words = f"{node.type} with {_shared(node)}"
        lines = list(filter(None, [words, self._shape(members[-1], members), self._when(members)]))
        return Box("shared" if node.share else "layer", title, lines, family, [m.name for m in members], formula)

    def _when(self, members: Sequence[NodeDecl]) -> str:
        """Return a line about nodes that are computed once per row; an empty text if there are none."""
        once = sum(m.name in self.once for m in members)
        some = "" if once == len(members) else f"{once} of {len(members)} nodes "
        return f"{some}computed once, before training" if once else ""

    def _shape(self, last: NodeDecl, members: Iterable[NodeDecl]) -> str:
        """Return ``(N, 28, 28, 64) · 1,792 parameters``."""
        outputs = self.lowered.outputs.get(last.name) or ()
        size = sum(self.costs.nodes[m.name].trainable + self.costs.nodes[m.name].frozen for m in members)
        shapes = " ".join(show(v.shape) for v in outputs)
        if isinstance(size, LearntSize):
            return f"{shapes} · parameters learnt"
        return f"{shapes} · {size:,} parameters" if size else shapes


def _listed(names: Tree | None) -> list[str]:
    if names is None:
        return []
    return [str(item.value) for item in names.value] if isinstance(names.value, list) else [str(names.value)]


def _mapping(tree: Tree | None) -> dict[str, Any]:
    return {} if tree is None else dict(tree.plain() or {})


def _resolved(value: Any, variables: Mapping[str, Any]) -> Any:
    match = re.fullmatch(r"\$\{(.+)\}", value) if isinstance(value, str) else None
    if match is None or not parse(match[1]).names().keys() <= variables.keys():
        return value
    found, _ = evaluate(match[1], variables)
    return variables.get(match[1], value if found is None else found)


def _words(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in params.items())


def _refs(node: NodeDecl) -> list[Ref]:
    return [r for group in (node.inputs, *node.call.values()) for r in group if r is not None]


def _arguments(layer: Any) -> Iterator[str]:
    for inner in filter(None, (getattr(layer, key, None) for key in ("layer", "cell", "cells"))):
        for part in _each(inner):
            yield " ".join([type(part).__name__, *_arguments(part)])
    written: Mapping[str, Any] = {} if layer is None else {k: getattr(layer, k) for k in layer.model_fields_set}
    for key, form in _ARGUMENTS.items():
        value = written.get(key)
        if value is None or value == () or (key in ("strides", "dilation_rate") and set(_each(value)) == {1}):
            continue
        if key == "padding" and not isinstance(value, str):
            continue
        if key in ("kernel_size", "pool_size"):
            value = "×".join(map(str, _each(value))) if len(_each(value)) > 1 else f"window {value[0]}"
        elif isinstance(value, tuple):
            value = str(value[0]) if len(set(value)) == 1 else "×".join(map(str, value))
        elif isinstance(value, Config):
            value = type(value).__name__.lower()
        yield form.format(value, s="" if value == 1 else "s")


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _head(head: HeadDecl) -> Box:
    loss = f"loss {type(head.loss).__name__}" if head.loss is not None else "no loss"
    metrics = ", ".join(metric.key for metric in head.metrics)
    lines = [
        loss + (f" · weight {head.weight:g}" if head.weight != 1 else ""),
        f"compared with {head.target.name}" if head.target is not None else "",
        "for training only" if head.only_trained else "",
        f"metrics {metrics}" if metrics else "",
    ]
    return Box("head", head.name, list(filter(None, lines)))


def _shared(node: NodeDecl) -> str:
    return f"{'' if node.average is None else 'running means of '}the weights of {node.share}"
