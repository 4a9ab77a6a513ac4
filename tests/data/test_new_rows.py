"""New rows: of series, forecasts with their times, alike with a run and with its ONNX file; of files of JSON."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from commands import graphspec

import graphspec as gs

SPEC = """
graphspec: 1
name: shops
inputs:
  past: {shape: [6, 1]}
layers:
  - {type: Flatten}
  - {name: next, type: Dense, units: 3}
outputs:
  next: {loss: mse, scale: standard}
training: {epochs: 1, seed: 1}
data:
  train:
    file: sales.csv
    windows: {length: 6, horizon: 3, order: day, group: shop, every: 1d, missing: interpolate}
    inputs: {past: [sold]}
    targets: {next: sold}
"""


def sales(file: Path, days: int, shops: str = "ab", without: tuple[int, ...] = (), empty: tuple[int, ...] = ()) -> None:
    lines = [
        f"{date(2024, 1, 30) + timedelta(days=k)},{shop},{'' if k in empty else k % 5 + n}"
        for n, shop in enumerate(shops)
        for k in range(days + n)
        if k not in without
    ]
    file.write_text("\n".join(["day,shop,sold", *lines]) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two series, and its ONNX file."""
    folder = tmp_path_factory.mktemp("sales")
    (folder / "shops.yaml").write_text(SPEC, encoding="utf-8")
    sales(folder / "sales.csv", 40, without=(9, 10), empty=(20,))
    result = graphspec("train", folder / "shops.yaml", "--out", folder / "run", "--export", folder / "shops.onnx")
    assert result.exit_code == 0, result.stderr
    assert "(4 rows and 2 values filled in)" in " ".join(result.stdout.split())
    return folder


def predicted(*options: object) -> list[dict[str, str]]:
    result = graphspec("predict", *options)
    assert result.exit_code == 0, result.stderr
    return list(csv.DictReader(io.StringIO(result.stdout)))


@pytest.mark.parametrize("source", ["run", "shops.onnx"])
def test_the_next_steps_with_their_times(folder: Path, tmp_path: Path, source: str) -> None:
    sales(tmp_path / "new.csv", 12, without=(8,), empty=(11,))
    found = predicted(folder / source, tmp_path / "new.csv", "--last")
    assert list(found[0]) == ["day", "shop", "next"]
    assert [(row["day"], row["shop"]) for row in found] == [
        *(("2024-02-11", "a"), ("2024-02-12", "a"), ("2024-02-13", "a")),
        *(("2024-02-12", "b"), ("2024-02-13", "b"), ("2024-02-14", "b")),
    ]
    windows = predicted(folder / source, tmp_path / "new.csv")
    assert list(windows[0]) == ["day", "shop", "next+1d", "next+2d", "next+3d"]
    last = [row for row in windows if (row["day"], row["shop"]) == ("2024-02-10", "a")]
    assert [last[0][f"next+{k}d"] for k in (1, 2, 3)] == [row["next"] for row in found[:3]]
    days = [row["day"] for row in windows if row["shop"] == "a"]
    assert "2024-02-07" not in days, "a past that ends in an interpolated value would know the next one"
    assert "2024-02-08" in days


@pytest.mark.slow
def test_all_forms_of_output(folder: Path, tmp_path: Path) -> None:
    sales(tmp_path / "new.csv", 7, "a")
    lines = graphspec("predict", folder / "run", tmp_path / "new.csv", "--last", "--json").stdout.splitlines()
    assert [json.loads(line).keys() for line in lines] == [{"day", "shop", "next"}] * 3
    assert json.loads(lines[0])["day"] == "2024-02-06"
    whole = json.loads(graphspec("predict", folder / "run", tmp_path / "new.csv", "--json").stdout.splitlines()[-1])
    assert (whole["day"], whole["next"]) == ("2024-02-05", [json.loads(line)["next"] for line in lines])
    result = graphspec("predict", folder / "run", tmp_path / "new.csv", "--last", "-o", tmp_path / "a.npz")
    assert result.exit_code == 0, result.stderr
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert archive["day"].tolist() == ["2024-02-06", "2024-02-07", "2024-02-08"]
        assert archive["next"].shape == (3,)


def test_series_that_are_too_short_are_named(folder: Path, tmp_path: Path) -> None:
    sales(tmp_path / "new.csv", 5)
    result = graphspec("predict", folder / "run", tmp_path / "new.csv", "--last")
    assert "warning: no forecast of 'a': too few rows for a window" in result.stderr
    assert [line.split(",")[1] for line in result.stdout.splitlines()] == ["shop", "b", "b", "b"]


