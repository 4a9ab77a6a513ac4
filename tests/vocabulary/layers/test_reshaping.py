"""Patches, SpaceToDepth and DepthToSpace, against ONNX's operators and loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from lowering import lower
from onnx.reference import ReferenceEvaluator

import graphspec as gs
from graphspec.base.errors import ShapeError

X = np.random.default_rng(0).standard_normal((2, 4, 6, 8)).astype(np.float32)


def computed(layer: dict[str, Any], x: Any, shape: Any = None) -> Any:
    inputs = {"x": {"shape": list(x.shape[1:]) if shape is None else shape}}
    document = {"graphspec": 1, "name": "t", "inputs": inputs, "layers": [{"name": "y", **layer}], "outputs": {"y": {}}}
    return gs.compile(document).run({"x": x})["y"]


def by_onnx(kind: str, x: Any) -> Any:
    """ONNX's own implementation, channels first, blocks of 2."""
    node = onnx.helper.make_node(kind, ["x"], ["y"], blocksize=2)
    values = [onnx.helper.make_tensor_value_info(n, 1, [None] * 4) for n in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]))
    return ReferenceEvaluator(model).run(None, {"x": x})[0]


@pytest.mark.parametrize("kind", ["DepthToSpace", "SpaceToDepth"])
def test_blocks_are_those_of_onnx_and_tensorflow(kind: str) -> None:
    first = X.transpose(0, 3, 1, 2)
    expected = by_onnx(kind, first)
    layer = {"type": kind, "block_size": 2}
    np.testing.assert_array_equal(computed(layer | {"data_format": "channels_first"}, first), expected)
    np.testing.assert_array_equal(computed(layer, X), expected.transpose(0, 2, 3, 1))


def test_blocks_of_pictures_of_any_size_and_back() -> None:
    wide = computed({"type": "DepthToSpace", "block_size": 2}, X, [None, None, 8])
    assert wide.shape == (2, 8, 12, 2)
    np.testing.assert_array_equal(computed({"type": "SpaceToDepth", "block_size": 2}, wide), X)


@pytest.mark.parametrize("size", [2, [4, 3]])
@pytest.mark.parametrize("first", [False, True])
def test_patches(size: Any, first: bool) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    rows = [X[:, i : i + height, j : j + width] for i in range(0, 4, height) for j in range(0, 6, width)]
    expected = np.stack([row.reshape(2, -1) for row in rows], 1)
    layer = {"type": "Patches", "patch_size": size, **({"data_format": "channels_first"} if first else {})}
    np.testing.assert_array_equal(computed(layer, X.transpose(0, 3, 1, 2) if first else X), expected)


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        ({"type": "Patches", "patch_size": 3}, ("N", 4, 6, 1), "tiles of 3 · 3"),
        ({"type": "Patches", "patch_size": 2}, ("N", "h", 6, 1), "needs a fixed size"),
        ({"type": "SpaceToDepth", "block_size": 4}, ("N", 4, 6, 1), "tiles of 4 · 4"),
        ({"type": "DepthToSpace", "block_size": 2}, ("N", 4, 6, 6), "from 6 channels"),
        ({"type": "DepthToSpace", "block_size": 2}, ("N", 6, 6), "rank-4"),
    ],
)
def test_what_is_refused(layer: dict[str, Any], shape: Any, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        lower(layer, shape)
