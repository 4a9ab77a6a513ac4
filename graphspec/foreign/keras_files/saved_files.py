"""What Keras saved: a model's configuration, its weights by the names of a spec, and what its layers have learnt.

Keras 3 stores weights in another form than `.h5` files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arrays.layout import Array
from graphspec.base.budget import Budget
from graphspec.base.errors import UsageError
from graphspec.base.text import count
from graphspec.foreign.keras_files.containers import MAGIC, Archive, ArchiveProblems, Hdf5, parse_json
from graphspec.foreign.keras_files.layers import Notes
from graphspec.foreign.keras_files.model_config import LayerDef, ModelDef, simple_class
from graphspec.graph.ir.graph import Param
from graphspec.language.names import snake_case


@dataclass
class Owner:
    """A layer of the file whose weights a node of the spec has, with its position in its model and in those around it."""

    layer: LayerDef
    node: str
    path: tuple[int, ...]
    models: tuple[ModelDef, ...]


@dataclass
class Stored:
    """An array of the file, and the part of the layer that has it: ``forward``, ``query``; empty for its own.

    ``role`` is its name if the file says so: ``kernel``.
    """

    part: str
    role: str
    shape: tuple[int, ...]
    place: str
    source: Any


_SAME_ROLE = {"depthwise_kernel": "kernel", "u": "vector_u", "sn_u": "vector_u", "running_mean": "moving_mean"}


def taken(
    owners: list[Owner], params: Mapping[str, Param], source: Weights, problems: ArchiveProblems
) -> dict[str, Array]:
    """Return the weights of all nodes. Missing ones, others, and those of another shape are problems (GS801)."""
    by_node: dict[str, dict[str, Param]] = {owner.node: {} for owner in owners}
    for name, param in params.items():
        parts = name.split("/")
        node = next((n for k in range(len(parts) - 1, 0, -1) if (n := "/".join(parts[:k])) in by_node), None)
        if node is not None:
            by_node[node][name[len(node) + 1 :]] = param
    found: dict[str, Array] = {}
    for owner in owners:
        wanted = by_node[owner.node]
        pairs = _matched(owner, wanted, source.arrays(owner), problems) if wanted else {}
        for role, stored in pairs.items():
            name, shape = f"{owner.node}/{role}", wanted[role].shape
            if tuple(shape) != stored.shape:
                text = f"'{name}' needs the shape {shape}, {stored.place} has {stored.shape}"
                problems.invalid(owner.layer.place, text)
            else:
                found[name] = source.file.array(stored.source, stored.place)
    return found


def _matched(
    owner: Owner, wanted: dict[str, Param], arrays: list[Stored], problems: ArchiveProblems
) -> dict[str, Stored]:
    """Return the array of each role: by its name if the file has names, else by its order within its part."""
    if len(arrays) != len(wanted):
        have = "no weights" if not arrays else count(len(arrays), "weight")
        text = f"'{owner.layer.name}' has {have} in the file, and needs {len(wanted)}: {', '.join(wanted)}"
        problems.invalid(owner.layer.place, text)
        return {}
    named = {_joined(stored.part, _SAME_ROLE.get(stored.role, stored.role)): stored for stored in arrays if stored.role}
    if named.keys() == wanted.keys():
        return named
    found: dict[str, Stored] = {}
    for part in {_part(role) for role in wanted}:
        own = [stored for stored in arrays if stored.part == part]
        roles = _in_kerass_order([role for role in wanted if _part(role) == part], wanted)
        if len(own) != len(roles):
            break
        found |= dict(zip(roles, own, strict=True))
    if len(found) == len(wanted):
        return found
    return dict(zip(_in_kerass_order(list(wanted), wanted), arrays, strict=True))


def _in_kerass_order(roles: Sequence[str], wanted: Mapping[str, Param]) -> list[str]:
    """Return roles in the order in which Keras creates them: what is not trained last, a bias behind the kernels."""
    order = {part: k for k, part in reversed(list(enumerate(map(_part, roles))))}
    return sorted(roles, key=lambda role: (wanted[role].state, order[_part(role)], role.rpartition("/")[2] == "bias"))


def _part(role: str) -> str:
    return role.rpartition("/")[0]


def _joined(part: str, name: str) -> str:
    return "/".join(piece for piece in (part, name) if piece)


# Weights as Keras 3 stores them, in ``model.weights.h5``: a group for each layer, by its class and its position.
_DENSE = {"query": "query", "key": "key", "value": "value", "output": "attention_output", "gate": "gate"}
_PARTS = {
    "forward_layer": "forward",
    "backward_layer": "backward",
    "cell": "",
    "layer": "",
    **{f"{mark}{name}_dense": part for mark in ("", "_") for name, part in _DENSE.items()},
}
_IGNORED = re.compile(r".*seed_generator|_?dropout.*|_softmax|optimizer|.*_metrics|.*_loss_tracker")
_MAX_LEVELS = 12
_FOLDERS = ("layers", "_layer_checkpoint_dependencies", "layer/layers", "layer/_layer_checkpoint_dependencies")
"""Where a model has its layers; a TimeDistributed has its model in ``layer``."""


class NewWeights:
    """The weights of a ``.keras`` file or of a ``.weights.h5`` file."""

    def __init__(self, file: Hdf5) -> None:
        self.file = file
        self._by_model: dict[tuple[int, ...], dict[str, tuple[Any, str]]] = {}
        self._cells: list[str] = []

    def arrays(self, owner: Owner) -> list[Stored]:
        """Return the arrays of a layer, in the order of the file."""
        found = self.group(owner)
        self._cells = _cell_keys(owner.layer.config)
        stored = [] if found is None else self._below(*found, "", 0)
        if owner.layer.class_name == "SpectralNormalization" and found is not None:
            own = [item for item in stored if item.place.startswith(f"{found[1]}/vars/")]
            stored = [item for item in stored if item not in own[:-1]]  # the kernel is there twice
        return stored

    def group(self, owner: Owner) -> tuple[Any, str] | None:
        """Return the group of a layer, and its place; None if the file has none."""
        found: tuple[Any, str] | None = (self.file.root, self.file.place)
        for level, (position, model) in enumerate(zip(owner.path, owner.models, strict=False)):
            if found is None:
                return None
            if (path := owner.path[:level]) not in self._by_model:
                self._by_model[path] = self._layers(found[0], model, found[1])
            found = self._by_model[path].get(model.layers[position].name)
        return found

    def _layers(self, group: Any, model: ModelDef, place: str) -> dict[str, tuple[Any, str]]:
        """Return the groups of a model's layers by the names of the layers.

        A group has the name of the class in snake case, and a number from the second on. Its attribute `name` is the
        layer's; files of early versions lack it.
        """
        folder = next((f for f in _FOLDERS if self.file.find(group, f)), None)
        if folder is None:
            return {}
        by_key, by_name = {}, {}
        for key, found, is_group in self.file.members(self.file.find(group, folder), f"{place}/{folder}"):
            if is_group:
                by_key[key] = (found, f"{place}/{folder}/{key}")
                variables = self.file.find(found, "vars")
                name = self.file.attribute(variables, "name", key) if variables is not None else None
                if isinstance(name, str):
                    by_name[name] = by_key[key]
        if len(by_name) == len(by_key):
            return by_name
        layers = [x for x in model.layers if not x.is_operation and not (model.is_sequential and x.is_input)]
        kinds = ["Functional" if x.class_name == "Model" else x.class_name for x in layers]
        pairs = zip(layers, _group_names(kinds), strict=True)
        return {layer.name: by_key[key] for layer, key in pairs if key in by_key}

    def _below(self, group: Any, place: str, part: str, level: int) -> list[Stored]:
        found, others = list[Stored](), list[Stored]()
        for name, member, is_group in self.file.members(group, place):
            at = f"{place}/{name}"
            if not is_group or _IGNORED.fullmatch(name) or level > _MAX_LEVELS:
                continue
            if name == "vars":
                items = [(k, d) for k, d, below in self.file.members(member, at) if not below]
                items.sort(key=lambda item: (len(item[0]), item[0]))
                found += [Stored(part, "", self.file.shape(d), f"{at}/{k}", d) for k, d in items]
            elif name == "cells":
                inside = {k: m for k, m, below in self.file.members(member, at) if below}
                for k, (key, cell) in enumerate((c, inside[c]) for c in self._cells if c in inside):
                    others += self._below(cell, f"{at}/{key}", _joined(part, str(k)), level + 1)
            else:
                others += self._below(member, at, _joined(part, _PARTS.get(name, name)), level + 1)
        return [*others, *found] if level == 0 else [*found, *others]


def _group_names(classes: Iterable[str]) -> Iterator[str]:
    """Yield the names that Keras gives to the groups of layers of these classes, as it counts them."""
    counts = Counter[str]()
    for name in classes:
        base = snake_case(simple_class(name))
        yield base if not counts[base] else f"{base}_{counts[base]}"
        counts[base] += 1


def _cell_keys(config: Any) -> list[str]:
    """Return the names of the groups of stacked cells, in their order."""
    if not isinstance(config, dict):
        return []
    cell, layer = config.get("cell"), config.get("layer")
    inner = cell.get("config") if isinstance(cell, dict) else None
    cells = inner.get("cells") if isinstance(inner, dict) else None
    if isinstance(cells, list):
        return [*_group_names(item.get("class_name", "") if isinstance(item, dict) else "" for item in cells)]
    return _cell_keys(layer.get("config")) if isinstance(layer, dict) else []


# Weights as ``.h5`` files store them: a group for each layer of the model, with a list of the names of its weights.
class OldWeights:
    """The weights of a ``.h5`` file, in the group ``weights``."""

    def __init__(self, file: Hdf5, weights: Any) -> None:
        self.file, self._weights = file, weights
        self._lists: dict[str, list[tuple[str, Any]]] = {}

    def arrays(self, owner: Owner) -> list[Stored]:
        """Return the arrays of a layer, in the order of the file."""
        outer = owner.models[0].layers[owner.path[0]].name  # those of a nested model are in the group of the outermost
        stored = []
        for name, found in self._listed(outer):
            *folders, last = name.split("/")
            if len(owner.path) > 1:
                if owner.layer.name not in folders:
                    continue
                folders = folders[len(folders) - folders[::-1].index(owner.layer.name) :]
            role, shape = re.sub(r":\d+$", "", last), self.file.shape(found)
            stored.append(Stored(_part_in(folders), role, shape, f"{outer}/{name}", found))
        is_told = len({(item.part, item.role) for item in stored}) == len(stored)
        return stored if is_told else [replace(item, role="") for item in stored]  # the order tells stacked cells apart

    def _listed(self, layer: str) -> list[tuple[str, Any]]:
        if layer not in self._lists:
            group = self.file.find(self._weights, layer)
            names = [] if group is None else self._names(group, layer)
            found = [(name, self.file.find(group, name)) for name in names]
            self._lists[layer] = [(n, d) for n, d in found if d is not None and not self.file.is_group(d)]
        return self._lists[layer]

    def _names(self, group: Any, layer: str) -> list[str]:
        """Return the names of a layer's weights, an attribute; a long one is cut into ``<name>0`` and so on."""
        found = self.file.attribute(group, "weight_names", layer)
        if isinstance(found, list):
            return list(map(str, found))
        names: list[str] = []
        for k in range(Budget.WEIGHT_NAMES):
            piece = self.file.attribute(group, f"weight_names{k}", layer)
            if not isinstance(piece, list) or len(names) >= Budget.WEIGHT_NAMES:
                break
            names += map(str, piece)
        return names


