"""A model that Keras saved, as the data of a spec and arrays by the spec's names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.base.config import Registry
from graphspec.base.errors import Diagnostic
from graphspec.base.text import count
from graphspec.foreign.keras_files import layers, operations
from graphspec.foreign.keras_files.containers import ArchiveProblems
from graphspec.foreign.keras_files.layers import Names, Notes
from graphspec.foreign.keras_files.model_config import Call, LayerDef, ModelDef, Ref, read_model, refs_in, simple_class
from graphspec.foreign.keras_files.saved_files import Owner, Saved, add_state, opened, taken
from graphspec.graph.optimizers import OPTIMIZERS
from graphspec.language.names import snake_case
from graphspec.language.tree import depth_first
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.losses import LOSSES
from graphspec.vocabulary.metrics import METRICS

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array
    from graphspec.engine.compiler.lowered_network import Lowered

# Layers and calls of a model as entries of ``layers``: of the spec, or of a block.
_RANDOM = ("regularization", "augmentation")  # families of layers that do nothing outside training
_NO_WEIGHTS = (
    *("adaptive", "regularization", "image", "augmentation", "padding", "merging", "pooling", "reshaping", "sound"),
    *("discretization", "preprocessing"),
)
_MANY_LEVELS = 30
_GIVEN = re.compile(r"input(_layer)?(_\d+)?")  # names of inputs that Keras gives; in a block they become `x`


@dataclass
class Document:
    """What the scopes of a spec share: the blocks by name, and for messages the place in the file of each block's nodes.

    ``masked``: something makes a mask. Operations drop it, where layers such as Add pass it on.
    """

    notes: Notes
    masked: bool = False
    blocks: dict[str, Any] = field(default_factory=dict)
    block_names: Names = field(default_factory=Names)
    places: dict[tuple[str, str], str] = field(default_factory=dict)


class Scope:
    """Converts one model, the spec or a ``block``; with ``inference`` it is called with ``training=False``.

    ``timed``: a TimeDistributed wraps the model, and then applies each of its layers.
    """

    def __init__(self, document: Document, model: ModelDef, block: str = "", models: tuple[ModelDef, ...] = ()) -> None:
        self.document, self.model, self.names, self.notes = document, model, Names(), document.notes
        self.block, self.models = block, (*models, model)
        self.inference = self.timed = False
        self.path: tuple[int, ...] = ()
        self.entries: list[dict[str, Any]] = []
        self.owners: list[Owner] = []
        self.layers = {layer.name: layer for layer in model.layers}
        self.positions = {layer.name: k for k, layer in enumerate(model.layers)}
        self.masks = operations.inferred_masks(model)
        self._calls: dict[tuple[str, int], str] = {}
        self._owner_names: dict[str, str] = {}

    def name_inputs(self) -> list[str]:
        """Name the model's inputs, and return the names in order."""
        found = [ref.layer for ref in refs_in(self.model.inputs)]
        for name in found:
            self._calls[name, 0] = self.names.new("x" if self.block and _GIVEN.fullmatch(name) else name)
        return [self._calls[name, 0] for name in found]

    def convert(self) -> None:
        """Fill ``entries`` and ``owners``: each call follows those that it reads, else they are in the file's order."""
        calls = [(layer.name, k) for layer in self.model.layers for k in range(len(layer.calls))]
        for name, k in depth_first(calls, self._needed):
            if (layer := self.layers[name]).is_input:
                if (layer.name, 0) not in self._calls:
                    self.notes.problems.invalid(layer.place, f"the input '{layer.name}' is none of the model's inputs")
                    self._calls[layer.name, 0] = self.names.new(layer.name)
            elif layer.name not in self.masks:
                self._convert_call(layer, k)

    def text(self, ref: Ref) -> str:
        """Return the name of a tensor in the spec."""
        name = self._calls.get((ref.layer, ref.call), layers.valid(ref.layer))
        return name if ref.output == 0 else f"{name}:{ref.output}"

    def _needed(self, at: tuple[str, int]) -> list[tuple[str, int]]:
        name, k = at
        owner = [(name, k - 1)] if k > 0 else []  # the first call owns the weights
        return [*((ref.layer, ref.call) for ref in self.layers[name].calls[k].refs()), *owner]

    def _convert_call(self, layer: LayerDef, k: int) -> None:
        call = layer.calls[k]
        is_own = layers.is_kerass_own(layer.module, "")
        if self.timed and (layer.is_operation or layer.class_name in operations.CLASSES):
            text = "is a function in a model that a TimeDistributed wraps"
            self.notes.refuse(layer, text, "write it as a layer, and save the model again")
            self._add(layer, k, None)
        elif layer.class_name in operations.CLASSES:
            found = operations.as_keras(layer, call)
            if found is None:
                text = f"is the function {layer.config.get('function')} of TensorFlow, which a spec cannot have"
                self.notes.refuse(layer, text, "write it with layers, and save the model again")
            self._add(layer, k, found and operations.operation_entry(*found, self.text, self.notes, plain=True))
        elif layer.is_operation and is_own:
            entry = operations.operation_entry(layer, call, self.text, self.notes, plain=self.document.masked)
            self._add(layer, k, entry)
        elif layer.is_model:
            self._convert_model(layer, k, call, layer.raw | {"config": layer.config})
        elif layer.is_timed_model:
            self._convert_model(layer, k, call, layer.config["layer"], timed=True)
        elif layer.class_name == layers.SCALED_SUM and is_own and LAYERS.get(layer.class_name) is None:
            product, last = layers.scaled_sum(layer, [self.text(ref) for ref in call.refs()], self.names)
            self.entries.append(product)
            self._add(layer, k, last)
        else:
            self._convert_layer(layer, k, call)

    def _add(self, layer: LayerDef, k: int, entry: dict[str, Any] | None) -> str:
        """Add an entry under the layer's name, and return the name."""
        name = self.names.new(layer.name)
        self._calls[layer.name, k] = name
        self.document.places[self.block, name] = layer.place
        if entry is not None:
            self._add_constants(name, entry)
            self.entries.append({"name": name} | entry)
        return name

    def _add_constants(self, name: str, entry: dict[str, Any]) -> None:
        """Write arrays among the inputs of an entry, which are more than a list of numbers, as nodes of their own."""
        inputs = entry["inputs"] if isinstance(entry.get("inputs"), list) else []
        for k, value in enumerate(inputs):
            if isinstance(value, list) and any(isinstance(item, list) for item in value):
                made = self.names.new(f"{name}_constant")
                self.entries.append({"name": made, "type": "Constant", "value": value})
                inputs[k] = made

    def _convert_layer(self, layer: LayerDef, k: int, call: Call) -> None:
        cls = layers.layer_class(layer, self.notes)
        if cls is None:
            self._add(layer, k, None)
            return
        reader = operations.CallReader(layer, cls, call, self.text, self.masks, self.notes)
        inputs, options = reader.inputs(), reader.options()
        if cls.__name__ in layers.READS_IDS and inputs:
            inputs = [self._as_ids(layer, call, inputs[0])]
        training = False if self.inference and reader.training is None else reader.training
        family = LAYERS.family(cls)
        kind = cls.__name__
        if training is True and (family in _RANDOM or kind in ("BatchNormalization", "SpectralNormalization")):
            text = "is called with `training=True`: it acts at inference, too"
            self.notes.refuse(layer, text, "call it without `training`, and save the model again")
        if training is False and family in _RANDOM and kind not in ("ActivityRegularization", "Sampling") and inputs:
            self._calls[layer.name, k] = inputs[0]
            self.notes.say(f"{layer.name} is left out: the model calls it with `training=False`, where it does nothing")
            return
        first = self._owner_names.get(layer.name)
        if first is not None and family not in _NO_WEIGHTS:
            if options:
                keys = ", ".join(f"`{key}`" for key in options)
                text = f"is called again with {keys}, which a node with shared weights cannot have"
                self.notes.refuse(layer, text, "call the layer once with it, or give it no such argument")
            self._add(layer, k, {"share": first, "inputs": _one_or_list(inputs)})
            return
        entry = layers.layer_arguments(layer, cls, self.notes) | options
        if training is False:
            entry |= {key: 0.0 for key in ("dropout", "recurrent_dropout") if entry.get(key)}
        if self.timed:
            entry = layers.at_every_step(layer, entry, len(inputs), self.notes)
        is_fixed, trainable = training is False and kind == "BatchNormalization", layer.config.get("trainable", True)
        if is_fixed and trainable:
            text = "batch normalizations that are called with `training=False` are frozen: their gamma and beta, too"
            self.notes.say(text)
        if trainable is False or is_fixed:
            entry["trainable"] = False
        name = self._add(layer, k, entry | {"inputs": _one_or_list(inputs)})
        self._owner_names.setdefault(layer.name, name)
        if first is None:
            self.owners.append(Owner(layer, name, (*self.path, self.positions[layer.name]), self.models))

    def _as_ids(self, layer: LayerDef, call: Call, name: str) -> str:
        """Return the name of integers for a layer that needs them; of floats it is a node that casts them, as Keras does."""
        ref = next(refs_in(call.args), None)
        source = None if ref is None else self.layers.get(ref.layer)
        dtype = None if ref is None else ref.dtype
        if source is not None and source.is_input:
            dtype = layers.policy_name(source.config.get("dtype"))
            if not self.block and layers.reads_only_ids(source.name, self.model):
                dtype = "int64"
        if dtype is None or not dtype.startswith(("float", "bfloat")):
            return name
        made = self.names.new(f"{layer.name}_ids")
        self.entries.append({"name": made, "type": "ops.cast", "dtype": "int64", "inputs": name})
        return made

    def _convert_model(self, layer: LayerDef, k: int, call: Call, raw: Any, *, timed: bool = False) -> None:
        """Add an instance of the block of a nested model, which the first call makes; ``timed``: of a TimeDistributed."""
        first = self._owner_names.get(layer.name)
        training = call.kwargs.get("training")
        if training is False and not call.is_old and not timed and _has_free_statistics(layer.config):
            self.notes.say(
                f"the model '{layer.name}' is called with `training=False`, which Keras 3's `fit` ignores, as the spec "
                "does: `trainable: false` keeps the statistics of batch normalizations"
            )
        if training is True and call.is_old:
            text = f"the model '{layer.name}' is called with `training=True`: it acts at inference, too"
            self.notes.problems.unsupported(layer.place, text, "call it without `training`, and save the model again")
        if len(self.models) > _MANY_LEVELS:
            raise self.notes.problems.invalid(layer.place, f"models are nested {_MANY_LEVELS} times and more")
        place = layer.place if self.block else f"{self.model.place}: '{layer.name}'"
        model = read_model(raw, place, self.notes.problems)
        if timed and layer.config.get("trainable") is False:
            model.trainable = False
        inputs = [self.text(ref) for ref in _matched(model, call)]
        if len(inputs) != (wanted := len(list(refs_in(model.inputs)))):
            text = f"the model '{layer.name}' has {count(wanted, 'input')}, and is called with {len(inputs)}"
            self.notes.problems.invalid(layer.place, text)
        if first is not None:
            self._add(layer, k, {"share": first, "inputs": _one_or_list(inputs)})
            return
        block = self.document.block_names.new(layer.name)
        inner = Scope(self.document, model, block, self.models)
        inner.inference, inner.timed = self.inference or (training is False and call.is_old), timed or self.timed
        inner.path = (*self.path, self.positions[layer.name])
        names = inner.name_inputs()
        inner.convert()
        outputs = [inner.text(ref) for ref in refs_in(model.outputs)]
        self.document.blocks[block] = {"inputs": names, "layers": inner.entries, "outputs": outputs}
        frozen = {} if model.trainable else {"trainable": False}
        name = self._add(layer, k, {"block": block} | frozen | {"inputs": _one_or_list(inputs)})
        self._owner_names[layer.name] = name
        self.owners += [Owner(o.layer, f"{name}/{o.node}", o.path, o.models) for o in inner.owners]


