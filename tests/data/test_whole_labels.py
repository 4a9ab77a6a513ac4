"""Labels that are whole numbers stand for themselves in data; numbers from 0 on are ids, as without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import graphspec

import graphspec as gs
from graphspec.data.convert import whole_labels
from graphspec.data.signature import user_arrays


def spec(labels: list[Any], units: int, loss: str, file: str = "rows.csv", **head: Any) -> dict[str, Any]:
    activation = "sigmoid" if units == 1 else "softmax"
    return {
        "graphspec": 1,
        "name": "stars",
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"name": "y", "type": "Dense", "units": units, "activation": activation}],
        "outputs": {"y": {"loss": loss, "labels": labels, **head}},
        "data": {"train": {"file": file, "drop_missing_targets": True}},
    }


SPARSE = "sparse_categorical_crossentropy"


def ids(model: gs.Model, y: Any) -> list[Any]:
    found = user_arrays(model.needed, np.zeros((len(y), 1), np.float32), y)
    return np.asarray(found.targets["y"]).reshape(-1).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32", "float64", object])
def test_numbers_are_their_labels(dtype: Any) -> None:
    model = gs.compile(spec([5, 1, 12], 3, SPARSE))
    given = np.array([1, 12, 5, 1]).astype(dtype) if dtype is not object else np.array(["1", "12", "5", "1"], object)
    assert ids(model, given) == [1, 2, 0, 1]
    assert ids(model, given[:, None]) == [1, 2, 0, 1]


def test_two_classes_and_weights_by_label() -> None:
    model = gs.compile(spec([-1, 1], 1, "binary_crossentropy", class_weight={1: 3.0}))
    assert ids(model, np.array([-1, 1, 1])) == [0, 1, 1]
    x = np.zeros((3, 1), np.float32)
    even = gs.compile(spec([-1, 1], 1, "binary_crossentropy"))
    for of in (model, even):
        of.set_weights({name: np.zeros_like(a) for name, a in of.weights.items()})
    weighted = even.evaluate(x, np.array([-1, 1, 1]), sample_weight=np.array([1.0, 3, 3], np.float32))["loss"]
    history = model.fit(x, np.array([-1, 1, 1]), epochs=1, batch_size=3, shuffle=False, verbose=0)
    assert history["loss"][0] == pytest.approx(weighted)


def test_numbers_are_ids_of_labels_that_are_texts() -> None:
    for labels in (["0", "1", "2"], ["2", "0", "1"], ["1", "2", "3"], ["1.5", "2", "3"]):
        assert whole_labels(labels) == []
        assert ids(gs.compile(spec(labels, 3, SPARSE)), np.array([2, 0, 1])) == [2, 0, 1]


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (2.5, "2.5"), (99, "99")])
def test_another_number_is_refused(value: float, shown: str) -> None:
    model = gs.compile(spec([1, 2, 7], 3, SPARSE))
    with pytest.raises(gs.SpecError, match=rf"has {shown} in the row at index 1, which is not a label(.|\n)*1, 2, 7"):
        ids(model, np.array([1, value]))


@pytest.mark.slow
def test_a_file_is_read_trained_told_and_answered_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).normal(0, 0.6, 90)
    rows = [(f"{k % 3 + noise[k]:.3f}", (1, 2, 7)[k % 3]) for k in range(90)]
    Path("rows.csv").write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in rows) + "5,\n", encoding="utf-8")
    result = graphspec("init", "spec.yaml", "--from", "rows.csv", "--target", "y")
    assert result.exit_code == 0, result.output
    text = Path("spec.yaml").read_text(encoding="utf-8")
    assert "units: 3, activation: softmax" in text
    assert "labels: [1, 2, 7]" in text
    short = ["--set", "training.epochs=20", "--set", "training.forms=null", "--set", "training.folds=2"]
    result = graphspec("train", "spec.yaml", "--out", "run", "--no-report", "--export", "x.onnx", *short)
    assert result.exit_code == 0, result.output
    Path("new.csv").write_text("x\n0\n2\n", encoding="utf-8")
    assert graphspec("predict", "x.onnx", "new.csv", "--labels").stdout.split() == ["1", "7"]
    np.savez("rows.npz", x=np.zeros((90, 1), np.float32), y=np.array([r[1] for r in rows]))
    model = gs.compile(spec([1, 2, 7], 3, SPARSE, "rows.npz"))
    assert np.bincount(model.part("train").targets["y"]).tolist() == [30, 30, 30]
    assert "which is not a label" not in graphspec("data", "spec.yaml").stdout
    Path("rows.csv").write_text(Path("rows.csv").read_text().replace(",7\n", ",8\n"), encoding="utf-8")
    assert "has 8, which is not a label; the labels are 1, 2, 7" in graphspec("data", "spec.yaml").output