Weights = NewWeights | OldWeights


def _part_in(folders: list[str]) -> str:
    """Return the part of a layer from the folders of a weight's name: ``forward_lstm`` → ``forward``."""
    for folder in folders:
        if folder.startswith(("forward_", "backward_")):
            return folder.partition("_")[0]
    return folders[-1] if folders and folders[-1] in _DENSE.values() else ""


# A file as a whole.
CONFIG, WEIGHTS, METADATA, KEY = "config.json", "model.weights.h5", "metadata.json", "keras_version"
_MAX_VERSION = 40


@dataclass
class Saved:
    """A saved model: its configuration, with what it was compiled, and its weights; messages call it ``place``.

    ``asset`` returns the text of a file in the archive, if there is one. A configuration alone has no weights and no file.
    """

    config: Any
    place: str
    training: Any = None
    weights: Weights | None = None
    asset: Callable[[str], str | None] = lambda _: None
    version: str = ""
    file: Hdf5 | None = None


@contextmanager
def opened(path: Path, problems: ArchiveProblems) -> Iterator[Saved]:
    """Open a file by its content, whatever its name.

    UsageError: it cannot be opened, or pyfive is not installed. SpecError: GS801, GS802.
    """
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            text = "a SavedModel is a graph of TensorFlow with its code, and not the layers of a model"
            raise problems.unsupported("", text, "load it with Keras 2, and save it as `.keras` or `.h5`")
        raise UsageError(f"{path} is a folder, not a file of Keras's")
    if path.exists() and not path.is_file():  # a pipe has no end
        raise UsageError(f"{path} is not a regular file")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    if start.startswith(b"PK"):
        with closing(Archive(path, problems)) as archive:
            yield from _archive(archive, problems)
    elif start == MAGIC:
        yield from _hdf5(path, problems)
    else:
        yield _json(path, problems)


