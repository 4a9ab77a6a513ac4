"""``graphspec diff``: specs, runs and ONNX files in any mixture, the status, the text and the JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import SPEC, graphspec, project
from onnx_files import dense, write
from paths import TESTS

from graphspec.base.text import display_width

KEYS = [
    "format",
    "equal",
    "old",
    "new",
    "spec",
    "network",
    "training",
    "data",
    "learnt",
    "results",
    "run",
    "file",
    "weights",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec, two runs of it with other settings, and their files."""
    path = tmp_path_factory.mktemp("diff")
    spec = project(path)
    train = ("train", spec, "--set", "training.callbacks=[]")
    assert graphspec(*train, "--out", path / "a", "--export", path / "a.onnx").exit_code == 0
    more = ("--set", "layers.hidden.units=6", "--set", "training.epochs=2", "--set", "training.seed=9")
    assert graphspec(*train, *more, "--out", path / "b", "--export", path / "b.onnx").exit_code == 0
    assert graphspec(*train, "--out", path / "same").exit_code == 0
    changed = SPEC.replace("units: 8", "units: 6").replace("epochs: 3", "epochs: 2").replace("seed: 5", "seed: 9")
    (path / "other.yaml").write_text(changed, encoding="utf-8")
    return path


def differences(*paths: Path) -> tuple[int, dict[str, Any]]:
    result = graphspec("diff", *paths, "--json")
    assert result.stderr == ""
    record = json.loads(result.stdout)
    assert list(record) == KEYS
    assert result.exit_code == (0 if record["equal"] else 1)
    return result.exit_code, record


