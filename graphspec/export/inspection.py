"""What a file or a run is, as one record: inputs, outputs, an example, sizes, operators, proof, spec, and who can run it.

Nothing is run, and no weight is read. The file is untrusted: its texts are cut, and what it claims is compared with what it
has (``problems``).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from graphspec.base.errors import GraphspecError
from graphspec.data.signature import data_signature
from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.differences import Change, changes
from graphspec.engine.compiler.lowered_network import Lowered, cost
from graphspec.export.onnx import KEY, NOTE, bound_text, missing_mark, target_unit
from graphspec.export.targets import kernels, runs_on
from graphspec.graph.ir.graph import STRING
from graphspec.graph.onnx_session import sanitized
from graphspec.language.declarations import LABEL, Spec
from graphspec.language.read import MAX_BYTES
from graphspec.vocabulary.onnx_files.model_file import (
    Declared,
    ModelFile,
    Weight,
    leads_out,
    read_model_file,
    unreadable,
)

FORMAT = 1
_MAX_KNOWN = 100  # known values of an input that the record lists
_MAX_METADATA = 400  # characters of a foreign text
_OF_INPUTS, _OF_OUTPUTS = ("column", "missing", "ids", "known", "usual"), ("labels", "target")
"""What only a file of graphspec says of an input and of an output; None in the record of another file."""
_COSTS = ("parameters", "trainable", "multiply_adds", "assumed_lengths")
OWN_KEYS = ("graphspec_version", "spec", "spec_sha256", "labels", "adapted", "proof", KEY, NOTE)


def inspect_file(path: Path) -> dict[str, Any]:
    """Return the record of an ONNX file, of graphspec or of another program; errors as for :func:`record_and_spec`."""
    return record_and_spec(path)[0]


def record_and_spec(path: Path) -> tuple[dict[str, Any], Spec | None]:
    """Return the record of an ONNX file, and the spec in it, None without a valid one.

    Raises:
        SpecError: GS703, it is not an ONNX model, is truncated, contradicts itself, or names weights outside its folder.
        OSError: it does not exist, or cannot be read.
    """
    file = read_model_file(path)
    external = _external(path, file)
    operators = sorted(file.operators.items(), key=lambda item: (item[0][0], -item[1], item[0]))
    record: dict[str, Any] = {
        "format": FORMAT,
        "kind": "onnx",
        "file": str(path),
        "bytes": file.nbytes,
        "name": file.name,
        "description": file.doc,
        "producer": {"name": file.producer, "version": file.producer_version, "domain": file.domain},
        "model_version": file.model_version,
        "ir_version": file.ir_version,
        "opset": file.opsets.get(""),
        "domains": {domain or "ai.onnx": version for domain, version in file.opsets.items()},
        "inputs": [_tensor(declared, dict.fromkeys(_OF_INPUTS)) for declared in file.inputs],
        "outputs": [_tensor(declared, dict.fromkeys(_OF_OUTPUTS)) for declared in file.outputs],
        "symbols": sorted({d for i in (*file.inputs, *file.outputs) for d in i.shape or () if isinstance(d, str)}),
        "example": None,
        "weights": totals((w.dtype, w.elements, w.nbytes) for w in file.weights),
        "external_data": external,
        **dict.fromkeys(_COSTS),
        "operators": [{"domain": d or "ai.onnx", "name": name, "count": count} for (d, name), count in operators],
        "functions": file.functions,
        "subgraphs": file.subgraphs,
        "runtime": kernels(file),
        "runs_on": runs_on(file),
        "spec": None,
        "proof": None,
        "quantization": None,
        "metadata": {k: cut(v) for k, v in file.metadata.items() if k not in OWN_KEYS},
        "problems": [f"'{e['file']}' {e['problem']}" for e in external if e["problem"]],
    }
    return record, _add_own(record, file) if "spec" in file.metadata else None


def _tensor(of: Declared, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of an input or an output: what all have, and its own."""
    sizes = None if of.shape is None else [d if d is None or isinstance(d, int) else str(d) for d in of.shape]
    return {"name": of.name, "kind": of.kind, "dtype": of.dtype, "shape": sizes, "description": of.doc, **own}


def foreign_record(path: Path, kind: str, name: str, **own: Any) -> dict[str, Any]:
    """Return the record of a file that is no ONNX file: what all have, and its own."""
    shared = {"format": FORMAT, "kind": kind, "file": str(path), "bytes": path.stat().st_size, "name": sanitized(name)}
    return {**shared, "description": "", **own, "problems": []}


def totals(arrays: Iterable[tuple[str, int | None, int | None]]) -> dict[str, Any]:
    """Return ``{count, elements, bytes, dtypes}`` of arrays, each with its dtype, number of elements and bytes."""
    nbytes, elements, count = Counter[str](), Counter[str](), 0
    for dtype, size, length in arrays:
        count += 1
        nbytes[dtype] += length or 0
        elements[dtype] += size or 0
    return {
        "count": count,
        "elements": sum(elements.values()),
        "bytes": sum(nbytes.values()),
        "dtypes": {t: {"elements": elements[t], "bytes": nbytes[t]} for t, _ in nbytes.most_common()},
    }


