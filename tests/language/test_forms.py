"""The keys `folds`, `seeds`, `forms` and `choose` of `training`: what is refused, and where a message points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import graphspec as gs
from graphspec.engine.compiler.check import check
from graphspec.language.parse import of_form, parse
from specs import dense_spec

DATA = {"train": {"file": "rows.csv"}}
SPLIT = DATA | {"validation": {"split": 0.2}}
TWO = {"a": {"layers.hidden.units": 2}, "b": {"layers.hidden.units": 4}}


def of(data: Any = None, **training: Any) -> dict[str, Any]:
    spec = dense_spec()
    return spec | {"training": spec["training"] | training} | ({} if data is None else {"data": data})


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        (of(folds=4, seeds=2), "training.seeds", "`seeds` of `training` cannot be used with `folds`"),
        (of(SPLIT, folds=4), "training.folds", "cannot be used with `data.validation`"),
        (of({"train": {"file": "x.csv", "windows": {"length": 3}}}, folds=4), "training.folds", "with windows"),
        (of(seeds=2, workers="mpi"), "training.workers", "cannot be `mpi` with copies or forms"),
        (of(folds=1), "training.folds", "must be >= 2, not 1"),
        (of(SPLIT, forms={"a": {}}), "training.forms", "needs at least two forms"),
        (of(DATA, forms=TWO), "training.forms", "needs rows to choose by"),
        (of(choose="val_loss"), "training.choose", "needs `forms`"),
        (of(SPLIT, forms=TWO, choose="val_acc"), "training.choose", "cannot be 'val_acc'"),
        (of(SPLIT, forms=TWO, choose="loss"), "training.choose", "cannot be 'loss'"),
        (of(forms=[1]), "training.forms", "must be a mapping"),
        (of(forms={"a": 3, "b": {}}), "training.forms.a", "a mapping"),
        (of(forms={"a": {}, "b": {"data.train.file": "y.csv"}}), "training.forms.b.data.train.file", "cannot change"),
        (of(forms={"a": {}, "b": {"training.seeds": 3}}), "training.forms.b.training.seeds", "cannot change"),
        (of(forms={"a": {}, "b": {"layers.hiden.units": 3}}), "training.forms.b.layers.hiden.units", "leads nowhere"),
        (of(forms={"a": {}, "b": {"vars.units": 3}}), "training.forms.b.vars.units", "there is no variable 'units'"),
        (of(forms={"a": {}, "b": {"units": 3}}), "training.forms.b.units", "leads nowhere"),
        (of(forms={"a": {}, "b": {"layers.hidden.units": -3}}), "training.forms.b.layers.hidden.units", "`units`"),
        (of(forms={"a": {}, "b": {"outputs.kind.metrics": []}}), "training.forms.b", "other inputs, heads, losses"),
    ],
)
def test_what_is_refused(spec: dict[str, Any], path: str, words: str) -> None:
    errors = check(spec).errors
    assert [(d.path, words in d.message) for d in errors] == [(path, True)], errors


def test_a_head_without_a_mean() -> None:
    spec = of(seeds=2)
    spec["layers"].append({"name": "best", "type": "ops.argmax", "axis": -1})
    spec["outputs"]["best"] = {}
    (error,) = check(spec).errors
    assert (error.code, error.path) == ("GS306", "outputs.best")


def test_a_form_is_the_spec_with_its_overrides_and_the_document_has_none(tmp_path: Path) -> None:
    text = """\
graphspec: 1
name: forms
vars: {units: 3}
inputs: {x: {shape: [2]}}
layers: [{name: y, type: Dense, units: "${units}"}]
outputs: {y: {loss: mse}}
training:
  epochs: 2
  forms:
    small: {vars.units: 1, training.optimizer.learning_rate: 0.5}
    wide: {vars.units: "${more}", training.batch_size: 8}
"""
    (tmp_path / "spec.yaml").write_text(text.replace("{units: 3}", "{units: 3, more: 7}"))
    spec, found = parse(str(tmp_path / "spec.yaml"), ["training.epochs=5"])
    assert spec is not None
    assert not found
    wide, _ = of_form(spec, "wide")
    assert wide is not None
    assert [(s.form, s.nodes[0].layer.units, s.training.batch_size) for s in (spec, wide)] == [  # type: ignore[union-attr]
        ("small", 1, 32),
        ("wide", 7, 8),
    ]
    assert spec.document == wide.document
    assert spec.document["vars"] == {"units": 3, "more": 7}
    assert wide.training.epochs == 5
    with pytest.raises(ValueError, match="form 'other'"):
        of_form(spec, "other")
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(gs.SpecError, match=r"spec\.yaml:11:24"):
        gs.compile(tmp_path / "spec.yaml")
