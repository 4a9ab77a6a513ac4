"""Answer the rows of a CSV table with a file that graphspec exported.

    python score.py MODEL.onnx TABLE.csv ANSWERS.csv [--rejects REJECTS.csv] [--rows-per-call 1000]

The answers have the columns of the table and, for each head, its label or its values. A row with a value that is no number
where one is needed goes to the file of rejects, with the reason; the others are answered. The files appear when all rows
are done. It needs onnxruntime and NumPy, not graphspec. Exit status: 0 all rows answered, 1 some were rejected, 2 nothing
was written.
"""

import argparse
import csv
import json
import math
import os
import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else onnxruntime writes to the home directory, and sends figures

import numpy as np
import onnxruntime

DTYPES = {
    "string": object,
    "float32": np.float32,
    "int64": np.int64,
    "int32": np.int32,
    "uint8": np.uint8,
    "bool": bool,
}
MISSING_TEXTS = {"", "NA", "N/A", "NaN", "null"}
TRUTH = {"true": True, "1": True, "false": False, "0": False}


class StopError(Exception):
    """Nothing can be answered."""


class Model:
    """An exported file of a table, with the description of its inputs and outputs that it contains."""

    def __init__(self, path):
        try:
            self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise StopError(f"{path} is no ONNX file that onnxruntime can run: {error}") from None
        described = self.session.get_modelmeta().custom_metadata_map.get("graphspec.signature")
        if described is None:
            raise StopError(f"{path} was not exported by graphspec: it has no signature")
        signature = json.loads(described)
        self.inputs, self.outputs = signature["inputs"], signature["outputs"]
        wide = [entry["name"] for entry in self.inputs if entry["shape"] != ["N", 1]]
        if wide:
            raise StopError(f"{path} is no model of a table: '{wide[0]}' is not one value per row")
        self.check(signature["example"])

    def check(self, example):
        """Answer the example in the file: another answer than the exporting machine's stops the job before it begins."""
        if example is None:  # it was too large to be stored
            return
        record = {name: values[0][0] for name, values in example["inputs"].items()}
        for entry, values in zip(self.outputs, self.run([record]), strict=True):
            wanted = np.array(example["outputs"][entry["name"]])
            if values.dtype.kind == "f" and not np.allclose(values, wanted.astype(float), rtol=1e-4, atol=1e-5):
                raise StopError(f"this machine gives {values} for '{entry['name']}' of the example, not {wanted}")

    def value(self, entry, text):
        """Return a cell as a value of an input, None if it is missing.

        Raises:
            ValueError: it is no such value.
        """
        name, dtype = entry.get("column") or entry["name"], entry["dtype"]
        if text.strip() in MISSING_TEXTS:
            if entry["missing"] is None:
                raise ValueError(f"'{name}' is missing")
            return None
        if dtype == "string":
            return text
        try:
            if dtype == "bool":
                return TRUTH[text.strip().lower()]
            number = float(text) if dtype == "float32" else int(text)
            if not math.isfinite(number):
                raise ValueError(text)
            return number
        except (ValueError, KeyError):
            raise ValueError(f"'{name}' is '{text}', which is no {dtype}") from None

    def run(self, records):
        """Return an array for each output, with one row for each record."""
        feeds = {}
        for entry in self.inputs:
            values = [record[entry["name"]] for record in records]
            filled = np.array([entry["missing"] if value is None else value for value in values], object)
            feeds[entry["name"]] = filled.astype(DTYPES[entry["dtype"]])[:, None]
        return self.session.run([entry["name"] for entry in self.outputs], feeds)

    def answers(self, records):
        """Return the new columns of each record: a head with a label gives the label and how sure the model is."""
        arrays = dict(zip([entry["name"] for entry in self.outputs], self.run(records), strict=True))
        columns = {}
        for name, array in arrays.items():
            values = array.reshape(len(records), -1)
            if name + "_label" in arrays and values.shape[1] > 1:
                columns[name + "_probability"] = np.max(values, axis=1)
            elif values.shape[1] == 1:
                columns[name] = values[:, 0]
            else:
                columns |= {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def score(model, table, answers, rejects, size):
    """Answer a table in parts of ``size`` rows, and return the numbers of answered and of rejected rows."""
    rows = csv.DictReader(table)
    places = {entry["name"]: entry.get("column") or entry["name"] for entry in model.inputs}
    lacking = [column for column in places.values() if column not in (rows.fieldnames or [])]
    if lacking:
        raise StopError(f"the table has no column '{lacking[0]}'; its columns are {', '.join(rows.fieldnames or [])}")
    written = refused = 0
    out = reasons = None
    while some := list(islice(rows, size)):
        good, records = [], []
        for row in some:
            try:
                records.append({e["name"]: model.value(e, row[places[e["name"]]] or "") for e in model.inputs})
                good.append(row)
            except ValueError as error:
                reasons = reasons or writer(rejects, [*rows.fieldnames, "reason"])
                reasons.writerow({**row, "reason": error})
                refused += 1
        if records:
            found = model.answers(records)
            names = {name: name + "_answer" * (name in rows.fieldnames) for name in found[0]}
            out = out or writer(answers, [*rows.fieldnames, *names.values()])
            for row, answer in zip(good, found, strict=True):
                out.writerow(row | {names[name]: value for name, value in answer.items()})
            written += len(good)
    return written, refused


def writer(file, names):
    """Return a writer of CSV that has written its header. Cells beyond the header are left out."""
    found = csv.DictWriter(file, names, extrasaction="ignore")
    found.writeheader()
    return found


def opened(path, stack):
    """Open a temporary file that becomes ``path`` when the job is done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    file = stack.enter_context(temporary.open("x", encoding="utf-8", newline=""))
    stack.callback(lambda: (file.close(), temporary.unlink(missing_ok=True)))
    return file, temporary


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--rejects", type=Path, help="by default ANSWERS with .rejects before its suffix")
    parser.add_argument("--rows-per-call", type=int, default=1000)
    given = parser.parse_args()
    rejects = given.rejects or given.answers.with_suffix(f".rejects{given.answers.suffix}")
    try:
        model = Model(given.model)
        with ExitStack() as stack:
            table = stack.enter_context(given.table.open(encoding="utf-8-sig", newline=""))
            good, good_name = opened(given.answers, stack)
            bad, bad_name = opened(rejects, stack)
            written, refused = score(model, table, good, bad, given.rows_per_call)
            good.close()
            bad.close()
            good_name.replace(given.answers)
            if refused:
                bad_name.replace(rejects)
    except (StopError, OSError, UnicodeDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{given.answers}: {written:,} rows" + (f"; {rejects}: {refused:,} rows" if refused else ""))
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
