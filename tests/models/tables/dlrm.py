"""DLRM with dot interaction."""

import keras
import numpy as np
from keras import layers, ops


class DotInteraction(layers.Layer):
    def call(self, vectors):
        x = ops.stack(vectors, axis=1)
        products = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
        rows, columns = np.tril_indices(len(vectors), k=-1)
        return products[:, rows, columns]


def build():
    numbers = keras.Input((4,), name="numbers")
    a, b = (keras.Input((1,), dtype="int64", name=name) for name in "ab")
    dense = layers.Dense(6, activation="relu", name="bottom_1")(numbers)
    dense = layers.Dense(4, activation="relu", name="bottom_2")(dense)
    vectors = [dense]
    for ids, count in ((a, 5), (b, 6)):
        vectors.append(layers.Flatten()(layers.Embedding(count, 4, name=f"{ids.name}_vector")(ids)))
    x = layers.concatenate([dense, DotInteraction()(vectors)])
    x = layers.Dense(6, activation="relu", name="top_1")(x)
    model = keras.Model([numbers, a, b], layers.Dense(1, activation="sigmoid", name="click")(x))
    model.compile(keras.optimizers.Adagrad(0.01), "binary_crossentropy")
    return model


def rows(rng):
    x = {"numbers": rng.normal(size=(6, 4)), "a": rng.integers(0, 5, (6, 1)), "b": rng.integers(0, 6, (6, 1))}
    return x, {"click": rng.integers(0, 2, (6, 1))}
