"""Small models as Keras's examples have them, imported: outputs, one step of the compiled optimizer, the exported file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_files import FAMILIES, FOLDER, Golden, assert_near, by_name, fingerprint, golden

import graphspec as gs
from graphspec.foreign.keras_files.convert import convert

EXAMPLES = sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".keras", ".h5"))
UNCOMPILED = ("crnn.h5", "mnist_convnet.h5")
"""Saved without the optimizer."""
ROUGH = {"mixed_float16": 5e-3}
"""Keras computes this one in float16, graphspec in float32."""


@pytest.mark.parametrize("file", [name for name in EXAMPLES if Path(name).stem not in FAMILIES])
def test_outputs_a_step_and_the_file_are_those_of_keras(file: str, tmp_path: Path) -> None:
    name = Path(file).stem
    kept, found = golden(name), gs.import_file(FOLDER / file, tmp_path / "net.yaml")
    model = gs.compile(found.path)
    inputs = by_name(kept.parts["inputs"], list(found.spec.inputs))
    answers = model.predict_dict(inputs, batch_size=len(next(iter(inputs.values()))))
    for head, expected in by_name(kept.parts["outputs"], list(found.spec.heads)).items():
        assert_near(answers[head], expected, ROUGH.get(name, 1e-5), head)
    model.export(tmp_path / "net.onnx", rows=inputs)
    if kept.loss is not None and file not in UNCOMPILED:
        assert_step(model, kept, inputs)


def assert_step(model: gs.Model, kept: Golden, inputs: dict[str, Any]) -> None:
    """Compare the loss and the change of every weight in one step of the compiled optimizer."""
    weights = {key: np.array(array) for key, array in model.weights.items()}
    targets = by_name(kept.parts["targets"], list(model.spec.heads))
    rows = len(next(iter(inputs.values())))
    history = model.fit(inputs, targets, epochs=1, batch_size=rows, shuffle=False, verbose=0)
    np.testing.assert_allclose(history["loss"][0], kept.loss, rtol=1e-5)
    prints = {fingerprint(array): key for key, array in weights.items()}
    assert isinstance(kept.weights, dict)
    assert prints.keys() == kept.weights.keys()
    for key, path in kept.weights.items():
        before, after = weights[prints[key]], kept.parts["after"][path]
        change = after.reshape(before.shape) - before
        largest = np.max(np.abs(change))
        tolerance = 1e-4 * largest + 2.4e-7 * np.max(np.abs(before))
        moved = np.asarray(model.weights[prints[key]]) - before
        np.testing.assert_allclose(moved, change, rtol=0, atol=tolerance, err_msg=f"{prints[key]}, {path}")


def test_dropout_stays() -> None:
    """Keras writes `training: false` beside every Dropout of a functional model, and its `fit` does not heed it."""
    for name, count in (("text_transformer", 2), ("unet", 0), ("mnist_convnet", 1), ("crnn", 0), ("augmented", 1)):
        data = convert(FOLDER / f"{name}.keras").data
        lists = [data["layers"], *(block["layers"] for block in data.get("blocks", {}).values())]
        kinds = [node.get("type") for nodes in lists for node in nodes]
        assert sum(kind in ("Dropout", "SpatialDropout2D") for kind in kinds) == count, name
