"""Weights as Keras 3 stores them, in ``model.weights.h5``: a group for each layer, by its class and its position."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from graphspec.foreign.keras_files.hdf5 import Hdf5
from graphspec.foreign.keras_files.model_def import LayerDef, ModelDef, simple_class
from graphspec.foreign.keras_files.weights import Stored
from graphspec.language.names import snake_case

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array
    from graphspec.foreign.keras_files.scope import Owner

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
