"""What Keras saved: a model's configuration, its weights by the names of a spec, and what its layers have learnt.

Keras 3 stores weights in another form than `.h5` files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphspec.base.budget import Budget
from graphspec.base.errors import SpecError, UsageError
from graphspec.base.text import count
from graphspec.foreign.keras_files.containers import MAGIC, Archive, Hdf5, Problems, parse_json
from graphspec.foreign.keras_files.layers import Notes
from graphspec.foreign.keras_files.model_config import LayerDef, ModelDef, Owner, simple_class
from graphspec.language.names import snake_case

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array
    from graphspec.graph.ir.graph import Param


@dataclass
class Stored:
    """An array of the file.

    Attributes:
        part: the part of the layer that has it, as the roles of a spec begin: ``forward``, ``query``; empty for its own.
        role: its name, if the file says so: ``kernel``.
        place: where it is, for messages.
    """

    part: str
    role: str
    shape: tuple[int, ...]
    place: str
    source: Any


class WeightSource(Protocol):
    """A file with weights."""

    def arrays(self, owner: Owner) -> list[Stored]:
        """Return the arrays of a layer, in the order of the file."""

    def read(self, stored: Stored) -> Array:
        """Return the numbers."""


_SAME_ROLE = {"depthwise_kernel": "kernel", "u": "vector_u", "sn_u": "vector_u", "running_mean": "moving_mean"}


def taken(
    owners: Sequence[Owner], params: Mapping[str, Param], source: WeightSource, problems: Problems
) -> dict[str, Array]:
    """Return the weights of all nodes. Missing ones, others, and those of another shape are problems (GS801)."""
    by_node: dict[str, dict[str, Param]] = {}
    nodes = sorted((owner.node for owner in owners), key=len, reverse=True)
    known = set(nodes)
    for name, param in params.items():
        parts = name.split("/")
        node = next((n for k in range(len(parts) - 1, 0, -1) if (n := "/".join(parts[:k])) in known), None)
        if node is not None:
            by_node.setdefault(node, {})[name[len(node) + 1 :]] = param
    found: dict[str, Array] = {}
    for owner in owners:
        wanted = by_node.get(owner.node, {})
        if not wanted:
            continue
        arrays = source.arrays(owner)
        pairs = _matched(owner, wanted, arrays, problems)
        for role, stored in pairs.items():
            param = wanted[role]
            if tuple(param.shape) != stored.shape:
                text = f"'{owner.node}/{role}' needs the shape {param.shape}, {stored.place} has {stored.shape}"
                problems.invalid(owner.layer.place, text)
            else:
                found[f"{owner.node}/{role}"] = source.read(stored)
    return found


def _matched(
    owner: Owner, wanted: Mapping[str, Param], arrays: Sequence[Stored], problems: Problems
) -> dict[str, Stored]:
    """Return the array of each role: by its name if the file has names, else by its order within its part."""
    if len(arrays) != len(wanted):
        have = "no weights" if not arrays else count(len(arrays), "weight")
        text = f"'{owner.layer.name}' has {have} in the file, and needs {len(wanted)}: {', '.join(wanted)}"
        problems.invalid(owner.layer.place, text)
        return {}
    named = {_full(stored): stored for stored in arrays if stored.role}
    if named.keys() == wanted.keys():
        return named
    parts = {_part(role) for role in wanted}
    found: dict[str, Stored] = {}
    for part in parts:
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
    parts = [_part(role) for role in roles]
    order = {part: k for k, part in reversed(list(enumerate(parts)))}
    return sorted(roles, key=lambda role: (wanted[role].state, order[_part(role)], role.rpartition("/")[2] == "bias"))


def _part(role: str) -> str:
    return role.rpartition("/")[0]


def _full(stored: Stored) -> str:
    role = _SAME_ROLE.get(stored.role, stored.role)
    return f"{stored.part}/{role}" if stored.part else role


# Weights as Keras 3 stores them, in ``model.weights.h5``: a group for each layer, by its class and its position.
_PARTS = {
    "forward_layer": "forward",
    "backward_layer": "backward",
    "query_dense": "query",
    "_query_dense": "query",
    "key_dense": "key",
    "_key_dense": "key",
    "value_dense": "value",
    "_value_dense": "value",
    "output_dense": "attention_output",
    "_output_dense": "attention_output",
    "gate_dense": "gate",
    "_gate_dense": "gate",
    "cell": "",
    "layer": "",
}
_IGNORED = re.compile(r".*seed_generator|_?dropout.*|_softmax|optimizer|.*_metrics|.*_loss_tracker")
_MAX_LEVELS = 12
_FOLDERS = ("layers", "_layer_checkpoint_dependencies", "layer/layers", "layer/_layer_checkpoint_dependencies")
"""Where a model has its layers; a TimeDistributed has its model in ``layer``."""


class NewWeights:
    """The weights of a ``.keras`` file or of a ``.weights.h5`` file.

    Args:
        file: the HDF5 file.
    """

    def __init__(self, file: Hdf5) -> None:
        self._file = file
        self._by_model: dict[tuple[int, ...], dict[str, tuple[Any, str]]] = {}
        self._cells: list[str] = []

    def arrays(self, owner: Owner) -> list[Stored]:
        """Return the arrays of a layer, each with the part of the layer that has it."""
        found = self.group(owner)
        self._cells = _cell_keys(owner.layer.config)
        stored = [] if found is None else self._below(*found, "", 0)
        if owner.layer.class_name == "SpectralNormalization" and found is not None:
            own = [item for item in stored if item.place.startswith(f"{found[1]}/vars/")]
            stored = [item for item in stored if item not in own[:-1]]  # the kernel is there twice
        return stored

    def read(self, stored: Stored) -> Array:
        """Return the numbers of an array."""
        return self._file.array(stored.source, stored.place)

    def group(self, owner: Owner) -> tuple[Any, str] | None:
        """Return the group of a layer, and its place; None if the file has none."""
        group, place = self._file.root, self._file.place
        for level, position in enumerate(owner.path):
            path = owner.path[:level]
            if path not in self._by_model:
                self._by_model[path] = self._layers(group, owner.models[level], place)
            found = self._by_model[path].get(owner.models[level].layers[position].name)
            if found is None:
                return None
            group, place = found
        return group, place

    def _layers(self, group: Any, model: ModelDef, place: str) -> dict[str, tuple[Any, str]]:
        """Return the groups of a model's layers by the names of the layers.

        A group has the name of the class in snake case, and a number from the second on. Its attribute `name` is the
        layer's; files of early versions lack it.
        """
        folder = next((f for f in _FOLDERS if self._file.find(group, f)), None)
        if folder is None:
            return {}
        inside = self._file.find(group, folder)
        by_key, by_name = {}, {}
        names: list[str] = []
        for key, found, is_group in self._file.members(inside, f"{place}/{folder}"):
            if is_group:
                by_key[key] = (found, f"{place}/{folder}/{key}")
                variables = self._file.find(found, "vars")
                name = self._file.attribute(variables, "name", key) if variables is not None else None
                if isinstance(name, str):
                    by_name[name] = by_key[key]
                    names.append(name)
        if len(set(names)) == len(by_key):
            return by_name
        keys = _keys(model)
        return {layer: by_key[key] for layer, key in keys.items() if key in by_key}

    def _below(self, group: Any, place: str, part: str, level: int) -> list[Stored]:
        """Return the arrays of a group and of the groups in it."""
        found: list[Stored] = []
        others: list[Stored] = []
        for name, member, is_group in self._file.members(group, place):
            at = f"{place}/{name}"
            if not is_group or _IGNORED.fullmatch(name) or level > _MAX_LEVELS:
                continue
            if name == "vars":
                items = [(k, d) for k, d, below in self._file.members(member, at) if not below]
                items.sort(key=lambda item: (len(item[0]), item[0]))
                found += [Stored(part, "", self._file.shape(d), f"{at}/{k}", d) for k, d in items]
            elif name == "cells":
                inside = {k: m for k, m, below in self._file.members(member, at) if below}
                for k, (key, cell) in enumerate((c, inside[c]) for c in self._cells if c in inside):
                    others += self._below(cell, f"{at}/{key}", _joined(part, str(k)), level + 1)
            else:
                others += self._below(member, at, _joined(part, _PARTS.get(name, name)), level + 1)
        return [*others, *found] if level == 0 else [*found, *others]


def _keys(model: ModelDef) -> dict[str, str]:
    """Return the names of the groups of all layers, as Keras counts them."""
    counts: dict[str, int] = {}
    found = {}
    for layer in _counted(model):
        base = snake_case(_class_name(layer))
        counts[base] = counts.get(base, -1) + 1
        found[layer.name] = base if counts[base] == 0 else f"{base}_{counts[base]}"
    return found


def _counted(model: ModelDef) -> list[LayerDef]:
    return [layer for layer in model.layers if not layer.is_operation and not (model.is_sequential and layer.is_input)]


def _class_name(layer: LayerDef) -> str:
    return "Functional" if layer.class_name == "Model" else simple_class(layer.class_name)


def _cell_keys(config: Any) -> list[str]:
    """Return the names of the groups of stacked cells, in their order."""
    cell = config.get("cell") if isinstance(config, dict) else None
    inner = cell.get("config") if isinstance(cell, dict) else None
    cells = inner.get("cells") if isinstance(inner, dict) else None
    if isinstance(cells, list):
        counts: dict[str, int] = {}
        found = []
        for item in cells:
            base = snake_case(simple_class(item.get("class_name", ""))) if isinstance(item, dict) else ""
            counts[base] = counts.get(base, -1) + 1
            found.append(base if counts[base] == 0 else f"{base}_{counts[base]}")
        return found
    layer = config.get("layer") if isinstance(config, dict) else None
    return _cell_keys(layer.get("config")) if isinstance(layer, dict) else []


def _joined(part: str, name: str) -> str:
    return "/".join(piece for piece in (part, name) if piece)


# Weights as ``.h5`` files store them: a group for each layer of the model, with a list of the names of its weights.
_ATTENTION_PARTS = ("query", "key", "value", "attention_output", "gate")


class OldWeights:
    """The weights of a ``.h5`` file.

    Args:
        file: the HDF5 file.
        group: its group of weights.
    """

    def __init__(self, file: Hdf5, group: Any) -> None:
        self._file, self._group = file, group
        self._lists: dict[str, list[tuple[str, Any]]] = {}

    def arrays(self, owner: Owner) -> list[Stored]:
        """Return the arrays of a layer, by name. Those of a nested model are in the group of the outermost model."""
        outer = owner.models[0].layers[owner.path[0]].name
        listed = self._listed(outer)
        if len(owner.path) > 1:
            listed = [(name, found) for name, found in listed if owner.layer.name in _folders(name)]
        stored = []
        for name, found in listed:
            folders = _folders(name)
            if len(owner.path) == 1 or owner.layer.name not in folders:
                inside = folders
            else:
                inside = folders[len(folders) - folders[::-1].index(owner.layer.name) :]
            stored.append(
                Stored(_part_in(inside, name), _role(name), self._file.shape(found), f"{outer}/{name}", found)
            )
        return _numbered(stored)

    def read(self, stored: Stored) -> Array:
        """Return the numbers of an array."""
        return self._file.array(stored.source, stored.place)

    def _listed(self, layer: str) -> list[tuple[str, Any]]:
        if layer not in self._lists:
            group = self._file.find(self._group, layer)
            names = [] if group is None else names_in(self._file, group, "weight_names", layer)
            found = [(name, self._file.find(group, name)) for name in names]
            self._lists[layer] = [(n, d) for n, d in found if d is not None and not self._file.is_group(d)]
        return self._lists[layer]


def names_in(file: Hdf5, group: Any, name: str, place: str) -> list[str]:
    """Return a list of names, an attribute; a long one is cut into ``<name>0``, ``<name>1`` and so on."""
    found = file.attribute(group, name, place)
    if isinstance(found, list):
        return [str(item) for item in found]
    names: list[str] = []
    k = 0
    while isinstance(piece := file.attribute(group, f"{name}{k}", place), list) and len(names) < Budget.WEIGHT_NAMES:
        names += [str(item) for item in piece]
        k += 1
    return names


def _folders(name: str) -> list[str]:
    return name.split("/")[:-1]


def _role(name: str) -> str:
    return re.sub(r":\d+$", "", name.rpartition("/")[2])


def _part_in(folders: list[str], name: str) -> str:
    """Return the part of a layer from the folders of a weight's name: ``forward_lstm`` → ``forward``."""
    for folder in folders:
        if folder.startswith(("forward_", "backward_")):
            return folder.partition("_")[0]
    return folders[-1] if folders and folders[-1] in _ATTENTION_PARTS else ""


