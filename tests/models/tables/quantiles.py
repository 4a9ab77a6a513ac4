"""Quantile regression with the pinball loss."""

import keras
from keras import layers, ops

QUANTILES = [0.1, 0.5, 0.9]


class QuantileModel(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(8, activation="relu", name="hidden")
        self.quantiles = layers.Dense(3, name="quantiles")

    def call(self, inputs):
        return {"quantiles": self.quantiles(self.hidden(inputs["x"]))}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        losses = []
        for k, q in enumerate(QUANTILES):
            error = x["demand"] - y_pred["quantiles"][:, k : k + 1]
            losses.append(ops.mean(ops.maximum(q * error, (q - 1) * error)))
        return sum(losses) / len(losses)


def build():
    model = QuantileModel()
    model.compile("adam")
    return model


def rows(rng):
    return {"x": rng.normal(size=(6, 5)), "demand": rng.normal(size=(6, 1))}, {}
