"""What differs between two networks by meaning: defaults, short forms, blocks and the order of keys make no difference.

Nodes are compared one by one, after blocks are expanded. A node with another name alone is renamed, not removed and added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphspec.engine.compiler.cost import cost
from graphspec.engine.compiler.link import link
from graphspec.engine.compiler.lowered import Lowered
from graphspec.engine.compiler.onnx_sources import onnx_layer
from graphspec.engine.compiler.plain_values import TYPE, Change, changes, plain
from graphspec.language.declarations import HeadDecl, InputDecl, NodeDecl, Ref, Spec, operand_text

ADDED, REMOVED, CHANGED, RENAMED = "added", "removed", "changed", "renamed"


@dataclass(frozen=True)
class Network:
    """One side of a comparison: a spec without errors, and its graph."""

    spec: Spec
    lowered: Lowered


@dataclass(frozen=True)
class Difference:
    """An input, a node or a head that differs.

    Attributes:
        change: ``added``, ``removed``, ``changed`` or ``renamed``.
        name, old_name: the new name, and the old one; they are equal unless it is renamed.
        type: the layer; empty for inputs and heads.
        settings: of an added or removed one, the settings that its spec writes.
        changes: of a changed one.
        shape: the old and the new shape, if they differ.
    """

    change: str
    name: str
    old_name: str
    type: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    changes: Sequence[Change] = ()
    shape: tuple[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the difference as JSON."""
        return {
            "change": self.change,
            "name": self.name,
            "old_name": self.old_name,
            "type": self.type,
            "settings": dict(self.settings),
            "changes": [c.to_json() for c in self.changes],
            "shape": None if self.shape is None else {"old": self.shape[0], "new": self.shape[1]},
        }


@dataclass(frozen=True)
class NetworkDifferences:
    """What differs between two networks.

    Attributes:
        shapes: nodes whose shape alone differs, with the old and the new one.
        costs: parameters and multiply-adds that differ.
    """

    inputs: list[Difference]
    nodes: list[Difference]
    heads: list[Difference]
    shapes: dict[str, tuple[str, str]]
    costs: list[Change]

    def __bool__(self) -> bool:
        return any((self.inputs, self.nodes, self.heads, self.shapes, self.costs))

    def to_json(self) -> dict[str, Any]:
        """Return the differences as JSON."""
        parts = {"inputs": self.inputs, "nodes": self.nodes, "heads": self.heads}
        return {
            **{key: [d.to_json() for d in found] for key, found in parts.items()},
            "shapes": [{"name": name, "old": a, "new": b} for name, (a, b) in self.shapes.items()],
            "costs": [c.to_json() for c in self.costs],
        }


def network_differences(old: Network, new: Network) -> NetworkDifferences:
    """Compare two networks."""
    return _Comparison(old, new).result()