def _matched(model: ModelDef, call: Call) -> list[Ref]:
    """Return the tensors that a nested model is called with, in the order of its inputs."""
    named = (value for key, value in call.kwargs.items() if key not in ("mask", "training"))
    first = next(iter((*call.args, *named)), None)
    if isinstance(first, dict):
        keys = sorted(model.inputs) if isinstance(model.inputs, dict) else [ref.layer for ref in refs_in(model.inputs)]
        if set(keys) <= set(first):
            return [ref for key in keys for ref in refs_in(first[key])]
    return list(refs_in(list(call.args) if len(call.args) > 1 else first))


def _has_free_statistics(config: dict[str, Any], kind: Any = "") -> bool:
    if config.get("trainable") is False:
        return False
    inner = [one for one in config.get("layers", []) if isinstance(one, dict) and isinstance(one.get("config"), dict)]
    is_free = kind == "BatchNormalization"
    return is_free or any(_has_free_statistics(one["config"], one.get("class_name")) for one in inner)


def _one_or_list(inputs: Sequence[Any]) -> Any:
    return inputs[0] if len(inputs) == 1 and isinstance(inputs[0], str) else list(inputs)


# What a model was compiled with: optimizer, losses and metrics as ``training`` and as keys of the heads.
_LEARNS_ANYWAY = "the head is answered and exported, but not trained until it has a `loss`"


