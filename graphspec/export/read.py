"""Run and evaluate a file that claims to be exported by graphspec, after comparing it with the spec that it contains."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field, TypeAdapter

from graphspec.base.arrays.memory import free, human
from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import Code, RunError, SpecError, UsageError
from graphspec.data.batches import Dataset, in_batches
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.compiler.check import Checked, check
from graphspec.engine.compiler.lowered_network import lists_of
from graphspec.engine.runtime.running_metrics import HeadCounts, RunningMetrics
from graphspec.engine.runtime.session import Session
from graphspec.graph.ir.graph import STRING, Array, Graph, Type, Value
from graphspec.graph.onnx_session import failure, sanitized, session
from graphspec.graph.ops import OPS
from graphspec.language.declarations import LABEL, TRAINED, Spec
from graphspec.language.read import MAX_BYTES
from graphspec.vocabulary.onnx_files.model_file import ModelFile, declarations

_MAX_LABEL = 4096  # characters of a label
_MAX_MESSAGE = 300
_CUTOFFS = TypeAdapter(dict[str, Annotated[float, Field(gt=-1e30, lt=1e30)]])  # thresholds, in float32
_MAX_ADAPTED = 1 << 27  # bytes of vocabularies and statistics


@dataclass(frozen=True)
class Exported:
    """An ONNX file that matches its spec."""

    file: Path
    checked: Checked  # the spec with its graph and its warnings
    spec: Spec
    graph: Graph
    outputs: Mapping[str, Type]  # of the heads and of their labels
    session: Any

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; return the heads and each ``<head>_label``; UsageError if it fails, or for other shapes."""
        inputs = {i.name: feeds[i.name] for i in self.session.get_inputs()}
        try:
            values = self.session.run(list(self.outputs), inputs)
        except Exception as error:
            raise UsageError(f"onnxruntime fails to run {self.file}: {failure(error)}") from None
        rows = len(next(iter(feeds.values())))
        return {n: self._output(n, v, rows) for n, v in zip(self.outputs, values, strict=True)}

    def _output(self, name: str, value: Any, rows: int) -> Array:
        kind = self.outputs[name]
        expected = (rows, *kind.shape[1:])
        if not isinstance(value, np.ndarray) or not _fits(value.shape, expected):
            shape = value.shape if isinstance(value, np.ndarray) else type(value).__name__
            text = f"{self.file} returns '{name}' as {shape} for {rows} rows"
            raise UsageError(f"{text}, its spec requires {_shape_text(expected)}")
        if kind.dtype != STRING:
            return value
        if max(map(len, value.flat), default=0) > _MAX_LABEL:
            raise UsageError(f"{self.file} returns labels '{name}' of more than {_MAX_LABEL} characters")
        return value.astype(str)

    def refuse_too_large(self, rows: int) -> None:
        """Raise GS602 if the outputs for ``rows`` rows do not fit into memory."""
        sizes = (math.prod(d for d in kind.shape[1:] if isinstance(d, int)) for kind in self.outputs.values())
        if (need := 4 * rows * sum(sizes)) > (have := free()):
            text = f"the outputs need {human(need)} of memory, only {human(have)} is free"
            raise RunError(Code.NOT_ENOUGH_MEMORY, text, "use fewer rows")


