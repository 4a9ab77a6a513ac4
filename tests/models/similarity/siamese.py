"""One-shot recognition by a siamese network."""

import keras
from keras import layers, ops

RENAMED = [("^sequential/", "")]


def build():
    twin = keras.Sequential(
        [
            keras.Input((10, 10, 1)),
            layers.Conv2D(4, 3, activation="relu", name="twin:conv_1"),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 3, activation="relu", name="twin:conv_2"),
            layers.Flatten(),
            layers.Dense(5, activation="sigmoid", name="twin:vector"),
        ],
        name="sequential",
    )
    left, right = keras.Input((10, 10, 1), name="left"), keras.Input((10, 10, 1), name="right")
    distance = ops.abs(twin(left) - twin(right))
    model = keras.Model([left, right], layers.Dense(1, activation="sigmoid", name="same")(distance))
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.00006))
    return model


def rows(rng):
    x = {name: rng.normal(size=(5, 10, 10, 1)) for name in ("left", "right")}
    return x, {"same": rng.integers(0, 2, (5, 1))}
