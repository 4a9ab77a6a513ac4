"""Write an exported file as a folder for a server: of MLflow, or of Triton. A folder is written as a whole.

One that graphspec has written before is replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from graphspec.base.errors import UsageError
from graphspec.base.files import make_folder, new_folder, write_atomic
from graphspec.export.onnx import KEY, NOTE
from graphspec.graph.ir.graph import STRING
from graphspec.language.write import write_yaml
from graphspec.vocabulary.onnx_files.model_file import read_model_file


def refuse_foreign(folder: Path, names: Iterable[str], marks: Mapping[str, str], what: str) -> None:
    """Raise UsageError for a place that must not be replaced by ``what``: a file, or a folder with files of others.

    ``names`` are the files that we write into the folder, ``marks`` texts that files of ours contain, by their names.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name one for {what}")
    present = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())
    present = [name for name in present if "__pycache__" not in name.split("/")]  # of a loader that has run
    other = sorted({*present} - {*names})
    ours = all(_contains(folder / name, text) for name, text in marks.items())
    if present and (other or not ours):
        why = f"it has {other[0]}" if other else "graphspec has not written it"
        raise UsageError(f"{folder} is not replaced by {what}: {why}; name a new folder")


def _contains(path: Path, text: str) -> bool:
    try:
        return text in path.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return False


def write_folder(folder: Path, files: Mapping[str, bytes | str]) -> None:
    """Write a folder of files by relative path. An old one, ours, is replaced at the end; after an OSError it stays."""
    target = Path(os.path.realpath(folder))
    # Names of leftovers, see graphspec.base.files.
    fresh, aside = (target.with_name(f".graphspec-{os.urandom(6).hex()}.tmp") for _ in range(2))
    try:
        with new_folder(fresh) as temporary:
            for name, content in files.items():
                make_folder((temporary / name).parent)
                write_atomic(temporary / name, content)
        if target.exists():
            target.rename(aside)
        fresh.rename(target)
    except OSError as error:
        error.filename, error.filename2 = str(folder), None
        raise
    finally:
        if aside.exists() and not target.exists():  # after an error the old folder has its name again
            aside.rename(target)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


# Write an exported file as a folder that MLflow loads: flavors ``onnx`` and ``python_function``. MLflow is not needed, and
# its own loader cannot feed records: each column is an input ``(N, 1)`` here, and gaps need a value. A module of this
# folder, :mod:`graphspec.export.mlflow_loader`, does it.
_json = partial(json.dumps, ensure_ascii=False)
MODEL, DATA = "MLmodel", "model.onnx"
_LOADER = "graphspec_pyfunc_1"  # MLflow keeps one module of a name: another version needs another one
_CODE = f"code/{_LOADER}.py"
_EXAMPLE, _REQUEST = "input_example.json", "serving_input_example.json"
_MIN_MLFLOW = "mlflow>=2.20"  # knows the type `any`
_TEXTS = ("requirements.txt", "conda.yaml", "python_env.yaml")
_NAMES = (MODEL, DATA, _CODE, _EXAMPLE, _REQUEST, *_TEXTS)
_COLUMNS = {STRING: "string", "int64": "long", "int32": "integer", "uint8": "integer", "bool": "boolean"}
"""MLflow's types of columns. Floats are ``any``: MLflow refuses whole numbers of pandas for a column of floats."""


def refuse_not_mlflow(folder: Path) -> None:
    """Raise UsageError unless the folder is new, empty, or one that :func:`write_mlflow` has written."""
    refuse_foreign(folder, _NAMES, {MODEL: f"loader_module: {_LOADER}"}, "an MLflow model")


def write_mlflow(folder: Path, file: Path) -> Path:
    """Write the folder for an exported file, and return it: UsageError if it has others. The same file gives equal bytes."""
    refuse_not_mlflow(folder)
    content, metadata = file.read_bytes(), read_model_file(file).metadata
    described = json.loads(metadata[KEY])
    table = all(entry["shape"][1:] in ([], [1]) for entry in described["inputs"])  # each input is one value per row
    # The proof of the file, or of the float32 file that it was quantized from.
    proof = json.loads(metadata[NOTE])["proof_of_float32"] if NOTE in metadata else json.loads(metadata["proof"])
    loader = (Path(__file__).parent / "mlflow_loader.py").read_bytes()
    files: dict[str, bytes | str] = {DATA: content, _CODE: loader, **_requirements(proof)}
    if described["example"] is not None:
        row = _row(described) if table else _arrays(described)
        files[_EXAMPLE] = _json(row)
        files[_REQUEST] = _json({"dataframe_split" if table else "inputs": row})
    files[MODEL] = write_yaml(_model(described, table, hashlib.sha256(content).hexdigest()[:32], len(content)))
    write_folder(folder, files)
    return folder


