"""Read the configuration of a Sequential or Functional model: that of Keras 3, of Keras 2, and of ``.h5`` files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from graphspec.foreign.keras_files.containers import ArchiveProblems
from graphspec.language.tree import each

# The configuration of a model as layers, calls and references, whichever version of Keras wrote it.
MODELS = ("Sequential", "Functional", "Model")  # classes of Keras whose configuration contains their layers
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

    If Keras 2 wrote it, its ``training`` counts; that of Keras 3 is what the layer had while the model was made, and ``fit``
    and ``predict`` replace it.
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    is_old: bool = False

    def refs(self) -> Iterator[Ref]:
        yield from refs_in([*self.args, *self.kwargs.values()])


@dataclass
class LayerDef:
    """A layer of a model, with its calls: the first one creates the weights.

    ``module`` is empty in files of Keras 2 and in ``.h5``, ``registered`` for Keras's own classes.
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
    def is_timed_model(self) -> bool:
        """Whether this is a TimeDistributed around a model whose layers are known."""
        match self.config.get("layer"):
            case {"class_name": name, "config": list() | {"layers": list()}}:
                return self.class_name == "TimeDistributed" and name in MODELS
        return False

    @property
    def is_input(self) -> bool:
        return self.class_name == "InputLayer"

    @property
    def is_operation(self) -> bool:
        """Whether this is a function of ``keras.ops``, not a layer; files without modules show it by the missing keys."""
        if self.module:
            return self.module.startswith("keras.src.ops.")
        return "trainable" not in self.config and self.class_name not in (*MODELS, *_NO_OPERATIONS)


@dataclass
class ModelDef:
    """A model: its layers, its inputs (references to InputLayers: one, or a list or dict of them), and what it returns."""

    name: str
    layers: list[LayerDef]
    inputs: Any
    outputs: Any
    place: str
    trainable: bool = True
    is_sequential: bool = False


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


MAX_LAYERS = 20_000


