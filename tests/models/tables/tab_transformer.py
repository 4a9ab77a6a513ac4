"""Structured data learning with TabTransformer."""

import keras
from keras import layers, ops

RENAMED = [("columns/column_embedding/", "column/")]


class Columns(layers.Layer):
    def __init__(self, count, dim, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.column_embedding = layers.Embedding(count, dim, name="column_embedding")

    def call(self, x):
        return x + self.column_embedding(ops.arange(start=0, stop=self.count, step=1))


def build():
    categories, numbers = keras.Input((3,), dtype="int64", name="categories"), keras.Input((2,), name="numbers")
    x = layers.Embedding(12, 8, name="look")(categories)
    x = Columns(3, 8, name="columns")(x)
    for k in (1, 2):
        name = f"transformer_{k}"
        attention = layers.MultiHeadAttention(num_heads=2, key_dim=8, name=f"{name}:attend")(x, x)
        x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}:norm_1")(layers.Add()([attention, x]))
        feed = layers.Dense(8, activation=keras.activations.gelu, name=f"{name}:feed")(x)
        x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}:norm_2")(layers.Add()([feed, x]))
    scaled = layers.LayerNormalization(epsilon=1e-6, name="scaled")(numbers)
    x = layers.concatenate([layers.Flatten()(x), scaled])
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Dense(10, activation=keras.activations.selu, name="hidden")(x)
    model = keras.Model([categories, numbers], layers.Dense(1, activation="sigmoid", name="rich")(x))
    model.compile(keras.optimizers.AdamW(0.001, weight_decay=0.0001), keras.losses.BinaryCrossentropy())
    return model


def rows(rng):
    x = {"categories": rng.integers(0, 12, (5, 3)), "numbers": rng.normal(size=(5, 2))}
    return x, {"rich": rng.integers(0, 2, (5, 1))}
