"""Differences of training, of data and of what layers have learnt."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

from graphspec.engine.compiler.adaptation import Adapted
from graphspec.engine.compiler.check import check
from graphspec.engine.compiler.differences import data_differences, learnt_differences, training_differences
from graphspec.language.declarations import Spec

PENGUINS = str(ROOT / "specs" / "penguins.yaml")


def spec(source: Any, *sets: str) -> Spec:
    return check(source, sets).require()[0]


TRAINING = [
    ("training.epochs=5", "epochs", 5),
    ("training.seed=99", "seed", 99),
    ("training.batch_size=7", "batch_size", 7),
    ("training.shuffle=false", "shuffle", False),
    ("training.workers=2", "workers", 2),
    ("training.optimizer.learning_rate=0.5", "optimizer.learning_rate", 0.5),
    ("training.optimizer.clipnorm=1.5", "optimizer.clipnorm", 1.5),
    ("training.combine=sum", "combine", "sum"),
]


@pytest.mark.parametrize(("change", "key", "new"), TRAINING)
@pytest.mark.parametrize("name", ["penguins", "housing", "fashion", "reviews_lstm", "bikes"])
def test_exactly_the_setting_that_is_set_is_found(name: str, change: str, key: str, new: Any) -> None:
    path = str(ROOT / "specs" / f"{name}.yaml")
    before, after = spec(path), spec(path, change)
    (found,) = training_differences(before, after)
    assert (found.key, found.new) == (key, new)
    assert data_differences(before, after) == []
    (back,) = training_differences(after, before)
    assert (back.old, back.new) == (found.new, found.old)


def test_files_of_weights() -> None:
    sets = ["training.initial_weights={file: a.npz, allow_missing: [y]}", "layers.hidden.weights=b.npz"]
    before, after = (check(PENGUINS, each, draws=False).require()[0] for each in ([sets[0]], sets[1:]))
    found = {c.key: (c.old, c.new) for c in training_differences(before, after)}
    whole = {"file": "a.npz", "allow_missing": ["y"]}
    assert found == {"initial_weights": (whole, None), "hidden.weights": (None, "b.npz")}


def test_callbacks() -> None:
    before = spec(PENGUINS, "training.callbacks=[{type: EarlyStopping, patience: 3}]")
    after = spec(PENGUINS, "training.callbacks=[{type: EarlyStopping, patience: 4}, {type: TerminateOnNaN}]")
    found = {c.key: (c.old, c.new) for c in training_differences(before, after)}
    assert found["callbacks.EarlyStopping.patience"] == (3, 4)
    assert found["callbacks.TerminateOnNaN"][0] is None
    assert len(found) == 2


def test_parts_of_data() -> None:
    before = spec(PENGUINS)
    (split,) = data_differences(before, spec(PENGUINS, "data.validation.split=0.3"))
    assert (split.key, split.new) == ("validation.split", 0.3)
    (file,) = data_differences(before, spec(PENGUINS, "data.train.file=data/other.csv"))
    assert file.key == "train.file"
    assert Path(file.new) == ROOT / "specs" / "data" / "other.csv"
    document = {**before.document, "data": {"train": {"file": "x.csv"}}}
    missing = data_differences(
        spec({**before.document, "data": {"train": {"file": "x.csv"}, "test": {"file": "y.csv"}}}), spec(document)
    )
    assert [(c.key, c.new) for c in missing] == [("test", None)]


def test_a_file_is_known_by_its_place_or_its_content(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(PENGUINS, tmp_path / name / "net.yaml")
        shutil.copytree(
            ROOT / "specs" / "data",
            tmp_path / name / "data",
            ignore=lambda _, names: [n for n in names if "penguins" not in n],
        )
    old, new = (spec(str(tmp_path / name / "net.yaml")) for name in ("a", "b"))
    assert data_differences(old, new) == []
    test = tmp_path / "b" / "data" / "penguins_test.csv"
    test.write_text(test.read_text(encoding="utf-8").replace("Adelie", "Gentoo", 1), encoding="utf-8")
    assert [c.key for c in data_differences(old, new)] == ["test.file"]
    test.unlink()
    assert [c.key for c in data_differences(old, new)] == ["test.file"]


def test_a_document_without_a_folder_knows_names_alone() -> None:
    before = spec(PENGUINS)
    document = {**before.document, "data": {"train": {"file": "elsewhere/penguins_train.csv"}}}
    (found,) = [c for c in data_differences(before, spec(document)) if c.key.startswith("train")] or [None]
    assert found is None


def adapted(**layers: Any) -> Adapted:
    return Adapted({"words": layers}, {"kind": {"labels": ["a", "b"]}}, 20)


def test_what_was_learnt() -> None:
    old = adapted(vocabulary=["x", "y", "z"], mean=[1.5])
    assert learnt_differences(old, old) == []
    found = {
        c.key: (c.old, c.new) for c in learnt_differences(old, adapted(vocabulary=["x", "z", "w", "v"], mean=[2.5]))
    }
    assert found == {
        "words.vocabulary (count)": (3, 4),
        "words.vocabulary": (["y"], ["w", "v"]),
        "words.mean": ([1.5], [2.5]),
    }
    (order,) = learnt_differences(old, adapted(vocabulary=["y", "x", "z"], mean=[1.5]))
    assert order.key == "words.vocabulary (order)"
    renamed = Adapted({"terms": old.layers["words"]}, old.heads, 21)
    assert [c.key for c in learnt_differences(old, renamed, {"words": "terms"})] == ["rows"]


def test_long_lists_are_cut() -> None:
    old, new = (adapted(mean=[k + shift for k in range(1000)]) for shift in (0.0, 0.5))
    (found,) = learnt_differences(old, new)
    assert len(found.old) == len(found.new) == 11
    old, new = (adapted(vocabulary=[f"{name}{k}" for k in range(1000)]) for name in "ab")
    assert all(len(c.old) <= 10 for c in learnt_differences(old, new))
