"""What a model is that Keras saved: its layers, inputs and outputs, its arrays, and whether it can be imported.

No code of the file runs. What is unsupported is listed with its place; what makes the file invalid is an error.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphspec.base.budget import Budget
from graphspec.base.errors import Code, SpecError
from graphspec.engine.compiler.check import check
from graphspec.export.inspection import foreign_record, network_record, totals
from graphspec.foreign.inspecting.lines import reason, use
from graphspec.foreign.keras_files.containers import ArchiveProblems
from graphspec.foreign.keras_files.convert import Imported, convert
from graphspec.foreign.keras_files.model_config import MODELS, ModelDef, read_model, refs_in, simple_class
from graphspec.foreign.keras_files.saved_files import Saved, opened
from graphspec.graph.onnx_session import sanitized

_OF_OPTIMIZERS = ("optimizer", "optimizer_weights")
_CONTAINERS = {b"PK": "keras", b"\x89H": "h5"}


def keras_record(path: Path) -> dict[str, Any]:
    """Return the record of a file ``.keras``, ``.h5`` or ``.json``.

    SpecError: it is invalid (GS801), or has no model (GS802). UsageError: it cannot be read, or pyfive is not installed.
    """
    problems = ArchiveProblems(path.name)
    with opened(path, problems) as saved:
        model = read_model(saved.config, saved.place, problems)
        if any(d.code == Code.INVALID_FILE for d in problems.found):
            problems.check()
        weights = totals(_arrays(saved))
    imported, reasons = _imported(path)
    network = None if imported is None else network_record(*check(imported.data, draws=False).require())
    outputs = [_declared(ref.layer, None, "") for ref in refs_in(model.outputs)]
    layers = Counter(_classes(model.layers and saved.config))
    how = f"graphspec import {path.name} -o {path.with_suffix('.yaml').name}"
    with path.open("rb") as file:
        container = _CONTAINERS.get(file.read(2), "json")
    return foreign_record(
        path,
        "keras",
        model.name,
        container=container,
        made_by=sanitized(f"Keras {saved.version}" if saved.version else "Keras"),
        inputs=_inputs(model) if network is None else network["inputs"],
        outputs=outputs if network is None else network["outputs"],
        parameters=None if network is None else network["parameters"],
        layers=[{"class": name, "count": n} for name, n in layers.most_common() if name not in MODELS],
        models=sum(count for name, count in layers.items() if name in MODELS) - 1,
        weights=weights,
        training=_training(saved.training),
        uses=[use("import", how, reasons, notes=[] if imported is None else imported.notes)],
    )


def _imported(path: Path) -> tuple[Imported | None, list[dict[str, Any]]]:
    """Return the converted model, or what is not supported, each with its place; SpecError (GS801) for an invalid file."""
    try:
        return convert(path), []
    except SpecError as error:
        if any(d.code != Code.UNSUPPORTED_FILE for d in error.diagnostics):
            raise
        return None, [reason(d.message, d.hint, d.code, d.path or None) for d in error.diagnostics]


def _arrays(saved: Saved) -> Iterator[tuple[str, int, int]]:
    """Yield dtype, elements and bytes of the arrays of a file, without those of its optimizer."""
    file = saved.file
    if file is None:
        return
    stack = [(file.root, file.place, 0)]
    seen = set[int]()
    while stack:
        group, place, level = stack.pop()
        for name, found, is_group in file.members(group, place):
            at = f"{place}/{name}"
            if is_group and level < Budget.GROUP_LEVELS and name not in _OF_OPTIMIZERS:
                if (address := file.address(found)) not in seen:
                    seen.add(address)
                    stack.append((found, at, level + 1))
            elif not is_group:
                shape, dtype = file.shape(found), file.dtype(found, at)
                elements = math.prod(shape)
                yield dtype.name, elements, elements * dtype.itemsize


def _classes(config: Any) -> Iterator[str]:
    """Yield the classes of all layers, those of models inside the model and of wrapped layers too."""
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if isinstance(name := value.get("class_name"), str):
                yield sanitized(simple_class(name))
            inner = value.get("config")
            if isinstance(inner, dict):
                stack += [v for key in ("layer", "backward_layer", "cell") if isinstance(v := inner.get(key), dict)]
                inner = inner.get("layers")
            if isinstance(inner, list):
                stack += [item for item in inner if isinstance(item, dict)]


def _inputs(model: ModelDef) -> list[dict[str, Any]]:
    layers = {layer.name: layer for layer in model.layers}
    found = []
    for ref in refs_in(model.inputs):
        config = layers[ref.layer].config
        shape, dtype = config.get("batch_shape") or config.get("batch_input_shape"), config.get("dtype")
        sizes = [d if isinstance(d, int) else None for d in shape] if isinstance(shape, list) else None
        found.append(_declared(ref.layer, sizes, dtype if isinstance(dtype, str) else ""))
    return found


def _declared(name: str, shape: list[int | None] | None, dtype: str) -> dict[str, Any]:
    return {"name": sanitized(name), "kind": "tensor", "dtype": sanitized(dtype), "shape": shape, "description": ""}


def _training(config: Any) -> dict[str, str]:
    """Return with what a model was compiled, as far as it has a name."""
    if not isinstance(config, dict):
        return {}
    found = {}
    for key in ("loss", "optimizer", "optimizer_config"):
        value = config.get(key)
        name = value.get("class_name") if isinstance(value, dict) else value
        name = value.get("config") if name == "function" and isinstance(value, dict) else name
        if isinstance(name, str):
            found[key.removesuffix("_config")] = sanitized(simple_class(name))
    return found
