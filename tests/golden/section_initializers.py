"""The golden values of initializers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from cases_initializers import ARRAYS, INITIALIZER_SHAPES, INITIALIZERS, STFT_SHAPES
from keras_models import (
    Section,
    plain,
)


def section() -> Section:
    """Arguments only: mean, standard deviation, smallest and largest value of 200,000 draws, by shape.

    `gram` is Wᵀ W or W Wᵀ (the smaller, of the values as a matrix) over the identity, for Orthogonal.
    """
    section = Section("initializers")
    for config in INITIALIZERS:
        args = {k: v for k, v in config.items() if k != "type"}
        for shape in STFT_SHAPES if config["type"] == "STFT" else INITIALIZER_SHAPES:
            if config["type"] in ("Orthogonal", "Identity") and len(shape) != 2:
                continue
            fixed = config["type"] in ("Zeros", "Ones", "Constant", "Orthogonal", "Identity", "STFT")
            repeats = 1 if fixed else -(-200_000 // int(np.prod(shape)))
            draws = np.stack(
                [plain(initializer_of(config["type"], args, seed)(shape, dtype="float64")) for seed in range(repeats)]
            )
            found = {"mean": draws.mean(), "std": draws.std(), "min": draws.min(), "max": draws.max()}
            if config["type"] == "Orthogonal":
                found["gram"] = float(np.mean(np.diag(gram(draws[0]))))
            entry = {"initializer": config, "shape": shape, **{k: float(v) for k, v in found.items()}}
            label = "_".join(str(v) for v in args.values())
            section.add("-".join(filter(None, [config["type"], label, "x".join(map(str, shape))])), entry)
    for k, (value, shape) in enumerate(ARRAYS):
        drawn = plain(keras.initializers.Constant(np.array(value))(shape, dtype="float32"))
        section.add(f"array-{k}", {"array": value, "shape": shape, "drawn": drawn.tolist()})
    return section


def initializer_of(cls: str, args: dict[str, Any], seed: int) -> Any:
    seeded = {} if cls in ("Zeros", "Ones", "Constant", "Identity", "STFT") else {"seed": seed}
    return getattr(keras.initializers, cls)(**args, **seeded)


def gram(w: np.ndarray) -> np.ndarray:
    product = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(len(product)) * product[0, 0], atol=1e-5)
    return product
