"""Rows of a group stay together: in folds, in splits, in a run that is resumed, and in the baselines of a report."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec

import graphspec as gs
from graphspec.data.batches import Dataset, class_ids, deal
from graphspec.data.check import load
from graphspec.data.signature import data_signature
from graphspec.data.stored import load_rows
from graphspec.engine.compiler.check import check
from graphspec.engine.training.copies import folds_of
from graphspec.engine.training.prepare import train_and_validation

SPEC = """\
graphspec: 1
name: visits
inputs: {x: {shape: [1]}}
layers: [{name: ill, type: Dense, units: 1, activation: sigmoid}]
outputs: {ill: {loss: binary_crossentropy}}
training: {epochs: 3, seed: 5, folds: 4}
data:
  train: {file: visits.csv, group: person, drop_missing_targets: true}
"""
SPLIT = ["training.folds=null", "data.validation={split: 0.3}"]


def project(folder: Path, spec: str = SPEC) -> Path:
    """120 visits of 30 persons, of which some come often; every tenth has no target."""
    rng = np.random.default_rng(0)
    person = np.minimum(rng.integers(0, 30, 120), rng.integers(0, 30, 120))
    with (folder / "visits.csv").open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file)
        write.writerow(["person", "x", "ill"])
        for k, (p, x) in enumerate(zip(person, rng.normal(size=120), strict=True)):
            write.writerow([f"p{p}" if p else "", f"{x:.3f}", "" if k % 10 == 0 else int(p % 3 == 0)])
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    return folder / "spec.yaml"


def raw_rows(model: gs.Model) -> tuple[Dataset, Any]:
    raw = model.part("train")
    groups = raw.of_groups()
    assert groups is not None
    return raw, groups


def test_no_group_is_in_two_folds(tmp_path: Path) -> None:
    model = gs.compile(project(tmp_path))
    raw, groups = raw_rows(model)
    folds = folds_of(model, raw)
    assert len(raw) == len(groups) == 108  # rows without a target are left out, with their groups
    with (tmp_path / "visits.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    persons = np.array([row["person"] for row in rows if row["ill"]])
    np.testing.assert_array_equal(groups, np.unique(persons, return_inverse=True)[1])
    assert [len({*folds[persons == p]}) for p in {*persons}] == [1] * len({*persons})
    assert set(folds) == {0, 1, 2, 3}
    assert np.ptp(np.bincount(folds)) <= 4
    ill = class_ids(raw.targets["ill"]) == 1
    assert np.ptp(np.bincount(folds[ill])) <= 4
    other = gs.compile(tmp_path / "spec.yaml", ["training.seed=6"])
    assert (folds_of(other, raw) != folds).any()


@pytest.mark.parametrize("stratify", ["", ", stratify: ill"])
def test_no_group_is_on_both_sides_of_a_split(tmp_path: Path, stratify: str) -> None:
    model = gs.compile(project(tmp_path), [SPLIT[0], f"data.validation={{split: 0.3{stratify}}}"])
    train, validation = train_and_validation(model)
    assert validation is not None
    sides = [set(np.asarray(part.of_groups()).tolist()) for part in (train, validation)]
    assert not sides[0] & sides[1]
    assert abs(len(validation) - 0.3 * 108) <= 2
    assert len(train) + len(validation) == 108
    if stratify:
        shares = [class_ids(np.asarray(p.targets["ill"][p.chosen])).mean() for p in (train, validation)]
        assert abs(shares[0] - shares[1]) < 0.05


def test_groups_are_dealt_evenly_and_no_part_is_empty() -> None:
    rng = np.random.default_rng(1)
    for parts in (2, 3, 5):
        for _ in range(50):
            groups = rng.integers(0, parts + rng.integers(1, 9), 60)
            if len({*groups}) < parts:
                continue
            classes = rng.integers(0, 3, 60) if rng.random() < 0.5 else groups % 2
            found = deal(groups, [1 / parts] * parts, rng.permutation(60), classes)
            assert {*found.tolist()} == {*range(parts)}
            assert all(len({*found[groups == g].tolist()}) == 1 for g in {*groups.tolist()})
    assert deal(np.array([0, 0, 1, 1]), (0.9, 0.1), np.arange(4)).tolist().count(1) == 2
    even = deal(np.arange(40) // 2, [0.25] * 4, rng.permutation(40), np.arange(40) // 2 % 2)
    assert np.bincount(even).tolist() == [10] * 4
    with pytest.raises(gs.SpecError, match="2 different groups of rows are too few for 3 parts"):
        deal(np.array([0, 0, 1, 1]), [1 / 3] * 3, np.arange(4))


@pytest.mark.slow
def test_a_run_is_said_resumed_and_judged_with_its_groups(tmp_path: Path) -> None:
    path = project(tmp_path)
    result = graphspec("train", path, "--out", tmp_path / "a", "--set", "training.epochs=6")
    assert result.stdout.startswith("train: 108 rows of visits.csv, those of each person together\n"), result.output
    graphspec("train", path, "--out", tmp_path / "b")
    again = graphspec("train", path, "--out", tmp_path / "b", "--resume", "--set", "training.epochs=6")
    assert again.exit_code == 0, again.output
    a, b = gs.load(tmp_path / "a"), gs.load(tmp_path / "b")
    for name, array in a.weights.items():
        np.testing.assert_array_equal(array, b.weights[name])
    assert graphspec("evaluate", tmp_path / "a", "--part", "validation").exit_code == 0
    shown = graphspec("data", path).stdout
    assert "  rows of each 'person' stay together\n" in shown
    assert "not used" not in shown


def test_rows_of_the_cache_have_their_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphspec.data.stored.SHARE", 0)
    spec, lowered = check(project(tmp_path)).require()
    source, needed = spec.data["train"], data_signature(spec, lowered.graph)
    whole, _ = load(source, needed)
    assert whole is not None
    for _ in range(2):
        stored, found = load_rows(source, needed, tmp_path / "cache")
        assert stored is not None, found
        np.testing.assert_array_equal(stored.of_groups(), whole.of_groups())
    few, _ = load(source, needed, 10)
    assert few is not None
    assert len(np.asarray(few.of_groups())) == len(few) == 9


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("{file: visits.csv,", "{file: visits.csv, windows: {length: 3},", "data.train.group", "cannot be used with"),
        ("training:", "#", "data.validation.split", "needs a `data.train` without `group`"),
        ("group: person", "group: 3", "data.train.group", "must be text, not 3"),
        ("train: {", "test: {", "data.test.group", "unknown key 'group'"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, path: str, words: str) -> None:
    text = SPEC.replace(old, new).replace(", drop_missing_targets: true", "")
    text += "  validation: {split: {last: 0.2}}\n" if new == "#" else ""
    errors = check(project(tmp_path, text.replace(", folds: 4", "") if "windows" in text else text)).errors
    assert [(d.path, words in d.message) for d in errors] == [(path, True)], errors


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["data.train.group=persn"], "has no unique column 'persn' for `group`"),
        (["data.train.group=ill"], "2 different groups of rows are too few for 4 parts"),
    ],
)
def test_what_data_refuse(tmp_path: Path, sets: list[str], words: str) -> None:
    with pytest.raises(gs.SpecError, match=words):
        gs.compile(project(tmp_path), sets).fit(verbose=0)


def test_arrays_have_no_groups(tmp_path: Path) -> None:
    x, y = np.zeros((40, 1), np.float32), np.arange(40) % 2
    model = gs.compile(project(tmp_path))
    with pytest.raises(gs.UsageError, match="keeps rows with the same 'person' together"):
        model.fit(x, y, verbose=0)
    gs.compile(tmp_path / "spec.yaml", ["data.train.group=null"]).fit(x, y, epochs=1, verbose=0)
    alone = gs.compile(tmp_path / "spec.yaml", SPLIT[:1])
    alone.fit(x, y, epochs=1, verbose=0)  # nothing is split


def test_no_table_has_no_groups(tmp_path: Path) -> None:
    np.savez(tmp_path / "visits.npz", x=np.zeros((8, 1), np.float32), ill=np.zeros(8), person=np.arange(8))
    with pytest.raises(gs.SpecError, match="is no table, which windows and groups need"):
        gs.compile(project(tmp_path, SPEC.replace(".csv", ".npz"))).fit(verbose=0)
