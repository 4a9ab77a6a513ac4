"""Natural language inference with one recurrent encoder."""

import keras
import numpy as np
from keras import layers


def build():
    first, second = (keras.Input((None,), dtype="int64", name=name) for name in ("first", "second"))
    embed = layers.Embedding(20, 6, mask_zero=True, name="embed")
    read = layers.Bidirectional(layers.LSTM(4), name="read")
    u, v = read(embed(first)), read(embed(second))
    x = layers.concatenate([u, v, layers.subtract([u, v]), layers.multiply([u, v])])
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    model = keras.Model([first, second], layers.Dense(3, activation="softmax", name="relation")(x))
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    return model


def rows(rng):
    first, second = rng.integers(1, 20, (4, 6)), rng.integers(1, 20, (4, 5))
    first[0, 3:], second[2, 4:] = 0, 0
    return {"first": first, "second": second}, {"relation": np.eye(3)[rng.integers(0, 3, 4)]}
