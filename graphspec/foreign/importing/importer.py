"""Import a file of another program: read it, make the spec readable, compare both, and write the spec and its weights."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arguments import path_of
from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, GivenText, SpecError, UsageError
from graphspec.base.files import suffix_of, written_in_parts
from graphspec.base.gc_pause import gc_paused
from graphspec.base.text import printable
from graphspec.engine.compiler.check import check
from graphspec.foreign.importing.same_graph import difference
from graphspec.foreign.importing.tidy import Tidied, tidy
from graphspec.graph.ir.dims import show
from graphspec.language.write import WIDTH, write_yaml

if TYPE_CHECKING:
    from graphspec.base.arrays.layout import Array
    from graphspec.engine.compiler.lowered import Lowered
    from graphspec.foreign.keras_files.convert import Imported
    from graphspec.language.declarations import Spec

_UNNAMED = re.compile(r"(sequential|functional|model)(_\d+)?")
"""Names that Keras gives."""
KERAS = (".keras", ".h5", ".hdf5", ".json")
TORCH = (".pt", ".pth", ".pt2", ".ckpt", ".bin")
_TORCH_EXPORT = "torch.onnx.export(model.eval(), example, 'net.onnx')"
_TORCH_WEIGHTS = "safetensors.torch.save_file(model.state_dict(), 'net.safetensors')"
_OTHERS = {
    ".pb": "a SavedModel of TensorFlow: load it with Keras, and `model.save('net.keras')`; or make an ONNX file of it",
    ".tflite": "a file for TensorFlow Lite, which has lost its layers: import the model that it was made from",
    ".pkl": "a pickle, which runs code when it is read: save the model in another format",
    ".pickle": "a pickle, which runs code when it is read: save the model in another format",
    ".joblib": "a pickle, which runs code when it is read: save the model in another format",
    ".safetensors": "weights without a network: write the spec, and name the file under `training: {initial_weights: …}`",
    ".npz": "arrays without a network: write the spec, and use arrays as `{type: Array, file: …}`",
    ".yaml": "a spec already",
    ".yml": "a spec already",
}
"""What other files are, and what to do with them."""


@dataclass(frozen=True)
class Import:
    """What was imported.

    Attributes:
        path: the spec that was written.
        weights_path: the file of its weights; None if it has none.
        notes: what is not the same as in the file.
    """

    path: Path
    weights_path: Path | None
    spec: Spec
    lowered: Lowered
    notes: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """The number of elements of all weights."""
        return sum(param.size for param in self.lowered.graph.params.values())

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return what was written, in a few lines."""
        graph, layers = self.lowered.graph, len(self.spec.nodes)
        lines = [f"{self.path}: {layers:,} layer{'s' * (layers != 1)}, {self.parameters:,} parameters"]
        if self.weights_path is not None:
            count = len(graph.params)
            lines.append(f"{self.weights_path}: {count:,} array{'s' * (count != 1)}, the initial weights")
        for word, values in (("input", graph.inputs), ("output", graph.outputs)):
            lines += [f"{word} {name}: {v.dtype} {show(v.shape)}" for name, v in values.items()]
        return [*lines, *(f"note: {note}" for note in self.notes)]


@gc_paused()
def import_file(
    path: str | Path,
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    schema: Callable[[Path], str] | None = None,
) -> Import:
    """Write the spec of a network that another program saved, and its weights beside it.

    Args:
        path: a file of Keras, ``.keras``, ``.h5``, ``.hdf5``, or the ``.json`` of an architecture; or an ``.onnx`` file,
            which the spec names: a copy is beside the spec unless the file is in its folder.
        output: the spec; by default the file's name with ``.yaml``, in this folder. The file of its weights has its name,
            with ``.safetensors``.
        overwrite: whether files of these names are replaced.
        schema: returns the path of the JSON Schema that a spec names for editors.

    Raises:
        SpecError: the file is not valid (GS801), or has what a spec cannot have (GS802): all of it.
        UsageError: the file is of another kind, or a file to write exists.
    """
    source = path_of("path", path)
    convert = _converter(source)
    spec_path = Path(f"{source.stem}.yaml") if output is None else path_of("output", output)
    if spec_path.suffix.lower() not in (".yaml", ".yml"):
        raise UsageError(f"{spec_path}: a spec is YAML; use a name that ends in .yaml")
    weights_path = spec_path.with_suffix(".safetensors")
    existing = [str(p) for p in (spec_path, weights_path) if os.path.lexists(p)]
    if existing and not overwrite:
        raise UsageError(
            f"{' and '.join(existing)} exist{'s' * (len(existing) == 1)}; `--overwrite` replaces what exists"
        )
    if convert is None:
        return _import_onnx(source, spec_path, overwrite, schema)
    converted = convert(source)
    spec, lowered, tidied = _checked(converted.data, str(source))
    arrays = _arrays(converted.weights, lowered, tidied, str(source))
    data = tidied.data
    if _UNNAMED.fullmatch(str(data.get("name"))):
        data = {**data, "name": re.sub(r"[^A-Za-z0-9_.-]+", "_", spec_path.stem).strip("_.-") or "network"}
    if arrays:
        data = {**data, "training": {"initial_weights": weights_path.name, **data.get("training", {})}}
    named = None if schema is None else schema(spec_path)
    text = write_yaml(_in_order(data), schema=named, notes=converted.notes) + _data_comment(spec, lowered)
    with written_in_parts(spec_path) as write:
        write(text.encode())
        if arrays:  # the spec appears after its weights, or not at all
            _write_arrays(weights_path, arrays)
    return Import(spec_path, weights_path if arrays else None, spec, lowered, tuple(converted.notes))


