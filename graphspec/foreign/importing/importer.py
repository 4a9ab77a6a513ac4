"""Import a file of another program: read it, make the spec readable, compare both, and write the spec and its weights."""

from __future__ import annotations

import itertools
import os
import re
import textwrap
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphspec.base.arguments import path_of
from graphspec.base.arrays.layout import Array
from graphspec.base.config import Config
from graphspec.base.errors import Code, Diagnostic, GivenText, Mark, ProblemError, SpecError, UsageError
from graphspec.base.files import suffix_of, written_in_parts
from graphspec.base.gc_pause import gc_paused
from graphspec.base.text import count, few, printable
from graphspec.engine.compiler.check import Checked, check
from graphspec.engine.compiler.lowered_network import Lowered
from graphspec.foreign.door import KERAS
from graphspec.foreign.importing.tidy import Tidied, tidy, with_formulas
from graphspec.graph.ir.dims import has_rows, show
from graphspec.graph.ir.graph import STRING, Graph, Node, Value
from graphspec.graph.onnx_session import sanitized
from graphspec.language.declarations import Spec
from graphspec.language.sections import KEYS
from graphspec.language.write import WIDTH, write_yaml
from graphspec.vocabulary.onnx_files.model_file import Declared
from graphspec.vocabulary.onnx_files.part import our_dtype
from graphspec.vocabulary.onnx_files.reading import OnnxFile, read_onnx

# Import an ONNX file: a short spec with the file as one layer, trained if its operators have gradients, else frozen.
_SIZES = (224, 256, 320, 512, 128, 64, 32)  # tried for axes that a file leaves open, if they must be fixed
_NODE = "net"


@dataclass(frozen=True)
class Draft:
    """A file as the data of a spec, which names the file ``name``: its weights, or the ONNX file itself.

    ``content`` is what to write beside the spec under this name, if anything.
    """

    data: dict[str, Any]
    spec: Spec
    lowered: Lowered
    name: str
    content: bytes | None
    notes: tuple[str, ...]


def import_onnx(source: Path, folder: Path, name: str, sizes: Mapping[str, int]) -> Draft:
    """Return the spec of an ONNX file for a spec called ``name`` in ``folder``; ``sizes`` are open ones, by name.

    SpecError: the file is not valid (GS801), or can neither be trained nor run in a spec (GS802).
    """
    inside = source.resolve().is_relative_to(folder.resolve())
    path = source.resolve().relative_to(folder.resolve()).as_posix() if inside else source.name
    try:
        file = read_onnx(source.parent, source.name)
        inputs = [_Input(port, k, sizes) for k, port in enumerate(file.inputs)]
    except ProblemError as error:
        raise SpecError([Diagnostic.of("the file", error.problem, Mark(str(source)))]) from None
    known = list(dict.fromkeys(size for each in inputs for size in each.named))
    for size in sizes.keys() - set(known):
        listed = f"it leaves open {few(known, 8)}" if known else "it leaves none open but the number of rows"
        raise UsageError(f"{source} has no open size '{size}': {listed}")
    data, checked, notes = _Drafts(file, path, source.parent if not inside else folder, name, inputs).found(str(source))
    spec, lowered = checked.require()
    return Draft(data, spec, lowered, path, None if inside else file.data, tuple(notes))


class _Input:
    """An input of the file and its entry in the spec; ``at`` is the axis of the rows of a batch.

    ``named``: its open sizes, by their names in the file, or by its own.
    """

    def __init__(self, port: Declared, index: int, given: Mapping[str, int]) -> None:
        self.port = port
        self.name = _name_of_port(port, f"input_{index}")
        shape = port.shape
        if not port.dtype or shape is None or not shape:
            hint = "write the spec by hand, with a number in its place: `{type: Onnx, file: …, inputs: [x, 1]}`"
            raise ProblemError(Code.UNSUPPORTED_FILE, f"has the input {port}, which has no batch axis", hint)
        opened = [k for k, d in enumerate(shape) if (not isinstance(d, int) and d not in given) or d == 1]
        self.at = 0 if 0 in opened or not opened else opened[0]
        others = [d for k, d in enumerate(shape) if k != self.at]
        names = [d for d in others if not isinstance(d, int)]
        self.named = [*filter(None, names), port.name] if names else []
        self.sizes = [d if isinstance(d, int) else given.get(d or "", given.get(port.name)) for d in others]
        self.open = None in self.sizes

    def entry(self, size: int | None) -> dict[str, Any]:
        """Return its entry in ``inputs``; ``size`` stands for sizes that the file leaves open."""
        dtype = our_dtype(self.port.dtype)
        sizes = [size if d is None else d for d in self.sizes]
        return {"shape": sizes, **({} if dtype == "float32" else {"dtype": dtype})}


