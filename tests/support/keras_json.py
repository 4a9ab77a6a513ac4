"""The configuration of a small model, as ``model.to_json()`` of Keras 3 writes it."""

from __future__ import annotations

import json
from typing import Any


def layer(name: str, kind: str, **config: Any) -> dict[str, Any]:
    """A layer of a Sequential."""
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}, "registered_name": None}


def sequential(*layers: dict[str, Any], shape: tuple[int, ...] = (8,), name: str = "sequential_3") -> str:
    """The text of a Sequential."""
    start = layer("features", "InputLayer", batch_shape=[None, *shape], dtype="float32", ragged=False, sparse=False)
    config = {"name": name, "trainable": True, "dtype": "float32", "layers": [start, *layers]}
    whole = {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}
    return json.dumps(whole | {"keras_version": "3.15.0"})


DENSE = layer("dense", "Dense", units=4, activation="relu", use_bias=True)
LAST = layer("answer", "Dense", units=1, activation="sigmoid", use_bias=True)
