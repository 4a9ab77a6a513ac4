"""Specs of series and of folders: the template with what is there."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from commands import graphspec

import graphspec as gs
from graphspec.data import fill as filled
from graphspec.language.declarations import Every


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _sales(form: str = "%Y-%m-%d", shops: tuple[str, ...] = ("north", "south")) -> None:
    lines = ["day,shop,units sold,price,weather,gaps"]
    for k in range(64):
        day = (date(2024, 1, 1) + timedelta(days=k)).strftime(form)
        for n, shop in enumerate(shops):
            lines.append(f"{day},{shop},{k % 7 + n},{1 + k % 3 / 10},{'sun' if k % 2 else 'rain'},{k if k % 5 else ''}")
    Path("sales.csv").write_text("\n".join(lines) + "\n")


def _init(*options: str) -> gs.Spec:
    result = graphspec("init", "net.yaml", *options)
    assert result.exit_code == 0, result.stderr
    checked = graphspec("validate", "net.yaml", "--data")
    assert checked.stdout.startswith("net.yaml: ok ("), checked.stdout
    return gs.compile("net.yaml").spec


def test_a_series_has_its_columns_its_time_and_its_groups() -> None:
    _sales()
    spec = _init("--from", "sales.csv", "--target", "units sold", "--kind", "sequence")
    train = spec.data["train"]
    assert train.windows is not None
    assert (train.windows.order, train.windows.group) == ("day", "shop")
    assert (train.windows.every, train.windows.missing) == (Every(1, "d"), "interpolate")
    assert train.inputs == {"past": ["units sold", "price", "gaps"]}
    assert (
        "    # 26 empty values: filled from the values before and after\n    windows: {" in Path("net.yaml").read_text()
    )
    assert train.targets == {"next": "units sold"}
    result = graphspec("train", "net.yaml", "--set", "training.epochs=1", "--export", "net.onnx")
    assert result.exit_code == 0, result.stderr


def test_one_series_has_no_group() -> None:
    _sales(shops=("north",))
    windows = _init("--from", "sales.csv", "--target", "price", "--kind", "sequence").data["train"].windows
    assert windows is not None
    assert (windows.order, windows.group) == ("day", None)


def test_dates_of_another_format_are_sorted_by_it() -> None:
    _sales("%d.%m.%Y")
    windows = _init("--from", "sales.csv", "--target", "price", "--kind", "sequence").data["train"].windows
    assert windows is not None
    assert (windows.order, windows.format, windows.group, windows.every) == ("day", "%d.%m.%Y", "shop", Every(1, "d"))


def test_dates_that_cannot_be_sorted_are_named() -> None:
    command = ("init", "net.yaml", "--from", "sales.csv", "--target", "price", "--kind", "sequence")
    _sales("%d.%m.%Y", shops=("north",))
    text = Path("sales.csv").read_text()
    Path("sales.csv").write_text(text.replace("01.01.2024", "2024-01-01"))
    result = graphspec(*command)
    assert "some values of column 'day' are no dates as %d.%m.%Y" in " ".join(result.stderr.split())
    windows = gs.compile("net.yaml").spec.data["train"].windows
    assert windows is not None
    assert windows.order is None


def test_days_and_months_that_may_be_swapped_are_named() -> None:
    lines = [f"{k}/{k}/2024,{k}" for k in range(1, 13)] + [f"{k}/{k}/2025,{k}" for k in range(1, 13)]
    Path("sales.csv").write_text("\n".join(["day,price", *lines]) + "\n")
    result = graphspec("init", "net.yaml", "--from", "sales.csv", "--target", "price", "--kind", "sequence")
    assert "are read as %d/%m/%Y; they may also be %m/%d/%Y" in " ".join(result.stderr.split())


def test_a_target_with_many_gaps_is_refused_with_the_others() -> None:
    _sales()
    few = Path("sales.csv").read_text().splitlines()
    Path("sales.csv").write_text(
        "\n".join(line.rpartition(",")[0] + "," if k % 2 else line for k, line in enumerate(few))
    )
    result = graphspec("init", "net.yaml", "--from", "sales.csv", "--target", "gaps", "--kind", "sequence")
    assert result.exit_code == 2
    assert "of which at most a third is missing; such columns are units sold, price" in " ".join(result.stderr.split())


def test_missing_steps_are_filled_and_too_many_refused() -> None:
    _sales(shops=("north",))
    head, *lines = Path("sales.csv").read_text().splitlines()
    Path("sales.csv").write_text("\n".join([head, *lines[:20], *lines[22:]]))
    windows = _init("--from", "sales.csv", "--target", "price", "--kind", "sequence").data["train"].windows
    assert windows is not None
    assert (str(windows.every), windows.missing) == ("1d", "interpolate")
    assert "# 2 missing rows and 12 empty values: filled" in Path("net.yaml").read_text()
    Path("sales.csv").write_text(
        "\n".join([head, *lines[:5], *(line for k, line in enumerate(lines[5:]) if k % 8 < 2)])
    )
    result = graphspec("init", "other.yaml", "--from", "sales.csv", "--target", "price", "--kind", "sequence")
    assert result.exit_code == 2
    assert "more than a third of the steps of 1d are missing in 'day'" in " ".join(result.stderr.split())


def test_the_group_is_a_column_in_which_no_time_occurs_twice() -> None:
    lines = [
        f"{date(2024, 1, 1) + timedelta(days=k)},{'sun' if k % 2 else 'rain'},{shop},{k % 7 + n}"
        for k in range(64)
        for n, shop in enumerate(("north", "south"))
    ]
    Path("sales.csv").write_text("\n".join(["day,weather,shop,v", *lines]))
    windows = _init("--from", "sales.csv", "--target", "v", "--kind", "sequence").data["train"].windows
    assert windows is not None
    assert windows.group == "shop"


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


def test_a_series_without_a_time_is_said() -> None:
    Path("sales.csv").write_text("shop,price\n" + "".join(f"{'ab'[k > 20]},{k}\n" for k in range(40)))
    result = graphspec("init", "net.yaml", "--from", "sales.csv", "--target", "price", "--kind", "sequence")
    assert "no column of times is found. The rows are read as one series" in " ".join(result.stderr.split())
