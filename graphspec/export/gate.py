"""The gate of quantized files: such a file is written only if the spec's own metrics get no worse than a limit.

A metric for which larger is better, and that is at most 1, may fall by the limit. All others, losses among them, may get
worse by that fraction of what they were. Metrics without a direction are reported only.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphspec.base.arguments import bad_argument
from graphspec.base.errors import Code, Diagnostic, GraphspecError, SpecError, UsageError
from graphspec.base.files import write_atomic
from graphspec.data.batches import Dataset
from graphspec.export.onnx import KEY, NOTE, with_outputs
from graphspec.export.quantize import KINDS, MIN_ELEMENTS, Calibration, Core, Kind, Verdict, change, quantized
from graphspec.export.read import Exported, answers_of, evaluate_answers, read_exported
from graphspec.graph.ir.graph import Array, numpy_dtype

if TYPE_CHECKING:
    from graphspec.engine.runtime.running_metrics import RunningMetrics
    from graphspec.engine.runtime.session import Session
    from graphspec.export.prove import Proof

MAX_LOSS = 0.01
FLOAT16_MAX = 65504.0
_SOME = 64  # rows to look for values beyond float16 in
Rows = Callable[[], tuple[Dataset, str]]  # returns checked raw rows to test by, with targets, and what they are


@dataclass(frozen=True)
class Quantization:
    """What is wanted."""

    kind: Kind
    max_loss: float
    rows: Rows
    calibration: Calibration  # of training rows


def quantization_of(kind: Any, max_loss: Any, rows: Rows, calibration: Calibration) -> Quantization | None:
    """Return what the arguments of an export want; raise UsageError if they are wrong."""
    if kind is None and max_loss is not None:
        raise UsageError("a limit (`max_loss`) needs a kind of quantization: add `quantize`, int8 or float16")
    if kind is None:
        return None
    if not isinstance(kind, str) or kind not in KINDS:
        raise bad_argument("quantize", "'int8' or 'float16'", kind)
    limit = MAX_LOSS if max_loss is None else max_loss
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < math.inf:
        raise bad_argument("max_loss", "a number from 0 on, such as 0.01", max_loss)
    return Quantization(kind, float(limit), rows, calibration)


def gate(model: Session, proto: Any, proof: Proof, wanted: Quantization) -> tuple[Any, Verdict]:
    """Return the quantized file for a proved ``proto``, and what it loses.

    Its metadata have the record of the quantization, with the proof of the float32 file, in place of the proof.

    Raises:
        SpecError: GS704, it loses too much, has values that are not finite, or there is nothing to quantize.
        UsageError: there are no rows to judge by, or no losses.
    """
    if not model.spec.trained:
        why = "no head has a loss; give one a loss"
        raise UsageError(f"a quantized network is judged by its losses and metrics, and {why}")
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
    if wanted.kind == "float16" and (largest := _largest(model, proto, rows)) > FLOAT16_MAX:
        # onnxruntime computes on a CPU in float32, and a GPU in float16: no metric would show it.
        text = f"the network has values up to {largest:.3g} on {origin}, and float16 ends at {FLOAT16_MAX:,.0f}"
        raise _refused(model, text, "export it without `--quantize`; no file was written")
    with tempfile.TemporaryDirectory(prefix="graphspec-") as folder:
        before, _, running = _evaluated(model, Path(folder) / "float32.onnx", proto, rows)
        after, file, changed = _evaluated(model, Path(folder) / f"{wanted.kind}.onnx", new, rows)
        example = file.run(proof.example[0])
    for head, array in before.items():
        if (np.isfinite(array) & ~np.isfinite(after[head])).any():
            text = f"as {wanted.kind} the network returns values of '{head}' that are not finite"
            raise _refused(model, text, _other(wanted.kind))
    logs = running.logs(), changed.logs()
    changes = {key: change(logs[0][key], logs[1][key], side) for key, side in running.directions().items()}
    verdict = Verdict(wanted.kind, done, wanted.max_loss, origin, len(rows), changes)
    _judge(model, verdict)
    _record(new, verdict, proof, example)
    return new, replace(verdict, sizes=(len(proto.SerializeToString()), len(new.SerializeToString())))


def _largest(model: Session, proto: Any, rows: Dataset) -> float:
    """Return the largest absolute value of a float between the first and the last weight, for some of the rows."""
    some, inputs = rows.sample(_SOME), model.whole.inputs
    dtypes = {name: object if v.type.is_string else numpy_dtype(v.dtype) for name, v in inputs.items()}
    return Core(proto).largest({name: some[name].astype(dtype) for name, dtype in dtypes.items()})


def _judge(model: Session, verdict: Verdict) -> None:
    """Raise GS704 for the metrics that got worse by more than the limit."""
    broken = []
    for key, each in verdict.changes.items():
        if math.isfinite(each.before) and not math.isfinite(each.after):
            broken.append(f"'{key}' is no longer finite")
        elif each.worse is not None and each.worse > verdict.max_loss:
            broken.append(f"'{key}' goes from {each.before:.6g} to {each.after:.6g} ({each.text()})")
    if broken:
        text = f"as {verdict.kind} the network is worse on {verdict.count} {verdict.origin}"
        limit = f"more than `--max-loss {verdict.max_loss:g}` allows"
        raise _refused(model, f"{text}, {limit}: {'; '.join(broken)}", _other(verdict.kind))


def _other(kind: Kind) -> str:
    other = "try `--quantize float16`" if kind == "int8" else "export it without `--quantize`"
    return f"{other}, or allow more with `--max-loss`; no file was written"


def _refused(model: Session, text: str, hint: str) -> SpecError:
    return SpecError([Diagnostic(Code.QUANTIZATION_LOSS, text, file=model.source, path="outputs", hint=hint)])


def _evaluated(
    model: Session, path: Path, proto: Any, rows: Dataset
) -> tuple[dict[str, Array], Exported, RunningMetrics]:
    """Return the heads of a file for some rows, and their losses and metrics: it is read and checked as any other file."""
    write_atomic(path, proto.SerializeToString())
    file = read_exported(path)
    answers = answers_of(file, rows, file.spec.training.batch_size)
    return answers, file, evaluate_answers(file, file.spec, rows, answers, model.weights)[0]


def _record(proto: Any, verdict: Verdict, proof: Proof, example: Mapping[str, Array]) -> None:
    from onnx import helper

    texts = {entry.key: entry.value for entry in proto.metadata_props}
    texts[KEY] = json.dumps(with_outputs(json.loads(texts[KEY]), example))
    texts.pop("proof", None)
    texts[NOTE] = json.dumps(verdict.to_json() | {"proof_of_float32": proof.to_json()})
    helper.set_model_props(proto, texts)
