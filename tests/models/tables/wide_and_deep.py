"""Structured data learning with Wide & Deep."""

import keras
from keras import layers


def build():
    numbers = keras.Input((4,), name="numbers")
    soil, area = keras.Input((), name="soil", dtype="int64"), keras.Input((), name="area", dtype="int64")
    wide = layers.concatenate(
        [
            layers.CategoryEncoding(num_tokens=6, output_mode="one_hot")(soil),
            layers.CategoryEncoding(num_tokens=3, output_mode="one_hot")(area),
            numbers,
        ]
    )
    wide = layers.BatchNormalization(name="wide")(wide)
    deep = layers.concatenate(
        [layers.Embedding(6, 2, name="soil_vector")(soil), layers.Embedding(3, 1, name="area_vector")(area), numbers]
    )
    for k in (1, 2):
        deep = layers.Dense(8, name=f"hidden_{k}")(deep)
        deep = layers.BatchNormalization(name=f"norm_{k}")(deep)
        deep = layers.ReLU()(deep)
        deep = layers.Dropout(0.0)(deep)
    merged = layers.concatenate([wide, deep])
    model = keras.Model([numbers, soil, area], layers.Dense(7, activation="softmax", name="cover")(merged))
    model.compile(keras.optimizers.Adam(0.001), keras.losses.SparseCategoricalCrossentropy())
    return model


def rows(rng):
    x = {"numbers": rng.normal(size=(6, 4)), "soil": rng.integers(0, 6, 6), "area": rng.integers(0, 3, 6)}
    return x, {"cover": rng.integers(0, 7, 6)}