def _external(path: Path, file: ModelFile) -> list[dict[str, Any]]:
    """Return the files that have weights, unopened: ``{file, bytes, needed, problem}``; one outside the folder is GS703."""
    needed: dict[str, int] = {}
    for weight in file.weights:
        if weight.external is None:
            continue
        name, offset, length = weight.external
        if leads_out(name, path.parent, path.parent):
            raise unreadable(path, f"has weights in '{sanitized(name)}', which is outside its folder")
        if length is not None and length < weight.nbytes:
            text = f"has {length:,} bytes for the weight '{sanitized(weight.name)}', which needs {weight.nbytes:,}"
            raise unreadable(path, text)
        needed[name] = max(needed.get(name, 0), offset + (weight.nbytes if length is None else length))
    records = []
    for name, size in needed.items():
        other = path.parent / name
        have, problem = None, "is missing" if not other.is_file() else None
        if problem is None and (have := other.stat().st_size) < size:
            problem = f"has {have:,} bytes, and the model needs {size:,}"
        records.append({"file": name, "bytes": have, "needed": size, "problem": problem})
    return records


def cut(text: str) -> str:
    """Return a foreign text, shortened if it is long."""
    return text if len(text) <= _MAX_METADATA else f"{text[:_MAX_METADATA]}… ({len(text):,} characters)"


# Files of graphspec.
def _add_own(record: dict[str, Any], file: ModelFile) -> Spec | None:
    """Add what the metadata of a file say, and return its spec. What does not have its form is left out, and said."""
    document = _document(file)
    if document is None:
        record["problems"].append("its spec is not a JSON mapping, or is too large")
        return None
    sha256 = hashlib.sha256(json.dumps(document, sort_keys=True).encode(errors="replace")).hexdigest()
    if sha256 != file.metadata.get("spec_sha256"):
        record["problems"].append("its spec is not the one whose hash it names")
    record["kind"] = "graphspec"
    record["spec"] = {
        "name": str(document.get("name", "")),
        "sha256": sha256,
        "graphspec_version": sanitized(file.metadata.get("graphspec_version", "")),
        "rows_learnt_from": None,
    }
    proof, quantization, signature, learnt = map(file.json, ("proof", NOTE, KEY, "adapted"))
    record["proof"] = proof if isinstance(proof, dict) else None
    record["quantization"] = quantization if isinstance(quantization, dict) else None
    try:
        adapted = Adapted.of_json(learnt) if learnt is not None else Adapted()
        checked = check(document, allow_outside=True, adapted=adapted, draws=False)
        spec, lowered = checked.require()
    except (GraphspecError, ValueError) as error:
        text = sanitized(str(error).splitlines()[0], _MAX_METADATA)
        record["problems"].append(f"its spec is not valid for this version of graphspec: {text}")
        return None
    network = network_record(spec, lowered)
    record |= {key: network[key] for key in _COSTS}
    record["spec"]["rows_learnt_from"] = adapted.rows or None
    _merge(record["inputs"], network["inputs"])
    _merge(record["outputs"], network["outputs"])
    if isinstance(signature, dict):
        _merge(record["inputs"], signature.get("inputs"), ("column", "missing", "usual"))
        example = signature.get("example")
        parts = [example.get(key) for key in ("inputs", "outputs")] if isinstance(example, dict) else [None]
        record["example"] = example if all(isinstance(part, dict) for part in parts) else None
    own, real = ({(i["name"], i["dtype"]) for i in r["inputs"]} for r in (network, record))
    if not real <= own:
        record["problems"].append("its inputs are not those of its spec")
    return spec


def contained_spec(path: Path) -> tuple[dict[str, Any], Adapted] | None:
    """Return the spec that a file contains, and what its network has learnt; None for a file of another program.

    Raise SpecError (GS703) as :func:`inspect_file`, or if the record of what was learnt is damaged.
    """
    file = read_model_file(path)
    if (document := _document(file)) is None:
        return None
    try:
        return document, Adapted() if (learnt := file.json("adapted")) is None else Adapted.of_json(learnt)
    except ValueError as error:
        raise unreadable(path, f"has a wrong record of what the network has learnt: {error}") from None


def _document(file: ModelFile) -> dict[str, Any] | None:
    document = file.json("spec")
    return document if isinstance(document, dict) and len(file.metadata["spec"]) <= MAX_BYTES else None


def _merge(records: list[dict[str, Any]], others: Any, keys: Sequence[str] | None = None) -> None:
    """Add to each record the keys of the other one with the same name; what it has already stays."""
    others = others if isinstance(others, list) else []
    by_name = {r["name"]: r for r in others if isinstance(r, dict) and isinstance(r.get("name"), str)}
    for record in records:
        other = by_name.get(record["name"], {})
        for key in keys or other:
            if key in other and record.get(key) in (None, ""):
                record[key] = other[key]


