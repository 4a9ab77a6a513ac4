"""Write an exported file as a model of a Triton repository: ``<name>/1/model.onnx`` and ``<name>/config.pbtxt``.

The configuration is the text form of the message ``ModelConfig`` of Triton's ``model_config.proto``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphspec.export.folders import refuse_foreign, write_folder
from graphspec.export.quantize_gate import NOTE
from graphspec.export.signature import KEY
from graphspec.graph.ir.graph import STRING

MAX_BATCH = 64
_CONFIG, _MODEL = "config.pbtxt", "1/model.onnx"
_MARK = "# Written by graphspec"
_TYPES = {
    STRING: "TYPE_STRING",
    "float32": "TYPE_FP32",
    "int64": "TYPE_INT64",
    "int32": "TYPE_INT32",
    "uint8": "TYPE_UINT8",
    "bool": "TYPE_BOOL",
}
_V2 = {STRING: "BYTES", "float32": "FP32", "int64": "INT64", "int32": "INT32", "uint8": "UINT8", "bool": "BOOL"}


def model_name(name: str) -> str:
    """Return the name of a spec as the name of a model, which is a folder's: other characters become ``_``."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".") or "model"


def refuse_other(repository: Path, name: str) -> None:
    """Raise UsageError unless the model's folder is new, or one that :func:`write_triton` has written.

    Other models of the repository are not touched.
    """
    from graphspec.base.errors import UsageError

    if repository.exists() and not repository.is_dir():
        raise UsageError(f"{repository} is not a folder; name one for a model repository")
    folder = repository / model_name(name)
    labels = [p.name for p in folder.glob("*_labels.txt")] if folder.is_dir() else []
    refuse_foreign(folder, [_CONFIG, _MODEL, *labels], {_CONFIG: _MARK}, "a model of Triton")


def write_triton(repository: Path, file: Path) -> Path:
    """Add an exported file to a model repository, and return the model's folder. The same file gives the same bytes.

    Raises:
        UsageError: there is another folder of its name.
        OSError: it cannot be written.
    """
    import onnx

    content = file.read_bytes()
    metadata = {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}
    described = json.loads(metadata[KEY])
    refuse_other(repository, described["name"])
    labels = _label_files(described)
    alone = NOTE in metadata and "dynamic" in json.loads(metadata[NOTE])["method"]
    files: dict[str, bytes | str] = {
        _MODEL: content,
        _CONFIG: config(described, {head: name for head, (name, _) in labels.items()}, batches=not alone),
        **dict(labels.values()),
    }
    folder = repository / model_name(described["name"])
    write_folder(folder, files)
    return folder


def config(described: Mapping[str, Any], label_files: Mapping[str, str], *, batches: bool = True) -> str:
    """Return ``config.pbtxt`` for the signature of a file.

    Args:
        label_files: names of files with labels, by head.
        batches: let the server join requests.
    """
    lines = [
        f"{_MARK}; the next export replaces it.",
        f"name: {_quoted(model_name(described['name']))}",
        'backend: "onnxruntime"',
        f"max_batch_size: {MAX_BATCH}",
    ]
    for kind in ("input", "output"):
        blocks = [_tensor(e, label_files.get(e["name"]) if kind == "output" else None) for e in described[f"{kind}s"]]
        lines.append(f"{kind} [\n" + ",\n".join(blocks) + "\n]")
    if batches:
        lines.append("dynamic_batching { }")
    else:
        lines.append("# No dynamic_batching: the ranges of this int8 network are those of a whole batch,")
        lines.append("# so that rows of other requests would change an answer.")
    return "\n".join(lines) + "\n"


def _tensor(entry: Mapping[str, Any], labels: str | None) -> str:
    sizes = [size if isinstance(size, int) else -1 for size in entry["shape"][1:]]
    fields = [f"name: {_quoted(entry['name'])}", f"data_type: {_TYPES[entry['dtype']]}"]
    if sizes:
        fields.append(f"dims: [ {', '.join(map(str, sizes))} ]")
    else:  # a value per row: Triton wants an axis besides the batch
        fields += ["dims: [ 1 ]", "reshape { shape: [ ] }"]
    if labels is not None:
        fields.append(f"label_filename: {_quoted(labels)}")
    return "  {\n" + "\n".join(f"    {field}" for field in fields) + "\n  }"


def _label_files(described: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the name and the content of a file with labels, one in a line, by head: for heads with a value per class."""
    outputs = {entry["name"]: entry for entry in described["outputs"]}
    found = {}
    for name, entry in outputs.items():
        labels: Sequence[str] = outputs.get(f"{name}_label", {}).get("labels", ())
        fits = entry["shape"][1:] == [len(labels)] and all(len(text.splitlines()) == 1 for text in labels)
        if labels and fits:
            found[name] = (f"{model_name(name)}_labels.txt", "".join(f"{text}\n" for text in labels))
    return found


def _quoted(text: str) -> str:
    """Return a string of protobuf's text format."""
    escaped = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escaped.get(c, c) for c in text) + '"'


def v2_request(described: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the example of a signature as a request of the V2 protocol, which Triton, KServe and MLServer answer.

    None for a signature without example, and for an example with missing numbers, for which JSON has no value.
    """
    if described["example"] is None:
        return None
    tensors = []
    for entry in described["inputs"]:
        rows, shape = described["example"]["inputs"][entry["name"]], []
        while isinstance(rows, list):
            shape.append(len(rows))
            rows = rows[0] if rows else None
        data = _flat(described["example"]["inputs"][entry["name"]])
        if None in data:
            return None
        if len(shape) == 1:
            shape.append(1)
        tensors.append({"name": entry["name"], "shape": shape, "datatype": _V2[entry["dtype"]], "data": data})
    return {"inputs": tensors}


def _flat(value: Any) -> list[Any]:
    return [leaf for each in value for leaf in _flat(each)] if isinstance(value, list) else [value]
