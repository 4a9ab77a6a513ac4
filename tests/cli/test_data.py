"""``graphspec data``: what the files of a spec hold, on wide and narrow terminals, for people and for programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec, project

RECORD = """\
graphspec: 1
name: income
inputs:
  person:
    columns:
      age: {type: number, missing: median}
      hours: {type: number, scale: minmax}
      city: {type: category, min_count: 3}
      remark: {type: text, max_tokens: 8}
layers:
  - {name: hidden, type: Dense, units: 4, activation: relu}
  - {name: rich, type: Dense, units: 1, activation: sigmoid}
outputs:
  rich: {loss: binary_crossentropy, metrics: [accuracy]}
data:
  train: {file: people.csv}
  validation: {split: 0.25}
"""
CITIES = ["Rome", "Oslo", "Bonn", "Kyiv"]


def rows(count: int = 40) -> list[dict[str, Any]]:
    return [
        {
            "id": k,
            "age": "" if k % 10 == 3 else 20 + k,
            "hours": k % 7,
            "city": CITIES[min(k % 6, 3)] if k else "Lyon",
            "remark": f"w{k % 5} w{k % 3} and more",
            "rich": "yes" if k % 3 == 0 else "no",
        }
        for k in range(count)
    ]


def written(path: Path, lines: list[dict[str, Any]]) -> None:
    text = [",".join(lines[0])] + [",".join(str(v) for v in line.values()) for line in lines]
    path.write_text("\n".join(text) + "\n")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)


def spec(text: str = RECORD) -> str:
    Path("s.yaml").write_text(text)
    written(Path("people.csv"), rows())
    return "s.yaml"


def test_a_record() -> None:
    result = graphspec("data", spec())
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "train: people.csv, 40 rows"
    for line in (
        "target type missing distinct values",
        "rich text 0 2 no 65 %, yes 35 %",
        "input type missing distinct values",
        "age integer 4 36 20 … 59, median 39.5",
        "hours integer 0 7 0 … 6, median 3",
        "city text 0 5 Kyiv 48 %, Bonn 18 %, Oslo 18 %, Rome 15 %, Lyon 2 %",
        "remark text 0 15 4 words on average, at most 4",
        "would be learnt (less the validation rows)",
        "age missing: median 39.5; mean 39.6667, deviation 11.571",
        "hours range 0 … 6",
        "city 4 of 5 values",
        "remark 7 words",
        "rich labels no, yes",
        "not used: id",
        "validation: 25 % of the training rows",
    ):
        assert line in lines, line


@pytest.mark.slow
def test_folds_are_no_part_of_their_own() -> None:
    written(Path("people.csv"), rows())
    Path("net.yaml").write_text(RECORD.replace("  validation: {split: 0.25}\n", "training: {folds: 4}\n"))
    answer = graphspec("data", "net.yaml")
    assert answer.exit_code == 0
    assert "validation:" not in answer.stdout
    assert [part["name"] for part in json.loads(graphspec("data", "net.yaml", "--json").stdout)] == ["train"]


def test_a_table_without_a_spec() -> None:
    Path("rows.csv").write_text(
        "id;Preis (€);Datum;same;Ort\n"
        + "".join(f"k{k};{k},5;{k + 1}.02.2024;x;{'Bonn' if k % 5 else 'bonn'}\n" for k in range(25))
    )
    result = graphspec("data", "rows.csv")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "file: rows.csv, 25 rows",
        """read with decimal: "," # as in '0,5' of 'Preis (€)'""",
        "",
        "column type missing distinct values",
        "id text 0 25 k0 4 %, k1 4 %, k10 4 %, k11 4 %, k12 4 %, k13 4 %, k14 4 %, k15 4 %, …",
        "Preis (€) float 0 25 0.5 … 24.5, median 12.5",
        "Datum date 0 25 2024-02-01 … 2024-02-25 (%d.%m.%Y)",
        "same text 0 1 x 100 %",
        "Ort text 0 2 Bonn 80 %, bonn 20 %",
        "",
        "hint: column 'id' is different in every row, like an id: leave it out",
        "hint: column 'same' is the same in every row: nothing can be learnt from it",
        "hint: column 'Ort' has 'Bonn' and 'bonn', which differ in case only: see `fold_case`",
        "",
        "next, with the column to predict:",
        "graphspec init net.yaml --from rows.csv --target COLUMN",
    ]
    [part] = json.loads(graphspec("data", "rows.csv", "--rows", "10", "--json").stdout)
    assert (part["source"], part["rows"], part["columns"]["Preis (€)"]["numbers"]["high"]) == ("rows.csv", 10, 9.5)