def _numbered(stored: list[Stored]) -> list[Stored]:
    """Return arrays without roles where names repeat (stacked cells): their order then says which is which."""
    names = {(item.part, item.role) for item in stored}
    if len(names) == len(stored):
        return stored
    return [Stored(item.part, "", item.shape, item.place, item.source) for item in stored]


# A file as a whole.
CONFIG, WEIGHTS, METADATA, KEY = "config.json", "model.weights.h5", "metadata.json", "keras_version"
_MAX_VERSION = 40


def _no_asset(_: str) -> str | None:
    return None


@dataclass
class Saved:
    """A saved model.

    Attributes:
        config: the configuration of the model.
        place: what messages call it.
        training: with what the model was compiled; None if it was not.
        weights: None for a configuration alone.
        asset: the text of a file in the archive's ``assets``, by its path there; None if there is none.
        names: the names of the entries of the archive.
        version: the version of Keras that saved it; empty if it is not known.
        file: the file with the weights; None for a configuration alone.
    """

    config: Any
    place: str
    training: Any = None
    weights: WeightSource | None = None
    asset: Callable[[str], str | None] = _no_asset
    names: tuple[str, ...] = ()
    version: str = ""
    file: Hdf5 | None = None


@contextmanager
def opened(path: Path, problems: Problems) -> Iterator[Saved]:
    """Open a file by its content, whatever its name.

    Raises:
        UsageError: it cannot be opened, or pyfive is not installed.
        SpecError: GS801, GS802.
    """
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            text = "a SavedModel is a graph of TensorFlow with its code, and not the layers of a model"
            problems.unsupported("", text, "load it with Keras 2, and save it as `.keras` or `.h5`")
            raise SpecError(problems.found)
        raise UsageError(f"{path} is a folder, not a file of Keras's")
    if path.exists() and not path.is_file():  # a pipe has no end
        raise UsageError(f"{path} is not a regular file")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    if start.startswith(b"PK"):
        with Archive(path, problems) as archive:
            yield from _archive(archive, problems)
    elif start == MAGIC:
        yield from _hdf5(path, problems)
    else:
        yield _json(path, problems)


