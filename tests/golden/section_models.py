"""The golden values of whole models with heads."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from cases_models import model_cases
from keras_models import (
    Dataset,
    Section,
    build,
    draw_inputs,
    draw_weights,
    exact,
    generator,
    gradients,
    plain,
    state,
    tensors,
    variables,
)
from section_losses import draw_pair, loss_of


def section() -> Section:
    """Per case: inputs, weights, targets, sample_weights; losses by head, regularization, loss; gradients of loss.

    Training mode. `losses` are weighted by samples and classes, not by the heads' weights; `regularization` is the
    sum of all penalties. `loss` combines the heads as the spec's `training.combine` says. Also the updated state.
    """
    from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

    section = Section("models")
    for case in model_cases():
        rng = generator(case["id"])
        model, made = build(case["spec"])
        for node in case["spec"]["layers"]:
            if node.get("trainable") is False:
                made[node["name"]].trainable = False
        named = variables(made)
        weights, inputs = draw_weights(rng, named), draw_inputs(rng, case)
        x = tensors(inputs)
        y = model(x, training=True)
        targets, sample_weights, values, total, divisor = {}, {}, {}, 0.0, 0.0
        for head, item in case["spec"]["outputs"].items():
            if "loss" not in item:
                continue
            name = item["loss"] if isinstance(item["loss"], str) else item["loss"]["type"]
            short = name.lower().replace("_", "")
            kind = {"sparsecategoricalcrossentropy": "ids", "categoricalcrossentropy": "onehot"}.get(short, "real")
            kind = "binary" if short == "binarycrossentropy" else kind
            shape = tuple(y[head].shape)
            targets[head], _ = draw_pair(rng, kind, shape, {})
            sample_weight = None
            if weight := case.get("weight"):
                sample_weight = exact(rng.uniform(0.2, 2, shape[:1] if weight == "sample" else shape[:2]))
                sample_weights[head] = sample_weight
            if "class_weight" in item:
                sample_weight = class_weight_to_sample_weights(targets[head], item["class_weight"])
            values[head] = loss_of(item["loss"])(targets[head], y[head], sample_weight=sample_weight)
            total = total + item.get("weight", 1.0) * values[head]
            divisor += item.get("weight", 1.0)
        penalty = sum(model.losses) if model.losses else keras.ops.zeros(())
        loss = total / (divisor if case["spec"]["training"]["combine"] == "mean" else 1.0) + penalty
        if case["id"].startswith("heads-sum") and not sample_weights:
            check_compiled(model, case["spec"], y, targets, loss)
        loss.backward()
        section.add(
            case["id"],
            {"spec": case["spec"]},
            inputs=inputs,
            weights=weights,
            targets=targets,
            sample_weights=sample_weights,
            losses={head: plain(value) for head, value in values.items()},
            regularization=plain(penalty),
            loss=plain(loss),
            state=state(named),
            **gradients(named, x),
        )
    return section


def check_compiled(model: keras.Model, spec: dict[str, Any], y: Any, targets: Dataset, loss: Any) -> None:
    """The sum over heads is what Keras's own compile computes."""
    heads = spec["outputs"]
    model.compile(
        loss={head: item["loss"] for head, item in heads.items()},
        loss_weights={head: item.get("weight", 1.0) for head, item in heads.items()},
    )
    np.testing.assert_allclose(plain(model.compute_loss(y=targets, y_pred=y)), plain(loss), rtol=1e-6)
