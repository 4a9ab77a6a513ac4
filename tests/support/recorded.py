"""Records that are held against expected numbers: learnt, predicted, and exported."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

import graphspec as gs
from graphspec.graph.onnx_session import session

Array = np.ndarray[Any, Any]
Part = tuple[str, Array, Array]
"""A column or cross, and its numbers for training rows and for new rows."""
MISSING = -(2**63)


def spec_of(case: dict[str, Any]) -> dict[str, Any]:
    """A network that gives the record beside a number that is trained."""
    return {
        "graphspec": 1,
        "name": "recorded",
        "inputs": {"row": {"columns": case["columns"], "crosses": case["crosses"]}},
        "layers": [{"name": "y", "type": "Dense", "units": 1, "inputs": "row"}],
        "outputs": {"y": {"loss": "mse"}, "row": {}},
        "training": {"epochs": 1, "batch_size": 16, "seed": 1},
    }


def arrays_of(case: dict[str, Any], part: str) -> dict[str, Array]:
    """The rows as arrays: NaN, the smallest integer or None where a value is missing."""
    found: dict[str, Array] = {}
    for name, column in case["columns"].items():
        values = case[part][name]
        if column["type"] == "number":
            array = np.array([np.nan if v is None else v for v in values], np.float32)
        elif column.get("dtype") == "int64":
            array = np.array([MISSING if v is None else v for v in values], np.int64)
        else:
            array = np.array(["" if v is None else v for v in values], object)
        found[name] = array[:, None]
    return found


def write_rows(case: dict[str, Any], folder: Path, kind: str, y: Array) -> Path:
    """The training rows and a target ``y`` as a file."""
    path, rows = folder / f"rows.{kind}", case["train"] | {"y": [float(v) for v in y[:, 0]]}
    records = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(rows)
            writer.writerows(["" if v is None else v for v in record.values()] for record in records)
    else:
        lines = path.with_suffix(".jsonl")
        lines.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        if kind == "parquet":
            _to_parquet(case, lines, path)
    return path


def _to_parquet(case: dict[str, Any], lines: Path, path: Path) -> None:
    import duckdb

    types = {"number": "FLOAT", "category": "VARCHAR", "text": "VARCHAR", "date": "VARCHAR"}
    columns = {
        name: "BIGINT" if column.get("dtype") == "int64" else types[column["type"]]
        for name, column in case["columns"].items()
    }
    described = ", ".join(f"'{name}': '{kind}'" for name, kind in {**columns, "y": "FLOAT"}.items())
    with duckdb.connect() as base:
        base.execute(f"COPY (SELECT * FROM read_json('{lines}', columns = {{{described}}})) TO '{path}'")


def trained(case: dict[str, Any], folder: Path, kind: str = "arrays") -> gs.Model:
    """A model that has learnt from the training rows."""
    spec = spec_of(case)
    count = len(next(iter(case["train"].values())))
    y = np.linspace(-1, 1, count, dtype=np.float32)[:, None]
    if kind == "arrays":
        model = gs.compile(spec)
        model.fit(arrays_of(case, "train"), y, verbose=0)
        return model
    spec["data"] = {"train": {"file": str(write_rows(case, folder, kind, y))}}
    model = gs.compile(spec)
    model.fit(verbose=0)
    return model


def widened(model: gs.Model, case: dict[str, Any], parts: list[Part], which: int) -> Array:
    """The expected record: places of ones as vectors, and ids as the model's trained vectors."""
    whole = []
    for part in parts:
        name, array = part[0], part[which]
        if name not in case["columns"] and array.shape[1] == 1:
            array = np.eye(1000, dtype=np.float32)[array[:, 0]]
        elif "embed" in case["columns"].get(name, {}):
            array = model.weights[f"row/{name}/embedded/embeddings"][array[:, 0]]
        whole.append(array)
    return np.concatenate(whole, axis=1).astype(np.float32)


def compare(case: dict[str, Any], parts: list[Part], folder: Path, kind: str = "arrays") -> None:
    """Assert that the model and its exported file make the expected records of training rows and of new ones."""
    model = trained(case, folder, kind)
    file = folder / "model.onnx"
    model.export(file)
    served = session(file.read_bytes(), 1)
    for which, rows in ((1, "train"), (2, "new")):
        feeds, wanted = arrays_of(case, rows), widened(model, case, parts, which)
        close = {"rtol": 2e-5, "atol": 2e-5, "err_msg": f"{rows}: {json.dumps(case['columns'])}"}
        np.testing.assert_allclose(model.predict(feeds)["row"], wanted, **close)
        found = served.run(["row"], {name: feeds[name] for name in case["columns"]})[0]
        np.testing.assert_allclose(found, wanted, **close)