def _name_of_port(port: Declared, otherwise: str) -> str:
    return re.sub(r"[^\w.-]+", "_", port.name).strip("_") or otherwise


def _free(name: str, taken: Container[str]) -> str:
    """Return a name that is free: ``name``, or with a number behind it."""
    return next(n for k in itertools.count() if (n := f"{name}_{k}" if k else name) not in taken)


class _Drafts:
    """Specs for a file, from the best one on: trained, frozen; with open sizes, with fixed ones."""

    def __init__(self, file: OnnxFile, path: str, base: Path, name: str, inputs: Sequence[_Input]) -> None:
        self.file, self.path, self.base, self.name, self.inputs = file, path, base, name, inputs
        self.node = _free(_NODE, {each.name for each in inputs})

    def found(self, source: str) -> tuple[dict[str, Any], Checked, list[str]]:
        """Return the data of the best spec, what checking it found, and notes; SpecError if there is none."""
        reasons: list[Diagnostic] = []
        for trainable in (True, False):
            last: Diagnostic | None = None
            for size in (None, *(_SIZES if any(each.open for each in self.inputs) else ())):
                data = self._data(trainable, size)
                checked = check(data, base=self.base)
                errors = [d for d in checked.errors if d.path != "outputs"]  # there are no heads yet
                if not errors and checked.lowered is not None:
                    data, notes = self._with_heads(data, checked.lowered)
                    checked = check(data, base=self.base)
                    if not (errors := checked.errors) and checked.lowered is not None:
                        return data, checked, [*self._notes(checked.lowered, trainable, size, reasons), *notes]
                last = errors[0]  # with fixed sizes it says more than with open ones
            assert last is not None
            reasons.append(last)
        name = next((each.named[0] for each in self.inputs if each.open), None)
        hint = None if name is None else f"give sizes that the file leaves open: `--size {name}=224`, with your number"
        raise SpecError([Diagnostic(d.code, d.message, source, hint=hint or d.hint) for d in reasons])

    def _data(self, trainable: bool, size: int | None) -> dict[str, Any]:
        """Return a spec without heads."""
        layers: list[dict[str, Any]] = []
        for each in (each for each in self.inputs if each.at):
            axes = [*range(1, each.at + 1), 0, *range(each.at + 1, len(each.sizes) + 1)]
            layers.append({"name": f"{each.name}_turned", "type": "ops.transpose", "axes": axes, "inputs": each.name})
        given = [f"{each.name}_turned" if each.at else each.name for each in self.inputs]
        node: dict[str, Any] = {"name": self.node, "type": "Onnx", "file": self.path}
        if trainable:
            node["trainable"] = True
        if len(given) > 1 or layers:
            node["inputs"] = given if len(given) > 1 else given[0]
        inputs = {each.name: each.entry(size) for each in self.inputs}
        return {"graphspec": 1, "name": self.name, "inputs": inputs, "layers": [*layers, node], "outputs": {}}

    def _with_heads(self, data: dict[str, Any], lowered: Lowered) -> tuple[dict[str, Any], list[str]]:
        """Return a spec with a head for each output of the file that has rows, and notes on the others."""
        layers, node = list(data["layers"]), self.node
        values: Sequence[Value] = lowered.outputs[node] or ()
        taken = {i.name for i in self.inputs} | {entry["name"] for entry in layers}
        outputs: dict[str, Any] = {}
        notes = []
        for k, (port, value) in enumerate(zip(self.file.outputs, values, strict=True)):
            source = node if len(values) == 1 else f"{node}:{k}"
            head = _free(_name_of_port(port, f"output_{k}"), taken)
            if not has_rows(value.shape) or value.dtype == STRING:
                what = "text, and a head is numbers" if value.dtype == STRING else "the same for all rows"
                notes.append(f"The output '{sanitized(port.name)}' is {what}: it is left out.")
                continue
            at = value.shape.index("N") if "N" in value.shape else 0
            taken.add(head)
            outputs[head] = {} if at else {"layer": source}
            if at:
                axes = [at, *range(at), *range(at + 1, value.rank)]
                layers.append({"name": head, "type": "ops.transpose", "axes": axes, "inputs": source})
        return {**data, "layers": layers, "outputs": outputs}, notes

    def _notes(self, lowered: Lowered, trainable: bool, size: int | None, reasons: Sequence[Diagnostic]) -> list[str]:
        if trainable:
            sizes = [p.size for p in lowered.graph.params.values() if p.trainable]
            several = count(len(sizes), "tensor of the file trains", "tensors of the file train")
            notes = [f"{several}: {sum(sizes):,} numbers. A list of names trains some of them."]
        else:
            why = reasons[0].message.removeprefix(f"Onnx '{self.node}' ")
            notes = [f"The file is frozen: it {why}."]
        if size is not None:
            names = ", ".join(f"'{i.name}'" for i in self.inputs if i.open)
            fixed = f"which must be fixed here: write yours in place of {size}"
            notes.append(f"The file leaves sizes of {names} open, {fixed}.")
        notes.append("Add a loss to a head to train, such as `loss: sparse_categorical_crossentropy`.")
        return notes


