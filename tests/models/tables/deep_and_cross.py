"""Structured data learning with Deep & Cross networks."""

import keras
from keras import layers


def build():
    x0 = keras.Input((6,), name="features")
    cross = x0
    for k in (1, 2):
        units = layers.Dense(6, name=f"cross_{k}:units")(cross)
        cross = x0 * units + cross
    cross = layers.BatchNormalization(name="cross")(cross)
    deep = layers.Dense(8, name="hidden")(x0)
    deep = layers.BatchNormalization(name="norm")(deep)
    deep = layers.ReLU()(deep)
    deep = layers.Dropout(0.0)(deep)
    merged = layers.concatenate([cross, deep])
    model = keras.Model(x0, layers.Dense(1, activation="sigmoid", name="click")(merged))
    model.compile(keras.optimizers.Adam(0.001), "binary_crossentropy")
    return model


def rows(rng):
    return {"features": rng.normal(size=(6, 6))}, {"click": rng.integers(0, 2, (6, 1))}
