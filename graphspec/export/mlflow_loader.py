"""Loads a model that graphspec exported, for MLflow's ``python_function``. Needs onnxruntime, NumPy and pandas.

``graphspec export --mlflow`` puts this file beside the model. It reads inputs, outputs and what stands for a missing value
from the file's metadata.
"""

from __future__ import annotations

import importlib
import json
import os
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else onnxruntime writes to the home directory, and sends figures

import numpy as np
import onnxruntime

_SIGNATURE = "graphspec.signature"
_INTEGERS = ("int64", "int32", "uint8")


class Model:
    """An exported model.

    Attributes:
        session: the ``onnxruntime.InferenceSession``.
        signature: the signature in the file, see docs/commands.md of graphspec.
    """

    def __init__(self, path: str) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.signature = json.loads(self.session.get_modelmeta().custom_metadata_map[_SIGNATURE])

    def predict(self, model_input: Any, params: Any = None) -> Any:
        """Return the outputs for some rows: a DataFrame for a DataFrame, else a dict of arrays.

        In a DataFrame a head with one value per row is a column of numbers, one with several is a column of lists. Labels
        are columns of text.

        Args:
            model_input: a DataFrame with a column for each input, a dict of arrays by input, or one array if there is one
                input. Missing values are None, NaN or pandas.NA.
            params: not used.

        Raises:
            ValueError: a column is missing, or its values do not fit.
        """
        given = self._by_name(model_input)
        feeds = {entry["name"]: _fed(entry, given) for entry in self.signature["inputs"]}
        outputs = self.signature["outputs"]
        arrays = self.session.run([entry["name"] for entry in outputs], feeds)
        found = dict(zip((entry["name"] for entry in outputs), arrays))  # noqa: B905 (Python 3.9 of old servers)
        joined = {entry["name"] for entry in outputs if entry.get("join")}
        found = {n: np.array(["".join(row) for row in a], object) if n in joined else a for n, a in found.items()}
        if not hasattr(model_input, "columns"):
            return found
        cells = {n: a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a for n, a in found.items()}
        lists = {n: list(a) if a.ndim == 1 else a.tolist() for n, a in cells.items()}
        return importlib.import_module("pandas").DataFrame(lists, index=model_input.index)

    def _by_name(self, given: Any) -> Any:
        """Return what was given as something that has the inputs by name."""
        names = [entry["name"] for entry in self.signature["inputs"]]
        if hasattr(given, "columns") or isinstance(given, dict):
            return given
        if len(names) == 1:
            return {names[0]: given}
        raise ValueError(f"the model has the inputs {', '.join(names)}: give a DataFrame or a dict")


def _fed(entry: dict[str, Any], given: Any) -> Any:
    name, kind, missing = str(entry.get("column") or entry["name"]), entry["dtype"], entry["missing"]
    found = name if name in given else entry["name"]  # a table's own name of the column, or that of the input
    if found not in given:
        raise ValueError(f"there is no column '{name}'")
    column = given[found]
    array = column.to_numpy(dtype=object) if hasattr(column, "to_numpy") else np.asarray(column)
    if array.dtype == object and array.size and any(isinstance(cell, (list, np.ndarray)) for cell in array.flat):
        array = np.array([np.asarray(cell, object) for cell in array])  # rows of lists
    if kind == "string" and array.dtype.kind in "Ob":  # booleans are texts as graphspec reads them
        array = np.frompyfunc(lambda c: str(c).lower() if isinstance(c, (bool, np.bool_)) else c, 1, 1)(array)
    if array.dtype.kind in "OfU":
        array = _filled(name, kind, array, missing)
    if kind == "string":
        array = array.astype(object)
    elif kind == "float32":
        array = array.astype(np.float32)
    else:
        array = _exact(name, kind, array)
    rank = len(entry["shape"])
    if array.ndim == rank - 1:
        array = array[..., None]
    elif array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    given_shape, wanted = array.shape[1:], entry["shape"][1:]
    if len(given_shape) != rank - 1 or any(isinstance(w, int) and w != g for g, w in zip(given_shape, wanted)):  # noqa: B905
        raise ValueError(f"column '{name}' has rows of the shape {given_shape}, not {tuple(wanted)}")
    return array


def _filled(name: str, kind: str, array: Any, missing: Any) -> Any:
    """Return an object array whose missing values are what stands for one in the file."""
    array = array.astype(object)
    gaps = np.frompyfunc(_is_gap, 1, 1)(array).astype(bool)
    if gaps.any():
        if missing is None:
            raise ValueError(f"column '{name}' has a missing value, which the model does not accept")
        array[gaps] = float("nan") if missing == "NaN" else missing
    is_text = np.frompyfunc(lambda cell: isinstance(cell, str), 1, 1)(array).astype(bool)
    if kind == "string" and not is_text.all():
        raise ValueError(f"column '{name}' has a value that is no text: {array[~is_text][0]!r}")
    if kind != "string" and is_text.any():
        raise ValueError(f"column '{name}' has a text in place of a number: {array[is_text][0]!r}")
    return array


def _is_gap(cell: Any) -> bool:
    """Return whether a cell is None, NaN or pandas.NA."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, (float, np.floating)) and bool(np.isnan(cell))


def _exact(name: str, kind: str, array: Any) -> Any:
    """Return whole numbers or bools in the type of the input.

    Raises:
        ValueError: a value would change.
    """
    try:
        found = array.astype(kind)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"column '{name}' does not fit {kind}: {error}") from None
    if kind in _INTEGERS and (found != array).any():
        raise ValueError(f"column '{name}' has a value that is not in {kind}: {array[found != array].tolist()[0]!r}")
    return found


def _load_pyfunc(path: str) -> Model:
    """Return the model of a file, or of the folder with ``model.onnx``. MLflow calls this function."""
    return Model(os.path.join(path, "model.onnx") if os.path.isdir(path) else path)  # noqa: PTH112, PTH118
