"""Where data lie: runs that move with their project, alone, or without their data; names in exported files."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import SPEC, graphspec, project

import graphspec as gs
from graphspec.data.paths import comparable, document_for, moved, portable_document
from graphspec.engine.compiler.check import check
from specs import dense_spec


def spec_with(data: dict[str, Any], folder: Path, **more: Any) -> Any:
    """Return a parsed spec in ``folder`` with these data."""
    path = folder / "net.json"
    path.write_text(json.dumps(dense_spec(data=data, **more)))
    checked = check(path, allow_outside=True)
    assert checked.spec is not None
    return checked.spec


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with its spec, its data and a finished run, in the current folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    project(folder)
    monkeypatch.chdir(folder)
    result = graphspec("train", "tiny.yaml", "--export", "a.onnx")
    assert result.exit_code == 0, result.stderr
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_no_file_of_a_run_names_the_machine(home: Path, tmp_path: Path) -> None:
    spec = SPEC.replace("restore_best_weights: true}", "restore_best_weights: true}, {type: TensorBoard}")
    (home / "tiny.yaml").write_text(spec)
    result = graphspec("train", home / "tiny.yaml", "--out", home / "logged", "--export", home / "b.onnx")
    assert result.exit_code == 0, result.stderr
    given = ("export", home / "logged", "-o", home / "c.onnx", "--rows", home / "test.npz")
    assert graphspec(*given).exit_code == 0
    place = str(tmp_path).encode()
    found = contents(home)
    assert any("tfevents" in name for name in found)
    assert [name for name, content in found.items() if place in content] == []
    shutil.copytree("logged", tmp_path / "far" / "logged")
    gs.load(tmp_path / "far" / "logged").save(home / "saved")
    assert [name for name, content in contents(home).items() if place in content] == []


def test_both_ways_to_export_give_the_same_bytes(home: Path) -> None:
    assert graphspec("export", "runs/tiny", "-o", "b.onnx").exit_code == 0
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.slow
def test_a_project_moves_as_a_whole(home: Path, tmp_path: Path, copied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    before = graphspec("evaluate", "runs/tiny").stdout
    new = tmp_path / "elsewhere" / "deep" / "project"
    monkeypatch.chdir(tmp_path)
    if copied:
        shutil.copytree(home, new)
        (home / "test.npz").write_bytes(b"damaged")  # the copy does not read it
    else:
        new.parent.mkdir(parents=True)
        home.rename(new)
    assert graphspec("evaluate", new / "runs/tiny").stdout == before != ""
    assert graphspec("predict", new / "runs/tiny", new / "test.npz").exit_code == 0
    assert graphspec("export", new / "runs/tiny", "-o", "b.onnx").exit_code == 0
    assert Path("b.onnx").read_bytes() == (new / "a.onnx").read_bytes()
    more = ("--resume", "--out", new / "runs/tiny", "--set", "training.epochs=4")
    result = graphspec("train", new / "tiny.yaml", *more)
    assert result.exit_code == 0, result.stderr
    assert "epoch 4/4" in result.stdout


@pytest.mark.slow
def test_a_run_moves_alone(home: Path, tmp_path: Path) -> None:
    before = graphspec("evaluate", "runs/tiny").stdout
    alone = tmp_path / "alone"
    shutil.move("runs/tiny", alone)
    result = graphspec("evaluate", alone)
    assert result.exit_code == 1
    assert "add `--data DIR`" in result.stderr
    assert graphspec("evaluate", alone, "--data", home).stdout == before
    assert graphspec("evaluate", alone, "--data", "test.npz").stdout == before
    result = graphspec("export", alone, "-o", "b.onnx")
    assert "proved only on random rows (the test data cannot be read)" in result.stdout
    assert "largest difference" not in result.stdout
    assert graphspec("export", alone, "-o", "b.onnx", "--data", ".").exit_code == 0
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()
    result = graphspec("train", "tiny.yaml", "--resume", "--out", alone, "--set", "training.epochs=4")
    assert (result.exit_code, result.stderr) == (0, "")
    assert graphspec("evaluate", alone).exit_code == 0  # it knows the way again


@pytest.mark.slow
def test_data_that_have_moved(home: Path) -> None:
    Path("data").mkdir()
    for name in ("train.npz", "test.npz"):
        Path(name).rename(f"data/{name}")
    more = ("--resume", "--set", "training.epochs=4")
    result = graphspec("train", "tiny.yaml", *more)
    assert result.exit_code == 1
    assert "--data DIR" in result.stderr
    result = graphspec("train", "tiny.yaml", *more, "--data", "data")
    assert (result.exit_code, result.stderr) == (0, "")
    assert graphspec("evaluate", "runs/tiny").exit_code == 0
    result = graphspec("train", "tiny.yaml", "--overwrite", "--data", "data/train.npz")
    assert result.exit_code == 2
    assert "2 data files" in result.stderr
    result = graphspec("train", "tiny.yaml", "--overwrite", "--data", "runs")
    assert "runs has no 'train.npz', the train data of the spec" in result.stderr


def test_other_content_is_other_data(home: Path) -> None:
    rows = dict(np.load("train.npz"))
    Path("data").mkdir()
    shutil.copy("test.npz", "data")
    np.savez("data/train.npz", **{**rows, "features": rows["features"] + 1})
    more = ("--resume", "--set", "training.epochs=4")
    result = graphspec("train", "tiny.yaml", *more, "--data", "data")
    assert result.exit_code == 2
    assert "the data files have changed" in result.stderr
    assert "(train)" in result.stderr
    result = graphspec("evaluate", "runs/tiny", "--part", "validation", "--data", "data")
    assert result.exit_code == 2
    assert "are not those of" in result.stderr


def test_runs_with_absolute_paths(home: Path) -> None:
    """Version 0.2 wrote these, and hashed them into the checkpoint."""
    from graphspec.engine.training.checkpoint import load_checkpoint, save_checkpoint
    from graphspec.engine.training.run_directory import spec_hash

    run = Path("runs/tiny")
    document = json.loads((run / "spec.json").read_text())
    for part in ("train", "test"):
        document["data"][part]["file"] = os.path.realpath(f"{part}.npz")
    (run / "spec.json").write_text(json.dumps(document))
    checkpoint = load_checkpoint(run)
    training = {key: value for key, value in document["training"].items() if key != "epochs"}
    checkpoint.belongs["run"] = spec_hash({**document, "training": training})
    save_checkpoint(run, checkpoint)
    assert graphspec("evaluate", run).exit_code == 0
    result = graphspec("train", "tiny.yaml", "--resume", "--set", "training.epochs=4")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads((run / "spec.json").read_text())["data"]["test"]["file"] == "../../test.npz"


def test_absolute_names_stay(tmp_path: Path) -> None:
    absolute = (tmp_path / "far" / "x.csv").as_posix()
    spec = spec_with({"train": {"file": absolute}, "test": {"file": "y.csv"}}, tmp_path)
    found = document_for(spec, tmp_path / "runs" / "r")["data"]
    assert found == {"train": {"file": absolute}, "test": {"file": "../../y.csv"}}


def test_a_link_to_data_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "data").symlink_to(tmp_path / "big")
    spec = spec_with({"train": {"file": "data/x.csv"}}, tmp_path / "p")
    assert document_for(spec, tmp_path / "p" / "run")["data"]["train"]["file"] == "../data/x.csv"
    spec = spec_with({"train": {"file": "data/../x.csv"}}, tmp_path / "p")  # `..` of where the link leads
    assert document_for(spec, tmp_path / "p" / "run")["data"]["train"]["file"] == "../../x.csv"


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ({"train": {"file": "/home/anna/a.csv"}}, ["a.csv"]),
        ({"train": {"file": "../data/a.csv"}, "test": {"file": "b.csv"}}, ["a.csv", "b.csv"]),
        ({"train": {"file": "one/a.csv"}, "test": {"file": "two/a.csv"}}, ["one/a.csv", "two/a.csv"]),
        ({"train": {"file": "a.csv"}, "test": {"file": "a.csv"}}, ["a.csv", "a.csv"]),
        ({"train": {"file": "/home/anna/20*/*.csv"}}, ["20*/*.csv"]),
        ({"train": {"images": "/home/anna/pictures", "labels": "folder"}}, ["pictures"]),
        ({"train": {"query": "SELECT 1", "folder": "/home/anna"}}, []),
        ({"train": {"query": "SELECT 1 AS x", "file": "/home/anna/a.duckdb"}}, ["a.duckdb"]),
    ],
)
def test_names_in_exported_files(data: dict[str, Any], names: list[str], tmp_path: Path) -> None:
    spec = spec_with(data, tmp_path)
    found = portable_document(spec)["data"]
    assert [keys[k] for keys in found.values() for k in ("file", "images") if k in keys] == names
    assert "anna" not in json.dumps(found)
    assert str(tmp_path) not in json.dumps(found)


def test_variables_and_callbacks_in_exported_files(tmp_path: Path) -> None:
    training = {"callbacks": [{"type": "CSVLogger", "filename": "/home/anna/log.csv"}]}
    variables = {"root": "/home/anna/data", "mark": "/a/b"}
    spec = spec_with({"train": {"file": "${root}/a.csv"}}, tmp_path, training=training, vars=variables)
    found = portable_document(spec)
    assert "anna" not in json.dumps(found)
    assert found["vars"]["mark"] == "/a/b"  # it names no data
    assert found["data"]["train"]["file"] == "a.csv"
    assert check(found, allow_outside=True).errors == []


@pytest.mark.parametrize(
    "written", ["/home/anna/w.safetensors", {"file": "/home/anna/w.safetensors", "layout": "torch"}]
)
def test_files_of_weights_in_exported_files(written: Any, tmp_path: Path) -> None:
    spec = spec_with({}, tmp_path, training={"initial_weights": written})
    found = portable_document(spec)["training"]["initial_weights"]
    assert (found if isinstance(found, str) else found["file"]) == "w.safetensors"


def test_specs_are_compared_without_paths() -> None:
    one = {"name": "a", "data": {"train": {"file": "x.csv", "targets": {"y": "b"}}}}
    other = {"name": "a", "data": {"train": {"file": "/far/z.csv", "targets": {"y": "b"}}}}
    assert comparable(one) == comparable(other)
    assert comparable(one) != comparable({"name": "a", "data": {"train": {"file": "x.csv", "targets": {"y": "c"}}}})
    assert comparable(one) != comparable({"name": "a", "data": {"train": {"images": "x", "targets": {"y": "b"}}}})
    for odd in ({"data": 3}, {"data": {"train": None}}, {}):
        assert comparable(odd) == odd


def test_files_are_found_below_the_named_folder_only(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("x\n1\n")
    (tmp_path / "given").mkdir()
    spec = spec_with({"train": {"file": "a/../../secret.csv"}}, tmp_path)
    with pytest.raises(gs.UsageError, match=r"has no 'secret\.csv'"):
        moved(spec, tmp_path / "given")
    (tmp_path / "given" / "a").mkdir()
    with pytest.raises(gs.UsageError, match=r"has no 'secret\.csv'"):
        moved(spec, tmp_path / "given")
    (tmp_path / "given" / "secret.csv").touch()
    assert moved(spec, tmp_path / "given").data["train"].file == tmp_path / "given" / "secret.csv"


BOTH = {"train": {"file": "a.csv"}, "test": {"file": "b.csv"}}


@pytest.mark.parametrize(
    ("data", "place", "says"),
    [
        (BOTH, "gone", "gone does not exist; name the folder or the file of the data"),
        (BOTH, "new.csv", "the spec has 2 data files: name the folder in which they are, not "),
        (BOTH, ".", "has no 'a.csv', the train data of the spec"),
        ({"train": {"file": "a*.csv"}}, ".", "has no 'a*.csv', the train data of the spec"),
        ({"train": {"file": "a.csv"}}, "new.csv", {"file": "new.csv"}),
        ({"train": {"file": "n*.csv"}}, ".", {"file": "n*.csv"}),
        ({"train": {"query": "SELECT 1", "folder": "there"}}, ".", {"folder": ""}),
    ],
)
def test_where_data_are_looked_for(
    data: dict[str, Any], place: str, says: str | dict[str, str], tmp_path: Path
) -> None:
    spec, given = spec_with(data, tmp_path), tmp_path / "given"
    given.mkdir()
    (given / "new.csv").touch()
    if isinstance(says, str):
        with pytest.raises(gs.UsageError, match=re.escape(says)):
            moved(spec, given / place)
    else:
        [(key, name)] = says.items()
        assert getattr(moved(spec, given / place).data["train"], key) == given / name


@pytest.mark.slow
def test_a_run_of_a_query_reads_only_allowed_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spec's folder is allowed for the spec; for a run, which may be foreign, you allow it yourself."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(40, 4))
    lines = ["a,b,c,d,answer", *(",".join([*(f"{v:.4f}" for v in row), str(int(row[0] > 0))]) for row in x)]
    Path("rows.csv").write_text("\n".join(lines) + "\n")
    query = "query: \"SELECT * FROM 'rows.csv'\", inputs: {features: [a, b, c, d]}"
    spec = SPEC.replace("train: {file: train.npz}", f"train: {{{query}}}")
    spec = spec.replace("test: {file: test.npz}", f"test: {{{query}}}").replace('labels: ["no", "yes"]', "")
    Path("q.yaml").write_text(spec)
    assert graphspec("train", "q.yaml", "--out", "run").exit_code == 0
    assert json.loads(Path("run/spec.json").read_text())["data"]["test"]["folder"] == ".."
    result = graphspec("evaluate", "run")
    assert (result.exit_code, "GS513" in result.stderr) == (1, True)
    wanted = graphspec("evaluate", "run", "--allow", ".").stdout
    assert wanted.startswith("loss")
    Path("there").mkdir()
    Path("rows.csv").rename("there/rows.csv")
    assert graphspec("evaluate", "run", "--data", "there").stdout == wanted
    result = graphspec("train", "q.yaml", "--resume", "--out", "run", "--data", "there", "--set", "training.epochs=4")
    assert (result.exit_code, result.stderr) == (0, "")
