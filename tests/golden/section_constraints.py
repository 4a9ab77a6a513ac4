"""The golden values of constraints."""

from __future__ import annotations

from typing import Any

import keras
from cases_constraints import CONSTRAINTS, TRAINING
from keras_models import Section, build, draw_inputs, draw_weights, exact, generator, plain, variables
from section_optimizers import make as make_optimizer

STEPS = 4


def section() -> Section:
    """A weight before and after; and of networks: weights, a batch, and the weights after some steps on it."""
    section = Section("constraints")
    for case, config, shape in CONSTRAINTS:
        arguments = {key: value for key, value in config.items() if key != "type"}
        w = exact(2 * generator(case).normal(size=shape))
        constraint = getattr(keras.constraints, config["type"])(**arguments)
        section.add(case, {"constraint": config}, weight=w, after=plain(constraint(keras.ops.convert_to_tensor(w))))
    for case, spec in TRAINING:
        section.add(case, {"spec": spec, "steps": STEPS}, **trained(case, spec))
    return section


def trained(case: str, spec: dict[str, Any]) -> dict[str, Any]:
    rng = generator(case)
    model, layers = build(spec)
    named = variables(layers)
    weights = draw_weights(rng, named)
    inputs = draw_inputs(rng, {"spec": spec, "batch": 5})
    targets = {head: exact(rng.normal(size=(5, *value.shape[1:]))) for head, value in model.output.items()}
    loss = {head: item["loss"] for head, item in spec["outputs"].items()}
    model.compile(optimizer=make_optimizer(spec["optimizer"]), loss=loss)
    for _ in range(STEPS):
        model.train_on_batch(inputs, targets)
    after = {name: plain(variable).copy() for name, variable in named.items()}
    return {"weights": weights, "inputs": inputs, "targets": targets, "after": after}
