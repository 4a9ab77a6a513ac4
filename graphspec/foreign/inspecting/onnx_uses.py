"""What can be done here with an ONNX file: whether it can be a frozen layer, and whether its weights can train.

Only constants that others are made from are computed; whether rows are computed apart, `validate` finds out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphspec.base.errors import Code, ProblemError
from graphspec.foreign.inspecting.lines import reason, use
from graphspec.graph.builder import Builder
from graphspec.graph.ir.dims import Dim, show
from graphspec.graph.ir.graph import Graph, Type, Value
from graphspec.graph.onnx_session import sanitized
from graphspec.vocabulary.onnx_files.model_file import Declared
from graphspec.vocabulary.onnx_files.part import FEEDS, needed_inputs, result_dtype
from graphspec.vocabulary.onnx_files.reading import OnnxFile, read_onnx
from graphspec.vocabulary.onnx_files.unfreeze import Unfrozen, model_for_training, unfreeze

MAX_BYTES = 1 << 28  # bytes of a file up to which it is looked at whether its weights can train
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
        reasons = [reason(f"the file {problem.message}", problem.hint, problem.code)]
        return [use("frozen", f"{written}}}", reasons), use("unfrozen", f"{written}, trainable: true}}", reasons)]
    frozen = use("frozen", f"{written}}}", reasons, notes=notes)
    return [frozen, _unfrozen(file, f"{written}, trainable: true}}", path.stat().st_size)]


def _reasons(file: OnnxFile) -> Iterator[dict[str, Any]]:
    """Yield what keeps a file from being a layer, as far as it declares it."""
    feeds = {dtype for kinds in FEEDS.values() for dtype in kinds}
    for port in needed_inputs(file, [p.name for p in file.outputs]):
        if port.dtype not in feeds:
            yield reason(f"its input {port} cannot be fed", code=Code.WRONG_DTYPE)
    for port in file.outputs:
        if port.dtype and result_dtype(port.dtype) is None:
            text = f"its output {port} is of no type of a spec"
            yield reason(text, "choose another value with `output`", Code.UNSUPPORTED_FILE)
    if not file.outputs:
        yield reason("it has no outputs", code=Code.UNSUPPORTED_FILE)
    if not any(port.shape is None or port.shape for port in file.inputs):
        yield reason("it has no input with a batch axis", code=Code.WRONG_RANK)


def _notes(file: OnnxFile) -> Iterator[str]:
    fixed = [port for port in file.inputs if port.shape and isinstance(port.shape[0], int)]
    if fixed and not any(port.shape and not isinstance(port.shape[0], int) for port in file.inputs):
        names = ", ".join(f"'{sanitized(port.name)}'" for port in fixed[:_SHOWN])
        yield f"the first axis of {names} is fixed: `validate` finds out whether more rows can be computed"


def _unfrozen(file: OnnxFile, how: str, nbytes: int) -> dict[str, Any]:
    """Return whether the weights of a file can train, and which would."""
    if nbytes > MAX_BYTES:
        text = f"it is not looked at in files of more than {MAX_BYTES >> 20} MiB: `validate` finds out"
        return use("unfrozen", how, [reason(text)], trains=None, elements=0)
    notes: list[str] = []
    try:
        found = _lowered(file, ())
    except ProblemError as error:
        fixed = None if error.problem.code == Code.UNSUPPORTED_FILE else _of_fixed_sizes(file)
        if fixed is None:
            problem = error.problem
            reasons = [reason(f"it {problem.message}", problem.hint, problem.code)]
            return use("unfrozen", how, reasons, trains=None, elements=0)
        found, shapes = fixed
        notes.append(f"if its inputs have fixed sizes, such as {shapes}")
    trains = [{"name": sanitized(w.name, 200), "shape": list(w.shape)} for w in found.weights if w.trains]
    reasons = [] if trains else [reason("it has no weights that could train")]
    elements = sum(math.prod(w.shape) for w in found.weights if w.trains)
    return use("unfrozen", how, reasons, trains=trains, elements=elements, notes=notes)


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
    """The sizes of inputs: the first axis that varies, or is 1, has the rows; others have ``sizes`` by turns, or names."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes
        self.varied: dict[str, Dim] = {}

    def of(self, port: Declared) -> tuple[Dim, ...]:
        shape = port.shape or ()  # of sound files it is known
        rows = next((k for k, d in enumerate(shape) if not isinstance(d, int)), 0)
        rows = 0 if shape and shape[0] == 1 else rows
        return tuple("N" if k == rows else self._size(port, k, d) for k, d in enumerate(shape))

    def _size(self, port: Declared, axis: int, d: int | str | None) -> Dim:
        if isinstance(d, int):
            return d
        count = len(self.varied)
        named = self._sizes[count % len(self._sizes)] if self._sizes else f"s{count}"
        return self.varied.setdefault(d or f"{port.name}/{axis}", named)
