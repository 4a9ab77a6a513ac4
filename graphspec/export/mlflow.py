"""Write an exported file as a folder that MLflow loads: flavors ``onnx`` and ``python_function``. MLflow is not needed.

MLflow's own loader cannot feed records: each column is an input ``(N, 1)`` here, and gaps need a value. A module of this
folder, :mod:`graphspec.export.mlflow_loader`, does it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphspec.export.folders import refuse_foreign, write_folder
from graphspec.export.quantize_gate import NOTE
from graphspec.export.signature import KEY
from graphspec.graph.ir.graph import STRING

MODEL, DATA = "MLmodel", "model.onnx"
_LOADER = "graphspec_pyfunc_1"  # MLflow keeps one module of a name: another version needs another one
_CODE = f"code/{_LOADER}.py"
_EXAMPLE, _REQUEST = "input_example.json", "serving_input_example.json"
_MIN_MLFLOW = "mlflow>=2.20"  # knows the type `any`
_TEXTS = ("requirements.txt", "conda.yaml", "python_env.yaml")
_NAMES = (MODEL, DATA, _CODE, _EXAMPLE, _REQUEST, *_TEXTS)
_COLUMNS = {STRING: "string", "int64": "long", "int32": "integer", "uint8": "integer", "bool": "boolean"}
"""MLflow's types of columns. Floats are ``any``: MLflow refuses whole numbers of pandas for a column of floats."""


def refuse_other(folder: Path) -> None:
    """Raise UsageError unless the folder is new, empty, or one that :func:`write_mlflow` has written."""
    refuse_foreign(folder, _NAMES, {MODEL: f"loader_module: {_LOADER}"}, "an MLflow model")


def write_mlflow(folder: Path, file: Path) -> Path:
    """Write the folder for an exported file, and return it. The same file gives the same bytes.

    Raises:
        UsageError: the folder has other files.
        OSError: it cannot be written.
    """
    import onnx

    refuse_other(folder)
    content = file.read_bytes()
    metadata = {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}
    described, table = json.loads(metadata[KEY]), _is_table(json.loads(metadata[KEY]))
    example = described["example"]
    files: dict[str, bytes | str] = {
        DATA: content,
        _CODE: (Path(__file__).parent / "mlflow_loader.py").read_bytes(),
        **_requirements(_proof(metadata)),
    }
    if example is not None:
        row = _row(described) if table else _arrays(described)
        files[_EXAMPLE] = json.dumps(row, ensure_ascii=False)
        files[_REQUEST] = json.dumps({"dataframe_split" if table else "inputs": row}, ensure_ascii=False)
    entry = _model(described, table, hashlib.sha256(content).hexdigest()[:32], len(content), example is not None)
    files[MODEL] = _yaml(entry)
    write_folder(folder, files)
    return folder


def _proof(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the proof of the file, or of the float32 file that it was quantized from."""
    found: Mapping[str, Any] = (
        json.loads(metadata[NOTE])["proof_of_float32"] if NOTE in metadata else json.loads(metadata["proof"])
    )
    return found


def _is_table(described: Mapping[str, Any]) -> bool:
    """Return whether each input is one value per row."""
    return all(entry["shape"][1:] in ([], [1]) for entry in described["inputs"])


def _model(described: Mapping[str, Any], table: bool, digest: str, size: int, has_example: bool) -> dict[str, Any]:
    import onnx

    schema = {
        "inputs": json.dumps([_column(e) if table else _tensor(e) for e in described["inputs"]], ensure_ascii=False),
        "outputs": json.dumps([_cells(e) if table else _tensor(e) for e in described["outputs"]], ensure_ascii=False),
        "params": None,
    }
    entry: dict[str, Any] = {
        "flavors": {
            "onnx": {
                "code": None,
                "data": DATA,
                "onnx_session_options": None,
                "onnx_version": onnx.__version__,
                "providers": ["CPUExecutionProvider"],
            },
            "python_function": {
                "code": "code",
                "data": DATA,
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": _LOADER,
                "python_version": "3.11",
            },
        },
        "model_size_bytes": size,
        "model_uuid": digest,
        "signature": schema,
    }
    if has_example:
        info = {"artifact_path": _EXAMPLE, "serving_input_path": _REQUEST}
        kind = {"type": "dataframe", "pandas_orient": "split"} if table else {"type": "ndarray", "format": "tf-serving"}
        entry["saved_input_example_info"] = info | kind
    return entry


def _column(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input as MLflow's column. Whole numbers that may be missing are ``any``: MLflow has no gaps in ``long``."""
    kind = _COLUMNS.get(entry["dtype"], "any")
    if entry["missing"] is not None and kind != "string":
        kind = "any"
    return {"type": kind, "name": entry["name"], "required": True}


def _cells(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an output as MLflow's column: one value per row, or a list of them."""
    kind: Any = {"type": _COLUMNS.get(entry["dtype"], "float")}
    sizes = [] if entry.get("join") else entry["shape"][1:]
    for _ in [] if sizes == [1] else sizes:
        kind = {"type": "array", "items": kind}
    return {**kind, "name": entry["name"], "required": True}


def _tensor(entry: Mapping[str, Any]) -> dict[str, Any]:
    sizes = [-1] if entry.get("join") else [d if isinstance(d, int) else -1 for d in entry["shape"]]
    dtype = "str" if entry["dtype"] == STRING else entry["dtype"]
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": sizes}, "name": entry["name"]}


def _row(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example as pandas writes a table, ``orient="split"``."""
    inputs = described["example"]["inputs"]
    cells = [values[0][0] if isinstance(values[0], list) else values[0] for values in inputs.values()]
    return {"columns": list(inputs), "data": [cells]}


def _arrays(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example as lists by input. A missing integer is the number that stands for it: arrays have no gaps."""

    def filled(value: Any, missing: int) -> Any:
        if isinstance(value, list):
            return [filled(each, missing) for each in value]
        return missing if value is None else value

    rows, whole = described["example"]["inputs"], {e["name"]: e["missing"] for e in described["inputs"]}
    return {n: filled(v, whole[n]) if isinstance(whole[n], int) else v for n, v in rows.items()}


def _requirements(proof: Mapping[str, Any]) -> dict[str, bytes | str]:
    """Return the files that name the packages: the onnxruntime of the proof, and what the loader needs."""
    packages = [_MIN_MLFLOW, "numpy", f"onnxruntime=={proof['onnxruntime']}", "pandas"]
    inner = {"pip": packages}
    return {
        "requirements.txt": "".join(f"{package}\n" for package in packages),
        "conda.yaml": _yaml(
            {"channels": ["conda-forge"], "dependencies": ["python=3.11", "pip", inner], "name": "mlflow-env"}
        ),
        "python_env.yaml": _yaml(
            {"python": "3.11", "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
        ),
    }


def _yaml(value: Any) -> str:
    from ruamel.yaml import YAML

    writer, text = YAML(typ="safe"), io.StringIO()
    writer.default_flow_style, writer.width = False, 1 << 20
    writer.dump(value, text)
    return text.getvalue()
