"""Weights as ``.h5`` files store them: a group for each layer of the model, with a list of the names of its weights."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from graphspec.foreign.keras_files.hdf5 import Hdf5
from graphspec.foreign.keras_files.weights import Stored

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array
    from graphspec.foreign.keras_files.scope import Owner

_PARTS = ("query", "key", "value", "attention_output", "gate")
MAX_NAMES = 100_000


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
            stored.append(Stored(_part(inside, name), _role(name), self._file.shape(found), f"{outer}/{name}", found))
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
    while isinstance(piece := file.attribute(group, f"{name}{k}", place), list) and len(names) < MAX_NAMES:
        names += [str(item) for item in piece]
        k += 1
    return names


def _folders(name: str) -> list[str]:
    return name.split("/")[:-1]


def _role(name: str) -> str:
    return re.sub(r":\d+$", "", name.rpartition("/")[2])


def _part(folders: list[str], name: str) -> str:
    """Return the part of a layer from the folders of a weight's name: ``forward_lstm`` → ``forward``."""
    for folder in folders:
        if folder.startswith(("forward_", "backward_")):
            return folder.partition("_")[0]
    return folders[-1] if folders and folders[-1] in _PARTS else ""


def _numbered(stored: list[Stored]) -> list[Stored]:
    """Return arrays without roles where names repeat (stacked cells): their order then says which is which."""
    names = {(item.part, item.role) for item in stored}
    if len(names) == len(stored):
        return stored
    return [Stored(item.part, "", item.shape, item.place, item.source) for item in stored]
