"""The opsets and onnxruntime versions that a file can be written for, and which can run a given file."""

from __future__ import annotations

from typing import Any

from graphspec.base.arguments import bad_argument
from graphspec.base.errors import UsageError
from graphspec.graph.onnx_model import CONTRIB, IR_OF_OPSET, ML, OPSET
from graphspec.graph.ops import OPS
from graphspec.vocabulary.onnx_files.model_file import OLDEST_OPSET, ModelFile

STANDARD = "onnx"  # the target of runtimes that have ONNX's own operators alone
_ORT = "ort-"
# The newest opset that onnxruntime 1.14 and so on support; for ``onnx`` the one that most runtimes support.
_NEWEST = "14:17 15:19 16:19 17:20 18:21 19:21 20:21 21:22 22:22 23:23 24:25 26:26 27:26 28:26 29:26 30:26 32:28"
TARGETS = {STANDARD: OPSET} | {f"{_ORT}1.{k}": int(opset) for k, opset in (pair.split(":") for pair in _NEWEST.split())}


def opset_of(opset: int | None, target: str | None) -> int | None:
    """Return the opset that is meant, None for no argument; UsageError for both, or if it is not in :data:`TARGETS`."""
    if opset is not None and target is not None:
        raise UsageError("give either an opset or a target, not both")
    if target is not None:
        if not isinstance(target, str) or target not in TARGETS:
            raise UsageError(f"unknown target {target!a}; known are {', '.join(TARGETS)}")
        return TARGETS[target]
    if opset is not None and (isinstance(opset, bool) or not isinstance(opset, int)):
        raise bad_argument("opset", "an integer", opset)
    if opset is not None and opset not in IR_OF_OPSET:
        raise UsageError(f"opset {opset} is not supported; choose {min(IR_OF_OPSET)} to {max(IR_OF_OPSET)}")
    return opset


def has_contrib(target: str | None) -> bool:
    """Return whether the target has onnxruntime's own operators (``com.microsoft``), as every full build of it has."""
    return target != STANDARD


def newest_opset(version: str) -> int:
    """Return the newest opset that a version of onnxruntime (``1.30.1``) is known to support."""

    def parts(text: str) -> list[int]:
        return [int(n) for n in text.removeprefix(_ORT).split(".")[:2]]

    supported = [k for name, k in TARGETS.items() if name != STANDARD and parts(name) <= parts(version)]
    return max(supported, default=OPSET)


# Which runtimes can run an ONNX file, by its opset, its IR version, and the makers of its operators.
PACKAGES = {  # the package of onnxruntime for a language; a version has the same number everywhere
    "Python": "onnxruntime",
    "Node": "onnxruntime-node",
    "web": "onnxruntime-web",
    "C#": "Microsoft.ML.OnnxRuntime",
    "Java": "com.microsoft.onnxruntime:onnxruntime",
}
_KNOWN = (CONTRIB, ML, "")


def runs_on(file: ModelFile) -> dict[str, Any]:
    """Return who can run a file: ``{onnxruntime, packages, targets, domains, texts, notes}``.

    ``onnxruntime`` is its first version that can, None if none is known; ``targets`` are those of ``export --target``.
    """
    opset, domains = file.opsets.get("", 0), dict[str, list[str]]()
    for domain, name in sorted(file.operators):
        if domain:
            domains.setdefault(domain, []).append(name)
    own = {function.rpartition(".")[::2] for function in file.functions}
    strange = [d for d, names in domains.items() if d not in _KNOWN and any((d, n) not in own for n in names)]
    able = [name for name, newest in TARGETS.items() if opset <= newest and file.ir_version <= IR_OF_OPSET[newest]]
    reads = [name for name in able if name != STANDARD]
    targets = [] if strange else [*reads, *(name for name in able if name == STANDARD and CONTRIB not in domains)]
    inputs = {declared.dtype for declared in file.inputs}
    texts = "string" in inputs | {declared.dtype for declared in file.outputs}
    notes = [f"operators of {d} need a library of whoever made them: {', '.join(domains[d])}" for d in strange]
    if not reads:
        notes.append(f"opset {opset} with IR version {file.ir_version} is newer than graphspec knows of onnxruntime")
    if 0 < opset < OLDEST_OPSET:
        notes.append(f"opset {opset} is older than onnxruntime promises to run ({OLDEST_OPSET})")
    if CONTRIB in domains:
        what = f"operators of onnxruntime itself ({CONTRIB}), which all its full builds have, and no others"
        notes.append(f"{', '.join(domains[CONTRIB])}: {what}")
    if ML in domains:
        notes.append(f"{', '.join(domains[ML])}: operators of {ML}, which runtimes of neural networks alone may lack")
    if texts:
        notes.append("texts are string tensors, which the CPU computes, whatever else a runtime uses")
    if inputs & {"int64", "uint64"}:
        notes.append("in JavaScript, 64-bit integers are BigInt")
    if any(weight.external is not None for weight in file.weights):
        where = "in other files, which must lie beside it; a web page passes them as `externalData`"
        notes.append(f"the weights are {where}")
    return {
        "onnxruntime": reads[0].removeprefix(_ORT) if reads and not strange else None,
        "packages": PACKAGES if reads and not strange else {},
        "targets": targets,
        "domains": domains,
        "texts": texts,
        "notes": notes,
    }


def kernels(file: ModelFile) -> dict[str, list[str]]:
    """Return the operators that graphspec's runtime lacks, and those that it leaves to onnxruntime, as ``domain.Name``."""
    lacks, left = [], []
    for domain, name in sorted(file.operators):
        full_name = f"{domain}.{name}" if domain else name
        if name not in OPS or OPS[name].domain != domain or not OPS[name].exported:
            lacks.append(full_name)
        elif not OPS[name].has_kernel:
            left.append(full_name)
    return {"lacks": lacks, "by_onnxruntime": left}
