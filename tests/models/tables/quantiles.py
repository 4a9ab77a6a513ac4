"""Quantile regression with the pinball loss."""

import keras
from keras import layers, ops

QUANTILES = [0.1, 0.5, 0.9]


def pinball_loss(y_true, y_pred):
    losses = []
    for k, q in enumerate(QUANTILES):
        error = y_true - y_pred[:, k : k + 1]
        losses.append(ops.mean(ops.maximum(q * error, (q - 1) * error), axis=-1))
    return sum(losses) / len(losses)


def build():
    inputs = keras.Input((5,), name="x")
    x = layers.Dense(8, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(len(QUANTILES), name="demand")(x))
    model.compile("adam", loss=pinball_loss)
    return model


def rows(rng):
    return {"x": rng.normal(size=(6, 5))}, {"demand": rng.normal(size=(6, 1))}
