"""``graphspec predict --explain``: what a terminal shows, what files contain, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import graphspec
from paths import ROOT

import graphspec as gs
from graphspec.base.text import display_width
from graphspec.cli.explanation import lines

DATA = ROOT / "specs" / "data" / "penguins_test.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on penguins, with its ONNX file beside it."""
    folder = tmp_path_factory.mktemp("penguins")
    (folder / "data").mkdir()
    for part in "train", "test":
        shutil.copy(ROOT / "specs" / "data" / f"penguins_{part}.csv", folder / "data")
    shutil.copy(ROOT / "specs" / "penguins.yaml", folder)
    more = ("--set", "training.epochs=5", "--export", folder / "net.onnx")
    result = graphspec("train", folder / "penguins.yaml", "--out", folder / "run", *more)
    assert result.exit_code == 0, result.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> gs.Explanation:
    words = {"name": "words", "type": "TextVectorization", "vocabulary": ["good", "bad"]}
    layers = [
        words,
        {"name": "embed", "type": "Embedding", "input_dim": 4, "output_dim": 2},
        {"name": "mean", "type": "GlobalAveragePooling1D"},
        {"name": "y", "type": "Dense", "units": 1, "inputs": ["mean"]},
    ]
    inputs = {"text": {"dtype": "string"}}
    model = gs.compile(
        {"graphspec": 1, "name": "net", "inputs": inputs, "layers": layers, "outputs": {"y": {"loss": "mse"}}}
    )
    vectors = np.array([[0, 0], [0.01, 0], [3, 0], [-4, 0]], np.float32)
    model.set_weights({"embed/embeddings": vectors, "y/kernel": np.ones((2, 1))})
    return model.explain(["a good film, not bad"])


@pytest.mark.slow
def test_a_table_with_bars(run: Path) -> None:
    result = graphspec("predict", run, DATA, "--explain", "--rows", 2)
    assert result.exit_code == 0, result.stderr
    text = result.stdout.splitlines()
    assert text[0].startswith("row 1: species = ")
    assert "baseline" in text[0]
    names = {line.split()[0] for line in text[1:8]}
    assert names == {"island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "sex", "year"}
    assert "█" in text[1] or "░" in text[1]
    assert sum(line.startswith("row ") for line in text) == 2
    assert "only the first 2 rows of the data; --rows N explains more" in result.stderr


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_the_terminal(run: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    result = graphspec("predict", run, DATA, "--explain")
    assert max(map(display_width, result.stdout.splitlines())) <= width


def test_words_have_signs(texts: gs.Explanation) -> None:
    text = lines(texts, 60)
    assert text[1] == "  text: a ++good film not --bad"
    assert [line.split()[:3] for line in text[2:4]] == [
        ["text[4]", '"bad"', "-0.8000"],
        ["text[1]", '"good"', "+0.6000"],
    ]
    assert text[2].endswith("░")
    assert text[3].endswith("█")


def test_a_picture_is_a_small_map() -> None:
    layers = [{"name": "flat", "type": "Flatten"}, {"name": "y", "type": "Dense", "units": 1}]
    inputs = {"image": {"shape": [40, 40, 1]}}
    model = gs.compile(
        {"graphspec": 1, "name": "net", "inputs": inputs, "layers": layers, "outputs": {"y": {"loss": "mse"}}}
    )
    weights = np.zeros((40, 40))
    weights[:3], weights[-3:] = 1, -1
    model.set_weights({"y/kernel": weights.reshape(-1, 1)})
    text = lines(model.explain(np.ones((1, 40, 40, 1), np.float32)), 60)
    assert "image: + and # speak for it" in text[1]
    assert text[-14] == "    " + "#" * 28
    assert text[-1] == "    " + "=" * 28
    assert len(text) == 3 + 14


def test_several_inputs_have_sums() -> None:
    layers = [{"name": "both", "type": "Concatenate", "inputs": ["a", "b"]}, {"name": "y", "type": "Dense", "units": 1}]
    inputs = {"a": {"shape": [20]}, "b": {"shape": [2]}}
    model = gs.compile(
        {"graphspec": 1, "name": "net", "inputs": inputs, "layers": layers, "outputs": {"y": {"loss": "mse"}}}
    )
    text = lines(model.explain({"a": np.ones((1, 20), np.float32), "b": np.ones((1, 2), np.float32)}), 80)
    assert "  by input" in text
    assert "12 others" in "\n".join(text)


@pytest.mark.slow
def test_json_lines_and_files(run: Path, tmp_path: Path) -> None:
    result = graphspec("predict", run, DATA, "--explain", "--json", "--rows", 3)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 3
    for row in rows:
        assert sum(row["attributions"].values()) == pytest.approx(row["value"] - row["baseline"], rel=0.01, abs=1e-4)
    for name in ("why.html", "why.svg", "why.csv", "why.jsonl"):
        result = graphspec("predict", run, DATA, "--explain", "-o", tmp_path / name)
        assert result.exit_code == 0, result.stderr
        assert "10 rows explained" in result.stdout
    assert (tmp_path / "why.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_rows_from_standard_input_and_another_class(run: Path) -> None:
    row = {"island": "Biscoe", "bill_length_mm": 46.1, "bill_depth_mm": None, "flipper_length_mm": 211}
    row |= {"body_mass_g": 4500, "sex": "female", "year": 2008}
    result = graphspec("predict", run, "-", "--explain", "--class", "Adelie", stdin=json.dumps(row) + "\n")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("row 1: species = Adelie ")
    assert "missing" in result.stdout


def test_rows_whose_mean_is_the_baseline(run: Path) -> None:
    result = graphspec("predict", run, DATA, "--explain", "--rows", 1, "--baseline", DATA)
    assert result.exit_code == 0, result.stderr
    assert result.stdout != graphspec("predict", run, DATA, "--explain", "--rows", 1).stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--explain", "--class", "Adely"), "did you mean 'Adelie'?"),
        (("--explain", "--head", "kind"), "there is no head 'kind'"),
        (("--explain", "-o", "why.npz"), "explanations are written as .html, .svg, .jsonl, .csv"),
        (("--explain", "--labels"), "--labels, --keep and --last are for answers"),
        (("--class", "Adelie"), "--class belongs to --explain"),
        (("--rows", "3"), "--rows belongs to --explain"),
    ],
)
def test_what_is_refused(run: Path, arguments: tuple[str, ...], says: str) -> None:
    result = graphspec("predict", run, DATA, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_file_has_no_gradients(run: Path) -> None:
    result = graphspec("predict", run.parent / "net.onnx", DATA, "--explain")
    assert result.exit_code == 2
    assert "a file has no gradients; name the run directory instead" in result.stderr


def test_bars_without_unicode(texts: gs.Explanation) -> None:
    prepared = "\n".join(lines(texts, 60)).encode("ascii", "graphspec").decode()
    assert '"good"  +0.6000  #####' in prepared
    assert '"bad"   -0.8000  -----' in prepared
