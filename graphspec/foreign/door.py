"""One door for files of other programs: what a file is, what it has, and what can be done with it here.

`inspect` prints the record of a file, `import` makes a spec of it. Nothing in a file is run; of weights, only descriptions
are read. How much a file may make us read says :class:`graphspec.base.budget.Budget`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from graphspec.base.arrays.array_files import ArrayFile, arrays_in, metadata_in
from graphspec.base.errors import Diagnostic, ProblemError, SpecError
from graphspec.base.files import is_regular
from graphspec.export.inspection import cut, foreign_record, inspect_file, totals
from graphspec.foreign.inspecting.lines import reason, use
from graphspec.graph.onnx_session import sanitized

Kind = Literal["keras", "weights"]
KERAS = (".keras", ".h5", ".hdf5", ".json")  # suffixes of models that Keras saved
SAFETENSORS = ".safetensors"
_KERAS_ROLES = {"kernel", "bias", "embeddings", "gamma", "beta", "moving_mean", "moving_variance", "alpha", "scale"}
_KERNELS = "_kernel"
_TORCH_ROLES = ("weight", "running_mean", "running_var", "in_proj_weight", "weight_ih_l0", "weight_hh_l0")
_FLOATS = ("float16", "float32", "float64", "bfloat16", ">f4", ">f8")
_BEGINNING = 1 << 16  # bytes of a JSON text that are looked at


def kind_of(path: Path) -> Kind | None:
    """Return what a file of another program is, by its suffix, and of a JSON text by its keys; None for anything else."""
    suffix = path.suffix.lower()
    if suffix in (SAFETENSORS, ".npz"):
        return "weights"
    return "keras" if suffix in KERAS and (suffix != ".json" or (is_regular(path) and _is_model(path))) else None


def _is_model(path: Path) -> bool:
    """Return whether a JSON text begins like a configuration of Keras, with a key ``class_name`` or ``config``."""
    try:
        with path.open("rb") as file:
            text = file.read(_BEGINNING).decode(errors="replace")
        before, _, rest = text.partition("{")
        key, _ = json.JSONDecoder().raw_decode(rest.lstrip(" \t\r\n"))
    except (OSError, ValueError, RecursionError):
        return False
    is_first = not before.strip(" \t\r\n\ufeff")
    return is_first and key in ("class_name", "config", "module", "registered_name", "keras_version", "backend")


def record_of(path: Path, kind: Kind | None) -> dict[str, Any]:
    """Return what a file has: ``{kind, name, inputs, outputs, weights, uses, problems, …}``, and more for each kind.

    ``kind``: what :func:`kind_of` says; None for an ONNX file, also one of graphspec.

    Raises SpecError: GS501, GS504, GS703, GS801 or GS802: the file is damaged, hostile, or of another format;
    UsageError: it cannot be read, or a library is not installed.
    """
    if kind == "weights":
        return weights_record(path)
    if kind == "keras":
        from graphspec.foreign.inspecting.keras_file import keras_record

        return keras_record(path)
    from graphspec.foreign.inspecting.onnx_uses import onnx_uses

    return inspect_file(path) | {"uses": onnx_uses(path)}


# Weights.


def weights_record(path: Path) -> dict[str, Any]:
    """Return the record of a file ``.safetensors`` or ``.npz``.

    Raises SpecError: GS501, it is damaged, or has another format; GS504, it contains Python objects.
    """
    try:
        arrays = arrays_in(path)
        metadata = metadata_in(path) if path.name.lower().endswith(SAFETENSORS) else {}
    except ProblemError as error:
        problem = error.problem
        text = f"'{path.name}' {problem.message}"
        raise SpecError([Diagnostic(problem.code, text, file=str(path), hint=problem.hint)]) from None
    listed = [_described(name, array) for name, array in arrays.items()]
    layout = layout_of(arrays)
    value = f"{{file: {path.name}, layout: torch}}" if layout == "torch" else path.name
    others = [array["name"] for array in listed if array["shape"] is None or array["dtype"] not in _FLOATS]
    floats = len(listed) - len(others)  # a network can start from these
    reasons = [] if floats else [reason("none of its arrays are floats" if arrays else "it has no arrays")]
    return foreign_record(
        path,
        "weights",
        "",
        container=path.suffix.lower()[1:],
        weights=totals((a["dtype"], a["elements"], a["bytes"]) for a in listed),
        arrays=listed,
        layout=layout,
        metadata={sanitized(key): cut(value) for key, value in metadata.items()},
        uses=[use("initial_weights", f"initial_weights: {value}", reasons, arrays=floats, others=others)],
    )


def layout_of(names: Iterable[str]) -> str | None:
    """Return ``torch`` or ``keras`` for names as these programs give them; graphspec's own names are like Keras's.

    >>> layout_of(["encoder.0.weight", "encoder.0.bias"]), layout_of(["dense/kernel"]), layout_of(["w", "b"])
    ('torch', 'keras', None)
    """
    torch = keras = 0
    for name in names:
        last = name.rpartition("/")[2]
        if "/" in name and (last in _KERAS_ROLES or last.endswith(_KERNELS)):
            keras += 1
        elif name.rpartition(".")[2] in _TORCH_ROLES and "/" not in name:
            torch += 1
    return None if not torch and not keras else "torch" if torch > keras else "keras"


def _described(name: str, array: ArrayFile | str) -> dict[str, Any]:
    if isinstance(array, str):
        return {"name": name, "dtype": sanitized(array), "shape": None, "elements": None, "bytes": None}
    size = array.dtype.itemsize
    dtype = "bfloat16" if array.halves else sanitized(str(array.dtype))
    elements = array.nbytes // size if size else 0
    return {"name": name, "dtype": dtype, "shape": list(array.shape), "elements": elements, "bytes": array.nbytes}
