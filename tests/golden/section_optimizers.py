"""The golden values of optimizers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from cases_optimizers import OPTIMIZERS, SHAPES
from keras.src import backend
from keras_models import Section, exact, generator, plain


def section() -> Section:
    """`shared`: the weights at the start and gradients of ten steps, some always 0; by case the weights after each step.

    With a moving average also the `average` after each step; a `loss_scale_factor` multiplies the gradients, as it does.
    """
    section = Section("optimizers")
    rng = generator("optimizers")
    start = {name: exact(rng.normal(size=shape)) for name, shape in SHAPES.items()}
    steps = {name: exact(rng.normal(size=(10, *a.shape))) for name, a in start.items()}
    steps["bias"][:, 0] = 0
    section.add("shared", {}, weights=start, gradients=steps)
    for case, config in OPTIMIZERS:
        optimizer = make(config)
        params = {name: keras.Variable(a, name=name) for name, a in start.items()}
        optimizer.build(list(params.values()))
        after: dict[str, list[np.ndarray]] = {name: [] for name in start}
        average: dict[str, list[np.ndarray]] = {name: [] for name in start if config.get("use_ema")}
        for step in range(10):
            optimizer.apply(
                [backend.convert_to_tensor(g[step] * config.get("loss_scale_factor", 1)) for g in steps.values()]
            )
            for k, (name, variable) in enumerate(params.items()):
                after[name].append(plain(variable).copy())
                if average:
                    average[name].append(plain(optimizer._model_variables_moving_average[k]).copy())
        kinds = {"after": after, "average": average}
        section.add(
            case,
            {"optimizer": config},
            **{kind: {name: np.stack(a) for name, a in found.items()} for kind, found in kinds.items()},
        )
    return section


def make(config: dict[str, Any]) -> Any:
    arguments = {key: value for key, value in config.items() if key != "type"}
    if isinstance(rate := arguments.get("learning_rate"), dict):
        schedule = getattr(keras.optimizers.schedules, rate["type"])
        arguments["learning_rate"] = schedule(**{key: value for key, value in rate.items() if key != "type"})
    optimizer = getattr(keras.optimizers, config["type"])(**arguments)
    if config["type"] == "ScheduleFreeAdamW":
        # Keras takes the value of a variable, changes the variable and goes on with the old value; PyTorch's is changed too.
        optimizer.assign_sub = lambda variable, value: setattr(variable, "_value", variable.value - value)
    return optimizer
