"""Weights of PyTorch in our layers: the same outputs. ``tests/golden/make_torch_weights.py`` has made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.cases_torch_weights import CASES, Case
from paths import TESTS
from safetensors.numpy import load_file, save_file

import graphspec as gs

GOLDEN = load_file(TESTS / "golden" / "torch_weights.safetensors")


def state(name: str) -> dict[str, Any]:
    """The arrays of a module."""
    prefix = f"{name}/state/"
    return {key.removeprefix(prefix): value for key, value in GOLDEN.items() if key.startswith(prefix)}


def spec(case: Case, file: Path, **keys: Any) -> dict[str, Any]:
    """The case as a spec that starts from the weights of a file."""
    return {
        "graphspec": 1,
        "name": "torch",
        "inputs": {"x": {"shape": case.shape, "dtype": case.dtype}},
        **({"blocks": case.blocks} if case.blocks else {}),
        "layers": case.layers,
        "outputs": {"y": {"loss": "mse"}},
        "training": {
            "initial_weights": {"file": str(file), "layout": "torch", "map": dict(case.map)} | keys,
            "seed": 3,
        },
    }


@pytest.mark.parametrize("name", CASES)
def test_a_module_of_pytorch_computes_the_same(name: str, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(state(name), file)
    model = gs.compile(spec(CASES[name], file))
    (known,) = model.initial_weights
    assert not known.new
    assert not known.left_over
    assert len(known.taken) == len(model.weights)
    np.testing.assert_allclose(model.predict(GOLDEN[f"{name}/x"]), GOLDEN[f"{name}/y"], rtol=2e-5, atol=2e-5)
