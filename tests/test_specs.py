"""The specs in `specs/`: valid without their data; their files, run by onnxruntime on raw rows, score what `evaluate` says.

The rows are read here with the standard library alone, and the metrics are computed here, too. Training is short.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import math
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from paths import ROOT

import graphspec as gs

FOLDER = ROOT / "specs"
SPECS = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
Row = dict[str, str]


@pytest.mark.parametrize("name", SPECS)
def test_valid_without_data(name: str, tmp_path: Path) -> None:
    copy = shutil.copy(SPECS[name], tmp_path)
    assert [d.message for d in gs.validate(copy)] == []


def table(path: Path) -> list[Row]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as f:
        return list(csv.DictReader(f))


def cell(text: str, kind: str) -> Any:
    """What an app gives for a cell of a table: NA is a missing number."""
    if kind == "tensor(string)":
        return text
    return math.nan if text in ("", "NA") else float(text)


class File:
    """An exported file, its session, and the columns that its signature names."""

    def __init__(self, model: gs.Model, path: Path) -> None:
        model.export(path)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.signature = json.loads(metadata["graphspec.signature"])
        self.columns = {entry["name"]: entry["column"] for entry in self.signature["inputs"]}
        self.kinds = {value.name: value.type for value in self.session.get_inputs()}

    def feeds(self, rows: list[Row]) -> dict[str, Any]:
        """Rows of a table as columns (N, 1)."""
        dtypes = {"tensor(string)": object, "tensor(float)": np.float32, "tensor(int64)": np.int64}
        return {
            name: np.array([[cell(row[self.columns[name]], kind)] for row in rows], dtypes[kind])
            for name, kind in self.kinds.items()
        }

    def answer(self, output: str, feeds: dict[str, Any]) -> Any:
        return self.session.run([output], feeds)[0]


def trained(path: Path, *overrides: str) -> gs.Model:
    model = gs.compile(path, [*overrides, "training.workers=1"])
    model.fit(verbose=0)
    return model


def test_housing_scores_in_dollars_what_evaluate_says(tmp_path: Path) -> None:
    model = trained(SPECS["housing"], "training.epochs=3")
    file, rows = File(model, tmp_path / "net.onnx"), table(FOLDER / "data" / "housing_test.csv")
    price = file.answer("price", file.feeds(rows))[:, 0]
    error = np.abs(price - [float(row["medv"]) for row in rows]).mean()
    assert error == pytest.approx(model.evaluate()["mae"], rel=1e-5)
    assert error < 6, "6.4 is the error of the mean"


def test_penguins_with_gaps_get_the_labels_that_evaluate_counts(tmp_path: Path) -> None:
    model = trained(SPECS["penguins"], "training.epochs=3")
    file = File(model, tmp_path / "net.onnx")
    rows = table(FOLDER / "data" / "penguins_test.csv")
    assert any("NA" in row.values() for row in rows)
    label = file.answer("species_label", file.feeds(rows)).tolist()
    right = np.mean([answer == row["species"] for answer, row in zip(label, rows, strict=True)])
    assert right == pytest.approx(model.evaluate()["accuracy"])
    assert right > 0.6, "0.44 are of the most frequent species"


def test_bikes_score_what_evaluate_says_on_windows_cut_by_hand(tmp_path: Path) -> None:
    model = trained(SPECS["bikes"], "training.epochs=1")
    file = File(model, tmp_path / "net.onnx")
    known = {
        24 * (int(row["day"]) - 1) + int(row["hr"]): row for row in table(FOLDER / "data" / "bikeshare_hourly.csv.gz")
    }
    hours, rows = range(300 * 24, max(known) + 1), list[Row]()
    for hour in hours:  # an hour that is not in the table is like the one before
        rows.append(known.get(hour) or rows[-1])
    bikers = np.array([float(row["bikers"]) for row in rows], np.float32)
    days = np.array([[float(row["holiday"]), float(row["workingday"])] for row in rows], np.float32)
    times = np.array([str(datetime(2011, 1, 1) + timedelta(hours=hour)) for hour in hours], object)
    past, ahead = (sliding_window_view(of, size) for of, size in ((bikers[:-24], 168), (bikers[168:], 24)))
    known_ahead = sliding_window_view(days[168:], 24, axis=0).swapaxes(1, 2)
    hires = file.answer("hires", {"past": past, "now": times[167:-24, None], "ahead": known_ahead})
    assert np.abs(hires - ahead).mean() == pytest.approx(model.evaluate()["mae"], rel=1e-5)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A folder with the specs of reviews and a part of their sentences, and the test rows."""
    folder = tmp_path_factory.mktemp("reviews")
    (folder / "data").mkdir()
    with lzma.open(FOLDER / "data" / "movie_snippets.jsonl.xz", "rt", encoding="utf-8") as f:
        lines = f.readlines()
    for part, chosen in ("train", lines[:1500]), ("test", lines[1500:1900]):
        (folder / "data" / f"reviews_{part}.jsonl").write_text("".join(chosen), encoding="utf-8", newline="\n")
    for name in "reviews", "reviews_lstm", "gpt":
        shutil.copy(SPECS[name], folder)
    return folder, [json.loads(line) for line in lines[1500:1900]]


