"""What a file of weights is: its arrays by module, whose layout they have, and whether a network can start from them.

Only descriptions are read; of the file's texts the names, and of safetensors the metadata.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from graphspec.base.arrays.array_files import ArrayFile, arrays_in, metadata_in
from graphspec.base.errors import Diagnostic, ProblemError, SpecError
from graphspec.export.inspection import FORMAT, cut
from graphspec.graph.onnx_session import sanitized

SUFFIXES = (".safetensors", ".npz")
_KERAS = frozenset(
    ["kernel", "bias", "embeddings", "gamma", "beta", "moving_mean", "moving_variance", "alpha", "scale"]
)
_KERNELS = "_kernel"
_TORCH = ("weight", "running_mean", "running_var", "in_proj_weight", "weight_ih_l0", "weight_hh_l0")
_FLOATS = ("float16", "float32", "float64", "bfloat16", ">f4", ">f8")


def weights_record(path: Path) -> dict[str, Any]:
    """Return the record of a file ``.safetensors`` or ``.npz``.

    Raises:
        SpecError: GS501, it is damaged, or has another format; GS504, it contains Python objects.
    """
    try:
        arrays = arrays_in(path)
        metadata = metadata_in(path) if path.name.lower().endswith(SUFFIXES[0]) else {}
    except ProblemError as error:
        problem = error.problem
        text = f"'{path.name}' {problem.message}"
        raise SpecError([Diagnostic(problem.code, text, file=str(path), hint=problem.hint)]) from None
    listed = [_described(name, array) for name, array in arrays.items()]
    layout = layout_of(arrays)
    return {
        "format": FORMAT,
        "kind": "weights",
        "file": str(path),
        "bytes": path.stat().st_size,
        "name": "",
        "description": "",
        "container": path.suffix.lower()[1:],
        "weights": totals(listed),
        "arrays": listed,
        "layout": layout,
        "metadata": {sanitized(key): cut(value) for key, value in metadata.items()},
        "uses": [_use(path, listed, layout)],
        "problems": [],
    }


def totals(arrays: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return ``{count, elements, bytes, dtypes}`` of arrays with ``dtype``, ``elements`` and ``bytes``."""
    nbytes, elements, found = Counter[str](), Counter[str](), 0
    for array in arrays:
        found += 1
        nbytes[array["dtype"]] += array["bytes"] or 0
        elements[array["dtype"]] += array["elements"] or 0
    return {
        "count": found,
        "elements": sum(elements.values()),
        "bytes": sum(nbytes.values()),
        "dtypes": {t: {"elements": elements[t], "bytes": nbytes[t]} for t, _ in nbytes.most_common()},
    }


def layout_of(names: Iterable[str]) -> str | None:
    """Return ``torch`` or ``keras`` for names as these programs give them; graphspec's own names are like Keras's.

    >>> layout_of(["encoder.0.weight", "encoder.0.bias"]), layout_of(["dense/kernel"]), layout_of(["w", "b"])
    ('torch', 'keras', None)
    """
    torch = keras = 0
    for name in names:
        last = name.rpartition("/")[2]
        if "/" in name and (last in _KERAS or last.endswith(_KERNELS)):
            keras += 1
        elif name.rpartition(".")[2] in _TORCH and "/" not in name:
            torch += 1
    return None if not torch and not keras else "torch" if torch > keras else "keras"


def _described(name: str, array: ArrayFile | str) -> dict[str, Any]:
    if isinstance(array, str):
        return {"name": name, "dtype": sanitized(array), "shape": None, "elements": None, "bytes": None}
    size = array.dtype.itemsize
    dtype = "bfloat16" if array.halves else sanitized(str(array.dtype))
    elements = array.nbytes // size if size else 0
    return {"name": name, "dtype": dtype, "shape": list(array.shape), "elements": elements, "bytes": array.nbytes}


def _use(path: Path, arrays: list[dict[str, Any]], layout: str | None) -> dict[str, Any]:
    """Return whether a network can start from the arrays: those that are floats."""
    floats, others = list[str](), list[str]()
    for array in arrays:
        is_float = array["shape"] is not None and array["dtype"] in _FLOATS
        (floats if is_float else others).append(array["name"])
    value = f"{{file: {path.name}, layout: torch}}" if layout == "torch" else path.name
    reasons = []
    if not floats:
        what = "it has no arrays" if not arrays else "none of its arrays are floats"
        reasons.append({"code": None, "place": None, "message": what, "hint": None})
    return {
        "use": "initial_weights",
        "possible": bool(floats),
        "how": f"initial_weights: {value}",
        "reasons": reasons,
        "arrays": len(floats),
        "others": others,
    }
