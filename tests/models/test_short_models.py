"""Networks that people write, as short specs: the loss and its gradients are those of NumPy in float64.

Each reference has a statement for each of PyTorch's; weights are read by their names in the spec.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from short_models import Arrays, assert_equal_to_float64, compiled, spec_lines, statements

ROWS = 5


def dense(w: Arrays, name: str, x: Any) -> Any:
    return x @ w[f"{name}/kernel"] + w.get(f"{name}/bias", 0)


SIREN = """
inputs: {x: {shape: [2]}, y: {shape: [1]}}
layers:
  - {name: first, type: Dense, units: 6, inputs: x}
  - {name: a, type: Formula, value: "sin(30 * first)"}
  - {name: second, type: Dense, units: 6}
  - {name: b, type: Formula, value: "sin(second)"}
  - {name: out, type: Dense, units: 1}
  - {name: cost, type: Formula, value: "(out - y)**2"}
outputs: {out: {}, cost: {loss: value}}
"""


def siren(w: Arrays, x: Arrays) -> Any:
    a = np.sin(30 * dense(w, "first", x["x"]))
    b = np.sin(dense(w, "second", a))
    out = dense(w, "out", b)
    return ((out - x["y"]) ** 2).mean()


Shapes = dict[str, tuple[int, ...]]
MODELS: dict[str, tuple[str, Callable[[Arrays, Arrays], Any], Shapes]] = {
    "SIREN": (SIREN, siren, {"x": (2,), "y": (1,)}),
}


@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_those_of_float64(name: str, tmp_path: Path) -> None:
    spec, reference, shapes = MODELS[name]
    draw = np.random.default_rng(3)
    x = {key: draw.normal(size=(ROWS, *shape)).round(3) for key, shape in shapes.items()}
    assert_equal_to_float64(compiled(spec, tmp_path, ROWS), reference, x, tmp_path)


LENGTHS = {name: (spec_lines(spec), statements(reference)) for name, (spec, reference, _) in MODELS.items()}
