"""The gate of quantized files: such a file is written only if the spec's own metrics get no worse than a limit.

A metric for which larger is better, and that is at most 1, may fall by the limit. All others, losses among them, may get
worse by that fraction of what they were. Metrics without a direction are reported only.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.arguments import bad_argument
from graphspec.codes import Code
from graphspec.data.batches import Dataset
from graphspec.errors import Diagnostic, GraphspecError, SpecError, UsageError
from graphspec.export.quantize import KINDS, Kind, quantized
from graphspec.export.quantize_int8 import MIN_ELEMENTS, Conversion
from graphspec.export.signature import KEY, with_outputs
from graphspec.ir.graph import Array

if TYPE_CHECKING:
    from graphspec.export.prove import Proof
    from graphspec.export.read import Exported
    from graphspec.metrics.base import Direction
    from graphspec.runtime.running_metrics import RunningMetrics
    from graphspec.runtime.session import Session

NOTE = "graphspec.quantization"
"""The key of the record of what was done, in the metadata of a file."""
MAX_LOSS = 0.01


@dataclass(frozen=True)
class Quantization:
    """What is wanted.

    Attributes:
        rows: returns checked raw rows that the network was not trained on, with targets, and what they are: ``test rows``.
        calibration: returns training rows by input; called for networks with convolutions.
    """

    kind: Kind
    max_loss: float
    rows: Callable[[], tuple[Dataset, str]]
    calibration: Callable[[], Mapping[str, Array]]


def quantization_of(
    kind: Any,
    max_loss: Any,
    rows: Callable[[], tuple[Dataset, str]],
    calibration: Callable[[], Mapping[str, Array]],
) -> Quantization | None:
    """Return what the arguments of an export want.

    Raises:
        UsageError: they are wrong.
    """
    if kind is None:
        if max_loss is not None:
            raise UsageError("`max_loss` is the limit of a quantization; give `quantize`, too")
        return None
    if not isinstance(kind, str) or kind not in KINDS:
        raise bad_argument("quantize", "'int8' or 'float16'", kind)
    limit = MAX_LOSS if max_loss is None else max_loss
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < math.inf:
        raise bad_argument("max_loss", "a number from 0 on, such as 0.01", max_loss)
    return Quantization("int8" if kind == "int8" else "float16", float(limit), rows, calibration)


@dataclass(frozen=True)
class Change:
    """A loss or metric before and after.

    Attributes:
        worse: by how much it got worse, negative for better; None if neither direction is.
        relative: whether ``worse`` is a fraction of the value before.
    """

    before: float
    after: float
    worse: float | None
    relative: bool

    def text(self) -> str:
        """Return the change with a sign, as the table shows it."""
        difference = self.after - self.before
        if not self.relative:
            return f"{difference:+.4f}"
        return f"{difference / abs(self.before):+.2%}" if self.before else f"{difference:+.4g}"


@dataclass(frozen=True)
class Verdict:
    """The result of the gate.

    Attributes:
        changes: by key, in the order of ``evaluate``.
        sizes: bytes of the float32 file and of the quantized one.
    """

    kind: Kind
    done: Conversion
    max_loss: float
    origin: str
    count: int
    changes: Mapping[str, Change] = field(default_factory=dict)
    sizes: tuple[int, int] = (0, 0)

    def to_json(self) -> dict[str, Any]:
        """Return the record for the file's metadata."""
        return {
            "kind": self.kind,
            "method": self.done.method,
            "quantized_weights": self.done.weights,
            "calibration_rows": self.done.calibration_rows,
            "rows": f"{self.count} {self.origin}",
            "max_loss": self.max_loss,
            "metrics": {k: {"before": c.before, "after": c.after} for k, c in self.changes.items()},
        }

    def table(self) -> list[tuple[str, str, str, str]]:
        """Return rows of a table: name, float32, quantized, change."""
        before, after = self.sizes
        size = f"{(after - before) / before:+.0%}"
        return [
            ("", "float32", self.kind, "change"),
            *((k, f"{c.before:.6g}", f"{c.after:.6g}", c.text()) for k, c in self.changes.items()),
            ("file (kB)", f"{before / 1000:.1f}", f"{after / 1000:.1f}", size),
        ]

    def __str__(self) -> str:
        lines = [f"quantized to {self.kind}: {self.done.method}; compared on {self.count} {self.origin}"]
        if self.done.calibration_rows:
            lines.append(f"ranges of activations from {self.done.calibration_rows} training rows")
        widths = [max(map(len, column)) for column in zip(*self.table(), strict=True)]
        for name, *values in self.table():
            cells = [v.rjust(w) for v, w in zip(values, widths[1:], strict=True)]
            lines.append("  ".join([name.ljust(widths[0]), *cells]))
        if self.sizes[1] >= self.sizes[0]:
            lines.append("the file has not become smaller: this network is too small to gain")
        return "\n".join(lines)


