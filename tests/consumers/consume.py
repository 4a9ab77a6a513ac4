"""An app in Python with onnxruntime and NumPy alone: ``python consume.py FIXTURES`` prints what differs from the answers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before onnxruntime is imported

import numpy as np
import onnxruntime as ort

DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8}
MISSING: Mapping[str, Any] = {"tensor(string)": "", "tensor(float)": np.nan, "tensor(int64)": -(2**63)}


def feeds_of(session: ort.InferenceSession, records: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of records: one value of each input, None where it is missing."""
    return {
        i.name: array_of(i.type, len(i.shape), [record[i.name] for record in records]) for i in session.get_inputs()
    }


def array_of(kind: str, rank: int, values: list[Any]) -> np.ndarray[Any, Any]:
    """Return the array of one input."""
    values = [MISSING[kind] if value is None else value for value in values]
    if kind == "tensor(string)":
        array = np.array(values, object)
        flat = [value.replace("\0", "\ufffd") for value in array.reshape(-1).tolist()]  # in JavaScript NUL ends a text
        array = np.array(flat, object).reshape(array.shape)
    else:
        whole = np.array(values, object)
        array = whole.astype(DTYPES.get(kind, np.bool_))
    return array if array.ndim == rank else array[:, None]


def different(name: str, answer: Mapping[str, Any], found: np.ndarray[Any, Any], rows: slice) -> str | None:
    """Return what differs between an output and the answers of some rows."""
    wanted = np.array(answer["data"], object).reshape(answer["dims"])[rows]
    if found.shape != wanted.shape:
        return f"{name} has the shape {found.shape}, not {wanted.shape}"
    if answer["dtype"] != "float32":
        wrong = np.vectorize(str, [object])(found) != np.vectorize(str, [object])(wanted)
    else:
        numbers = np.where(wanted == None, np.nan, wanted).astype(np.float64)  # noqa: E711 (element by element)
        limit = 1e-5 + 1e-4 * np.nan_to_num(np.abs(numbers)).max()
        wrong = ~((np.abs(found - numbers) <= limit) | (np.isnan(found) & np.isnan(numbers)))
    if not wrong.any():
        return None
    place = tuple(int(k) for k in np.argwhere(wrong)[0])
    return f"{name}{list(place)} is {found[place]!r}, not {wanted[place]!r}"


def mismatches(folder: Path) -> Iterator[str]:
    """Yield what differs for all records at once, and for each one alone."""
    session = ort.InferenceSession(folder / "model.onnx")
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    names = [output.name for output in session.get_outputs()]
    if set(names) != set(answers):
        yield f"{folder.name}: has the outputs {names}"
    for rows in (slice(0, len(records)), *(slice(k, k + 1) for k in range(len(records)))):
        outputs = session.run(names, feeds_of(session, records[rows]))
        for name, found in zip(names, outputs, strict=True):
            if text := different(name, answers[name], found, rows):
                yield f"{folder.name}: records {rows.start} to {rows.stop - 1}: {text}"


if __name__ == "__main__":
    found = [text for folder in sorted(Path(sys.argv[1]).iterdir()) for text in mismatches(folder)]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"python {ort.__version__}: {len(found)} mismatches")
    sys.exit(bool(found))