# Compare two graphs by what they compute: the names of nodes may differ, and independent nodes may change places.
def difference(one: Graph, other: Graph, renamed: Callable[[str], str]) -> str | None:
    """Return the first difference between two graphs, or None. ``renamed`` names a weight of ``one`` in ``other``."""
    if one.inputs.keys() != other.inputs.keys():
        return f"inputs {[*one.inputs]}, not {[*other.inputs]}"
    if lost := sorted({renamed(name) for name in one.params} ^ other.params.keys()):
        return f"weights {', '.join(lost[:3])}"
    pairs: list[tuple[Value | None, Value | None]] = []
    for key in ("outputs", "loss_inputs"):
        ours, theirs = getattr(one, key), getattr(other, key)
        if ours.keys() != theirs.keys():
            return f"{key} {[*ours]}, not {[*theirs]}"
        pairs += [(value, theirs[name]) for name, value in ours.items()]
    if len(one.penalties) != len(other.penalties):
        return f"{len(one.penalties)} penalties, not {len(other.penalties)}"
    return _unlike(pairs, renamed)


def _unlike(stack: list[tuple[Value | None, Value | None]], renamed: Callable[[str], str]) -> str | None:
    """Compare pairs of values, and all that they are computed from; return the first difference."""
    seen: dict[str, str] = {}
    while stack:
        a, b = map(_unscaled, stack.pop())
        if a is None or b is None:
            if (only := a or b) is not None:
                return f"{only.name} is missing"
        elif a.name not in seen:
            seen[a.name] = b.name
            if (found := _unlike_alone(a, b, renamed)) is not None:
                return found
            stack.append((a.mask, b.mask))
            if a.node is not None and b.node is not None:
                count = len(a.node.inputs) if a.node.op == b.node.op else 1
                stack += zip(a.node.inputs[:count], b.node.inputs[:count], strict=True)
        elif seen[a.name] != b.name:
            return f"{a.name} is {seen[a.name]} and {b.name}"
    return None


def _unscaled(value: Value | None) -> Value | None:
    """Return what a value is 1 times of: a Rescaling multiplies by 1, a formula does not."""
    while value is not None and value.node is not None and value.node.op == "Mul" and _number(value.node, 1.0):
        value = value.node.inputs[0]
    return value


def _number(node: Node, number: Any) -> bool:
    """Return whether the second input of a node is this number, as a constant."""
    b = node.inputs[1]
    return b is not None and b.kind == "constant" and b.data is not None and b.data.size == 1 and b.data == number


_OF_PARAMS = ("shape", "layout", "trainable", "state", "initializer", "regularizer", "constraint", "sparse")


def _unlike_alone(a: Value, b: Value, renamed: Callable[[str], str]) -> str | None:
    if (a.kind, str(a.type), a.index) != (b.kind, str(b.type), b.index):
        return f"{a.name} is {a.kind} {a.type}, not {b.kind} {b.type}"
    if a.kind == "input" and a.name != b.name:
        return f"input {a.name}, not {b.name}"
    if (a.param is None) != (b.param is None) or (a.param and b.param and renamed(a.param.name) != b.param.name):
        return f"weight {a.name} is not {b.name}"
    if a.param and not all(equal(getattr(a.param, key), getattr(b.param, key)) for key in _OF_PARAMS):
        return f"weight {a.name} is not {b.name}"
    if not equal(a.data, b.data):
        return f"constant {a.name} is not {b.name}"
    if a.node is not None and b.node is not None:
        is_alike = a.node.op == b.node.op and len(a.node.inputs) == len(b.node.inputs)
        if (a.node.op, b.node.op) == ("Add", "Sub") and (c := b.node.inputs[1]) is not None and c.data is not None:
            is_alike = _number(a.node, -c.data)  # a Rescaling adds what a formula subtracts
        if not is_alike or not equal(a.node.attrs, b.node.attrs):
            return f"{a.node.op} {a.node.name} is not {b.node.op} {b.node.name}"
    return None