def _archive(archive: Archive, problems: ArchiveProblems) -> Iterator[Saved]:
    if CONFIG not in archive.entries:
        hint = "it needs `config.json` and `model.weights.h5`: save the model with `model.save('net.keras')`"
        raise problems.invalid("", "it is a ZIP archive, but no model that Keras saved", hint)
    config = parse_json(archive.read(CONFIG, Budget.CONFIG), CONFIG, problems)

    def asset(name: str) -> str | None:
        try:
            return archive.read(name, Budget.CONFIG).decode("utf-8") if name in archive.entries else None
        except UnicodeDecodeError:
            raise problems.invalid(name, f"{name} is no text in UTF-8") from None

    about = archive.read(METADATA, Budget.CONFIG) if METADATA in archive.entries else b"{}"
    metadata = parse_json(about, METADATA, problems)
    if WEIGHTS not in archive.entries:
        if any(name.endswith(".weights.h5") for name in archive.entries):
            hint = "save the model again without `max_shard_size`"
            raise problems.unsupported(WEIGHTS, "the weights are in several files", hint)
        raise problems.invalid(WEIGHTS, f"the archive has no {WEIGHTS}")
    with closing(Hdf5(archive.open(WEIGHTS), WEIGHTS, problems)) as file:
        yield Saved(config, CONFIG, _compiled(config), NewWeights(file), asset, _version(metadata), file)


