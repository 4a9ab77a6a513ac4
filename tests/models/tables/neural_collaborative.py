"""NeuMF."""

import keras
from keras import layers


def build():
    user, item = keras.Input((1,), dtype="int64", name="user"), keras.Input((1,), dtype="int64", name="item")

    def vector(x, count, name):
        return layers.Flatten()(layers.Embedding(count, 4, name=name)(x))

    product = layers.Multiply()([vector(user, 8, "user_gmf"), vector(item, 9, "item_gmf")])
    x = layers.Concatenate()([vector(user, 8, "user_mlp"), vector(item, 9, "item_mlp")])
    x = layers.Dense(8, activation="relu", name="hidden_1")(x)
    x = layers.Dense(4, activation="relu", name="hidden_2")(x)
    x = layers.Concatenate()([product, x])
    model = keras.Model([user, item], layers.Dense(1, activation="sigmoid", name="liked")(x))
    model.compile("adam", "binary_crossentropy")
    return model


def rows(rng):
    x = {"user": rng.integers(0, 8, (6, 1)), "item": rng.integers(0, 9, (6, 1))}
    return x, {"liked": rng.integers(0, 2, (6, 1))}
