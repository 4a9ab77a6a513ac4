"""The golden values of metrics."""

from __future__ import annotations

from typing import Any

import keras
from cases_metrics import METRICS
from keras.src import backend
from keras.src.trainers.compile_utils import get_metric
from keras_models import (
    Section,
    generator,
    plain,
)
from section_losses import draw_mask, draw_pair


def section() -> Section:
    """Per case: y_true, y_pred, mask (where there is), result."""
    section = Section("metrics")
    for case, config, kind, shape, extra in METRICS:
        y_true, y_pred = draw_pair(generator(case), kind, shape, extra)
        metric: Any = config
        if isinstance(config, dict):
            metric = getattr(keras.metrics, config["type"])(**{k: v for k, v in config.items() if k != "type"})
        t = backend.convert_to_tensor(y_pred)
        optional = {}
        if extra.get("mask"):
            optional["mask"] = draw_mask(shape)
            backend.set_keras_mask(t, backend.convert_to_tensor(optional["mask"]))
        metric = get_metric(metric, y_true, y_pred)
        metric.update_state(y_true, t)
        args = {"metric": config, "resolved": type(metric).__name__}
        section.add(case, args, y_true=y_true, y_pred=y_pred, result=plain(metric.result()), **optional)
    return section
