"""Timeseries classification from scratch."""

import keras
from keras import layers


def build():
    inputs = keras.Input((16, 1), name="wave")
    x = inputs
    for k in (1, 2, 3):
        x = layers.Conv1D(filters=6, kernel_size=3, padding="same", name=f"conv_{k}:conv")(x)
        x = layers.BatchNormalization(name=f"conv_{k}:norm")(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="kind")(x))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"wave": rng.normal(size=(6, 16, 1))}, {"kind": rng.integers(0, 2, 6)}
