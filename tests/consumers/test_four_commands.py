"""From a table to an app without a look at the spec: `init --from`, `train --export`, then raw rows from Python and Node."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before onnxruntime is imported

import numpy as np
import pytest
from commands import graphspec
from consumers.apps import HERE, node_with, run
from consumers.consume import feeds_of
from paths import ROOT

pytestmark = pytest.mark.slow

DATA = ROOT / "specs" / "data"
ROWS = 12  # that an app asks about
Row = dict[str, str]


def penguins() -> Iterator[Row]:
    with (DATA / "penguins.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def hires() -> Iterator[Row]:
    with gzip.open(DATA / "bikeshare_hourly.csv.gz", "rt", encoding="utf-8", newline="") as file:
        yield from (row for k, row in enumerate(csv.DictReader(file)) if k % 11 == 0)  # of every month and hour


def snippets() -> Iterator[Row]:
    with lzma.open(DATA / "movie_snippets.jsonl.xz", "rt", encoding="utf-8") as file:
        for k, line in enumerate(file):
            if k % 20 == 0:
                row = json.loads(line)
                yield {"text": row["text"], "liked": "yes" if row["label"] else "no"}


def orders() -> Iterator[Row]:
    """Numbers and categories with gaps, dates, whole numbers as codes, and texts."""
    chance = random.Random(5)
    words = [
        "arrived",
        "late",
        "Broken",
        "lovely",
        "colour",
        "wrong",
        "size",
        "great",
        "naïve",
        "été",
        "gift",
        "again,",
        "never",
        "fits",
        "🎁",
        "soft",
    ]
    for _ in range(300):
        late = chance.random() < 0.4
        yield {
            "placed": f"2024-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}" if chance.random() > 0.05 else "",
            "city": chance.choice(["Zürich", "Köln", "NA", "", "İzmir", "東京"]),
            "shop": str(chance.randint(1, 4)),
            "price": f"{chance.uniform(3, 300):.2f}" if chance.random() > 0.1 else "",
            "note": " ".join(chance.choices(words, k=chance.randint(4, 9))) if chance.random() > 0.1 else "",
            "returned": "yes" if late else "no",
        }


@dataclass(frozen=True)
class Table:
    """Rows of text as a CSV file has them, and the column to predict."""

    rows: Callable[[], Iterator[Row]]
    target: str
    dtypes: set[str]
    """The types of the file's inputs, so that the four tables try all of them."""


TABLES = (
    Table(penguins, "species", {"float32", "string"}),
    Table(hires, "bikers", {"float32", "int64", "string"}),
    Table(snippets, "liked", {"string"}),
    Table(orders, "returned", {"float32", "int64", "string"}),
)


def record_of(row: Row, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    """A row as an app gives it: by the signature alone, with null for an empty cell."""
    kinds: dict[str, Callable[[str], Any]] = {"string": str, "float32": float, "int64": int}
    cells = {entry["name"]: (kinds[entry["dtype"]], row[entry["column"]]) for entry in inputs}
    return {name: None if cell in ("", "NA") else kind(cell) for name, (kind, cell) in cells.items()}


@pytest.fixture(scope="module", params=TABLES, ids=lambda table: table.rows.__name__)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, Path, list[Any]]:
    """A folder with the file, its signature, and rows to ask about: three commands, and no look at the spec."""
    table: Table = request.param
    folder = tmp_path_factory.mktemp(table.rows.__name__)
    rows = list(table.rows())
    for name, some in (("rows.csv", rows), ("new.csv", rows[:: len(rows) // ROWS][:ROWS])):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(some)
    quick = [w for s in ("epochs=2", "forms=null", "workers=1") for w in ("--set", f"training.{s}")]
    spec, run_folder, model = folder / "net.yaml", folder / "run", folder / "net.onnx"
    for command in (
        ("init", spec, "--from", folder / "rows.csv", "--target", table.target),
        ("train", spec, "--out", run_folder, "--export", model, *quick),
        ("export", run_folder, "-o", model, "--signature", folder / "net.json"),
    ):
        done = graphspec(*command)
        assert done.exit_code == 0, done.stderr
    inputs = json.loads((folder / "net.json").read_text(encoding="utf-8"))["inputs"]
    assert {entry["dtype"] for entry in inputs} == table.dtypes
    with (folder / "new.csv").open(encoding="utf-8", newline="") as file:
        records = [record_of(row, inputs) for row in csv.DictReader(file)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "new.jsonl").write_text(lines, encoding="utf-8")
    return table, folder, records


def by_python(folder: Path, records: list[Any]) -> dict[str, list[Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "net.onnx")
    names = [value.name for value in session.get_outputs()]
    found = session.run(names, feeds_of(session, records))
    return {name: array.reshape(-1).tolist() for name, array in zip(names, found, strict=True)}


def check_same(found: dict[str, list[Any]], wanted: dict[str, list[Any]]) -> None:
    """Texts are equal, numbers up to rounding."""
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        if isinstance(values[0], str):
            assert found[name] == values, name
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_python_answers_as_predict_does(made: tuple[Table, Path, list[Any]]) -> None:
    _, folder, records = made
    answers = by_python(folder, records)
    for rows in ("new.csv", "new.jsonl"):
        done = graphspec("predict", folder / "net.onnx", folder / rows, "--json")
        assert done.exit_code == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(lines) == len(records) == ROWS
        predicted = {name: np.array([line[name] for line in lines]).reshape(-1).tolist() for name in answers}
        check_same(predicted, answers)


def test_node_answers_as_python_does(made: tuple[Table, Path, list[Any]]) -> None:
    _, folder, records = made
    done = run(node_with("onnxruntime-node"), HERE / "node" / "ask.mjs", folder / "net.onnx", folder / "new.jsonl")
    assert done.returncode == 0, done.stderr
    check_same(json.loads(done.stdout), by_python(folder, records))


def test_the_answers_depend_on_the_rows(made: tuple[Table, Path, list[Any]]) -> None:
    table, folder, records = made
    assert len(set(by_python(folder, records)[table.target])) > ROWS // 2
