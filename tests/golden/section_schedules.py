"""The golden values of learning-rate schedules."""

from __future__ import annotations

import keras
from cases_schedules import SCHEDULES, STEPS
from keras_models import Section


def section() -> Section:
    """Arguments only: the rate at each of some steps."""
    section = Section("schedules")
    for case, config in SCHEDULES:
        arguments = {key: value for key, value in config.items() if key != "type"}
        schedule = getattr(keras.optimizers.schedules, config["type"])(**arguments)
        section.add(case, {"schedule": config, "rates": {str(step): float(schedule(step)) for step in STEPS}})
    return section