def read_exported(file: Path) -> Exported:
    """Load a file after checking its spec and its outline.

    Raises:
        UsageError: it is not an ONNX file, was not written by graphspec, or does not match its spec.
        SpecError: its spec is not valid for this version.
    """
    if not file.is_file():
        raise UsageError(f"{file} is not a regular file")
    try:
        content = declarations(file, "an ONNX file")
    except ValueError as error:
        raise UsageError(f"{file} {error}") from None
    document = _document(content, file)
    if content.foreign is not None:
        where = "only from their run, `graphspec predict RUN`"
        raise UsageError(f"{file} has {content.foreign}: graphspec runs such files {where}")
    try:
        checked = check(document, allow_outside=True, adapted=_adapted(content), draws=False)
        spec, lowered = checked.require()
        cutoffs = _CUTOFFS.validate_json(content.metadata.get("thresholds", "{}"))
    except SpecError as error:
        raise SpecError([replace(d, file=str(file)) for d in error.diagnostics]) from None
    except ValueError as error:
        text = sanitized(str(error), _MAX_MESSAGE)
        raise UsageError(f"{file} contains a wrong record of what the network has learnt: {text}") from None
    if content.merged is not None and not any(OPS[node.op].merged for node in lowered.graph.nodes):
        raise UsageError(f"{file} has {content.merged}: graphspec does not write such files for its spec")
    if lowered.graph.learnt:
        raise UsageError(f"{file} does not contain what the network has learnt from its training rows")
    spec = replace(spec, heads={n: replace(head, cutoff=cutoffs.get(n, 0.5)) for n, head in spec.heads.items()})
    graph = lowered.graph.without_losses()
    heads = {name: value.type for name, value in graph.outputs.items()}
    labelled = [head.name for head in spec.heads.values() if head.labels is not None]
    expected = heads | {name + LABEL: Type(STRING, heads[name].shape[:-1]) for name in labelled}
    try:
        runner = session(file)
    except Exception as error:
        raise UsageError(f"onnxruntime does not load {file}: {failure(error)}") from None
    inputs = {name: value.type for name, value in graph.inputs.items()}
    _compare(file, "input", runner.get_inputs(), inputs, required=())
    _compare(file, "output", runner.get_outputs(), expected, required=heads)
    present = {o.name for o in runner.get_outputs()}
    return Exported(file, checked, spec, graph, {n: t for n, t in expected.items() if n in present}, runner)


def _document(content: ModelFile, file: Path) -> dict[str, Any]:
    text = content.metadata.get("spec", "")
    if (size := len(text)) > MAX_BYTES:
        raise UsageError(f"{file} contains a spec of {size / 2**20:.0f} MiB, a spec has at most {MAX_BYTES // 2**20}")
    document = content.json("spec")
    if not isinstance(document, dict):
        raise UsageError(f"{file} was not exported by graphspec: it contains no spec, which would describe its inputs")
    return document


def _adapted(content: ModelFile) -> Adapted:
    """Return what the network has learnt from its training rows; raise ValueError for a wrong record."""
    text = content.metadata.get("adapted")
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
    file: Path, what: str, actual: Sequence[Any], expected: Mapping[str, Type], required: Collection[str]
) -> None:
    """Raise UsageError unless the file's inputs or outputs match the spec by name and type, with a free batch axis."""
    spec = f"{file} does not match the spec that it contains"
    names = [v.name for v in actual]
    if what == "input" and (unknown := [n for n in names if n not in expected]):
        raise UsageError(f"{spec}: input '{sanitized(unknown[0])}' is not in the spec")
    if missing := [n for n in required if n not in names]:
        raise UsageError(f"{spec}: there is no {what} '{missing[0]}'")
    if len(set(names)) < len(names):
        raise UsageError(f"{spec}: an {what} occurs twice")
    for value in actual:
        if value.name not in expected:
            continue  # an additional output, which is never requested
        kind, subject, shape = expected[value.name], f"{spec}: {what} '{value.name}'", tuple(value.shape)
        type_text = f"tensor({'float' if kind.dtype == 'float32' else kind.dtype})"
        if value.type != type_text:
            raise UsageError(f"{subject} is {value.type}, but must be {type_text}")
        if shape and isinstance(shape[0], int):
            text = f"accepts only {shape[0]} rows" if what == "input" else f"has {shape[0]} rows"
            raise UsageError(f"{subject} {text}, but the batch axis must be free")
        pairs = zip(shape, kind.shape, strict=False)
        narrower = what == "input" and any(isinstance(a, int) and not isinstance(b, int) for a, b in pairs)
        if narrower or not _fits(shape, kind.shape):
            raise UsageError(f"{subject} is {_shape_text(shape)}, but must be {_shape_text(kind.shape)}")


