"""Export a trained graph as an ONNX file, after proving under onnxruntime that it is equal to the runtime."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.base.errors import SpecError, UsageError
from graphspec.base.files import write_atomic
from graphspec.data.paths import portable_document
from graphspec.export.targets import has_contrib, newest_opset, opset_of
from graphspec.graph.onnx_model import opset_for

if TYPE_CHECKING:
    from graphspec.data.signature import Data
    from graphspec.engine.runtime.session import Session
    from graphspec.export.prove import Proof
    from graphspec.export.quantize import Quantization


def export(
    model: Session,
    path: Path,
    *,
    opset: int | None = None,
    target: str | None = None,
    rows: Data | str | Path = None,
    signature: Path | None = None,
    quantization: Quantization | None = None,
) -> Proof:
    """Serialise, prove, and only then write ``path`` (atomically, through a temporary file).

    Args:
        opset: ONNX opset, 17 (onnxruntime 1.14 and later) by default.
        target: an onnxruntime version such as ``ort-1.20``, instead of ``opset``.
        rows: inputs for the proof, as for ``predict``, or a data file with them. By default a few rows of the last
            training, else of the spec's test or training data if they can be read, else generated rows.
        signature: a JSON file for the signature, which the file's metadata contain, too.
        quantization: write a smaller file, if it passes the gate (:mod:`graphspec.export.quantize`).

    Raises:
        SpecError: GS701, GS702 or GS704, or GS5 for ``rows``; no file is written.
        UsageError: an unknown opset or target, or one that the installed onnxruntime does not support.
    """
    from graphspec.base.version import __version__
    from graphspec.export.onnx import KEY, check_export, describe, to_model
    from graphspec.export.onnx import signature as signature_of
    from graphspec.export.prove import prove, rows_for
    from graphspec.graph.onnx_session import runtime

    level = opset_of(opset, target) or opset_for(model.whole)
    version = runtime().__version__
    if level > (newest := newest_opset(version)):
        raise UsageError(f"opset {level} cannot be proved: onnxruntime {version} supports at most {newest}")
    model.require_adapted()
    model.require_intervals()
    if diagnostics := check_export(model.spec, model.whole, level, contrib=has_contrib(target)):
        raise SpecError(diagnostics)
    chosen = rows_for(model, rows)
    portable = portable_document(model.spec)
    metadata = {
        "graphspec_version": __version__,
        "spec": json.dumps(portable),
        "spec_sha256": hashlib.sha256(json.dumps(portable, sort_keys=True).encode()).hexdigest(),
        "labels": json.dumps(model.labels),
    }
    if any(head.threshold is not None for head in model.spec.heads.values()):
        metadata["thresholds"] = json.dumps(model.cutoffs)
    if model.adapted is not None:
        metadata["adapted"] = json.dumps(model.adapted.to_json())
    ctc, cutoffs = model.needed.ctc, model.cutoffs
    keys: dict[str, Any] = {"labels": model.labels, "sequences": ctc, "cutoffs": cutoffs, "metadata": metadata}
    proto = to_model(model.whole, model.parameters, **keys, opset=level)
    proof = prove(model, proto.SerializeToString(), chosen)
    described = signature_of(model, proof.example)
    describe(proto, model, described)
    proto.metadata_props.add(key="proof", value=json.dumps(proof.to_json()))
    proto.metadata_props.add(key=KEY, value=json.dumps(described))
    if quantization is not None:
        from graphspec.export.quantize import gate

        proto, proof.quantized = gate(model, proto, proof, quantization)
        described = json.loads(next(p.value for p in proto.metadata_props if p.key == KEY))
    write_atomic(path, proto.SerializeToString())
    if signature is not None:
        write_atomic(signature, json.dumps(described, indent=1, ensure_ascii=False) + "\n")
    return proof
