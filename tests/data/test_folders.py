"""Folders of pictures and of texts, and tables that name pictures."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import onnxruntime
import pytest
from commands import graphspec as command
from data.sources import diagnostics, rows, written

import graphspec
from graphspec.base.arrays.pictures import Pictures
from graphspec.base.arrays.strings import Strings
from graphspec.data import folders
from graphspec.data.batches import Dataset
from graphspec.data.files import files_of
from graphspec.data.source import DataSignature
from graphspec.graph.ir.graph import Type

Image = pytest.importorskip("PIL.Image")
IMAGES = DataSignature({"x": Type("uint8", ("N", 4, 4, 1))}, {"y": Type("int64", ("N",))}, labels={"y": ["cat", "dog"]})
TEXTS = DataSignature({"x": Type("string", ("N", 1))}, {"y": Type("int64", ("N",))}, text_labels=frozenset("y"))


def picture(path: Path, value: int, size: tuple[int, int] = (4, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, value in (("dog/b.png", 3), ("dog/a.png", 2), ("cat/z/1.PNG", 1), ("cat/0.bmp", 0), (".hidden/x.png", 9)):
        picture(tmp_path / "photos" / name, value)
    (tmp_path / "photos" / "cat" / "notes.md").write_text("not a picture")
    (tmp_path / "photos" / "cat" / "._0.png").write_text("of another system")
    return tmp_path


def test_pictures_by_class(photos: Path) -> None:
    source = written(photos, "images: photos\nlabels: folder")
    arrays = rows(source, IMAGES)
    assert arrays.inputs["x"][:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert arrays.targets["y"].tolist() == [0, 0, 1, 1]
    assert [p.relative_to(photos / "photos").as_posix() for p in files_of(source)] == [
        "cat/0.bmp",
        "cat/z/1.PNG",
        "dog/a.png",
        "dog/b.png",
    ]
    assert len(rows(source, IMAGES, max_rows=3)) == 3


def test_labels_are_learnt_or_must_be_known(photos: Path) -> None:
    source = written(photos, "images: photos\nlabels: folder")
    learnt = DataSignature(IMAGES.inputs, IMAGES.targets, text_labels=frozenset("y"))
    targets = rows(source, learnt).targets["y"]
    assert isinstance(targets, Strings)
    assert targets[:].tolist() == ["cat", "cat", "dog", "dog"]
    picture(photos / "photos" / "cow" / "1.png", 1)
    [found] = diagnostics(source, IMAGES)
    assert (found.code, "'cow'" in found.message) == ("GS506", True)


def test_names_of_columns_can_be_given(photos: Path) -> None:
    wanted = DataSignature(
        {"x": IMAGES.inputs["x"], "n": Type("string", ("N", 1))}, IMAGES.targets, labels=IMAGES.labels
    )
    text = "images: photos\nlabels: folder\ninputs: {x: image, n: path}\ntargets: {y: label}"
    assert rows(written(photos, text), wanted).inputs["n"][:].reshape(-1).tolist()[0] == "cat/0.bmp"
    [found] = diagnostics(written(photos, "images: photos\ninputs: {x: image, n: path}"), wanted)
    assert (found.code, "has no column 'label' for target 'y'" in found.message) == ("GS502", True)


def test_texts_by_class(tmp_path: Path) -> None:
    for name, text in (("neg/1.txt", "bad"), ("pos/1.txt", "sehr schön"), ("pos/2.txt", ""), ("pos/3.md", "left out")):
        path = tmp_path / "reviews" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8-sig")
    source = written(tmp_path, "texts: reviews\nlabels: folder")
    arrays = rows(source, TEXTS)
    assert arrays.inputs["x"][:].tolist() == [["bad"], ["sehr schön"], [""]]
    assert arrays.targets["y"][:].tolist() == ["neg", "pos", "pos"]
    for k in range(30):
        (tmp_path / "reviews" / "neg" / f"x{k:02}.txt").write_bytes(b"caf\xe9")
    found = diagnostics(source, TEXTS)
    assert len(found) == 5
    assert {d.code for d in found} == {"GS501"}
    assert "has 'neg/x00.txt', which is not UTF-8" in found[0].message
    numbers = DataSignature({"x": Type("float32", ("N", 1))}, TEXTS.targets, text_labels=frozenset("y"))
    [found] = diagnostics(written(tmp_path, "texts: reviews\nlabels: folder\ninputs: {x: text}"), numbers)
    assert found.code == "GS504"


def test_a_text_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reviews" / "a").mkdir(parents=True)
    (tmp_path / "reviews" / "a" / "1.txt").write_text("abcdefgh")
    monkeypatch.setattr(folders, "_MAX_TEXT", 7)
    [found] = diagnostics(written(tmp_path, "texts: reviews\nlabels: folder"), TEXTS)
    assert (found.code, "has 'a/1.txt' of more than" in found.message) == ("GS501", True)


def test_labels_that_are_not_declared_are_the_subfolders(photos: Path) -> None:
    [found] = diagnostics(written(photos, "images: photos"), IMAGES)
    assert found.hint == "write `labels: folder` if the names of the subfolders are the labels"
    [found] = diagnostics(written(photos, "images: photos/dog"), IMAGES)
    assert found.hint == "it has image, path"


def test_folders_that_cannot_be_used(photos: Path) -> None:
    def code(text: str) -> tuple[str, str]:
        [found] = diagnostics(written(photos, text), IMAGES)
        assert found.line == 3
        return found.code, found.message

    assert code("images: none\nlabels: folder") == ("GS501", f"folder '{photos}/none' does not exist")
    assert code("images: spec.yaml\nlabels: folder")[1].endswith("is a file, not a folder")
    assert code("texts: photos\nlabels: folder")[0] == "GS508"
    (photos / "secret.png").write_bytes((photos / "photos/dog/a.png").read_bytes())
    (photos / "photos" / "dog" / "c.png").symlink_to(photos / "secret.png")
    assert code("images: photos\nlabels: folder")[0] == "GS513"
    (photos / "photos" / "dog" / "c.png").unlink()
    picture(photos / "photos" / "0.png", 1)
    assert code("images: photos\nlabels: folder")[1].endswith(
        "has '0.png' beside its subfolders, whose names are the labels"
    )


@pytest.mark.parametrize(
    ("mode", "code", "says", "fix"),
    [
        ("I;16", "GS504", "has 'cat/1.png' with more than 8 bits per channel, which would be cut off", "8 bits"),
        ("several", "GS503", "has 'cat/1.gif' with several pictures", "save one of them"),
        ("L", "GS503", "has 'cat/1.png' of 4 x 4 pixels, more than 8", "make it smaller"),
    ],
)
def test_pictures_that_are_not_decoded(
    mode: str, code: str, says: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    if mode == "several":
        first, second = (Image.new("L", (4, 4), value) for value in (0, 200))
        first.save(tmp_path / "photos/cat/1.gif", save_all=True, append_images=[second])
    else:
        Image.new(mode, (4, 4)).save(tmp_path / "photos/cat/1.png")
        monkeypatch.setattr(folders, "_MAX_PIXELS", 8 if mode == "L" else 16)
    [found] = diagnostics(written(tmp_path, "images: photos\nlabels: folder"), IMAGES)
    assert (found.code, says in found.message, fix in str(found.hint)) == (code, True, True), found


@pytest.mark.parametrize(
    ("kind", "columns", "says"),
    [
        (Type("float32", ("N", 4)), "image", "has pictures for input 'x', which takes none"),
        (Type("uint8", ("N", 4, 4, 2)), "image", "has pictures for input 'x', which takes none"),
        (Type("string", ("N", 2)), "[image, path]", "has 'image' among several columns"),
    ],
)
def test_inputs_that_take_no_pictures(kind: Type, columns: str, says: str, photos: Path) -> None:
    wanted = DataSignature({"x": kind}, IMAGES.targets, labels=IMAGES.labels)
    [found] = diagnostics(written(photos, f"images: photos\nlabels: folder\ninputs: {{x: {columns}}}"), wanted)
    assert (found.code, found.message.endswith(says)) == ("GS503", True), found.message


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights on Windows")
def test_every_link_that_cannot_be_used_is_named(photos: Path) -> None:
    dog = photos / "photos" / "dog"
    (dog / "loop.png").symlink_to("loop.png")
    (dog / "gone.png").symlink_to("nothing.png")
    (dog / "above").symlink_to(photos / "photos")
    (dog / "notes.md").symlink_to("no picture")
    found = diagnostics(written(photos, "images: photos\nlabels: folder"), IMAGES)
    assert {d.code for d in found} == {"GS501"}
    assert sorted(d.message.partition(" has ")[2] for d in found) == [
        "'dog/above', a link to a folder, which is not followed",
        "'dog/gone.png', a link that leads nowhere",
        "'dog/loop.png', a link that leads nowhere",
    ]
    (photos / "t.csv").write_text("file,y\nphotos/dog/loop.png,dog\n")
    [found] = diagnostics(written(photos, "file: t.csv\ninputs: {x: file}"), IMAGES)
    assert (found.code, "loop.png" in found.message) == ("GS501", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images: photos\nfile: t.csv", "`images` of `data.train` cannot be used with `file`"),
        ("images: photos\ntexts: photos", "`texts` of `data.train` cannot be used with `images`"),
        ("file: t.csv\nlabels: folder", "`labels` of `data.train` needs `images` or `texts`"),
        ("images: photos\nwindows: {length: 2}", "`windows` of `data.train` needs `file` or `query`"),
        ("file: t.duckdb", "`data.train` needs `query`"),
        ("file: t.csv\nquery: SELECT 1", "`file` of `data.train` cannot be used with `query`"),
        ("file: t.csv\nfolder: x", "`folder` of `data.train` needs `query`"),
        ("folder: x", "a folder of rows is `images: pictures`"),
    ],
)
def test_keys_that_do_not_go_together(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message.replace(".", r"\.")):
        written(tmp_path, text)


@pytest.mark.parametrize("kind", ["csv", "parquet", "query", "pattern"])
def test_a_table_that_names_pictures(photos: Path, kind: str) -> None:
    lines = ["photos/dog/b.png,dog,1.5", "photos/cat/0.bmp,cat,2.5"]
    (photos / "t.csv").write_text("file,kind,v\n" + "\n".join(lines) + "\n")
    duckdb.sql(f"FROM '{photos}/t.csv'").write_parquet(str(photos / "t.parquet"))
    source = {
        "csv": "file: t.csv",
        "parquet": "file: t.parquet",
        "query": "query: FROM 't.csv'",
        "pattern": "file: t*.csv",
    }
    wanted = DataSignature(
        {"x": IMAGES.inputs["x"], "v": Type("float32", ("N", 1))}, IMAGES.targets, labels=IMAGES.labels
    )
    text = f"{source[kind]}\ninputs: {{x: file}}\ntargets: {{y: kind}}"
    arrays = rows(written(photos, text), wanted)
    assert arrays.inputs["x"][:, 0, 0, 0].tolist() == [3, 0]
    assert arrays.inputs["v"].tolist() == [[1.5], [2.5]]
    assert arrays.targets["y"].tolist() == [1, 0]
    assert rows(written(photos, text), wanted, max_rows=1).inputs["x"].shape == (1, 4, 4, 1)


def test_names_of_pictures_are_relative_to_their_table(photos: Path) -> None:
    (photos / "photos" / "t.csv").write_text("x,y\ndog/b.png,dog\n")
    assert rows(written(photos, "file: photos/t.csv"), IMAGES).inputs["x"][:, 0, 0, 0].tolist() == [3]


def test_pictures_outside_of_the_folder_are_not_read(photos: Path) -> None:
    inside = photos / "inside"
    inside.mkdir()
    names = ["../photos/dog/a.png", str(photos / "photos/dog/a.png"), "link.png", ""]
    (inside / "link.png").symlink_to(photos / "photos/dog/a.png")
    (inside / "t.csv").write_text("file,y\n" + "\n".join(f'"{name}",cat' for name in names) + "\n")
    source = written(inside, "file: t.csv\ninputs: {x: file}")
    found = diagnostics(source, IMAGES)
    assert [d.code for d in found] == ["GS513", "GS513", "GS513", "GS505"]
    assert "in line 4" in found[2].message


SPEC = """
graphspec: 1
name: brightness
inputs:
  x: {shape: [4, 4, 1], dtype: uint8}
