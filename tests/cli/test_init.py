"""Specs that ``graphspec init`` writes train on the data that their comments describe, and export."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import graphspec

from graphspec.text import shell

Write = Callable[[Path, np.random.Generator, int], None]


def _npz(arrays: Callable[[np.random.Generator, int], dict[str, np.ndarray]]) -> Write:
    return lambda stem, r, n: np.savez(stem.with_suffix(".npz"), **arrays(r, n))


def _csv(header: list[str], texts: list[str] | None) -> Write:
    def write(stem: Path, r: np.random.Generator, n: int) -> None:
        last = [texts[k % len(texts)] for k in range(n)] if texts else r.normal(size=n).tolist()
        rows = [[*x, y] for x, y in zip(r.normal(size=(n, len(header) - 1)).tolist(), last, strict=True)]
        with stem.with_suffix(".csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])

    return write


def _letters(r: np.random.Generator, n: int) -> np.ndarray:
    return np.where(np.arange(4) < r.integers(1, 5, (n, 1)), r.integers(1, 27, (n, 4)), 0)


DATA: dict[str, Write] = {
    "binary": _npz(lambda r, n: {"features": r.normal(size=(n, 20)), "answer": np.arange(n) % 2}),
    "multiclass": _csv(["length", "width", "height", "weight", "species"], ["a", "b", "c"]),
    "regression": _csv(["rooms", "area", "age", "price"], None),
    "images": _npz(lambda r, n: {"image": r.integers(0, 256, (n, 28, 28, 1), np.uint8), "kind": np.arange(n) % 10}),
    "text": _npz(lambda r, n: {"words": r.integers(0, 10000, (n, 7)), "opinion": np.arange(n) % 2}),
    "sequence": _npz(lambda r, n: {"frames": r.normal(size=(n, 12, 16)), "letters": _letters(r, n)}),
    "two-heads": _npz(
        lambda r, n: {
            "left": r.normal(size=(n, 16)),
            "right": r.normal(size=(n, 16)),
            "same": np.arange(n) % 2,
            "distance": r.normal(size=n),
        }
    ),
}


@pytest.mark.parametrize("kind", DATA)
def test_a_new_spec_trains(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    r = np.random.default_rng(1)
    DATA[kind](Path("data/train"), r, 40)
    DATA[kind](Path("data/test"), r, 20)
    graphspec("init", "net.yaml", "--kind", kind)
    result = graphspec("train", "net.yaml", "--set", "training.epochs=1", "--export", "net.onnx")
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    assert "net.onnx: equal to the runtime" in result.stdout
    suffix = "csv" if Path("data/test.csv").exists() else "npz"
    assert graphspec("predict", "net.onnx", f"data/test.{suffix}", "-o", "answers.csv").exit_code == 0


# From a table


def _penguins(count: int = 120) -> None:
    """Write a table with numbers, categories, missing values, an id, and a column that says the target in other words."""
    r = np.random.default_rng(3)
    rows = []
    for k in range(count):
        kind = k % 3
        length, mass = r.normal(40 + 5 * kind, 2), r.normal(4000 + 500 * kind, 200)
        cells = [f"{length:.1f}", f"{mass:.0f}", ["male", "female", "NA"][k % 7 % 3], ["Biscoe", "Dream"][k % 2]]
        if k % 20 == 1:
            cells[0] = "NA"
        rows.append([k + 1, ["Adelie", "Chinstrap", "Gentoo"][kind], *cells, f"2024-0{k % 8 + 1}-11", f"code{kind}"])
    header = ["id", "species", "Bill Length", "mass", "sex", "island", "seen", "code"]
    Path("penguins.csv").write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n")


def test_a_spec_from_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _penguins()
    Path("specs").mkdir()
    result = graphspec("init", "specs/my net.yaml", "--from", "penguins.csv", "--target", "species")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == "warning: column 'code' is the target in other words; it is left out\n"
    assert result.stdout == (
        "specs/my net.yaml: a multiclass problem, species from 5 columns of 120 rows\nread its comments, then:\n"
        "  graphspec data 'specs/my net.yaml'\n  graphspec train 'specs/my net.yaml'\n"
    )
    text = Path("specs/my net.yaml").read_text()
    assert max(map(len, text.splitlines())) <= 120
    columns = text[text.index("    columns:") : text.index("layers:")].splitlines()[1:]
    assert [" ".join(line.split()) for line in columns if line] == [
        "# id: number # is different in every row, an id",
        "# missing in 6 rows",
        'Bill_Length: {type: number, column: "Bill Length", missing: median, indicator: true}',
        "mass: number",
        "sex: {type: category, missing_values: [NA]}",
        "island: category",
        "seen: {type: date, parts: [month, weekday]} # 2024-01-11 to 2024-08-11",
        "# code: category # is the target in other words",
    ]
    assert "    file: ../penguins.csv\n" in text
    assert "units: 3, activation: softmax}" in text
    assert not list(Path("specs").glob(".graphspec-*"))
    again = Path("specs/my net.yaml").read_bytes()
    Path("specs/my net.yaml").unlink()
    graphspec("init", "specs/my net.yaml", "--from", "penguins.csv", "--target", "species")
    assert Path("specs/my net.yaml").read_bytes() == again
    checked = graphspec("validate", "specs/my net.yaml", "--data")
    assert checked.stdout.startswith("specs/my net.yaml: ok ("), checked.stdout
    assert graphspec("data", "specs/my net.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("target", "kind", "head"),
    [
        ("species", None, "species: {loss: sparse_categorical_crossentropy, metrics: [accuracy]}"),
        ("island", None, "island: {loss: binary_crossentropy, metrics: [accuracy, auc]}"),
        ("mass", None, "mass: {loss: mse, scale: standard, metrics: [mae]}"),
        ("Bill Length", "regression", "Bill_Length: {loss: mse, scale: standard, metrics: [mae]}"),
    ],
)
def test_a_spec_from_a_table_trains(
    target: str, kind: str | None, head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _penguins()
    options = [] if kind is None else ["--kind", kind]
    result = graphspec("init", "net.yaml", "--from", "penguins.csv", "--target", target, *options)
    assert result.exit_code == 0, result.stderr
    text = Path("net.yaml").read_text()
    assert head in text
    assert ("drop_missing_targets: true" in text) == (target == "Bill Length")
    result = graphspec("train", "net.yaml", "--set", "training.epochs=40", "--export", "net.onnx")
    assert result.exit_code == 0, result.stderr
    assert "net.onnx: equal to the runtime" in result.stdout
    answers = graphspec("predict", "net.onnx", "penguins.csv")
    assert answers.exit_code == 0, answers.stderr
    table = list(csv.DictReader(answers.stdout.splitlines()))
    rows = list(csv.DictReader(Path("penguins.csv").read_text().splitlines()))
    if target == "species":
        right = sum(a["species_label"] == row["species"] for a, row in zip(table, rows, strict=True))
        assert right > 90
    elif target == "mass":
        apart = [abs(float(a["mass"]) - float(row["mass"])) for a, row in zip(table, rows, strict=True)]
        assert np.mean(apart) < 300


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--target", "species"], "--target names a column of a table: name the table with --from"),
        (["--from", "penguins.csv"], "name the column to predict with --target; penguins.csv has id, species, Bill"),
        (["--from", "penguins.csv", "--target", "specis"], "has no column 'specis': did you mean 'species'?"),
        (["--from", "penguins.csv", "--target", "species", "--kind", "images"], "not --kind images"),
        (["--from", "penguins.csv", "--target", "species", "--kind", "regression"], "has texts in column 'species'"),
        (["--from", "missing.csv", "--target", "x"], "missing.csv does not exist"),
        (["--from", "a.npz", "--target", "x"], "a.npz is no table: a spec is made from .csv, .tsv, .jsonl, .parquet"),
        (["--from", "empty.csv", "--target", "x"], "empty.csv is empty"),
    ],
)
def test_tables_from_which_no_spec_is_made(
    options: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _penguins(30)
    np.savez("a.npz", x=np.zeros(3))
    Path("empty.csv").touch()
    result = graphspec("init", "net.yaml", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert text in result.stderr
    assert not Path("net.yaml").exists()
    assert not list(Path().glob(".graphspec-*"))


def test_names_of_columns_do_not_break_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["null", "${x}", "a: b", "#", "hidden_1", "both", "row", "été", "1", "a\tb", "x" * 300, "- {", 'q"']
    r = np.random.default_rng(0)
    with Path("odd, name.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*names, "y: ${z}"], *r.normal(size=(40, len(names) + 1)).tolist()])
    result = graphspec("init", "net.yaml", "--from", "odd, name.csv", "--target", "y: ${z}")
    assert result.exit_code == 0, result.stderr
    text = Path("net.yaml").read_text(encoding="utf-8")
    assert max(len(line) for line in text.splitlines() if "x" * 50 not in line) <= 120
    checked = graphspec("validate", "net.yaml", "--data")
    assert checked.stdout.startswith("net.yaml: ok ("), checked.stdout
    assert "unused" not in graphspec("data", "net.yaml").stdout


def test_an_existing_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _penguins(30)
    Path("net.yaml").write_text("mine")
    assert graphspec("init", "net.yaml", "--from", "penguins.csv", "--target", "species").exit_code == 2
    assert Path("net.yaml").read_text() == "mine"


def test_printed_commands_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = graphspec("init", "my net.yaml").stdout.partition("then: ")[2].strip()
    assert command == shell("graphspec", "validate", "my net.yaml")
    assert graphspec(*shlex.split(command)[1:]).exit_code == 0


def test_decimal_commas_are_written_and_read(tmp_path: Path) -> None:
    rows = "".join(f"{k},5;{'ab'[k % 2]};{(k * 7) % 11},25\n" for k in range(40))
    (tmp_path / "homes.csv").write_text("size;town;price\n" + rows)
    result = graphspec("init", tmp_path / "s.yaml", "--from", tmp_path / "homes.csv", "--target", "price")
    assert result.exit_code == 0, result.stderr
    text = (tmp_path / "s.yaml").read_text()
    assert '    decimal: ","\n' in text
    assert "size: number" in text or "size: {type: number" in text
    assert graphspec("validate", tmp_path / "s.yaml", "--data").exit_code == 0