def add_training(data: dict[str, Any], config: Any, heads: Sequence[str], keys: Sequence[str], notes: Notes) -> None:
    """Add what a ``compile_config`` or ``training_config`` says to a spec's heads and ``training``.

    What a spec cannot have is no problem of the network: it is left out, and a note says so. ``keys`` are Keras's names of
    the heads, in the order of the model's outputs.
    """
    if not isinstance(config, dict) or (not config.get("loss") and not config.get("optimizer")):
        notes.say("the model was saved without a loss: it predicts and exports; to train it, give a head a `loss`")
        return
    losses = _by_head(config.get("loss"), keys, whole=True)
    weights = _by_head(config.get("loss_weights"), keys)
    metrics = _by_head(config.get("metrics"), keys, lists=True)
    weighted = _by_head(config.get("weighted_metrics"), keys, lists=True)
    trained = 0
    for head, key in zip(heads, keys, strict=True):
        entry = data["outputs"][head]
        loss = _entry(LOSSES, losses.get(key), f"the loss of head '{head}'", notes)
        if loss is not None:
            entry["loss"] = loss
            trained += 1
        elif losses.get(key) is not None:
            notes.say(f"head '{head}' has no loss: {_LEARNS_ANYWAY}")
        if isinstance(weight := weights.get(key), int | float) and loss is not None:
            entry["weight"] = weight
        listed = [*_flat(metrics.get(key)), *_flat(weighted.get(key))]
        found = [m for item in listed if (m := _entry(METRICS, item, f"a metric of head '{head}'", notes)) is not None]
        if found and loss is not None:
            entry["metrics"] = [m for k, m in enumerate(found) if m not in found[:k]]
    training = data.setdefault("training", {})
    optimizer: Any = config.get("optimizer", config.get("optimizer_config"))
    if layers.is_object(optimizer) and simple_class(optimizer["class_name"]).startswith("LossScaleOptimizer"):
        notes.say("the LossScaleOptimizer is left out: training is in float32")
        optimizer = optimizer["config"].get("inner_optimizer") if isinstance(optimizer["config"], dict) else None
    if (made := _entry(OPTIMIZERS, optimizer, "the optimizer", notes)) is not None:
        training["optimizer"] = made
    if trained > 1:
        training["combine"] = "sum"
    if not training:
        data.pop("training")


