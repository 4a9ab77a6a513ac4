"""Specs beside the same network as statements of NumPy: their lengths, values and gradients.

A file `tests/models/test_*_models.py` says how long its networks are::

    LENGTHS = {"siren": (spec_lines(SIREN), statements(siren))}

`tests/models/test_lengths.py` holds all files to the same bounds.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from paths import TESTS

import graphspec as gs
from graphspec.api.model import Model

Arrays = dict[str, np.ndarray[Any, Any]]
COUNTED = ("vars", "blocks", "layers")  # inputs and outputs stand against the line `def`, and training is elsewhere
WIDTH = 120  # of a line of both


def spec_lines(spec: str | Mapping[str, Any]) -> int:
    """Count the lines of a spec that say the network; of a mapping by name, its entries.

    Lines of `vars`, `blocks` and `layers` count, but for empty lines, comments and these words themselves. A text
    without sections is a list of layers.
    """
    if not isinstance(spec, str):
        return len(spec)
    lines = [line for line in textwrap.dedent(spec).splitlines() if line.strip() and line.strip()[0] != "#"]
    assert max(map(len, lines)) <= WIDTH, max(lines, key=len)
    count, inside = 0, True
    for line in lines:
        if line[0].isalpha():
            name, _, rest = line.partition(":")
            inside = name in COUNTED
            count += inside and bool(rest.strip())
        else:
            count += inside
    return count


def statements(*functions: Callable[..., Any]) -> int:
    """Count the statements of functions, each on a line of its own or not, but for a docstring."""
    count = 0
    for function in functions:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        count += sum(isinstance(node, ast.stmt) for node in ast.walk(tree)) - 1
        count -= ast.get_docstring(tree) is not None if isinstance(tree, ast.FunctionDef) else 0
    return count


def all_lengths() -> dict[str, tuple[int, int]]:
    """The lines of the spec and the statements of each network in `tests/models/test_*_models.py`."""
    found: dict[str, tuple[int, int]] = {}
    for path in sorted((TESTS / "models").glob("test_*_models.py")):
        made = spec_from_file_location(f"lengths_{path.stem}", path)
        assert made is not None
        assert made.loader is not None
        module = module_from_spec(made)
        made.loader.exec_module(module)
        found |= {f"{path.stem}: {name}": lengths for name, lengths in module.LENGTHS.items()}
    return found


def compiled(text: str, folder: Path, rows: int) -> Model:
    """The model of a spec's `inputs`, `layers` and `outputs`: a training step takes the whole gradient off all weights."""
    training = f"training: {{optimizer: {{type: SGD, learning_rate: 1.0}}, batch_size: {rows}, epochs: 1, seed: 1}}"
    path = folder / "m.yaml"
    path.write_text(f"graphspec: 1\nname: m\n{textwrap.dedent(text).strip()}\n{training}\n", "utf-8")
    return gs.compile(path)


def assert_equal_to_float64(
    model: Model, loss: Callable[[Arrays, Arrays], Any], x: Arrays, folder: Path, share: float = 1e-4
) -> None:
    """The loss and its gradients are those of `loss(weights, x)` in float64, and the exported file is proved.

    A gradient is compared along single weights, along itself and along a random direction.
    """
    before = {key: array.astype(np.float64) for key, array in model.weights.items()}
    given = {key: array if array.dtype.kind in "iub" else array.astype(np.float32) for key, array in x.items()}
    history = model.fit(given, epochs=1, verbose=0)
    np.testing.assert_allclose(history.history["loss"][0], loss(before, x), rtol=1e-5, atol=1e-6)
    gradient = {key: array - model.weights[key] for key, array in before.items()}
    largest, draw = np.sqrt(sum((g**2).sum() for g in gradient.values())), np.random.default_rng(1)
    assert largest > 0
    for key, found in gradient.items():
        ways = [*np.eye(found.size)[draw.permutation(found.size)[:4]], draw.normal(size=found.size), found.ravel()]
        for way in (found.size and way.reshape(found.shape) / max(np.sqrt((way**2).sum()), 1e-30) for way in ways):
            ends = [loss(before | {key: before[key] + step * way}, x) for step in (1e-6, -1e-6)]
            slope = (ends[0] - ends[1]) / 2e-6
            assert abs((found * way).sum() - slope) < share * largest, (key, (found * way).sum(), slope, largest)
    assert "equal to the runtime" in str(model.export(folder / "m.onnx"))