def test_lists_have_a_length_and_no_number_of_values(tmp_path: Path) -> None:
    rows = [{"tokens": ["a"] * (2 + 2 * (k % 2)), "pair": [1, k]} for k in range(4)]
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    lines = [line.split() for line in graphspec("data", tmp_path / "t.jsonl").stdout.splitlines()]
    assert lines[3:5] == [["tokens", "list", "of", "2–4", "0"], ["pair", "list", "of", "2", "0"]]


def test_an_archive_without_a_spec() -> None:
    np.savez("x.npz", pixels=np.zeros((3, 4), np.uint8), digit=np.arange(3))
    lines = graphspec("data", "x.npz").stdout.splitlines()
    assert lines[0] == "file: x.npz, 3 rows"
    assert [line.split()[0] for line in lines[2:]] == ["column", "pixels", "digit"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gone.csv",), "gone.csv does not exist"),
        (("empty.csv",), "empty.csv is empty"),
        (("people.csv", "--set", "a=1"), "leave out --set"),
        (("people.csv", "--data", "."), "leave out --data"),
    ],
)
def test_a_table_that_cannot_be_shown(words: tuple[str, ...], message: str) -> None:
    spec()
    Path("empty.csv").touch()
    result = graphspec("data", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize("width", [60, 80])
def test_narrow_terminals(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = RECORD.replace("remark:", "a_very_long_name_of_a_column_with_remarks:").replace(
        "type: text", "type: text, column: remark"
    )
    result = graphspec("data", spec(text))
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= width
    assert "Kyiv 48 %, Bonn 18 %" in result.stdout
    assert "\x1b" not in result.stdout


def test_json() -> None:
    result = graphspec("data", spec(), "--json", "--rows", "20")
    assert (result.exit_code, result.stderr) == (0, "")
    train, validation = json.loads(result.stdout)
    assert (train["name"], train["rows"], train["unused"]) == ("train", 20, ["id"])
    city = train["columns"]["city"]
    assert (city["kind"], city["distinct"], city["frequent"][0]) == ("text", 5, ["Kyiv", 9])
    assert train["uses"]["city"] == [{"name": "city", "section": "input", "dtype": "string"}]
    assert train["columns"]["age"]["numbers"]["low"] == 20
    assert validation["share"] == 0.25


def test_problems_have_hints_and_a_status() -> None:
    text = RECORD.replace("remark: {type: text, max_tokens: 8}", "id: number")
    text = text.replace("age: {type: number, missing: median}", "remark: number")
    text = text.replace("{file: people.csv}", "{file: people.csv, inputs: {hours: hoers}}")
    result = graphspec("data", spec(text))
    assert result.exit_code == 1
    found = [line for line in result.stdout.splitlines() if line.startswith("problem: ")]
    assert found == [
        "problem: people.csv has no column 'hoers' for input 'hours'; did you mean 'hours'?",
        "problem: column 'remark' has texts, such as 'w0 w0 and more', where input 'remark' takes numbers",
    ]
    assert "hint: column 'id' is different in every row, like an id: leave it out" in result.stdout


@pytest.mark.slow
def test_values_that_no_training_row_has() -> None:
    path = spec(RECORD + "  test: {file: test.csv}\n")
    written(Path("test.csv"), [line | {"city": "Paris"} for line in rows(8)])
    result = graphspec("data", path)
    assert result.exit_code == 0
    assert "hint: column 'city' has 1 value that no training row has, such as 'Paris'" in result.stdout
    Path("test.csv").unlink()
    result = graphspec("data", path)
    assert result.exit_code == 1
    assert "problem: test.csv does not exist" in result.stdout


def test_labels_and_classes() -> None:
    head = "outputs:\n  rich: {loss: binary_crossentropy, metrics: [accuracy], labels: ['no', 'yess']}\n"
    text = RECORD[: RECORD.index("outputs:")] + head + RECORD[RECORD.index("data:") :]
    result = graphspec("data", spec(text))
    assert result.exit_code == 1
    assert "problem: column 'rich' has 'yes', which is not a label; did you mean 'yess'?" in result.stdout
    text = RECORD.replace("units: 1, activation: sigmoid", "units: 3, activation: softmax").replace(
        "binary_crossentropy", "sparse_categorical_crossentropy"
    )
    result = graphspec("data", spec(text.replace("{file: people.csv}", "{file: people.csv, targets: {rich: hours}}")))
    assert "problem: column 'hours' has the class 6, but 'rich' has 3 units: 0 to 2" in result.stdout


def test_uneven_classes_and_whole_numbers() -> None:
    path = spec()
    written(Path("people.csv"), [line | {"rich": "yes" if k == 7 else "no"} for k, line in enumerate(rows())])
    result = graphspec("data", path)
    assert "hint: column 'rich' is uneven: 'no' in 39 rows, 'yes' in 1; see `class_weight: balanced`" in result.stdout
    assert (
        "hint: column 'hours' has 7 whole numbers: `{type: category, dtype: int64}` if they are codes" in result.stdout
    )


def test_archives(tmp_path: Path) -> None:
    path = project(tmp_path)
    np.savez("test.npz", features=np.full((3, 4), np.nan, np.float32), answer=np.array([0, 1, 1]), other=np.zeros(3))
    result = graphspec("data", path)
    assert result.exit_code == 1
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "train: train.npz, 80 rows" in lines
    assert "answer int64 0 2 (3,) 1 67 %, 0 33 %" in lines
    assert "features float32 12 (3, 4)" in lines
    assert "problem: array 'features' has 12 missing values" in lines
    assert "not used: other" in lines


@pytest.mark.slow
def test_several_files_and_queries() -> None:
    path = spec(RECORD.replace("file: people.csv", "file: 'part_*.csv'"))
    written(Path("part_1.csv"), rows()[:15])
    written(Path("part_2.csv"), rows()[15:])
    result = graphspec("data", path)
    assert result.exit_code == 0, result.stdout
    assert result.stdout.startswith("train: part_*.csv, 40 rows\n")
    assert "20 … 59, median 39.5" in result.stdout
    query = "SELECT * EXCLUDE (age), age::DOUBLE AS age FROM 'people.csv' WHERE hours < 3"
    result = graphspec("data", spec(RECORD.replace("file: people.csv", f'query: "{query}"')))
    assert result.exit_code == 0, result.stdout
    assert result.stdout.startswith(f"train: query {query}, 18 rows\n")


def test_a_spec_without_data() -> None:
    result = graphspec("data", spec(RECORD[: RECORD.index("data:")]))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error: s.yaml names no data; write them under `data`" in result.stderr
    result = graphspec("data", spec(RECORD.replace("type: Dense", "type: Dens")))
    assert result.exit_code == 1
    assert "error[GS" in result.stderr


SERIES = """\
graphspec: 1
name: power
inputs:
  past: {shape: [8, 1]}
layers:
  - {name: flat, type: Flatten}
  - {name: next, type: Dense, units: 2}
outputs:
  next: {loss: mse}
data:
  train:
    file: power.csv
    inputs: {past: [kw]}
    targets: {next: kw}
    windows: {length: 8, horizon: 2, group: meter, order: time}
  validation: {split: 0.2, by: time}
"""
NOTE = "note: {dtype: string}"
PHOTOS = """\
graphspec: 1
name: pets
inputs:
  photo: {shape: [8, 8, 3], dtype: uint8}
layers:
  - {name: flat, type: Flatten}
  - {name: kind, type: Dense, units: 2, activation: softmax}
outputs:
  kind: {loss: sparse_categorical_crossentropy}
data:
  train: {images: photos, labels: folder}
"""


def test_windows() -> None:
    lines = [{"meter": m, "time": f"2024-01-{k + 1:02}", "kw": k / 4, "other": 1} for m in "ab" for k in range(20)]
    written(Path("power.csv"), lines)
    Path("s.yaml").write_text(SERIES)
    result = graphspec("data", "s.yaml")
    assert result.exit_code == 0, result.stdout
    shown = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert shown[:2] == [
        "train: power.csv, 40 rows",
        "windows of 8 rows and the next 2 of each 'meter', in the order of 'time'",
    ]
    assert "kw → past float 0 20 0 … 4.75, median 2.375" in shown
    assert "not used: other" in shown
    assert shown[-1] == "validation: 20 % of the training rows, the last part of the time"


def test_folders_of_classes() -> None:
    for kind, count in (("cats", 12), ("dogs", 1)):
        Path("photos", kind).mkdir(parents=True)
        for k in range(count):
            Path("photos", kind, f"{k}.png").write_bytes(b"x")
    Path("s.yaml").write_text(PHOTOS)
    result = graphspec("data", "s.yaml")
    assert result.exit_code == 0, result.stdout
    shown = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert shown[0] == "train: photos, 13 rows"
    assert "label → kind text 0 2 cats 92 %, dogs 8 %" in shown
    assert "label labels cats, dogs" in shown
    assert "hint: column 'label' is uneven: 'cats' in 12 rows, 'dogs' in 1; see `class_weight: balanced`" in shown
    assert "hint: column 'label': 1 of 2 classes has fewer than 5 rows ('dogs' has 1): too few to learn," in " ".join(
        shown
    )
    Path("s.yaml").write_text(PHOTOS.replace("images: photos", "images: fotos"))
    result = graphspec("data", "s.yaml")
    assert result.exit_code == 1
    assert "problem: fotos does not exist" in result.stdout


def test_sizes_of_pictures_and_words_of_texts() -> None:
    image = pytest.importorskip("PIL.Image")
    for k, (wide, high) in enumerate([(8, 8), (8, 8), (12, 9)]):
        Path("photos", "cats").mkdir(parents=True, exist_ok=True)
        image.new("RGB", (wide, high)).save(f"photos/cats/{k}.png")

    def shown(spec: str, *options: str) -> list[str]:
        Path("s.yaml").write_text(spec)
        result = graphspec("data", "s.yaml", *options)
        assert result.exit_code == 0, result.stdout
        return [" ".join(line.split()) for line in result.stdout.splitlines()]

    assert "image → photo picture 0 2 sizes, 8 to 9 high, 8 to 12 wide" in shown(PHOTOS)
    assert "image → photo picture 0 8 × 8" in shown(PHOTOS, "--rows", "2")
    for k, text in enumerate(["one two three", "one", ""]):
        Path("notes", "short").mkdir(parents=True, exist_ok=True)
        Path("notes", "short", f"{k}.txt").write_text(text)
    Path("notes", "short", "bad.txt").write_bytes(b"\xff\xfe")
    spec = PHOTOS.replace("images: photos", "texts: notes").replace("photo: {shape: [8, 8, 3], dtype: uint8}", NOTE)
    spec = spec.replace("name: flat, type: Flatten", "name: ids, type: TextVectorization, output_mode: multi_hot")
    assert "text → note text 0 1 words on average, at most 3" in shown(spec)


def test_pillow_is_missed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("photos", "others"):
        Path(part, "cats").mkdir(parents=True)
        Path(part, "cats", "1.png").write_bytes(b"x")
    Path("s.yaml").write_text(PHOTOS + "  test: {images: others, labels: folder}\n")
    monkeypatch.setitem(sys.modules, "PIL", None)
    result = graphspec("train", "s.yaml")
    assert result.exit_code == 1
    assert result.stderr.count("pip install") == 1


def test_a_table_of_pictures() -> None:
    Path("s.yaml").write_text(PHOTOS.replace("{images: photos, labels: folder}", "{file: pets.csv}"))
    written(Path("pets.csv"), [{"photo": f"photos/{k}.png", "kind": "cat" if k % 2 else "dog"} for k in range(30)])
    result = graphspec("data", "s.yaml")
    assert result.exit_code == 0, result.stdout
    assert "problem" not in result.stdout
