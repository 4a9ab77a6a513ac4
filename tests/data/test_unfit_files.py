"""What is no data file is named, with what to do."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from graphspec.data.files import open_source
from graphspec.data.source import DataError


def problem(path: Path) -> tuple[str, str]:
    with pytest.raises(DataError) as error:
        open_source(path)
    return error.value.problem.message, error.value.problem.hint or ""


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("t.xlsx", "an Excel file", "pd.read_excel('t.xlsx').to_csv('t.csv', index=False)"),
        ("t.feather", "an Arrow file", "pd.read_feather('t.feather').to_csv"),
        ("t.h5", "an HDF5 file", "np.savez('t.npz', x=h5py.File('t.h5')['x'][:])"),
        ("t.npy", "a single array", "np.savez('t.npz', x=np.load('t.npy'))"),
        ("t.pkl", "a pickle, which is never read", "np.savez"),
        ("t.json", "JSON", "to_json('t.jsonl', orient='records', lines=True)"),
        ("t.sqlite", "a database", "query:"),
        ("t.png", "one picture", "images: pictures"),
        ("t.txt", "unknown file type", ".tsv or .csv"),
    ],
)
def test_other_types(tmp_path: Path, name: str, what: str, fix: str) -> None:
    (tmp_path / name).write_text("1")
    message, hint = problem(tmp_path / name)
    assert what in message
    assert fix in hint


@pytest.mark.parametrize(
    ("files", "what", "fix"),
    [
        (["cat/1.png", "cat/2.JPG", "dog/1.png"], "a folder of 3 pictures", "{images: t, labels: folder}"),
        (["1.png", "2.png"], "a folder of 2 pictures", "`{images: t}`"),
        (["a/1.txt"], "a folder of 1 texts", "{texts: t, labels: folder}"),
        (["1.csv", "2.csv"], "a folder of 2 .csv files", "t/*.csv"),
        ([".hidden"], "a folder, not a file", "`images:`"),
    ],
)
def test_folders(tmp_path: Path, files: list[str], what: str, fix: str) -> None:
    for file in files:
        path = tmp_path / "t" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    message, hint = problem(tmp_path / "t")
    assert what in message
    assert fix in hint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of a name are Unix")
def test_pipes_and_names_that_no_file_can_have(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    assert problem(tmp_path / "t.csv") == ("is a pipe, not a regular file", "write the data to a file")
    assert problem(tmp_path / f"{300 * 'a'}.csv")[0] == "cannot be opened: File name too long"
    assert re.fullmatch(r"cannot be opened: .*embedded null (byte|character.*)", problem(Path("a\0b.csv"))[0])


def test_only_near_names_are_suggested(tmp_path: Path) -> None:
    (tmp_path / "housing_train.npz").touch()
    (tmp_path / "houses.csv").touch()
    assert problem(tmp_path / "house.csv")[1] == "did you mean 'houses.csv'?"
    assert problem(tmp_path / "houses.tsv")[1] == "did you mean 'houses.csv'?"
    (tmp_path / "prices.csv.gz").touch()
    assert problem(tmp_path / "prices.parquet")[1] == "did you mean 'prices.csv.gz'?"
    assert problem(tmp_path / "reviews_train.npz")[1] == "files are named relative to the spec"
    assert problem(tmp_path / "nowhere" / "t.csv")[1].startswith("there is no folder")


def test_the_script_that_makes_the_file(tmp_path: Path) -> None:
    (tmp_path / "housing_train.csv").touch()
    (tmp_path / "prepare.py").write_text("make('housing_tests.csv')\n")
    run = f"make it first: `python {(tmp_path / 'prepare.py').as_posix()}`"
    assert problem(tmp_path / "reviews_train.csv")[1] == run
    assert problem(tmp_path / "housing_tests.csv")[1] == run
    assert problem(tmp_path / "housing_trains.csv")[1] == "did you mean 'housing_train.csv'?"