def _import_onnx(source: Path, spec_path: Path, overwrite: bool, schema: Callable[[Path], str] | None) -> Import:
    """Write the spec of an ONNX file, and the file beside it unless it is in the folder of the spec."""
    from graphspec.foreign.importing.onnx_files import import_onnx

    found = import_onnx(source, spec_path.parent, _name_of(spec_path))
    copied = None if found.content is None else spec_path.parent / found.name
    if copied is not None and os.path.lexists(copied) and not overwrite:
        raise UsageError(f"{copied} exists; `--overwrite` replaces what exists")
    named = None if schema is None else schema(spec_path)
    text = write_yaml(_in_order(found.data), schema=named, notes=found.notes) + _data_comment(found.spec, found.lowered)
    if copied is not None and found.content is not None:
        with written_in_parts(copied) as write:
            write(found.content)
    with written_in_parts(spec_path) as write:
        write(text.encode())
    return Import(spec_path, None, found.spec, found.lowered, found.notes)


def _data_comment(spec: Spec, lowered: Lowered) -> str:
    """Return the section that a spec needs to be trained, as a comment: what is in the rows is known, not where they are."""
    arrays = ", ".join(f"'{name}' {show(value.shape)}" for name, value in lowered.graph.inputs.items())
    heads = ", ".join(f"'{name}'" for name in spec.heads)
    losses = "" if all(head.loss is not None for head in spec.heads.values()) else "; heads need a `loss`"
    said = f"To train, name the rows: an archive of the arrays {arrays}, and of the targets {heads}{losses}."
    lines = textwrap.wrap(printable(said), WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    return "\n".join(["", *lines, "# data:", "#   train: {file: train.npz}", "#   validation: {split: 0.1}", ""])


def _name_of(path: Path) -> str:
    return re.sub(r"[^\w.-]+", "_", path.stem, flags=re.ASCII).strip("_.-") or "network"


def _converter(path: Path) -> Callable[[Path], Imported] | None:
    """Return what reads a file of this kind; None for an ONNX file, which becomes a layer.

    Raises:
        UsageError: nothing does, or there is no such file.
    """
    suffix = suffix_of(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file, such as model.keras")
    if suffix in TORCH:
        raise UsageError(
            f"{path} is a file of PyTorch, a pickle that runs code when it is read. In Python, write the network as ONNX, "
            f"and use that: `{_TORCH_EXPORT}`. Or write the spec, and take its weights: `{_TORCH_WEIGHTS}`"
        )
    if suffix not in (*KERAS, ".onnx"):
        what = _OTHERS.get(suffix)
        known = f"import reads {', '.join(KERAS)}, .onnx"
        raise UsageError(f"{path} is {what}" if what else f"{path}: {known}, not {suffix or 'a file without a suffix'}")
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    if suffix == ".onnx":
        return None
    from graphspec.foreign.keras_files.convert import convert

    return convert


def _checked(data: dict[str, Any], file: str) -> tuple[Spec, Lowered, Tidied]:
    """Return the readable spec, checked, with its graph: the most readable one whose graph is that of the plain data.

    Raises:
        SpecError: the network that the file describes is wrong.
    """
    plain = check(data)
    if plain.errors or plain.lowered is None:
        raise SpecError([replace(d, file=file) for d in plain.errors])
    ranks = {name: len(values[0].shape) for name, values in plain.lowered.outputs.items() if values}
    for structure in (True, False):
        tidied = tidy(data, structure=structure, ranks=ranks)
        found = check(GivenText(file, write_yaml(tidied.data)))
        if found.errors or found.spec is None or found.lowered is None:
            continue
        if difference(plain.lowered.graph, found.lowered.graph, tidied.weight) is None:
            return found.spec, found.lowered, tidied
    spec, lowered = plain.require()
    return spec, lowered, Tidied(dict(data), {})


def _arrays(weights: Mapping[str, Any], lowered: Lowered, tidied: Tidied, file: str) -> dict[str, Array]:
    """Return the weights by their new names.

    Raises:
        SpecError: they are not those of the network.
    """
    arrays = {tidied.weight(name): np.asarray(array, np.float32) for name, array in weights.items()}
    params = lowered.graph.params
    problems = [
        f"it has no weights '{name}' {show(p.shape)}" for name, p in params.items() if arrays and name not in arrays
    ]
    problems += [f"its weights '{name}' belong to no layer" for name in arrays if name not in params]
    for name, array in arrays.items():
        if name in params and array.shape != params[name].shape:
            problems.append(f"its weights '{name}' have the shape {show(array.shape)}, not {show(params[name].shape)}")
    if problems:
        hint = "save the model again, with its weights"
        raise SpecError([Diagnostic(Code.INVALID_FILE, text, file, hint=hint) for text in problems])
    return {name: arrays[name] for name in params} if arrays else {}


def _write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    from safetensors.numpy import save

    data = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # keeps 0 dimensions
    with written_in_parts(path) as write:
        write(save(data))


def _in_order(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections in the order in which people write them."""
    order = ("graphspec", "name", "description", "vars", "inputs", "blocks", "layers", "outputs", "training", "data")
    return {key: data[key] for key in (*order, *data) if key in data}