@pytest.mark.parametrize("name", ["reviews", "reviews_lstm"])
@pytest.mark.slow
def test_sentences_get_the_labels_that_evaluate_counts(name: str, sentences: Any, tmp_path: Path) -> None:
    folder, rows = sentences
    model = trained(folder / f"{name}.yaml", "training.epochs=2")
    file = File(model, tmp_path / "net.onnx")
    texts = np.array([[row["text"]] for row in rows], object)
    label = file.answer("positive_label", {"text": texts}).ravel().tolist()
    right = np.mean([answer == ["negative", "positive"][row["label"]] for answer, row in zip(label, rows, strict=True)])
    assert right == pytest.approx(model.evaluate()["accuracy"])
    alone = [file.answer("positive_label", {"text": texts[k : k + 1]}).item() for k in range(20)]
    assert alone == label[:20], "a row alone has the answer that it has among others"


def test_each_next_character_is_right_as_often_as_evaluate_says(sentences: Any, tmp_path: Path) -> None:
    folder, rows = sentences
    sets = [f"vars.{name}" for name in ("longest=24", "channels=16", "depth=1")]
    sets += ["training.batch_size=64", "training.optimizer.learning_rate=0.02", "training.epochs=1"]
    model = trained(folder / "gpt.yaml", *sets)
    file = File(model, tmp_path / "net.onnx")
    texts = [row["text"].lower() for row in rows]
    known = set(file.signature["outputs"][1]["labels"])
    label = file.answer("next_label", {"text": np.array(texts, object)[:, None]})
    right = [
        answer == (following if following in known else "[UNK]")
        for text, answers in zip(texts, label.tolist(), strict=True)
        for following, answer in zip([*text[1:], ""], answers, strict=False)
    ]
    assert np.mean(right) == pytest.approx(model.evaluate()["accuracy"])
    assert np.mean(right) > 0.1, "0.16 are spaces"


# Newswires and garments: made-up rows of the form of the real ones, which a script fetches.

_TOPICS = {
    "earn": "dividend shr net loss cts",
    "acq": "buys stake shares merger",
    "ship": "vessel port strike tanker",
    "crude": "oil barrel opec bpd",
    "grain": "wheat maize tonnes crop",
    "trade": "tariff deficit surplus imports",
    "interest": "rate bank bills prime",
    "money-fx": "dollar yen currency dealers",
}


@pytest.fixture
def newswires(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """The spec of newswires beside its data, and the test rows."""
    random = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    rows = []
    for part, count in ("train", 320), ("test", 80):
        rows = []
        for k in range(count):
            topic = list(_TOPICS)[k % 8]
            other = _TOPICS[str(random.choice(list(_TOPICS)))]
            words = random.permutation([*random.choice(_TOPICS[topic].split(), 3), *random.choice(other.split(), 3)])
            rows.append({"topic": topic, "text": " ".join(words)})
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "data" / f"newswires_{part}.jsonl").write_text(lines, encoding="utf-8", newline="\n")
    return Path(shutil.copy(SPECS["newswires"], tmp_path)), rows