def equal(a: Any, b: Any) -> bool:
    """Return whether two values are equal, with arrays in them."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.float32(a) == np.float32(b))  # all computation is in float32
    return equal(a.__dict__, b.__dict__) if isinstance(a, Config) and type(a) is type(b) else bool(a == b)


_UNNAMED = re.compile(r"(sequential|functional|model)(_\d+)?")  # names that Keras gives
TORCH = (".pt", ".pth", ".pt2", ".ckpt", ".bin")
_TORCH_EXPORT = "torch.onnx.export(model.eval(), example, 'net.onnx')"
_TORCH_WEIGHTS = "safetensors.torch.save_file(model.state_dict(), 'net.safetensors')"
_OTHERS = {  # what other files are, and what to do with them
    ".pb": "a SavedModel of TensorFlow: load it with Keras, and `model.save('net.keras')`; or make an ONNX file of it",
    ".tflite": "a file for TensorFlow Lite, which has lost its layers: import the model that it was made from",
    **dict.fromkeys(
        (".pkl", ".pickle", ".joblib"), "a pickle, which runs code when it is read: save the model in another format"
    ),
    ".safetensors": "weights without a network: write the spec, and name the file under `training: {initial_weights: …}`",
    ".npz": "arrays without a network: write the spec, and use arrays as `{type: Array, file: …}`",
    **dict.fromkeys((".yaml", ".yml"), "a spec already"),
}


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

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return what was written, in a few lines."""
        graph = self.lowered.graph
        lines = [f"{self.path}: {count(len(self.spec.nodes), 'layer')}, {self.parameters:,} parameters"]
        if self.weights_path is not None:
            lines.append(f"{self.weights_path}: {count(len(graph.params), 'array')}, the initial weights")
        for word, values in (("input", graph.inputs), ("output", graph.outputs)):
            lines += [f"{word} {name}: {v.dtype} {show(v.shape)}" for name, v in values.items()]
        return [*lines, *(f"note: {note}" for note in self.notes)]


@gc_paused()
def import_file(
    path: str | Path,
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    sizes: Mapping[str, int] | None = None,
    schema: Callable[[Path], str] | None = None,
) -> Import:
    """Write the spec of a network that another program saved, and its weights beside it.

    Args:
        path: a file of Keras, ``.keras``, ``.h5``, ``.hdf5``, or the ``.json`` of an architecture; or an ``.onnx`` file,
            which the spec names: a copy is beside the spec unless the file is in its folder.
        output: the spec; by default the file's name with ``.yaml``, in this folder. The file of its weights has its name,
            with ``.safetensors``.
        overwrite: whether files of these names are replaced.
        sizes: sizes that an ONNX file leaves open, by their names in it, or by the name of an input.
        schema: returns the path of the JSON Schema that a spec names for editors.

    Raises:
        SpecError: the file is not valid (GS801), or has what a spec cannot have (GS802): all of it.
        UsageError: the file is of another kind, or a file to write exists.
    """
    source = path_of("path", path)
    _check_kind(source)
    spec_path = Path(f"{source.stem}.yaml") if output is None else path_of("output", output)
    if spec_path.suffix.lower() not in (".yaml", ".yml"):
        raise UsageError(f"{spec_path}: a spec is YAML; use a name that ends in .yaml")
    weights_path = spec_path.with_suffix(".safetensors")
    _check_new(spec_path, weights_path, overwrite=overwrite)
    if suffix_of(source) == ".onnx":
        draft = import_onnx(source, spec_path.parent, _name_of(spec_path), sizes or {})
    elif sizes:
        raise UsageError(f"{source}: sizes are those that an ONNX file leaves open; in a Keras file all are known")
    else:
        draft = _import_keras(source, weights_path)
    beside = spec_path.parent / draft.name
    if draft.content is not None:
        _check_new(beside, overwrite=overwrite)
    named = None if schema is None else schema(spec_path)
    data = {key: draft.data[key] for key in (*KEYS, *draft.data) if key in draft.data}
    text = write_yaml(data, schema=named, notes=draft.notes) + _data_comment(draft.spec, draft.lowered)
    with written_in_parts(spec_path) as write:
        write(text.encode())
        if draft.content is not None:  # the spec appears after the other file, or not at all
            with written_in_parts(beside) as write_beside:
                write_beside(draft.content)
    has_weights = draft.content is not None and beside == weights_path
    return Import(spec_path, weights_path if has_weights else None, draft.spec, draft.lowered, draft.notes)


