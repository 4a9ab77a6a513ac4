"""New rows from files of JSON: one object, or a list of objects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import graphspec

import graphspec as gs


@pytest.fixture
def network_run(tmp_path: Path) -> Path:
    """A saved network of two numbers, with its ONNX file."""
    layers = [{"name": "both", "type": "Concatenate", "inputs": ["a", "b"]}]
    inputs = {"a": {"shape": [1]}, "b": {"shape": [1]}}
    model = gs.compile({"graphspec": 1, "name": "net", "inputs": inputs, "layers": layers, "outputs": {"both": {}}})
    model.save(tmp_path / "run")
    model.save(tmp_path / "net.onnx")
    return tmp_path / "run"


@pytest.mark.parametrize("suffix", ["run", "net.onnx"])
def test_a_json_file_has_one_row_or_a_list_of_rows(suffix: str, network_run: Path, tmp_path: Path) -> None:
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    one.write_text('\ufeff{\n  "a": 2,\n  "b": 3, "id": 7\n}\n', encoding="utf-8")
    many.write_text('[{"a": 1, "b": 4, "id": 1}, {"a": 2, "b": 0, "id": 2}]', encoding="utf-8")
    network = network_run.parent / suffix
    for file, ids in ((one, [7]), (many, [1, 2])):
        result = graphspec("predict", network, file, "--json", "--keep", "id")
        assert (result.exit_code, result.stderr) == (0, "")
        assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ids
    lines = json.dumps({"a": 2, "b": 3})
    assert graphspec("predict", network, one).stdout == graphspec("predict", network, "-", stdin=lines).stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "it has no rows in JSON"),
        ('{"a": 1}\n{"a": 2}', "a file of one object per line ends in .jsonl"),
        ("[1]", "it has no rows in JSON"),
        ("[" * 100_000, "it has no rows in JSON"),
        ('[{"a": 1, "b": 1}, {"b": 1}]', "is missing in row 2"),
        ('{"a": 1, "b": "old"}', "row 1"),
    ],
)
def test_a_json_file_without_rows(text: str, says: str, network_run: Path, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    result = graphspec("predict", network_run, tmp_path / "r.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error[GS50" in result.stderr
    assert says in " ".join(result.stderr.split())
