"""Layers of ``keras.applications`` that are not in ``keras.layers``, and models that are applied at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphspec.foreign.keras_files.model_def import LayerDef
from graphspec.foreign.keras_files.names import Names
from graphspec.foreign.keras_files.values import Notes

Entries = list[dict[str, Any]]


def _scaled_sum(layer: LayerDef, inputs: Sequence[str], names: Names) -> Entries:
    """Return ``a + b * scale``, of InceptionResNetV2."""
    scaled = names.new(f"{layer.name}_scaled")
    scale = layer.config.get("scale", 1.0)
    return [
        {"name": scaled, "type": "Rescaling", "scale": scale, "inputs": inputs[-1]},
        {"type": "Add", "inputs": [inputs[0], scaled]},
    ]


SPECIAL: dict[str, Callable[[LayerDef, Sequence[str], Names], Entries]] = {"CustomScaleLayer": _scaled_sum}
"""The entries for a call of a layer of this class; the last one has no name yet."""

_ELEMENTWISE = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
_SAME_EVERYWHERE = ("Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "Rescaling", "Identity", "GaussianNoise")


def at_every_step(layer: LayerDef, entry: dict[str, Any], count: int, notes: Notes) -> dict[str, Any]:
    """Return the entry of a layer that is applied at every step, as a TimeDistributed around its model applies it."""
    kind = entry["type"]
    if kind in _SAME_EVERYWHERE or (kind in _ELEMENTWISE and count > 1):
        return entry
    if kind == "Concatenate":
        axis = entry.get("axis", -1)
        return entry | {"axis": axis if axis < 0 else axis + 1}
    if count > 1:
        text = f"'{layer.name}' has {count} inputs in a model that a TimeDistributed wraps"
        notes.problems.unsupported(layer.place, text, "apply the layers of the model one by one, and save it again")
    frozen = {"trainable": entry.pop("trainable")} if "trainable" in entry else {}
    return {"type": "TimeDistributed", "layer": entry} | frozen