def _hdf5(path: Path, problems: ArchiveProblems) -> Iterator[Saved]:
    with closing(Hdf5(path.open("rb"), path.name, problems)) as file:
        text = file.attribute(file.root, "model_config", path.name)
        if not isinstance(text, str):
            hint = "it has weights alone: save the whole model with `model.save`, or `model.to_json()` beside it"
            raise problems.unsupported("", "the file has no configuration of a model", hint)
        config = parse_json(text, "model_config", problems)
        trained = file.attribute(file.root, "training_config", path.name)
        training = parse_json(trained, "training_config", problems) if isinstance(trained, str) else None
        group = file.find(file.root, "model_weights")
        weights = OldWeights(file, file.root if group is None else group)
        version = _version({KEY: file.attribute(file.root, KEY, path.name)})
        yield Saved(config, "model_config", training, weights, version=version, file=file)


def _json(path: Path, problems: ArchiveProblems) -> Saved:
    with path.open("rb") as file:
        text = file.read(min(path.stat().st_size, Budget.CONFIG) + 1)
    if not text.lstrip().startswith(b"{"):
        hint = "Keras saves `.keras` and `.h5` files; `model.to_json()` is the network alone"
        raise problems.invalid("", "it is neither an archive, nor HDF5, nor JSON: no model that Keras saved", hint)
    config = parse_json(text, path.name, problems)
    return Saved(config, path.name, _compiled(config), version=_version(config))


def _compiled(config: Any) -> Any:
    return config.get("compile_config") if isinstance(config, dict) else None


def _version(record: Any) -> str:
    found = record.get(KEY) if isinstance(record, dict) else None
    return found[:_MAX_VERSION] if isinstance(found, str) else ""