def test_the_last_rows_need_a_series(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", past=np.zeros((2, 6, 1), np.float32))
    result = graphspec("predict", folder / "run", tmp_path / "new.npz", "--last")
    assert result.exit_code == 2
    assert "--last needs the windows of a series" in result.stderr
    assert list(predicted(folder / "run", tmp_path / "new.npz")[0]) == ["next+1d", "next+2d", "next+3d"]
    result = graphspec("predict", folder / "run", "-", "--last", stdin="")
    assert result.exit_code == 2
    assert "--last needs a table" in result.stderr


@pytest.mark.slow
def test_without_a_step_the_table_has_one_or_steps_are_numbered(tmp_path: Path) -> None:
    plain = SPEC.replace(", group: shop, every: 1d, missing: interpolate", "")
    (tmp_path / "timed.yaml").write_text(plain, encoding="utf-8")
    (tmp_path / "rows.yaml").write_text(plain.replace(", order: day", ""), encoding="utf-8")
    sales(tmp_path / "sales.csv", 20, "a")
    for name in ("timed", "rows"):
        assert graphspec("train", tmp_path / f"{name}.yaml", "--out", tmp_path / name).exit_code == 0
    assert predicted(tmp_path / "timed", tmp_path / "sales.csv", "--last")[0]["day"] == "2024-02-19"
    assert list(predicted(tmp_path / "timed", tmp_path / "sales.csv")[0]) == ["day", "next+1d", "next+2d", "next+3d"]
    found = predicted(tmp_path / "rows", tmp_path / "sales.csv", "--last")
    assert [row["step"] for row in found] == ["+1", "+2", "+3"]
    assert list(predicted(tmp_path / "rows", tmp_path / "sales.csv")[0]) == ["next+1", "next+2", "next+3"]
    sales(tmp_path / "gaps.csv", 20, "a", without=(9,))
    result = graphspec("predict", tmp_path / "timed", tmp_path / "gaps.csv")
    assert "lacks 1 row, the first after 2024-02-07 (line 10)" in " ".join(result.stderr.split())


@pytest.fixture
def network_run(tmp_path: Path) -> Path:
    """A saved network of two numbers, with its ONNX file."""
    layers = [{"name": "both", "type": "Concatenate", "inputs": ["a", "b"]}]
    inputs = {"a": {"shape": [1]}, "b": {"shape": [1]}}
    model = gs.compile({"graphspec": 1, "name": "net", "inputs": inputs, "layers": layers, "outputs": {"both": {}}})
    model.save(tmp_path / "run")
    model.save(tmp_path / "net.onnx")
    return tmp_path / "run"


@pytest.mark.parametrize("suffix", ["run", "net.onnx"])
def test_a_json_file_has_one_row_or_a_list_of_rows(suffix: str, network_run: Path, tmp_path: Path) -> None:
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    one.write_text('\ufeff{\n  "a": 2,\n  "b": 3, "id": 7\n}\n', encoding="utf-8")
    many.write_text('[{"a": 1, "b": 4, "id": 1}, {"a": 2, "b": 0, "id": 2}]', encoding="utf-8")
    network = network_run.parent / suffix
    for file, ids in ((one, [7]), (many, [1, 2])):
        result = graphspec("predict", network, file, "--json", "--keep", "id")
        assert (result.exit_code, result.stderr) == (0, "")
        assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ids
    lines = json.dumps({"a": 2, "b": 3})
    assert graphspec("predict", network, one).stdout == graphspec("predict", network, "-", stdin=lines).stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "it has no rows in JSON"),
        ('{"a": 1}\n{"a": 2}', "a file of one object per line ends in .jsonl"),
        ("[1]", "it has no rows in JSON"),
        ("[" * 100_000, "it has no rows in JSON"),
        ('[{"a": 1, "b": 1}, {"b": 1}]', "is missing in row 2"),
        ('{"a": 1, "b": "old"}', "row 1"),
    ],
)
def test_a_json_file_without_rows(text: str, says: str, network_run: Path, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    result = graphspec("predict", network_run, tmp_path / "r.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error[GS50" in result.stderr
    assert says in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("name", "text", "keep", "status", "says"),
    [
        ("r.json", '[{"a": 1, "b": 2, "id": 1}, {"a": 1, "b": 2}]', "id", 1, "has no key 'id' in row 2"),
        ("r.jsonl", '{"a": 1, "b": 2, "ids": 3}', "id", 1, "has no column 'id' to keep = help: did you mean 'ids'?"),
        ("r.csv", "a,b,Id\n1,2,3\n", "ID", 1, "has no column 'ID' to keep = help: did you mean 'Id'?"),
        ("r.csv", "a,b,c,c\n1,2,3,4\n", "c", 1, "'c' (column 3) and 'c' (column 4) = help: give each a unique name"),
        ("r.npz", "", "a", 2, "is not a table: only columns of tables can be kept"),
    ],
)
def test_what_cannot_be_kept(
    name: str, text: str, keep: str, status: int, says: str, network_run: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "r.npz", a=np.ones(2), b=np.ones(2))
    if text:
        (tmp_path / name).write_text(text)
    result = graphspec("predict", network_run, tmp_path / name, "--keep", keep)
    assert (result.exit_code, says in " ".join(result.stderr.split())) == (status, True), result.stderr


def test_columns_of_windows_cannot_be_kept(folder: Path, tmp_path: Path) -> None:
    sales(tmp_path / "new.csv", 12)
    result = graphspec("predict", folder / "run", tmp_path / "new.csv", "--keep", "sold")
    assert result.exit_code == 2
    assert "columns of a series cannot be kept: a row of the answer is a window" in " ".join(result.stderr.split())
