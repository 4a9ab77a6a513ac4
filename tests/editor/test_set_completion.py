"""What ``--set`` may name in a spec: keys that are written and keys that are not, values, broken specs."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import SPEC

from graphspec.editor.set_completion import complete_set
from graphspec.language.override import override
from graphspec.language.read import read, read_value

MORE = """\
vars: {wide: 8}
blocks:
  two: {params: {n: 4}, inputs: x, layers: [{name: in, type: Dense, units: "${n}"}], outputs: in}
"""
TABLE = """\
inputs:
  row:
    columns:
      town: category
      'living area': number
"""
BROKEN = f"{SPEC}\nsearch: {{space: [\n"

CASES = [
    # what is written, some words that follow, and beginnings that none of them has
    (SPEC, "", ["training.", "layers.", "vars.", "name="], ["training=", "layers="]),
    (SPEC, "tr", ["training."], ["layers"]),
    (SPEC, "training.op", ["training.optimizer.", "training.optimizer="], ["training.epochs"]),
    (SPEC, "training.", ["training.epochs=", "training.callbacks.", "training.folds="], ["training.epochs."]),
    (SPEC, "training.epochs=", ["training.epochs=3", "training.epochs=1"], ["training.epochs=true"]),
    (SPEC, "training.optimizer=ad", ["training.optimizer=adam", "training.optimizer=adamw"], ["training.optimizer=sgd"]),
    (SPEC, "training.optimizer.", ["training.optimizer.beta_1=", "training.optimizer.type="], ["training.optimizer.rho"]),
    (SPEC, "training.shuffle=", ["training.shuffle=true", "training.shuffle=false"], []),
    (SPEC, "training.callbacks.", ["training.callbacks.EarlyStopping."], ["training.callbacks.0"]),
    (SPEC, "training.callbacks.EarlyStopping.pa", ["training.callbacks.EarlyStopping.patience="], []),
    (SPEC, "layers.", ["layers.hidden.", "layers.dropped.", "layers.answer."], ["layers.0", "layers.hidden="]),
    (SPEC, "layers.hidden.u", ["layers.hidden.units=", "layers.hidden.use_bias="], ["layers.hidden.units."]),
    (SPEC, "layers.hidden.activation=", ["layers.hidden.activation=relu", "layers.hidden.activation=gelu"], []),
    (SPEC, "layers.hidden.kernel_initializer.", ["layers.hidden.kernel_initializer.seed="], []),
    (SPEC, "outputs.answer.loss=b", ["outputs.answer.loss=binary_crossentropy"], ["outputs.answer.loss=mae"]),
    (SPEC, "data.", ["data.train.", "data.validation."], []),
    (SPEC.replace("optimizer: adam", ""), "training.optimizer.", ["training.optimizer.rho="], ["training.optimizer.beta"]),
    (SPEC.partition("training:")[0], "training.ep", ["training.epochs="], []),
    (SPEC + MORE, "vars.", ["vars.wide="], []),
    (SPEC + MORE, "blocks.two.layers.in.un", ["blocks.two.layers.in.units="], []),
    (TABLE, "inputs.row.columns.", ["inputs.row.columns.town.", "inputs.row.columns.living area="], []),
    (TABLE, "inputs.row.columns.town.min", ["inputs.row.columns.town.min_count="], []),
    (BROKEN, "layers.hidden.un", ["layers.hidden.units="], []),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "written", "words", "no"), CASES, ids=[case[1] or "-" for case in CASES])
def test_what_follows(spec: str, written: str, words: list[str], no: list[str]) -> None:
    found = [word for word, _ in complete_set(spec, "net.yaml", written)]
    assert {*words} <= {*found}
    assert all(word.startswith(written) for word in found)
    assert not [word for word in found if word.startswith(tuple(no))]
    assert len(found) == len({*found})


@pytest.mark.parametrize("written", ["nowhere.", "layers.hidden.units.", "training.nothing=", "=", "..", "a=b=c"])
def test_what_leads_nowhere(written: str) -> None:
    assert complete_set(SPEC, "net.yaml", written) == []


@pytest.mark.parametrize("text", ["", "- a\n", "layers: {", "\0", "layers:\n  - {name: a, type: [}\n\t- b"])
def test_what_is_no_spec_at_all(text: str) -> None:
    assert all(word.startswith("lay") for word, _ in complete_set(text, "net.yaml", "lay"))


def test_every_path_that_is_offered_is_one_that_set_takes(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(SPEC, encoding="utf-8")
    unfinished, leaves = [""], list[str]()
    while unfinished:
        for word, _ in complete_set(SPEC, "net.yaml", unfinished.pop()):
            (unfinished if word.endswith(".") and word.count(".") < 3 else leaves).append(word)
    leaves = [word for word in leaves if word.endswith("=")]
    assert len(leaves) > 100
    tree = read(str(path))
    for word in leaves:
        override(tree, f"{word}1", read_value)  # else a UsageError