def _archive(archive: Archive, problems: Problems) -> Iterator[Saved]:
    if CONFIG not in archive:
        hint = "it needs `config.json` and `model.weights.h5`: save the model with `model.save('net.keras')`"
        raise problems.fail("", "it is a ZIP archive, but no model that Keras saved", hint)
    config = parse_json(archive.read(CONFIG, Budget.CONFIG), CONFIG, problems)
    training = config.get("compile_config") if isinstance(config, dict) else None

    def asset(name: str) -> str | None:
        if name not in archive:
            return None
        try:
            return archive.read(name, Budget.CONFIG).decode("utf-8")
        except UnicodeDecodeError:
            raise problems.fail(name, f"{name} is no text in UTF-8") from None

    metadata = parse_json(archive.read(METADATA, Budget.CONFIG), METADATA, problems) if METADATA in archive else None
    saved = Saved(config, CONFIG, training, None, asset, tuple(archive.names), _version(metadata))
    if WEIGHTS not in archive:
        if any(name.endswith(".weights.h5") for name in archive.names):
            text = "the weights are in several files"
            problems.unsupported(WEIGHTS, text, "save the model again without `max_shard_size`")
            raise SpecError(problems.found)
        raise problems.fail(WEIGHTS, f"the archive has no {WEIGHTS}")
    file = Hdf5(archive.open(WEIGHTS), WEIGHTS, problems)
    try:
        saved.weights, saved.file = NewWeights(file), file
        yield saved
    finally:
        file.close()


