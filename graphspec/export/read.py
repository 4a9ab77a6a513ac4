"""Run a file that graphspec exported, or that says so: it is compared with the spec that it carries before it runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arrays.system_memory import free, human
from graphspec.codes import Code
from graphspec.compiler.check import check
from graphspec.errors import RunError, SpecError, UsageError
from graphspec.export.outline import Outline, outline
from graphspec.export.session import failure, plain, session
from graphspec.ir.graph import Array, Graph, Type
from graphspec.language.head_arrays import LABEL
from graphspec.language.source import MAX_BYTES

if TYPE_CHECKING:
    from graphspec.language.declarations import Spec

_TEXT = "string"
_LONGEST = 4096
"""Characters of a label, at most."""


@dataclass(frozen=True)
class Exported:
    """An ONNX file that fits its spec.

    Attributes:
        outputs: the types of the heads and of their labels, by name.
    """

    file: Path
    spec: Spec
    graph: Graph
    outputs: Mapping[str, Type]
    session: Any

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One batch through the file: the heads, and ``<head>_label``.

        Raises:
            UsageError: the file fails, or gives something else than it says.
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
            raise UsageError(f"{self.file} gives '{name}' as {shape} for {rows} rows, its spec says {_shown(expected)}")
        if kind.dtype != _TEXT:
            return value
        if max(map(len, value.flat), default=0) > _LONGEST:
            raise UsageError(f"{self.file} gives labels '{name}' of more than {_LONGEST} characters")
        return value.astype(str)

    def refuse_too_large(self, rows: int) -> None:
        """GS602 where the outputs for so many rows do not fit into memory."""
        need = sum(
            4 * rows * math.prod(d for d in kind.shape[1:] if isinstance(d, int)) for kind in self.outputs.values()
        )
        if need > (have := free()):
            raise RunError(
                Code.NOT_ENOUGH_MEMORY,
                f"the outputs take {human(need)} of memory, {human(have)} are free",
                "give fewer rows",
            )


def read_exported(file: Path) -> Exported:
    """Load a file, after its spec and its outline have been looked at.

    Raises:
        UsageError: it is no ONNX file, not graphspec's, has what graphspec never writes, or does not fit its spec.
        SpecError: its spec is not valid for this version.
    """
    found = outline(file)
    document = _document(found, file)
    if found.strange is not None:
        raise UsageError(f"{file} has {found.strange}: graphspec writes no such file")
    try:
        spec, lowered = check(document, allow_outside=True).require()
    except SpecError as error:
        raise SpecError([replace(d, file=str(file)) for d in error.diagnostics]) from None
    graph = lowered.graph
    heads = {name: value.type for name, value in graph.outputs.items()}
    words = {h.name + LABEL: Type(_TEXT, heads[h.name].shape[:-1]) for h in spec.heads.values() if h.labels is not None}
    try:
        runner = session(file)
    except Exception as error:
        raise UsageError(f"onnxruntime does not load {file}: {failure(error)}") from None
    inputs = {name: value.type for name, value in graph.inputs.items()}
    _compare(file, "input", runner.get_inputs(), inputs, required=())
    _compare(file, "output", runner.get_outputs(), heads | words, required=heads)
    given = {o.name for o in runner.get_outputs()}
    return Exported(file, spec, graph, {n: t for n, t in (heads | words).items() if n in given}, runner)


def _document(found: Outline, file: Path) -> dict[str, Any]:
    """The spec that the file carries."""
    text = found.metadata.get("spec", b"")
    if len(text) > MAX_BYTES:
        size = f"{len(text) / 2**20:.0f} MiB, a spec has at most {MAX_BYTES // 2**20}"
        raise UsageError(f"{file} carries a spec of {size}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UsageError(f"{file} was not exported by graphspec: it carries no spec that says what its inputs are")
    return document


def _compare(
    file: Path, what: str, have: Sequence[Any], expected: Mapping[str, Type], required: Mapping[str, Type] | tuple[()]
) -> None:
    """Whether the file's inputs or outputs are those of the spec, with their types; the batch axis must be free."""
    spec = f"{file} does not fit the spec that it carries"
    names = [v.name for v in have]
    strange = [n for n in names if n not in expected] if what == "input" else []
    if strange or (missing := [n for n in required if n not in names]) or len(set(names)) < len(names):
        problem = f"{what} '{plain(strange[0])}' is not in the spec" if strange else None
        problem = problem or (f"there is no {what} '{missing[0]}'" if missing else f"an {what} is there twice")
        raise UsageError(f"{spec}: {problem}")
    for value in have:
        if value.name not in expected:
            continue  # one more output, which is not asked for
        kind = expected[value.name]
        wanted = f"tensor({'float' if kind.dtype == 'float32' else kind.dtype})"
        if value.type != wanted:
            raise UsageError(f"{spec}: {what} '{value.name}' is {value.type}, it should be {wanted}")
        shape = tuple(value.shape)
        if shape and isinstance(shape[0], int):
            text = f"takes {shape[0]} rows at a time" if what == "input" else f"has {shape[0]} rows"
            raise UsageError(f"{spec}: {what} '{value.name}' {text}, any number should do")
        if not _fits(shape, kind.shape) or (what == "input" and _narrower(shape, kind.shape)):
            raise UsageError(f"{spec}: {what} '{value.name}' is {_shown(shape)}, it should be {_shown(kind.shape)}")


def _fits(have: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether sizes are equal where both are numbers."""
    pairs = zip(have, wanted, strict=False)
    return len(have) == len(wanted) and all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))


def _narrower(have: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether a size is fixed that should vary."""
    return any(isinstance(a, int) and not isinstance(b, int) for a, b in zip(have, wanted, strict=True))


def _shown(shape: Sequence[Any]) -> str:
    return "(" + ", ".join("?" if d is None else plain(str(d)) for d in shape) + ")"
