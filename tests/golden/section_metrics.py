"""The golden values of metrics."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from cases_metrics import METRICS
from keras.src import backend
from keras.src.trainers.compile_utils import get_metric
from keras_models import (
    Section,
    exact,
    generator,
    plain,
)
from section_losses import draw_mask, draw_pair


def draw(case: str, kind: str, shape: tuple[int, ...], extra: dict[str, Any]) -> list[np.ndarray]:
    """y_true and y_pred."""
    rng = generator(case)
    if kind == "positive":
        y_true, y_pred = exact(np.exp(rng.normal(size=shape))), exact(np.exp(rng.normal(size=shape)))
    elif kind == "sign":
        y_true, y_pred = rng.choice([-1.0, 1.0], shape), exact(rng.normal(size=shape))
    elif kind == "labels":
        y_true, y_pred = rng.integers(0, 3, shape).astype(float), rng.integers(0, 3, shape).astype(float)
    elif kind == "ranks":
        y_true, y_pred = (
            rng.integers(0, shape[1], shape[0]),
            rng.permuted(np.broadcast_to(np.arange(6.0), shape), axis=1),
        )
    elif kind == "answers":
        y_true, y_pred = (
            np.eye(shape[1])[rng.integers(0, shape[1], shape[0])],
            rng.integers(0, shape[1], shape[0]) * 1.0,
        )
    elif kind == "grid":
        y_true, y_pred = rng.integers(0, 2, shape).astype(float), rng.integers(1, 9, shape) / 8
    else:
        return draw_pair(rng, kind, shape, extra)
    return [y_true[..., 0] if extra.get("squeeze") else y_true, y_pred]


def section() -> Section:
    """Per case: y_true, y_pred, mask (where there is), result over one update with all rows."""
    section = Section("metrics")
    for case, config, kind, shape, extra in METRICS:
        y_true, y_pred = draw(case, kind, shape, extra)
        metric: Any = config
        overlap = False
        if isinstance(config, dict):
            given = {k: v for k, v in config.items() if k != "type"}
            if overlap := config["type"].endswith("IoU") and "axis" in given:
                del given["axis"]  # Keras sums the classes' overlaps, a vector, along this axis too
            metric = getattr(keras.metrics, config["type"])(**given)
        optional = {"mask": draw_mask(shape)} if extra.get("mask") else {}
        targets = np.eye(shape[-1])[y_true] if extra.get("dense") else y_true
        values = backend.convert_to_tensor(y_pred)
        if overlap:
            values = values.movedim(1, -1)
            targets = targets if kind == "ids" else np.moveaxis(targets, 1, -1)
        if extra.get("select"):
            targets, values = targets[optional["mask"]], values[optional["mask"]]
        elif optional:
            backend.set_keras_mask(values, backend.convert_to_tensor(optional["mask"]))
        metric = get_metric(metric, y_true, y_pred)
        if config in ({"type": "Mean"}, {"type": "Sum"}):
            metric.update_state(values)
        elif extra.get("weight"):
            metric.update_state(targets, values, np.ones(len(targets)))
        else:
            metric.update_state(targets, values)
        kinds = {"ids": "ids", "ranks": "ids", "onehot": "one_hot", "soft": "one_hot", "answers": "one_hot"}
        args = {
            "metric": config,
            "resolved": type(metric).__name__,
            "targets": kinds.get(kind.partition("_")[0], "like"),
        }
        section.add(case, args, y_true=y_true, y_pred=y_pred, result=plain(metric.result()), **optional)
    return section
