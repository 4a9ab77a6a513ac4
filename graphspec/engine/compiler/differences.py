"""What differs between two networks by meaning: defaults, short forms, blocks and the order of keys make no difference.

Nodes are compared one by one, after blocks are expanded. A node with another name alone is renamed, not removed and added.
"""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from graphspec.base.config import Config
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.compiler.cost import cost
from graphspec.engine.compiler.lower import link
from graphspec.engine.compiler.lowered_network import Lowered
from graphspec.engine.compiler.spec_files import onnx_layer
from graphspec.language.declarations import DataSource, HeadDecl, InputDecl, NodeDecl, Ref, Spec, operand_text
from graphspec.vocabulary.activations import ACTIVATIONS
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS

# The settings of a spec as plain values, with all defaults, so that two of them can be compared key by key.
TYPE = "type"  # the key of an object's class


@dataclass(frozen=True)
class Change:
    """A setting that differs."""

    key: str  # the dotted path of keys, such as ``optimizer.learning_rate``
    old: Any  # old, new: plain values; None where there is no value
    new: Any

    def to_json(self) -> dict[str, Any]:
        return {"key": self.key, "old": self.old, "new": self.new}


class Settings(dict[str, Any]):
    """All arguments of an object, with its type."""

    told: tuple[str, ...] = ()  # arguments that a spec sets to other values than the defaults: a text names only these


def plain(value: Any) -> Any:
    """Return a setting as plain values: an object is a mapping of its type and all its arguments."""
    if isinstance(value, Config):
        found = Settings({TYPE: name_of(type(value))})
        for key, declared in type(value).model_fields.items():
            argument = getattr(value, key)
            found[key] = plain(argument)
            if argument is None and key.endswith("activation"):  # none means the linear one
                found[key] = {TYPE: "linear"}
            default = declared.get_default(call_default_factory=True, validated_data={})
            if key in value.model_fields_set and argument is not None and argument != default:
                found.told = (*found.told, key)
        return found
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def name_of(kind: type) -> str:
    """Return the name by which a spec calls a class of the vocabulary; of another class, its own name."""
    return _names().get(kind, kind.__name__)


@cache
def _names() -> dict[type, str]:
    registries = (ACTIVATIONS, LOSSES, METRICS)
    return {kind: name for registry in registries for name in registry.primary() if (kind := registry.get(name))}


def changes(old: Any, new: Any, key: str = "") -> list[Change]:
    """Return the differences of two plain values, key by key. Two objects of different types are one difference."""
    if _equal(old, new):
        return []
    if isinstance(old, dict) and isinstance(new, dict) and old.get(TYPE) == new.get(TYPE):
        keys = [*old, *(k for k in new if k not in old)]
        return [c for k in keys for c in changes(old.get(k), new.get(k), f"{key}.{k}" if key else k)]
    if _are_objects(old) and _are_objects(new):
        return _in_lists(old, new, key)
    return [Change(key, old, new)]


def _equal(old: Any, new: Any) -> bool:
    """Return whether two plain values are equal; 1 and true are not, 1 and 1.0 are."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_equal(old[k], new[k]) for k in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_equal(a, b) for a, b in zip(old, new, strict=True))
    return isinstance(old, bool) == isinstance(new, bool) and bool(old == new)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and TYPE in item for item in value)


def _in_lists(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]], key: str) -> list[Change]:
    """Return the differences of two lists of objects: those of one type are compared in their order."""
    found: list[Change] = []
    types = dict.fromkeys(item[TYPE] for item in (*old, *new))
    for kind in types:
        before, after = ([item for item in items if item[TYPE] == kind] for items in (old, new))
        path = f"{key}.{kind}" if key else kind
        for k in range(max(len(before), len(after))):
            a, b = (items[k] if k < len(items) else None for items in (before, after))
            where = path if k == 0 else f"{path}.{k}"
            found += changes(a, b, where) if a is not None and b is not None else [Change(where, a, b)]
    if not found:  # the same objects in another order
        found.append(Change(key, [item[TYPE] for item in old], [item[TYPE] for item in new]))
    return found


def short(value: Any) -> str:
    """Return a plain value as a spec would have it, without the arguments that are not said."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return f"[{', '.join(map(short, value))}]"
    if isinstance(value, dict):
        if value.keys() <= {TYPE}:
            return str(value.get(TYPE, "{}"))
        keys = (TYPE, *value.told) if isinstance(value, Settings) else value
        told = {k: value[k] for k in keys if value[k] is not None}
        if told.keys() == {TYPE}:
            return str(told[TYPE])
        return f"{{{', '.join(f'{k}: {short(v)}' for k, v in told.items())}}}"
    return str(value)


