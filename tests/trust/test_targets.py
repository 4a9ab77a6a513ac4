"""What targets are is a fact of the loss: ids of groups, class axes, ignored classes, and what reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs

UNIT = [{"name": "d", "type": "Dense", "units": 4}, {"name": "y", "type": "UnitNormalization"}]
SOFTMAX = [{"name": "y", "type": "Dense", "units": 3, "activation": "softmax"}]
AXIS_1 = [
    {"type": "Dense", "units": 15},
    {"type": "Reshape", "target_shape": [3, 5]},
    {"name": "y", "type": "Softmax", "axis": 1},
]


def spec(layers: list[dict[str, Any]], shape: list[int], loss: Any, **head: Any) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "t",
        "inputs": {"x": {"shape": shape}},
        "layers": layers,
        "outputs": {"y": {"loss": loss, **head}},
        "training": {"epochs": 1, "batch_size": 4, "seed": 1},
    }


def fitted(made: dict[str, Any], y: Any, **more: Any) -> dict[str, Any]:
    x = np.random.default_rng(0).normal(size=(len(y), *made["inputs"]["x"]["shape"])).astype(np.float32)
    model = gs.compile(made)
    model.fit(x, np.asarray(y), verbose=0, **more)
    return model.evaluate(x, np.asarray(y))


def codes(made: dict[str, Any], y: Any, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(gs.SpecError) as error:
        fitted(made, y, **more)
    return [(d.code, d.message) for d in error.value.diagnostics]


@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4, 5, 6, 6], [-1, -1, 2, 2, -9, -9, 7, 7], [2**40] * 4 + [5] * 4])
def test_circle_takes_any_ids(ids: list[int]) -> None:
    """Also more classes than the head has features; what counts is whether two ids are equal."""
    _, same = np.unique(ids, return_inverse=True)
    plain = fitted(spec(UNIT, [5], "circle"), same % 4) if same.max() < 4 else None
    found = fitted(spec(UNIT, [5], "circle"), ids)
    assert np.isfinite(found["loss"])
    assert plain is None or found == plain


def test_circle_takes_ids_and_no_fractions() -> None:
    assert [code for code, _ in codes(spec(UNIT, [5], "circle"), [0.5, 1, 2, 3])] == ["GS504"]


@pytest.mark.parametrize("metric", ["accuracy", "confusion_matrix", "F1Score", "mae", "crossentropy"])
def test_no_metric_takes_a_head_of_circle_for_classes(metric: str) -> None:
    ((code, text),) = codes(spec(UNIT, [5], "circle", metrics=[metric]), [0, 1, 2, 3])
    assert code == "GS403"
    assert "Circle compares rows" in text


def test_no_labels_and_no_class_weights_for_circle() -> None:
    ((code, text),) = codes(spec(UNIT, [5], "circle", labels=list("abcd")), [0, 1, 2, 3])
    assert (code, "no unit stands for a class" in text) == ("GS405", True)
    assert [code for code, _ in codes(spec(UNIT, [5], "circle"), [0, 1, 2, 3], class_weight={0: 2.0})] == ["GS405"]


SPARSE_1 = {"type": "SparseCategoricalCrossentropy", "axis": 1}
ONE_HOT_1 = {"type": "CategoricalCrossentropy", "axis": 1}


@pytest.mark.parametrize("loss", [SPARSE_1, ONE_HOT_1], ids=["sparse", "one_hot"])
@pytest.mark.parametrize("metric", ["accuracy", "confusion_matrix", "F1Score"])
def test_a_metric_has_the_classes_where_the_loss_has_them(loss: dict[str, Any], metric: str) -> None:
    """These read the last axis: with one-hot targets they gave values of something else, with ids a traceback."""
    ((code, text),) = codes(spec(AXIS_1, [5], loss, metrics=[metric]), np.zeros((4, 5), np.int64))
    assert code == "GS403"
    assert "has the classes on axis 2" in text
    assert "on axis 1" in text


def test_metrics_with_the_axis_of_the_loss_are_taken() -> None:
    iou = {"type": "MeanIoU", "num_classes": 3, "axis": 1, "sparse_y_pred": False}
    found = fitted(spec(AXIS_1, [5], SPARSE_1, metrics=["crossentropy", iou]), np.arange(20).reshape(4, 5) % 3)
    assert found["crossentropy"] == pytest.approx(found["loss"], rel=1e-6)
    wrong = {"type": "SparseCategoricalCrossentropy", "axis": -1}
    ((code, _),) = codes(spec(AXIS_1, [5], SPARSE_1, metrics=[wrong]), np.zeros((4, 5), np.int64))
    assert code == "GS403"


def test_labels_name_the_last_axis() -> None:
    for count in (3, 5):
        labels = list("abcde")[:count]
        ((code, text),) = codes(spec(AXIS_1, [5], SPARSE_1, labels=labels), np.zeros((4, 5), np.int64))
        assert (code, "on axis 1" in text) == ("GS405", True)


@pytest.mark.parametrize("ignored", [-1, 255])
def test_what_is_ignored_is_no_class(ignored: int) -> None:
    loss = {"type": "SparseCategoricalCrossentropy", "ignore_class": ignored}
    y = np.array([0, ignored, 1, ignored, 2, 2, ignored, 2])
    top = {"type": "SparseTopKCategoricalAccuracy", "k": 2}
    found = fitted(spec(SOFTMAX, [5], loss, metrics=[top]), y)
    assert 0 <= found["sparse_top_k_categorical_accuracy"] <= 5 / 8
    plain = fitted(spec(SOFTMAX, [5], loss), y)
    assert fitted(spec(SOFTMAX, [5], loss), y, class_weight={0: 1.0, 1: 1.0}) == plain
    balanced = fitted(spec(SOFTMAX, [5], loss), y, class_weight="balanced")
    assert balanced == fitted(spec(SOFTMAX, [5], loss), y, class_weight={0: 5 / 3, 1: 5 / 3, 2: 5 / 9})


def test_class_weights_given_to_fit_are_checked_as_those_of_a_spec() -> None:
    """They ended in an IndexError, or weighted rows by the place of their largest id."""
    sequences = spec(SOFTMAX, [6, 5], "sparse_categorical_crossentropy")
    assert [code for code, _ in codes(sequences, np.ones((4, 6), np.int64), class_weight={0: 2.0})] == ["GS405"]
    numbers = spec([{"name": "y", "type": "Dense", "units": 1}], [5], "mse")
    assert [code for code, _ in codes(numbers, np.array([-1.5, 2, 7, 9]), class_weight={0: 2.0})] == ["GS405"]


def test_only_a_head_with_one_class_a_row_can_be_kept_in_proportion() -> None:
    """A row of ids was taken for one-hot: its class was the place of its largest id."""
    made = spec(SOFTMAX, [6, 5], "sparse_categorical_crossentropy")
    ((code, text),) = codes(made | {"data": {"validation": {"split": 0.2, "stratify": "y"}}}, np.ones((9, 6), np.int64))
    assert (code, text) == ("GS405", "`stratify` needs one class per row, but head 'y' has shape (N, 6, 3)")


def test_class_weights_are_a_mapping_or_balanced() -> None:
    with pytest.raises(gs.UsageError, match=r"must be a mapping such as .*, or 'balanced', got 'equal'"):
        fitted(spec(SOFTMAX, [5], "sparse_categorical_crossentropy"), [0, 1, 2], class_weight="equal")
