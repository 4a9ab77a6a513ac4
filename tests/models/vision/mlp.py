"""The first network of most courses, as in TensorFlow's quickstart."""

import keras
from keras import layers

DROP = 0.0


def build():
    model = keras.Sequential(
        [
            keras.Input((8, 8), name="image"),
            layers.Flatten(),
            layers.Dense(16, activation="relu", name="hidden_1"),
            layers.Dropout(DROP),
            layers.Dense(16, activation="relu", name="hidden_2"),
            layers.Dropout(DROP),
            layers.Dense(10, name="digit"),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def rows(rng):
    return {"image": rng.normal(size=(6, 8, 8))}, {"digit": rng.integers(0, 10, 6)}