def _model(described: Mapping[str, Any], table: bool, digest: str, size: int) -> dict[str, Any]:
    import onnx

    columns = {_label(entry): _column(entry) for entry in described["inputs"]}  # two inputs may read one column
    schema = {
        "inputs": _json([*columns.values()] if table else [_tensor_spec(e) for e in described["inputs"]]),
        "outputs": _json([_cells(e) if table else _tensor_spec(e) for e in described["outputs"]]),
        "params": None,
    }
    runtime = {"onnx_session_options": None, "onnx_version": onnx.__version__, "providers": ["CPUExecutionProvider"]}
    env = {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
    python = {"env": env, "loader_module": _LOADER, "python_version": "3.11"}
    entry: dict[str, Any] = {
        "flavors": {
            "onnx": {"code": None, "data": DATA, **runtime},
            "python_function": {"code": "code", "data": DATA, **python},
        },
        "model_size_bytes": size,
        "model_uuid": digest,
        "signature": schema,
    }
    if described["example"] is not None:
        info = {"artifact_path": _EXAMPLE, "serving_input_path": _REQUEST}
        kind = {"type": "dataframe", "pandas_orient": "split"} if table else {"type": "ndarray", "format": "tf-serving"}
        entry["saved_input_example_info"] = info | kind
    return entry


def _column(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input as MLflow's column. Whole numbers that may be missing are ``any``: MLflow has no gaps in ``long``."""
    gaps = entry["missing"] is not None and entry["dtype"] != STRING
    return {"type": "any" if gaps else _COLUMNS.get(entry["dtype"], "any"), "name": _label(entry), "required": True}


def _label(entry: Mapping[str, Any]) -> str:
    """Return the name of an input's column in the table, which need not be a name of the spec: `Price (€)`."""
    return str(entry.get("column") or entry["name"])


def _cells(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an output as MLflow's column: one value per row, or a list of them."""
    kind: Any = {"type": _COLUMNS.get(entry["dtype"], "float")}
    single = entry.get("join") or entry["shape"][1:] == [1]
    for _ in [] if single else entry["shape"][1:]:
        kind = {"type": "array", "items": kind}
    return {**kind, "name": entry["name"], "required": True}


def _tensor_spec(entry: Mapping[str, Any]) -> dict[str, Any]:
    sizes = [-1] if entry.get("join") else [d if isinstance(d, int) else -1 for d in entry["shape"]]
    dtype = "str" if entry["dtype"] == STRING else entry["dtype"]
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": sizes}, "name": entry["name"]}


def _row(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example as pandas writes a table, ``orient="split"``."""
    labels = {entry["name"]: _label(entry) for entry in described["inputs"]}
    inputs = {labels[name]: values[0] for name, values in described["example"]["inputs"].items()}
    return {"columns": [*inputs], "data": [[cell[0] if isinstance(cell, list) else cell for cell in inputs.values()]]}


def _arrays(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example as lists by input. A missing integer is the number that stands for it: arrays have no gaps."""

    def filled(value: Any, missing: int) -> Any:
        if isinstance(value, list):
            return [filled(each, missing) for each in value]
        return missing if value is None else value

    marks = {entry["name"]: entry["missing"] for entry in described["inputs"]}
    rows = described["example"]["inputs"].items()
    return {name: filled(v, marks[name]) if isinstance(marks[name], int) else v for name, v in rows}


def _requirements(proof: Mapping[str, Any]) -> dict[str, bytes | str]:
    """Return the files that name the packages: the onnxruntime of the proof, and what the loader needs."""
    packages = [_MIN_MLFLOW, "numpy", f"onnxruntime=={proof['onnxruntime']}", "pandas"]
    inner = ["python=3.11", "pip", {"pip": packages}]
    conda = {"channels": ["conda-forge"], "dependencies": inner, "name": "mlflow-env"}
    env = {"python": "3.11", "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    texts = "".join(f"{package}\n" for package in packages), write_yaml(conda), write_yaml(env)
    return dict(zip(_TEXTS, texts, strict=True))


# Write an exported file as a model of a Triton repository: ``<name>/1/model.onnx`` and ``<name>/config.pbtxt``, which is
# the text form of the message ``ModelConfig`` of Triton's ``model_config.proto``.
MAX_BATCH = 64
_CONFIG, _MODEL = "config.pbtxt", "1/model.onnx"
_MARK = "# Written by graphspec"
_TYPES = {STRING: "STRING", "float32": "FP32", "int64": "INT64", "int32": "INT32", "uint8": "UINT8", "bool": "BOOL"}


def model_name(name: str) -> str:
    """Return the name of a spec as the name of a model, which is a folder's: other characters become ``_``."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".") or "model"


def refuse_not_triton(repository: Path, name: str) -> None:
    """Raise UsageError unless the model's own folder is new, or one that :func:`write_triton` has written."""
    if repository.exists() and not repository.is_dir():
        raise UsageError(f"{repository} is not a folder; name one for a model repository")
    folder = repository / model_name(name)
    labels = [p.name for p in folder.glob("*_labels.txt")] if folder.is_dir() else []
    refuse_foreign(folder, [_CONFIG, _MODEL, *labels], {_CONFIG: _MARK}, "a model of Triton")


def write_triton(repository: Path, file: Path) -> Path:
    """Add an exported file to a repository, always with the same bytes; return its folder, UsageError if it is not ours."""
    content, metadata = file.read_bytes(), read_model_file(file).metadata
    described = json.loads(metadata[KEY])
    refuse_not_triton(repository, described["name"])
    labels = _label_files(described)
    alone = NOTE in metadata and "dynamic" in json.loads(metadata[NOTE])["method"]
    text = config(described, {head: name for head, (name, _) in labels.items()}, batches=not alone)
    files: dict[str, bytes | str] = {_MODEL: content, _CONFIG: text, **dict(labels.values())}
    folder = repository / model_name(described["name"])
    write_folder(folder, files)
    return folder


def config(described: Mapping[str, Any], label_files: Mapping[str, str], *, batches: bool = True) -> str:
    """Return ``config.pbtxt`` for a signature and heads' ``label_files``; with ``batches`` the server joins requests."""
    lines = [
        f"{_MARK}; the next export replaces it.",
        f"name: {_quoted(model_name(described['name']))}",
        'backend: "onnxruntime"',
        f"max_batch_size: {MAX_BATCH}",
    ]
    for kind, files in (("input", {}), ("output", label_files)):
        blocks = [_tensor_text(entry, files.get(entry["name"])) for entry in described[f"{kind}s"]]
        lines.append(f"{kind} [\n" + ",\n".join(blocks) + "\n]")
    why = "# No dynamic_batching: the ranges of this int8 network are those of a whole batch,"
    lines += ["dynamic_batching { }"] if batches else [why, "# so that rows of other requests would change an answer."]
    return "\n".join(lines) + "\n"


def _tensor_text(entry: Mapping[str, Any], labels: str | None) -> str:
    sizes = [str(size) if isinstance(size, int) else "-1" for size in entry["shape"][1:]]
    fields = [f"name: {_quoted(entry['name'])}", f"data_type: TYPE_{_TYPES[entry['dtype']]}"]
    # Triton wants an axis besides the batch, for a value per row, too.
    fields += [f"dims: [ {', '.join(sizes)} ]"] if sizes else ["dims: [ 1 ]", "reshape { shape: [ ] }"]
    fields += [] if labels is None else [f"label_filename: {_quoted(labels)}"]
    return "  {\n" + "\n".join(f"    {field}" for field in fields) + "\n  }"


def _label_files(described: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the name and the content of a file with labels, one in a line, by head: for heads with a value per class."""
    outputs = {entry["name"]: entry for entry in described["outputs"]}
    files = {}
    for name, entry in outputs.items():
        labels: Sequence[str] = outputs.get(f"{name}_label", {}).get("labels", ())
        fits = entry["shape"][1:] == [len(labels)] and all(len(text.splitlines()) == 1 for text in labels)
        if labels and fits:
            files[name] = (f"{model_name(name)}_labels.txt", "".join(f"{text}\n" for text in labels))
    return files


def _quoted(text: str) -> str:
    """Return a string of protobuf's text format."""
    escaped = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escaped.get(c, c) for c in text) + '"'
