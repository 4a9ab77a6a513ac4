"""What is kept of an evaluation, row by row, agrees with the losses and metrics of the whole."""

from __future__ import annotations

import numpy as np
import pytest

import graphspec as gs
from graphspec.engine.training.prepare import part_rows
from graphspec.show.report import kinds as scored

SPEC = {
    "graphspec": 1,
    "name": "two",
    "inputs": {"x": {"shape": [5]}, "s": {"shape": [None], "dtype": "int32"}},
    "layers": [
        {"name": "e", "type": "Embedding", "input_dim": 9, "output_dim": 3, "mask_zero": True, "inputs": "s"},
        {"name": "steps", "type": "LSTM", "units": 4, "return_sequences": True},
        {"name": "tag", "type": "Dense", "units": 3, "activation": "softmax"},
        {"name": "price", "type": "Dense", "units": 1, "inputs": "x"},
    ],
    "outputs": {
        "tag": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        "price": {"loss": "mse", "metrics": ["mae"]},
    },
    "training": {"batch_size": 7, "seed": 3},
}


@pytest.mark.parametrize("limit", [20, 1000])
def test_losses_by_row_have_the_mean_that_evaluate_gives(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(scored, "MAX_ROWS", limit)
    model, rng = gs.compile(SPEC), np.random.default_rng(0)
    x = {"x": rng.normal(size=(40, 5)).astype("f4"), "s": rng.integers(1, 9, (40, 6))}
    x["s"][::3, 4:] = 0
    y = {"tag": rng.integers(0, 3, (40, 6)), "price": rng.normal(size=(40, 1)).astype("f4")}
    model.parts["test"] = _rows(model, x, y)
    found = scored.score(model, part_rows(model, "test"), "test")
    assert found.total == 40
    assert len(found.rows) == min(limit, 40)
    assert found.results == model.evaluate(x, y)
    tag, price = found.heads["tag"], found.heads["price"]
    assert tag.mask is not None
    assert tag.mask.shape == (len(found.rows), 6)
    assert tag.losses is not None
    assert price.losses is not None
    error = (price.answers - y["price"][found.rows]) ** 2
    np.testing.assert_allclose(price.losses, error.mean(axis=1), rtol=1e-5)
    picked = np.take_along_axis(tag.answers, y["tag"][found.rows][..., None], -1)[..., 0]
    wanted = (-np.log(picked) * tag.mask).sum(1) / tag.mask.sum(1)
    np.testing.assert_allclose(tag.losses, wanted, rtol=1e-4)
    np.testing.assert_array_equal(found.inputs(3)["s"], x["s"][found.rows[3]])


def _rows(model: gs.Model, x: dict[str, np.ndarray], y: dict[str, np.ndarray]) -> object:
    from graphspec.data.signature import user_arrays

    return user_arrays(model.needed, x, y, None)
