"""Enhanced deep residual networks for single-image super-resolution."""

import keras
from keras import layers, ops


def pixel_shuffle(x, block):
    _, h, w, c = x.shape
    c //= block**2
    x = ops.reshape(x, (-1, h, w, block, block, c))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, h * block, w * block, c))


def build():
    small = keras.Input((6, 6, 3), name="small")
    x = layers.Rescaling(scale=1.0 / 255)(small)
    x = first = layers.Conv2D(6, 3, padding="same", name="stem")(x)
    for k in (1, 2):
        y = layers.Conv2D(6, 3, padding="same", activation="relu", name=f"residual_{k}:conv_1")(x)
        y = layers.Conv2D(6, 3, padding="same", name=f"residual_{k}:conv_2")(y)
        x = layers.Add()([x, y * 0.1])
    x = layers.Conv2D(6, 3, padding="same", name="last")(x)
    x = layers.Add()([first, x])
    x = pixel_shuffle(layers.Conv2D(24, 3, padding="same", name="up")(x), 2)
    x = layers.Conv2D(3, 3, padding="same", name="rgb")(x)
    model = keras.Model(small, layers.Rescaling(scale=255)(x))
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries=[5000], values=[1e-4, 5e-5])
    model.compile(keras.optimizers.Adam(learning_rate=schedule), loss="mae")
    return model


def rows(rng):
    small, large = rng.uniform(0, 255, (3, 6, 6, 3)).round(), rng.uniform(0, 255, (3, 12, 12, 3)).round()
    return {"small": small}, {"large": large}
