"""The configuration of a model as layers, calls and references, whichever version of Keras wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MODELS = ("Sequential", "Functional", "Model")
"""Classes of Keras whose configuration contains their layers."""
_NO_OPERATIONS = ("InputLayer", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "Lambda")


@dataclass(frozen=True)
class Ref:
    """Output ``output`` of call ``call`` of a layer. ``shape`` and ``dtype`` are None where the file does not say."""

    layer: str
    call: int = 0
    output: int = 0
    shape: tuple[int | None, ...] | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Call:
    """A call of a layer: arguments with references in the places of tensors.

    Attributes:
        is_old: whether Keras 2 wrote it. Its ``training`` counts; that of Keras 3 is what the layer had while the model
            was made, and ``fit`` and ``predict`` replace it.
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    is_old: bool = False

    def refs(self) -> Iterator[Ref]:
        """Yield the references in all arguments."""
        yield from refs_in([*self.args, *self.kwargs.values()])


@dataclass
class LayerDef:
    """A layer of a model.

    Attributes:
        place: where it is in the file, for messages.
        module: the module that it is from; empty in files of Keras 2 and in ``.h5``.
        registered: the name under which a custom class was registered; empty for Keras's own.
        calls: its calls, in order; the first one creates the weights.
    """

    name: str
    class_name: str
    config: dict[str, Any]
    place: str
    module: str = ""
    registered: str = ""
    calls: list[Call] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def is_model(self) -> bool:
        """Whether this is a nested model whose layers are known."""
        return self.class_name in MODELS and isinstance(self.config.get("layers"), list)

    @property
    def is_input(self) -> bool:
        """Whether this is an input of its model."""
        return self.class_name == "InputLayer"

    @property
    def is_operation(self) -> bool:
        """Whether this is a function of ``keras.ops``, not a layer; files without modules show it by the missing keys."""
        if self.module:
            return self.module.startswith("keras.src.ops.")
        return "trainable" not in self.config and self.class_name not in (*MODELS, *_NO_OPERATIONS)


@dataclass
class ModelDef:
    """A model: its layers, inputs and outputs.

    Attributes:
        inputs: references to its InputLayers: one, or a list or dict of them.
        outputs: references to what it returns: one, or lists and dicts of them.
    """

    name: str
    layers: list[LayerDef]
    inputs: Any
    outputs: Any
    place: str
    trainable: bool = True
    is_sequential: bool = False

    def layer(self, name: str) -> LayerDef | None:
        """Return the layer of this name."""
        return next((layer for layer in self.layers if layer.name == name), None)


def refs_in(value: Any) -> Iterator[Ref]:
    """Yield the references in lists and dicts; those of a dict in the order of its keys, as Keras flattens it."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from refs_in(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from refs_in(item)


def simple_class(name: Any) -> str:
    """Return the class without the package of a registered name: ``Custom>Gate`` → ``Gate``."""
    return str(name).rpartition(">")[2]


def is_model(value: Any) -> bool:
    """Return whether a value is the configuration of a model whose layers are known."""
    if not isinstance(value, dict) or value.get("class_name") not in MODELS:
        return False
    config = value.get("config")
    return isinstance(config, list) or (isinstance(config, dict) and isinstance(config.get("layers"), list))