def _fits(actual: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Return whether the ranks are equal, and all sizes that both fix."""
    pairs = zip(actual, expected, strict=False)
    return len(actual) == len(expected) and all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))


def _shape_text(shape: Sequence[Any]) -> str:
    return "(" + ", ".join("?" if d is None else sanitized(str(d)) for d in shape) + ")"


# Evaluate an exported file: onnxruntime computes the heads, and graphspec their losses and metrics.
_ANSWER = "answer:"  # names of inputs contain no colon
_PART = 64  # batches of lists whose answers are kept at a time


Evaluated: TypeAlias = tuple[RunningMetrics, Session, Dataset]


def evaluate_exported(exported: Exported, spec: Spec, rows: Dataset) -> Evaluated:
    """Return the losses and metrics of a file on checked raw rows, with the counts of its heads.

    With them, a network that only judges answers, and the rows that it reads, which have those of the file, but for lists.
    Raise UsageError if the file fails to run, or masks of its heads depend on weights.
    """
    judging, size = _judging(exported, spec, None), spec.training.batch_size
    rows = judging.measured(rows)
    if not rows.sizes:
        return _judged(judging, rows, answers_of(exported, rows, size))
    heads = HeadCounts(judging, judging.cutoffs)
    running, rows = RunningMetrics(judging, heads), rows.select(rows.longest_first())
    for start in range(0, len(rows), _PART * size):  # all answers may need gigabytes: some numbers for each token
        part = rows.taken(slice(start, start + _PART * size))
        judging.evaluate_arrays(_with_answers(part, answers_of(exported, part, size)), size, heads, running)
    return running, judging, rows


def evaluate_answers(
    exported: Exported,
    spec: Spec,
    rows: Dataset,
    answers: Mapping[str, Array],
    weights: Mapping[str, Array] | None = None,
) -> Evaluated:
    """Evaluate a file's answers as :func:`evaluate_exported` does; ``weights`` compute masks that depend on them."""
    return _judged(_judging(exported, spec, weights), rows, answers)


def _judging(exported: Exported, spec: Spec, weights: Mapping[str, Array] | None) -> Session:
    """Return a network whose inputs are the answers of a file."""
    _, lowered = exported.checked.require()
    graph = _of_answers(lowered.graph)
    if graph.params and weights is None:
        why = "trained layers decide which steps of its heads count"
        if graph.loss_inputs:
            why = "its loss reads values of trained layers that the file does not compute"
        raise UsageError(f"{exported.file} cannot be evaluated: {why}; evaluate its run")
    training = replace(spec.training, folds=None, seeds=None)  # answers are those of all copies
    session = Session(replace(spec, training=training), replace(lowered, graph=graph))
    if graph.params and weights is not None:
        session.set_weights({name: weights[name] for name in graph.params})
    return session


def _judged(judging: Session, rows: Dataset, answers: Mapping[str, Array]) -> Evaluated:
    rows, heads = _with_answers(rows, answers), HeadCounts(judging, judging.cutoffs)
    return judging.evaluate_arrays(rows, judging.spec.training.batch_size, heads), judging, rows


def _with_answers(rows: Dataset, answers: Mapping[str, Array]) -> Dataset:
    return replace(rows, inputs=rows.inputs | {_ANSWER + name: array for name, array in answers.items()})


def answers_of(exported: Exported, rows: Dataset, size: int) -> dict[str, Array]:
    """Return the heads for the rows of a dataset; rows that are not chosen have zeros."""
    types = {name: value.type for name, value in exported.graph.inputs.items()}
    chosen = rows.chosen
    feeds = {name: a if chosen is None else a[chosen] for name, a in rows.inputs.items() if name in types}

    def run(batch: dict[str, Array]) -> dict[str, Array]:
        arrays = {n: a[:] if isinstance(a, Strings) else a for n, a in batch.items()}
        outputs = exported.run({n: a if types[n].is_string else a.astype(types[n].dtype) for n, a in arrays.items()})
        return {name: outputs[name] for name in exported.graph.outputs}

    computed = in_batches(feeds, size, run, lists_of(exported.graph))
    if chosen is None:
        return computed
    total, answers = len(next(iter(rows.inputs.values()))), {}
    for name, array in computed.items():
        answers[name] = np.zeros((total, *array.shape[1:]), array.dtype)
        answers[name][chosen] = array
    return answers


def _of_answers(graph: Graph) -> Graph:
    """Return a graph whose heads are inputs; what is left of the network computes their masks."""
    heads = {name: Value(_ANSWER + name, value.type, "input", mask=value.mask) for name, value in graph.outputs.items()}
    read_too = {name: v for name, v in graph.loss_inputs.items() if not name.startswith(TRAINED)}
    others = [*(v.mask for v in heads.values() if v.mask is not None), *read_too.values()]
    nodes = graph.needed(others)
    read = {v.name: v for v in (*(v for node in nodes for v in node.sources), *others)}
    inputs = {name: value for name, value in graph.inputs.items() if name in read} | {v.name: v for v in heads.values()}
    params = {name: graph.params[name] for name, value in read.items() if value.kind == "param"}
    values = {name: value for name, value in graph.values.items() if name in params}
    return Graph(graph.name, inputs, params=params, values=values, nodes=nodes, outputs=heads, loss_inputs=read_too)
