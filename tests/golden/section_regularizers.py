"""The golden values of regularizers."""

from __future__ import annotations

import keras
import torch
from cases_regularizers import REGULARIZERS
from keras_models import Section, exact, generator, plain


def section() -> Section:
    """A weight, the penalty on it, and the gradient."""
    section = Section("regularizers")
    for case, config, shape in REGULARIZERS:
        arguments = {key: value for key, value in config.items() if key != "type"}
        regularizer = getattr(keras.regularizers, config["type"])(**arguments)
        w = torch.tensor(exact(generator(case).normal(size=shape))).requires_grad_()
        value = regularizer(w)
        (value + 0 * w.sum()).backward()  # where both factors are 0, the value does not depend on the weight
        section.add(case, {"regularizer": config}, weight=plain(w), value=plain(value), gradient=plain(w.grad))
    return section