def read_model(raw: Any, place: str, problems: ArchiveProblems) -> ModelDef:
    """Return the model of ``{"class_name": "Functional", "config": {…}}``, which messages call ``place``.

    SpecError: it is no configuration of a model (GS801), or the model is code (GS802).
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("config"), dict | list):
        text = f"{place} is no configuration of a Keras model: it needs `class_name` and `config`"
        raise problems.invalid(place, text)
    config = raw["config"] if isinstance(raw["config"], dict) else {"layers": raw["config"]}
    layers = config.get("layers")
    if not isinstance(layers, list):
        name = simple_class(str(raw.get("class_name")))
        if name not in MODELS:
            hint = "save a functional model: `keras.Model(inputs, model.call(inputs))`"
            raise problems.unsupported(place, f"{place} is a {name}, a class whose network is Python code", hint)
        text = f"{place} is no configuration of a Sequential or Functional model: it has no `layers`"
        raise problems.invalid(place, text)
    if len(layers) > MAX_LAYERS:
        raise problems.invalid(place, f"{place} has {len(layers):,} layers, more than {MAX_LAYERS:,}")
    found = [_layer(item, k, place, problems) for k, item in enumerate(layers)]
    if twice := [name for name, count in Counter(layer.name for layer in found).items() if count > 1]:
        raise problems.invalid(place, f"{place} has two layers '{min(twice)}'")
    name = str(config.get("name") or raw.get("name") or "model")
    model = ModelDef(name, found, None, None, place, config.get("trainable", True) is not False)
    if "input_layers" in config or "output_layers" in config:
        _connect(model, layers, config, problems)
    else:
        _chain(model, raw, config, problems)
    _check_refs(model, problems)
    return model


def _layer(item: Any, k: int, place: str, problems: ArchiveProblems) -> LayerDef:
    at = f"{place}: layers[{k}]"
    if not isinstance(item, dict) or not isinstance(item.get("class_name"), str):
        raise problems.invalid(at, f"{at} has no `class_name`")
    class_name, config, registered = item["class_name"], item.get("config"), item.get("registered_name")
    if isinstance(config, list) and class_name == "Sequential":
        config = {"layers": config}
    config = config if isinstance(config, dict) else {}
    name = item.get("name") or config.get("name")
    if not isinstance(name, str):
        name = f"{class_name.lower()}_{k}"
    place, module = f"{at} '{name}' ({class_name})", str(item.get("module") or "")
    registered = registered if isinstance(registered, str) else ""
    return LayerDef(name, class_name, config, place, module, registered, raw=item)


def _connect(model: ModelDef, layers: list[Any], config: dict[str, Any], problems: ArchiveProblems) -> None:
    for item, layer in zip(layers, model.layers, strict=True):
        nodes = item.get("inbound_nodes") or []
        if not isinstance(nodes, list):
            raise problems.invalid(layer.place, f"the calls of '{layer.name}' are no list")
        layer.calls = [Call()] if layer.is_input else [_call(node, layer, problems) for node in nodes]
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
    ends = list(refs_in(model.outputs))
    reads = [*(ref for layer in model.layers for call in layer.calls for ref in call.refs()), *ends]
    old = {name for name, layer in nested.items() if any(call.is_old for call in layer.calls)}
    shifted = {name for name in old if min((ref.call for ref in reads if ref.layer == name), default=0) > 0}
    for layer in model.layers if shifted else ():
        parts = [(_shifted(call.args, shifted), _shifted(call.kwargs, shifted), call.is_old) for call in layer.calls]
        layer.calls = [Call(*part) for part in parts]
    functional = {n for n, layer in nested.items() if layer.class_name != "Sequential" and n not in shifted}
    functional -= {ref.layer for ref in ends if ref.call == 0}
    model.outputs = _shifted(model.outputs, shifted | functional)


def _shifted(value: Any, names: set[str]) -> Any:
    if isinstance(value, Ref):
        return replace(value, call=value.call - 1) if value.layer in names and value.call else value
    return each(lambda item: _shifted(item, names), value)


def _call(node: Any, layer: LayerDef, problems: ArchiveProblems) -> Call:
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
    raise problems.invalid(layer.place, f"a call of '{layer.name}' is not readable: {str(node)[:80]}")


def _old_ref(entry: Any, layer: LayerDef, problems: ArchiveProblems) -> Any:
    found = _as_ref(entry)
    if found is None and isinstance(entry, list) and len(entry) > 2 and entry[0] == "_CONSTANT_VALUE":
        return entry[2]
    if found is None:
        raise problems.invalid(layer.place, f"an input of '{layer.name}' is not readable: {str(entry)[:80]}")
    return found


def _old_value(value: Any) -> Any:
    """Return a keyword argument of Keras 2: ``[name, call, output]`` is a tensor."""
    found = _as_ref(value) if isinstance(value, list) and len(value) in (3, 4) else None
    if found is not None:
        return found
    return each(_old_value, value) if isinstance(value, list) else _value(value)


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
    if not isinstance(value, dict) or "class_name" not in value:
        return each(_value, value)
    if value["class_name"] == "__keras_tensor__" and isinstance(config := value.get("config"), dict):
        found = _as_ref(config.get("keras_history"))
        if found is not None:
            shape, dtype = config.get("shape"), config.get("dtype")
            sizes = tuple(n if _is_count(n) else None for n in shape) if isinstance(shape, list) else None
            return replace(found, shape=sizes, dtype=dtype if isinstance(dtype, str) else None)
    return value


def _structure(value: Any, place: str, problems: ArchiveProblems) -> Any:
    """Return ``input_layers`` or ``output_layers`` with references."""
    if (found := _as_ref(value)) is not None:
        return found
    if isinstance(value, list | dict):
        return each(lambda item: _structure(item, place, problems), value)
    raise problems.invalid(place, f"{place} is not readable: {str(value)[:80]}")


_DTYPES = {"TextVectorization": "string", "StringLookup": "string", "IntegerLookup": "int64", "Embedding": "int64"}


def _chain(model: ModelDef, raw: dict[str, Any], config: dict[str, Any], problems: ArchiveProblems) -> None:
    """Connect the layers of a Sequential model; without an InputLayer the shape is that with which it was built."""
    layers, place = model.layers, model.place
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
            problems.unsupported(place, f"the model '{model.name}' was saved before its input had a shape", hint)
            shape = [None, None]
        dtype = first.get("dtype") if first.get("batch_input_shape") else None
        taken = {layer.name for layer in layers}
        free = next(n for n in ("input", *(f"input_{k}" for k in range(1, len(layers) + 2))) if n not in taken)
        dtype = dtype or _DTYPES.get(layers[0].class_name, "float32")
        start_config = {"batch_shape": shape, "dtype": dtype, "name": free}
        model.layers = [LayerDef(free, "InputLayer", start_config, f"{place}: '{model.name}'"), *layers]
    previous: Ref | None = None
    for layer in model.layers:
        layer.calls = [Call((previous,) if previous else ())]
        previous = Ref(layer.name)
    if previous is None:
        raise problems.invalid(place, f"the model '{model.name}' has no layers")
    model.inputs, model.outputs, model.is_sequential = Ref(model.layers[0].name), previous, True


def _check_refs(model: ModelDef, problems: ArchiveProblems) -> None:
    """Raise GS801 if references lead nowhere."""
    calls = {layer.name: len(layer.calls) for layer in model.layers}
    wanted = [(ref, layer.place) for layer in model.layers for call in layer.calls for ref in call.refs()]
    wanted += [(ref, model.place) for ref in refs_in([model.inputs, model.outputs])]
    error = None
    for ref, place in wanted:
        if ref.call >= calls.get(ref.layer, 0):
            said = f"call {ref.call} of " if ref.layer in calls else ""
            error = problems.invalid(place, f"{place} reads {said}'{ref.layer}', which the model does not have")
    if error is not None:
        raise error  # what follows relies on them
