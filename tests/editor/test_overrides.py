"""Overrides that are written into a text: the same values as ``--set``, and all else as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from paths import ROOT

from graphspec.base.errors import GivenText, UsageError
from graphspec.editor.overrides import overridden
from graphspec.language.read import read

TEXT = """\
# a spec
graphspec: 1
name: small                       # its name

vars: {units: 8, rate: 0.5}

inputs:
  x: {shape: [4]}                 # four numbers

layers:                           # from top to bottom
  - {name: hidden, type: Dense, units: "${units}", activation: relu}
  - name: kind
    type: Dense
    units: 3                      # classes

outputs:
  kind: {loss: sparse_categorical_crossentropy}
training:
  optimizer: adam                 # the usual one
  callbacks: []
  description:
"""
CASES = {
    "vars.units=16": ("vars: {units: 8,", "vars: {units: 16,"),
    "vars.units=[1, 2]": ("vars: {units: 8,", "vars: {units: [1, 2],"),
    "layers.kind.units=5": ("    units: 3     ", "    units: 5     "),
    "layers.hidden.units=5": ('units: "${units}"', "units: 5"),
    "layers.hidden.use_bias=false": ("activation: relu}", "activation: relu, use_bias: false}"),
    "layers.kind.activation=softmax": ("# classes\n", "# classes\n    activation: softmax\n"),
    "layers.kind.kernel_regularizer={type: L2, l2: 0.1}": (
        "# classes\n",
        "# classes\n    kernel_regularizer: {type: L2, l2: 0.1}\n",
    ),
    "outputs.kind.labels=[a, 'no', \"1\"]": ("entropy}", 'entropy, labels: [a, "no", "1"]}'),
    "inputs.x.shape=[4, 4]": ("{shape: [4]}", "{shape: [4, 4]}"),
    "training.optimizer.learning_rate=0.01": ("optimizer: adam ", "optimizer: {type: adam, learning_rate: 0.01} "),
    "training.callbacks=[{type: TerminateOnNaN}]": ("callbacks: []", "callbacks: [{type: TerminateOnNaN}]"),
    "training.epochs=2": ("  description:\n", "  description:\n  epochs: 2\n"),
    "training.description=why": ("  description:\n", "  description: why\n"),
    "data.train.file=rows.npz": ("  description:\n", "  description:\ndata: {train: {file: rows.npz}}\n"),
    "name='x # y'": ("name: small ", 'name: "x # y" '),
}


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("end", ["\n", "", "\n# the end\n"], ids=["", "no break", "comment"])
def test_one_place_changes(text: str, end: str) -> None:
    spec = TEXT.removesuffix("\n") + end
    done = overridden(spec, [text], "net.yaml")
    old, new = CASES[text]
    if end == "\n":
        assert done == TEXT.replace(old, new, 1)
    assert read(GivenText("net.yaml", done)).plain() == read(GivenText("net.yaml", spec), sets=[text]).plain()
    assert [
        line for line in ("# a spec", "# its name", "# four numbers", "# classes", "# the usual one") if line in done
    ]


def test_overrides_are_applied_in_their_order() -> None:
    sets = ["layers.hidden.kernel_regularizer={type: L2}", "layers.hidden.kernel_regularizer.l2=0.1", "vars.rate=0.1"]
    done = overridden(TEXT, sets, "net.yaml")
    assert read(GivenText("net.yaml", done)).plain() == read(GivenText("net.yaml", TEXT), sets=sets).plain()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vars.unit=3", "--set vars.unit: there is no variable 'unit'; did you mean 'units'?"),
        ("vars.zzz=3", "--set vars.zzz: there is no variable 'zzz'; there are units, rate"),
        ("units=3", "--set units: there is no 'units' in the spec; write --set vars.units=3"),
        (
            "layers.none.units=3",
            "--set layers.none.units: there is no 'none' in 'layers'; there are hidden, kind",
        ),
    ],
)
def test_what_leads_nowhere(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        overridden(TEXT, [text], "net.yaml")
    assert str(raised.value) == message


@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("**/*.yaml")), ids=lambda path: path.stem)
def test_a_value_that_is_set_again_changes_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    seed = "training.seed=7"
    done = overridden(text, [seed], "net.yaml")
    assert read(GivenText("net.yaml", done)).plain() == read(GivenText("net.yaml", text), sets=[seed]).plain()
    assert overridden(done, [seed], "net.yaml") == done
