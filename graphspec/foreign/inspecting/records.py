"""What a file of another program is, as a record, and what can be done with it here.

Of weights only descriptions are read: the names, and of safetensors the metadata.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from graphspec.base.arrays.array_files import ArrayFile, arrays_in, metadata_in
from graphspec.base.budget import Budget
from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, ProblemError, SpecError
from graphspec.base.files import is_regular
from graphspec.engine.compiler.check import check
from graphspec.export.inspection import FORMAT, cut, network_record, totals
from graphspec.foreign.keras_files.containers import Problems
from graphspec.foreign.keras_files.convert import Imported, convert
from graphspec.foreign.keras_files.model_config import MODELS, ModelDef, read_model, refs_in, simple_class
from graphspec.foreign.keras_files.saved import Saved, opened
from graphspec.graph.builder import Builder
from graphspec.graph.ir.dims import Dim, show
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.onnx_session import sanitized
from graphspec.vocabulary.onnx_files.part import FEEDS, needed_inputs, result_dtype
from graphspec.vocabulary.onnx_files.reading import OnnxFile, Port, read_onnx
from graphspec.vocabulary.onnx_files.unfreeze import Unfrozen, model_for_training, unfreeze

SUFFIXES = (".safetensors", ".npz")
_KERAS_ROLES = frozenset(
    ["kernel", "bias", "embeddings", "gamma", "beta", "moving_mean", "moving_variance", "alpha", "scale"]
)
_KERNELS = "_kernel"
_TORCH_ROLES = ("weight", "running_mean", "running_var", "in_proj_weight", "weight_ih_l0", "weight_hh_l0")
_FLOATS = ("float16", "float32", "float64", "bfloat16", ">f4", ">f8")


def weights_record(path: Path) -> dict[str, Any]:
    """Return the record of a file ``.safetensors`` or ``.npz``.

    Raises:
        SpecError: GS501, it is damaged, or has another format; GS504, it contains Python objects.
    """
    try:
        arrays = arrays_in(path)
        metadata = metadata_in(path) if path.name.lower().endswith(SUFFIXES[0]) else {}
    except ProblemError as error:
        problem = error.problem
        text = f"'{path.name}' {problem.message}"
        raise SpecError([Diagnostic(problem.code, text, file=str(path), hint=problem.hint)]) from None
    listed = [_described(name, array) for name, array in arrays.items()]
    layout = layout_of(arrays)
    return {
        "format": FORMAT,
        "kind": "weights",
        "file": str(path),
        "bytes": path.stat().st_size,
        "name": "",
        "description": "",
        "container": path.suffix.lower()[1:],
        "weights": totals((a["dtype"], a["elements"], a["bytes"]) for a in listed),
        "arrays": listed,
        "layout": layout,
        "metadata": {sanitized(key): cut(value) for key, value in metadata.items()},
        "uses": [_start_use(path, listed, layout)],
        "problems": [],
    }


def layout_of(names: Iterable[str]) -> str | None:
    """Return ``torch`` or ``keras`` for names as these programs give them; graphspec's own names are like Keras's.

    >>> layout_of(["encoder.0.weight", "encoder.0.bias"]), layout_of(["dense/kernel"]), layout_of(["w", "b"])
    ('torch', 'keras', None)
    """
    torch = keras = 0
    for name in names:
        last = name.rpartition("/")[2]
        if "/" in name and (last in _KERAS_ROLES or last.endswith(_KERNELS)):
            keras += 1
        elif name.rpartition(".")[2] in _TORCH_ROLES and "/" not in name:
            torch += 1
    return None if not torch and not keras else "torch" if torch > keras else "keras"


def _described(name: str, array: ArrayFile | str) -> dict[str, Any]:
    if isinstance(array, str):
        return {"name": name, "dtype": sanitized(array), "shape": None, "elements": None, "bytes": None}
    size = array.dtype.itemsize
    dtype = "bfloat16" if array.halves else sanitized(str(array.dtype))
    elements = array.nbytes // size if size else 0
    return {"name": name, "dtype": dtype, "shape": list(array.shape), "elements": elements, "bytes": array.nbytes}


def _start_use(path: Path, arrays: list[dict[str, Any]], layout: str | None) -> dict[str, Any]:
    """Return whether a network can start from the arrays: those that are floats."""
    floats, others = list[str](), list[str]()
    for array in arrays:
        is_float = array["shape"] is not None and array["dtype"] in _FLOATS
        (floats if is_float else others).append(array["name"])
    value = f"{{file: {path.name}, layout: torch}}" if layout == "torch" else path.name
    reasons = []
    if not floats:
        what = "it has no arrays" if not arrays else "none of its arrays are floats"
        reasons.append({"code": None, "place": None, "message": what, "hint": None})
    return {
        "use": "initial_weights",
        "possible": bool(floats),
        "how": f"initial_weights: {value}",
        "reasons": reasons,
        "arrays": len(floats),
        "others": others,
    }


# What a file is: an ONNX file, a model of Keras, or weights.
Kind = Literal["keras", "weights"]
KERAS = (".keras", ".h5", ".hdf5")
_BEGINNING = 1 << 16  # bytes of a JSON text that are looked at


def kind_of(path: Path) -> Kind | None:
    """Return what a file of another program is, by its suffix, and of a JSON text by its keys; None for anything else."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return "weights"
    if suffix in KERAS or (suffix == ".json" and is_regular(path) and _is_model(path)):
        return "keras"
    return None