ADDED, REMOVED, CHANGED, RENAMED = "added", "removed", "changed", "renamed"


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a spec without errors, and its graph."""

    spec: Spec
    lowered: Lowered


@dataclass(frozen=True)
class Difference:
    """An input, a node or a head that differs."""

    change: str  # ``added``, ``removed``, ``changed`` or ``renamed``
    name: str  # the new name, which is equal to the old one unless it is renamed
    old_name: str
    type: str = ""  # the layer; empty for inputs and heads
    settings: Mapping[str, Any] = field(default_factory=dict)  # of an added or removed one, those that its spec writes
    changes: Sequence[Change] = ()  # of a changed one
    shape: tuple[str, str] | None = None  # the old and the new shape, if they differ

    def to_json(self) -> dict[str, Any]:
        changed = [c.to_json() for c in self.changes]
        shape = None if self.shape is None else {"old": self.shape[0], "new": self.shape[1]}
        return {**vars(self), "settings": dict(self.settings), "changes": changed, "shape": shape}


@dataclass(frozen=True)
class NetworkDifferences:
    """What differs between two networks."""

    inputs: list[Difference]
    nodes: list[Difference]
    heads: list[Difference]
    shapes: dict[str, tuple[str, str]]  # nodes whose shape alone differs, with the old and the new one
    costs: list[Change]  # parameters and multiply-adds that differ

    def __bool__(self) -> bool:
        return any((self.inputs, self.nodes, self.heads, self.shapes, self.costs))

    def to_json(self) -> dict[str, Any]:
        parts = {"inputs": self.inputs, "nodes": self.nodes, "heads": self.heads}
        return {
            **{key: [d.to_json() for d in found] for key, found in parts.items()},
            "shapes": [{"name": name, "old": a, "new": b} for name, (a, b) in self.shapes.items()],
            "costs": [c.to_json() for c in self.costs],
        }


T = TypeVar("T")


def _paired(
    old: Mapping[str, T],
    new: Mapping[str, T],
    names: Mapping[str, str],  # the new name of each old one that has a counterpart
    compare: Callable[[T, T], Sequence[Change]],
    told: Callable[[T], Mapping[str, Any]],  # the settings of one that was added or removed
    kind: Callable[[T], str] | None = None,
) -> list[Difference]:
    """Return what was removed, changed, renamed and added, in this order."""
    found, kind = list[Difference](), kind or (lambda _: "")
    for name, item in old.items():
        if (other := names.get(name)) is None:
            found.append(Difference(REMOVED, name, name, kind(item), told(item)))
        elif (differences := compare(item, new[other])) or name != other:
            change = CHANGED if name == other else RENAMED
            found.append(Difference(change, other, name, kind(new[other]), changes=differences))
    kept = {names[name] for name in old if name in names}
    return found + [Difference(ADDED, name, name, kind(new[name]), told(new[name])) for name in new if name not in kept]


class _Comparison:
    """Compares two networks; ``names`` maps each old input and node to its new name."""

    def __init__(self, old: Side, new: Side) -> None:
        self._old, self._new = old, new
        self._names: dict[str, str] = {}

    def inputs(self) -> list[Difference]:
        old, new = self._old.spec.inputs, self._new.spec.inputs
        self._names = {name: name for name in old if name in new}
        for name, declared in old.items():
            free = (n for n in new if n not in old and n not in self._names.values())
            if name not in new and (same := next((n for n in free if _input(declared) == _input(new[n])), None)):
                self._names[name] = same
        compare, told = lambda a, b: changes(_input(a), _input(b)), lambda declared: _written(_input(declared))
        return _paired(old, new, self._names, compare, told)

    def nodes(self) -> list[Difference]:
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
        return _paired(old, new, self._names, self._changes, _told, _kind)

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

        The inputs of a node of the old side get their new names (``renamed``); ``whole`` keeps those without a counterpart.
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
            return {TYPE: _kind(node), "share": share, "average": node.average} | where
        settings: dict[str, Any] = plain(node.layer)
        if (layer := onnx_layer(node)) is not None and layer.record is not None:
            settings["sha256"] = layer.record.sha256
        return settings | {TYPE: _kind(node), "trainable": node.trainable} | where

    def heads(self) -> list[Difference]:
        old, new = self._old.spec.all_heads, self._new.spec.all_heads
        pairs = {name: target for name in old if (target := self._names.get(name, name)) in new}

        def compare(before: HeadDecl, after: HeadDecl) -> list[Change]:
            return changes(_head(before) | _nodes(before, self._names), _head(after))

        found = _paired(old, new, pairs, compare, _told_of)  # a head is not renamed: its node is
        found = [replace(d, change=CHANGED) if d.change == RENAMED else d for d in found]
        return [d for d in found if d.change != CHANGED or d.changes]

    def shapes(self) -> dict[str, tuple[str, str]]:
        """Return the old and the new shapes of nodes whose shapes differ, by the new name."""
        pairs = [(n.name, self._names.get(n.name, "")) for n in self._old.spec.nodes]
        found = {new: (_shape(self._old.lowered, old), _shape(self._new.lowered, new)) for old, new in pairs}
        return {name: both for name, both in found.items() if "" not in both and both[0] != both[1]}


def network_differences(old: Side, new: Side) -> NetworkDifferences:
    """Compare two networks."""
    found = _Comparison(old, new)
    inputs, nodes, heads = found.inputs(), found.nodes(), found.heads()
    shapes = found.shapes()
    nodes = [replace(d, shape=shapes.pop(d.name, None)) for d in nodes]
    return NetworkDifferences(inputs, nodes, heads, shapes, changes(_costs(old), _costs(new)))


def _costs(side: Side) -> dict[str, int | None]:
    """Return the numbers of a network; None if they are still to be learnt."""
    if side.lowered.graph.learnt:
        return dict.fromkeys(("parameters", "trainable", "multiply_adds"))
    n = cost(side.spec, side.lowered, 1).total()
    return {"parameters": n.trainable + n.frozen, "trainable": n.trainable, "multiply_adds": n.multiply_adds}


def _shape(lowered: Lowered, name: str) -> str:
    """Return the shapes of a node's outputs as text; empty if they are unknown."""
    values = lowered.outputs.get(name) or ()
    return ", ".join(f"({', '.join(map(str, v.shape))})" for v in values)