def _by_head(value: Any, keys: Sequence[str], *, lists: bool = False, whole: bool = False) -> dict[str, Any]:
    """Return a setting by output: Keras takes one for all, a list in their order, or a dict by name.

    ``lists``: the setting of one output is a list itself; ``whole``: one setting counts for every output.
    """
    if value is None:
        return {}
    if isinstance(value, dict) and not layers.is_object(value):
        return {key: value[key] for key in keys if key in value}
    if isinstance(value, list):
        if lists and (len(keys) == 1 or not any(isinstance(item, list) for item in value)):
            inner = value[0] if len(keys) == 1 and len(value) == 1 and isinstance(value[0], list) else value
            is_each = len(keys) > 1 and len(value) == len(keys)
            return dict(zip(keys, value, strict=True)) if is_each else dict.fromkeys(keys, inner)
        return dict(zip(keys, value, strict=False))
    return dict.fromkeys(keys, value) if whole or len(keys) == 1 else {keys[0]: value}


def _flat(value: Any) -> list[Any]:
    if value is None:
        return []
    return [item for part in value for item in _flat(part)] if isinstance(value, list) else [value]


def _entry(registry: Registry[Any], value: Any, what: str, notes: Notes) -> Any:
    """Return a name or a mapping of a spec; None if there is none, which is said."""
    if value is None:
        return None
    if isinstance(value, str):
        name = value if registry.get(value) else snake_case(value)
        if registry.get(name) is not None:
            return name
        notes.say(f"{what} is left out: a spec has no {registry.kind} '{value}'")
        return None
    if layers.is_object(value):
        name, config = simple_class(value["class_name"]), value["config"]
        wrapped = config.get("fn") if isinstance(config, dict) else None  # of MeanMetricWrapper, LossFunctionWrapper
        if layers.is_object(wrapped) or (isinstance(wrapped, str) and registry.get(name) is None):
            return _entry(registry, wrapped, what, notes)
        if not layers.is_kerass_object(value):
            notes.say(f"{what} is left out: {name if name != 'function' else config} is not Keras's but code")
            return None
        if name == "function" and isinstance(config, str):
            return _entry(registry, config, what, notes)
        cls = registry.get(name)
        if cls is not None and isinstance(config, dict):
            inner = Notes(ArchiveProblems(notes.problems.file), notes.said)
            found = {"type": name} | layers.arguments(cls, config, what, inner)
            for problem in inner.problems.found:
                notes.say(f"{problem.message}; it is left out")
            return {key: v for key, v in found.items() if not (key == "name" and v in (None, snake_case(name)))}
    notes.say(f"{what} is left out: a spec has no {registry.kind} {str(value)[:60]}")
    return None