def _is_model(path: Path) -> bool:
    """Return whether a JSON text begins like a configuration of Keras, with a key ``class_name`` or ``config``."""
    try:
        with path.open("rb") as file:
            text = file.read(_BEGINNING).decode(errors="replace")
    except (OSError, ValueError):
        return False
    at = text.find("{")
    if at < 0 or text[:at].strip(" \t\r\n\ufeff"):
        return False
    try:
        key, _ = json.JSONDecoder().raw_decode(text[at + 1 :].lstrip(" \t\r\n"))
    except (ValueError, RecursionError):
        return False
    return key in ("class_name", "config", "module", "registered_name", "keras_version", "backend")


# What a model is that Keras saved: its layers, inputs and outputs, its arrays, and whether it can be imported. No code of
# the file runs. What is unsupported is listed with its place; what makes the file invalid is an error.
_OF_OPTIMIZERS = ("optimizer", "optimizer_weights")
_CONTAINERS = {b"PK": "keras", b"\x89H": "h5"}


def keras_record(path: Path) -> dict[str, Any]:
    """Return the record of a file ``.keras``, ``.h5`` or ``.json``.

    Raises:
        SpecError: GS801, the file is invalid; GS802, it has no model.
        UsageError: it cannot be read, or pyfive is not installed.
    """
    problems = Problems(path.name)
    with opened(path, problems) as saved:
        model = read_model(saved.config, saved.place, problems)
        if any(d.code == Code.INVALID_FILE for d in problems.found):
            problems.check()
        arrays = list(_arrays(saved))
        made_by = f"Keras {saved.version}" if saved.version else "Keras"
        training = _training(saved.training)
    imported, reasons = _imported(path)
    network = _network(imported)
    layers = Counter(_classes(model.layers and saved.config))
    models = sum(count for name, count in layers.items() if name in MODELS) - 1
    with path.open("rb") as file:
        container = _CONTAINERS.get(file.read(2), "json")
    return {
        "format": FORMAT,
        "kind": "keras",
        "file": str(path),
        "bytes": path.stat().st_size,
        "name": sanitized(model.name),
        "description": "",
        "container": container,
        "made_by": sanitized(made_by),
        "inputs": _inputs(model) if network is None else network["inputs"],
        "outputs": _outputs(model) if network is None else network["outputs"],
        "parameters": None if network is None else network["parameters"],
        "layers": [{"class": name, "count": n} for name, n in layers.most_common() if name not in MODELS],
        "models": models,
        "weights": totals(arrays),
        "training": training,
        "uses": [
            {
                "use": "import",
                "possible": imported is not None,
                "how": f"graphspec import {path.name} -o {path.with_suffix('.yaml').name}",
                "reasons": reasons,
                "notes": [] if imported is None else imported.notes,
            }
        ],
        "problems": [],
    }


