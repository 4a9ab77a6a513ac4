"""The truth and the answer for a row in words, for every form of targets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from findings import ATTACK, check_html, findings_of, html_from

import graphspec as gs
from graphspec.show.report.kinds import HeadAnswers, Scored
from graphspec.show.report.worst import verdict

DENSE = {"type": "Dense", "name": "y"}


def _judged(head: dict[str, Any], layer: dict[str, Any], x: Any, y: Any, shape: list[Any]) -> Scored:
    spec = {"graphspec": 1, "name": "a", "inputs": {"x": {"shape": shape}}, "layers": [layer], "outputs": {"y": head}}
    found = findings_of(gs.compile(spec), np.asarray(x, np.float32), y)
    assert found.judged is not None
    return found.judged


def _head(head: dict[str, Any], values: Any, y: Any, **layer: Any) -> HeadAnswers:
    """A head whose answers are its inputs, or a function of them."""
    values = np.asarray(values, np.float32)
    layer = {"type": "Activation", "activation": "linear", **layer}
    return _judged(head, {"name": "y", **layer}, values, y, list(values.shape[1:])).heads["y"]


def test_classes_have_the_probability_of_the_truth_and_of_the_answer() -> None:
    loss = {"loss": "sparse_categorical_crossentropy", "labels": ["cat", ATTACK, ""]}
    found = _head(loss, [[0.2, 0.7, 0.1], [0.9, 0.1, 0.0]], np.array([0, 0]))
    first, second = verdict(found, 0), verdict(found, 1)
    check_html(html_from(first.answer))
    assert html_from(first.truth) == "cat <span class=share>20 %</span>"
    assert "70 %" in html_from(first.answer)
    assert (first.wrong, second.wrong) == (True, False)


def test_logits_are_shown_as_probabilities() -> None:
    loss = {"loss": {"type": "CategoricalCrossentropy", "from_logits": True}}
    found = _head(loss, [[np.log(3), 0.0]], np.array([[0.0, 1.0]], np.float32))
    assert html_from(verdict(found, 0).answer) == "0 <span class=share>75 %</span>"
    assert html_from(verdict(found, 0).truth) == "1 <span class=share>25 %</span>"
    binary = {"loss": {"type": "BinaryCrossentropy", "from_logits": True}, "labels": ["no", "yes"]}
    found = _head(binary, [[-np.log(4)]], np.array([[1.0]], np.float32))
    assert html_from(verdict(found, 0).answer) == "no <span class=share>80 %</span>"
    assert html_from(verdict(found, 0).truth) == "yes <span class=share>20 %</span>"
    assert verdict(found, 0).wrong is True


def test_several_classes_may_apply() -> None:
    loss = {"loss": "binary_crossentropy", "labels": ["a", "b", "c"]}
    found = _head(loss, [[0.9, 0.2, 0.6]], np.array([[1, 1, 0]], np.float32))
    said = verdict(found, 0)
    assert html_from(said.truth) == "a <span class=share>90 %</span>, b <span class=share>20 %</span>"
    assert html_from(said.answer) == "a <span class=share>90 %</span>, c <span class=share>60 %</span>"
    assert said.wrong is True
    none = _head(loss, [[0.1, 0.2, 0.3]], np.zeros((1, 3), np.float32))
    assert (verdict(none, 0).truth, verdict(none, 0).wrong) == ("none", False)


def test_numbers_have_their_error() -> None:
    found = _head({"loss": "mse"}, [[18.37], [3.0]], np.array([[27.9], [1.0]], np.float32))
    assert html_from(verdict(found, 0).truth) == "27.9"
    assert html_from(verdict(found, 0).answer) == "18.37 <span class=share>−9.53</span>"
    assert html_from(verdict(found, 1).answer) == "3 <span class=share>+2</span>"
    assert verdict(found, 0).wrong is None
    lost = replace(found, answers=np.full_like(found.answers, np.nan))
    assert html_from(verdict(lost, 0).answer) == "not a number"


def test_series_are_drawn_over_the_truth() -> None:
    found = _head({"loss": "mse"}, np.ones((1, 24)), np.zeros((1, 24), np.float32))
    said = verdict(found, 0)
    check_html(html_from(said.answer))
    assert html_from(said.answer).count("<polyline") == 2
    assert "mean error 1.000" in html_from(said.answer)


def test_pictures_are_shown_beside_each_other() -> None:
    found = _head({"loss": "mse"}, np.zeros((1, 12, 12, 1)), np.ones((1, 12, 12, 1), np.float32))
    assert html_from(verdict(found, 0).truth).startswith("<img")
    assert html_from(verdict(found, 0).answer).startswith("<img")
    maps = np.full((1, 16, 16, 2), [0.7, 0.3], np.float32)
    truth = np.zeros((1, 16, 16), int)
    truth[0, :4] = 1
    said = verdict(_head({"loss": "sparse_categorical_crossentropy"}, maps, truth), 0)
    assert html_from(said.truth).startswith("<img")
    assert "25 % wrong" in html_from(said.answer)


def test_steps_that_the_mask_hides_do_not_count() -> None:
    spec = {
        "graphspec": 1,
        "name": "tags",
        "inputs": {"s": {"shape": [None], "dtype": "int32"}},
        "layers": [
            {"type": "Embedding", "input_dim": 3, "output_dim": 2, "mask_zero": True},
            {"name": "y", "type": "Dense", "units": 2, "activation": "softmax"},
        ],
        "outputs": {"y": {"loss": "sparse_categorical_crossentropy", "labels": ["N", "V"]}},
    }
    model = gs.compile(spec)
    names = {name.rpartition("/")[2]: name for name in model.weights}
    model.set_weights(
        {
            names["embeddings"]: np.array([[0, 0], [5, 0], [0, 5]], np.float32),
            names["kernel"]: np.eye(2, dtype=np.float32),
        }
    )
    found = findings_of(model, np.array([[1, 2, 2, 0]]), np.array([[0, 0, 1, 1]]))
    assert found.judged is not None
    said = verdict(found.judged.heads["y"], 0)
    assert html_from(said.truth) == "N <mark>N</mark> V"
    assert html_from(said.answer) == "N <mark>V</mark> V <span class=share>1 of 3 wrong</span>"


def test_texts_are_read_along_the_best_path() -> None:
    loss = {"loss": "ctc", "labels": ["", "a", "b"]}
    steps = np.eye(3, dtype=np.float32)[[1, 1, 0, 1, 2]][None] * 0.98 + 0.01
    found = _head(loss, steps, np.array([[1, 2]]))
    assert (html_from(verdict(found, 0).truth), html_from(verdict(found, 0).answer), verdict(found, 0).wrong) == (
        "ab",
        "aab",
        True,
    )


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_scores_that_are_no_probabilities_are_numbers(loss: str) -> None:
    found = _head({"loss": loss, "labels": ["no", "yes"]}, [[2.5]], np.array([[-1.0]], np.float32))
    assert (html_from(verdict(found, 0).truth), verdict(found, 0).wrong) == ("no", True)
    assert html_from(verdict(found, 0).answer) == "yes <span class=share>2.5</span>"
