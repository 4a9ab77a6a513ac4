"""A Transformer-based recommendation system."""

import keras
from keras import layers, ops

RENAMED = [("placed/position/", "place/")]


class Placed(layers.Layer):
    def __init__(self, length, dim, **kwargs):
        super().__init__(**kwargs)
        self.length = length
        self.position = layers.Embedding(length, dim, name="position")

    def call(self, x):
        return x + self.position(ops.arange(0, self.length, 1))


def build():
    movies, ratings = keras.Input((4,), dtype="int64", name="movies"), keras.Input((4,), name="ratings")
    target, age = keras.Input((), dtype="int64", name="target"), keras.Input((), dtype="int64", name="age")
    look = layers.Embedding(12, 6, name="look")
    x = Placed(4, 6, name="placed")(look(movies))
    x = layers.Multiply()([x, ops.expand_dims(ratings, -1)])
    x = layers.Concatenate(axis=1)([x, ops.expand_dims(look(target), 1)])
    attention = layers.MultiHeadAttention(num_heads=3, key_dim=6, dropout=0.0, name="attend")(x, x)
    x1 = layers.LayerNormalization(name="norm_1")(layers.Add()([x, layers.Dropout(0.0)(attention)]))
    x2 = layers.LeakyReLU()(x1)
    x2 = layers.Dropout(0.0)(layers.Dense(6, name="feed")(x2))
    x = layers.LayerNormalization(name="norm_2")(layers.Add()([x1, x2]))
    x = layers.concatenate([layers.Flatten()(x), layers.Embedding(5, 2, name="age_vector")(age)])
    x = layers.LeakyReLU()(layers.BatchNormalization(name="norm")(layers.Dense(8, name="hidden")(x)))
    model = keras.Model([movies, ratings, target, age], layers.Dense(1, name="rating")(x))
    model.compile(keras.optimizers.Adagrad(learning_rate=0.01), keras.losses.MeanSquaredError())
    return model


def rows(rng):
    x = {"movies": rng.integers(0, 12, (5, 4)), "ratings": rng.integers(1, 6, (5, 4)).astype(float)}
    x |= {"target": rng.integers(0, 12, 5), "age": rng.integers(0, 5, 5)}
    return x, {"rating": rng.uniform(1, 5, (5, 1))}