def test_newswires_get_the_labels_that_evaluate_counts(newswires: Any, tmp_path: Path) -> None:
    path, rows = newswires
    model = trained(path, "training.epochs=5", "training.batch_size=16")
    file = File(model, tmp_path / "net.onnx")
    label = file.answer("topic_label", {"text": np.array([[row["text"]] for row in rows], object)}).tolist()
    right = np.mean([answer == row["topic"] for answer, row in zip(label, rows, strict=True)])
    assert right == pytest.approx(model.evaluate()["accuracy"])
    assert right > 0.3, "0.125 are of each topic"


GARMENTS = ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
_SHOES = (5, 7, 9)


@pytest.fixture(scope="module")
def garments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the specs of garments, PNG files in the folders of their kinds, and the tables of their names."""
    image = pytest.importorskip("PIL.Image")
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("garments")
    for name in "fashion", "fashion_inception", "same_garment":
        shutil.copy(SPECS[name], folder)
    shapes = random.random((10, 28, 28)) < 0.5
    files: dict[str, list[str]] = {}
    for part, count in ("train", 100), ("test", 40):
        files[part] = []
        for k in range(count):
            path = f"fashion/{part}/{GARMENTS[k % 10]}/{k:05}.png"
            (folder / "data" / path).parent.mkdir(parents=True, exist_ok=True)
            bright = 250 if k % 10 in _SHOES else 100
            pixels = np.where(shapes[k % 10] ^ (random.random((28, 28)) < 0.1), bright, 20).astype(np.uint8)
            image.fromarray(pixels).save(folder / "data" / path)
            files[part].append(path)
        rows = [(path, GARMENTS[k % 10], "yes" if k % 10 in _SHOES else "no") for k, path in enumerate(files[part])]
        write(folder / "data" / f"fashion_{part}.csv", ("image", "garment", "shoe"), rows)
    parts = {"train": files["train"][:80], "validation": files["train"][80:], "test": files["test"]}
    for part, paths in parts.items():
        pairs = []
        for k in range(2 * len(paths)):
            left = int(random.integers(len(paths)))
            others = [path for j, path in enumerate(paths) if ((j - left) % 10 == 0) == (k % 2 == 0)]
            pairs.append((paths[left], str(random.choice(others)), "yes" if k % 2 == 0 else "no"))
        write(folder / "data" / f"same_garment_{part}.csv", ("left", "right", "same"), pairs)
    return folder


def write(path: Path, header: tuple[str, ...], rows: list[Any]) -> None:
    with path.open("w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([header, *rows])


def pixels_of(folder: Path, names: list[str]) -> np.ndarray:
    from PIL import Image

    pictures = []
    for name in names:
        with Image.open(folder / "data" / name) as picture:
            pictures.append(np.asarray(picture)[..., None])
    return np.stack(pictures)


def agreed(label: np.ndarray, rows: list[Row], column: str) -> float:
    """The part of the rows whose labels are right, of labels that differ."""
    assert len(set(label.ravel().tolist())) > 1
    return float(np.mean([answer == row[column] for answer, row in zip(label.ravel().tolist(), rows, strict=True)]))


def test_garments_get_the_labels_that_evaluate_counts(garments: Path, tmp_path: Path) -> None:
    model = trained(garments / "fashion.yaml", "training.epochs=6", "training.batch_size=16")
    rows = table(garments / "data" / "fashion_test.csv")
    file = File(model, tmp_path / "net.onnx")
    label = file.answer("garment_label", {"image": pixels_of(garments, [row["image"] for row in rows])})
    assert agreed(label, rows, "garment") == pytest.approx(model.evaluate()["accuracy"])
    assert agreed(label, rows, "garment") > 0.2, "0.1 are of each kind"


@pytest.mark.slow
def test_both_heads_get_the_labels_that_evaluate_counts(garments: Path, tmp_path: Path) -> None:
    model = trained(garments / "fashion_inception.yaml", "training.epochs=12", "training.batch_size=16")
    rows = table(garments / "data" / "fashion_test.csv")
    file, metrics = File(model, tmp_path / "net.onnx"), model.evaluate()
    for head in "garment", "shoe":
        label = file.answer(f"{head}_label", {"image": pixels_of(garments, [row["image"] for row in rows])})
        assert agreed(label, rows, head) == pytest.approx(metrics[f"{head}_accuracy"])


def test_pairs_get_the_labels_that_evaluate_counts(garments: Path, tmp_path: Path) -> None:
    model = trained(garments / "same_garment.yaml", "training.epochs=3", "training.batch_size=16")
    rows = table(garments / "data" / "same_garment_test.csv")
    assert {row["same"] for row in rows} == {"yes", "no"}
    file = File(model, tmp_path / "net.onnx")
    pairs = {side: pixels_of(garments, [row[side] for row in rows]) for side in ("left", "right")}
    assert agreed(file.answer("same_label", pairs), rows, "same") == pytest.approx(model.evaluate()["accuracy"])


# Handwriting: rows of other widths than its data have, since an app's pictures have any.

_STROKES = np.random.default_rng(0).integers(0, 2, (6, 16, 8)).astype(np.uint8)


@pytest.fixture(scope="module")
def written_words(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[np.ndarray, str]]]:
    """A folder with the spec and PNG files of words, and the pictures and texts of the test rows."""
    image = pytest.importorskip("PIL.Image")
    random, folder = np.random.default_rng(1), tmp_path_factory.mktemp("handwriting")
    (folder / "data").mkdir()
    spec = SPECS["handwriting"].read_text(encoding="utf-8")
    assert "units: 27}" in spec
    (folder / "handwriting.yaml").write_text(spec.replace("units: 27}", "units: 7}"), encoding="utf-8")  # a to f
    parts = {}
    for part, count in ("train", 200), ("test", 30):
        rows = []
        for row in range(count):
            letters = np.append(random.integers(0, 6, random.integers(2, 6)), row % 6)
            noisy = np.hstack(_STROKES[letters]) ^ (random.random((16, 8 * len(letters))) < 0.02)
            wide = np.hstack([noisy, np.zeros((16, random.integers(0, 6)), np.uint8)]) * np.uint8(255)
            rows.append((wide, "".join(chr(97 + letter) for letter in letters)))
            image.fromarray(wide).save(folder / "data" / f"{part}{row}.png")
        with (folder / "data" / f"handwriting_{part}.csv").open("w", newline="") as f:
            csv.writer(f).writerows(
                [("picture", "text"), *((f"{part}{k}.png", text) for k, (_, text) in enumerate(rows))]
            )
        parts[part] = rows
    return folder, parts["test"]


def edits(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        before, row = row, [i + 1]
        for j, y in enumerate(b):
            row.append(min(before[j + 1] + 1, row[j] + 1, before[j] + (x != y)))
    return row[-1]


@pytest.mark.slow
def test_a_words_picture_alone_has_the_text_that_evaluate_counts(written_words: Any, tmp_path: Path) -> None:
    folder, rows = written_words
    model = trained(folder / "handwriting.yaml", "training.epochs=12", "training.optimizer.learning_rate=0.02")
    assert model.labels["letters"] == ["", *"abcdef"]
    file = File(model, tmp_path / "net.onnx")
    texts = []
    for picture, _ in rows:
        labels = file.answer("letters_label", {"word": picture[None, :, :, None].astype(np.float32)})
        assert labels.shape[0] == 1
        texts.append("".join(labels[0]))
    assert len({picture.shape[1] for picture, _ in rows}) > 10, "of many widths"
    wrong = sum(edits(text, right) for text, (_, right) in zip(texts, rows, strict=True))
    rate = wrong / sum(len(right) for _, right in rows)
    assert rate == pytest.approx(model.evaluate()["edit_distance"])
    assert rate < 0.8, "without letters it is 1"
    record = next(entry for entry in file.signature["outputs"] if entry["name"] == "letters_label")
    assert record["join"] is True


def test_every_spec_with_data_has_a_test_part() -> None:
    for name, path in SPECS.items():
        text = path.read_text(encoding="utf-8")
        assert name == "branches" or re.search(r"^  test:", text, re.M), name
