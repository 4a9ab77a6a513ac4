"""What differs between two ONNX files beside their specs: opset, operators, declared values, and the bytes of weights."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from graphspec.engine.compiler.differences import Change, changes
from graphspec.export.inspection import inspect_file
from graphspec.export.model_file import Weight, read_model_file

_CHUNK = 1 << 20  # bytes that are compared at a time
_MAX_NAMED = 5  # weights that differ and are named


def file_differences(old: Path, new: Path, *, declared: bool = True) -> list[Change]:
    """Compare two files.

    Args:
        declared: whether inputs and outputs are compared, too. The specs of files of graphspec say more of them.

    Raises:
        SpecError: GS703, a file is not an ONNX model, or contradicts itself.
    """
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
        settings |= {key: {v["name"]: _declared(v) for v in record[key]} for key in ("inputs", "outputs")}
    return settings


def _operator(op: Mapping[str, Any]) -> str:
    return str(op["name"]) if op["domain"] == "ai.onnx" else f"{op['domain']}.{op['name']}"


def _declared(value: Mapping[str, Any]) -> str:
    sizes = (
        "any shape"
        if value["shape"] is None
        else f"({', '.join('?' if d is None else str(d) for d in value['shape'])})"
    )
    return f"{value['dtype']} {sizes}" if value["kind"] == "tensor" else str(value["kind"])


def weight_differences(old: Path, new: Path) -> dict[str, Any]:
    """Compare the bytes of weights with the same name: ``{compared, different, names}``.

    Weights in other files are compared by their place there.
    """
    a, b = ({w.name: w for w in read_model_file(path).weights if w.name} for path in (old, new))
    shared = [name for name in a if name in b]
    with ExitStack() as stack:
        x, y = (_mapped(stack, path) for path in (old, new))
        different = [name for name in shared if not _same(x, a[name], y, b[name])]
    return {"compared": len(shared), "different": len(different), "names": different[:_MAX_NAMED]}


def _mapped(stack: ExitStack, path: Path) -> mmap:
    file = stack.enter_context(path.open("rb"))
    return stack.enter_context(mmap(file.fileno(), 0, access=ACCESS_READ))


def _same(x: mmap, old: Weight, y: mmap, new: Weight) -> bool:
    """Return whether two tensors have the same bytes, a chunk at a time."""
    (start, stop), (other, end) = old.span, new.span
    if stop - start != end - other:
        return False
    places = ((k, min(k + _CHUNK, stop), other - start) for k in range(start, stop, _CHUNK))
    return all(x[first:last] == y[first + shift : last + shift] for first, last, shift in places)
