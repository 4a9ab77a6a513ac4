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


TAGS = '{"tags": ["a", "b"], "x": 1}\n'


@pytest.mark.parametrize(
    ("files", "options", "text"),
    [
        (
            {"mails/ham/1.txt": "see you"},
            "mails",
            "mails has one folder, 'ham': name the folder with a folder for each class",
        ),
        (
            {f"toys/{kind}/{k}.png": "no picture" for kind in ("car", "doll") for k in range(9)},
            "toys --like resnet50",
            "no picture of toys can be read: are they pictures, and is Pillow installed?",
        ),
        ({"t.jsonl": 9 * TAGS}, "t.jsonl --target tags", "t.jsonl has no column of lists beside 'tags'"),
        (
            {"t.jsonl": 9 * TAGS.replace("1", '["Go"]')},
            "t.jsonl --target tags",
            "t.jsonl has another number of 'x' than of 'tags' in 9 rows (write one tag for each token",
        ),
    ],
)
def test_files_from_which_no_spec_is_made(files: dict[str, str], options: str, text: str) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)
    result = graphspec("init", "net.yaml", "--from", *options.split())
    assert (result.exit_code, Path("net.yaml").exists()) == (2, False)
    assert text in " ".join(result.stderr.split())


def test_rows_without_a_target_and_dates_with_gaps_and_rare_answers() -> None:
    lines = [f"{k % 37},{'' if k % 9 == 1 else f'2024-{k // 28 % 12 + 1:02}-{k % 28 + 1:02}'}" for k in range(300)]
    rich = ["" if k % 50 == 1 else "yes" if k in (3, 70) else "no" for k in range(300)]
    Path("t.csv").write_text("a,day,rich\n" + "".join(f"{x},{y}\n" for x, y in zip(lines, rich, strict=True)))
    assert graphspec("init", "net.yaml", "--from", "t.csv", "--target", "rich").exit_code == 0
    text = " ".join(Path("net.yaml").read_text().replace("  # ", " ").split())
    assert "drop_missing_targets: true 6 rows have no target" in text
    assert "day: {type: date, parts: [month, weekday], indicator: true}" in text
    assert "'yes' has 0.7 % of the rows: it is the answer from a lower probability on, at which F1 is best" in text
