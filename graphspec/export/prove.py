"""Prove an exported model: the runtime and onnxruntime on the same rows, at several batch sizes and lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.compiler.ir import Array
from graphspec.compiler.limits import input_bounds
from graphspec.errors import Diagnostic, ShapeError, SpecError
from graphspec.export.session import runtime, session
from graphspec.runtime.random import generator

if TYPE_CHECKING:
    from graphspec.model import Model

BATCHES = (1, 2, 5)
LENGTHS = (3, 7, 16, 40, 100)
ATOL, RTOL = 1e-5, 1e-4


@dataclass
class Proof:
    """What was compared: batch sizes, lengths of the axes that vary, and the largest difference of each head."""

    batches: list[int] = field(default_factory=list)
    lengths: list[dict[str, int]] = field(default_factory=list)
    differences: dict[str, float] = field(default_factory=dict)
    rows: str = "seeded"

    def to_json(self) -> dict[str, Any]:
        return {
            "onnxruntime": runtime().__version__,
            "rows": self.rows,
            "batches": self.batches,
            "lengths": self.lengths,
            "max_abs_difference": self.differences,
            "tolerance": f"{ATOL:g} + {RTOL:g}*max|b|",
        }

    def __str__(self) -> str:
        heads = ", ".join(f"{h} {d:.1e}" for h, d in self.differences.items())
        lengths = "" if not self.lengths else f", {len(self.lengths)} lengths"
        batches = ", ".join(map(str, self.batches))
        return f"equal to the runtime at batch sizes {batches}{lengths}; largest difference: {heads}"


def prove(model: Model, data: bytes, rows: Mapping[str, Array] | None = None) -> Proof:
    """Compare the serialised model ``data`` with the runtime.

    Args:
        rows: inputs to take rows from (test data); seeded rows valid for each input's dtype and ids otherwise.

    Raises:
        SpecError: GS701, naming head, batch size and difference, where ``max|a-b| > 1e-5 + 1e-4·max|b|``, where a label
            differs although the margin is larger than that, or where onnxruntime refuses the model.
    """
    try:
        runner = session(data, threads=2)
    except Exception as error:
        raise _refused(model, f"onnxruntime does not load the model: {error}") from error
    proof = Proof(rows="test data" if rows is not None else "seeded")
    symbols = sorted({d for v in model.graph.inputs.values() for d in v.shape[1:] if isinstance(d, str)})
    for lengths in _lengths(model, symbols, rows):
        if lengths:
            proof.lengths.append(lengths)
        for batch in BATCHES:
            feeds = _rows(model, batch, lengths, rows)
            _compare(model, runner, feeds, batch, proof)
    proof.batches = list(BATCHES)
    return proof


def _lengths(model: Model, symbols: Sequence[str], rows: Mapping[str, Array] | None) -> list[dict[str, int]]:
    """The sizes to try for the axes that vary: those that the network accepts."""
    if not symbols:
        return [{}]
    accepted = []
    for n in LENGTHS:
        lengths = {s: n + k for k, s in enumerate(symbols)}
        shapes = {i: (1, *(lengths.get(str(d), d) for d in v.shape[1:])) for i, v in model.graph.inputs.items()}
        try:
            model.concrete(shapes)
        except ShapeError:
            continue
        accepted.append(lengths)
    return accepted[:3]


def _rows(model: Model, batch: int, lengths: Mapping[str, int], rows: Mapping[str, Array] | None) -> dict[str, Array]:
    bounds = input_bounds(model.graph)
    feeds = {}
    for name, value in model.graph.inputs.items():
        shape = (batch, *(lengths.get(str(d), d) for d in value.shape[1:]))
        if rows is not None and (taken := _take(rows[name], shape)) is not None:
            feeds[name] = taken.astype(value.dtype)
        else:
            feeds[name] = seeded(name, value.dtype, shape, bounds.get(name))
    return feeds


def _take(array: Array, shape: Sequence[Any]) -> Array | None:
    """Rows spread over ``array``, cut to ``shape``; None where it has too few."""
    if len(array) < shape[0] or any(have < want for have, want in zip(array.shape[1:], shape[1:], strict=True)):
        return None
    index = np.linspace(0, len(array) - 1, shape[0]).astype(int)
    return np.asarray(array[index][(slice(None), *(slice(0, n) for n in shape[1:]))])


def seeded(name: str, dtype: str, shape: Sequence[Any], bounds: tuple[int, int] | None) -> Array:
    """Random values that an input of ``dtype`` may take: ids within ``bounds``, bytes, bits, normal floats."""
    random = generator(0, "proof", name)
    size = tuple(int(d) for d in shape)
    if dtype == "bool":
        return random.integers(0, 2, size).astype(bool)
    if dtype == "float32":
        return random.standard_normal(size).astype(np.float32)
    low, high = bounds if bounds is not None else (0, 256 if dtype == "uint8" else 10)
    return random.integers(low, high, size).astype(dtype)


def _compare(model: Model, runner: Any, feeds: Mapping[str, Array], batch: int, proof: Proof) -> None:
    expected = model.run(feeds)
    names = [o.name for o in runner.get_outputs()]
    given = {i.name: feeds[i.name] for i in runner.get_inputs()}
    got = dict(zip(names, runner.run(names, given), strict=True))
    for head, b in expected.items():
        a = got[head]
        where = f"head '{head}' at batch size {batch}"
        if a.shape != b.shape:
            raise _refused(model, f"{where}: onnxruntime gives shape {a.shape}, the runtime {b.shape}")
        difference = float(np.max(np.abs(a.astype(np.float64) - b), initial=0.0))
        allowed = ATOL + RTOL * float(np.max(np.abs(b), initial=0.0))
        if not difference <= allowed:
            raise _refused(model, f"{where}: the largest difference is {difference:.3g}, allowed is {allowed:.3g}")
        proof.differences[head] = max(difference, proof.differences.get(head, 0.0))
        if f"{head}_label" in got:
            _compare_labels(model, head, got[f"{head}_label"], b, allowed, where)


def _compare_labels(model: Model, head: str, labels: Array, b: Array, allowed: float, where: str) -> None:
    words = np.array(model.labels[head], object)
    if b.shape[-1] == 1:
        index, margin = (b[..., 0] > 0.5).astype(int), np.abs(b[..., 0] - 0.5)
    else:
        ranked = np.sort(b, axis=-1)
        index, margin = b.argmax(-1), ranked[..., -1] - ranked[..., -2]
    wrong = (labels != words[index]) & (margin > allowed)
    if wrong.any():
        raise _refused(model, f"{where}: {int(wrong.sum())} labels differ from the runtime's")


def _refused(model: Model, text: str) -> SpecError:
    hint = "no file was written; please report this with the spec: the exported graph should be the trained one"
    return SpecError([Diagnostic("GS701", text, file=model.source, path="outputs", hint=hint)])
