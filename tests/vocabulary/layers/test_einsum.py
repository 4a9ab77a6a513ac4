"""Products of pairs against loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lowering import lower, source

import graphspec as gs
from graphspec.base.errors import ShapeError

RANDOM = np.random.default_rng(0)
ROWS = {
    "a": RANDOM.standard_normal((3, 4)).astype(np.float32),
    "few": RANDOM.standard_normal((3, 2, 4)).astype(np.float32),
    "b": RANDOM.standard_normal((3, 4)).astype(np.float32),
}
VECTORS = np.concatenate([ROWS["a"][:, None], ROWS["few"], ROWS["b"][:, None]], axis=1)
INPUTS = {name: {"shape": list(array.shape[1:])} for name, array in ROWS.items()}


@pytest.mark.parametrize("own", [False, True])
def test_pairs_train_and_are_exported(own: bool, tmp_path: Path) -> None:
    layers = [
        {"name": "pairs", "type": "DotInteraction", "self_interaction": own, "inputs": ["a", "few", "b"]},
        {"name": "y", "type": "Dense", "units": 1},
    ]
    heads = {"y": {"loss": "mse"}, "pairs": {}}
    model = gs.compile({"graphspec": 1, "name": "g", "inputs": INPUTS, "layers": layers, "outputs": heads})
    pairs = [(i, j) for i in range(4) for j in range(i + own)]
    expected = np.stack([(VECTORS[:, i] * VECTORS[:, j]).sum(-1) for i, j in pairs], axis=1)
    np.testing.assert_allclose(model.run(ROWS)["pairs"], expected, rtol=1e-5, atol=1e-6)
    model.fit(ROWS, {"y": np.ones((3, 1), np.float32)}, verbose=0)
    model.export(tmp_path / "pairs.onnx")


@pytest.mark.parametrize("own", [False, True])
def test_the_square(own: bool) -> None:
    layer = {"name": "y", "type": "DotInteraction", "skip_gather": True, "self_interaction": own}
    document = {"graphspec": 1, "name": "g", "inputs": INPUTS, "layers": [{**layer, "inputs": ["a", "few", "b"]}]}
    found = gs.compile({**document, "outputs": {"y": {}}}).run(ROWS)["y"]
    square = np.einsum("bif,bjf->bij", VECTORS, VECTORS)
    np.testing.assert_allclose(found, np.tril(square, own - 1).reshape(3, 16), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([("N", 4), ("N", 5)], "vectors of one size"),
        ([("N", 4), ("N", 2, 2, 4)], "takes vectors"),
        ([("N", 4)], "needs two vectors"),
    ],
)
def test_refused(shapes: list[tuple[int | str, ...]], message: str) -> None:
    inputs = [source(f"x{k}", shape) for k, shape in enumerate(shapes)]
    with pytest.raises(ShapeError, match=message):
        lower({"type": "DotInteraction"}, *inputs)