# Networks.
def network_record(spec: Spec, lowered: Lowered) -> dict[str, Any]:
    """Return a spec's network: ``{inputs, outputs, parameters, trainable, …}``, numbers None if still to be learnt."""
    graph, needed = lowered.graph, data_signature(spec, lowered.graph)
    inputs = []
    for name, value in graph.without_losses().inputs.items():
        limits = needed.limits.get(name)
        own: dict[str, Any] = {
            "column": needed.columns.get(name, name),
            "missing": missing_mark(name, value, needed),
            "ids": None if limits is None else [int(limits.low), int(limits.high)],
            "known": known_values(spec, name),
            "usual": None,
        }
        inputs.append(_tensor(Declared(name, "tensor", value.dtype, value.shape, spec.inputs[name].description), own))
    outputs = []
    for name, value in graph.outputs.items():
        head, end = spec.head_of(name)
        own = {"labels": head.labels, "target": target_unit(head)}
        description = bound_text(head, end) if end else head.description
        outputs.append(_tensor(Declared(name, "tensor", value.dtype, value.shape, description), own))
        if head.labels is not None:
            label = Declared(name + LABEL, "tensor", STRING, value.shape[:-1])
            outputs.append(_tensor(label, {"labels": head.labels, "target": None}))
    costs = None if graph.learnt else cost(spec, lowered, 1)
    total = None if costs is None else costs.total()
    numbers = (None,) * 3 if total is None else (total.trainable + total.frozen, total.trainable, total.multiply_adds)
    costs_record = dict(zip(_COSTS, (*numbers, {} if costs is None else costs.lengths), strict=True))
    return {"inputs": inputs, "outputs": outputs, **costs_record}


def known_values(spec: Spec, name: str) -> dict[str, Any] | None:
    """Return the vocabulary of the lookups of an input: ``{count, values}`` with the first values, None without any."""
    reached, values = {name}, dict[Any, None]()
    for node in spec.nodes:  # a record's nodes stand in the order in which they are computed
        if not any(ref is not None and ref.name in reached for ref in node.inputs):
            continue
        vocabulary = getattr(node.layer, "vocabulary", None)
        if isinstance(vocabulary, list | tuple):
            values |= dict.fromkeys(vocabulary)
        elif len(node.inputs) == 1 and not node.written:
            reached.add(node.name)
    return {"count": len(values), "values": list(values)[:_MAX_KNOWN]} if values else None


# What differs between two ONNX files beside their specs: opset, operators, declared values, and the bytes of weights.
_CHUNK = 1 << 20  # bytes that are compared at a time
_MAX_NAMED = 5  # weights that differ and are named


def file_differences(old: Path, new: Path, *, declared: bool = True) -> list[Change]:
    """Compare two files (:func:`inspect_file`); ``declared``: inputs and outputs, too, of which our specs say more."""
    a, b = (_settings(inspect_file(path), declared=declared) for path in (old, new))
    return changes(a, b)


def _settings(record: Mapping[str, Any], *, declared: bool) -> dict[str, Any]:
    settings = {
        "ir_version": record["ir_version"],
        "opset": record["domains"],
        "producer": " ".join(filter(None, (record["producer"]["name"], record["producer"]["version"]))),
        "model_version": record["model_version"],
        "operators": {_operator(op): op["count"] for op in record["operators"]},
        "weights": {key: record["weights"][key] for key in ("count", "bytes")},
        "metadata": record["metadata"],
    }
    if declared:
        settings |= {"name": record["name"], "description": record["description"]}
        settings |= {key: {v["name"]: _type_text(v) for v in record[key]} for key in ("inputs", "outputs")}
    return settings


def _operator(op: Mapping[str, Any]) -> str:
    return str(op["name"]) if op["domain"] == "ai.onnx" else f"{op['domain']}.{op['name']}"


def _type_text(value: Mapping[str, Any]) -> str:
    if value["kind"] != "tensor":
        return str(value["kind"])
    sizes = ["?" if d is None else str(d) for d in value["shape"] or ()]
    return f"{value['dtype']} " + ("any shape" if value["shape"] is None else f"({', '.join(sizes)})")


def weight_differences(old: Path, new: Path) -> dict[str, Any]:
    """Compare the bytes of weights by name, in other files their places: ``{compared, different, names}``."""
    a, b = ({w.name: w for w in read_model_file(path).weights if w.name} for path in (old, new))
    shared = [name for name in a if name in b]
    with (
        old.open("rb") as first,
        new.open("rb") as second,
        mmap(first.fileno(), 0, access=ACCESS_READ) as x,
        mmap(second.fileno(), 0, access=ACCESS_READ) as y,
    ):
        different = [name for name in shared if not _same(x, a[name], y, b[name])]
    return {"compared": len(shared), "different": len(different), "names": different[:_MAX_NAMED]}


def _same(x: mmap, old: Weight, y: mmap, new: Weight) -> bool:
    """Return whether two tensors have the same bytes, a chunk at a time."""
    (start, stop), (other, end) = old.span, new.span
    if stop - start != end - other:
        return False
    places = ((k, min(k + _CHUNK, stop), other - start) for k in range(start, stop, _CHUNK))
    return all(x[first:last] == y[first + shift : last + shift] for first, last, shift in places)