def _imported(path: Path) -> tuple[Imported | None, list[dict[str, Any]]]:
    """Return the converted model, or what is not supported, each with its place.

    Raises:
        SpecError: GS801, the file is invalid.
    """
    try:
        return convert(path), []
    except SpecError as error:
        if any(d.code != Code.UNSUPPORTED_FILE for d in error.diagnostics):
            raise
        return None, [
            {"code": str(d.code), "place": d.path or None, "message": d.message, "hint": d.hint}
            for d in error.diagnostics
        ]


def _network(imported: Imported | None) -> dict[str, Any] | None:
    if imported is None:
        return None
    spec, lowered = check(imported.data, draws=False).require()
    return network_record(spec, lowered)


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
            if (
                is_group
                and level < Budget.GROUP_LEVELS
                and name not in _OF_OPTIMIZERS
                and file.address(found) not in seen
            ):
                seen.add(file.address(found))
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


def _outputs(model: ModelDef) -> list[dict[str, Any]]:
    return [_declared(ref.layer, None, "") for ref in refs_in(model.outputs)]


def _declared(name: str, shape: list[int | None] | None, dtype: str) -> dict[str, Any]:
    return {"name": sanitized(name), "kind": "tensor", "dtype": sanitized(dtype), "shape": shape, "description": ""}


def _training(config: Any) -> dict[str, str]:
    """Return with what a model was compiled, as far as it has a name."""
    if not isinstance(config, dict):
        return {}
    config = config.get("compile_args") if isinstance(config.get("compile_args"), dict) else config
    found = {}
    for key in ("loss", "optimizer", "optimizer_config"):
        value = config.get(key)
        name = value.get("class_name") if isinstance(value, dict) else value
        if isinstance(name, str):
            found[key.removesuffix("_config")] = sanitized(simple_class(name))
    return found


# What can be done here with an ONNX file: whether it can be a frozen layer, and whether its weights can train. Only
# constants that others are made from are computed; whether rows are computed apart, `validate` finds out.
MAX_BYTES = 1 << 28
"""Bytes of a file up to which it is looked at whether its weights can train."""
_SIZES = ((320,), (48, 320), (64,))  # what stands for sizes that vary if they cannot: of pictures, of lines, of steps
_SHOWN = 4


def onnx_uses(path: Path) -> list[dict[str, Any]]:
    """Return whether a sound file can be a layer: ``frozen`` and ``unfrozen``, each with the reasons why not."""
    written = f"{{type: Onnx, file: {path.name}"
    try:
        file = read_onnx(path.parent, path.name)
        notes, reasons = list(_notes(file)), list(_reasons(file))
    except ProblemError as error:
        problem = error.problem
        reasons = [_reason(problem.code, f"the file {problem.message}", problem.hint)]
        return [_use("frozen", f"{written}}}", reasons), _use("unfrozen", f"{written}, trainable: true}}", reasons)]
    frozen = _use("frozen", f"{written}}}", reasons, notes=notes)
    return [frozen, _unfrozen(file, f"{written}, trainable: true}}", path.stat().st_size)]


def _use(use: str, how: str, reasons: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"use": use, "possible": not reasons, "how": how, "reasons": reasons, **more}


def _reason(code: Code | None, message: str, hint: str | None = None) -> dict[str, Any]:
    return {"code": None if code is None else str(code), "place": None, "message": message, "hint": hint}


def _reasons(file: OnnxFile) -> Iterator[dict[str, Any]]:
    """Yield what keeps a file from being a layer, as far as it declares it."""
    feeds = {dtype for kinds in FEEDS.values() for dtype in kinds}
    for port in needed_inputs(file, [p.name for p in file.outputs]):
        if port.dtype not in feeds:
            yield _reason(Code.WRONG_DTYPE, f"its input {port} cannot be fed")
    for port in file.outputs:
        if port.dtype and result_dtype(port.dtype) is None:
            text = f"its output {port} is of no type of a spec"
            yield _reason(Code.UNSUPPORTED_FILE, text, "choose another value with `output`")
    if not file.outputs:
        yield _reason(Code.UNSUPPORTED_FILE, "it has no outputs")
    if not any(port.shape is None or port.shape for port in file.inputs):
        yield _reason(Code.WRONG_RANK, "it has no input with a batch axis")


