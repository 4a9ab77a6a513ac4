"""One network of `keras.applications` by Keras: ``python -P keras_files_child.py NAME FOLDER`` writes its file and results.

`benchmarks.keras_files` starts it with a Python that has Keras; it needs nothing of graphspec.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

ROWS = 2


def draw(rng: np.random.Generator, role: str, shape: tuple[int, ...]) -> Any:
    """Values that a trained weight of this role might have."""
    if role in ("moving_variance", "gamma"):
        return rng.uniform(0.5, 1.5, shape)
    if role in ("bias", "beta", "moving_mean"):
        return rng.normal(size=shape) * 0.1
    fan = np.prod(shape[:2] if role == "depthwise_kernel" else shape[:-1])
    return rng.standard_normal(shape, dtype=np.float32) * np.sqrt(1.5 / max(fan, 1))


def variables(model: Any) -> list[Any]:
    """All weights but counters and those of Normalization, which are arguments in a spec."""
    others = ("seed_generator_state", "count", "mean", "variance")
    return [v for v in model.weights if v.path.rsplit("/", 1)[-1] not in others]


def make(name: str, folder: Path) -> None:
    """Write `NAME.keras`, `NAME.npz` (rows, outputs, changes of each weight in a step) and `NAME.json` (about them)."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    network = getattr(keras.applications, name)
    model = network(weights=None)
    if None in model.input_shape[1:]:
        model = network(weights=None, input_shape=(224, 224, 3))
    for layer in model.layers:
        for key in ("rate", "drop_path_rate"):
            if hasattr(layer, key):
                setattr(layer, key, 0.0)
    for variable in variables(model):
        variable.assign(draw(rng, variable.path.rsplit("/", 1)[-1], tuple(variable.shape)))
    plain = keras.ops.convert_to_numpy
    x = rng.uniform(-1, 1, (ROWS, *model.input_shape[1:])).astype("float32")
    y = rng.integers(0, model.output_shape[-1], ROWS)
    last = [v for v in model.trainable_variables if v.path.endswith("kernel")][-1]
    while (outputs := plain(model(x, training=False))).max() > 0.1:  # a softmax near 1 would hide differences
        last.assign(last * 0.5)
    model.compile(keras.optimizers.SGD(0.01), loss="sparse_categorical_crossentropy")
    model.save(folder / f"{name}.keras")
    before = [plain(v.value) for v in variables(model)]
    start = time.perf_counter()
    loss = float(plain(model.train_on_batch(x, y)))
    seconds = time.perf_counter() - start
    changes = [plain(v.value).ravel().astype(float) - w.ravel() for v, w in zip(variables(model), before, strict=True)]
    sums = [[np.linalg.norm(change), change @ np.cos(1.7 * np.arange(change.size) + 0.3)] for change in changes]
    np.savez(folder / f"{name}.npz", x=x, y=y, outputs=outputs, sums=np.array(sums))
    about = {
        "loss": loss,
        "seconds": seconds,
        "weights": {
            hashlib.sha256(w.tobytes()).hexdigest(): v.path for v, w in zip(variables(model), before, strict=True)
        },
    }
    (folder / f"{name}.json").write_text(json.dumps(about), "utf-8")


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
