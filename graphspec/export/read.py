"""Run a file that claims to be exported by graphspec, after comparing it with the spec that it contains."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arrays.system_memory import free, human
from graphspec.base.codes import Code
from graphspec.base.errors import RunError, SpecError, UsageError
from graphspec.engine.compiler.adapted import Adapted
from graphspec.engine.compiler.check import check
from graphspec.export.outline import Outline, outline
from graphspec.graph.ir.graph import STRING, Array, Graph, Type
from graphspec.graph.onnx_session import failure, sanitized, session
from graphspec.graph.ops import OPS
from graphspec.language.declarations import LABEL
from graphspec.language.read import MAX_BYTES

if TYPE_CHECKING:
    from graphspec.engine.compiler.check import Checked
    from graphspec.language.declarations import Spec

_MAX_LABEL = 4096  # characters of a label
_MAX_MESSAGE = 300
_MAX_ADAPTED = 1 << 27  # bytes of vocabularies and statistics


@dataclass(frozen=True)
class Exported:
    """An ONNX file that matches its spec.

    Attributes:
        checked: the checked spec, with its graph and its warnings.
        outputs: types of the heads and of their labels, by name.
    """

    file: Path
    checked: Checked
    spec: Spec
    graph: Graph
    outputs: Mapping[str, Type]
    session: Any

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; return the heads and each ``<head>_label``.

        Raises:
            UsageError: the file fails, or an output does not have its declared shape.
        """
        given = {i.name: feeds[i.name] for i in self.session.get_inputs()}
        try:
            values = self.session.run(list(self.outputs), given)
        except Exception as error:
            raise UsageError(f"onnxruntime fails to run {self.file}: {failure(error)}") from None
        rows = len(next(iter(feeds.values())))
        return {n: self._output(n, v, rows) for n, v in zip(self.outputs, values, strict=True)}

    def _output(self, name: str, value: Any, rows: int) -> Array:
        kind = self.outputs[name]
        expected = (rows, *kind.shape[1:])
        if not isinstance(value, np.ndarray) or not _fits(value.shape, expected):
            shape = value.shape if isinstance(value, np.ndarray) else type(value).__name__
            raise UsageError(
                f"{self.file} returns '{name}' as {shape} for {rows} rows, its spec requires {_shape_text(expected)}"
            )
        if kind.dtype != STRING:
            return value
        if max(map(len, value.flat), default=0) > _MAX_LABEL:
            raise UsageError(f"{self.file} returns labels '{name}' of more than {_MAX_LABEL} characters")
        return value.astype(str)

    def refuse_too_large(self, rows: int) -> None:
        """Raise GS602 if the outputs for ``rows`` rows do not fit into memory."""
        need = sum(
            4 * rows * math.prod(d for d in kind.shape[1:] if isinstance(d, int)) for kind in self.outputs.values()
        )
        if need > (have := free()):
            raise RunError(
                Code.NOT_ENOUGH_MEMORY,
                f"the outputs need {human(need)} of memory, only {human(have)} is free",
                "use fewer rows",
            )


def read_exported(file: Path) -> Exported:
    """Load a file after checking its spec and its outline.

    Raises:
        UsageError: it is not an ONNX file, was not written by graphspec, or does not match its spec.
        SpecError: its spec is not valid for this version.
    """
    found = outline(file)
    document = _document(found, file)
    if found.foreign is not None:
        text = "graphspec runs such files only from their run, `graphspec predict RUN`"
        raise UsageError(f"{file} has {found.foreign}: {text}")
    try:
        checked = check(document, allow_outside=True, adapted=_adapted(found), draws=False)
        spec, lowered = checked.require()
    except SpecError as error:
        raise SpecError([replace(d, file=str(file)) for d in error.diagnostics]) from None
    except ValueError as error:
        text = sanitized(str(error), _MAX_MESSAGE)
        raise UsageError(f"{file} contains a wrong record of what the network has learnt: {text}") from None
    if found.merged is not None and not any(OPS[node.op].merged for node in lowered.graph.nodes):
        raise UsageError(f"{file} has {found.merged}: graphspec does not write such files for its spec")
    if lowered.graph.learnt:
        raise UsageError(f"{file} does not contain what the network has learnt from its training rows")
    graph = lowered.graph.without_losses()
    heads = {name: value.type for name, value in graph.outputs.items()}
    label_types = {
        h.name + LABEL: Type(STRING, heads[h.name].shape[:-1]) for h in spec.heads.values() if h.labels is not None
    }
    try:
        runner = session(file)
    except Exception as error:
        raise UsageError(f"onnxruntime does not load {file}: {failure(error)}") from None
    inputs = {name: value.type for name, value in graph.inputs.items()}
    _compare(file, "input", runner.get_inputs(), inputs, required=())
    _compare(file, "output", runner.get_outputs(), heads | label_types, required=heads)
    given = {o.name for o in runner.get_outputs()}
    return Exported(file, checked, spec, graph, {n: t for n, t in (heads | label_types).items() if n in given}, runner)


