"""WaveNet on one-hot samples."""

import keras
import numpy as np
from keras import layers


def build():
    inputs = keras.Input((None, 8), name="sample")
    x = layers.Conv1D(6, 2, padding="causal", name="stem")(inputs)
    skips = []
    for d in (1, 2, 4):
        name = f"gated_{d}"
        gate = {"padding": "causal", "dilation_rate": d}
        tanh = layers.Conv1D(6, 2, activation="tanh", name=f"{name}:tanh", **gate)(x)
        sigmoid = layers.Conv1D(6, 2, activation="sigmoid", name=f"{name}:sigmoid", **gate)(x)
        skip = layers.Conv1D(6, 1, name=f"{name}:skip")(layers.Multiply()([tanh, sigmoid]))
        x = layers.Add()([skip, x])
        skips.append(skip)
    x = layers.Activation("relu")(layers.Add()(skips))
    x = layers.Conv1D(8, 1, activation="relu", name="wide")(x)
    model = keras.Model(inputs, layers.Conv1D(8, 1, activation="softmax", name="next")(x))
    model.compile(keras.optimizers.Nadam(0.001), "categorical_crossentropy")
    return model


def rows(rng):
    wave = np.eye(8)[rng.integers(0, 8, (3, 13))]
    return {"sample": wave[:, :-1]}, {"next": wave[:, 1:]}
