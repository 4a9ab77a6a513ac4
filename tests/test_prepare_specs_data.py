"""specs/data/prepare.py: splits that do not leak, and fetching that trusts nothing. No test uses the network."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import subprocess
import sys
import tarfile
import zipfile
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


def words_of(letters: np.ndarray) -> set[bytes]:
    return {row.tobytes().rstrip(b"\0") for row in letters}


def test_committed_housing_is_what_the_script_makes(prepare: ModuleType) -> None:
    for file, arrays in prepare.housing():
        with np.load(SCRIPT.parent / f"{file}.npz", allow_pickle=False) as committed:
            assert set(committed.files) == set(arrays)
            for name, array in arrays.items():
                np.testing.assert_array_equal(committed[name], array)


def test_housing_splits_every_row_once(prepare: ModuleType) -> None:
    parts = dict(prepare.housing())
    assert [len(parts[f"housing_{part}"]["price"]) for part in ("train", "test")] == [404, 102]
    rows = np.concatenate([np.c_[a["features"], a["price"]] for a in parts.values()])
    assert len(np.unique(rows, axis=0)) == 506


def test_reviews_test_does_not_shape_the_vocabulary(prepare: ModuleType) -> None:
    parts = dict(prepare.reviews())
    train, test = parts["reviews_ids_train"]["words"], parts["reviews_ids_test"]["words"]
    assert (len(train), len(test)) == (8_484, 2_121)
    assert set(range(2, 10_000)) <= set(np.unique(train)), "every word of the vocabulary occurs in training"
    hot = parts["reviews_train"]["words"]
    assert hot.shape == (8_484, 10_000)
    assert not hot[:, 0].any()
    assert hot[:, 1:].any(axis=0).all()


def test_only_training_rows_of_reviews_have_weights(prepare: ModuleType) -> None:
    parts = dict(prepare.reviews())
    weight = parts["reviews_train"]["positive_sample_weight"]
    assert weight.shape == (8_484,)
    assert weight.min() >= 0
    assert np.isclose(weight.mean(), 1)
    assert set(parts["reviews_test"]) == {"words", "positive"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It isn't funny, just sad!", "it is n't not_funny just sad !"),
        ("Never once does he make us laugh.", "never not_onc not_doe not_he not_mak us laugh"),
        ("It cannot not work", "it can not not_not not_work"),
        ("The film's charms (no, really)", "the film 's charm no real"),
        ("''Conan''", "conan"),
        ("", ""),
    ],
)
def test_words_after_a_negation_are_marked(prepare: ModuleType, text: str, words: str) -> None:
    assert prepare.signed_words(text) == words.split()


def test_multi_hot_marks_the_words_that_occur(prepare: ModuleType) -> None:
    ids = np.array([[3, 1, 3, 0], [5, 0, 0, 0]])
    assert [set(np.flatnonzero(row)) for row in prepare.multi_hot(ids)] == [{1, 3}, {5}]


def test_word_ids_are_ordered_by_frequency_then_alphabet(prepare: ModuleType) -> None:
    words = prepare.vocabulary([["b", "a", "c"], ["c"]])
    assert words == ["c", "a", "b"]
    np.testing.assert_array_equal(prepare.word_ids([["a", "new", "c"], ["b"]], words), [[3, 1, 2], [4, 0, 0]])


def test_pairs_are_balanced_and_never_of_one_image_with_itself(prepare: ModuleType) -> None:
    labels = np.arange(60) % 5
    left, right, same = prepare.pairs(labels, 400, seed=3)
    assert same.sum() == 200
    np.testing.assert_array_equal(labels[left] == labels[right], same.astype(bool))
    assert (left != right).all()


def test_handwriting_tests_hold_out_a_fold_and_words(prepare: ModuleType) -> None:
    parts = dict(prepare.handwriting())
    assert [len(parts[f"handwriting_{part}"]["letters"]) for part in ("train", "test")] == [6_251, 626]
    train, validation, test = (
        words_of(parts[f"handwriting_words_{part}"]["letters"]) for part in ("train", "validation", "test")
    )
    assert (len(train), len(validation), len(test)) == (40, 4, 11)
    assert not train & test
    assert not train & validation
    assert not validation & test
    for arrays in parts.values():
        letters, length = arrays["letters"], arrays["letters_length"]
        np.testing.assert_array_equal((letters > 0).sum(axis=1), length)
        repeats = ((letters[:, 1:] == letters[:, :-1]) & (letters[:, 1:] > 0)).sum(axis=1)
        assert (arrays["letters_input_length"] >= length + repeats).all(), "every word fits"
        assert not arrays["strokes"][0, 8 * length[0] :].any()


def test_save_makes_equal_files_of_equal_arrays(prepare: ModuleType, tmp_path: Path) -> None:
    arrays = {"x": np.arange(6).reshape(2, 3).T, "y": np.array([True, False])}
    for name in "a", "b":
        prepare.save(tmp_path / name, arrays)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with np.load(tmp_path / "a", allow_pickle=False) as loaded:
        np.testing.assert_array_equal(loaded["x"], arrays["x"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


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
    assert "housing_test.npz" in out
    assert (elsewhere / "housing_train.npz").is_file()


def test_command_line_names_what_there_is() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "novels"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "novels" in done.stderr
    assert "handwriting" in done.stderr