def changed(record: list[dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    return {c["key"]: (c["old"], c["new"]) for c in record}


def test_texts_that_are_there_or_not_and_many_shapes(tmp_path: Path) -> None:
    layers = "".join(f"  - {{name: same{k}, type: Dense, units: {k + 1}, inputs: features}}\n" for k in range(14))
    layers += "".join(f"  - {{name: more{k}, type: Concatenate, inputs: [hidden, same{k}]}}\n" for k in range(14))
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(SPEC.replace("  - {name: dropped", layers + "  - {name: dropped"), encoding="utf-8")
    said = old.read_text(encoding="utf-8").replace("Whether two numbers of four add up to more than nothing.", '""')
    new.write_text(said.replace("units: 8", "units: 6"), encoding="utf-8")
    told = graphspec("diff", old, new).stdout
    assert 'description: "Whether two numbers of four add up to more than nothing." → none\n' in told
    assert "… and 2 more; --json lists all\n" in told


@pytest.mark.slow
def test_equal_specs(folder: Path) -> None:
    result = graphspec("diff", folder / "tiny.yaml", folder / "tiny.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{folder / 'tiny.yaml'} and {folder / 'tiny.yaml'} are equal by meaning\n"


@pytest.mark.slow
def test_two_specs(folder: Path) -> None:
    status, record = differences(folder / "tiny.yaml", folder / "other.yaml")
    assert status == 1
    assert changed(record["training"]) == {"epochs": (3, 2), "seed": (5, 9)}
    (node,) = record["network"]["nodes"]
    assert (node["name"], changed(node["changes"])) == ("hidden", {"units": (8, 6)})
    assert record["network"]["shapes"] == [{"name": "dropped", "old": "(N, 8)", "new": "(N, 6)"}]
    assert changed(record["network"]["costs"])["parameters"] == (49, 37)
    assert (record["data"], record["spec"], record["results"], record["file"], record["learnt"]) == (
        [],
        [],
        None,
        None,
        None,
    )


@pytest.mark.parametrize("old", ["other.yaml", "b", "b.onnx"])
@pytest.mark.parametrize("new", ["tiny.yaml", "a", "a.onnx"])
def test_any_mixture_says_the_same_of_the_network(folder: Path, old: str, new: str) -> None:
    status, record = differences(folder / old, folder / new)
    assert status == 1
    (node,) = record["network"]["nodes"]
    assert (node["name"], changed(node["changes"])) == ("hidden", {"units": (6, 8)})
    training = changed(record["training"])
    assert (training["epochs"], training["seed"]) == ((2, 3), (9, 5))
    assert record["data"] == []
    assert (record["results"] is not None) == (old == "b" and new == "a")
    assert (record["file"] is not None) == (old.endswith(".onnx") and new.endswith(".onnx"))


def test_a_run_beside_its_file_and_its_spec(folder: Path) -> None:
    result = graphspec("diff", folder / "a", folder / "a.onnx")
    assert result.exit_code == 0
    assert "are equal by meaning; their weights were not compared" in " ".join(result.stdout.split())
    _, record = differences(folder / "tiny.yaml", folder / "a")
    assert [c["key"] for c in record["training"]] == ["callbacks.EarlyStopping"]
    assert record["network"]["nodes"] == []


def test_equal_runs_give_the_same_bits(folder: Path) -> None:
    status, record = differences(folder / "a", folder / "same")
    assert status == 0
    assert record["weights"]["compared"] == 4
    assert record["weights"]["different"] == 0
    assert all(value["difference"] == 0 for value in record["results"]["final"])


def test_results_of_two_runs(folder: Path) -> None:
    _, record = differences(folder / "a", folder / "b")
    results = record["results"]
    assert results["epochs"] == {"old": 3, "new": 2}
    assert {value["key"] for value in results["final"]} == {"loss", "accuracy", "val_loss", "val_accuracy"}
    lines = graphspec("diff", folder / "a", folder / "b").stdout.splitlines()
    table = lines[lines.index("results") + 1 :]
    assert table[0].split() == ["old", "new", "difference"]
    assert table[1].split() == ["epochs", "3", "2", "-1"]
    assert "  ~ hidden  Dense: units 8 → 6; shape (N, 8) → (N, 6)" in lines


def test_another_run_of_the_same_spec_differs_in_its_weights(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "a", tmp_path / "a")
    run = json.loads((tmp_path / "a" / "run.json").read_text(encoding="utf-8"))
    run |= {"python": "9.9", "data_sha256": run["data_sha256"] | {"train": "0" * 64}}
    (tmp_path / "a" / "run.json").write_text(json.dumps(run), encoding="utf-8")
    shutil.copy(folder / "train.npz", tmp_path / "train.npz")
    _, record = differences(folder / "a", tmp_path / "a")
    assert list(changed(record["run"])) == ["python"]
    assert "content (sha256).train" in changed(record["data"])
    assert "→ 000000000000…" in graphspec("diff", folder / "a", tmp_path / "a").stdout


@pytest.mark.slow
def test_what_layers_have_learnt(tmp_path: Path) -> None:
    spec = """\
graphspec: 1
name: pets
inputs: {pet: {columns: {kind: category, size: number}}}
layers: [{name: price, type: Dense, units: 1}]
outputs: {price: {loss: mse}}
training: {epochs: 1}
data: {train: {file: rows.csv}}
"""
    for name, kinds in (("a", "cat dog"), ("b", "cat emu fox")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.yaml").write_text(spec, encoding="utf-8")
        rows = [f"{kind},{k},{k}" for k in range(4) for kind in kinds.split()]
        (tmp_path / name / "rows.csv").write_text("\n".join(["kind,size,price", *rows]) + "\n", encoding="utf-8")
        run = ("train", tmp_path / name / "net.yaml", "--out", tmp_path / name / "run")
        assert graphspec(*run, "--export", tmp_path / name / "net.onnx").exit_code == 0
    for kind in ("run", "net.onnx"):
        _, record = differences(tmp_path / "a" / kind, tmp_path / "b" / kind)
        learnt = changed(record["learnt"])
        assert learnt["pet/kind/ids.vocabulary"] == (["dog"], ["fox", "emu"])
        assert learnt["rows"] == (8, 12)
        assert record["network"]["nodes"] == []
        assert changed(record["network"]["costs"])["parameters"] == (6, 7)


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_text_fits_the_terminal(folder: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(TESTS / "consumers" / "fixtures")
    pairs = (("table", "image"), ("tokens", "strokes"))
    shown = [graphspec("diff", *(Path(name) / "model.onnx" for name in pair)) for pair in pairs]
    monkeypatch.chdir(folder)
    shown += [graphspec("diff", a, b) for a, b in (("a", "b"), ("a.onnx", "b.onnx"), ("tiny.yaml", "other.yaml"))]
    for result in shown:
        assert result.exit_code == 1
        assert [line for line in result.stdout.splitlines() if display_width(line) > width] == []


def test_files_of_other_programs(folder: Path, tmp_path: Path) -> None:
    other = dense()
    other.graph.node[1].op_type = "Tanh"
    old, new = write(tmp_path / "a.onnx", dense()), write(tmp_path / "b.onnx", other)
    _, record = differences(old, new)
    assert changed(record["file"]) == {"operators.Relu": (1, None), "operators.Tanh": (None, 1)}
    assert record["network"] is None
    assert differences(old, old)[0] == 0
    mixed = graphspec("diff", old, folder / "a")
    assert mixed.exit_code == 2
    assert "contains no spec" in mixed.stderr
    assert differences(old, folder / "a.onnx")[0] == 1


def test_what_cannot_be_compared(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(SPEC.replace("units: 8", "unit: 8"), encoding="utf-8")
    (tmp_path / "rows.csv").write_text("a\n1\n", encoding="utf-8")
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    for name, words in (
        ("wrong.yaml", "error[GS102]"),
        ("none.yaml", "does not exist"),
        ("rows.csv", "name specs, run directories or ONNX files"),
        ("broken.onnx", "error[GS703]"),
    ):
        result = graphspec("diff", folder / "tiny.yaml", tmp_path / name)
        assert result.exit_code == 2, name
        assert words in result.stderr
        assert result.stdout == ""
    shutil.copytree(folder / "a", tmp_path / "a")
    (tmp_path / "a" / "run.json").write_text("{", encoding="utf-8")
    damaged = graphspec("diff", tmp_path / "a", folder / "b")
    assert (damaged.exit_code, "error[GS603]" in damaged.stderr) == (3, True)
