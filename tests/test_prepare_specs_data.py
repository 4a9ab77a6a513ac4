"""specs/data/prepare.py: splits that do not leak, and fetching that trusts nothing. No test uses the network."""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import importlib.util
import io
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from paths import ROOT

SCRIPT = ROOT / "specs" / "data" / "prepare.py"


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("prepare", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["prepare"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["prepare"], sys.modules["packages"]


@pytest.fixture
def elsewhere(prepare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (prepare, sys.modules["packages"]):
        monkeypatch.setattr(module, "HERE", tmp_path)
    return tmp_path


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


@pytest.mark.parametrize("name", ["housing", "penguins"])
def test_committed_tables_are_what_the_script_makes(prepare: ModuleType, elsewhere: Path, name: str) -> None:
    source = {"housing": "boston_housing", "penguins": "penguins"}[name]
    shutil.copy(SCRIPT.parent / f"{source}.csv", elsewhere)
    made = [file for file, _ in prepare.DATA[name]()]
    assert made == [f"{name}_train.csv", f"{name}_test.csv"]
    for file in made:
        assert (elsewhere / file).read_bytes() == (SCRIPT.parent / file).read_bytes()


@pytest.mark.parametrize(
    ("name", "source", "counts"), [("housing", "boston_housing", [404, 102]), ("penguins", "penguins", [275, 69])]
)
def test_tables_are_split_into_their_rows_as_they_are(name: str, source: str, counts: list[int]) -> None:
    header, *rows = lines(SCRIPT.parent / f"{source}.csv")
    parts = [lines(SCRIPT.parent / f"{name}_{part}.csv") for part in ("train", "test")]
    assert [part[0] for part in parts] == [header, header]
    assert [len(part) - 1 for part in parts] == counts
    assert sorted(parts[0][1:] + parts[1][1:]) == sorted(rows)
    assert len(set(rows)) == len(rows), "no row is in both parts"


def test_reviews_are_their_sentences_as_they_are_and_the_test_is_the_seeded_fifth(
    prepare: ModuleType, elsewhere: Path
) -> None:
    shutil.copy(SCRIPT.parent / "movie_snippets.jsonl.xz", elsewhere)
    assert list(prepare.reviews()) == [("reviews_train.jsonl", 8_484), ("reviews_test.jsonl", 2_121)]
    train, test = (lines(elsewhere / f"reviews_{part}.jsonl") for part in ("train", "test"))
    with lzma.open(SCRIPT.parent / "movie_snippets.jsonl.xz", "rt", encoding="utf-8") as f:
        rows = [line.rstrip("\n") for line in f]
    assert sorted(train + test) == sorted(rows)
    held_out = prepare.held_out(len(rows), 2_121)
    assert test == [row for row, is_in in zip(rows, held_out, strict=True) if is_in]
    assert {tuple(json.loads(row)) for row in rows} == {("id", "mean", "label", "text")}


def test_newswires_are_their_texts_and_topics(
    prepare: ModuleType, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, rows in ("train", ["earn\tcts vs", 'ship\ta "b"\tc']), ("test", ["acq\tbuys"]):
        header = ["class\ttext", "d\ts", "class\tmeta", ""]
        (elsewhere / f"reuters-r8-{part}.tab").write_text("\n".join([*header, *rows, ""]), encoding="utf-8")
    monkeypatch.setattr(prepare, "fetch", lambda package: elsewhere)
    assert list(prepare.newswires()) == [("newswires_train.jsonl", 2), ("newswires_test.jsonl", 1)]
    found = [json.loads(line) for line in lines(elsewhere / "newswires_train.jsonl")]
    assert found == [{"topic": "earn", "text": "cts vs"}, {"topic": "ship", "text": 'a "b"\tc'}]


@pytest.fixture
def garments(prepare: ModuleType, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, ...]:
    """Small pictures in place of Fashion-MNIST, whose kinds take turns."""
    random = np.random.default_rng(0)
    x, x_test = (random.integers(0, 256, (n, 4, 3), dtype=np.uint8) for n in (12_000, 200))
    found = x, np.arange(12_000) % 10, x_test, np.arange(200) % 10
    monkeypatch.setattr(prepare, "garments", lambda: found)
    monkeypatch.setattr(prepare, "write_images", limited(prepare.write_images))
    return found


def limited(write: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Write 40 pictures alone, and name all of them."""

    def few(folder: Path, images: np.ndarray, labels: np.ndarray) -> list[str]:
        names = write(folder, images[:40], labels[:40])
        kinds = sorted({Path(name).parent.name for name in names}, key=[Path(n).parent.name for n in names].index)
        return names + [f"{kinds[label]}/{row:05}.png" for row, label in enumerate(labels[40:], 40)]

    return few


def test_pictures_are_in_the_folder_of_their_kind(
    prepare: ModuleType, elsewhere: Path, garments: tuple[np.ndarray, ...]
) -> None:
    from PIL import Image

    x, y, *_ = garments
    made = dict(prepare.fashion())
    assert made == {"fashion/train": 12_000, "fashion/test": 200, "fashion_train.csv": 12_000, "fashion_test.csv": 200}
    with (elsewhere / "fashion_train.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    for row in range(40):
        path, kind = elsewhere / rows[row]["image"], prepare.GARMENTS[y[row]]
        assert (path.parent.name, rows[row]["garment"]) == (kind, kind)
        assert rows[row]["shoe"] == ("yes" if kind in ("sandal", "sneaker", "ankle boot") else "no")
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("PNG", "L")
            np.testing.assert_array_equal(np.asarray(image), x[row])


@pytest.mark.slow
def test_no_picture_of_a_training_pair_is_in_another_part(
    prepare: ModuleType, elsewhere: Path, garments: tuple[np.ndarray, ...]
) -> None:
    assert dict(prepare.same_garment()) == {
        "same_garment_train.csv": 24_000,
        "same_garment_validation.csv": 4_000,
        "same_garment_test.csv": 4_000,
    }
    seen = {}
    for part in "train", "validation", "test":
        with (elsewhere / f"same_garment_{part}.csv").open(newline="") as f:
            rows = list(csv.DictReader(f))
        kinds = [(Path(row["left"]).parent == Path(row["right"]).parent, row["same"]) for row in rows]
        assert set(kinds) == {(True, "yes"), (False, "no")}
        seen[part] = {row[side] for row in rows for side in ("left", "right")}
    assert not seen["train"] & seen["validation"]
    assert not (seen["train"] | seen["validation"]) & seen["test"]


def test_pairs_are_balanced_and_never_of_one_image_with_itself(prepare: ModuleType) -> None:
    labels = np.arange(60) % 5
    left, right, same = prepare.pairs(labels, 400, seed=3)
    assert same.sum() == 200
    np.testing.assert_array_equal(labels[left] == labels[right], same.astype(bool))
    assert (left != right).all()


@pytest.mark.slow
def test_handwriting_tests_hold_out_a_fold_and_words(prepare: ModuleType, elsewhere: Path) -> None:
    shutil.copy(SCRIPT.parent / "ocr_letters.npz", elsewhere)
    made = dict(prepare.handwriting())
    assert made.pop("handwriting") == len(list((elsewhere / "handwriting").glob("*.png"))) == 6_877
    parts = {}
    for file, rows in made.items():
        with (elsewhere / file).open(newline="") as f:
            parts[file.removeprefix("handwriting_").removesuffix(".csv")] = list(csv.DictReader(f))
        assert len(parts[file.removeprefix("handwriting_").removesuffix(".csv")]) == rows
    assert {part: len(rows) for part, rows in parts.items()} == {
        "train": 6_251,
        "test": 626,
        "words_train": 5_051,
        "words_validation": 456,
        "words_test": 1_370,
    }
    seen = {part: {row["text"] for row in rows} for part, rows in parts.items()}
    train, validation, test = (seen[f"words_{part}"] for part in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (40, 4, 11)
    assert not train & test
    assert not train & validation
    assert not validation & test
    pictures = [{row["picture"] for row in parts[part]} for part in ("train", "test")]
    assert not pictures[0] & pictures[1]
    assert set("".join(seen["test"])) <= set("".join(seen["train"]))
    assert set("".join(train | test | validation)) == set("abcdefghijklmnopqrstuvwxyz")


@pytest.mark.slow
def test_pictures_of_words_are_their_letters_side_by_side(prepare: ModuleType, elsewhere: Path) -> None:
    from PIL import Image

    shutil.copy(SCRIPT.parent / "ocr_letters.npz", elsewhere)
    list(prepare.handwriting())
    with np.load(elsewhere / "ocr_letters.npz", allow_pickle=False) as source:
        columns = np.unpackbits(source["columns"], axis=2)
        first = int(source["word_length"][0])
        folds = source["fold"]
    files = {"train": np.flatnonzero(folds != 0), "test": np.flatnonzero(folds == 0)}
    for part, numbers in files.items():
        with (elsewhere / f"handwriting_{part}.csv").open(newline="") as f:
            rows = list(csv.DictReader(f))
        assert [row["picture"] for row in rows] == [f"handwriting/{number:05}.png" for number in numbers]
        for row in rows[:50]:
            with Image.open(elsewhere / row["picture"]) as image:
                assert (image.format, image.mode, image.size) == ("PNG", "L", (8 * len(row["text"]), 16))
    with Image.open(elsewhere / "handwriting" / "00000.png") as image:
        np.testing.assert_array_equal(np.asarray(image).T, 255 * columns[:first].reshape(-1, 16))


def wheel(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pkg/a.tab", content)


def deb(path: Path, content: bytes) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        member = tarfile.TarInfo("pkg/a.tab")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    members = {"debian-binary": b"2.0", "data.tar.xz": data.getvalue()}  # odd sizes are padded to even ones
    with path.open("wb") as f:
        f.write(b"!<arch>\n")
        for name, body in members.items():
            f.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode())
            f.write(body + b"\n" * (len(body) % 2))


@pytest.fixture(params=[wheel, deb])
def package(request: pytest.FixtureRequest, prepare: ModuleType, tmp_path: Path):
    """A package of one file, "downloaded" by a Python that copies it."""
    parameters = tmp_path / "store"
    parameters.mkdir()
    archive = parameters / ("pkg.deb" if request.param is deb else "pkg.whl")
    request.param(archive, b"content")
    return sys.modules["packages"].Package(
        name="pkg",
        version="1",
        command=(sys.executable, "-c", f"import shutil; shutil.copy({str(archive)!r}, '.')"),
        remedy="have it",
        archive=hashlib.sha256(archive.read_bytes()).hexdigest(),
        folder="pkg/",
        files={"a.tab": hashlib.sha256(b"content").hexdigest()},
    )


MADE = [
    *("reviews_train.jsonl", "reviews_test.jsonl", "newswires_train.jsonl", "newswires_test.jsonl", "fetched/"),
    *("fashion/train", "fashion/test", "fashion_train.csv", "fashion_test.csv"),
    *("same_garment_train.csv", "same_garment_validation.csv", "same_garment_test.csv"),
    *("handwriting/", "handwriting_train.csv", "handwriting_test.csv", "handwriting_words_train.csv"),
]


@pytest.mark.parametrize("file", MADE)
def test_what_the_script_makes_of_fetched_or_large_data_is_not_committed(file: str) -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    first = f"/specs/data/{file}".removesuffix("/").removesuffix("/train").removesuffix("/test")
    assert any(fnmatch.fnmatchcase(first, pattern.removesuffix("/")) for pattern in ignored)


def test_fetch_downloads_once(prepare: ModuleType, elsewhere: Path, package) -> None:
    assert (prepare.fetch(package) / "a.tab").read_bytes() == b"content"
    assert [p.name for p in (elsewhere / "fetched").iterdir()] == ["a.tab"]
    assert prepare.fetch(replace(package, command=("no-such-client",))) == elsewhere / "fetched"


def test_fetch_mends_a_damaged_file(prepare: ModuleType, elsewhere: Path, package) -> None:
    (elsewhere / "fetched").mkdir()
    (elsewhere / "fetched" / "a.tab").write_bytes(b"cont")
    assert (prepare.fetch(package) / "a.tab").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"archive": "0" * 64}, "nothing was kept"),
        ({"files": {"a.tab": "0" * 64}}, "does not hold a.tab"),
        ({"command": ("no-such-client",)}, "cannot run no-such-client"),
        ({"command": (sys.executable, "-c", "import sys; sys.exit('E: no route')")}, "E: no route"),
        ({"command": (sys.executable, "-c", "")}, "brought no file"),
    ],
)
def test_fetch_refuses(prepare: ModuleType, elsewhere: Path, package, change: dict, message: str) -> None:
    with pytest.raises(prepare.DataError, match=message):
        prepare.fetch(replace(package, **change))
    assert list((elsewhere / "fetched").iterdir()) == []


def test_what_cannot_be_fetched_is_said_and_the_rest_is_made(
    prepare: ModuleType, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "boston_housing.csv").write_bytes((SCRIPT.parent / "boston_housing.csv").read_bytes())
    monkeypatch.setattr(prepare, "FASHION", replace(prepare.FASHION, command=("no-such-client",)))
    assert prepare.main(["fashion", "housing"]) == 1
    out, err = capsys.readouterr()
    assert "prepare: fashion: cannot run no-such-client" in err
    assert "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7  train-images-idx3-ubyte.gz" in err
    assert "housing_test.csv" in out
    assert (elsewhere / "housing_train.csv").is_file()


@pytest.mark.slow
def test_command_line_names_what_there_is() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "novels"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "novels" in done.stderr
    assert "handwriting" in done.stderr
