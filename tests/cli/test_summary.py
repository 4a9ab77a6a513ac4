"""The summary of records: what is computed once, and what is still to be learnt."""

from __future__ import annotations

from commands import graphspec
from paths import ROOT

PENGUINS = ROOT / "specs" / "penguins.yaml"


def test_a_record() -> None:
    result = graphspec("summary", PENGUINS)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    cells = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert cells["penguin/sex/ids"][1:3] == ["StringLookup", "once"]
    assert cells["penguin/sex"][2] != "once"
    assert "penguin.sex.ids.tokens+2" in " ".join(cells["penguin/sex"])
    assert "learnt" in cells["hidden"]
    assert "computed once per row, before training, by onnxruntime: 12 nodes" in lines
    assert lines[-1] == "sizes that are named after a node, and what depends on them, are learnt from the training rows"


def test_without_texts_nothing_is_computed_once() -> None:
    result = graphspec("summary", ROOT / "specs" / "fashion.yaml")
    assert "once" not in result.stdout
    assert "parameters: " in result.stdout


def test_the_verdict_of_validate() -> None:
    result = graphspec("validate", PENGUINS)
    assert result.stdout.endswith("(18 layers; the number of parameters is learnt from the training rows)\n")