def _hdf5(path: Path, problems: Problems) -> Iterator[Saved]:
    file = Hdf5(path.open("rb"), path.name, problems)
    try:
        text = file.attribute(file.root, "model_config", path.name)
        if not isinstance(text, str):
            hint = "it has weights alone: save the whole model with `model.save`, or `model.to_json()` beside it"
            problems.unsupported("", "the file has no configuration of a model", hint)
            raise SpecError(problems.found)
        config = parse_json(text, "model_config", problems)
        trained = file.attribute(file.root, "training_config", path.name)
        training = parse_json(trained, "training_config", problems) if isinstance(trained, str) else None
        group = file.find(file.root, "model_weights")
        saved = Saved(config, "model_config", training, OldWeights(file, file.root if group is None else group))
        saved.version, saved.file = _version({KEY: file.attribute(file.root, KEY, path.name)}), file
        yield saved
    finally:
        file.close()


def _json(path: Path, problems: Problems) -> Saved:
    with path.open("rb") as file:
        text = file.read(min(path.stat().st_size, Budget.CONFIG) + 1)
    if not text.lstrip().startswith(b"{"):
        hint = "Keras saves `.keras` and `.h5` files; `model.to_json()` is the network alone"
        raise problems.fail("", "it is neither an archive, nor HDF5, nor JSON: no model that Keras saved", hint)
    config = parse_json(text, path.name, problems)
    training = config.get("compile_config") if isinstance(config, dict) else None
    return Saved(config, path.name, training, version=_version(config))


