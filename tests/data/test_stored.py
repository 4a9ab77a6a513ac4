"""Files that seem larger than the memory: their rows come from memory maps, which are made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec
from shop import project

import graphspec as gs
from graphspec.base.arrays.memory import map_of
from graphspec.base.arrays.strings import Strings
from graphspec.base.errors import RunError
from graphspec.data import source, stored
from graphspec.data.batches import Dataset
from graphspec.data.stored import load_rows


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose memory holds no file."""
    monkeypatch.setattr(stored, "SHARE", 0.0)


def loaded(model: gs.Model, cache: Path | None) -> Dataset:
    rows, found = load_rows(model.spec.data["train"], model.needed, cache)
    assert found == []
    assert rows is not None
    return rows


def assert_same(one: Dataset, other: Dataset) -> None:
    assert one.named().keys() == other.named().keys()
    for name, array in one.named().items():
        np.testing.assert_array_equal(array, other.named()[name], err_msg=name)


def entries(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_dir())


def test_rows_in_maps_are_those_in_memory_and_are_read_once(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, cache = gs.compile(project(tmp_path)), tmp_path / "cache"
    plain, first = loaded(model, None), loaded(model, cache)
    assert_same(first, plain)
    for array in (first.inputs["spent"], *(getattr(first.inputs["town"], part) for part in ("data", "offsets"))):
        assert map_of(array) is not None
    assert isinstance(first.targets["mood"], Strings)
    (entry,) = entries(cache)
    sizes = {path.name: path.stat().st_size for path in entry.iterdir() if path.suffix == ".bin"}
    assert sum(sizes.values()) == sum(a.nbytes for a in plain.named().values())  # nothing spare remains
    monkeypatch.setattr(stored, "load", None)
    assert_same(loaded(model, cache), plain)


def test_files_that_fit_stay_in_memory(tmp_path: Path) -> None:
    model = gs.compile(project(tmp_path))
    assert all(map_of(a) is None for a in loaded(model, tmp_path / "cache").named().values())
    assert not (tmp_path / "cache").exists()


def test_what_does_not_fit_after_all_is_read_into_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = gs.compile(project(tmp_path))
    plain = loaded(model, None)
    monkeypatch.setattr(source, "free", lambda: 100)
    rows, found = stored.load(model.spec.data["train"], model.needed)
    assert rows is None
    assert [d.code for d in found] == ["GS602"]
    assert_same(loaded(model, tmp_path / "cache"), plain)


@pytest.mark.parametrize("change", ["rows", "columns"])
def test_other_rows_or_columns_have_an_entry_of_their_own(tmp_path: Path, small: None, change: str) -> None:
    spec, cache = project(tmp_path), tmp_path / "cache"
    loaded(gs.compile(spec), cache)
    if change == "rows":
        table = tmp_path / "shop.csv"
        table.write_text(table.read_text(encoding="utf-8").replace("Oslo", "Bonn"), encoding="utf-8")
    else:
        text = spec.read_text(encoding="utf-8").replace("{type: number, indicator: true}", "category")
        spec.write_text(text, encoding="utf-8")
    model = gs.compile(spec)
    assert_same(loaded(model, cache), loaded(model, None))
    assert len(entries(cache)) == 2


@pytest.mark.parametrize("damage", ["short", "missing", "index", "garbage", "fields"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, small: None, damage: str) -> None:
    model, cache = gs.compile(project(tmp_path)), tmp_path / "cache"
    plain = loaded(model, None)
    loaded(model, cache)
    (entry,) = entries(cache)
    file = max(entry.glob("*.bin"), key=lambda path: path.stat().st_size)
    if damage == "short":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "missing":
        file.unlink()
    elif damage == "index":
        (entry / "index.json").unlink()
    else:
        (entry / "index.json").write_text("[" if damage == "garbage" else '{"arrays": {"inputs/town": {}}}', "utf-8")
    assert_same(loaded(model, cache), plain)
    assert entries(cache) == [entry]


def test_problems_of_the_file_leave_nothing(tmp_path: Path, small: None) -> None:
    spec, cache = project(tmp_path), tmp_path / "cache"
    table = tmp_path / "shop.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("Oslo,", "Oslo,many", 1), encoding="utf-8")
    model = gs.compile(spec)
    rows, found = load_rows(model.spec.data["train"], model.needed, cache)
    assert rows is None
    assert [d.code for d in found] == [d.code for d in load_rows(model.spec.data["train"], model.needed, None)[1]]
    assert found
    assert entries(cache) == []


def test_a_full_disk_is_reported(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    model, cache = gs.compile(project(tmp_path)), tmp_path / "cache"

    class Full(stored.InFiles):
        def __call__(self, *_: Any) -> Any:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(stored, "InFiles", Full)
    with pytest.raises(RunError, match="cannot be kept in") as caught:
        load_rows(model.spec.data["train"], model.needed, cache)
    assert caught.value.code == "GS602"
    assert "--cache DIR" in str(caught.value.hint)
    assert entries(cache) == []


@pytest.mark.slow
def test_a_run_from_maps_has_the_bits_of_one_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = project(tmp_path)
    assert graphspec("train", spec, "--out", tmp_path / "memory").exit_code == 0
    monkeypatch.setattr(stored, "SHARE", 0.0)
    cache = tmp_path / "kept"
    result = graphspec("train", spec, "--out", tmp_path / "maps", "--cache", cache, "--set", "training.epochs=1")
    assert result.exit_code == 0, result.stderr
    assert len(entries(cache)) == 1
    result = graphspec("train", spec, "--out", tmp_path / "maps", "--cache", cache, "--resume")
    assert result.exit_code == 0, result.stderr
    for name in ("weights.safetensors", "history.csv", "checkpoint.safetensors", "adapted.json"):
        assert (tmp_path / "maps" / name).read_bytes() == (tmp_path / "memory" / name).read_bytes(), name
