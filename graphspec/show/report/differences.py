"""The keys in which specs of several runs differ: all keys with their defaults, as paths such as ``training.epochs``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from graphspec.base.config import Config

if TYPE_CHECKING:
    from graphspec.language.declarations import Spec, Training

Flat = dict[str, str]
_PLACES = ("file", "images", "texts", "folder")


def flattened(spec: Spec, hashes: Mapping[str, str] | None = None) -> Flat:
    """Return the keys of a spec with their values as text, defaults included.

    Places of data files are left out: where data lie is no difference. Their content counts.

    Args:
        spec: as it was written: what layers have learnt is no key of it.
        hashes: the hash of the data files of each part, as in ``run.json``.
    """
    flat: Flat = _training(spec.training)
    for name, decl in spec.inputs.items():
        flat[f"inputs.{name}"] = f"{decl.dtype} {_value(decl.shape)}"
    for node in spec.nodes:
        place = f"layers.{node.name}"
        sources = ", ".join(ref.name for ref in node.inputs if ref is not None)
        flat |= _of(place, node.layer) | {f"{place}.inputs": sources, f"{place}.trainable": _value(node.trainable)}
        if node.share is not None:
            flat[f"{place}.share"] = node.share
    for head in spec.all_heads.values():
        place = f"outputs.{head.name}"
        if head.others:
            flat[f"{place}.layer"] = ", ".join(ref.name for ref in head.layers if ref is not None)
        if head.target is not None:
            flat[f"{place}.target"] = head.target.name
        flat |= _of(f"{place}.loss", head.loss)
        flat[f"{place}.weight"] = _value(head.weight)
        flat[f"{place}.metrics"] = ", ".join(metric.key for metric in head.metrics)
        flat[f"{place}.class_weight"] = _value(head.class_weight)
        flat[f"{place}.scale"] = _value(head.scale)
        flat[f"{place}.labels"] = _value(head.labels)
    document = spec.document.get("data")
    for part, keys in document.items() if isinstance(document, dict) else ():
        for key, value in keys.items() if isinstance(keys, dict) else ():
            if key not in _PLACES:
                flat |= dict(_leaves(f"data.{part}.{key}", value))
    for part, digest in (hashes or {}).items():
        flat[f"data.{part} (content)"] = f"sha256 {str(digest)[:12]}…"
    return flat


def _training(training: Training) -> Flat:
    flat = _of("training.optimizer", training.optimizer)
    for key in ("epochs", "batch_size", "shuffle", "seed", "combine", "workers"):
        flat[f"training.{key}"] = _value(getattr(training, key))
    for k, callback in enumerate(training.callbacks):
        flat |= _of(f"training.callbacks.{k}", callback)
    return flat


def differences(specs: Sequence[Flat]) -> dict[str, list[str | None]]:
    """Return the values of each key in which specs differ, None where a spec lacks it, in the order of the specs.

    A layer that a spec lacks is one key, with the type of the layer.
    """
    found: dict[str, list[str | None]] = {}
    missing: set[str] = set()
    for key in dict.fromkeys(key for spec in specs for key in spec):
        values = [spec.get(key) for spec in specs]
        whole = _whole(key)
        if whole in missing or all(value == values[0] for value in values):
            continue
        if whole is not None and any(whole not in spec for spec in specs):
            missing.add(whole)
            found[whole] = [spec.get(whole) for spec in specs]
            continue
        found[key] = values
    return found


def _whole(key: str) -> str | None:
    """Return the key of the layer to which a key belongs; None if it is of no layer."""
    parts = key.split(".")
    return ".".join(parts[:2]) if parts[0] == "layers" else None


def _of(place: str, config: Config | None) -> Flat:
    """Return an object of the vocabulary: its type at ``place``, and its arguments below it."""
    if config is None:
        return {place: "none"}
    flat = {place: type(config).__name__.lstrip("_")}
    for key in type(config).model_fields:
        value = getattr(config, key)
        flat |= _of(f"{place}.{key}", value) if isinstance(value, Config) else {f"{place}.{key}": _value(value)}
    return flat


def _leaves(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{place}.{key}", inner)
    else:
        yield place, _value(value)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_value(inner)}" for key, inner in value.items()) or "{}"
    if isinstance(value, Config):
        arguments = ", ".join(f"{key}={_value(getattr(value, key))}" for key in type(value).model_fields)
        return f"{type(value).__name__.lstrip('_')}({arguments})"
    return str(value)