def _version(record: Any) -> str:
    """Return the version of Keras that a record names."""
    found = record.get(KEY) if isinstance(record, dict) else None
    return found[:_MAX_VERSION] if isinstance(found, str) else ""


# What preprocessing layers have learnt from rows: means, vocabularies, boundaries, as arguments of their nodes.
_LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization")
_MAX_STATISTICS = 1_000_000


def add_state(
    owners: Sequence[Owner], entries: Sequence[dict[str, Any]], blocks: dict[str, Any], saved: Saved, notes: Notes
) -> None:
    """Add what the layers of a file have learnt to the entries of their nodes."""
    for owner in owners:
        entry = _entry(owner.node, entries, blocks)
        if entry is None:
            continue
        if owner.layer.class_name == "Normalization":
            _add_statistics(owner, entry, saved, notes)
        elif owner.layer.class_name in _LOOKUPS:
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
    arrays = [item for item in saved.weights.arrays(owner) if _is_statistic(item)]
    if len(arrays) < 2:
        return
    if any(np.prod(item.shape, dtype=float) > _MAX_STATISTICS for item in arrays[:2]):
        raise (
            SpecError(notes.problems.found)
            if notes.problems.found
            else notes.problems.fail(
                owner.layer.place, f"'{owner.layer.name}' has statistics of shape {arrays[0].shape}"
            )
        )
    mean, variance = (saved.weights.read(item) for item in arrays[:2])
    entry["mean"], entry["variance"] = _numbers(mean), _numbers(variance)


def _is_statistic(item: Stored) -> bool:
    return item.role in ("", "mean", "variance")


def _numbers(array: Any) -> Any:
    """Return float32 as the shortest numbers that are equal to it."""
    flat = [float(str(x)) for x in np.asarray(array, np.float32).reshape(-1)]
    return flat[0] if np.ndim(array) == 0 else np.array(flat).reshape(np.shape(array)).tolist()


def _add_vocabulary(owner: Owner, entry: dict[str, Any], saved: Saved, notes: Notes) -> None:
    entry.pop("vocabulary_size", None)
    path = entry.pop("vocabulary") if isinstance(entry.get("vocabulary"), str) else None
    if entry.get("vocabulary") is None:
        found = _asset(owner, saved)
        if found is not None:
            entry["vocabulary"] = _tokens(found, owner, notes)
    if entry.get("vocabulary") is None and path is not None:  # of the machine that saved the model
        text = f"'{owner.layer.name}' takes its vocabulary from the file '{path}', which is not in the model"
        notes.problems.unsupported(owner.layer.place, text, "save the model again as `.keras`, which holds the words")
    if entry.get("vocabulary") is None and saved.weights is not None:
        notes.say(f"'{owner.layer.name}' has no vocabulary in the file: it learns one from the training rows")
    if owner.layer.class_name == "TextVectorization":
        notes.say("TextVectorization keeps punctuation inside of words, and lower case is that of Unicode")


def _tokens(text: str, owner: Owner, notes: Notes) -> list[Any]:
    tokens = text.split("\n")
    if tokens[-1] == "":
        tokens.pop()
    if owner.layer.class_name != "IntegerLookup":
        return list(tokens)
    try:
        return [int(t) for t in tokens]
    except ValueError:
        notes.problems.invalid(owner.layer.place, f"'{owner.layer.name}' has a vocabulary that is not of integers")
        return []


def _asset(owner: Owner, saved: Saved) -> str | None:
    """Return the text of the vocabulary in the archive: its folder is the layer's group of weights."""
    group = getattr(saved.weights, "group", None)
    found = None if group is None else group(owner)
    if found is None:
        return None
    folder = found[1].partition("/")[2]
    for inner in ("", "/_lookup_layer"):
        text = saved.asset(f"assets/{folder}{inner}/vocabulary.txt")
        if text is not None:
            return text
    return None
