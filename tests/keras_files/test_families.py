"""Networks of `keras.applications`, imported: outputs, the gradients of a step and the written spec."""

from __future__ import annotations

import numpy as np
import pytest
from keras_file_rows import pixels, probe
from keras_files import FAMILIES, FOLDER, assert_near, by_name, fingerprint, golden, outputs, step

from graphspec.compiler.check import check
from graphspec.keras_files.convert import convert

ROWS, CLASSES, RATE = 4, 5, 0.01
"""As `keras_file_families.py` has them."""


@pytest.mark.parametrize("name", FAMILIES)
def test_outputs_and_gradients_are_those_of_keras(name: str) -> None:
    kept, found = golden(name), convert(FOLDER / f"{name}.keras")
    spec, lowered = check(found.data).require()
    graph, weights = lowered.graph, {key: np.asarray(array) for key, array in found.weights.items()}
    prints = {fingerprint(array): key for key, array in weights.items()}
    assert prints.keys() == {*kept.weights}
    (image,), (head,) = graph.inputs, graph.outputs
    shape = tuple(found.data["inputs"][image]["shape"])
    rows = {image: pixels((ROWS, *shape), 0)}
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