def _check_new(*paths: Path, overwrite: bool) -> None:
    existing = [str(path) for path in paths if os.path.lexists(path)]
    if existing and not overwrite:
        verb = "exists" if len(existing) == 1 else "exist"
        raise UsageError(f"{' and '.join(existing)} {verb}; `--overwrite` replaces what exists")


def _import_keras(source: Path, weights_path: Path) -> Draft:
    from safetensors.numpy import save

    from graphspec.foreign.keras_files.convert import convert

    converted = convert(source)
    spec, lowered, tidied = _checked(converted.data, str(source))
    arrays = _arrays(converted.weights, lowered, tidied, str(source))
    data = tidied.data
    if _UNNAMED.fullmatch(str(data.get("name"))):
        data = {**data, "name": _name_of(weights_path)}
    content = None
    if arrays:
        data = {**data, "training": {"initial_weights": weights_path.name, **data.get("training", {})}}
        content = save({name: np.asarray(array, order="C") for name, array in arrays.items()})  # keeps 0 dimensions
    return Draft(data, spec, lowered, weights_path.name, content, tuple(converted.notes))


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


def _check_kind(path: Path) -> None:
    suffix = suffix_of(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file, such as model.keras")
    if suffix in TORCH:
        raise UsageError(
            f"{path} is a file of PyTorch, a pickle that runs code when it is read. In Python, write the network as ONNX, "
            f"and use that: `{_TORCH_EXPORT}`. Or write the spec, and take its weights: `{_TORCH_WEIGHTS}`"
        )
    if what := _OTHERS.get(suffix):
        raise UsageError(f"{path} is {what}")
    if suffix not in (*KERAS, ".onnx"):
        known = f"import reads {', '.join(KERAS)}, .onnx"
        raise UsageError(f"{path}: {known}, not {suffix or 'a file without a suffix'}")
    if not path.exists():
        raise UsageError(f"there is no file {path}")


def _checked(data: dict[str, Any], file: str) -> tuple[Spec, Lowered, Tidied]:
    """Return the most readable spec whose graph is that of the plain data, checked; SpecError if the network is wrong."""
    plain = check(data)
    if plain.errors or plain.lowered is None:
        raise SpecError([replace(d, file=file) for d in plain.errors])
    ranks = {name: len(values[0].shape) for name, values in plain.lowered.outputs.items() if values}
    for structure, formulas in ((True, True), (True, False), (False, False)):
        tidied = tidy(data, structure=structure, ranks=ranks)
        tidied = Tidied(with_formulas(tidied.data), tidied.renamed) if formulas else tidied
        found = check(GivenText(file, write_yaml(tidied.data)))
        if found.errors or found.spec is None or found.lowered is None:
            continue
        if difference(plain.lowered.graph, found.lowered.graph, tidied.weight) is None:
            return found.spec, found.lowered, tidied
    spec, lowered = plain.require()
    return spec, lowered, Tidied(dict(data), {})


def _arrays(weights: Mapping[str, Any], lowered: Lowered, tidied: Tidied, file: str) -> dict[str, Array]:
    """Return the weights by their new names; SpecError if they are not those of the network."""
    arrays = {tidied.weight(name): np.asarray(array, np.float32) for name, array in weights.items()}
    params = lowered.graph.params
    lost = [name for name in params if arrays and name not in arrays]
    problems = [f"it has no weights '{name}' {show(params[name].shape)}" for name in lost]
    problems += [f"its weights '{name}' belong to no layer" for name in arrays if name not in params]
    for name, array in arrays.items():
        if name in params and array.shape != params[name].shape:
            problems.append(f"its weights '{name}' have the shape {show(array.shape)}, not {show(params[name].shape)}")
    if problems:
        hint = "save the model again, with its weights"
        raise SpecError([Diagnostic(Code.INVALID_FILE, text, file, hint=hint) for text in problems])
    return {name: arrays[name] for name in params} if arrays else {}
