"""Layers and calls of a model as entries of ``layers``: of the spec, or of a block."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphspec.foreign.keras_files.call_arguments import CallReader
from graphspec.foreign.keras_files.inputs import READS_IDS, reads_only_ids
from graphspec.foreign.keras_files.layer_entries import layer_arguments, layer_class, policy_name
from graphspec.foreign.keras_files.masks import inferred_masks
from graphspec.foreign.keras_files.model_config import read_model
from graphspec.foreign.keras_files.model_def import Call, LayerDef, ModelDef, Ref, is_model, refs_in
from graphspec.foreign.keras_files.names import Names, valid
from graphspec.foreign.keras_files.operations import operation_entry
from graphspec.foreign.keras_files.special import SPECIAL, at_every_step
from graphspec.foreign.keras_files.tensorflow_operations import CLASSES, as_keras
from graphspec.foreign.keras_files.values import Notes, is_kerass_own
from graphspec.vocabulary.layers import LAYERS
from graphspec.vocabulary.layers.base import Layer

_RANDOM = ("regularization", "augmentation")  # files of layers that do nothing outside training
_NO_WEIGHTS = (
    *("adaptive", "regularization", "image", "augmentation", "padding", "merging", "pooling", "reshaping", "sound"),
    *("discretization", "preprocessing"),
)
_MANY_LEVELS = 30
_GIVEN = re.compile(r"input(_layer)?(_\d+)?")
"""Names of inputs that Keras gives; in a block they become `x`."""


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


@dataclass
class Document:
    """What the scopes of a spec share.

    Attributes:
        masked: whether anything makes a mask. Operations drop it, where layers such as Add pass it on.
        blocks: the blocks by name, each as its value in a spec.
        places: for messages, the place in the file of each node, by its name within its block.
        state: the arguments that layers have learnt, by the identity of the layer.
    """

    notes: Notes
    masked: bool = False
    blocks: dict[str, Any] = field(default_factory=dict)
    block_names: Names = field(default_factory=Names)
    places: dict[tuple[str, str], str] = field(default_factory=dict)


class Scope:
    """Converts one model.

    Args:
        frozen: whether an outer model is frozen.
        inference: whether the model is called with ``training=False``.
        block: the name of the block; empty for the spec.
        timed: whether a TimeDistributed wraps the model: it then applies each of its layers.
    """

    def __init__(
        self,
        document: Document,
        model: ModelDef,
        names: Names,
        *,
        inference: bool = False,
        block: str = "",
        path: tuple[int, ...] = (),
        models: tuple[ModelDef, ...] = (),
        timed: bool = False,
    ) -> None:
        self.timed = timed
        self.document, self.model, self.names, self.notes = document, model, names, document.notes
        self.inference, self.block = inference, block
        self.path, self.models = path, (*models, model)
        self.entries: list[dict[str, Any]] = []
        self.owners: list[Owner] = []
        self.layers = {layer.name: layer for layer in model.layers}
        self.positions = {layer.name: k for k, layer in enumerate(model.layers)}
        self.masks = inferred_masks(model)
        self._calls: dict[tuple[str, int], str] = {}
        self._owner_names: dict[str, str] = {}

    def name_inputs(self) -> list[str]:
        """Name the model's inputs, and return the names in order."""
        found = [ref.layer for ref in refs_in(self.model.inputs)]
        for name in found:
            self._calls[name, 0] = self.names.new("x" if self.block and _GIVEN.fullmatch(name) else name)
        return [self._calls[name, 0] for name in found]

    def convert(self) -> None:
        """Fill ``entries`` and ``owners``."""
        for layer, k in self._ordered():
            if layer.is_input:
                if (layer.name, 0) not in self._calls:
                    self.notes.problems.invalid(layer.place, f"the input '{layer.name}' is none of the model's inputs")
                    self._calls[layer.name, 0] = self.names.new(layer.name)
            elif layer.name not in self.masks:
                self._convert_call(layer, k)

    def text(self, ref: Ref) -> str:
        """Return the name of a tensor in the spec."""
        name = self._calls.get((ref.layer, ref.call), valid(ref.layer))
        return name if ref.output == 0 else f"{name}:{ref.output}"

    def _ordered(self) -> Iterator[tuple[LayerDef, int]]:
        """Yield the calls, each behind those that it reads, else in the order of the file."""
        done: set[tuple[str, int]] = set()
        for layer in self.model.layers:
            for k in range(len(layer.calls)):
                stack = [(layer.name, k)]
                open_: set[tuple[str, int]] = set()
                while stack:
                    at = stack[-1]
                    if at in done:
                        stack.pop()
                        continue
                    needed = [] if at in open_ else [(r.layer, r.call) for r in self.layers[at[0]].calls[at[1]].refs()]
                    if at[1] > 0 and at not in open_:
                        needed.append((at[0], at[1] - 1))  # the first call owns the weights
                    open_.add(at)
                    missing = [other for other in needed if other not in done and other not in open_]
                    if missing:
                        stack += reversed(missing)
                        continue
                    stack.pop()
                    done.add(at)
                    yield self.layers[at[0]], at[1]

    def _convert_call(self, layer: LayerDef, k: int) -> None:
        call = layer.calls[k]
        if self.timed and (layer.is_operation or layer.class_name in CLASSES):
            text = f"'{layer.name}' is a function in a model that a TimeDistributed wraps"
            self.notes.problems.unsupported(layer.place, text, "write it as a layer, and save the model again")
            self._add(layer, k, None)
        elif layer.class_name in CLASSES:
            found = as_keras(layer, call)
            if found is None:
                function = layer.config.get("function")
                text = f"'{layer.name}' is the function {function} of TensorFlow, which a spec cannot have"
                self.notes.problems.unsupported(layer.place, text, "write it with layers, and save the model again")
            self._add(layer, k, found and operation_entry(*found, self.text, self.notes, plain=True))
        elif layer.is_operation and is_kerass_own(layer.module, ""):
            entry = operation_entry(layer, call, self.text, self.notes, plain=self.document.masked)
            self._add(layer, k, entry)
        elif layer.is_model:
            self._convert_model(layer, k, call, layer.raw | {"config": layer.config})
        elif layer.class_name == "TimeDistributed" and is_model(layer.config.get("layer")):
            self._convert_model(layer, k, call, layer.config["layer"], timed=True)
        else:
            special = SPECIAL.get(layer.class_name)
            if special is not None and is_kerass_own(layer.module, "") and LAYERS.get(layer.class_name) is None:
                entries = special(layer, [self.text(ref) for ref in call.refs()], self.names)
                self.entries += entries[:-1]
                self._add(layer, k, entries[-1])
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
        inputs = entry.get("inputs")
        if not isinstance(inputs, list):
            return
        for k, value in enumerate(inputs):
            if isinstance(value, list) and any(isinstance(item, list) for item in value):
                made = self.names.new(f"{name}_constant")
                self.entries.append({"name": made, "type": "Constant", "value": value})
                inputs[k] = made

    def _convert_layer(self, layer: LayerDef, k: int, call: Call) -> None:
        cls = layer_class(layer, self.notes)
        if cls is None:
            self._add(layer, k, None)
            return
        reader = CallReader(layer, cls, call, self.text, self.masks, self.notes)
        inputs, options = reader.inputs(), reader.options()
        if cls.__name__ in READS_IDS and inputs:
            inputs = [self._as_ids(layer, call, inputs[0])]
        training = False if self.inference and reader.training is None else reader.training
        family = cls.__module__.rpartition(".")[2]
        if training is True and _acts_in_training(cls, family):
            text = f"'{layer.name}' is called with `training=True`: it acts at inference, too"
            self.notes.problems.unsupported(layer.place, text, "call it without `training`, and save the model again")
        if (
            training is False
            and family in _RANDOM
            and cls.__name__ not in ("ActivityRegularization", "Sampling")
            and inputs
        ):
            self._calls[layer.name, k] = inputs[0]
            self.notes.say(f"{layer.name} is left out: the model calls it with `training=False`, where it does nothing")
            return
        first = self._owner_names.get(layer.name)
        if first is not None and family not in _NO_WEIGHTS:
            if options:
                keys = ", ".join(f"`{key}`" for key in options)
                text = f"'{layer.name}' is called again with {keys}, which a node with shared weights cannot have"
                self.notes.problems.unsupported(
                    layer.place, text, "call the layer once with it, or give it no such argument"
                )
            self._add(layer, k, {"share": first, "inputs": _one_or_list(inputs)})
            return
        entry = layer_arguments(layer, cls, self.notes) | options
        if training is False:
            entry |= {key: 0.0 for key in ("dropout", "recurrent_dropout") if entry.get(key)}
        if self.timed:
            entry = at_every_step(layer, entry, len(inputs), self.notes)
        is_fixed = training is False and cls.__name__ == "BatchNormalization"
        if is_fixed and layer.config.get("trainable", True):
            text = "batch normalizations that are called with `training=False` are frozen: their gamma and beta, too"
            self.notes.say(text)
        if layer.config.get("trainable", True) is False or is_fixed:
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
            dtype = policy_name(source.config.get("dtype"))
            if not self.block and reads_only_ids(source.name, self.model):
                dtype = "int64"
        if dtype is None or not dtype.startswith(("float", "bfloat")):
            return name
        made = self.names.new(f"{layer.name}_ids")
        self.entries.append({"name": made, "type": "ops.cast", "dtype": "int64", "inputs": name})
        return made

    def _convert_model(self, layer: LayerDef, k: int, call: Call, raw: Any, *, timed: bool = False) -> None:
        """Add an instance of the block of a nested model; the first call makes the block.

        Args:
            raw: the model's configuration.
            timed: whether the layer is a TimeDistributed around the model.
        """
        first = self._owner_names.get(layer.name)
        training = call.kwargs.get("training")
        inference = self.inference or (training is False and call.is_old)
        if training is False and not call.is_old and not timed and _has_free_statistics(layer.config):
            self.notes.say(
                f"the model '{layer.name}' is called with `training=False`, which Keras 3's `fit` ignores, as the spec "
                "does: `trainable: false` keeps the statistics of batch normalizations"
            )
        if training is True and call.is_old:
            text = f"the model '{layer.name}' is called with `training=True`: it acts at inference, too"
            self.notes.problems.unsupported(layer.place, text, "call it without `training`, and save the model again")
        if len(self.models) > _MANY_LEVELS:
            raise self.notes.problems.fail(layer.place, f"models are nested {_MANY_LEVELS} times and more")
        place = layer.place if self.block else f"{self.model.place}: '{layer.name}'"
        model = read_model(raw, place, self.notes.problems)
        if timed and layer.config.get("trainable") is False:
            model.trainable = False
        inputs = [self.text(ref) for ref in _matched(model, call)]
        if len(inputs) != (count := len(list(refs_in(model.inputs)))):
            text = f"the model '{layer.name}' has {count} inputs, and is called with {len(inputs)}"
            self.notes.problems.invalid(layer.place, text)
        if first is not None:
            self._add(layer, k, {"share": first, "inputs": _one_or_list(inputs)})
            return
        block = self.document.block_names.new(layer.name)
        inner = Scope(
            self.document,
            model,
            Names(),
            inference=inference,
            block=block,
            path=(*self.path, self.positions[layer.name]),
            models=self.models,
            timed=timed or self.timed,
        )
        names = inner.name_inputs()
        inner.convert()
        self.document.blocks[block] = {
            "inputs": names,
            "layers": inner.entries,
            "outputs": [inner.text(ref) for ref in refs_in(model.outputs)],
        }
        entry: dict[str, Any] = {"block": block}
        if not model.trainable:
            entry["trainable"] = False
        name = self._add(layer, k, entry | {"inputs": _one_or_list(inputs)})
        self._owner_names[layer.name] = name
        self.owners += [Owner(o.layer, f"{name}/{o.node}", o.path, o.models) for o in inner.owners]