class _Comparison:
    """Compares two networks; ``names`` maps each old input and node to its new name."""

    def __init__(self, old: Network, new: Network) -> None:
        self._old, self._new = old, new
        self._names: dict[str, str] = {}
        self._shapes: dict[str, tuple[str, str]] = {}

    def result(self) -> NetworkDifferences:
        inputs, nodes = self._inputs(), self._nodes()
        heads = self._heads()
        said = {d.name for d in nodes}
        shapes = {name: shapes for name, shapes in self._shapes.items() if name not in said}
        return NetworkDifferences(inputs, nodes, heads, shapes, self._costs())

    def _inputs(self) -> list[Difference]:
        old, new = self._old.spec.inputs, self._new.spec.inputs
        self._names = {name: name for name in old if name in new}
        for name, declared in old.items():
            free = (n for n in new if n not in old and n not in self._names.values())
            if name not in new and (same := next((n for n in free if _input(declared) == _input(new[n])), None)):
                self._names[name] = same
        found = []
        for name, declared in old.items():
            other = self._names.get(name)
            if other is None:
                found.append(Difference(REMOVED, name, name, settings=_written(_input(declared))))
                continue
            differences = changes(_input(declared), _input(new[other]))
            if differences or name != other:
                found.append(Difference(RENAMED if name != other else CHANGED, other, name, changes=differences))
        added = (n for n in new if n not in self._names.values())
        return found + [Difference(ADDED, n, n, settings=_written(_input(new[n]))) for n in added]

    def _nodes(self) -> list[Difference]:
        old, new = ({n.name: n for n in side.spec.nodes} for side in (self._old, self._new))
        order, _ = link(self._old.spec)
        self._names |= {name: name for name in old if name in new}
        free = [n for n in new.values() if n.name not in old]
        for node in order:
            if node.name in new:
                continue
            wanted = self._signature(node, renamed=True)
            same = next((n for n in free if wanted is not None and self._signature(n) == wanted), None)
            if same is not None:
                free.remove(same)
                self._names[node.name] = same.name
        found = []
        for node in old.values():
            other = self._names.get(node.name)
            if other is None:
                found.append(Difference(REMOVED, node.name, node.name, _kind(node), _told(node)))
                continue
            shape = self._shape_change(node.name, other)
            differences = self._changes(node, new[other])
            if differences or node.name != other:
                change = RENAMED if node.name != other else CHANGED
                found.append(Difference(change, other, node.name, _kind(new[other]), {}, differences, shape))
        return found + [Difference(ADDED, n.name, n.name, _kind(n), _told(n)) for n in free]

    def _changes(self, old: NodeDecl, new: NodeDecl) -> list[Change]:
        a, b = self._signature(old, renamed=True, whole=True), self._signature(new)
        assert a is not None
        assert b is not None
        if a[TYPE] != b[TYPE]:
            settings = ({TYPE: s[TYPE]} | _told(n) for s, n in ((a, old), (b, new)))
            rest = changes({"inputs": a["inputs"]}, {"inputs": b["inputs"]})
            return [Change(TYPE, *settings), *rest]
        return changes(a, b)

    def _signature(self, node: NodeDecl, *, renamed: bool = False, whole: bool = False) -> dict[str, Any] | None:
        """Return all settings of a node, with its inputs; None if an input has no counterpart on the new side.

        Args:
            renamed: whether the node is of the old side: its inputs get their new names.
            whole: keep inputs without a counterpart by their old names.
        """

        def of(refs: Iterable[Ref | None]) -> list[str] | None:
            names = [_ref(ref, self._names if renamed else None, keep=whole) for ref in refs]
            return None if None in names else [n for n in names if n is not None]

        inputs, call = of(node.inputs), {key: of(refs) for key, refs in node.call.items()}
        if inputs is None or None in call.values():
            return None
        for position in sorted(node.written):
            inputs.insert(position, operand_text(node.written[position]))
        where = {"inputs": inputs} | call
        if node.share is not None:  # everything else is its owner's
            share = self._names.get(node.share, node.share) if renamed else node.share
            return {TYPE: _kind(node), "share": share} | where
        settings: dict[str, Any] = plain(node.layer)
        if (layer := onnx_layer(node)) is not None and layer.record is not None:
            settings["sha256"] = layer.record.sha256
        return settings | {TYPE: _kind(node), "trainable": node.trainable} | where

    def _heads(self) -> list[Difference]:
        old, new = self._old.spec.all_heads, self._new.spec.all_heads
        pairs = {name: target for name in old if (target := self._names.get(name, name)) in new}
        found = []
        for name, head in old.items():
            if name not in pairs:
                found.append(Difference(REMOVED, name, name, settings=_told_of(head)))
                continue
            before = _head(head) | _nodes(head, self._names)
            differences = changes(before, _head(new[pairs[name]]))
            if differences:
                found.append(Difference(CHANGED, pairs[name], name, changes=differences))
        added = (n for n in new if n not in pairs.values())
        return found + [Difference(ADDED, n, n, settings=_told_of(new[n])) for n in added]

    def _shape_change(self, old: str, new: str) -> tuple[str, str] | None:
        shapes = (_shape(self._old.lowered, old), _shape(self._new.lowered, new))
        if "" in shapes or shapes[0] == shapes[1]:
            return None
        self._shapes[new] = shapes
        return shapes

    def _costs(self) -> list[Change]:
        return changes(_costs(self._old), _costs(self._new))


def _costs(side: Network) -> dict[str, int | None]:
    """Return the numbers of a network; None if they are still to be learnt."""
    total = None if side.lowered.graph.learnt else cost(side.spec, side.lowered, 1).total()
    return {
        "parameters": None if total is None else total.trainable + total.frozen,
        "trainable": None if total is None else total.trainable,
        "multiply_adds": None if total is None else total.multiply_adds,
    }


def _shape(lowered: Lowered, name: str) -> str:
    """Return the shapes of a node's outputs as text; empty if they are unknown."""
    values = lowered.outputs.get(name) or ()
    return ", ".join(f"({', '.join(map(str, v.shape))})" for v in values)


def _input(declared: InputDecl) -> dict[str, Any]:
    """Return the settings of an input. Axes that vary count as such, whatever their names."""
    shape = [size if isinstance(size, int) else None for size in declared.shape]
    rest = {"dtype": declared.dtype, "column": declared.column, "description": declared.description}
    return {"shape": shape} | rest


def _nodes(head: HeadDecl, names: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the nodes of a head."""
    layers = [_ref(ref, names, keep=True) for ref in head.layers]
    return {"layer": layers if head.others else layers[0], "target": _ref(head.target, names, keep=True)}


def _head(head: HeadDecl) -> dict[str, Any]:
    return {
        **_nodes(head, None),
        "target_gradient": head.target_gradient or None,
        "loss": plain(head.loss),
        "weight": head.weight,
        "metrics": plain(head.metrics),
        "class_weight": plain(head.class_weight),
        "labels": head.labels,
        "scale": head.scale,
        "description": head.description,
    }


def _told_of(head: HeadDecl) -> dict[str, Any]:
    """Return the settings of a head, without the layer if that has its name."""
    settings = _written(_head(head))
    return {key: value for key, value in settings.items() if (key, value) != ("layer", head.name)}


def _kind(node: NodeDecl) -> str:
    return node.type or "share"


def _told(node: NodeDecl) -> dict[str, Any]:
    """Return what the spec writes of a node, without defaults."""
    if node.share is not None or node.layer is None:
        return {"share": node.share}
    settings = {key: plain(getattr(node.layer, key)) for key in type(node.layer).model_fields}
    return {key: settings[key] for key in settings if key in node.layer.model_fields_set}


def _written(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value not in (None, "", [], 1.0)}


def _ref(ref: Ref | None, names: Mapping[str, str] | None, *, keep: bool = False) -> str | None:
    if ref is None:
        return None
    name = ref.name if names is None else names.get(ref.name, ref.name if keep else None)
    return name if name is None or ref.output == 0 else f"{name}:{ref.output}"
