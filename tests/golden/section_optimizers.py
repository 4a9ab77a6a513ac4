"""The golden values of optimizers."""

from __future__ import annotations

import keras
import numpy as np
from cases_optimizers import OPTIMIZERS
from keras.src import backend
from keras_models import (
    Section,
    exact,
    generator,
    plain,
)


def section() -> Section:
    """Weights of two tensors before, gradients of ten steps, weights after each step."""
    section = Section("optimizers")
    for case, config in OPTIMIZERS:
        rng = generator(case)
        start = {"kernel": exact(rng.normal(size=(3, 4))), "bias": exact(rng.normal(size=4))}
        steps = {name: exact(rng.normal(size=(10, *a.shape))) for name, a in start.items()}
        optimizer = getattr(keras.optimizers, config["type"])(**{k: v for k, v in config.items() if k != "type"})
        params = {name: keras.Variable(a, name=name) for name, a in start.items()}
        optimizer.build(list(params.values()))
        after: dict[str, list[np.ndarray]] = {name: [] for name in start}
        for step in range(10):
            optimizer.apply([backend.convert_to_tensor(g[step]) for g in steps.values()])
            for name, variable in params.items():
                after[name].append(plain(variable).copy())
        section.add(
            case,
            {"optimizer": config},
            weights=start,
            gradients=steps,
            after={name: np.stack(a) for name, a in after.items()},
        )
    return section
