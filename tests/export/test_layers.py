"""Every layer's export under onnxruntime, at several batch sizes and lengths of variable axes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from golden_cases import Case, load_layers, mentions
from golden_run import adapted

import graphspec as gs
from graphspec.layers import LAYERS

PER_LAYER = 4


def varies(case: Case) -> bool:
    return any(not isinstance(d, int) for item in case.spec["inputs"].values() for d in item["shape"])


def chosen() -> list[Case]:
    """Return a few cases of every layer, cases with variable axes first."""
    seen: Counter[str] = Counter()
    picked = []
    for case in sorted(load_layers(), key=lambda case: not varies(case)):
        names = {cls.__name__ for name, _ in mentions(case.spec) if (cls := LAYERS.get(name)) is not None}
        if any(seen[name] < PER_LAYER for name in names):
            seen.update(names)
            picked.append(case)
    return picked


def crop() -> Case:
    """Keras's RandomCrop behaves differently in inference, so there is no golden case."""
    layers = [{"name": "y", "type": "RandomCrop", "height": 4, "width": 3}]
    spec = {
        "graphspec": 1,
        "name": "crop",
        "inputs": {"x": {"shape": [6, 5, 2]}},
        "layers": layers,
        "outputs": {"y": {}},
    }
    return Case("RandomCrop", {"spec": spec})


CASES = [*chosen(), crop()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_equal_at_several_batch_sizes_and_lengths(case: Case, tmp_path: Path) -> None:
    model = gs.compile(adapted(case.spec))
    known = model.weights
    model.set_weights({name: array for name, array in case["weights"].items() if name in known})
    proof = model.export(tmp_path / "layer.onnx")
    assert proof.batches == [1, 2, 5]
    assert len(proof.lengths) >= 2 or not varies(case)


def test_every_layer_is_exported() -> None:
    exported = {LAYERS.get(name) for case in CASES for name, _ in mentions(case.spec)}
    assert not [cls.__name__ for cls in LAYERS if cls not in exported]
