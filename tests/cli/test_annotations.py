"""Diagnostics for GitHub and as SARIF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from commands import graphspec

from graphspec.base.codes import Code
from graphspec.base.errors import Diagnostic
from graphspec.cli.validate import render_github, render_sarif
from graphspec.engine.compiler.check import check

BROKEN = """graphspec: 1
name: branches
inputs: {image: {shape: [28, 28, 1]}}
layers:
  - {name: b1, type: Conv2D, filters: 64, kernel_size: 3, padding: same, inputs: image}
  - {name: b2, type: Conv2D, filters: 64, kernel_size: 3, inputs: image}
  - {name: mix, type: Concatenate, inputs: [b1, b2]}
  - {name: flat, type: Flaten}
  - {name: digit, type: Dense, units: 10, activation: softmax}
outputs: {digit: {loss: sparse_categorical_crossentropy}}
"""


def _found(directory: Path) -> list[Diagnostic]:
    path = directory / "branches.yaml"
    path.write_text(BROKEN, encoding="utf-8")
    return check(str(path)).diagnostics


def test_github_has_the_place_and_the_whole_message(tmp_path: Path) -> None:
    first, second = render_github(_found(tmp_path)).splitlines()
    kind, properties, text = first.split(" ", 1)[0], *first.split(" ", 1)[1].split("::", 1)
    assert kind == "::error"
    fields = dict(field.split("=", 1) for field in properties.split(","))
    assert fields.pop("file").endswith("branches.yaml")
    assert fields == {"line": "7", "endLine": "7", "col": "6", "endColumn": "14", "title": "GS302%3A Shapes differ"}
    assert text.split("%0A") == [
        "Concatenate 'mix' joins shapes that differ outside axis -1",
        "b1  (N, 28, 28, 64)  from Conv2D at line 5, padding: same",
        "b2  (N, 26, 26, 64)  from Conv2D at line 6, padding: valid",
        "help: set `padding: same` on 'b2' (line 6)",
    ]
    assert second.endswith("::unknown layer 'Flaten'%0Ahelp: did you mean 'Flatten'?")


def test_no_text_of_a_spec_begins_a_command_of_its_own() -> None:
    bad = Diagnostic(Code.UNKNOWN_KEY, "bad\n::warning::x\r100%", "a,b:c.yaml", 2, 3, severity="warning", length=4)
    (line,) = render_github([bad]).splitlines()
    assert line == (
        "::warning file=a%2Cb%3Ac.yaml,line=2,endLine=2,col=3,endColumn=6,title=GS102%3A Unknown key"
        "::bad%0A::warning::x%0D100%25"
    )


def test_a_value_of_set_has_no_file(tmp_path: Path) -> None:
    path = tmp_path / "branches.yaml"
    path.write_text(BROKEN, encoding="utf-8")
    found = check(str(path), ["training.epoch=3"]).diagnostics
    (wrong,) = [d for d in found if d.code == "GS102"]
    assert wrong.file == "--set"
    line = render_github([wrong])
    assert line.startswith("::error title=GS102")
    assert "at training.epoch" in line
    (result,) = json.loads(render_sarif([wrong]))["runs"][0]["results"]
    assert "locations" not in result


def test_sarif_has_rules_results_and_related_places(tmp_path: Path) -> None:
    log: dict[str, Any] = json.loads(render_sarif(_found(tmp_path)))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = run["tool"]["driver"]["rules"]
    first, second = run["results"]
    assert [rules[r["ruleIndex"]]["id"] for r in (first, second)] == [first["ruleId"], second["ruleId"]]
    assert (first["ruleId"], first["level"]) == ("GS302", "error")
    place = first["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 7, "startColumn": 6, "endLine": 7, "endColumn": 15}
    assert place["artifactLocation"]["uri"] == (tmp_path / "branches.yaml").as_uri()
    lines = [p["physicalLocation"]["region"]["startLine"] for p in first["relatedLocations"]]
    assert lines == [5, 6]
    assert rules[first["ruleIndex"]]["shortDescription"]["text"] == Code.SHAPES_DIFFER.summary


def test_a_relative_file_is_a_relative_uri() -> None:
    bad = Diagnostic(Code.UNKNOWN_KEY, "bad", "my specs/ä.yaml", 1, 1)
    (result,) = json.loads(render_sarif([bad]))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "my%20specs/%C3%A4.yaml"


def test_validate_prints_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "branches.yaml"
    path.write_text(BROKEN, encoding="utf-8")
    result = graphspec("validate", str(path), "--format", "github")
    assert (result.exit_code, result.stderr) == (1, "")
    assert [line.split(" ")[0] for line in result.stdout.splitlines()] == ["::error", "::error"]
    result = graphspec("validate", str(path), "--format", "sarif")
    assert (result.exit_code, result.stderr) == (1, "")
    assert len(json.loads(result.stdout)["runs"][0]["results"]) == 2
    path.write_text(
        BROKEN.replace("Flaten", "Flatten").replace("3, inputs", "3, padding: same, inputs"), encoding="utf-8"
    )
    result = graphspec("validate", str(path), "--format", "github")
    assert (result.exit_code, result.stdout) == (0, "")
    result = graphspec("validate", str(path), "--format", "sarif")
    assert json.loads(result.stdout)["runs"][0]["results"] == []
