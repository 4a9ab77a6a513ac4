"""A small model as Keras saves it, to be changed: its configuration, its weights, and the archive of both."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trust.hostile_files.hdf5 import Array, Group, file_of
from trust.hostile_files.zips import archive

Config = dict[str, Any]
Place = tuple[str | int, ...]
DENSE: Place = ("config", "layers", 1)
"""The place of the dense layer in the configuration."""


def tensor(layer: str, call: int = 0, output: int = 0) -> Config:
    """A reference to a tensor in the calls of a layer."""
    config = {"shape": [None, 4], "dtype": "float32", "keras_history": [layer, call, output]}
    return {"class_name": "__keras_tensor__", "config": config}


def layer(kind: str, name: str, *inputs: Any, module: str = "keras.layers", **config: Any) -> Config:
    """A layer of a functional model; ``inputs`` are layers by name, or any arguments."""
    arguments = [tensor(i) if isinstance(i, str) else i for i in inputs]
    calls = [{"args": arguments, "kwargs": {}}] if arguments else []
    return {
        "module": module,
        "class_name": kind,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "registered_name": None,
        "name": name,
        "inbound_nodes": calls,
    }


def start(shape: Any = (None, 4), name: str = "x", dtype: Any = "float32") -> Config:
    return layer("InputLayer", name, batch_shape=shape) | {
        "config": {"batch_shape": shape, "dtype": dtype, "name": name}
    }


def dense(name: str = "dense", *inputs: Any, units: Any = 3, **config: Any) -> Config:
    return layer("Dense", name, *(inputs or ("x",)), units=units, activation="relu", use_bias=True, **config)


def functional(*layers: Config, name: str = "net") -> Config:
    """A model of layers, from the first one to the last one."""
    ends = [[layers[k]["name"], 0, 0] for k in (0, -1)]
    config = {
        "name": name,
        "trainable": True,
        "layers": list(layers),
        "input_layers": [ends[0]],
        "output_layers": [ends[1]],
    }
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
    }


def sequential(*layers: Config) -> Config:
    config = {"name": "net", "trainable": True, "layers": [dict(one) for one in layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def base() -> Config:
    return functional(start(), dense())


def after(kind: str, shape: Any = (None, 4), module: str = "keras.layers", **config: Any) -> Config:
    """A model of an input and one layer."""
    return functional(start(shape), layer(kind, "one", "x", module=module, **config))


def changed(place: Place, value: Any, model: Config | None = None) -> Config:
    """A model with another value at a place; with a function as the value, what it makes of the one that was there."""
    found = copy.deepcopy(base() if model is None else model)
    at: Any = found
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value(at[place[-1]]) if isinstance(value, Callable) else value
    return found


def text(model: Any) -> bytes:
    return json.dumps(model).encode()


def weights(**changes: Any) -> Group:
    """The groups of the weights of :func:`base`; changes replace members of the layer's variables."""
    variables = {"0": Array(np.ones((4, 3), np.float32)), "1": Array(np.zeros(3, np.float32)), **changes}
    inner = Group({"vars": Group(variables, {"name": "dense"})})
    return Group({"layers": Group({"dense": inner}), "vars": Group({}, {"name": "net"})})


def parts(model: Any = None, root: Group | bytes | None = None, **more: bytes) -> dict[str, bytes]:
    """The entries of a ``.keras`` file."""
    stored = root if isinstance(root, bytes) else file_of(weights() if root is None else root)
    found: Mapping[str, bytes] = {
        "metadata.json": b'{"keras_version": "3.15.1", "date_saved": "2026-11-27@12:00:00"}',
        "config.json": model if isinstance(model, bytes) else text(base() if model is None else model),
        "model.weights.h5": stored,
    }
    return {**found, **more}


def keras(model: Any = None, root: Group | bytes | None = None) -> bytes:
    """A ``.keras`` file."""
    return archive(parts(model, root))


def whole_h5(model: Any = None, **changes: Any) -> Group:
    """The groups of an ``.h5`` file with a model and its weights."""
    variables = {"kernel:0": Array(np.ones((4, 3), np.float32)), "bias:0": Array(np.zeros(3, np.float32)), **changes}
    names = np.array([b"dense/kernel:0", b"dense/bias:0"])
    of_layer = Group({"dense": Group(variables)}, {"weight_names": names})
    stored = Group({"dense": of_layer}, {"layer_names": np.array([b"dense"]), "keras_version": "3.15.1"})
    written = model if isinstance(model, str) else json.dumps(base() if model is None else model)
    return Group(
        {"model_weights": stored}, {"keras_version": "3.15.1", "backend": "tensorflow", "model_config": written}
    )
