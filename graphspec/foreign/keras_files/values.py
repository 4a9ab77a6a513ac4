"""Objects of a configuration, such as initializers, as values of a spec: ``{class_name, config}`` → ``{type, …}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphspec.base.config import Config, Registry
from graphspec.foreign.keras_files.model_def import simple_class
from graphspec.foreign.keras_files.problems import Problems
from graphspec.graph.constraints import CONSTRAINTS
from graphspec.graph.initializers import INITIALIZERS
from graphspec.graph.regularizers import REGULARIZERS
from graphspec.graph.schedules import SCHEDULES
from graphspec.language.names import snake_case
from graphspec.vocabulary.activations import ACTIVATIONS

_KERAS = ("keras", "tensorflow", "tf_keras", "tensorflow_addons", "builtins")
_KIND_OF: tuple[tuple[str, Registry[Any]], ...] = (
    ("initializer", INITIALIZERS),
    ("regularizer", REGULARIZERS),
    ("constraint", CONSTRAINTS),
    ("activation", ACTIVATIONS),
    ("learning_rate", SCHEDULES),
)
_ACTIVATION_LAYERS = {"LeakyReLU": "leaky_relu", "ReLU": "relu", "ELU": "elu", "Softmax": "softmax"}
_CONSTANTS = ("__tuple__", "__numpy__", "__tensor__", "__bytes__", "TensorShape")


@dataclass
class Notes:
    """What a conversion says besides its result.

    Attributes:
        problems: what the file has and a spec cannot say.
        said: what is another than in Keras, or was left out, in whole sentences.
    """

    problems: Problems
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Add a sentence, once."""
        if text not in self.said:
            self.said.append(text)


def is_kerass_own(module: str, registered: str) -> bool:
    """Return whether an object is from Keras (or KerasHub), not from the code of whoever saved the file."""
    package = module.partition(".")[0]
    return (not module or package in _KERAS or package in ("keras_hub", "keras_nlp", "keras_cv")) and not (
        registered.startswith("Custom>")
    )


def is_object(value: Any) -> bool:
    """Return whether a value is a serialized object."""
    return isinstance(value, dict) and isinstance(value.get("class_name"), str) and "config" in value


def constant(value: Any) -> Any:
    """Return tuples, arrays and bytes of a configuration as lists and text; other values as they are."""
    if isinstance(value, list):
        return [constant(item) for item in value]
    if isinstance(value, dict) and value.get("class_name") in _CONSTANTS:
        config = value.get("config", value.get("items"))
        if isinstance(config, dict):
            config = config.get("value", config)
        return constant(config)
    if isinstance(value, dict) and "class_name" not in value:
        return {key: constant(item) for key, item in value.items()}
    return value


def registry_of(key: str) -> Registry[Any] | None:
    """Return the registry of the objects that an argument takes; None if it takes none."""
    return next((registry for word, registry in _KIND_OF if key.endswith(word)), None)


def argument(key: str, value: Any, place: str, notes: Notes) -> Any:
    """Return an argument as a value of a spec; what cannot be one is noted as a problem."""
    value = constant(value)
    registry = registry_of(key)
    if registry is not None and isinstance(value, str):
        return value if registry.get(value) or not registry.get(snake_case(value)) else snake_case(value)
    if not is_object(value):
        return value
    return made(registry, value, f"{place}: {key}", notes)


def made(registry: Registry[Any] | None, value: Mapping[str, Any], place: str, notes: Notes) -> Any:
    """Return an object as ``{type: …}`` with its arguments, or as its name if it is a function."""
    name, config = simple_class(value["class_name"]), value["config"]
    module, registered = str(value.get("module") or ""), str(value.get("registered_name") or "")
    if name == "__lambda__" or (name == "function" and not is_kerass_own(module, registered)):
        said = config if isinstance(config, str) else "a function"
        hint = "a file may not contain code: use a function of Keras, and save it again"
        notes.problems.unsupported(place, f"{place} is Python code: {said}", hint)
        return None
    if name == "function":
        return str(config)
    kind = registry.kind if registry else "object"
    cls = None
    if registry is not None:
        cls = registry.get(name) or registry.get(snake_case(name)) or registry.get(_ACTIVATION_LAYERS.get(name, ""))
    if cls is None or not is_kerass_own(module, registered) or not isinstance(config, dict):
        hint = "use one of Keras's, and save the model again"
        if registry is INITIALIZERS:  # weights have their values
            notes.say(f"{place}: the initializer {name} is left out; the weights come from the file")
            return None
        notes.problems.unsupported(place, f"{place} is {name}, no {kind} of a spec", hint)
        return None
    named = name if registry is not None and registry.get(name) else _ACTIVATION_LAYERS.get(name, snake_case(name))
    return {"type": named} | arguments(cls, config, place, notes)


def arguments(cls: type[Config], config: Mapping[str, Any], place: str, notes: Notes) -> dict[str, Any]:
    """Return the arguments of a configuration that a class has. Others are problems, unless they say nothing."""
    fields = {info.alias or name for name, info in cls.model_fields.items()}
    found = {}
    for key, value in config.items():
        if key in fields:
            kept = argument(key, value, place, notes)
            if kept is not None or not (is_object(value) or key.endswith("initializer")):
                found[key] = kept
        elif (neutral := cls.neutral.get(key)) is not None:
            if not neutral.accepts(constant(value)):
                hint = neutral.hint if isinstance(neutral.hint, str) else f"save the model without `{key}`"
                text = f"{place} has `{key}: {value}`: {neutral.reason or 'it has no meaning here'}"
                notes.problems.unsupported(place, text, hint)
        elif key not in ("name", "dtype", "trainable") and value not in (None, False, [], {}):
            text = f"{place} has `{key}: {str(value)[:60]}`, which {cls.__name__} cannot have"
            notes.problems.unsupported(place, text, f"save the model without `{key}`")
    return found
