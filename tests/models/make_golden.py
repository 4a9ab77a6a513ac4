"""Write what Keras 3 (torch backend, float64) computes for the models in these folders; `test_models.py` compares.

Run in the environment of `tests/golden/make_keras.py`: ``KERAS_BACKEND=torch python tests/models/make_golden.py
[FAMILY/NAME …]``: all models, or those named.

A model is three files. `<name>.yaml` is the spec. `<name>.py` is the same model in Keras, as people write it:
``build()`` returns it compiled, ``rows(rng)`` its inputs and targets, and ``RENAMED`` are pairs of a pattern and its
replacement for names of weights that are not the spec's. `<name>.safetensors` is what this script writes:
``inputs``, ``targets``, ``weights``, ``outputs`` (at inference), ``gradients`` of the loss, ``state`` (moving statistics
after that step), and ``losses`` of three steps on these rows by the model's optimizer. A model whose attention has padded
queries has ``seen(inputs)``, by head: what Keras answers elsewhere depends on the path that its attention takes.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "golden")]

import keras  # noqa: E402
import torch  # noqa: E402
from keras.src.backend.common import dtypes  # noqa: E402
from keras_models import exact, generator, plain  # noqa: E402

dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # Keras multiplies matrices of float64 in float32 otherwise
Dataset = dict[str, np.ndarray]
CELLS = re.compile(r"((conv_)?lstm|gru|simple_rnn)_cell(_\d+)?/")
DIRECTIONS = re.compile(r"/(forward|backward)_[^/]*/")


def contiguous(convolve: Any) -> Any:
    """A convolution whose kernel is no view: PyTorch's gradient of a view fails in some shapes."""
    return lambda x, kernel, *args, **how: convolve(
        x, kernel.clone(memory_format=torch.contiguous_format), *args, **how
    )


for kind in ("conv1d", "conv2d", "conv3d"):
    setattr(torch.nn.functional, kind, contiguous(getattr(torch.nn.functional, kind)))
STATE = ("moving_mean", "moving_variance", "vector_u")
STEPS = 3


def named(model: keras.Model, renamed: list[tuple[str, str]]) -> dict[str, Any]:
    """Keras's variables by the spec's names: a colon in the name of a layer is the slash behind a block's name."""
    found = {}
    for variable in model.weights:
        name = variable.path.removeprefix(f"{model.name}/").replace(":", "/")
        name = DIRECTIONS.sub(r"/\1/", CELLS.sub("", name))
        for pattern, replacement in renamed:
            name = re.sub(pattern, replacement, name)
        assert name not in found, name
        found[name] = variable
    return found


def draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values that a trained weight of this role might have."""
    role = name.rsplit("/", 1)[-1]
    if role == "moving_variance":
        return exact(rng.uniform(0.5, 1.5, shape))
    if role == "gamma":
        return exact(1 + 0.2 * rng.normal(size=shape))
    if role in ("bias", "beta", "moving_mean"):
        return exact(0.2 * rng.normal(size=shape))
    if role == "embeddings":
        return exact(0.5 * rng.normal(size=shape))
    return exact(rng.normal(size=shape) / np.sqrt(max(np.prod(shape[:-1]), 1)))


def by_head(values: Any, heads: list[str]) -> dict[str, Any]:
    """The outputs of a model, which may be a single one, by head."""
    return values if isinstance(values, dict) else {heads[0]: values}


def fed(arrays: Dataset) -> Any:
    """Targets as Keras wants them: those of the only head without its name."""
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays or None


def golden(name: str, module: ModuleType) -> Dataset:
    """All arrays of one model."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    rng = generator(name)
    x, y = (
        {key: exact(array) if array.dtype.kind == "f" else array for key, array in part.items()}
        for part in module.rows(rng)
    )
    model = module.build()
    model(x)
    variables = named(model, getattr(module, "RENAMED", []))
    weights = {key: draw(rng, key, tuple(variable.shape)) for key, variable in variables.items()}

    def reset() -> None:
        for key, variable in variables.items():
            variable.assign(weights[key])

    reset()
    heads = list(y) or list(getattr(module, "HEADS", ["output"]))
    outputs = {key: plain(value) for key, value in by_head(model(x, training=False), heads).items()}
    found = model(x, training=True)
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, (x, fed(y) if y else y))
    loss = model.compute_loss(*tensors, found)
    loss.backward()
    trained = {key: v for key, v in variables.items() if v.trainable}
    gradients = {
        key: np.zeros(tuple(v.shape)) if v.value.grad is None else plain(v.value.grad) for key, v in trained.items()
    }
    state = {key: plain(v) for key, v in variables.items() if key.rsplit("/", 1)[-1] in STATE and v.path}
    reset()
    count = len(next(iter(x.values())))
    history = model.fit(x, fed(y), batch_size=count, epochs=STEPS, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        history.history["loss"][0], plain(loss), rtol=1e-6
    )  # penalties have constants of float32
    kinds = {"inputs": x, "targets": y, "weights": weights, "outputs": outputs, "gradients": gradients, "state": state}
    kinds["seen"] = module.seen(x) if hasattr(module, "seen") else {}
    arrays = {f"{kind}/{key}": array for kind, part in kinds.items() for key, array in part.items()}
    return arrays | {"losses": np.asarray(history.history["loss"])}


def stored(array: np.ndarray) -> np.ndarray:
    """Floats as float32, and a C order."""
    array = np.asarray(array)
    kept = array.astype(np.float32) if array.dtype.kind == "f" else array
    return np.ascontiguousarray(kept).reshape(array.shape)


if __name__ == "__main__":
    paths = sorted(HERE.glob("*/*.py"))
    for name in sys.argv[1:] or [f"{path.parent.name}/{path.stem}" for path in paths]:
        arrays = golden(name, import_module(name.replace("/", ".")))
        target = HERE / f"{name}.safetensors"
        save_file({key: stored(array) for key, array in arrays.items()}, target)
        target.chmod(0o644)
        print(name, f"{target.stat().st_size / 1e3:.0f} kB", np.round(arrays["losses"], 4))
