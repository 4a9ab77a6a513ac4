"""The golden values of callbacks that change training."""

from __future__ import annotations

from typing import Any

import keras
from cases_callbacks import CALLBACKS
from keras_models import Section, exact, generator, plain
from section_optimizers import make as make_optimizer

EPOCHS, BATCH = 6, 4


def section() -> Section:
    """`shared`: rows and weights; by case the history, and the weights at the end."""
    section = Section("callbacks")
    rng = generator("callbacks")
    x, weight, bias = exact(rng.normal(size=(16, 3))), exact(rng.normal(size=(3, 2))), exact(rng.normal(size=2))
    y = exact(x @ rng.normal(size=(3, 2)) + 0.1 * rng.normal(size=(16, 2)))
    weights = {"y/kernel": weight, "y/bias": bias}
    section.add("shared", {"epochs": EPOCHS, "batch": BATCH}, rows={"x": x, "y": y}, weights=weights)
    for case, optimizer, callbacks in CALLBACKS:
        source = keras.Input((3,))
        layer = keras.layers.Dense(2, activation="tanh", name="y")
        model = keras.Model(source, layer(source))
        layer.set_weights([weight, bias])
        model.compile(optimizer=make_optimizer(optimizer), loss="mean_squared_error")
        rows = {"validation_data": (x[12:], y[12:]), "shuffle": False, "batch_size": BATCH, "verbose": 0}
        made = [make(callback) for callback in callbacks]
        history = model.fit(x[:12], y[:12], epochs=EPOCHS, callbacks=made, **rows).history
        end = {"y/kernel": plain(layer.kernel), "y/bias": plain(layer.bias)}
        section.add(case, {"optimizer": optimizer, "callbacks": callbacks, "history": history}, after=end)
    return section


def make(config: dict[str, Any]) -> Any:
    arguments = {key: value for key, value in config.items() if key != "type"}
    if isinstance(schedule := arguments.get("schedule"), dict):
        cls = getattr(keras.optimizers.schedules, schedule["type"])
        rate = cls(**{key: value for key, value in schedule.items() if key != "type"})
        arguments["schedule"] = lambda epoch, _: float(rate(epoch))
    return getattr(keras.callbacks, config["type"])(**arguments)