def _matched(model: ModelDef, call: Call) -> list[Ref]:
    """Return the tensors that a nested model is called with, in the order of its inputs."""
    given = (
        call.args[0]
        if call.args
        else next((v for key, v in call.kwargs.items() if key not in ("mask", "training")), None)
    )
    if isinstance(given, dict):
        keys = sorted(model.inputs) if isinstance(model.inputs, dict) else [ref.layer for ref in refs_in(model.inputs)]
        if set(keys) <= set(given):
            return [ref for key in keys for ref in refs_in(given[key])]
    return list(refs_in(list(call.args) if len(call.args) > 1 else given))


def _has_free_statistics(config: dict[str, Any]) -> bool:
    """Return whether a model contains a batch normalization that is not frozen."""
    if config.get("trainable") is False:
        return False
    layers = [
        item for item in config.get("layers", []) if isinstance(item, dict) and isinstance(item.get("config"), dict)
    ]
    return any(
        (item.get("class_name") == "BatchNormalization" and item["config"].get("trainable") is not False)
        or _has_free_statistics(item["config"])
        for item in layers
    )


def _acts_in_training(cls: type[Layer], family: str) -> bool:
    return family in _RANDOM or cls.__name__ in ("BatchNormalization", "SpectralNormalization")


def _one_or_list(inputs: Sequence[Any]) -> Any:
    return inputs[0] if len(inputs) == 1 and isinstance(inputs[0], str) else list(inputs)
