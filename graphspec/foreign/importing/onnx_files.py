"""Import an ONNX file: a short spec with the file as one layer, trained if its operators have gradients, else frozen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic, Mark, ProblemError, SpecError
from graphspec.engine.compiler.check import Checked, check
from graphspec.graph.ir.dims import has_rows
from graphspec.graph.onnx_session import sanitized
from graphspec.vocabulary.onnx_files.reading import OnnxFile, Port, read_onnx

if TYPE_CHECKING:
    from graphspec.engine.compiler.lowered import Lowered
    from graphspec.graph.ir.graph import Value
    from graphspec.language.declarations import Spec

_SIZES = (224, 256, 320, 512, 128, 64, 32)
"""Sizes that are tried for axes that a file leaves open, if they must be fixed."""
_NODE = "net"
_DTYPES = {"float16": "float32", "float64": "float32", "bfloat16": "float32", "int8": "int64", "int16": "int64"}
_DTYPES |= {"uint16": "int64", "uint32": "int64", "uint64": "int64"}


@dataclass(frozen=True)
class ImportedOnnx:
    """A file as the data of a spec.

    Attributes:
        name: the file's name in the spec.
        content: what to write beside the spec; None if the file is in its folder.
        notes: what the reader of the spec should know.
    """

    data: dict[str, Any]
    spec: Spec
    lowered: Lowered
    name: str
    content: bytes | None
    notes: tuple[str, ...]


def import_onnx(source: Path, folder: Path, name: str) -> ImportedOnnx:
    """Return the spec of an ONNX file for a spec called ``name`` in ``folder``.

    Raises:
        SpecError: the file is not valid (GS801), or can neither be trained nor run in a spec (GS802).
    """
    inside = source.resolve().is_relative_to(folder.resolve())
    path = source.resolve().relative_to(folder.resolve()).as_posix() if inside else source.name
    try:
        file = read_onnx(source.parent, source.name)
        inputs = [_Input(port, k) for k, port in enumerate(file.inputs)]
    except ProblemError as error:
        raise SpecError([Diagnostic.of("the file", error.problem, Mark(str(source)))]) from None
    drafts = _Drafts(file, path, source.parent if not inside else folder, name, inputs)
    data, checked, notes = drafts.found(str(source))
    spec, lowered = checked.require()
    return ImportedOnnx(data, spec, lowered, path, None if inside else file.data, tuple(notes))


class _Input:
    """An input of the file and its entry in the spec.

    Attributes:
        at: the axis of the rows of a batch.
    """

    def __init__(self, port: Port, index: int) -> None:
        self.port = port
        self.name = re.sub(r"[^\w.-]+", "_", port.name).strip("_") or f"input_{index}"
        shape = port.shape
        if not port.dtype or shape is None or not shape:
            text = f"has the input {port}, which has no batch axis"
            hint = "write the spec by hand, with a number in its place: `{type: Onnx, file: …, inputs: [x, 1]}`"
            raise ProblemError(Code.UNSUPPORTED_FILE, text, hint)
        opened = [k for k, d in enumerate(shape) if not isinstance(d, int) or d == 1]
        self.at = 0 if 0 in opened or not opened else opened[0]

    def entry(self, size: int | None) -> dict[str, Any]:
        """Return its entry in ``inputs``; ``size`` stands for sizes that the file leaves open."""
        sizes = [d if isinstance(d, int) else size for k, d in enumerate(self.port.shape or ()) if k != self.at]
        dtype = _DTYPES.get(self.port.dtype, self.port.dtype)
        return {"shape": sizes, **({} if dtype == "float32" else {"dtype": dtype})}

    @property
    def open(self) -> bool:
        """Whether a size besides the batch is open."""
        return any(not isinstance(d, int) for k, d in enumerate(self.port.shape or ()) if k != self.at)


class _Drafts:
    """Specs for a file, from the best one on: trained, frozen; with open sizes, with fixed ones."""

    def __init__(self, file: OnnxFile, path: str, base: Path, name: str, inputs: Sequence[_Input]) -> None:
        self.file, self.path, self.base, self.name, self.inputs = file, path, base, name, inputs

    def found(self, source: str) -> tuple[dict[str, Any], Checked, list[str]]:
        """Return the data of the best spec, what checking it found, and notes.

        Raises:
            SpecError: there is none.
        """
        reasons: list[Diagnostic] = []
        for trainable in (True, False):
            last: Diagnostic | None = None
            for size in self._sizes():
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
        raise SpecError([Diagnostic(d.code, d.message, source, hint=d.hint) for d in reasons])

    def _sizes(self) -> Iterator[int | None]:
        yield None
        if any(i.open for i in self.inputs):
            yield from _SIZES

    def _data(self, trainable: bool, size: int | None) -> dict[str, Any]:
        """Return a spec without heads."""
        layers: list[dict[str, Any]] = []
        given = []
        for each in self.inputs:
            given.append(each.name)
            if each.at:
                given[-1] = f"{each.name}_turned"
                axes = [*range(1, each.at + 1), 0, *range(each.at + 1, len(each.port.shape or ()))]
                layers.append({"name": given[-1], "type": "ops.transpose", "axes": axes, "inputs": each.name})
        node: dict[str, Any] = {"name": self._free(_NODE), "type": "Onnx", "file": self.path}
        if trainable:
            node["trainable"] = True
        if len(given) > 1 or layers:
            node["inputs"] = given if len(given) > 1 else given[0]
        inputs = {each.name: each.entry(size) for each in self.inputs}
        return {"graphspec": 1, "name": self.name, "inputs": inputs, "layers": [*layers, node], "outputs": {}}

    def _free(self, name: str) -> str:
        taken = {i.name for i in self.inputs}
        return next(n for k in range(len(taken) + 1) if (n := name if not k else f"{name}_{k}") not in taken)

    def _with_heads(self, data: dict[str, Any], lowered: Lowered) -> tuple[dict[str, Any], list[str]]:
        """Return a spec with a head for each output of the file that has rows, and notes on the others."""
        layers, node = list(data["layers"]), data["layers"][-1]["name"]
        values: Sequence[Value] = lowered.outputs[node] or ()
        taken = {i.name for i in self.inputs} | {entry["name"] for entry in layers}
        outputs: dict[str, Any] = {}
        notes = []
        for k, (port, value) in enumerate(zip(self.file.outputs, values, strict=True)):
            source = node if len(values) == 1 else f"{node}:{k}"
            head = re.sub(r"[^\w.-]+", "_", port.name).strip("_") or f"output_{k}"
            head = next(h for n in range(len(taken) + 1) if (h := head if not n else f"{head}_{n}") not in taken)
            if not has_rows(value.shape):
                notes.append(f"The output '{sanitized(port.name)}' is the same for all rows: it is left out.")
                continue
            at = value.shape.index("N") if "N" in value.shape else 0
            taken.add(head)
            if at:
                axes = [at, *range(at), *range(at + 1, value.rank)]
                layers.append({"name": head, "type": "ops.transpose", "axes": axes, "inputs": source})
                outputs[head] = {}
            else:
                outputs[head] = {"layer": source}
        return {**data, "layers": layers, "outputs": outputs}, notes

    def _notes(self, lowered: Lowered, trainable: bool, size: int | None, reasons: Sequence[Diagnostic]) -> list[str]:
        notes = []
        if trainable:
            trained = [p for p in lowered.graph.params.values() if p.trainable]
            count = sum(p.size for p in trained)
            several = "tensors of the file train" if len(trained) != 1 else "tensor of the file trains"
            notes.append(f"{len(trained):,} {several}: {count:,} numbers. A list of names trains some of them.")
        else:
            why = reasons[0].message.removeprefix(f"Onnx '{self._free(_NODE)}' ")
            notes.append(f"The file is frozen: it {why}.")
        if size is not None:
            names = ", ".join(f"'{i.name}'" for i in self.inputs if i.open)
            fixed = f"which must be fixed here: write yours in place of {size}"
            notes.append(f"The file leaves sizes of {names} open, {fixed}.")
        notes.append("Add a loss to a head to train, such as `loss: sparse_categorical_crossentropy`.")
        return notes