@dataclass(frozen=True)
class Imported:
    """A converted model: a spec as YAML would have it, weights by ``<node>/<role>``, notes of what differs from the file.

    Every node has its name, its type, its inputs and all arguments. A configuration alone has no weights.
    """

    data: dict[str, Any]
    weights: dict[str, Array]
    notes: list[str]


def convert(path: str | Path) -> Imported:
    """Return a model that Keras 2 or 3 saved as ``.keras``, ``.h5`` or ``model.to_json()``. No code of it runs.

    SpecError: GS801, the file is invalid; GS802, a spec cannot have parts of it: all of them, each with its place.
    UsageError: the file cannot be read, or pyfive is not installed.
    """
    path = Path(path)
    problems = ArchiveProblems(path.name)
    with opened(path, problems) as saved:
        return _converted(saved, Notes(problems))


def _converted(saved: Saved, notes: Notes) -> Imported:
    problems, raw = notes.problems, saved.config
    layers.check_class(raw, saved.place, problems)
    model = read_model(raw, saved.place, problems)
    masked, is_taken_off = operations.masks_of(raw)
    document = Document(notes, masked)
    if masked and is_taken_off:
        text = "Keras takes the mask off what MultiHeadAttention reads, so that other layers may see none"
        notes.say(f"{text}; in the spec all do")
    scope = Scope(document, model)
    heads = _heads(model, scope)
    names = scope.name_inputs()
    scope.convert()
    inputs = zip(names, refs_in(model.inputs), strict=True)
    entries = {name: layers.input_entry(scope.layers[ref.layer], model, notes) for name, ref in inputs}
    data: dict[str, Any] = {"graphspec": 1, "name": layers.valid(model.name), "inputs": entries}
    if document.blocks:
        data["blocks"] = document.blocks
    data["layers"] = scope.entries
    data["outputs"] = {}
    for head, (_, ref) in heads.items():
        text = scope.text(ref)
        if text in data["inputs"]:  # a head is a node
            text = scope.names.new(f"{text}_out")
            scope.entries.append({"name": text, "type": "Identity", "inputs": scope.text(ref)})
        data["outputs"][head] = {} if text == head else {"layer": text}
    for entry in scope.entries if not model.trainable else ():
        if "share" not in entry:
            entry["trainable"] = False
    add_state(scope.owners, data, saved, notes)
    problems.check()
    add_training(data, saved.training, list(heads), [key for key, _ in heads.values()], notes)
    lowered = _checked(data, document, notes)
    _drop_idle_flags(data, lowered)
    weights = {} if saved.weights is None else taken(scope.owners, lowered.graph.params, saved.weights, problems)
    problems.check()
    if saved.weights is None:
        notes.say("the file has no weights: they start from their initial values")
    return Imported(data, weights, notes.said)


