"""Weights of a file by the names of a spec: their places in the file, their order, and a comparison of shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from graphspec.base.text import count
from graphspec.foreign.keras_files.problems import Problems

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array
    from graphspec.foreign.keras_files.scope import Owner
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
