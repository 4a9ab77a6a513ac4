"""The summary of records: what is computed once, and what is still to be learnt."""

from __future__ import annotations

from commands import graphspec
from paths import ROOT

PENGUINS = ROOT / "specs" / "penguins.yaml"


def test_a_record_is_one_row() -> None:
    result = graphspec("summary", PENGUINS)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    rows = [line for line in lines if line.startswith("penguin ")]
    assert len(rows) == 1
    assert rows[0].split()[:7] == ["penguin", "record", "of", "7", "columns", "(N,", "learnt)"]
    assert rows[0].endswith("island, bill_length_mm, bill_depth_mm, flipper_length_mm, body_mass_g, sex, year")
    assert "computed once per row, before training, by onnxruntime: 12 nodes" in lines
    assert lines[-1] == "--expand prints every node of a record"


def test_every_node_of_a_record() -> None:
    lines = graphspec("summary", PENGUINS, "--expand").stdout.splitlines()
    cells = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert cells["penguin/sex/ids"][1:3] == ["StringLookup", "once"]
    assert cells["penguin/sex"][2] != "once"
    assert "learnt)" in cells["penguin/sex"]
    assert cells["hidden"].count("learnt") == 2, "parameters and multiply-adds, which stand-in sizes would make up"
    assert lines[-1] == "learnt: sizes that come from the training rows"


def test_without_texts_nothing_is_computed_once() -> None:
    result = graphspec("summary", ROOT / "specs" / "fashion.yaml")
    assert "once" not in result.stdout
    assert "parameters: " in result.stdout


def test_the_verdict_of_validate() -> None:
    result = graphspec("validate", PENGUINS)
    assert result.stdout.endswith("(18 layers; the number of parameters is learnt from the training rows)\n")
