"""A temporal convolutional network that forecasts after each step."""

import keras
from keras import layers


def residual(x, dilation, name):
    y = x
    for k in (1, 2):
        y = layers.Conv1D(6, 3, padding="causal", dilation_rate=dilation, name=f"{name}:conv_{k}")(y)
        y = layers.LayerNormalization(name=f"{name}:norm_{k}")(y)
        y = layers.Activation("relu")(y)
        y = layers.SpatialDropout1D(0.0)(y)
    shortcut = layers.Conv1D(6, 1, padding="same", name=f"{name}:shortcut")(x)
    return layers.Activation("relu")(layers.add([shortcut, y]))


def build():
    inputs = keras.Input((None, 3), name="past")
    x = inputs
    for dilation in (1, 2, 4):
        x = residual(x, dilation, f"block_{dilation}")
    model = keras.Model(inputs, layers.Dense(1, name="next")(x))
    model.compile(keras.optimizers.Adam(0.002, clipvalue=0.5), "mse")
    return model


def rows(rng):
    return {"past": rng.normal(size=(3, 11, 3))}, {"next": rng.normal(size=(3, 11, 1))}