# What preprocessing layers have learnt from rows: means, vocabularies, boundaries, as arguments of their nodes.
_LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization")
_MAX_STATISTICS = 1_000_000


def add_state(owners: list[Owner], data: dict[str, Any], saved: Saved, notes: Notes) -> None:
    """Add what the layers of a file have learnt to the entries of their nodes in the data of a spec."""
    for owner in owners:
        entry = _entry(owner.node, data["layers"], data.get("blocks", {}))
        if entry is not None and owner.layer.class_name == "Normalization":
            _add_statistics(owner, entry, saved, notes)
        elif entry is not None and owner.layer.class_name in _LOOKUPS:
            _add_vocabulary(owner, entry, saved, notes)


def _entry(node: str, entries: Sequence[dict[str, Any]], blocks: dict[str, Any]) -> dict[str, Any] | None:
    """Return the entry of a node; of a node in an instance, the entry in its block."""
    first, _, rest = node.partition("/")
    entry = next((item for item in entries if item.get("name") == first), None)
    if entry is None or not rest:
        return entry
    return _entry(rest, blocks[entry["block"]]["layers"], blocks) if "block" in entry else None


def _add_statistics(owner: Owner, entry: dict[str, Any], saved: Saved, notes: Notes) -> None:
    if entry.get("mean") is not None or saved.weights is None:
        return
    arrays = [item for item in saved.weights.arrays(owner) if item.role in ("", "mean", "variance")][:2]
    if len(arrays) < 2:
        notes.say(f"'{owner.layer.name}' has no statistics in the file: it learns them from the training rows")
        return
    if any(np.prod(item.shape, dtype=float) > _MAX_STATISTICS for item in arrays):
        notes.problems.check()
        text = f"'{owner.layer.name}' has statistics of shape {arrays[0].shape}"
        raise notes.problems.invalid(owner.layer.place, text)
    entry["mean"], entry["variance"] = (_numbers(saved.weights.file.array(item.source, item.place)) for item in arrays)


def _numbers(array: Any) -> Any:
    """Return float32 as the shortest numbers that are equal to it."""
    flat = [float(str(x)) for x in np.asarray(array, np.float32).reshape(-1)]
    return flat[0] if np.ndim(array) == 0 else np.array(flat).reshape(np.shape(array)).tolist()


def _add_vocabulary(owner: Owner, entry: dict[str, Any], saved: Saved, notes: Notes) -> None:
    entry.pop("vocabulary_size", None)
    path = entry.pop("vocabulary") if isinstance(entry.get("vocabulary"), str) else None
    if entry.get("vocabulary") is None and (text := _asset(owner, saved)) is not None:
        entry["vocabulary"] = _tokens(text, owner, notes)
    if entry.get("vocabulary") is None and path is not None:  # of the machine that saved the model
        text = f"takes its vocabulary from the file '{path}', which is not in the model"
        notes.refuse(owner.layer, text, "save the model again as `.keras`, which holds the words")
    if entry.get("vocabulary") is None and saved.weights is not None:
        notes.say(f"'{owner.layer.name}' has no vocabulary in the file: it learns one from the training rows")
    if owner.layer.class_name == "TextVectorization":
        notes.say("TextVectorization keeps punctuation inside of words, and lower case is that of Unicode")


def _tokens(text: str, owner: Owner, notes: Notes) -> list[Any]:
    tokens = text.removesuffix("\n").split("\n") if text else []
    if owner.layer.class_name != "IntegerLookup":
        return tokens
    try:
        return [int(t) for t in tokens]
    except ValueError:
        notes.problems.invalid(owner.layer.place, f"'{owner.layer.name}' has a vocabulary that is not of integers")
        return []


def _asset(owner: Owner, saved: Saved) -> str | None:
    """Return the text of the vocabulary in the archive: its folder is the layer's group of weights."""
    found = saved.weights.group(owner) if isinstance(saved.weights, NewWeights) else None
    if found is None:
        return None
    folder = found[1].partition("/")[2]
    texts = (saved.asset(f"assets/{folder}{inner}/vocabulary.txt") for inner in ("", "/_lookup_layer"))
    return next((text for text in texts if text is not None), None)
