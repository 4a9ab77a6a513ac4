"""Specs of folders: the template with what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import graphspec

import graphspec as gs
from graphspec.data import fill as filled


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _init(*options: str) -> gs.Spec:
    result = graphspec("init", "net.yaml", *options)
    assert result.exit_code == 0, result.stderr
    checked = graphspec("validate", "net.yaml", "--data")
    assert checked.stdout.startswith("net.yaml: ok ("), checked.stdout
    return gs.compile("net.yaml").spec


@pytest.mark.parametrize("source", ["toys", "toys/train"])
def test_a_folder_of_pictures(source: str) -> None:
    from PIL import Image

    for part in ("train", "test"):
        for k in range(30):
            kind = Path("toys", part, ("ball", "car", "doll")[k % 3])
            kind.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 8), (80 * (k % 3), 0, 0)).save(kind / f"{k}.png")
    spec = _init("--from", source)
    assert [node.layer.units for node in spec.nodes if node.name == "kind"] == [3]  # type: ignore[union-attr]
    assert list(spec.data) == ["train", "validation", "test"]
    training, validation = spec.training, spec.data["validation"]
    assert (training.batch_size, training.epochs, validation.split) == (16, 60, 0.25)  # of a few pictures
    assert training.optimizer.learning_rate.total_steps == 2 * 60  # type: ignore[union-attr]  # 22 rows in batches of 16


@pytest.mark.parametrize("name", ["mails", "opinions"])  # a name of the template in that of the folder stays
def test_a_folder_of_many_texts_is_trained_as_the_template_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filled, "_FEW", 4)
    for k in range(4):
        kind = Path(name, ("ham", "spam")[k % 2])
        kind.mkdir(parents=True, exist_ok=True)
        (kind / f"{k}.txt").write_text(("see you", "buy now")[k % 2])
    spec = _init("--from", name)
    training, validation = spec.training, spec.data["validation"]
    assert (training.batch_size, training.epochs, validation.split) == (64, 30, 0.1)


def test_a_folder_of_texts() -> None:
    for k in range(40):
        kind = Path("mails", ("ham", "spam")[k % 2])
        kind.mkdir(parents=True, exist_ok=True)
        (kind / f"{k}.txt").write_text(("see you", "buy now")[k % 2])
    spec = _init("--from", "mails")
    assert spec.data["train"].texts is not None
    assert list(spec.heads) == ["kind"]
    result = graphspec("init", "other.yaml", "--from", "mails", "--target", "kind")
    assert (result.exit_code, "leave out --target" in result.stderr) == (2, True)
    Path("bare").mkdir()
    result = graphspec("init", "other.yaml", "--from", "bare")
    assert "bare has neither pictures nor texts" in result.stderr


def test_sizes_and_small_classes_of_a_folder() -> None:
    from PIL import Image

    for k in range(12):
        kind = Path("toys", ("ball", "car")[k > 2])
        kind.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 8) if k else (40, 20)).save(kind / f"{k}.png")
    result = graphspec("init", "net.yaml", "--from", "toys")
    assert "net.yaml: 12 pictures of 2 classes, in pixels: 11 of 8 x 9, 1 of 20 x 40" in " ".join(result.stdout.split())
    assert "warning: 1 of 2 classes has fewer than 5 pictures ('ball' has 3)" in result.stderr
    for k in range(1200):
        kind = Path("mails", f"{k}")
        kind.mkdir(parents=True)
        (kind / "a.txt").write_text("see you")
    result = graphspec("init", "other.yaml", "--from", "mails")
    assert result.exit_code == 2
    assert "mails has 1,200 classes for 1,200 texts; nearly every text is a class of its own" in " ".join(
        result.stderr.split()
    )
    assert not Path("other.yaml").exists()
