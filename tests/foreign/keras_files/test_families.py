"""Networks of `keras.applications`, imported: outputs and gradients are those of Keras, and the specs are short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from keras_file_rows import pixels, probe
from keras_files import FOLDER, assert_near, by_name, fingerprint, golden, outputs, step
from safetensors.numpy import load_file

import graphspec as gs
from graphspec.engine.compiler.check import check

pytestmark = pytest.mark.slow

ROWS, CLASSES, RATE = 4, 5, 0.01
"""As `keras_file_families.py` has them."""


LINES = {
    "convnext_tiny": 80,
    "densenet121": 55,
    "efficientnet_b0": 145,
    "efficientnet_v2_b0": 165,
    "inception_resnet_v2": 160,
    "inception_v3": 115,
    "mobilenet": 55,
    "mobilenet_v2": 80,
    "mobilenet_v3_small": 110,
    "nasnet_mobile": 240,
    "resnet50": 65,
    "resnet50_v2": 85,
    "vgg16": 40,
    "xception": 80,
}
"""The most lines of a spec; the plain form of one of these networks has up to 770 nodes."""


@pytest.mark.parametrize("name", LINES)
def test_outputs_and_gradients_are_those_of_keras(name: str, tmp_path: Path) -> None:
    kept, found = golden(name), gs.import_file(FOLDER / f"{name}.keras", tmp_path / "net.yaml")
    assert found.weights_path is not None
    written = [line for line in found.path.read_text("utf-8").splitlines() if not line.startswith("#")]  # with no data
    assert len(written) <= LINES[name]
    spec, lowered = check(found.path).require()
    graph, weights = lowered.graph, load_file(found.weights_path)
    prints = {fingerprint(array): key for key, array in weights.items()}
    assert prints.keys() == {*kept.weights}
    (image,), (head,) = graph.inputs, graph.outputs
    rows = {image: pixels((ROWS, *found.spec.inputs[image].shape), 0)}
    expected = by_name(kept.parts["outputs"], [head])
    assert_near(outputs(graph, weights, rows)[head], expected[head], 1e-6, head)
    loss, gradients, state = step(spec, graph, weights, rows, {head: np.arange(ROWS) % CLASSES})
    assert kept.loss is not None
    np.testing.assert_allclose(loss, kept.loss, rtol=1e-6)
    changes = {key: -RATE * array for key, array in gradients.items()} | state
    lengths, probes = kept.parts["lengths"][""], kept.parts["probes"][""]
    for key, length, product in zip(kept.weights, lengths, probes, strict=True):
        change = changes[prints[key]].ravel()
        found, said = (np.linalg.norm(change), change @ probe(change.size)), prints[key]
        np.testing.assert_allclose(found, (length, product), rtol=0, atol=1e-4 * length + 1e-9, err_msg=said)
