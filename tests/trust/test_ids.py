"""Ids that an Embedding has no row for are refused wherever they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.compiler.limits import id_ranges, input_bounds
from graphspec.compiler.ranges import Range

LAYERS: dict[str, tuple[list[dict[str, Any]], list[int], int]] = {
    "none": ([], [4], 1),
    "repeat": ([{"type": "RepeatVector", "n": 2}], [4], 1),
    "crop": ([{"type": "Cropping1D", "cropping": 1}], [6, 2], 1),
    "pad": ([{"type": "ZeroPadding1D"}], [6, 2], 1),
    "concatenate": ([{"type": "Concatenate", "inputs": ["i0", "i1"]}], [6], 2),
    "add": ([{"type": "Add", "inputs": ["i0", "i1"]}], [6], 2),
    "multiply": ([{"type": "Multiply", "inputs": ["i0", "i1"]}], [6], 2),
    "maximum": ([{"type": "Maximum", "inputs": ["i0", "i1"]}], [6], 2),
    "minimum": ([{"type": "Minimum", "inputs": ["i0", "i1"]}], [6], 2),
}


def model_of(path: str, input_dim: int = 5) -> gs.Model:
    layers, shape, count = LAYERS[path]
    embedding = {"name": "e", "type": "Embedding", "input_dim": input_dim, "output_dim": 3}
    document = {
        "graphspec": 1,
        "name": "ids",
        "inputs": {f"i{k}": {"shape": shape, "dtype": "int64"} for k in range(count)},
        "layers": [*({"name": f"l{k}", **layer} for k, layer in enumerate(layers)), embedding],
        "outputs": {"e": {"loss": "mse"}},
    }
    return gs.compile(document)


def filled(model: gs.Model, id_: int) -> dict[str, Any]:
    return {name: np.full((2, *v.shape[1:]), id_) for name, v in model.graph.inputs.items()}


@pytest.mark.parametrize("path", LAYERS)
def test_what_is_drawn_for_a_proof_is_in_range(path: str, tmp_path: Path) -> None:
    model = model_of(path)
    bounds = input_bounds(model.graph)
    assert bounds.keys() == model.graph.inputs.keys()
    for corner in range(2):
        model.run(
            {name: np.full((2, *v.shape[1:]), bounds[name][corner] - corner) for name, v in model.graph.inputs.items()}
        )
    model.export(tmp_path / "ids.onnx")


@pytest.mark.parametrize("wrong", [10, -3, 2**31])
@pytest.mark.parametrize("path", LAYERS)
def test_no_id_is_clipped(path: str, wrong: int) -> None:
    model = model_of(path)
    with pytest.raises(gs.SpecError, match="GS506"):
        model.predict(filled(model, wrong))


def test_an_input_is_refused_where_nothing_could_save_it() -> None:
    assert id_ranges(model_of("repeat").graph) == {"i0": Range(0, 4)}
    assert id_ranges(model_of("concatenate").graph) == {"i0": Range(0, 4), "i1": Range(0, 4)}
    assert id_ranges(model_of("crop").graph) == {}, "what is cut away may be anything"
    model = model_of("crop")
    x = np.zeros((2, 6, 2), np.int64)
    x[:, 0] = 99
    model.predict(x)