def _heads(model: ModelDef, scope: Scope) -> dict[str, tuple[str, Ref]]:
    """Return Keras's name and the tensor of each head, by the head's name: a key of the outputs, or its layer's name."""
    if isinstance(model.outputs, dict) and all(isinstance(ref, Ref) for ref in model.outputs.values()):
        named = [(str(key), ref) for key, ref in model.outputs.items()]
    else:
        named = [(ref.layer, ref) for ref in refs_in(model.outputs)]
    free = Names(layers.valid(ref.layer) for ref in refs_in(model.inputs))
    found: dict[str, tuple[str, Ref]] = {}
    tensors: set[tuple[str, int, int]] = set()
    for key, ref in named:
        head, tensor = free.new(key), (ref.layer, ref.call, ref.output)
        found[head] = (key, ref)
        if head != layers.valid(ref.layer) or ref.output or ref.call or tensor in tensors:
            scope.names.taken.add(head)  # no node may have the name of a head that is another one
        tensors.add(tensor)
    return found


def _checked(data: dict[str, Any], document: Document, notes: Notes) -> Lowered:
    """Return the graph of the spec. What does not fit in training is left out; the rest are problems."""
    from graphspec.engine.compiler.check import check

    for _ in range(3):
        checked = check(data)
        if not [d for d in checked.errors if _leave_out(d, data, notes)]:
            break
    for diagnostic in checked.errors:
        hint = diagnostic.hint or "change the layer, and save the model again"
        notes.problems.unsupported(_place(diagnostic, document), diagnostic.message, hint)
    notes.problems.check()
    return checked.require()[1]


def _leave_out(diagnostic: Diagnostic, data: dict[str, Any], notes: Notes) -> bool:
    """Remove the part of ``outputs`` or ``training`` that is wrong, and say so. Return whether there was one."""
    section, *keys = diagnostic.path.split(".")
    if section == "training" and data.pop("training", None) is not None:
        notes.say(f"the optimizer is left out: {diagnostic.message}")
        return True
    head = data["outputs"].get(keys[0]) if section == "outputs" and keys else None
    if not head:
        return False
    key = re.sub(r"\[\d+\]$", "", keys[1] if len(keys) > 1 else "")
    parts = ("loss", "metrics", "weight")
    removed = [k for k in ((key,) if key in parts else parts) if head.pop(k, None) is not None]
    if "loss" in removed:
        head.pop("metrics", None)
        head.pop("weight", None)
    if removed:
        notes.say(f"{' and '.join(removed)} of head '{keys[0]}' left out: {diagnostic.message}")
    return bool(removed)


def _place(diagnostic: Diagnostic, document: Document) -> str:
    """Return the place in the file of what a diagnostic of the spec is about."""
    path, block = diagnostic.path, ""
    if path.startswith("blocks.") and path.count(".") > 1:
        _, block, path = path.split(".", 2)
    name = path.partition(".")[2]
    places = (
        place
        for (inside, node), place in document.places.items()
        if inside == block and (name == node or name.startswith((f"{node}.", f"{node}/", f"{node}[")))
    )
    return max(places, key=len, default=diagnostic.path)


def _drop_idle_flags(data: dict[str, Any], lowered: Lowered) -> None:
    """Remove ``trainable: false`` where there is nothing to freeze."""
    heads = {name.rpartition("/")[0] for name in lowered.graph.params}
    owners = {"/".join(head.split("/")[: k + 1]) for head in heads for k in range(head.count("/") + 1)}
    done: set[str] = set()

    def visit(entries: list[dict[str, Any]], prefix: str) -> None:
        for entry in entries:
            block, name = entry.get("block"), f"{prefix}{entry['name']}"
            if block is None and entry.get("trainable") is False and name not in owners:
                del entry["trainable"]
            elif block is not None and block not in done:
                done.add(block)
                visit(data["blocks"][block]["layers"], f"{name}/")

    visit(data["layers"], "")