def gate(model: Session, proto: Any, proof: Proof, wanted: Quantization) -> tuple[Any, Verdict]:
    """Return the quantized file for a proved ``proto``, and what it loses.

    Its metadata have the record of the quantization, with the proof of the float32 file, in place of the proof.

    Raises:
        SpecError: GS703, it loses too much, has values that are not finite, or there is nothing to quantize.
        UsageError: the rows cannot be judged, see :func:`graphspec.export.evaluate.evaluate_exported`.
    """
    rows, origin = wanted.rows()
    try:
        new, done = quantized(proto, wanted.kind, wanted.calibration)
    except GraphspecError:
        raise  # of the rows
    except Exception as error:  # onnxruntime's tools raise what they like
        from graphspec.graph.onnx_session import failure

        text = f"onnxruntime's tools cannot quantize the network to {wanted.kind}: {failure(error)}"
        raise _refused(model, text, _other(wanted.kind)) from error
    if not done.weights:
        text = f"there is nothing to quantize to {wanted.kind}: no matrix of weights has {MIN_ELEMENTS} elements"
        if wanted.kind == "float16":
            text = "there is nothing to quantize to float16: no layer has a matrix of weights"
        raise _refused(model, text, "export it without `--quantize`")
    with tempfile.TemporaryDirectory(prefix="graphspec-") as folder:
        before, _, running = _evaluated(model, Path(folder) / "float32.onnx", proto, rows)
        after, found, changed = _evaluated(model, Path(folder) / f"{wanted.kind}.onnx", new, rows)
        example = found.run(proof.example[0])
    for head, array in before.items():
        if (np.isfinite(array) & ~np.isfinite(after[head])).any():
            text = f"as {wanted.kind} the network returns values of '{head}' that are not finite"
            raise _refused(model, text, _other(wanted.kind))
    logs, directions = (running.logs(), changed.logs()), running.directions()
    changes = {key: change(logs[0][key], logs[1][key], direction) for key, direction in directions.items()}
    verdict = Verdict(wanted.kind, done, wanted.max_loss, origin, len(rows), changes)
    _judge(model, verdict)
    _record(new, verdict, proof, example)
    return new, replace(verdict, sizes=(len(proto.SerializeToString()), len(new.SerializeToString())))


def change(before: float, after: float, direction: Direction | None) -> Change:
    """Return how a loss or metric has changed."""
    relative = direction != "up" or abs(before) > 1
    if direction is None:
        return Change(before, after, None, relative)
    worse = after - before if direction == "down" else before - after
    if relative and worse:
        worse = worse / abs(before) if before else math.copysign(math.inf, worse)
    return Change(before, after, worse, relative)


def _judge(model: Session, verdict: Verdict) -> None:
    """Raise GS703 for the metrics that got worse by more than the limit."""
    broken = []
    for key, each in verdict.changes.items():
        if not math.isfinite(each.after):
            broken.append(f"'{key}' is no longer finite")
        elif each.worse is not None and each.worse > verdict.max_loss:
            broken.append(f"'{key}' goes from {each.before:.6g} to {each.after:.6g} ({each.text()})")
    if broken:
        limit = f"more than `--max-loss {verdict.max_loss:g}` allows"
        text = f"as {verdict.kind} the network is worse on {verdict.count} {verdict.origin}, {limit}: " + "; ".join(
            broken
        )
        raise _refused(model, text, _other(verdict.kind))


def _other(kind: Kind) -> str:
    if kind == "int8":
        return "try `--quantize float16`, or allow more with `--max-loss`; no file was written"
    return "export it without `--quantize`, or allow more with `--max-loss`; no file was written"


def _refused(model: Session, text: str, hint: str) -> SpecError:
    return SpecError([Diagnostic(Code.QUANTIZATION_LOSS, text, file=model.source, path="outputs", hint=hint)])


def _evaluated(
    model: Session, path: Path, proto: Any, rows: Dataset
) -> tuple[dict[str, Array], Exported, RunningMetrics]:
    """Return the heads of a file for some rows, and their losses and metrics: it is read and checked as any other file."""
    from graphspec.export.evaluate import answers_of, evaluate_answers
    from graphspec.export.read import read_exported

    path.write_bytes(proto.SerializeToString())
    found = read_exported(path)
    answers = answers_of(found, rows, found.spec.training.batch_size)
    return answers, found, evaluate_answers(found, found.spec, rows, answers, model.weights)


def _record(proto: Any, verdict: Verdict, proof: Proof, example: Mapping[str, Array]) -> None:
    texts = {entry.key: entry.value for entry in proto.metadata_props}
    texts[KEY] = json.dumps(with_outputs(json.loads(texts[KEY]), example))
    texts.pop("proof", None)
    texts[NOTE] = json.dumps(verdict.to_json() | {"proof_of_float32": proof.to_json()})
    del proto.metadata_props[:]
    for key, value in texts.items():
        proto.metadata_props.add(key=key, value=value)
