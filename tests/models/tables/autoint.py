"""AutoInt, here with the focal loss, for rare clicks."""

import keras
from keras import layers


def build():
    columns = keras.Input((4,), dtype="int64", name="columns")
    x = layers.Embedding(14, 5, name="look")(columns)
    for k in (1, 2):
        attend = layers.MultiHeadAttention(num_heads=2, key_dim=3, use_bias=False, name=f"interact_{k}:attend")
        residual = layers.Dense(5, use_bias=False, name=f"interact_{k}:residual")
        x = layers.ReLU()(attend(x, x) + residual(x))
    x = layers.Flatten()(x)
    model = keras.Model(columns, layers.Dense(1, activation="sigmoid", name="click")(x))
    model.compile(keras.optimizers.Ftrl(0.01), keras.losses.BinaryFocalCrossentropy(gamma=2.0))
    return model


def rows(rng):
    return {"columns": rng.integers(0, 14, (6, 4))}, {"click": rng.integers(0, 2, (6, 1))}
