"""A model that Keras saved, as the data of a spec and arrays by the spec's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.base.errors import Diagnostic
from graphspec.foreign.keras_files.inputs import input_entry
from graphspec.foreign.keras_files.masks import makes_masks, takes_masks_off
from graphspec.foreign.keras_files.model_config import read_model
from graphspec.foreign.keras_files.model_def import MODELS, ModelDef, Ref, refs_in, simple_class
from graphspec.foreign.keras_files.names import Names, valid
from graphspec.foreign.keras_files.problems import Problems
from graphspec.foreign.keras_files.saved import Saved, opened
from graphspec.foreign.keras_files.scope import Document, Scope
from graphspec.foreign.keras_files.state import add_state
from graphspec.foreign.keras_files.training import add_training
from graphspec.foreign.keras_files.values import Notes, is_kerass_own
from graphspec.foreign.keras_files.weights import taken

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array
    from graphspec.engine.compiler.lowered import Lowered


@dataclass(frozen=True)
class Imported:
    """A converted model.

    Attributes:
        data: a spec, as YAML would have it. Every node has its name, its type, its inputs and all arguments.
        weights: arrays by ``<node>/<role>``; empty for a configuration alone.
        notes: sentences about what is another than in the file.
    """

    data: dict[str, Any]
    weights: dict[str, Array]
    notes: list[str]


def convert(path: str | Path) -> Imported:
    """Return a model that Keras 2 or 3 saved as ``.keras``, ``.h5`` or ``model.to_json()``. No code of it runs.

    Raises:
        SpecError: GS801, the file is invalid; GS802, a spec cannot have parts of it: all of them, each with its place.
        UsageError: the file cannot be read, or pyfive is not installed.
    """
    path = Path(path)
    problems = Problems(path.name)
    notes = Notes(problems)
    with opened(path, problems) as saved:
        return _converted(saved, path, notes)


def _converted(saved: Saved, path: Path, notes: Notes) -> Imported:
    problems = notes.problems
    raw = saved.config
    _check_class(raw, saved.place, problems)
    model = read_model(raw, saved.place, problems)
    document = Document(notes, makes_masks(raw))
    if document.masked and takes_masks_off(raw):
        notes.say(
            "Keras takes the mask off what MultiHeadAttention reads, so that other layers may see none; in the spec all do"
        )
    scope = Scope(document, model, Names())
    heads = _heads(model, scope)
    inputs = scope.name_inputs()
    scope.convert()
    layers = {layer.name: layer for layer in model.layers}
    data: dict[str, Any] = {"graphspec": 1, "name": valid(model.name), "inputs": {}}
    for name, ref in zip(inputs, refs_in(model.inputs), strict=True):
        data["inputs"][name] = input_entry(layers[ref.layer], model, notes)
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
    if not model.trainable:
        for entry in scope.entries:
            if "share" not in entry:
                entry["trainable"] = False
    add_state(scope.owners, scope.entries, document.blocks, saved, notes)
    problems.check()
    add_training(data, saved.training, list(heads), [key for key, _ in heads.values()], notes)
    lowered = _checked(data, document, notes)
    _drop_idle_flags(data, lowered)
    weights = {} if saved.weights is None else taken(scope.owners, lowered.graph.params, saved.weights, problems)
    problems.check()
    if saved.weights is None:
        notes.say("the file has no weights: they start from their initial values")
    return Imported(data, weights, notes.said)


def _check_class(raw: Any, place: str, problems: Problems) -> None:
    """Note that the model is of a class of its own. Its layers are read if the file has them."""
    if not isinstance(raw, dict) or not isinstance(raw.get("class_name"), str):
        return
    name, module = raw["class_name"], str(raw.get("module") or "")
    if simple_class(name) in MODELS and is_kerass_own(module, str(raw.get("registered_name") or "")):
        return
    hint = "save `keras.Model(model.inputs, model.outputs)`, which has the same layers without the class"
    problems.unsupported(place, f"the model is of the class {name}, which is code", hint)
    if not isinstance(raw.get("config"), dict) or "layers" not in raw["config"]:
        problems.check()


def _heads(model: ModelDef, scope: Scope) -> dict[str, tuple[str, Ref]]:
    """Return Keras's name and the tensor of each head, by the head's name: a key of the outputs, or its layer's name."""
    if isinstance(model.outputs, dict) and all(isinstance(ref, Ref) for ref in model.outputs.values()):
        named = [(str(key), ref) for key, ref in model.outputs.items()]
    else:
        named = [(ref.layer, ref) for ref in refs_in(model.outputs)]
    free = Names(valid(ref.layer) for ref in refs_in(model.inputs))
    found: dict[str, tuple[str, Ref]] = {}
    for key, ref in named:
        head = free.new(key)
        found[head] = (key, ref)
        if (
            head != valid(ref.layer)
            or ref.output
            or ref.call
            or (ref.layer, ref.call, ref.output)
            in [(r.layer, r.call, r.output) for h, (_, r) in found.items() if h != head]
        ):
            scope.names.taken.add(head)  # no node may have the name of a head that is another one
    return found


