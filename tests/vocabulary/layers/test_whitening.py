"""Whitening: filters that make patches of pictures uncorrelated, learnt from the training rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec

Array = np.ndarray[Any, Any]


def spec(white: dict[str, Any], *before: dict[str, Any], shape: Any = (6, 7, 2)) -> dict[str, Any]:
    return {
        "graphspec": 1,
        "name": "white",
        "inputs": {"x": {"shape": list(shape)}},
        "layers": [
            *before,
            {"name": "white", "type": "Whitening", **white},
            {"name": "pooled", "type": "GlobalMaxPooling2D", "data_format": white.get("data_format")},
            {"name": "y", "type": "Dense", "units": 1},
        ],
        "outputs": {"y": {"loss": "mse"}},
        "training": {"epochs": 1, "batch_size": 8, "seed": 1},
    }


def pictures(rows: int = 40, shape: tuple[int, ...] = (6, 7, 2)) -> Array:
    """Neighbours resemble each other, the channels too."""
    random = np.random.default_rng(5)
    return (random.normal(size=(rows, *shape)).cumsum(1) + random.normal(size=(rows, *shape[:-1], 1))).astype(
        np.float32
    )


def patches(x: Array, size: int) -> Array:
    """All patches (positions, channels · size²) by NumPy, with zeros beyond the border, where ``same`` puts them."""
    left = (size - 1) // 2
    padded = np.pad(x, ((0, 0), (left, size - 1 - left), (left, size - 1 - left), (0, 0)))
    found = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
    return found.reshape(-1, x.shape[-1] * size * size).astype(np.float64)


def trained(document: dict[str, Any], x: Array) -> graphspec.Model:
    model = graphspec.compile(document)
    model.fit({"x": x}, {"y": np.zeros((len(x), 1), np.float32)}, verbose=0)
    return model


def filters_of(model: graphspec.Model) -> Array:
    assert model.adapted is not None
    return np.array(model.adapted.layers["white"]["filters"])


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("first", [False, True])
def test_patches_become_uncorrelated(size: int, first: bool) -> None:
    """The second moments of what the filters give are the identity; they begin with what varies most."""
    x = pictures()
    given = x.transpose(0, 3, 1, 2) if first else x
    where = {"data_format": "channels_first"} if first else {}
    filters = filters_of(trained(spec({"kernel_size": size, "epsilon": 1e-9, **where}, shape=given.shape[1:]), given))
    found = patches(x, size) @ filters.T
    np.testing.assert_allclose(found.T @ found / len(found), np.eye(len(filters)), atol=2e-4)
    norms = np.linalg.norm(filters, axis=1)
    assert (np.diff(norms) >= 0).all()


def test_both_signs_and_strides(tmp_path: Path) -> None:
    """The layer's output is the filtered patches and their negatives, by NumPy; an export is proved."""
    x = pictures()
    model = trained(spec({"epsilon": 0.1}), x)
    every = patches(x, 3)
    values, vectors = np.linalg.eigh(every.T @ every / len(every))
    filters = filters_of(model)
    np.testing.assert_allclose(np.abs(filters), np.abs(vectors / np.sqrt(values + 0.1)).T[::-1], atol=1e-4)
    document = spec({"filters": filters.tolist(), "activation": "relu", "strides": 2})
    document |= {"layers": document["layers"][:1], "outputs": {"white": {}}}
    expected = (every @ filters.T).reshape(40, 6, 7, -1)[:, 1::2, ::2]  # `same` of 6 by 2 begins at the second row
    found = graphspec.compile(document).predict({"x": x})
    np.testing.assert_allclose(found, np.maximum(np.concatenate([expected, -expected], -1), 0), atol=1e-4)
    model.export(tmp_path / "model.onnx")


def test_it_learns_from_pictures_as_they_are_at_prediction() -> None:
    """Behind random layers it learns the same as without them."""
    x = pictures()
    flip, drop = {"name": "flip", "type": "RandomFlip"}, {"name": "drop", "type": "Dropout", "rate": 0.5}
    plain, behind = (filters_of(trained(spec({}, *before), x)) for before in ((), (flip, drop)))
    np.testing.assert_array_equal(plain, behind)
    conv = {"name": "conv", "type": "Conv2D", "filters": 2, "kernel_size": 1}
    assert [d.code for d in graphspec.validate(spec({}, conv)) if d.severity == "error"] == ["GS309"]


def test_the_same_filters_from_any_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    x = pictures(300)
    one = filters_of(trained(spec({}), x))
    monkeypatch.setattr("graphspec.engine.training.adapt.CHUNK_ROWS", 7)
    np.testing.assert_array_equal(filters_of(trained(spec({}), x)), one)


def test_filters_of_another_size() -> None:
    found = graphspec.validate(spec({"filters": [[1.0, 0.0], [0.0, 1.0]]}))
    assert [(d.code, "18 lists of 18" in str(d.hint)) for d in found if d.severity == "error"] == [("GS304", True)]
