"""Read the configuration of a Sequential or Functional model: that of Keras 3, of Keras 2, and of ``.h5`` files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from graphspec.base.errors import SpecError
from graphspec.foreign.keras_files.containers import Problems

# The configuration of a model as layers, calls and references, whichever version of Keras wrote it.
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


@dataclass
class Owner:
    """A layer of the file whose weights a node of the spec has.

    Attributes:
        node: the node's name, with those of the instances before it.
        path: the positions of the layer in its model, and of the models around it.
    """

    layer: LayerDef
    node: str
    path: tuple[int, ...]
    models: tuple[ModelDef, ...]


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


MAX_LAYERS = 20_000


def read_model(raw: Any, place: str, problems: Problems) -> ModelDef:
    """Return the model of ``{"class_name": "Functional", "config": {…}}``.

    Args:
        place: what messages call the place of the configuration.

    Raises:
        SpecError: GS801, it is no configuration of a model; GS802, the model is code.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("config"), dict | list):
        raise problems.fail(place, f"{place} is no configuration of a Keras model: it needs `class_name` and `config`")
    config = raw["config"] if isinstance(raw["config"], dict) else {"layers": raw["config"]}
    layers = config.get("layers")
    if not isinstance(layers, list):
        name = simple_class(str(raw.get("class_name")))
        if name not in ("Sequential", "Functional", "Model"):
            text = f"{place} is a {name}, a class whose network is Python code"
            problems.unsupported(place, text, "save a functional model: `keras.Model(inputs, model.call(inputs))`")
            raise SpecError(problems.found)
        raise problems.fail(
            place, f"{place} is no configuration of a Sequential or Functional model: it has no `layers`"
        )
    if len(layers) > MAX_LAYERS:
        raise problems.fail(place, f"{place} has {len(layers):,} layers, more than {MAX_LAYERS:,}")
    found = [_layer(item, k, place, problems) for k, item in enumerate(layers)]
    if twice := [name for name, count in Counter(layer.name for layer in found).items() if count > 1]:
        raise problems.fail(place, f"{place} has two layers '{min(twice)}'")
    name = str(config.get("name") or raw.get("name") or "model")
    trainable = config.get("trainable", True) is not False
    if "input_layers" in config or "output_layers" in config:
        model = ModelDef(name, found, None, None, place, trainable)
        _functional(model, layers, config, problems)
    else:
        model = _sequential(name, found, raw, config, place, problems)
        model.trainable = trainable
    _check_refs(model, problems)
    return model


def _layer(item: Any, k: int, place: str, problems: Problems) -> LayerDef:
    at = f"{place}: layers[{k}]"
    if not isinstance(item, dict) or not isinstance(item.get("class_name"), str):
        raise problems.fail(at, f"{at} has no `class_name`")
    class_name = item["class_name"]
    config = item.get("config")
    if isinstance(config, list) and class_name == "Sequential":
        config = {"layers": config}
    config = config if isinstance(config, dict) else {}
    name = item.get("name") or config.get("name")
    if not isinstance(name, str):
        name = f"{class_name.lower()}_{k}"
    registered = item.get("registered_name")
    return LayerDef(
        name,
        class_name,
        config,
        f"{at} '{name}' ({class_name})",
        str(item.get("module") or ""),
        registered if isinstance(registered, str) else "",
        raw=item,
    )


def _functional(model: ModelDef, layers: list[Any], config: dict[str, Any], problems: Problems) -> None:
    for item, layer in zip(layers, model.layers, strict=True):
        nodes = item.get("inbound_nodes") or []
        if not isinstance(nodes, list):
            raise problems.fail(layer.place, f"the calls of '{layer.name}' are no list")
        if layer.is_input:
            layer.calls = [Call()]
            continue
        layer.calls = [_call(node, layer, problems) for node in nodes]
    model.inputs = _structure(config.get("input_layers"), f"{model.place}: input_layers", problems)
    model.outputs = _structure(config.get("output_layers"), f"{model.place}: output_layers", problems)
    _count_from_zero(model)


