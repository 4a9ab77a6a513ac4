"""All names of Keras that a spec could have, and what Keras writes about an object that has its defaults.

`keras_config_keys.json` has `<kind>/<name>`: the arguments that were given, and `config`, what `get_config` answers; of
callbacks and activations, which have none, the arguments with their defaults; null where nothing can be made without code.
Nested objects are as a spec has them: mappings with `type`.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import keras
from keras_models import Section

MODULES: dict[str, ModuleType] = {
    "layer": keras.layers,
    "activation": keras.activations,
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
    "loss": keras.losses,
    "metric": keras.metrics,
    "optimizer": keras.optimizers,
    "schedule": keras.optimizers.schedules,
    "callback": keras.callbacks,
}
TOOLS = ("deserialize", "serialize", "get", "legacy", "schedules")
"""What these modules have besides."""
ARGUMENTS: dict[str, Any] = {
    "activation": "relu",
    "axes": -1,
    "beta": 0.5,
    "boundaries": [1, 2],
    "cropping": 1,
    "decay_rate": 0.5,
    "decay_steps": 10,
    "dims": [1],
    "end_value": 0.5,
    "equation": "abc,cd->abd",
    "factor": 0.5,
    "filename": "log.csv",
    "filepath": "checkpoints",
    "filters": 2,
    "first_decay_steps": 10,
    "head_dim": 2,
    "height": 3,
    "height_factor": 0.2,
    "initial_learning_rate": 0.1,
    "input_dim": 3,
    "kernel_size": 2,
    "key_dim": 2,
    "n": 2,
    "num_classes": 2,
    "num_heads": 2,
    "num_key_value_heads": 1,
    "num_query_heads": 2,
    "num_tokens": 3,
    "output_dim": 2,
    "output_shape": [None, 2],
    "output_size": 2,
    "pool_size": 2,
    "precision": 0.5,
    "rate": 0.5,
    "recall": 0.5,
    "schedule": {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "scale": 0.5,
    "sensitivity": 0.5,
    "specificity": 0.5,
    "stddev": 0.5,
    "target_class_ids": [0],
    "target_shape": [2],
    "units": 2,
    "values": [0.1, 0.2, 0.3],
    "width": 3,
    "width_factor": 0.2,
}
"""What required arguments are given, by name."""
OBJECTS: dict[str, dict[str, Any]] = {
    "Bidirectional": {"layer": {"type": "LSTM", "units": 2}},
    "CategoryEncoding": {"num_tokens": 3},
    "Discretization": {"bin_boundaries": [0.0]},
    "Normalization": {"mean": 0.5, "variance": 2.0},
    "RNN": {"cell": {"type": "LSTMCell", "units": 2}},
    "RandomPosterization": {"factor": 4},
    "SpectralNormalization": {"layer": {"type": "Dense", "units": 2}},
    "StackedRNNCells": {"cells": [{"type": "LSTMCell", "units": 2}]},
    "TimeDistributed": {"layer": {"type": "Dense", "units": 2}},
}
"""Arguments of classes that need others."""


def names(module: ModuleType) -> list[str]:
    """What a configuration may name: classes, and functions but for those that call a layer."""
    found = [n for n in dir(module) if not n.startswith("_") and n not in TOOLS]
    if module is keras.layers:
        found = [n for n in found if n == "Input" or inspect.isclass(getattr(module, n))]
    return [n for n in found if callable(getattr(module, n))]


def arguments(name: str, cls: Any) -> dict[str, Any]:
    """The required arguments."""
    if name in OBJECTS:
        return OBJECTS[name]
    given = inspect.signature(cls.__init__ if inspect.isclass(cls) else cls).parameters.values()
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    needed = [p.name for p in given if p.default is p.empty and p.name not in ("self", "x") and p.kind not in kinds]
    return {n: ARGUMENTS[n] for n in needed}


def made(value: Any) -> Any:
    """An argument as Keras takes it."""
    if isinstance(value, dict):
        args = {k: made(v) for k, v in value.items() if k != "type"}
        return getattr(keras.layers, value["type"])(**args)
    if isinstance(value, list):
        return [made(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """A configuration as a spec has it."""
    if isinstance(value, dict) and "class_name" in value:
        if value["class_name"] in ("DTypePolicy", "__tuple__"):
            inner = value.get("config", value.get("items"))
            return inner["name"] if isinstance(inner, dict) else plain(inner)
        config = plain(value["config"])
        return {"type": value["class_name"], **config} if isinstance(config, dict) else config
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else float(value)


def defaults(thing: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a callback or of a function of x, as far as they are plain."""
    parameters = list(inspect.signature(thing).parameters.values())
    kept = [p for p in parameters if p.name not in ("x", "kwargs") and p.name not in given]
    return given | {p.name: plain(p.default) for p in kept if p.default is not p.empty}


def config_of(cls: Any, given: dict[str, Any]) -> dict[str, Any] | None:
    """What Keras writes about it; None where it writes nothing."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)  # RandomCrop draws its seed
    instance = cls(**{key: made(value) for key, value in given.items()})
    return plain(instance.get_config()) if hasattr(instance, "get_config") else None


def section() -> Section:
    section = Section("keras_config_keys")
    keras.config.set_floatx("float32")
    for kind, module in MODULES.items():
        for name in names(module):
            thing = getattr(module, name)
            entry: dict[str, Any] = {"arguments": {}, "config": None}
            try:
                if kind == "activation" or kind == "callback":
                    given = {"threshold": {"threshold": 0.5, "default_value": 0.0}}.get(name) or arguments(name, thing)
                    entry = {"arguments": given, "config": defaults(thing, given)}
                elif inspect.isclass(thing):
                    given = arguments(name, thing)
                    entry = {"arguments": given, "config": config_of(thing, given)}
            except Exception as error:  # what is code, abstract, or for another backend
                print("no instance of", kind, name, repr(error)[:160])
            section.add(f"{kind}/{name}", entry)
    keras.config.set_floatx("float64")
    return section