def _input(declared: InputDecl) -> dict[str, Any]:
    """Return the settings of an input. Axes that vary count as such, whatever their names."""
    shape = [size if isinstance(size, int) else None for size in declared.shape]
    return {"shape": shape} | {key: getattr(declared, key) for key in ("dtype", "column", "description")}


def _nodes(head: HeadDecl, names: Mapping[str, str] | None) -> dict[str, Any]:
    layers = [_ref(ref, names, keep=True) for ref in head.layers]
    others = {"target": _ref(head.target, names, keep=True), "window": _ref(head.window, names, keep=True)}
    return {"layer": layers if head.others else layers[0], **others}


def _head(head: HeadDecl) -> dict[str, Any]:
    return {
        **_nodes(head, None),
        **{key: getattr(head, key) or None for key in ("target_gradient", "clip", "threshold")},
        "loss": plain(head.loss),
        "weight": head.weight,
        "metrics": plain(head.metrics),
        "class_weight": plain(head.class_weight),
        **{key: getattr(head, key) for key in ("labels", "scale", "members", "interval", "calibrate", "description")},
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
        return {"share": node.share} | ({} if node.average is None else {"average": node.average})
    settings = {key: plain(getattr(node.layer, key)) for key in type(node.layer).model_fields}
    return {key: settings[key] for key in settings if key in node.layer.model_fields_set}


def _written(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value not in (None, "", [], 1.0)}


def _ref(ref: Ref | None, names: Mapping[str, str] | None, *, keep: bool = False) -> str | None:
    if ref is None:
        return None
    name = ref.name if names is None else names.get(ref.name, ref.name if keep else None)
    return name if name is None or ref.output == 0 else f"{name}:{ref.output}"


# What differs between two specs or runs beside their networks: training, data, and what layers have learnt.
_ROWS = ("file", "images", "texts")
_NOT_COMPARED = frozenset((*_ROWS, "tree", "folder", "beside", "allow"))
_APART = ("tree", "initial_weights")
_MAX_COMPARED = 1 << 28  # bytes of data files of two places whose content is compared
_MAX_LISTED = 10  # new and missing words of a vocabulary


def training_differences(old: Spec, new: Spec) -> list[Change]:
    """Compare how two networks are trained."""
    return changes(_settings(old.training) | _initial(old), _settings(new.training) | _initial(new))


def _initial(spec: Spec) -> dict[str, Any]:
    """Return the files of initial weights as a spec writes them, by key: ``initial_weights``, ``hidden.weights``."""
    return {f"{f.node}.weights" if f.node else "initial_weights": f.written() for f in spec.weight_files}


def _settings(record: Any) -> dict[str, Any]:
    return {f.name: plain(getattr(record, f.name)) for f in fields(record) if f.name not in _APART}


def data_differences(old: Spec, new: Spec) -> list[Change]:
    """Compare the sources of rows. A file is the same if its place or its content is; for an ONNX file, if its name is."""
    found: list[Change] = []
    only_names = old.base is None or new.base is None
    for part in dict.fromkeys((*old.data, *new.data)):
        a, b = old.data.get(part), new.data.get(part)
        if a is None or b is None:
            found.append(Change(part, *(None if source is None else _source_settings(source) for source in (a, b))))
            continue
        for key in _ROWS:
            names: list[Path | None] = [getattr(source, key) for source in (a, b)]
            if not _same_rows(names[0], names[1], only_names=only_names):
                found.append(Change(f"{part}.{key}", *(None if name is None else str(name) for name in names)))
        found += changes(_source(a), _source(b), part)
    return found


def _source(source: DataSource) -> dict[str, Any]:
    settings = {f.name: getattr(source, f.name) for f in fields(source) if f.name not in _NOT_COMPARED}
    windows = settings.pop("windows")
    plain_settings = {key: plain(value) for key, value in settings.items()}
    return plain_settings | {"windows": None if windows is None else _settings(windows)}


def _source_settings(source: DataSource) -> dict[str, Any]:
    rows = {key: str(path) for key in _ROWS if (path := getattr(source, key)) is not None}
    return rows | {k: v for k, v in _source(source).items() if v not in (None, False, ".")}


def _same_rows(old: Path | None, new: Path | None, *, only_names: bool) -> bool:
    if old is None or new is None:
        return old is new
    if only_names:
        return old.name == new.name
    if old.resolve() == new.resolve():
        return True
    try:
        sizes = {old.stat().st_size, new.stat().st_size} if old.is_file() and new.is_file() else {-1}
        return len(sizes) == 1 and 0 <= max(sizes) <= _MAX_COMPARED and filecmp.cmp(old, new, shallow=False)
    except OSError:
        return False


def learnt_differences(old: Adapted, new: Adapted, names: Mapping[str, str] | None = None) -> list[Change]:
    """Compare what was learnt: of vocabularies, the words that one lacks. ``names``: of renamed layers and heads."""
    names = names or {}
    found = changes(old.rows, new.rows, "rows")
    for before, after in ((old.layers, new.layers), (old.heads, new.heads)):
        renamed = {names.get(name, name): state for name, state in before.items()}
        for name in dict.fromkeys((*renamed, *after)):
            a, b = renamed.get(name, {}), after.get(name, {})
            for key in dict.fromkeys((*a, *b)):
                found += _learnt(f"{name}.{key}", plain(a.get(key)), plain(b.get(key)))
    return found


def _learnt(key: str, old: Any, new: Any) -> list[Change]:
    if old == new:
        return []
    if not all(isinstance(value, list) and all(isinstance(v, str | int) for v in value) for value in (old, new)):
        return [Change(key, _summary(old), _summary(new))]
    lacking, extra = set(old), set(new)
    missing, added = ([v for v in a if v not in b] for a, b in ((old, extra), (new, lacking)))
    if not missing and not added:
        return [Change(f"{key} (order)", old[:_MAX_LISTED], new[:_MAX_LISTED])]
    found = [Change(f"{key} (count)", len(old), len(new))] if len(old) != len(new) else []
    return [*found, Change(key, missing[:_MAX_LISTED] or None, added[:_MAX_LISTED] or None)]


def _summary(value: Any) -> Any:
    """Return a learnt value; of a long list, the first numbers."""
    return value if not isinstance(value, list) or len(value) <= _MAX_LISTED else [*value[:_MAX_LISTED], "…"]