def _count_from_zero(model: ModelDef) -> None:
    """Let the first call of a nested model be call 0.

    Keras counts from 1 there, since a model has a node of its own: Keras 2 everywhere, Keras 3 in ``output_layers``, and
    there for Functional models alone.
    """
    nested = {layer.name: layer for layer in model.layers if layer.is_model}
    if not nested:
        return
    reads = [ref for layer in model.layers for call in layer.calls for ref in call.refs()]
    ends = list(refs_in(model.outputs))
    shifted = set()
    for name, layer in nested.items():
        if any(call.is_old for call in layer.calls):
            counted = [ref.call for ref in [*reads, *ends] if ref.layer == name]
            if counted and min(counted) > 0:
                shifted.add(name)
    if shifted:
        for layer in model.layers:
            layer.calls = [
                Call(_shifted(call.args, shifted), _shifted(call.kwargs, shifted), call.is_old) for call in layer.calls
            ]
    functional = {n for n, layer in nested.items() if layer.class_name != "Sequential" and n not in shifted}
    functional -= {ref.layer for ref in ends if ref.call == 0}
    model.outputs = _shifted(model.outputs, shifted | functional)


def _shifted(value: Any, names: set[str]) -> Any:
    if isinstance(value, Ref):
        return replace(value, call=value.call - 1) if value.layer in names and value.call else value
    if isinstance(value, dict):
        return {key: _shifted(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_shifted(item, names) for item in value)
    return value


def _call(node: Any, layer: LayerDef, problems: Problems) -> Call:
    """Return one of the ``inbound_nodes``: ``{args, kwargs}``, or in Keras 2 a list of ``[name, call, output, kwargs]``."""
    if isinstance(node, dict) and "args" in node:
        args, kwargs = node.get("args"), node.get("kwargs") or {}
        if isinstance(args, list) and isinstance(kwargs, dict):
            return Call(tuple(_value(a) for a in args), {key: _value(v) for key, v in kwargs.items()})
    elif isinstance(node, dict):
        return Call(({key: _old_ref(v, layer, problems) for key, v in node.items()},), is_old=True)
    elif isinstance(node, list) and node:
        entries = [node] if isinstance(node[0], str) else node
        refs = [_old_ref(entry, layer, problems) for entry in entries]
        options: dict[str, Any] = {}
        for entry in entries:
            if isinstance(entry, list) and len(entry) > 3 and isinstance(entry[3], dict):
                options |= {key: _old_value(value) for key, value in entry[3].items()}
        return Call((refs[0] if len(refs) == 1 else refs,), options, is_old=True)
    raise problems.fail(layer.place, f"a call of '{layer.name}' is not readable: {str(node)[:80]}")


def _old_ref(entry: Any, layer: LayerDef, problems: Problems) -> Any:
    found = _as_ref(entry)
    if found is None and isinstance(entry, list) and len(entry) > 2 and entry[0] == "_CONSTANT_VALUE":
        return entry[2]
    if found is None:
        raise problems.fail(layer.place, f"an input of '{layer.name}' is not readable: {str(entry)[:80]}")
    return found


def _old_value(value: Any) -> Any:
    """Return a keyword argument of Keras 2: ``[name, call, output]`` is a tensor."""
    found = _as_ref(value) if isinstance(value, list) and len(value) in (3, 4) else None
    if found is not None:
        return found
    if isinstance(value, list):
        return [_old_value(item) for item in value]
    return _value(value)


def _as_ref(entry: Any) -> Ref | None:
    if isinstance(entry, list) and len(entry) >= 3:
        name, call, output = entry[:3]
        if isinstance(name, str) and _is_count(call) and _is_count(output) and name != "_CONSTANT_VALUE":
            return Ref(name, call, output)
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 20


def _value(value: Any) -> Any:
    """Return an argument of a call with references in place of Keras's tensors."""
    if isinstance(value, list):
        return [_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "__keras_tensor__" and isinstance(config := value.get("config"), dict):
        found = _as_ref(config.get("keras_history"))
        if found is not None:
            shape, dtype = config.get("shape"), config.get("dtype")
            sizes = tuple(n if _is_count(n) else None for n in shape) if isinstance(shape, list) else None
            return Ref(found.layer, found.call, found.output, sizes, dtype if isinstance(dtype, str) else None)
    if "class_name" in value:
        return value
    return {key: _value(item) for key, item in value.items()}


def _structure(value: Any, place: str, problems: Problems) -> Any:
    """Return ``input_layers`` or ``output_layers`` with references."""
    if (found := _as_ref(value)) is not None:
        return found
    if isinstance(value, list):
        return [_structure(item, place, problems) for item in value]
    if isinstance(value, dict):
        return {key: _structure(item, place, problems) for key, item in value.items()}
    raise problems.fail(place, f"{place} is not readable: {str(value)[:80]}")


def _sequential(
    name: str, layers: list[LayerDef], raw: dict[str, Any], config: dict[str, Any], place: str, problems: Problems
) -> ModelDef:
    """Return a chain; without an InputLayer the shape is that with which the model was built."""
    if layers and not layers[0].is_input:
        first = layers[0].config
        shape = first.get("batch_input_shape") or first.get("batch_shape") or config.get("build_input_shape")
        build = raw.get("build_config")
        shape = shape or (build.get("input_shape") if isinstance(build, dict) else None)
        if shape is None and layers[0].is_model:
            inner = [item for item in first.get("layers", []) if isinstance(item, dict)]
            start = inner[0].get("config", {}) if inner else {}
            shape = start.get("batch_shape") or start.get("batch_input_shape") if isinstance(start, dict) else None
        if not isinstance(shape, list):
            hint = "build it with `keras.Input(shape)` as the first layer, or call it once, and save it again"
            problems.unsupported(place, f"the model '{name}' was saved before its input had a shape", hint)
            shape = [None, None]
        dtype = first.get("dtype") if first.get("batch_input_shape") else None
        taken = {layer.name for layer in layers}
        free = next(n for n in ("input", *(f"input_{k}" for k in range(1, len(layers) + 2))) if n not in taken)
        start_config = {"batch_shape": shape, "dtype": dtype or _dtype_for(layers[0]), "name": free}
        layers = [LayerDef(free, "InputLayer", start_config, f"{place}: '{name}'"), *layers]
    previous: Ref | None = None
    for layer in layers:
        layer.calls = [Call((previous,) if previous else ())]
        previous = Ref(layer.name)
    if previous is None:
        raise problems.fail(place, f"the model '{name}' has no layers")
    return ModelDef(name, layers, Ref(layers[0].name), previous, place, is_sequential=True)


def _dtype_for(layer: LayerDef) -> str:
    if layer.class_name in ("TextVectorization", "StringLookup"):
        return "string"
    return "int64" if layer.class_name in ("IntegerLookup", "Embedding") else "float32"


def _check_refs(model: ModelDef, problems: Problems) -> None:
    """Raise GS801 if references lead nowhere."""
    calls = {layer.name: len(layer.calls) for layer in model.layers}
    wanted = [(ref, layer.place) for layer in model.layers for call in layer.calls for ref in call.refs()]
    wanted += [(ref, model.place) for ref in refs_in([model.inputs, model.outputs])]
    for ref, place in wanted:
        if ref.call >= calls.get(ref.layer, 0):
            said = f"call {ref.call} of " if ref.layer in calls else ""
            problems.invalid(place, f"{place} reads {said}'{ref.layer}', which the model does not have")
    if any(ref.call >= calls.get(ref.layer, 0) for ref, _ in wanted):
        problems.check()  # what follows relies on them
