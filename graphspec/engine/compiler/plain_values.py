"""The settings of a spec as plain values, with all defaults, so that two of them can be compared key by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from graphspec.base.config import Config

TYPE = "type"
"""The key of an object's class."""
_ACTIVATION = "activation"
"""The end of the names of arguments in which none means the linear activation."""


@dataclass(frozen=True)
class Change:
    """A setting that differs.

    Attributes:
        key: the dotted path of keys, such as ``optimizer.learning_rate``.
        old, new: plain values; None where there is no value.
    """

    key: str
    old: Any
    new: Any

    def to_json(self) -> dict[str, Any]:
        """Return the change as JSON."""
        return {"key": self.key, "old": self.old, "new": self.new}


class Settings(dict[str, Any]):
    """All arguments of an object, with its type.

    Attributes:
        told: the arguments that a spec has set to other values than the defaults: a text names only these.
    """

    told: tuple[str, ...] = ()


def plain(value: Any) -> Any:
    """Return a setting as plain values: an object is a mapping of its type and all its arguments."""
    if isinstance(value, Config):
        found = Settings({TYPE: name_of(type(value))})
        for key, declared in type(value).model_fields.items():
            argument = getattr(value, key)
            found[key] = plain(argument)
            if argument is None and key.endswith(_ACTIVATION):
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
    from graphspec.vocabulary.activations import ACTIVATIONS
    from graphspec.vocabulary.losses import LOSSES
    from graphspec.vocabulary.metrics import METRICS

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
