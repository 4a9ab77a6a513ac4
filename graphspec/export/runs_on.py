"""Which runtimes can run an ONNX file, by its opset, its IR version, and the makers of its operators."""

from __future__ import annotations

from typing import Any

from graphspec.export.model_file import ModelFile
from graphspec.export.targets import STANDARD, TARGETS
from graphspec.graph.onnx_model import CONTRIB, IR_OF_OPSET, ML
from graphspec.graph.ops import OPS

PACKAGES = {
    "Python": "onnxruntime",
    "Node": "onnxruntime-node",
    "web": "onnxruntime-web",
    "C#": "Microsoft.ML.OnnxRuntime",
    "Java": "com.microsoft.onnxruntime:onnxruntime",
}
"""The package of onnxruntime for a language; a version has the same number everywhere."""
OLDEST_OPSET = 7
"""onnxruntime promises to run opsets from this one on."""
_ORT = "ort-"
_KNOWN = (CONTRIB, ML, "")


def runs_on(found: ModelFile) -> dict[str, Any]:
    """Return who can run a file: ``{onnxruntime, packages, targets, domains, texts, notes}``.

    ``onnxruntime`` is its first version that can, None if none is known; ``targets`` are those of ``export --target``.
    """
    opset = found.opsets.get("", 0)
    domains = {
        domain: sorted(name for d, name in found.operators if d == domain)
        for domain in sorted({d for d, _ in found.operators if d})
    }
    own = {function.rpartition(".")[::2] for function in found.functions}
    strange = [d for d, names in domains.items() if d not in _KNOWN and any((d, n) not in own for n in names)]
    reads = [name for name in TARGETS if name != STANDARD and _reads(name, opset, found.ir_version)]
    targets = [] if strange else list(reads)
    if not strange and CONTRIB not in domains and _reads(STANDARD, opset, found.ir_version):
        targets.append(STANDARD)
    inputs = {declared.dtype for declared in found.inputs}
    texts = "string" in inputs | {declared.dtype for declared in found.outputs}
    notes = [f"operators of {d} need a library of whoever made them: {', '.join(domains[d])}" for d in strange]
    if not reads:
        notes.append(f"opset {opset} with IR version {found.ir_version} is newer than graphspec knows of onnxruntime")
    if 0 < opset < OLDEST_OPSET:
        notes.append(f"opset {opset} is older than onnxruntime promises to run ({OLDEST_OPSET})")
    if CONTRIB in domains:
        names = ", ".join(domains[CONTRIB])
        notes.append(
            f"{names}: operators of onnxruntime itself ({CONTRIB}), which all its full builds have, and no others"
        )
    if ML in domains:
        notes.append(f"{', '.join(domains[ML])}: operators of {ML}, which runtimes of neural networks alone may lack")
    if texts:
        notes.append("texts are string tensors, which the CPU computes, whatever else a runtime uses")
    if inputs & {"int64", "uint64"}:
        notes.append("in JavaScript, 64-bit integers are BigInt")
    if found.has_external_data:
        notes.append(
            "the weights are in other files, which must lie beside it; a web page passes them as `externalData`"
        )
    return {
        "onnxruntime": reads[0].removeprefix(_ORT) if reads and not strange else None,
        "packages": PACKAGES if reads and not strange else {},
        "targets": targets,
        "domains": domains,
        "texts": texts,
        "notes": notes,
    }


def _reads(target: str, opset: int, ir_version: int) -> bool:
    newest = TARGETS[target]
    return opset <= newest and ir_version <= IR_OF_OPSET[newest]


def kernels(found: ModelFile) -> dict[str, list[str]]:
    """Return the operators that graphspec's runtime lacks, and those that it leaves to onnxruntime, as ``domain.Name``."""
    lacks, left = [], []
    for domain, name in sorted(found.operators):
        shown = f"{domain}.{name}" if domain else name
        if name not in OPS or OPS[name].domain != domain or not OPS[name].exported:
            lacks.append(shown)
        elif not OPS[name].has_kernel:
            left.append(shown)
    return {"lacks": lacks, "by_onnxruntime": left}