def _document(found: Outline, file: Path) -> dict[str, Any]:
    """Return the spec that the file contains."""
    text = found.metadata.get("spec", b"")
    if len(text) > MAX_BYTES:
        size = f"{len(text) / 2**20:.0f} MiB, a spec has at most {MAX_BYTES // 2**20}"
        raise UsageError(f"{file} contains a spec of {size}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UsageError(f"{file} was not exported by graphspec: it contains no spec, which would describe its inputs")
    return document


def _adapted(found: Outline) -> Adapted:
    """Return what the network has learnt from its training rows; raise ValueError for a wrong record."""
    text = found.metadata.get("adapted")
    if text is None:
        return Adapted()  # the file needs no other file: a vocabulary file that its spec names is not opened
    if len(text) > _MAX_ADAPTED:
        raise ValueError(f"it has more than {_MAX_ADAPTED // 2**20} MiB")
    try:
        record = json.loads(text)
    except RecursionError:
        record = None
    return Adapted.of_json(record)


def _compare(
    file: Path, what: str, actual: Sequence[Any], expected: Mapping[str, Type], required: Mapping[str, Type] | tuple[()]
) -> None:
    """Raise UsageError unless the file's inputs or outputs match the spec by name and type, with a free batch axis."""
    spec = f"{file} does not match the spec that it contains"
    names = [v.name for v in actual]
    unknown = [n for n in names if n not in expected] if what == "input" else []
    if unknown or (missing := [n for n in required if n not in names]) or len(set(names)) < len(names):
        problem = f"{what} '{sanitized(unknown[0])}' is not in the spec" if unknown else None
        problem = problem or (f"there is no {what} '{missing[0]}'" if missing else f"an {what} occurs twice")
        raise UsageError(f"{spec}: {problem}")
    for value in actual:
        if value.name not in expected:
            continue  # an additional output, which is never requested
        kind = expected[value.name]
        type_text = f"tensor({'float' if kind.dtype == 'float32' else kind.dtype})"
        if value.type != type_text:
            raise UsageError(f"{spec}: {what} '{value.name}' is {value.type}, but must be {type_text}")
        shape = tuple(value.shape)
        if shape and isinstance(shape[0], int):
            text = f"accepts only {shape[0]} rows" if what == "input" else f"has {shape[0]} rows"
            raise UsageError(f"{spec}: {what} '{value.name}' {text}, but the batch axis must be free")
        if not _fits(shape, kind.shape) or (what == "input" and _narrower(shape, kind.shape)):
            raise UsageError(
                f"{spec}: {what} '{value.name}' is {_shape_text(shape)}, but must be {_shape_text(kind.shape)}"
            )


def _fits(actual: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Return whether the ranks are equal, and all sizes that both fix."""
    pairs = zip(actual, expected, strict=False)
    return len(actual) == len(expected) and all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))


def _narrower(actual: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Return whether an axis is fixed that must be free."""
    return any(isinstance(a, int) and not isinstance(b, int) for a, b in zip(actual, expected, strict=True))


def _shape_text(shape: Sequence[Any]) -> str:
    return "(" + ", ".join("?" if d is None else sanitized(str(d)) for d in shape) + ")"
