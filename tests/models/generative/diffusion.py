"""Denoising diffusion implicit models: the network, and a step on rows with their noise."""

import keras
import numpy as np
from keras import layers, ops

SPEEDS = np.array([6.283, 25.13, 100.5])


def embed(variance):
    angles = variance * SPEEDS
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=3)


def residual(x, width, name):
    shortcut = layers.Conv2D(width, kernel_size=1, name=f"{name}:shortcut")(x)
    x = layers.BatchNormalization(center=False, scale=False, name=f"{name}:norm")(x)
    x = layers.Conv2D(width, kernel_size=3, padding="same", activation="swish", name=f"{name}:conv_1")(x)
    x = layers.Conv2D(width, kernel_size=3, padding="same", name=f"{name}:conv_2")(x)
    return layers.Add()([x, shortcut])


def build():
    noisy, variance = keras.Input((8, 8, 2), name="noisy"), keras.Input((1, 1, 1), name="variance")
    e = layers.Lambda(embed, output_shape=(1, 1, 6))(variance)
    e = layers.UpSampling2D(size=8, interpolation="nearest")(e)
    x = layers.Conv2D(4, kernel_size=1, name="stem")(noisy)
    x = down = residual(layers.Concatenate()([x, e]), 4, "down")
    x = layers.AveragePooling2D(pool_size=2)(x)
    x = residual(x, 6, "middle")
    x = layers.UpSampling2D(size=2, interpolation="bilinear")(x)
    x = residual(layers.Concatenate()([x, down]), 4, "wide")
    x = layers.Conv2D(2, kernel_size=1, kernel_initializer="zeros", name="noise")(x)
    model = keras.Model([noisy, variance], x)
    model.compile(keras.optimizers.AdamW(0.001, weight_decay=1e-4), "mean_absolute_error")
    return model


def rows(rng):
    image, noise, variance = (
        rng.normal(size=(3, 8, 8, 2)),
        rng.normal(size=(3, 8, 8, 2)),
        rng.uniform(size=(3, 1, 1, 1)),
    )
    return {"noisy": np.sqrt(1 - variance) * image + np.sqrt(variance) * noise, "variance": variance}, {"noise": noise}