def _checked(data: dict[str, Any], document: Document, notes: Notes) -> Lowered:
    """Return the graph of the spec. What does not fit in training is left out; the rest are problems."""
    from graphspec.engine.compiler.check import check

    for _ in range(3):
        checked = check(data)
        wrong = [d for d in checked.errors if _leave_out(d, data, notes)]
        if not wrong:
            break
    for diagnostic in checked.errors:
        place = _place(diagnostic, document)
        hint = diagnostic.hint or "change the layer, and save the model again"
        notes.problems.unsupported(place, diagnostic.message, hint)
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
    key = keys[1] if len(keys) > 1 else ""
    key = re.sub(r"\[\d+\]$", "", key)
    removed = [
        k for k in ("loss", "metrics", "weight") if (k == key or key not in head) and head.pop(k, None) is not None
    ]
    if "loss" in removed:
        head.pop("metrics", None)
        head.pop("weight", None)
    if removed:
        notes.say(f"{' and '.join(removed)} of head '{keys[0]}' left out: {diagnostic.message}")
    return bool(removed)


def _place(diagnostic: Diagnostic, document: Document) -> str:
    """Return the place in the file of what a diagnostic of the spec is about."""
    path = diagnostic.path
    block = ""
    if path.startswith("blocks."):
        _, block, path = path.split(".", 2) if path.count(".") > 1 else ("", "", path)
    name = path.partition(".")[2]
    candidates = [
        places for (inside, node), places in document.places.items() if inside == block and _leads(name, node)
    ]
    return max(candidates, key=len, default=diagnostic.path)


def _leads(path: str, node: str) -> bool:
    return path == node or path.startswith((f"{node}.", f"{node}/", f"{node}["))


def _drop_idle_flags(data: dict[str, Any], lowered: Lowered) -> None:
    """Remove ``trainable: false`` where there is nothing to freeze."""
    heads = {name.rpartition("/")[0] for name in lowered.graph.params}
    owners = {"/".join(head.split("/")[: k + 1]) for head in heads for k in range(head.count("/") + 1)}
    for entry in data["layers"]:
        if entry.get("trainable") is False and entry["name"] not in owners and "block" not in entry:
            del entry["trainable"]
    _drop_in_blocks(data, data["layers"], "", owners, set())


def _drop_in_blocks(
    data: Mapping[str, Any], entries: list[dict[str, Any]], prefix: str, owners: set[str], done: set[str]
) -> None:
    for entry in entries:
        block = entry.get("block")
        if block is None or block in done:
            continue
        done.add(block)
        inner = data["blocks"][block]["layers"]
        full = f"{prefix}{entry['name']}/"
        for node in inner:
            if node.get("trainable") is False and "block" not in node and f"{full}{node['name']}" not in owners:
                del node["trainable"]
        _drop_in_blocks(data, inner, full, owners, done)