def _notes(file: OnnxFile) -> Iterator[str]:
    fixed = [port for port in file.inputs if port.shape and isinstance(port.shape[0], int)]
    if fixed and not any(port.shape and not isinstance(port.shape[0], int) for port in file.inputs):
        names = ", ".join(f"'{sanitized(port.name)}'" for port in fixed[:_SHOWN])
        yield f"the first axis of {names} is fixed: `validate` finds out whether more rows can be computed"


def _unfrozen(file: OnnxFile, how: str, nbytes: int) -> dict[str, Any]:
    """Return whether the weights of a file can train, and which would."""
    if nbytes > MAX_BYTES:
        text = f"it is not looked at in files of more than {MAX_BYTES >> 20} MiB: `validate` finds out"
        return _use("unfrozen", how, [_reason(None, text)], trains=None, elements=0)
    notes: list[str] = []
    try:
        found = _lowered(file, ())
    except ProblemError as error:
        fixed = None if error.problem.code == Code.UNSUPPORTED_FILE else _of_fixed_sizes(file)
        if fixed is None:
            problem = error.problem
            reasons = [_reason(problem.code, f"it {problem.message}", problem.hint)]
            return _use("unfrozen", how, reasons, trains=None, elements=0)
        found, shapes = fixed
        notes.append(f"if its inputs have fixed sizes, such as {shapes}")
    trains = [{"name": sanitized(w.name, 200), "shape": list(w.shape)} for w in found.weights if w.trains]
    reasons = [] if trains else [_reason(None, "it has no weights that could train")]
    elements = sum(math.prod(w.shape) for w in found.weights if w.trains)
    return _use("unfrozen", how, reasons, trains=trains, elements=elements, notes=notes)


def _of_fixed_sizes(file: OnnxFile) -> tuple[Unfrozen, str] | None:
    """Return the file lowered with usual sizes in the place of those that vary, and the shapes; None if this fails."""
    ports = needed_inputs(file, [port.name for port in file.outputs])
    for sizes in _SIZES:
        shapes = _Sizes(sizes)
        listed = ", ".join(show(shapes.of(port)) for port in ports[:_SHOWN])
        if not shapes.varied:
            return None
        try:
            return _lowered(file, sizes), listed
        except ProblemError:
            continue
    return None


def _lowered(file: OnnxFile, sizes: tuple[int, ...]) -> Unfrozen:
    """Lower a file; sizes that vary are names, or ``sizes`` by turns."""
    outputs = tuple(port.name for port in file.outputs)
    graph, names = Graph("inspected"), _Sizes(sizes)
    for port in needed_inputs(file, outputs):
        graph.inputs[port.name] = Value(port.name, Type(result_dtype(port.dtype) or "float32", names.of(port)), "input")
    return unfreeze(Builder(graph, "file"), model_for_training(file), graph.inputs, outputs, None)


class _Sizes:
    """The sizes of inputs: the first axis that varies, or is 1, has the rows.

    Args:
        sizes: what stands for other sizes that vary, by turns; names if there are none.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes
        self.varied: dict[str, Dim] = {}

    def of(self, port: Port) -> tuple[Dim, ...]:
        """Return the sizes of an input."""
        if port.shape is None:
            raise ProblemError(Code.WRONG_RANK, f"has the input {port}, whose number of axes is not known")
        rows = next((k for k, d in enumerate(port.shape) if not isinstance(d, int)), 0)
        rows = 0 if port.shape and port.shape[0] == 1 else rows
        return tuple("N" if k == rows else self._size(port, k, d) for k, d in enumerate(port.shape))

    def _size(self, port: Port, axis: int, d: int | str | None) -> Dim:
        if isinstance(d, int):
            return d
        count = len(self.varied)
        named = self._sizes[count % len(self._sizes)] if self._sizes else f"s{count}"
        return self.varied.setdefault(d or f"{port.name}/{axis}", named)