layers:
  - {type: Rescaling, scale: 0.01}
  - {type: Flatten}
  - {name: y, type: Dense, units: 2, activation: softmax}
outputs:
  y: {loss: sparse_categorical_crossentropy, labels: [dark, light], metrics: [accuracy]}
data:
  train: {images: photos, labels: folder}
  test: {images: photos, labels: folder}
training: {epochs: 30, batch_size: 8, optimizer: {type: Adam, learning_rate: 0.05}}
"""

OPINIONS = """
graphspec: 1
name: opinions
inputs:
  x: {dtype: string}
layers:
  - {type: TextVectorization, output_mode: multi_hot}
  - {name: y, type: Dense, units: 2, activation: softmax}
outputs:
  y: {loss: sparse_categorical_crossentropy, metrics: [accuracy]}
data:
  train: {texts: texts, labels: folder}
training: {epochs: 20, batch_size: 8, optimizer: {type: Adam, learning_rate: 0.05}}
"""


@pytest.mark.slow
def test_training_and_predicting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for k in range(16):
        picture(tmp_path / "photos" / ("light" if k % 2 else "dark") / f"{k}.png", 200 + k if k % 2 else 10 + k)
    (tmp_path / "spec.yaml").write_text(SPEC)
    assert command("train", "spec.yaml", "--out", "run").exit_code == 0
    picture(tmp_path / "new" / "b.png", 220)
    picture(tmp_path / "new" / "a.png", 5)
    found = command("predict", "run", "new", "--keep", "path", "--labels")
    assert found.stdout.splitlines() == ["path,y_label", "a.png,dark", "b.png,light"]
    assert command("predict", "run", "new/b.png", "--keep", "path", "--labels").stdout == "path,y_label\nb.png,light\n"
    (tmp_path / "bad.png").write_bytes((tmp_path / "new/b.png").read_bytes()[:50])
    assert "file 'bad.png' has 'bad.png', which cannot be decoded" in " ".join(
        command("predict", "run", "bad.png").stderr.split()
    )
    assert "accuracy  1" in command("evaluate", "run").stdout
    assert "accuracy  1" in command("evaluate", "run", "--data", "photos").stdout
    assert graphspec.load(tmp_path / "run").export(tmp_path / "m.onnx").rows == "the test data"
    picture(tmp_path / "photos" / "light" / "1.png", 199)
    found = command("train", "spec.yaml", "--out", "run", "--resume")
    assert found.exit_code == 2
    assert "the data files have changed" in found.stderr


def test_one_text_and_texts_that_the_spec_does_not_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for k in range(16):
        for folder in ("texts", "others"):
            place = tmp_path / folder / ("good" if k % 2 else "bad")
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{k}.txt").write_text("a fine film" if k % 2 else "a dull film")
    (tmp_path / "spec.yaml").write_text(OPINIONS)
    assert command("train", "spec.yaml", "--out", "run").exit_code == 0
    assert command("predict", "run", "texts/good/1.txt", "--labels").stdout == "good\n"
    assert "accuracy  1" in command("evaluate", "run", "--data", "others").stdout  # the spec has no test data
    refused = command("predict", "run", "spec.yaml")
    assert refused.exit_code == 1
    assert "unknown file type" in refused.stderr


def test_a_folder_is_no_single_picture_if_it_has_labels(photos: Path) -> None:
    [found] = diagnostics(written(photos, "images: photos/dog/a.png\nlabels: folder"), IMAGES)
    assert found.message.endswith("is a file, not a folder")


SIZES = SPEC.replace("[4, 4, 1]", "[null, null, 1]").replace(
    "  - {type: Flatten}\n",
    "  - {type: Normalization}\n  - {type: Resizing, height: 3, width: 5}\n  - {type: Flatten}\n",
)


@pytest.mark.slow
def test_pictures_of_several_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    r = np.random.default_rng(0)
    for k in range(18):
        place = tmp_path / "photos" / ("light" if k % 2 else "dark") / f"{k}.png"
        picture(place, 0)
        low, size = 150 if k % 2 else 0, [(4, 4), (8, 3), (5, 9), (4, 4)][k % 4]
        Image.fromarray(r.integers(low, low + 100, size).astype(np.uint8)).save(place)
    (tmp_path / "spec.yaml").write_text(SIZES)
    assert (
        command("train", "spec.yaml", "--out", "run", "--set", "training.epochs=2", "--export", "m.onnx").exit_code == 0
    )
    again = ("train", "spec.yaml", "--out", "two", "--no-report", "--set", "training.epochs=2")
    assert command(*again, "--set", "training.shards=2", "--set", "training.workers=2").exit_code == 0
    assert "accuracy" in command("evaluate", "run").stdout
    assert "different numbers of grey pixels" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
    model, files = graphspec.load("run"), sorted((tmp_path / "photos").rglob("*.png"))
    pictures = [np.asarray(Image.open(file))[..., None] for file in files]
    learnt = model.adapted.layers[next(iter(model.adapted.layers))]
    values = np.concatenate([0.01 * p.reshape(-1).astype(np.float64) for p in pictures])
    assert np.allclose([learnt["mean"], learnt["variance"]], [[values.mean()], [values.var()]], rtol=1e-5)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    alone = np.concatenate([session.run(["y"], {"x": p[None]})[0] for p in pictures])
    assert np.allclose(model.predict(pictures), alone, atol=1e-6)
    for network in ("run", "m.onnx"):
        assert command("predict", network, "photos", "-o", "found.npz").exit_code == 0
        with np.load("found.npz") as found:
            assert np.allclose(found["y"], alone, atol=1e-6)
    targets = np.array([file.parent.name == "light" for file in files]).astype(np.int64)
    assert model.evaluate(pictures, targets)["loss"] == pytest.approx(model.evaluate()["loss"], rel=1e-6)
    model.fit({"x": pictures}, targets, epochs=1, verbose=0, validation_split=0.2)
    with pytest.raises(graphspec.UsageError, match="several sizes cannot be explained together"):
        model.explain(pictures)
    with pytest.raises(graphspec.SpecError, match=r"shape \(1, 4, 4, 2\), not \(N, x_1, x_2, 1\)"):
        model.predict([np.zeros((4, 4, 2), np.uint8), np.zeros((3, 4, 2), np.uint8)])


def test_a_network_that_needs_one_size_says_so_once(photos: Path) -> None:
    picture(photos / "photos/dog/c.png", 1, (5, 4))
    free = DataSignature({"x": Type("uint8", ("N", "h", "w", 1))}, IMAGES.targets, labels=IMAGES.labels)
    [found] = diagnostics(written(photos, "images: photos\nlabels: folder"), free)
    assert found.message.endswith("has pictures of other sizes than 4 x 4: 'dog/c.png' (4 of 4 x 4, 1 of 5 x 4)")
    allowed = rows(written(photos, "images: photos\nlabels: folder"), replace(free, any_size=frozenset("x")))
    assert isinstance(allowed.inputs["x"], Pictures)
    assert Dataset.of(allowed.named()).inputs["x"][4].shape == (5, 4, 1)
    assert allowed.sample(9)["x"].shape == (4, 4, 4, 1)
