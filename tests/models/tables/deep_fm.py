"""DeepFM with the sum of products as half of (Σ v)² − Σ v²."""

import keras
from keras import layers, ops


def build():
    ids = [keras.Input((1,), dtype="int64", name=name) for name in "abc"]
    sizes = (5, 6, 7)
    vectors = [layers.Embedding(n, 4, name=f"{i.name}_vector")(i) for i, n in zip(ids, sizes, strict=True)]
    weights = [layers.Embedding(n, 1, name=f"{i.name}_weight")(i) for i, n in zip(ids, sizes, strict=True)]
    stacked = ops.concatenate(vectors, axis=1)
    square_of_sum = ops.square(ops.sum(stacked, axis=1))
    sum_of_square = ops.sum(ops.square(stacked), axis=1)
    second = 0.5 * ops.sum(square_of_sum - sum_of_square, axis=1, keepdims=True)
    first = ops.sum(ops.concatenate(weights, axis=1), axis=1)
    x = layers.Flatten()(stacked)
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    deep = layers.Dense(1, name="deep")(x)
    model = keras.Model(ids, ops.sigmoid(first + second + deep))
    model.compile("adam", "binary_crossentropy")
    return model


def rows(rng):
    x = {name: rng.integers(0, n, (6, 1)) for name, n in zip("abc", (5, 6, 7), strict=True)}
    return x, {"click": rng.integers(0, 2, (6, 1))}
