"""Layers of ``keras.applications`` that are not in ``keras.layers``, as nodes that compute the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphspec.keras_files.model_def import LayerDef
from graphspec.keras_files.names import Names

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
